/* SPDX-License-Identifier: MIT */
#include "postgres/oracle.h"

/* Leaves have few entries, so that they split often, and few pages read the same leaf. */
const char oracle_schema[] =
    "CREATE SEQUENCE ids; CREATE SEQUENCE b_ids;"
    "CREATE TABLE a(id int PRIMARY KEY WITH (fillfactor = 10), grp int, n int, t text, flag bool, plain int DEFAULT 0, "
    "fill text);"
    "CREATE INDEX a_grp ON a(grp, n, fill);"
    "CREATE INDEX a_hash ON a USING hash(t);"
    "CREATE INDEX a_brin ON a USING brin(n) WITH (pages_per_range = 1);"
    "CREATE TABLE b(id int PRIMARY KEY WITH (fillfactor = 10), a_id int REFERENCES a ON DELETE CASCADE ON UPDATE "
    "CASCADE, v int, fill text);"
    "CREATE INDEX b_a ON b(a_id, fill);"
    "CREATE TABLE c(k int PRIMARY KEY, v int) WITH (fillfactor = 50);"
    "CREATE TABLE p(k int PRIMARY KEY WITH (fillfactor = 10), v int) PARTITION BY RANGE (k);"
    "CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (100);"
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (100) TO (200);"
    "CREATE FUNCTION on_b() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN UPDATE c SET v = v + 1 WHERE k = new.a_id % 10; RETURN new; END$$;"
    "CREATE TRIGGER on_b AFTER INSERT ON b FOR EACH ROW EXECUTE FUNCTION on_b();"
    "INSERT INTO a SELECT nextval('ids'), i % 15, (i * 7) % 100, 'T' || i % 60, i % 3 = 0, 0, repeat(md5(i::text), 9)"
    "  FROM generate_series(1, 300) i;"
    "CREATE INDEX a_flag ON a(n, id) WITH (fillfactor = 10) WHERE flag;"
    "CREATE INDEX a_lower ON a(lower(t)) WITH (fillfactor = 10);"
    "INSERT INTO c SELECT i, 0 FROM generate_series(0, 19) i;"
    "INSERT INTO b SELECT nextval('b_ids'), 1 + i % 280, i % 50, repeat(md5(i::text), 9) FROM generate_series(1, 300) "
    "i;"
    "INSERT INTO p SELECT i, i FROM generate_series(0, 198, 2) i;"
    "CREATE VIEW va AS SELECT id, grp, n FROM a WHERE n > 20;"
    "CREATE MATERIALIZED VIEW mv AS SELECT grp, count(*) AS found FROM a GROUP BY grp;"
    "CREATE FUNCTION f(g int) RETURNS bigint LANGUAGE plpgsql AS "
    "$$BEGIN RETURN (SELECT sum(n) FROM a WHERE grp = g); END$$;"
    /* These functions read in a subtransaction, which is rolled back if the result is even. */
    "CREATE FUNCTION caught(g int) RETURNS bigint LANGUAGE plpgsql AS $$DECLARE n bigint; BEGIN BEGIN SELECT sum(v) "
    "INTO n FROM c WHERE k = g; PERFORM 1 / (n % 2); RETURN n; EXCEPTION WHEN division_by_zero THEN RETURN -1; END; "
    "END$$;"
    "CREATE FUNCTION caught_mv(g int) RETURNS bigint LANGUAGE plpgsql AS $$DECLARE n bigint; BEGIN BEGIN SELECT "
    "mv.found "
    "INTO n FROM mv WHERE grp = g; PERFORM 1 / (n % 2); RETURN n; EXCEPTION WHEN division_by_zero THEN RETURN -1; END; "
    "END$$;"
    "CREATE FUNCTION caught_view(g int) RETURNS bigint LANGUAGE plpgsql AS $$DECLARE n bigint; BEGIN BEGIN SELECT "
    "count(*) INTO n FROM va WHERE grp = g; PERFORM 1 / (n % 2); RETURN n; EXCEPTION WHEN division_by_zero THEN RETURN "
    "-1; END; END$$;"
    "GRANT USAGE ON SCHEMA public TO site; GRANT SELECT ON ALL TABLES IN SCHEMA public TO site;"
    "ANALYZE";

