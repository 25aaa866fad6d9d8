/* SPDX-License-Identifier: MIT */
#include "web/wire_contract.h"

#include <stdlib.h>
#include <strings.h>

#include "support/test.h"
#include "vestry/app/files.h"
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
  client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  while (!c.ended) client_read(&c);
  assert_memory_equal(strstr(c.text, "\r\n\r\n") + 4, "HTTP/1.1 200", 12); /* at once: there was no body in between */
  client_close(&c);
  client_ask(&c, s.port, "HEAD", "/stream", "Datastar-Request: true\r\n"); /* no stream is opened for it */
  assert_int_equal(client_status(&c), 204);
  client_close(&c);
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.opened_count, 0);
  server_stop(&s);
}

static void unsupported_methods_get_405_and_allow(void **state) {
  (void)state;
  start();
  client c;
  client_ask(&c, s.port, "DELETE", "/echo", NULL);
  assert_int_equal(client_status(&c), 405);
  assert_string_equal(client_header(&c, "Allow"), "GET, HEAD, POST, OPTIONS");
  client_close(&c);
  client_ask(&c, s.port, "OPTIONS", "/echo", NULL);
  assert_int_equal(client_status(&c), 204);
  assert_string_equal(client_header(&c, "Allow"), "GET, HEAD, POST, OPTIONS");
  client_close(&c);
  client_ask(&c, s.port, "PUT", "/echo", "Content-Length: 3\r\n");
  client_sendf(&c, "abc");
  assert_int_equal(client_status(&c), 405);
  client_next(&c); /* the body was skipped, and the connection is kept */
  client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
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
  const bool breaks = seam->breaks_queries && seam->breaks_queries();
  assert_int_equal(server_status_of(&s, "GET /%65cho?%zz HTTP/1.1\r\nHost: a\r\n\r\n"), breaks ? 400 : 200);
  assert_int_equal(server_status_of(&s, "GET /echo?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  server_stop(&s);
}

/* Paths that a proxy with rules, or another server, could read as another path. */
static void ambiguous_paths_are_refused(void **state) {
  static const char *const legal[] = {"/echo",  "/%65cho",   "/ech%6F",       "/echo?a=//..%00%2f",
                                      "/echo?", "/two/echo", "/two/r%C3%A4um"};
  static const char *const ambiguous[] = {
      "/echo%00",   "/echo%00x",  "/echo%00%00",  "//echo",         "/echo.",      "/echo%2e",
      "/./echo",    "/x/../echo", "/x/..%5cecho", "/x/%2e%2e/echo", "/two%2fecho", "/two%2Fecho",
      "/two//echo", "/two\\echo", "/two/./echo",  "/two%00/echo",   "/two%5cecho",
  };
  (void)state;
  start();
  assert_int_equal(vestry_route(s.v, "GET", "/two/echo", server_echo, &s), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "GET", "/two/r\xc3\xa4um", server_echo, &s), VESTRY_OK);
  char request[256];
  for (size_t i = 0; i < sizeof legal / sizeof *legal; i++) {
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", legal[i]);
    int status = server_status_of(&s, request);
    if (status != 200) fail_msg("%s was answered %d", legal[i], status);
  }
  for (size_t i = 0; i < sizeof ambiguous / sizeof *ambiguous; i++) {
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", ambiguous[i]);
    int status = server_status_of(&s, request);
    if (status != 400 && !(seam->has_own_paths && status == 404)) fail_msg("%s was answered %d", ambiguous[i], status);
  }
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_in_range(stats.refused_by_reason[VESTRY_REFUSAL_AMBIGUOUS], 1, sizeof ambiguous / sizeof *ambiguous);
  server_stop(&s);
}

/* ---- framing ----------------------------------------------------------------------------------------------------- */

/* Check that the bytes after the head of a refused request were not treated as a request. */
static void assert_no_other_answer(const client *c) {
  const size_t line_len = strcspn(c->text, "\r");
  for (const char *at = strstr(c->text + 10, "HTTP/1.1"); at; at = strstr(at + 1, "HTTP/1.1"))
    if (!seam->refuses_itself || strncmp(at, c->text, line_len) != 0) fail_msg("another answer: \"%s\"", at);
}

static void request_of_unclear_length_is_refused(void **state) {
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
    client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n5\r\nhello\r\n0\r\n\r\n", framings[i]);
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

static void contradictory_framing_is_refused(void **state) {
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
    client_read_all(&c); /* the connection is not kept */
    client_close(&c);
    server_assert_serves(&s);
  }
  /* Two equal lengths are accepted. */
  assert_int_equal(
      server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), 200);
  server_stop(&s);
}

