-- Statements that create the tables, or upgrade a file of any earlier version; chat.c contains the version number.
-- Version 2: sessions are in the table of vestry/data/sql.h, and users have to log in again. Version 3: the secret, too.
DROP TABLE IF EXISTS session;
DROP TABLE IF EXISTS secret;
CREATE TABLE IF NOT EXISTS channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- The messages of a channel are adjacent and numbered from 1: a page that shows the last ones reads few pages of this
-- file, and only writes to them affect it. A deleted message has no text, and its number is not reused.
CREATE TABLE IF NOT EXISTS message(channel INTEGER NOT NULL REFERENCES channel, id INTEGER NOT NULL, author TEXT NOT NULL,
                                   text TEXT, sent INTEGER NOT NULL DEFAULT (unixepoch()), edited INTEGER NOT NULL DEFAULT 0,
                                   once TEXT UNIQUE, PRIMARY KEY(channel, id)) WITHOUT ROWID;
-- The last message of each channel, updated periodically, and the read positions of users. Messages in between, except
-- deleted ones, are unread.
CREATE TABLE IF NOT EXISTS tally(channel INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen(user TEXT NOT NULL, channel INTEGER NOT NULL, id INTEGER NOT NULL,
                                PRIMARY KEY(user, channel)) WITHOUT ROWID;
-- Numbers of deleted messages, which do not count as unread; they are in `dropped` first, for half a second. The row of
-- channel 0 records that messages deleted before this table existed are included.
CREATE TABLE IF NOT EXISTS gone(channel INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(channel, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(channel INTEGER NOT NULL, id INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS message_dropped AFTER UPDATE OF text ON message WHEN new.text IS NULL BEGIN
  INSERT INTO dropped VALUES(new.channel, new.id);
END;
INSERT INTO dropped SELECT channel, id FROM message WHERE text IS NULL AND NOT EXISTS (SELECT 1 FROM gone WHERE channel = 0);
INSERT OR IGNORE INTO gone VALUES(0, 0);
-- The number of messages of each user within the current ten seconds.
CREATE TABLE IF NOT EXISTS pace(user TEXT PRIMARY KEY, slot INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO channel(name) SELECT value FROM json_each('["general", "random"]') WHERE NOT EXISTS (SELECT 1 FROM channel);
