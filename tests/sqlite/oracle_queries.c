/* SPDX-License-Identifier: MIT */
/* The queries of pages. No result depends on the query plan: a query with a limit sorts by all shown columns. */
#include <stdio.h>

#include "sqlite/oracle.h"

#define chance oracle_chance

enum { SQL_BYTES = ORACLE_SQL_BYTES };

static void value(oracle_query *query, int at, char type, unsigned is) {
  query->value_types[at] = type;
  query->values[at] = (int)is;
}

/* Rows found by a bound key. */
static void make_keyed(oracle_query *query, const char *one, const char *two) {
  static const char types[] = "iiiiiiirtn";
  char *sql = query->sql;
  unsigned k = chance(12), id = chance(400);
  query->is_ordered = true;
  value(query, 0, types[chance(10)], k);
  value(query, 1, types[chance(10)], chance(25));
  switch (chance(16)) {
  case 0:
  case 1:
  case 2:
    value(query, 0, types[chance(10)], id);
    snprintf(sql, SQL_BYTES, "SELECT a, c, e FROM %s WHERE id = ?1 ORDER BY 1, 2, 3", one);
    break;
  case 3: snprintf(sql, SQL_BYTES, "SELECT a, b FROM %s WHERE k = ?1 ORDER BY a, b", one); break;
  case 4: snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE k = ?1 AND a > ?2 ORDER BY a LIMIT 3", one); break;
  case 5: snprintf(sql, SQL_BYTES, "SELECT max(a), min(u) FROM %s WHERE k = ?1", one); break;
  case 6:
    value(query, 0, types[chance(10)], chance(6));
    snprintf(sql, SQL_BYTES, "SELECT count(*), max(u) FROM %s WHERE e = ?1", one);
    break;
  case 7: snprintf(sql, SQL_BYTES, "SELECT max(a) FROM %s WHERE k = ?1", one); break;
  case 8:
    snprintf(sql, SQL_BYTES,
             "SELECT x.a, y.b FROM %s x LEFT JOIN %s y ON y.id = ?2 WHERE x.k = ?1 ORDER BY 1, 2 LIMIT 20", one, two);
    break;
  case 9:
    snprintf(sql, SQL_BYTES, "SELECT x.a, y.c FROM %s x JOIN %s y ON y.id = x.u WHERE x.k = ?1 ORDER BY 1, 2", one,
             two);
    break;
  case 10:
    snprintf(sql, SQL_BYTES, "SELECT a, (SELECT sum(b) FROM %s WHERE k = ?2) FROM %s WHERE id = ?1 ORDER BY 1", two,
             one);
    break;
  case 11: snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE k = ?1 OR id = ?2 ORDER BY a", one); break;
  case 12: snprintf(sql, SQL_BYTES, "SELECT a, u FROM %s WHERE k IN (?1, ?2) ORDER BY a, u", one); break;
  case 13: snprintf(sql, SQL_BYTES, "SELECT a, u FROM %s WHERE k = ?1 AND a < ?2 ORDER BY 1, 2", one); break;
  case 14:
    snprintf(sql, SQL_BYTES, "SELECT a, u FROM %s WHERE k = ?1 AND a BETWEEN 3 AND ?2 ORDER BY a DESC, u LIMIT 5", one);
    break;
  default:
    snprintf(sql, SQL_BYTES, "SELECT id, a FROM %s WHERE k = ?1 AND id < 200 ORDER BY id DESC, a LIMIT 4", one);
    break;
  }
}

static void make_virtual(oracle_query *query) {
  char *sql = query->sql;
  unsigned n = chance(100);
  query->is_ordered = true;
  switch (chance(6)) {
  case 0:
  case 1: snprintf(sql, SQL_BYTES, "SELECT rowid FROM doc WHERE doc MATCH 'w%u' ORDER BY rowid", n); break;
  case 2: snprintf(sql, SQL_BYTES, "SELECT rowid FROM doc WHERE doc MATCH 'q%u' ORDER BY rowid", n * 10); break;
  case 3: snprintf(sql, SQL_BYTES, "SELECT docid FROM old_doc WHERE old_doc MATCH 'w%u' ORDER BY docid", n); break;
  case 4: snprintf(sql, SQL_BYTES, "SELECT id FROM box WHERE left > %u AND left < %u ORDER BY id", n, n + 30); break;
  default: snprintf(sql, SQL_BYTES, "SELECT term, doc FROM word WHERE term = 'w%u'", n); break;
  }
}