static void malformed_chunks_are_refused(void **state) {
  static const struct {
    const char *body;
    bool breaks_off; /* as far as the server can see */
  } bodies[] = {
      {"zz\r\nhello\r\n0\r\n\r\n", false},
      {"5\r\nhelloXX0\r\n\r\n", false},
      {"-5\r\nhello\r\n0\r\n\r\n", false},
      {"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", true},
      {"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", true},
  };
  (void)state;
  /* libmicrohttpd may miss the end of a connection that comes with data: then it waits for the time-out. */
  seam->start(&s, &(web_settings){.keep_alive = true, .silent_s = 2});
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    client c;
    client_connect(&c, s.port, false);
    client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i].body);
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

static void continue_is_sent_only_for_accepted_bodies(void **state) {
  (void)state;
  start();
  client c;
  client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
  while (!c.text || !strstr(c.text, "\r\n\r\n")) client_read(&c);
  assert_string_equal(c.text, "HTTP/1.1 100 Continue\r\n\r\n");
  client_sendf(&c, "hello");
  assert_int_equal(client_status(&c), 200);
  client_expect(&c, "hello");
  client_next(&c);
  client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
  assert_int_equal(client_status(&c), 413);
  client_read_all(&c); /* closed at once, without waiting for a body */
  assert_null(strstr(c.text + c.at, "100 Continue"));
  client_close(&c);
  server_stop(&s);
}

/* ---- unfinished bodies ------------------------------------------------------------------------------------------- */

enum { TRICKLE_BYTES = 1000, TRICKLE_MS = 10 };

/* Send single bytes. Returns whether the server has stopped waiting: an answer or the end came. */
static bool is_interrupted(client *c) {
  for (int i = 0; i < TRICKLE_BYTES - 1; i++) {
    client_send(c, "0", 1);
    if (c->unsent || client_wait(c, TRICKLE_MS)) return true;
  }
  return false;
}

static void start_impatient(void) {
  seam->start(&s, &(web_settings){.keep_alive = true, .stalled_ms = 400, .silent_s = 1});
}

/* Single bytes, each of which is in time, do not extend the total time. */
static void trickling_body_gets_408(void **state) {
  static const char *const framings[] = {"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"};
  (void)state;
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    start_impatient();
    client c;
    client_connect(&c, s.port, false);
    client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s", framings[i]);
    assert_true(is_interrupted(&c));
    client_read_all(&c);
    if (c.len || !seam->closes_broken) {
      assert_int_equal(client_status(&c), 408);
      assert_string_equal(client_header(&c, "Connection"), "close");
    }
    client_close(&c);
    server_assert_serves(&s);
    vestry_stats stats = {0};
    vestry_stats_get(s.v, &stats);
    assert_int_equal(stats.refused_by_reason[VESTRY_REFUSAL_DEADLINE], 1);
    server_stop(&s);
  }
}

