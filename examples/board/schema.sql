-- Statements that create the tables, or upgrade a file of any earlier version; board.c contains the version number.
-- Version 3: sessions are in the table of vestry/data/sql.h, and users have to log in again.
DROP TABLE IF EXISTS session;
CREATE TABLE IF NOT EXISTS board(id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS card(id INTEGER PRIMARY KEY, board INTEGER NOT NULL REFERENCES board, stage INTEGER NOT NULL,
                                text TEXT NOT NULL, author TEXT NOT NULL);
-- Version 4: the number of changes of a card's text, the last editor, and the last user who moved the card. A deleted
-- card has stage -1.
ALTER TABLE card ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE card ADD COLUMN edited_by TEXT NOT NULL DEFAULT 'Somebody';
ALTER TABLE card ADD COLUMN moved_by TEXT NOT NULL DEFAULT 'Somebody';
CREATE INDEX IF NOT EXISTS card_by_board ON card(board, stage, id);
-- Requests for new cards, by the nonce of the submission (vestry/app/once.h): a request that is repeated after a crash
-- finds its card. After an hour, no browser repeats a request.
CREATE TABLE IF NOT EXISTS asked(once TEXT PRIMARY KEY, board INTEGER NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL,
                                 at INTEGER NOT NULL DEFAULT (unixepoch())) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS asked_by_time ON asked(at);
CREATE TRIGGER IF NOT EXISTS asked_is_done AFTER INSERT ON asked BEGIN
  INSERT INTO card(board, stage, text, author) VALUES(new.board, 0, new.text, new.author);
  DELETE FROM asked WHERE at < unixepoch() - 3600;
END;
-- Version 5: the secret is in the table of vestry/data/sql.h.
DROP TABLE IF EXISTS secret;
INSERT INTO board(title) SELECT 'First board' WHERE NOT EXISTS (SELECT 1 FROM board);
