-- The hall: ten blocks with twenty rows of ten seats. Times are milliseconds since 1970. A hold is a seat with a holder
-- and a time when it expires. Blocks are on separate pages of the file, because each is followed by a row that fills a
-- page. Therefore a write of any program to block A refreshes no other block.
CREATE TABLE seat(id INTEGER PRIMARY KEY, block TEXT, row INTEGER, place INTEGER, kept INTEGER NOT NULL DEFAULT 0,
  holder INTEGER, until_ms INTEGER, payment INTEGER, at_ms INTEGER, filler BLOB);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
  INSERT INTO seat(id, block, row, place, holder, until_ms, payment, at_ms)
  SELECT (i / 200 + 1) * 1000 + i % 200, char(65 + i / 200), i % 200 / 10 + 1, i % 10 + 1, 1 << 60, 1 << 41, 1 << 41, 1 << 41 FROM n;
INSERT INTO seat(id, filler) SELECT id / 1000 * 1000 + 999, zeroblob(4000) FROM seat WHERE id % 1000 = 0;
UPDATE seat SET holder = 0, until_ms = 0, payment = 0, at_ms = 0; -- the rows keep their size, and can grow
CREATE INDEX seat_of ON seat(holder);
-- The sold seats. Only this table determines the owner of a seat, and its constraints prevent a second sale.
CREATE TABLE payment(id INTEGER PRIMARY KEY, nonce TEXT NOT NULL UNIQUE, show INTEGER NOT NULL, buyer INTEGER NOT NULL,
  name TEXT NOT NULL, seats INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE ticket(show INTEGER NOT NULL, seat INTEGER NOT NULL, payment INTEGER NOT NULL, UNIQUE(show, seat));
CREATE INDEX ticket_of ON ticket(payment);
-- Evenings: when one is sold out, the next begins at next_ms.
CREATE TABLE show(number INTEGER PRIMARY KEY, next_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO show(number) VALUES(1);
-- Statistics of each node, once per second (house.h).
CREATE TABLE node(number INTEGER PRIMARY KEY, beat_ms INTEGER, tabs INTEGER, renders INTEGER, commits INTEGER, bytes INTEGER);