/* The same after an answer that did not wait for the body. */
static void rest_of_a_refused_body_times_out(void **state) {
  static const struct {
    const char *head;
    int status;
  } asked[] = {
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n", 413},
      {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 405},
      {"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", 405},
  };
  (void)state;
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    start_impatient();
    client c;
    client_connect(&c, s.port, false);
    client_sendf(&c, "%s", asked[i].head);
    if (!seam->closes_broken || client_wait(&c, 0)) {
      assert_int_equal(client_status(&c), asked[i].status);
      client_finish(&c, false);
    }
    while (!c.ended && is_interrupted(&c)) client_read(&c);
    assert_true(c.ended || c.unsent);
    client_close(&c);
    server_assert_serves(&s);
    server_stop(&s);
  }
}

/* ---- kept connections -------------------------------------------------------------------------------------------- */

/* A handler whose answer the query selects. */
static vestry_err answer(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  switch (strtol(req->query, NULL, 10)) {
  case 200: return vestry_reply_body(reply, "text/plain", "two hundred", 11);
  case 204: return vestry_reply_status(reply, 204);
  case 205: return vestry_reply_status(reply, 205);
  case 304: return vestry_reply_status(reply, 304);
  case 400: return VESTRY_MALFORMED;
  case 404: return VESTRY_NOT_FOUND;
  case 409: return VESTRY_EXISTS;
  case 413: return VESTRY_TOO_LARGE;
  case 503: return VESTRY_LIMIT;
  default: return VESTRY_IO; /* 500 */
  }
}

/* Whether the head promises to keep the connection. */
static bool promises_more(client *c) {
  const char *connection = client_header(c, "Connection");
  return !connection || strcasecmp(connection, "close") != 0;
}

/* After the answer, do as its head announces. False: the connection is closed. */
static bool goes_on(client *c) {
  bool more = promises_more(c);
  if (more)
    client_next(c);
  else
    client_read_all(c);
  return more;
}

/* Send requests of each kind on one connection while the heads promise to keep it. An unannounced end fails in
 * client_status, because there is no answer. Returns the number of connections needed. */
static unsigned ask_on_and_on(const char *version, const char *headers) {
  static const struct {
    const char *method, *target, *rest;
    int status;
  } asked[] = {
      {"GET", "/answer?200", "\r\n", 200},
      {"GET", "/answer?204", "\r\n", 204},
      {"POST", "/answer?204", "Content-Length: 2\r\n\r\n{}", 204},
      {"POST", "/answer?204", "Datastar-Request: true\r\nContent-Length: 2\r\n\r\n{}", 204},
      {"GET", "/answer?205", "\r\n", 205},
      {"GET", "/answer?304", "\r\n", 304},
      {"GET", "/answer?400", "\r\n", 400},
      {"GET", "/answer?404", "\r\n", 404},
      {"GET", "/nowhere", "\r\n", 404},
      {"DELETE", "/answer", "\r\n", 405},
      {"PUT", "/echo", "Content-Length: 4\r\n\r\nskip", 405},
      {"GET", "/answer?409", "\r\n", 409},
      {"GET", "/answer?413", "\r\n", 413},
      {"POST", "/echo", "Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", 413},
      {"GET", "/answer?500", "\r\n", 500},
      {"GET", "/answer?503", "\r\n", 503},
      {"POST", "/echo", "Content-Length: 5\r\n\r\nhello", 200},
      {"POST", "/echo", "Content-Length: 5x\r\n\r\nhello", 400},
      {"GET", "/answer?200", "Upgrade: h2c\r\n\r\n", 200},
      {"GET", "/answer?204", "\r\n", 204},
  };
  unsigned connections = 1;
  client c;
  client_connect(&c, s.port, false);
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    client_sendf(&c, "%s %s HTTP/%s\r\nHost: a\r\n%s%s", asked[i].method, asked[i].target, version, headers,
                 asked[i].rest);
    int status = client_status(&c);
    if (status != asked[i].status && !(strcmp(version, "1.0") == 0 && asked[i].status == 413))
      fail_msg("%s %s was answered %d", asked[i].method, asked[i].target, status);
    if (goes_on(&c)) continue;
    client_close(&c);
    client_connect(&c, s.port, false);
    connections++;
  }
  client_close(&c);
  return connections;
}

