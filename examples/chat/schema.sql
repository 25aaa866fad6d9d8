-- What brings a file to this version, from nothing or from any version before: chat.c numbers them.
CREATE TABLE IF NOT EXISTS secret(bytes BLOB NOT NULL);
-- Version 2: who has logged in is in the table of vestry/data/sql.h, and logs in once more.
DROP TABLE IF EXISTS session;
CREATE TABLE IF NOT EXISTS channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- A channel's messages lie together, numbered from 1: a page that shows the last ones reads few pages of this file, and
-- only what is written there concerns it. A message that was deleted has no text: its number is not given again.
CREATE TABLE IF NOT EXISTS message(channel INTEGER NOT NULL REFERENCES channel, id INTEGER NOT NULL, author TEXT NOT NULL,
                                   text TEXT, sent INTEGER NOT NULL DEFAULT (unixepoch()), edited INTEGER NOT NULL DEFAULT 0,
                                   once TEXT UNIQUE, PRIMARY KEY(channel, id)) WITHOUT ROWID;
-- How far a channel goes, brought up to date now and then; and how far somebody has read it. What lies between, and was
-- not deleted, is unread.
CREATE TABLE IF NOT EXISTS tally(channel INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen(user TEXT NOT NULL, channel INTEGER NOT NULL, id INTEGER NOT NULL,
                                PRIMARY KEY(user, channel)) WITHOUT ROWID;
-- Numbers of messages that were deleted, which nobody need read any more; first in `dropped`, for half a second. The row
-- of channel 0 says that those of before this table was there are in it.
CREATE TABLE IF NOT EXISTS gone(channel INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(channel, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped(channel INTEGER NOT NULL, id INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS message_dropped AFTER UPDATE OF text ON message WHEN new.text IS NULL BEGIN
  INSERT INTO dropped VALUES(new.channel, new.id);
END;
INSERT INTO dropped SELECT channel, id FROM message WHERE text IS NULL AND NOT EXISTS (SELECT 1 FROM gone WHERE channel = 0);
INSERT OR IGNORE INTO gone VALUES(0, 0);
-- How many messages somebody has sent in these ten seconds.
CREATE TABLE IF NOT EXISTS pace(user TEXT PRIMARY KEY, slot INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);
INSERT INTO channel(name) SELECT value FROM json_each('["general", "random"]') WHERE NOT EXISTS (SELECT 1 FROM channel);