static void make_temporary(oracle_query *query, const char *one) {
  char *sql = query->sql;
  query->is_ordered = false;
  switch (chance(6)) {
  case 0: snprintf(sql, SQL_BYTES, "SELECT * FROM both WHERE k = %u", chance(12)); break;
  case 1: snprintf(sql, SQL_BYTES, "SELECT n FROM same"); break;
  case 2: snprintf(sql, SQL_BYTES, "SELECT count(*) FROM v9"); break;
  case 3: snprintf(sql, SQL_BYTES, "SELECT name, a FROM own JOIN %s USING(k)", one); break;
  case 4: snprintf(sql, SQL_BYTES, "SELECT x.a FROM %s x NATURAL JOIN side.fixed", one); break;
  default: snprintf(sql, SQL_BYTES, "SELECT (SELECT n FROM same), count(b) FROM both"); break;
  }
}

/* Columns that exist at times. */
static void make_added(oracle_query *query, const char *one) {
  unsigned column = chance(ORACLE_ADDED);
  query->is_ordered = true;
  if (chance(2))
    snprintf(query->sql, SQL_BYTES, "SELECT count(z%u), max(z%u) FROM %s", column, column, one);
  else
    snprintf(query->sql, SQL_BYTES, "SELECT z%u FROM %s WHERE id = %u ORDER BY 1", column, one, chance(400));
}

