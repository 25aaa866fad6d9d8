/* SPDX-License-Identifier: MIT */
#include "postgres/server.h"

#include "support/test.h"

/* Commits survive a crash, and the server is reachable over both addresses. */
static void committed_rows_survive_a_server_crash(void **state) {
  postgres_server server;
  postgres_server_init(&server, 0);
  postgres_server_start(&server, NULL);
  postgres_server_run(&server, "CREATE TABLE t(a int); INSERT INTO t VALUES(7)");
  postgres_server_kill(&server);
  assert_int_equal(PQping(server.url), PQPING_NO_RESPONSE);
  postgres_server_start(&server, (const char *const[]){"max_connections=7", NULL});
  assert_int_equal(postgres_server_number(&server, "SELECT a FROM t"), 7);
  assert_int_equal(postgres_server_number(&server, "SHOW max_connections"), 7);
  assert_int_equal(PQping(server.by_tcp), PQPING_OK);
  postgres_server_finish(&server);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {cmocka_unit_test(committed_rows_survive_a_server_crash)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
