/* What is on the wire: methods, paths, framing, connections that are kept, requests that are not well formed, TLS that
 * is none, settings, and memory that runs out. */
#include "adapter/microhttpd/serve.h"

#include <stdlib.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "web/client.h"

static server s;

/* ---- methods and paths ------------------------------------------------------------------------------------------- */

static void head_is_get_without_a_body(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  client_ask(&c, s.port, "HEAD", "/echo", NULL);
  assert_int_equal(client_status(&c), 200);
  assert_string_equal(client_header(&c, "Content-Length"), "7");
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  client_read_all(&c);
  assert_memory_equal(strstr(c.text, "\r\n\r\n") + 4, "HTTP/1.1 200", 12); /* at once: no body came between */
  client_close(&c);
  client_ask(&c, s.port, "HEAD", "/stream", "Datastar-Request: true\r\n"); /* no stream is opened for it */
  assert_int_equal(client_status(&c), 204);
  client_close(&c);
  vestry_stats stats;
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.opened, 0);
  server_stop(&s);
}

static void other_methods_and_paths_are_told(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  client_ask(&c, s.port, "DELETE", "/echo", NULL);
  assert_int_equal(client_status(&c), 405);
  assert_string_equal(client_header(&c, "Allow"), "POST, GET, HEAD");
  client_close(&c);
  client_ask(&c, s.port, "PUT", "/echo", "Content-Length: 3\r\n");
  client_say(&c, "abc");
  assert_int_equal(client_status(&c), 405);
  client_next(&c); /* the body was passed over, and the connection is kept */
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  assert_int_equal(client_status(&c), 200);
  client_close(&c);
  assert_int_equal(server_status_of(&s, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /ECHO HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /echo/ HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /%65cho?%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(server_status_of(&s, "GET /echo?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(server_status_of(&s, "GET /echo%00/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400); /* would be cut to /echo */
  server_stop(&s);
}

/* ---- framing ----------------------------------------------------------------------------------------------------- */

static void refuses_unclear_framing(void **state) {
  (void)state;
  static const char *const heads[] = {
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
      "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3x\r\n\r\nabc",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"};
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_send(&c, heads[i], strlen(heads[i]));
    assert_int_equal(client_status(&c), 400);
    client_read_all(&c); /* the connection does not go on */
    client_close(&c);
    server_assert_serves(&s);
  }
  server_stop(&s);
}

static void refuses_large_bodies_early(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.options.max_body_bytes = 1000});
  /* Who asks first is told before he sends; who is far beyond all bounds, too. */
  assert_int_equal(
      server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"),
      413);
  assert_int_equal(server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Expect: 100-continue\r\nContent-Length: 5\r\n");
  while (c.len < 12) client_read(&c);
  assert_memory_equal(c.text, "HTTP/1.1 100", 12);
  client_say(&c, "hello");
  client_expect(&c, "hello");
  client_close(&c);
  server_stop(&s);
}

static void http10_streams_until_the_close(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  client_connect(&c, s.port, false);
  client_say(&c, "GET /stream HTTP/1.0\r\nDatastar-Request: true\r\n\r\n");
  assert_int_equal(client_status(&c), 200);
  assert_null(client_header(&c, "Transfer-Encoding"));
  assert_string_equal(client_header(&c, "Connection"), "close");
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  server_patch(connection, "{\"a\":1}");
  client_expect(&c, "{\"a\":1}\n\n");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_string_equal(c.body, "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  client_close(&c);
  server_stop(&s);
}

static void a_clean_end_leaves_the_connection_usable(void **state) {
  (void)state;
  for (int tls = 0; tls < 2; tls++) {
    server_start(&s, &(server_settings){.tls = tls});
    client c;
    vestry_connection *connection = server_open(&s, &c);
    server_patch(connection, "{\"a\":1}");
    client_expect(&c, "{\"a\":1}\n\n");
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    client_next(&c);
    client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    client_expect(&c, "nothing");
    client_close(&c);
    server_stop(&s);
  }
}

static void what_is_no_request_disturbs_nobody(void **state) {
  (void)state;
  static const char *const texts[] = {"\r\n\r\n",
                                      "GET",
                                      "\x16\x03\x01\x02",
                                      "GET /echo\r\n\r\n",
                                      "GET / HTTP/9.9\r\n\r\n",
                                      "GET /echo HTTP/1.1\r\nHost a\r\n\r\n",
                                      ": :\r\n\r\n"};
  for (int tls = 0; tls < 2; tls++) {
    server_start(&s, &(server_settings){.tls = tls});
    const client_tls_ops *ops = client_tls_ops_used;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
      client c;
      client_tls_ops_used = NULL; /* with TLS nothing of this is a handshake */
      client_connect(&c, s.port, false);
      client_send(&c, texts[i], strlen(texts[i]));
      client_shut(&c);
      client_close(&c);
      client_tls_ops_used = ops;
      server_assert_serves(&s);
    }
    /* A head that is larger than the connection's memory. */
    char *large = malloc(20000);
    memset(large, 'a', 20000);
    client c;
    client_connect(&c, s.port, false);
    client_say(&c, "GET /echo HTTP/1.1\r\nX-Large: ");
    client_send(&c, large, 20000);
    free(large);
    int status = client_status(&c);
    assert_true(status == 431 || status == 413 || status == 414);
    client_close(&c);
    server_assert_serves(&s);
    server_stop(&s);
  }
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void refuses_bad_settings(void **state) {
  (void)state;
  server_start(&s, NULL);
  const char *key, *certificate;
  tls_key_pair(&key, &certificate);
  const vestry_microhttpd_options invalid[] = {
      {.size = 1},
      {.address = "localhost"},
      {.address = "300.0.0.1"},
      {.threads_count = 257},
      {.max_streams = 1000001},
      {.max_streams = 10, .max_connections = 10},
      {.max_streams = 1, .max_connections = 2, .threads_count = 3},
      {.memory_bytes = 100},
      {.memory_bytes = 64 << 20},
      {.tls_key = key},
      {.tls_certificate = certificate},
  };
  vestry_microhttpd *adapter = NULL;
  for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
    assert_int_equal(vestry_microhttpd_create(s.v, &invalid[i], &adapter), VESTRY_INVALID);
  assert_int_equal(vestry_microhttpd_create(NULL, NULL, &adapter), VESTRY_INVALID);
  assert_int_equal(vestry_microhttpd_create(s.v, NULL, NULL), VESTRY_INVALID);
  const vestry_microhttpd_options failing[] = {{.address = "127.0.0.1", .port = s.port},
                                               {.address = "203.0.113.7"},
                                               {.tls_key = "none", .tls_certificate = certificate}};
  for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
    long before = atomic_load(&s.th.log_lines);
    assert_int_equal(vestry_microhttpd_create(s.v, &failing[i], &adapter), VESTRY_IO);
    assert_true(atomic_load(&s.th.log_lines) > before); /* which says why */
    assert_non_null(strstr(s.th.last_log, "libmicrohttpd: "));
  }
  assert_null(adapter);
  vestry_microhttpd_destroy(NULL);
  server_assert_serves(&s);
  server_stop(&s);
}

static void serves_ipv6(void **state) {
  (void)state;
  vestry *v;
  vestry_microhttpd *adapter;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  vestry_err error = vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "::1"}, &adapter);
  if (error == VESTRY_OK) {
    assert_true(vestry_microhttpd_port(adapter));
    vestry_microhttpd_destroy(adapter);
  } else {
    assert_int_equal(error, VESTRY_IO); /* a machine without it */
  }
  vestry_destroy(v);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static vestry_err create(test_host *th, void *ctx) {
  (void)ctx;
  vestry *v = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  vestry_microhttpd *adapter = NULL;
  if (!error) error = vestry_microhttpd_create(v, &(vestry_microhttpd_options){.address = "127.0.0.1"}, &adapter);
  if (!error) error = vestry_microhttpd_handle(adapter, "GET", "/a", server_echo, NULL);
  if (!error) error = vestry_microhttpd_handle(adapter, "PUT", "/a", server_echo, NULL);
  vestry_microhttpd_destroy(adapter);
  vestry_destroy(v);
  return error;
}

static void creates_or_says_no_memory(void **state) {
  (void)state;
  test_host_fail_each(create, NULL, false);
}

/* Requests and streams while each allocation fails in turn: served, refused or closed, and the server goes on. */
static void survives_want_of_memory(void **state) {
  (void)state;
  server_start(&s, NULL);
  unsigned served = 0, refused = 0, closed = 0;
  for (long number = 0; number < 60; number++) {
    client c;
    atomic_store(&s.th.fail_at, atomic_load(&s.th.allocations) + number);
    if (number % 2)
      client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
    else
      client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\n\r\nhello");
    client_read(&c);
    if (!c.len)
      closed++;
    else if (client_status(&c) == 200)
      served++;
    else
      refused++;
    client_close(&c);
    atomic_store(&s.th.fail_at, -1);
    server_assert_serves(&s);
  }
  print_message("%u served, %u refused, %u closed\n", served, refused, closed);
  assert_true(served && refused && closed);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(head_is_get_without_a_body),
      cmocka_unit_test(other_methods_and_paths_are_told),
      cmocka_unit_test(refuses_unclear_framing),
      cmocka_unit_test(refuses_large_bodies_early),
      cmocka_unit_test(http10_streams_until_the_close),
      cmocka_unit_test(a_clean_end_leaves_the_connection_usable),
      cmocka_unit_test(what_is_no_request_disturbs_nobody),
      cmocka_unit_test(refuses_bad_settings),
      cmocka_unit_test(serves_ipv6),
      cmocka_unit_test(creates_or_says_no_memory),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests_name("libmicrohttpd, on the wire", tests, NULL, NULL);
}
