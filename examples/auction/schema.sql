-- Lots, their bids, and the best bid of each person. Amounts are in cents, times are milliseconds since 1970.
CREATE TABLE lot(id INTEGER PRIMARY KEY, title TEXT NOT NULL, about TEXT NOT NULL, seller TEXT NOT NULL, picture TEXT NOT NULL,
  type TEXT NOT NULL, cents INTEGER NOT NULL, bids INTEGER NOT NULL DEFAULT 0, leader TEXT NOT NULL DEFAULT '',
  ends_ms INTEGER NOT NULL, is_over INTEGER NOT NULL DEFAULT 0);
CREATE TABLE bid(lot INTEGER, number INTEGER, person TEXT NOT NULL, cents INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY(lot, number)) WITHOUT ROWID;
CREATE TABLE best(lot INTEGER, person TEXT, cents INTEGER NOT NULL, PRIMARY KEY(lot, person)) WITHOUT ROWID;
-- Initial lots; the ship has many bids.
INSERT INTO lot(title, about, seller, picture, type, cents, ends_ms) SELECT title, about, 'Grace', '', '', cents,
  (strftime('%s', 'now') + minutes * 60) * 1000 FROM (
  SELECT 'A ship in a bottle' AS title, 'Three masts, all sails set. The bottle is older than the ship.' AS about, 100 AS cents, 1200 AS minutes
  UNION ALL SELECT 'A brass telescope', 'It shows the moon, and ships.', 4500, 600
  UNION ALL SELECT 'A box of sea glass', 'Green, white, and one piece of blue.', 300, 45);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
  INSERT INTO bid SELECT 1, i, CASE i % 3 WHEN 0 THEN 'Ida' WHEN 1 THEN 'Ben' ELSE 'Mary' END, 100 + i,
  (strftime('%s', 'now') - 100000 + i) * 1000 FROM n;
UPDATE lot SET bids = 100000, cents = 100100, leader = 'Ben' WHERE id = 1;
INSERT INTO best SELECT 1, person, max(cents) FROM bid GROUP BY person;
-- The effects of each further bid.
CREATE TRIGGER made AFTER INSERT ON bid BEGIN
  UPDATE lot SET cents = new.cents, bids = new.number, leader = new.person WHERE id = new.lot;
  INSERT OR REPLACE INTO best VALUES(new.lot, new.person, new.cents);
END;
