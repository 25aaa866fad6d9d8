-- What brings a file to this version, from nothing or from any version before: db.c numbers them.
CREATE TABLE IF NOT EXISTS session(hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER, used INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS board(id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS card(id INTEGER PRIMARY KEY, board INTEGER NOT NULL REFERENCES board, stage INTEGER NOT NULL,
                                text TEXT NOT NULL, author TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS card_by_board ON card(board, stage, id);
INSERT INTO board(title) SELECT 'First board' WHERE NOT EXISTS (SELECT 1 FROM board);