static bool make_any(const oracle_world *w, char *sql) {
  char one[8], two[8];
  unsigned k = chance(12), n = chance(25);
  oracle_table(one);
  oracle_table(two);
  if (w->is_plain && chance(4)) {
    snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE id = %u", one, chance(400));
    return false;
  }
  switch (chance(31)) {
  case 0:
    snprintf(sql, SQL_BYTES, "SELECT a, c FROM %s WHERE k = %u ORDER BY id, a, c LIMIT %u", one, k, 1 + n);
    return true;
  case 1: snprintf(sql, SQL_BYTES, "SELECT count(*) FROM %s", one); return true;
  case 2:
    snprintf(sql, SQL_BYTES, "SELECT count(*), sum(a) FROM %s WHERE a BETWEEN %u AND %u", one, n, n + 4);
    return true;
  case 3: snprintf(sql, SQL_BYTES, "SELECT max(a), min(b) FROM %s WHERE k = %u", one, k); return true;
  case 4:
    snprintf(sql, SQL_BYTES, "SELECT EXISTS(SELECT 1 FROM %s WHERE k = %u AND a = %u)", one, k + 3, n);
    return true;
  case 5:
    snprintf(sql, SQL_BYTES, "SELECT x.a, y.b FROM %s x JOIN %s y ON x.k = y.k AND y.a = %u", one, two, n);
    return false;
  case 6: snprintf(sql, SQL_BYTES, "SELECT k, count(*), max(c) FROM %s GROUP BY k ORDER BY k", one); return true;
  case 7:
    snprintf(sql, SQL_BYTES, "SELECT a, b FROM %s ORDER BY a DESC, b, k LIMIT %u OFFSET %u", one, 1 + chance(8),
             chance(4));
    return true;
  case 8: snprintf(sql, SQL_BYTES, "SELECT length(d), c FROM %s WHERE k = %u", one, k); return false;
  case 9: snprintf(sql, SQL_BYTES, "SELECT d FROM %s WHERE id = %u AND k = %u", one, chance(400), k); return false;
  case 10: snprintf(sql, SQL_BYTES, "SELECT * FROM v%u WHERE k = %u", chance(ORACLE_VIEWS), k); return false;
  case 11: snprintf(sql, SQL_BYTES, "SELECT count(*) FROM v%u", chance(ORACLE_VIEWS)); return true;
  case 12: snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE a + b = %u", one, n); return false;
  case 13:
    snprintf(sql, SQL_BYTES, "SELECT e, u FROM %s WHERE u > %u ORDER BY u, e LIMIT 3", one, chance(300));
    return true;
  case 14:
    snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE k IN (SELECT k FROM %s WHERE a = %u)", one, two, n);
    return false;
  case 15:
    snprintf(sql, SQL_BYTES,
             "WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 3) SELECT i, (SELECT count(a) "
             "FROM %s WHERE k = i + %u) FROM s",
             one, chance(8));
    return true;
  case 16:
    snprintf(sql, SQL_BYTES, "SELECT id, a FROM %s WHERE id > %u ORDER BY id, a LIMIT 2", one, chance(400));
    return true;
  case 17: snprintf(sql, SQL_BYTES, "SELECT k FROM %s EXCEPT SELECT k FROM %s ORDER BY 1", one, two); return true;
  case 18: snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE b > 3 AND a = %u", one, n); return false;
  case 19:
    snprintf(sql, SQL_BYTES, "SELECT x.k FROM %s x LEFT JOIN %s y USING(k, a) WHERE y.b IS NULL AND x.k = %u", one, two,
             k);
    return false;
  case 22:
    snprintf(sql, SQL_BYTES, "SELECT count(*) FROM (SELECT k, a FROM %s) NATURAL JOIN (SELECT k, a FROM %s)", one, two);
    return true;
  case 23:
    snprintf(sql, SQL_BYTES, "SELECT k, a FROM %s WHERE (k, a) IN (SELECT k, b FROM %s) ORDER BY 1, 2 LIMIT 5", one,
             two);
    return true;
  case 24:
    snprintf(sql, SQL_BYTES,
             "SELECT k, sum(CASE WHEN b > 4 THEN a END) FROM %s GROUP BY k HAVING max(e) > 2 ORDER BY k", one);
    return true;
  case 25: snprintf(sql, SQL_BYTES, "SELECT count(*) FILTER (WHERE e = %u) FROM %s", chance(6), one); return true;
  case 26:
    snprintf(sql, SQL_BYTES, "SELECT (SELECT max(y.c) FROM %s y WHERE y.k = x.a) FROM %s x WHERE x.k = %u", two, one,
             k);
    return false;
  case 27:
    snprintf(sql, SQL_BYTES, "SELECT k FROM %s UNION SELECT u FROM %s WHERE e = 2 ORDER BY 1 LIMIT 9", one, two);
    return true;
  case 28:
    snprintf(sql, SQL_BYTES, "SELECT count(DISTINCT c), group_concat(DISTINCT b) IS NULL FROM %s WHERE k < %u", one, k);
    return true;
  case 21: snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE a > %u ORDER BY c LIMIT 2", one, n); return true;
  case 20:
    snprintf(sql, SQL_BYTES, "SELECT a, row_number() OVER (ORDER BY a, b) FROM %s WHERE k = %u ORDER BY 2", one, k);
    return true;
  case 29: snprintf(sql, SQL_BYTES, "SELECT * FROM %s WHERE k = %u", one, k); return false;
  default:
    snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE c >= '%c' ORDER BY c, a, b, k LIMIT 1", one, 'a' + (int)chance(9));
    return true;
  }
}

void oracle_query_make(const oracle_world *w, oracle_query *query) {
  char one[8], two[8];
  unsigned how = chance(12);
  oracle_table(one);
  oracle_table(two);
  memset(query->value_types, 'n', sizeof query->value_types);
  if (w->is_long && chance(2)) {
    query->is_ordered = oracle_long_query(query->sql);
    return;
  }
  if (how < (w->is_keyed ? 7 : 4))
    make_keyed(query, one, two);
  else if (how == 7)
    make_added(query, one);
  else if (how < 6 && w->has_temporary)
    make_temporary(query, one);
  else if (how < 10 && w->has_virtual)
    make_virtual(query);
  else
    query->is_ordered = make_any(w, query->sql);
}
