/* SPDX-License-Identifier: MIT */
#include "postgres/shop.h"

#include <stdlib.h>

#include "support/test.h"

static postgres_server server;

postgres_server *shop_server(void) {
  return &server;
}

/* Language sql, because vestry reads more in a database with functions in languages that can catch errors. */
static const char hostile_sql[] =
    "DO $do$ DECLARE a text; b text; n text;"
    " types text[] := ARRAY['smallint', 'integer', 'bigint', 'numeric', 'double precision', 'oid', 'regclass', 'text',"
    " 'name', '\"char\"', 'boolean', 'bytea', 'pg_lsn'];"
    " operators text[] := '{+,-,*,/,%,&,|,<<,>>,<,<=,>,>=,=,<>,||}';"
    " ones text[] := '{array_agg,bool_and,bool_or,current_setting,generate_series,hashtext,json_array_elements_text,"
    "length,lower,max,min,pg_advisory_xact_lock,pg_relation_filenode,pg_stat_get_xact_numscans,"
    "pg_stat_get_xact_tuples_fetched,pg_stat_get_xact_tuples_returned,pg_table_is_visible,quote_ident,round,sum}';"
    " twos text[] := '{current_setting,date_part,format,generate_series,pg_notify,position,string_agg}';"
    " body text := ' RETURNS integer LANGUAGE sql AS ''SELECT 1 / 0''';"
    " BEGIN CREATE SCHEMA hostile; GRANT USAGE ON SCHEMA hostile TO public;"
    " CREATE FUNCTION hostile.format(text, bigint, name) RETURNS text LANGUAGE sql AS 'SELECT (1 / 0)::text';"
    " CREATE FUNCTION hostile.format(text, regclass, bigint) RETURNS text LANGUAGE sql AS 'SELECT (1 / 0)::text';"
    " FOREACH a IN ARRAY types LOOP"
    "  FOREACH n IN ARRAY ones LOOP"
    "   CONTINUE WHEN to_regprocedure(format('pg_catalog.%I(%s)', n, a)) IS NOT NULL;"
    "   EXECUTE format('CREATE FUNCTION hostile.%I(%s)', n, a) || body;"
    "  END LOOP;"
    "  FOREACH b IN ARRAY types LOOP"
    "   EXECUTE format('CREATE FUNCTION hostile.of_operators(%s, %s)', a, b) || body;"
    "   FOREACH n IN ARRAY operators LOOP"
    "    CONTINUE WHEN to_regoperator(format('pg_catalog.%s(%s,%s)', n, a, b)) IS NOT NULL;"
    "    EXECUTE format('CREATE OPERATOR hostile.%s (FUNCTION = hostile.of_operators, LEFTARG = %s, RIGHTARG = %s)', n,"
    " a, b);"
    "   END LOOP;"
    "   FOREACH n IN ARRAY twos LOOP"
    "    CONTINUE WHEN to_regprocedure(format('pg_catalog.%I(%s,%s)', n, a, b)) IS NOT NULL;"
    "    EXECUTE format('CREATE FUNCTION hostile.%I(%s, %s)', n, a, b) || body;"
    "   END LOOP;"
    "  END LOOP;"
    " END LOOP; END $do$";

void shop_start_server(const char *const *settings) {
  postgres_server_init(&server, 0);
  postgres_server_start(&server, settings);
  postgres_server_run(&server, "CREATE ROLE site LOGIN REPLICATION");
}

int shop_open_server(void **state) {
  shop_start_server(NULL);
  if (getenv("VESTRY_HOSTILE")) postgres_server_run(&server, hostile_sql);
  return 0;
}

int shop_close_server(void **state) {
  postgres_server_finish(&server);
  return 0;
}

void shop_clear(void) {
  postgres_server_run(&server, SHOP_CLEAR);
}

const char *shop_site_url(void) {
  static char url[sizeof server.url];
  snprintf(url, sizeof url, "host=%s port=%d user=site dbname=postgres", server.folder, server.port);
  return url;
}

vestry_err shop_open(shop *s, vestry_postgres_pool_options options) {
  options.host = &s->th.host;
  if (!options.url) options.url = server.url;
  return vestry_postgres_pool_create(&options, &s->pool);
}

void shop_begin(shop *s, vestry_postgres_pool_options options) {
  memset(s, 0, sizeof *s);
  test_host_init(&s->th);
  shop_clear();
  assert_int_equal(shop_open(s, options), VESTRY_OK);
}

void shop_end(shop *s) {
  assert_int_equal(shop_stats(s).checked_out_count, 0);
  vestry_sql_pool_destroy(s->pool);
  test_host_assert_clean(&s->th);
}

int64_t shop_number(shop *s, const char *sql) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  return found;
}

void shop_do(shop *s, const char *sql) {
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, NULL, NULL, NULL), VESTRY_OK);
}

static vestry_err set_by_libpq(vestry_sql_transaction *transaction, void *sql) {
  PGresult *result = PQexec(vestry_postgres_handle(transaction), sql);
  const bool is_set = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  return is_set ? VESTRY_OK : VESTRY_IO;
}

void shop_set(shop *s, const char *sql) {
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_WRITE, set_by_libpq, (void *)(uintptr_t)sql), VESTRY_OK);
}

vestry_sql_pool_stats shop_stats(shop *s) {
  vestry_sql_pool_stats stats = {0};
  vestry_sql_pool_stats_get(s->pool, &stats);
  return stats;
}
