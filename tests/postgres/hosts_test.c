/* SPDX-License-Identifier: MIT */
/* The choice among several hosts for a connection. */
#include "base/wait.h"
#include "data/postgres/link.h"
#include "postgres/relay.h"
#include "postgres/shop.h"
#include "support/test.h"

static const struct {
  const char *url;
  size_t count;
  const char *last[VSI_POSTGRES_HOST_WORDS]; /* host, hostaddr, port */
} urls[] = {
    {"postgresql://a,b:7/x", 2, {"b", NULL, "7"}},
    {"postgresql://a:1,b:2,c:3/x?sslmode=disable", 3, {"c", NULL, "3"}},
    {"host=a port=5", 1, {"a", NULL, "5"}},
    {"host=a,b port=5", 2, {"b", NULL, "5"}},
    {"host=a hostaddr=::1,::2,::3", 3, {"a", "::3", NULL}},
    {"postgresql:///x", 0, {NULL}},
    {"host=", 0, {NULL}},
    {"host=a,b,c port=1,2", 0, {NULL}},
    {"just_a_name", 0, {NULL}},
    {"host='", 0, {NULL}},
};

static void assert_text(const char *is, const char *expected) {
  if (expected)
    assert_string_equal(is, expected);
  else
    assert_null(is);
}

static void hosts_are_found_in_urls(void **state) {
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    vsi_postgres_hosts hosts;
    const char *words[VSI_POSTGRES_HOST_WORDS], *values[VSI_POSTGRES_HOST_WORDS];
    vsi_postgres_hosts_init(&hosts, urls[i].url);
    assert_int_equal(hosts.count, urls[i].count);
    if (hosts.count) vsi_postgres_hosts_choose(&hosts, hosts.count - 1, words, values);
    for (size_t n = 0; n < VSI_POSTGRES_HOST_WORDS && hosts.count; n++) assert_text(values[n], urls[i].last[n]);
    vsi_postgres_hosts_finish(&hosts);
  }
}

static test_host th;

static vestry_err connect_to(const char *url, uint64_t ms, PGconn **ret_db) {
  const vsi_call call = {&th.host, "connect_to", "postgres", NULL};
  return vsi_postgres_connect(&call, url, false, NULL, vsi_monotonic_in_ms(ms), ret_db);
}

static void assert_port(PGconn *db, int port) {
  char text[16];
  snprintf(text, sizeof text, "%d", port);
  assert_string_equal(PQport(db), text);
  PQfinish(db);
}

/* As if the machine was gone: no answer comes. The host uses its share of the time, and not all of it. */
static void silent_host_is_skipped(void **state) {
  char url[300];
  PGconn *db;
  const int port = shop_server()->port;
  relay *silent = relay_open(port);
  test_host_init(&th);
  relay_hold(silent, true);
  snprintf(url, sizeof url,
           "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&gssencmode=disable",
           relay_port(silent), port);
  assert_int_equal(connect_to(url, 4000, &db), VESTRY_OK);
  assert_port(db, port);
  assert_int_equal(th.log_lines, 0);
  snprintf(url, sizeof url, "hostaddr=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres gssencmode=disable",
           relay_port(silent), port);
  assert_int_equal(connect_to(url, 4000, &db), VESTRY_OK);
  assert_port(db, port);
  snprintf(url, sizeof url, "host=127.0.0.1,127.0.0.1 port=%d user=postgres dbname=postgres gssencmode=disable",
           relay_port(silent));
  assert_int_equal(connect_to(url, 20, &db), VESTRY_LIMIT);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "did not respond in time"));
  relay_hold(silent, false);
  assert_int_equal(connect_to(url, 20000, &db), VESTRY_OK);
  assert_port(db, relay_port(silent));
  relay_close(silent);
  test_host_assert_clean(&th);
}

/* libpq decides whether a host is acceptable, as it does for a single one. */
static void rejecting_hosts_are_skipped(void **state) {
  char url[300];
  PGconn *db;
  test_host_init(&th);
  snprintf(url, sizeof url, "host=/nowhere/at/all,%s port=1,%d user=postgres dbname=postgres", shop_server()->folder,
           shop_server()->port);
  assert_int_equal(connect_to(url, 20000, &db), VESTRY_OK);
  assert_port(db, shop_server()->port);
  snprintf(url, sizeof url, "host=%s,%s port=%d user=postgres dbname=postgres target_session_attrs=standby",
           shop_server()->folder, shop_server()->folder, shop_server()->port);
  assert_int_equal(connect_to(url, 20000, &db), VESTRY_LIMIT);
  assert_non_null(strstr(th.last_log, "server is not in hot standby mode"));
  assert_int_equal(connect_to("this is no url", 20000, &db), VESTRY_LIMIT);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hosts_are_found_in_urls),
                                     cmocka_unit_test(silent_host_is_skipped),
                                     cmocka_unit_test(rejecting_hosts_are_skipped)};
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
