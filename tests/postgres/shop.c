/* SPDX-License-Identifier: MIT */
#include "postgres/shop.h"

#include "support/test.h"

static postgres_server server;

postgres_server *shop_server(void) {
  return &server;
}

int shop_open_server(void **state) {
  (void)state;
  postgres_server_init(&server, 0);
  postgres_server_start(&server, NULL);
  return 0;
}

int shop_close_server(void **state) {
  (void)state;
  postgres_server_finish(&server);
  return 0;
}

void shop_clear(void) {
  postgres_server_run(&server, "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public");
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
  assert_int_equal(shop_stats(s).lent_count, 0);
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

vestry_postgres_pool_stats shop_stats(shop *s) {
  vestry_postgres_pool_stats stats = {0};
  vestry_postgres_pool_stats_get(s->pool, &stats);
  return stats;
}
