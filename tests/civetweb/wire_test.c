/* What is on the wire: methods, framing, connections that are kept, and requests that are not well formed. */
#include <civetweb.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "web/client.h"

static server s;

/* ---- methods and paths ------------------------------------------------------------------------------------------- */

static void head_is_get_without_a_body(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  client_ask(&c, s.port, "HEAD", "/echo", NULL);
  assert_int_equal(client_status(&c), 200);
  assert_string_equal(client_header(&c, "Content-Length"), "7");
  assert_string_equal(client_header(&c, "Content-Type"), "text/plain");
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  while (!c.ended) client_read(&c);
  const char *second = strstr(c.text, "\r\n\r\n") + 4;
  assert_memory_equal(second, "HTTP/1.1 200", 12); /* at once: no body came between */
  client_close(&c);
  /* No stream is opened for it. */
  client_ask(&c, s.port, "HEAD", "/stream", "Datastar-Request: true\r\n");
  assert_int_equal(client_status(&c), 204);
  client_close(&c);
  vestry_stats stats;
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.opened, 0);
  server_stop(&s);
}

static void other_methods_are_told_which_there_are(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  client_ask(&c, s.port, "DELETE", "/echo", NULL);
  assert_int_equal(client_status(&c), 405);
  assert_string_equal(client_header(&c, "Allow"), "POST, GET, HEAD");
  assert_string_equal(client_header(&c, "Content-Length"), "0");
  client_close(&c);
  client_ask(&c, s.port, "PUT", "/echo", "Content-Length: 3\r\n");
  client_say(&c, "abc");
  assert_int_equal(client_status(&c), 405);
  client_close(&c);
  server_stop(&s);
}

