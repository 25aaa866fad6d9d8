-- What brings a file to this version, from nothing or from any version before: board.c numbers them.
-- Version 3: who has logged in is in the table of vestry/data/sql.h, and logs in once more.
DROP TABLE IF EXISTS session;
CREATE TABLE IF NOT EXISTS board(id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS card(id INTEGER PRIMARY KEY, board INTEGER NOT NULL REFERENCES board, stage INTEGER NOT NULL,
                                text TEXT NOT NULL, author TEXT NOT NULL);
-- Version 4: how often a card's text was changed, by whom last, and who moved it last. A deleted card has stage -1.
ALTER TABLE card ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE card ADD COLUMN edited_by TEXT NOT NULL DEFAULT 'Somebody';
ALTER TABLE card ADD COLUMN moved_by TEXT NOT NULL DEFAULT 'Somebody';
CREATE INDEX IF NOT EXISTS card_by_board ON card(board, stage, id);
-- Cards as they were asked for, by the nonce of the press (vestry/app/once.h): one that is asked for again behind a crash was
-- made. After an hour no browser asks any more.
CREATE TABLE IF NOT EXISTS asked(once TEXT PRIMARY KEY, board INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
                                 at INTEGER NOT NULL DEFAULT (unixepoch())) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS asked_by_time ON asked(at);
CREATE TRIGGER IF NOT EXISTS asked_is_done AFTER INSERT ON asked BEGIN
  INSERT INTO card(board, stage, text, author) VALUES(new.board, 0, new.text, new.author);
  DELETE FROM asked WHERE at < unixepoch() - 3600;
END;
-- What the nonces of open pages are sealed with, so that they outlive the server.
CREATE TABLE IF NOT EXISTS secret(bytes BLOB NOT NULL);
INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);
INSERT INTO board(title) SELECT 'First board' WHERE NOT EXISTS (SELECT 1 FROM board);
