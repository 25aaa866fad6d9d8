/* SPDX-License-Identifier: MIT */
/* The choice among several hosts for a connection. */
#include <stdlib.h>

#include "data/postgres/link.h"
#include "postgres/shop.h"
#include "support/relay.h"
#include "support/test.h"
#include "support/until.h"

static test_host th;

static vestry_err connect_to(const char *url, PGconn **ret_db) {
  const vsi_call call = {&th.host, "connect_to", "postgres", NULL};
  return vsi_postgres_connect(&call, url, false, NULL, ret_db);
}

static void assert_port(PGconn *db, int port) {
  char text[16];
  snprintf(text, sizeof text, "%d", port);
  assert_string_equal(PQport(db), text);
  PQfinish(db);
}

/* As if the machine was gone: no answer comes. */
TEST_CASE(silent_host_is_skipped) {
  char url[300];
  PGconn *db;
  const int port = shop_server()->port;
  relay *silent = relay_open(port);
  test_host_init(&th);
  relay_hold(silent, true);
  snprintf(url, sizeof url,
           "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&gssencmode=disable",
           relay_port(silent), port);
  assert_int_equal(connect_to(url, &db), VESTRY_OK); /* after the time that the library gives each host */
  assert_port(db, port);
  assert_int_equal(th.log_lines, 0);
  snprintf(url, sizeof url,
           "host=127.0.0.1,127.0.0.1 port=%d user=postgres dbname=postgres gssencmode=disable connect_timeout=2",
           relay_port(silent));
  assert_int_equal(connect_to(url, &db), VESTRY_LIMIT);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "timeout expired"));
  relay_hold(silent, false);
  assert_int_equal(connect_to(url, &db), VESTRY_OK);
  assert_port(db, relay_port(silent));
  relay_close(silent);
  test_host_assert_clean(&th);
}

/* libpq decides whether a host is acceptable, as it does for a single one. */
TEST_CASE(rejecting_hosts_are_skipped) {
  char url[300];
  PGconn *db;
  test_host_init(&th);
  snprintf(url, sizeof url, "host=/nowhere/at/all,%s port=1,%d user=postgres dbname=postgres", shop_server()->folder,
           shop_server()->port);
  assert_int_equal(connect_to(url, &db), VESTRY_OK);
  assert_port(db, shop_server()->port);
  snprintf(url, sizeof url, "host=%s,%s port=%d user=postgres dbname=postgres target_session_attrs=standby",
           shop_server()->folder, shop_server()->folder, shop_server()->port);
  assert_int_equal(connect_to(url, &db), VESTRY_LIMIT);
  assert_non_null(strstr(th.last_log, "server is not in hot standby mode"));
  assert_int_equal(connect_to("this is no url", &db), VESTRY_LIMIT);
  test_host_assert_clean(&th);
}

static vestry_err insert(vestry_sql_transaction *transaction, void *ctx) {
  (void)ctx;
  return vestry_sql_run(transaction, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

static vestry_err run_as(shop *s, int kind) {
  return kind ? vestry_sql_act(s->pool, (vestry_sql_kind)kind, insert, NULL)
              : vestry_sql_run_alone(s->pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

/* A planned change of roles: the host leads to the former primary, which is a standby now, and then to the new one. */
TEST_CASE(write_that_a_standby_refuses_finds_the_primary) {
  static const int kinds[] = {0, VESTRY_SQL_WRITE, VESTRY_SQL_SERIALIZABLE};
  postgres_server standby;
  char port[16];
  postgres_server_run(shop_server(), SHOP_CLEAR "; CREATE TABLE t(a int)");
  postgres_server_init_standby(&standby, shop_server());
  postgres_server_start(&standby, NULL);
  UNTIL(postgres_server_number(&standby, "SELECT count(*) FROM pg_class WHERE relname = 't'") == 1);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    shop s;
    memset(&s, 0, sizeof s);
    test_host_init(&s.th);
    snprintf(port, sizeof port, "%d", standby.port);
    setenv("PGPORT", port, 1);
    assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = "host=127.0.0.1 user=postgres dbname=postgres",
                                                                  .retry_ms = 1}),
                     VESTRY_OK);
    assert_int_equal(shop_number(&s, "SELECT pg_is_in_recovery()"), 1);
    snprintf(port, sizeof port, "%d", shop_server()->port);
    setenv("PGPORT", port, 1);
    UNTIL(run_as(&s, kinds[i]) == VESTRY_OK);
    assert_int_equal(shop_number(&s, "SELECT pg_is_in_recovery()"), 0);
    shop_end(&s);
  }
  unsetenv("PGPORT");
  postgres_server_finish(&standby);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/hosts", shop_open_server, shop_close_server);
}