static const char *const queries[] = {
    "SELECT id, grp, n, t, plain FROM a WHERE id = @i",
    "SELECT id, n FROM a WHERE grp = @g ORDER BY n DESC, id DESC LIMIT 5",
    "SELECT count(*), sum(n), sum(plain) FROM a WHERE grp = @g",
    "SELECT id, n FROM a WHERE flag AND n BETWEEN @n AND @n + 8 ORDER BY n, id LIMIT 9",
    "SELECT id, t FROM a WHERE lower(t) = 't' || (@i % 62)",
    "SELECT a.id, b.id, b.v FROM a JOIN b ON b.a_id = a.id WHERE a.grp = @g AND a.n < @n",
    "SELECT id FROM a WHERE grp = @g AND NOT EXISTS (SELECT 1 FROM b WHERE a_id = a.id)",
    "SELECT id, n, t FROM a WHERE id IN (@i, @i + 3, @i + 50)",
    "SELECT max(n), min(n) FROM a WHERE grp = @g",
    "SELECT sum(v), count(*) FROM c",
    "SELECT k, v FROM p WHERE k BETWEEN @k AND @k + 12",
    "SELECT id, n FROM va WHERE grp = @g",
    ("SELECT a.id, count(b.id) FROM a LEFT JOIN b ON b.a_id = a.id WHERE grp = @g GROUP "
     "BY a.id"),
    "SELECT grp, found FROM mv WHERE grp = @g",
    "SELECT count(*) FROM a",
    "SELECT id FROM a WHERE t = 'T' || (@i % 62)",
    "SELECT id, plain FROM a WHERE n = @n",
    "SELECT f(@g)",
    "SELECT id FROM a WHERE grp = @g UNION SELECT v FROM b WHERE a_id = @i",
    "SELECT v FROM c WHERE k = @i % 24",
    "SELECT id FROM a ORDER BY id DESC LIMIT 3",
    "SELECT id FROM a WHERE id > @i ORDER BY id LIMIT 3",
    "SELECT count(*) FROM a WHERE grp = @g AND n >= @n",
    "SELECT sum(v) FROM p WHERE k < @k",
    "SELECT id FROM a WHERE grp IN (@g, @g + 4) AND n IN (@n, @n + 1)",
    "SELECT id, n FROM a WHERE ctid >= '(3,1)' AND ctid < '(9,1)'",
    "SELECT count(*) FROM c WHERE ctid = '(0,@n)'",
    "SELECT count(*), sum(v) FROM c TABLESAMPLE SYSTEM (100) WHERE k > @g",
    "SELECT caught(@g)",
    "SELECT caught_mv(@g)",
    "SELECT caught_mv(@g)",
    "SELECT caught_view(@g)",
};

/* The value of each letter: a group, a number, an id, a key of p, and a name that no other statement has. */
typedef struct numbers {
  uint32_t of[128];
} numbers;

void oracle_write_sql(oracle_world *w, const char *form, char sql[ORACLE_SQL_BYTES]) {
  numbers all = {.of = {0}};
  size_t len = 0;
  all.of['g'] = oracle_random(w, 15);
  all.of['n'] = oracle_random(w, 100);
  all.of['i'] = 1 + oracle_random(w, 330 + (uint32_t)(w->steps * 2 / 5)); /* most existing ids of a */
  all.of['k'] = oracle_random(w, 200);
  all.of['x'] = (uint32_t)++w->names;
  for (; *form && len < ORACLE_SQL_BYTES - 12; form++) {
    if (*form != '@')
      sql[len++] = *form;
    else if (form[1] == 't')
      sql[len++] = 'c', form++;
    else
      len += (size_t)snprintf(sql + len, ORACLE_SQL_BYTES - len, "%u", all.of[*++form & 127]);
  }
  assert_int_equal(*form, '\0');
  sql[len] = '\0';
}

void oracle_make_query(oracle_world *w, char sql[ORACLE_SQL_BYTES]) {
  oracle_write_sql(w, queries[oracle_random(w, sizeof queries / sizeof *queries)], sql);
}