static int own_handler(struct mg_connection *conn, void *ctx) {
  (void)ctx;
  mg_printf(conn, "HTTP/1.1 299 Own\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  return 299;
}

static void other_paths_are_left_to_the_server(void **state) {
  (void)state;
  server_start(&s, NULL);
  mg_set_request_handler(s.context, "/echo/**", own_handler, NULL);
  assert_int_equal(server_status_of(&s, "GET /echo/below HTTP/1.1\r\nHost: a\r\n\r\n"), 299);
  assert_int_equal(server_status_of(&s, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /echo2 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /ECHO HTTP/1.1\r\nHost: a\r\n\r\n"), 404); /* civetweb would match it */
  assert_int_equal(server_status_of(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /%65cho?%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(server_status_of(&s, "GET /x/../echo HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  server_stop(&s);
}

/* ---- connections, kept ------------------------------------------------------------------------------------------- */

/* civetweb would read a pattern into them. */
static void paths_are_no_patterns(void **state) {
  (void)state;
  server_start(&s, NULL);
  static const char *const paths[] = {NULL, "", "a", "*", "/a*", "/a?b", "/a$", "/a|/b"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    assert_int_equal(vestry_civetweb_handle(s.adapter, "GET", paths[i], server_echo, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_civetweb_handle(s.adapter, "GET", "/a", server_echo, NULL), VESTRY_OK);
  server_stop(&s);
}

static void keeps_connections_only_when_told_to(void **state) {
  (void)state;
  for (int keep = 0; keep < 2; keep++) {
    server_start(&s, &(server_settings){.keep_alive = keep});
    client c;
    client_ask(&c, s.port, "GET", "/echo", NULL);
    assert_string_equal(client_header(&c, "Connection"), keep ? "keep-alive" : "close");
    const char *date = client_header(&c, "Date");
    assert_non_null(date);
    assert_int_equal(strlen(date), strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
    if (keep) {
      client_next(&c);
      client_say(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      assert_int_equal(client_status(&c), 200);
      assert_string_equal(client_header(&c, "Connection"), "close");
    }
    client_read_all(&c); /* the server closes */
    assert_true(c.complete);
    client_close(&c);
    server_stop(&s);
  }
}

static void answers_pipelined_requests_in_order(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  client_connect(&c, s.port, false);
  client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                 "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
                 "DELETE /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nskip"
                 "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n"
                 "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  static const char *const bodies[] = {"one", "two", ""};
  for (int i = 0; i < 3; i++) {
    client_finish(&c, false);
    assert_int_equal(client_status(&c), i < 2 ? 200 : 405);
    assert_string_equal(c.body, bodies[i]);
    client_next(&c);
  }
  assert_int_equal(client_status(&c), 200);
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  server_patch(connection, "{\"a\":1}");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_next(&c); /* its clean end leaves the connection usable */
  client_finish(&c, false);
  assert_string_equal(c.body, "nothing");
  client_close(&c);
  server_stop(&s);
}

static void an_aborted_stream_ends_its_connection(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  vestry_connection *connection = server_open(&s, &c);
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"); /* is not answered */
  vestry_connection_close(connection, VESTRY_CAUSE_EXPIRED);
  client_read_all(&c);
  assert_false(c.complete);
  assert_null(strstr(c.text, "nothing"));
  client_close(&c);
  server_stop(&s);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static void a_batch_is_one_chunk(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  vestry_connection *connection = server_open(&s, &c);
  assert_string_equal(client_header(&c, "Connection"), "keep-alive");
  vestry_event *events[50];
  for (int i = 0; i < 50; i++)
    assert_int_equal(vestry_event_signals(&s.th.host, "{\"a\":1}", 7, NULL, &events[i]), VESTRY_OK);
  assert_int_equal(vestry_connection_send_all(connection, events, 50), VESTRY_OK);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_true(c.complete);
  assert_int_equal(c.chunks_count, 1);
  assert_int_equal(c.body_len, 50 * strlen("event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n"));
  for (int i = 0; i < 50; i++) vestry_event_unref(events[i]);
  client_close(&c);
  server_stop(&s);
}

static void an_http10_client_gets_a_body_until_the_close(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  client_connect(&c, s.port, false);
  client_say(&c, "GET /stream HTTP/1.0\r\nDatastar-Request: true\r\nConnection: keep-alive\r\n\r\n");
  assert_int_equal(client_status(&c), 200);
  assert_null(client_header(&c, "Transfer-Encoding"));
  assert_null(client_header(&c, "Content-Length"));
  assert_string_equal(client_header(&c, "Connection"), "close");
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  server_patch(connection, "{\"a\":1}");
  client_expect(&c, "{\"a\":1}");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_string_equal(c.body, "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  client_close(&c);
  client_connect(&c, s.port, false);
  client_say(&c, "GET /echo HTTP/1.0\r\n\r\n");
  client_read_all(&c);
  assert_string_equal(c.body, "nothing");
  client_close(&c);
  server_stop(&s);
}

static void a_client_may_refuse_to_be_kept(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\nConnection: close\r\n");
  assert_string_equal(client_header(&c, "Connection"), "close");
  assert_string_equal(client_header(&c, "Transfer-Encoding"), "chunked");
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection_close(witness_connection(&s.witness, 0), VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_true(c.complete);
  client_close(&c);
  server_stop(&s);
}

/* ---- requests, not well formed ----------------------------------------------------------------------------------- */

static void refuses_requests_whose_end_is_not_clear(void **state) {
  static const char *const framings[] = {
      "Content-Length: 12abc",
      "Content-Length: +5",
      "Content-Length: -5",
      "Content-Length: ",
      "Content-Length: 5, 5",
      "Content-Length: 0x5",
      "Content-Length: 99999999999999999999",
      "Content-Length: 9223372036854775807",
      "Content-Length: 5\r\nContent-Length: 6",
      "Content-Length: 5\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nContent-Length: 5",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: gzip, chunked",
      "Transfer-Encoding: identity",
  };
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n5\r\nhello\r\n0\r\n\r\n", framings[i]);
    int status = client_status(&c);
    if (status != 400 && status != 411) fail_msg("\"%s\" was answered %d", framings[i], status);
    assert_string_equal(client_header(&c, "Connection"), "close");
    while (!c.ended) client_read(&c);
    assert_null(strstr(c.text + 10, "HTTP/1.1")); /* what followed was not taken for a request */
    client_close(&c);
  }
  /* Twice the same is the same; and 1.0 has no chunks. */
  assert_int_equal(
      server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 200);
  assert_int_equal(server_status_of(&s, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
  server_stop(&s);
}

static void refuses_broken_chunks(void **state) {
  static const char *const bodies[] = {"zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
                                       "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
                                       "7fffffffffffffff\r\nhello\r\n0\r\n\r\n"};
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
    client_shut(&c);
    assert_int_equal(client_status(&c), 400);
    client_read_all(&c);
    client_close(&c);
  }
  server_assert_serves(&s);
  server_stop(&s);
}

static void refuses_heads_that_are_too_large(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  char line[1024];
  memset(line, 'x', sizeof line);
  client_connect(&c, s.port, false);
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 100; i++) {
    client_say(&c, "X-%d: ", i);
    client_send(&c, line, sizeof line);
    client_say(&c, "\r\n");
  }
  client_say(&c, "\r\n");
  while (!c.ended) client_read(&c);
  if (c.len) assert_in_range(client_status(&c), 400, 431); /* civetweb says 400; a reset may have taken it */
  client_close(&c);
  client_connect(&c, s.port, false);
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 200; i++) client_say(&c, "X-%d: y\r\n", i); /* more than civetweb has room for */
  client_say(&c, "\r\n");
  while (!c.ended) client_read(&c);
  client_close(&c);
  server_assert_serves(&s);
  server_stop(&s);
}

static void refuses_a_body_by_its_length_alone(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true, .timeout_ms = 2000});
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 1048577\r\n"); /* and no byte of it */
  assert_int_equal(client_status(&c), 413);
  assert_string_equal(client_header(&c, "Connection"), "close");
  client_close(&c);
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 100000000000000000\r\n");
  assert_int_equal(client_status(&c), 413);
  client_close(&c);
  server_assert_serves(&s);
  server_stop(&s);
}

static void a_refused_client_may_finish_sending(void **state) {
  (void)state;
  server_start(&s, NULL);
  static char body[2 << 20];
  client c;
  client_connect(&c, s.port, true);
  client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2097152\r\n\r\n");
  client_send(&c, body, sizeof body);
  assert_false(c.unsent); /* a reset could take the answer from it */
  assert_int_equal(client_status(&c), 413);
  client_read_all(&c);
  assert_true(c.complete);
  assert_false(c.reset);
  client_close(&c);
  server_stop(&s);
}

static void says_go_on_only_to_bodies_it_wants(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true});
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
  while (!c.text || !strstr(c.text, "\r\n\r\n")) client_read(&c);
  assert_string_equal(c.text, "HTTP/1.1 100 Continue\r\n\r\n");
  client_say(&c, "hello");
  assert_int_equal(client_status(&c), 200);
  client_next(&c);
  client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
  assert_int_equal(client_status(&c), 413);
  client_read_all(&c); /* closed at once: no body is waited for */
  assert_null(strstr(c.text + c.at, "100 Continue"));
  client_close(&c);
  server_stop(&s);
}

static void a_body_that_comes_too_slowly_is_408(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.keep_alive = true, .timeout_ms = 500});
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 10\r\n");
  client_say(&c, "half");
  assert_int_equal(client_status(&c), 408);
  assert_string_equal(client_header(&c, "Connection"), "close");
  client_read_all(&c);
  client_close(&c);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(head_is_get_without_a_body),
      cmocka_unit_test(other_methods_are_told_which_there_are),
      cmocka_unit_test(other_paths_are_left_to_the_server),
      cmocka_unit_test(paths_are_no_patterns),
      cmocka_unit_test(keeps_connections_only_when_told_to),
      cmocka_unit_test(answers_pipelined_requests_in_order),
      cmocka_unit_test(an_aborted_stream_ends_its_connection),
      cmocka_unit_test(a_batch_is_one_chunk),
      cmocka_unit_test(an_http10_client_gets_a_body_until_the_close),
      cmocka_unit_test(a_client_may_refuse_to_be_kept),
      cmocka_unit_test(refuses_requests_whose_end_is_not_clear),
      cmocka_unit_test(refuses_broken_chunks),
      cmocka_unit_test(refuses_heads_that_are_too_large),
      cmocka_unit_test(refuses_a_body_by_its_length_alone),
      cmocka_unit_test(a_refused_client_may_finish_sending),
      cmocka_unit_test(says_go_on_only_to_bodies_it_wants),
      cmocka_unit_test(a_body_that_comes_too_slowly_is_408),
  };
  return cmocka_run_group_tests_name("civetweb on the wire", tests, NULL, NULL);
}
