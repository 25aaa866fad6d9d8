PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS secret(bytes BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS session(hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER, used INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS channel(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- A channel's messages lie together, numbered from 1: a page that shows the last ones reads few pages of this file, and
-- only what is written there concerns it. A message that was deleted has no text: its number is not given again.
CREATE TABLE IF NOT EXISTS message(channel INTEGER NOT NULL REFERENCES channel, id INTEGER NOT NULL, author TEXT NOT NULL,
                                   text TEXT, sent INTEGER NOT NULL DEFAULT (unixepoch()), edited INTEGER NOT NULL DEFAULT 0,
                                   once TEXT UNIQUE, PRIMARY KEY(channel, id)) WITHOUT ROWID;
-- How far a channel goes, brought up to date now and then; and how far somebody has read it.
CREATE TABLE IF NOT EXISTS tally(channel INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen(user TEXT NOT NULL, channel INTEGER NOT NULL, id INTEGER NOT NULL,
                                PRIMARY KEY(user, channel)) WITHOUT ROWID;
-- How many messages somebody has sent in these ten seconds.
CREATE TABLE IF NOT EXISTS pace(user TEXT PRIMARY KEY, slot INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS (SELECT 1 FROM secret);
INSERT INTO channel(name) SELECT value FROM json_each('["general", "random"]') WHERE NOT EXISTS (SELECT 1 FROM channel);