static void heads_announce_whether_the_connection_is_kept(void **state) {
  (void)state;
  for (int keep = 0; keep < 2; keep++) {
    seam->start(&s, &(web_settings){.keep_alive = keep});
    assert_int_equal(vestry_route(s.v, "GET", "/answer", answer, &s), VESTRY_OK);
    assert_int_equal(vestry_route(s.v, "POST", "/answer", answer, &s), VESTRY_OK);
    unsigned count = ask_on_and_on("1.1", "");
    /* besides the first: after refused requests, and those that the server refuses itself */
    if (keep) assert_in_range(count, 1, 4);
    ask_on_and_on("1.1", "Connection: keep-alive\r\n");
    ask_on_and_on("1.1", "Connection: close\r\n");
    ask_on_and_on("1.1", "Connection: Keep-Alive, Upgrade\r\n");
    ask_on_and_on("1.1", "Connection: keep-alive; timeout=5\r\n");
    ask_on_and_on("1.1", "Connection: keep\r\n");
    ask_on_and_on("1.1", "Connection: close, keep-alive\r\n");
    ask_on_and_on("1.0", "");
    ask_on_and_on("1.0", "Connection: keep-alive\r\n");
    server_stop(&s);
  }
}

/* RFC 9110, 8.6: a 304 has the length that a 200 would have, or none; and it has no body, chunked or not. */
/* capability: K7 */
static void not_modified_has_no_body_and_no_other_length(void **state) {
  (void)state;
  static const vestry_file table[] = {{.path = "a.txt", .bytes = "0123456789", .len = 10}, {.path = "empty.txt"}};
  vestry_files *files;
  start();
  assert_int_equal(vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 2}, &files),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "GET", "/answer", answer, &s), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "GET", "/files/{path...}", vestry_files_handler, files), VESTRY_OK);
  static const char *const methods[] = {"GET", "HEAD"}, *const versions[] = {"1.0", "1.1"};
  for (size_t i = 0; i < 4; i++) {
    client c;
    client_connect(&c, s.port, false);
    const char *method = methods[i % 2], *version = versions[i / 2];
    for (int again = 0; again < 2; again++) { /* the connection is kept */
      client_sendf(&c, "%s /files/a.txt HTTP/%s\r\nHost: a\r\nConnection: keep-alive\r\nIf-None-Match: *\r\n\r\n",
                   method, version);
      assert_int_equal(client_status(&c), 304);
      assert_string_equal(client_header(&c, "Content-Length"), "10");
      assert_null(client_header(&c, "Transfer-Encoding"));
      assert_true(promises_more(&c));
      client_next(&c);
    }
    client_sendf(&c, "%s /files/empty.txt HTTP/%s\r\nHost: a\r\nIf-None-Match: *\r\n\r\n", method, version);
    assert_int_equal(client_status(&c), 304);
    assert_string_equal(client_header(&c, "Content-Length"), "0");
    if (!goes_on(&c)) {
      client_close(&c);
      client_connect(&c, s.port, false);
    }
    client_sendf(&c, "%s /answer?304 HTTP/%s\r\nHost: a\r\n\r\n", method, version);
    assert_int_equal(client_status(&c), 304);
    assert_null(client_header(&c, "Content-Length"));
    assert_null(client_header(&c, "Transfer-Encoding"));
    if (goes_on(&c)) {
      client_sendf(&c, "GET /answer?200 HTTP/1.1\r\nHost: a\r\n\r\n");
      assert_int_equal(client_status(&c), 200);
    } else {
      assert_string_equal(strstr(c.text + c.at, "\r\n\r\n"), "\r\n\r\n"); /* and no byte after it */
    }
    client_close(&c);
  }
  server_stop(&s);
  vestry_files_destroy(files);
}

