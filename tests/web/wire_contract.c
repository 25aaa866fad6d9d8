#include "web/wire_contract.h"

#include "support/test.h"
#include "web/client.h"

static const server_seam *seam;
static server s;

static void start(void) {
  seam->start(&s, &(web_settings){.keep_alive = true});
}

/* ---- methods and paths ------------------------------------------------------------------------------------------- */

static void head_is_get_without_a_body(void **state) {
  (void)state;
  start();
  client c;
  client_ask(&c, s.port, "HEAD", "/echo", NULL);
  assert_int_equal(client_status(&c), 200);
  assert_string_equal(client_header(&c, "Content-Length"), "7");
  assert_string_equal(client_header(&c, "Content-Type"), "text/plain");
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  while (!c.ended) client_read(&c);
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

static void other_methods_are_told_which_there_are(void **state) {
  (void)state;
  start();
  client c;
  client_ask(&c, s.port, "DELETE", "/echo", NULL);
  assert_int_equal(client_status(&c), 405);
  assert_string_equal(client_header(&c, "Allow"), "POST, GET, HEAD");
  assert_string_equal(client_header(&c, "Content-Length"), "0");
  client_close(&c);
  client_ask(&c, s.port, "PUT", "/echo", "Content-Length: 3\r\n");
  client_say(&c, "abc");
  assert_int_equal(client_status(&c), 405);
  client_next(&c); /* the body was passed over, and the connection is kept */
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  assert_int_equal(client_status(&c), 200);
  client_close(&c);
  server_stop(&s);
}

static void paths_are_exact_and_decoded(void **state) {
  (void)state;
  start();
  assert_int_equal(server_status_of(&s, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /echo2 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /ECHO HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /echo/ HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  assert_int_equal(server_status_of(&s, "GET /%65cho?%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  assert_int_equal(server_status_of(&s, "GET /echo?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  server_stop(&s);
}

/* ---- framing ----------------------------------------------------------------------------------------------------- */

/* What followed the head of a refused request was not taken for a request. */
static void assert_no_other_answer(const client *c) {
  const size_t line_len = strcspn(c->text, "\r");
  for (const char *at = strstr(c->text + 10, "HTTP/1.1"); at; at = strstr(at + 1, "HTTP/1.1"))
    if (!seam->refuses_itself || strncmp(at, c->text, line_len) != 0) fail_msg("another answer: \"%s\"", at);
}

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
  start();
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n5\r\nhello\r\n0\r\n\r\n", framings[i]);
    int status = client_status(&c);
    if (status != 400 && status != 411 && !(seam->refuses_itself && status == 413))
      fail_msg("\"%s\" was answered %d", framings[i], status);
    assert_string_equal(client_header(&c, "Connection"), "close");
    while (!c.ended) client_read(&c);
    assert_no_other_answer(&c);
    client_close(&c);
  }
  server_assert_serves(&s);
  server_stop(&s);
}

static void refuses_unclear_framing(void **state) {
  static const char *const requests[] = {
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
      "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3x\r\n\r\nabc",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
      "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  };
  (void)state;
  start();
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_send(&c, requests[i], strlen(requests[i]));
    assert_int_equal(client_status(&c), 400);
    client_read_all(&c); /* the connection does not go on */
    client_close(&c);
    server_assert_serves(&s);
  }
  /* Twice the same is the same. */
  assert_int_equal(
      server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 200);
  server_stop(&s);
}

static void refuses_broken_chunks(void **state) {
  static const struct {
    const char *body;
    bool breaks_off; /* for all that is known */
  } bodies[] = {
      {"zz\r\nhello\r\n0\r\n\r\n", false},
      {"5\r\nhelloXX0\r\n\r\n", false},
      {"-5\r\nhello\r\n0\r\n\r\n", false},
      {"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", true},
      {"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", true},
  };
  (void)state;
  /* libmicrohttpd may overlook an end that came with data: then it waits for the time-out. */
  seam->start(&s, &(web_settings){.keep_alive = true, .silent_s = 2});
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i].body);
    client_shut(&c);
    client_read_all(&c);
    if (seam->closes_broken && bodies[i].breaks_off)
      assert_int_equal(c.len, 0);
    else
      assert_int_equal(client_status(&c), 400);
    client_close(&c);
  }
  server_assert_serves(&s);
  server_stop(&s);
}

static void says_go_on_only_to_bodies_it_wants(void **state) {
  (void)state;
  start();
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
  while (!c.text || !strstr(c.text, "\r\n\r\n")) client_read(&c);
  assert_string_equal(c.text, "HTTP/1.1 100 Continue\r\n\r\n");
  client_say(&c, "hello");
  assert_int_equal(client_status(&c), 200);
  client_expect(&c, "hello");
  client_next(&c);
  client_say(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
  assert_int_equal(client_status(&c), 413);
  client_read_all(&c); /* closed at once: no body is waited for */
  assert_null(strstr(c.text + c.at, "100 Continue"));
  client_close(&c);
  server_stop(&s);
}

/* ---- connections, kept and not ----------------------------------------------------------------------------------- */

static void a_clean_end_leaves_the_connection_usable(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) {
    seam->start(&s, &(web_settings){.keep_alive = true, .tls = tls});
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

static void streams_until_the_close(const char *headers) {
  start();
  client c;
  client_connect(&c, s.port, false);
  client_say(&c, "GET /stream HTTP/1.0\r\nDatastar-Request: true\r\n%s\r\n", headers);
  assert_int_equal(client_status(&c), 200);
  assert_null(client_header(&c, "Transfer-Encoding"));
  assert_null(client_header(&c, "Content-Length"));
  assert_string_equal(client_header(&c, "Connection"), "close");
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  server_patch(connection, "{\"a\":1}");
  client_expect(&c, "{\"a\":1}\n\n");
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

static void an_http10_client_gets_a_body_until_the_close(void **state) {
  (void)state;
  streams_until_the_close("");
  streams_until_the_close("Connection: keep-alive\r\n");
}

int wire_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(head_is_get_without_a_body),
      cmocka_unit_test(other_methods_are_told_which_there_are),
      cmocka_unit_test(paths_are_exact_and_decoded),
      cmocka_unit_test(refuses_requests_whose_end_is_not_clear),
      cmocka_unit_test(refuses_unclear_framing),
      cmocka_unit_test(refuses_broken_chunks),
      cmocka_unit_test(says_go_on_only_to_bodies_it_wants),
      cmocka_unit_test(a_clean_end_leaves_the_connection_usable),
      cmocka_unit_test(an_http10_client_gets_a_body_until_the_close),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, on the wire", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