/* Bodies whose length is unknown before their end, with and without trailers. */
static void heads_after_chunked_bodies_announce_the_connection(void **state) {
  static const char *const bodies[] = {
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
  };
  (void)state;
  start();
  for (size_t i = 0; i < 2 * sizeof bodies / sizeof *bodies; i++) {
    client c;
    client_connect(&c, s.port, false);
    for (int turn = 0; turn < 3; turn++) {
      client_sendf(&c, "%s /echo HTTP/1.1\r\nHost: a\r\n%s", i % 2 ? "PUT" : "POST", bodies[i / 2]);
      assert_int_equal(client_status(&c), i % 2 ? 405 : 200);
      if (goes_on(&c)) continue;
      client_close(&c);
      client_connect(&c, s.port, false);
    }
    client_close(&c);
  }
  server_stop(&s);
}

/* A stream that ends cleanly, and a further request on the connection if the head promises to keep it. */
static void heads_of_streams_announce_the_connection(void **state) {
  (void)state;
  for (int run = 0; run < 4; run++) {
    bool tls = run / 2;
    if (tls && !seam->has_tls) break;
    seam->start(&s, &(web_settings){.keep_alive = run % 2, .tls = tls});
    client c;
    vestry_connection *connection = server_open(&s, &c);
    const char *says = client_header(&c, "Connection");
    bool closes = says && strcasecmp(says, "close") == 0;
    assert_true(closes || !seam->closes_streams);
    server_patch(connection, "{\"a\":1}");
    client_expect(&c, "{\"a\":1}\n\n");
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    client_finish(&c, false);
    assert_true(c.complete);
    if (goes_on(&c)) {
      client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
      client_expect(&c, "nothing");
    } else {
      assert_true(c.complete && !c.reset);
    }
    client_close(&c);
    server_stop(&s);
  }
}

static void streams_until_the_close(const char *headers) {
  start();
  client c;
  client_connect(&c, s.port, false);
  client_sendf(&c, "GET /stream HTTP/1.0\r\nDatastar-Request: true\r\n%s\r\n", headers);
  assert_int_equal(client_status(&c), 200);
  assert_null(client_header(&c, "Transfer-Encoding"));
  assert_null(client_header(&c, "Content-Length"));
  assert_string_equal(client_header(&c, "Connection"), "close");
  assert_true(recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = recorder_connection(&s.recorder, 0);
  server_patch(connection, "{\"a\":1}");
  client_expect(&c, "{\"a\":1}\n\n");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_string_equal(c.body, "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  client_close(&c);
  client_connect(&c, s.port, false);
  client_sendf(&c, "GET /echo HTTP/1.0\r\n\r\n");
  client_read_all(&c);
  assert_string_equal(c.body, "nothing");
  client_close(&c);
  server_stop(&s);
}

static void http10_client_gets_a_stream_until_the_close(void **state) {
  (void)state;
  streams_until_the_close("");
  streams_until_the_close("Connection: keep-alive\r\n");
}

int wire_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(head_is_get_without_a_body),
      cmocka_unit_test(unsupported_methods_get_405_and_allow),
      cmocka_unit_test(paths_are_exact_and_decoded),
      cmocka_unit_test(ambiguous_paths_are_refused),
      cmocka_unit_test(request_of_unclear_length_is_refused),
      cmocka_unit_test(contradictory_framing_is_refused),
      cmocka_unit_test(malformed_chunks_are_refused),
      cmocka_unit_test(continue_is_sent_only_for_accepted_bodies),
      cmocka_unit_test(trickling_body_gets_408),
      cmocka_unit_test(rest_of_a_refused_body_times_out),
      cmocka_unit_test(heads_announce_whether_the_connection_is_kept),
      cmocka_unit_test(not_modified_has_no_body_and_no_other_length),
      cmocka_unit_test(heads_after_chunked_bodies_announce_the_connection),
      cmocka_unit_test(heads_of_streams_announce_the_connection),
      cmocka_unit_test(http10_client_gets_a_stream_until_the_close),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, on the wire", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
