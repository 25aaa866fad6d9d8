/* SPDX-License-Identifier: MIT */
/* The wire format: methods, paths, framing, kept connections. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/app/files.h"

static vsi_server s;

static void start(void) {
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true}, NULL);
}

/* ---- methods and paths ------------------------------------------------------------------------------------------- */

static void head_is_get_without_a_body(void) {
  start();
  vsi_client c;
  vsi_client_ask(&c, s.port, "HEAD", "/echo", NULL);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  CHECK_TEXT(vsi_client_header(&c, "Content-Length"), "7");
  CHECK_TEXT(vsi_client_header(&c, "Content-Type"), "text/plain");
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  while (!c.ended) vsi_client_read(&c);
  CHECK_BYTES(strstr(c.text, "\r\n\r\n") + 4, "HTTP/1.1 200", 12); /* at once: there was no body in between */
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "HEAD", "/stream", "Datastar-Request: true\r\n"); /* no stream is opened for it */
  CHECK_EQUAL(vsi_client_status(&c), 204);
  vsi_client_close(&c);
  const vestry_stats stats = vsi_server_stats(&s);
  CHECK_EQUAL(stats.opened_count, 0);
  vsi_server_stop(&s);
}

static void unsupported_methods_get_405_and_allow(void) {
  start();
  vsi_client c;
  vsi_client_ask(&c, s.port, "DELETE", "/echo", NULL);
  CHECK_EQUAL(vsi_client_status(&c), 405);
  CHECK_TEXT(vsi_client_header(&c, "Allow"), "GET, HEAD, POST, OPTIONS");
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "OPTIONS", "/echo", NULL);
  CHECK_EQUAL(vsi_client_status(&c), 204);
  CHECK_TEXT(vsi_client_header(&c, "Allow"), "GET, HEAD, POST, OPTIONS");
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "PUT", "/echo", "Content-Length: 3\r\n");
  vsi_client_sendf(&c, "abc");
  CHECK_EQUAL(vsi_client_status(&c), 405);
  vsi_client_next(&c); /* the body was skipped, and the connection is kept */
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 200);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

static void paths_are_exact_and_decoded(void) {
  start();
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /echo2 HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /ECHO HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  CHECK_EQUAL(vsi_server_status_of(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /echo/ HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
  const bool breaks = vsi_adapter.breaks_queries;
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /%65cho?%zz HTTP/1.1\r\nHost: a\r\n\r\n"), breaks ? 400 : 200);
  CHECK_EQUAL(vsi_server_status_of(&s, "GET /echo?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
  vsi_server_stop(&s);
}

/* Paths that a proxy with rules, or another server, could read as another path. */
static void ambiguous_paths_are_refused(void) {
  static const char *const legal[] = {"/echo",  "/%65cho",   "/ech%6F",       "/echo?a=//..%00%2f",
                                      "/echo?", "/two/echo", "/two/r%C3%A4um"};
  static const char *const ambiguous[] = {
      "/echo%00",   "/echo%00x",  "/echo%00%00",  "//echo",         "/echo.",      "/echo%2e",
      "/./echo",    "/x/../echo", "/x/..%5cecho", "/x/%2e%2e/echo", "/two%2fecho", "/two%2Fecho",
      "/two//echo", "/two\\echo", "/two/./echo",  "/two%00/echo",   "/two%5cecho",
  };
  start();
  CHECK_ERROR(vestry_route(s.v, "GET", "/two/echo", vsi_server_echo, &s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/two/r\xc3\xa4um", vsi_server_echo, &s), VESTRY_OK);
  char request[256];
  for (size_t i = 0; i < sizeof legal / sizeof *legal; i++) {
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", legal[i]);
    int status = vsi_server_status_of(&s, request);
    if (status != 200) FAIL("%s was answered %d", legal[i], status);
  }
  for (size_t i = 0; i < sizeof ambiguous / sizeof *ambiguous; i++) {
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", ambiguous[i]);
    int status = vsi_server_status_of(&s, request);
    if (status != 400 && !(vsi_adapter.has_own_paths && status == 404))
      FAIL("%s was answered %d", ambiguous[i], status);
  }
  const vestry_stats stats = vsi_server_stats(&s);
  const uint64_t counted = stats.refused_by_reason[VESTRY_REFUSAL_AMBIGUOUS];
  CHECK(counted >= 1 && counted <= sizeof ambiguous / sizeof *ambiguous);
  vsi_server_stop(&s);
}

/* ---- framing ----------------------------------------------------------------------------------------------------- */

/* Check that the bytes after the head of a refused request were not treated as a request. */
static void assert_no_other_response(const vsi_client *c) {
  const size_t line_len = strcspn(c->text, "\r");
  for (const char *at = strstr(c->text + 10, "HTTP/1.1"); at; at = strstr(at + 1, "HTTP/1.1"))
    if (!vsi_adapter.refuses_itself || strncmp(at, c->text, line_len) != 0) FAIL("another answer: \"%s\"", at);
}

static bool is_refusal(int status) {
  return status == 400 || (vsi_adapter.refuses_itself && (status == 413 || status == 501));
}

static void request_of_unclear_length_is_refused(void) {
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
  start();
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n5\r\nhello\r\n0\r\n\r\n", framings[i]);
    int status = vsi_client_status(&c);
    if (!is_refusal(status) && status != 411) FAIL("\"%s\" was answered %d", framings[i], status);
    const char *connection = vsi_client_header(&c, "Connection");
    CHECK(connection ? strcmp(connection, "close") == 0 : vsi_adapter.refuses_itself);
    while (!c.ended) vsi_client_read(&c);
    assert_no_other_response(&c);
    vsi_client_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

static void contradictory_framing_is_refused(void) {
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
  start();
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_send(&c, requests[i], strlen(requests[i]));
    if (!is_refusal(vsi_client_status(&c))) FAIL("\"%s\" was answered %d", requests[i], vsi_client_status(&c));
    vsi_client_read_all(&c); /* the connection is not kept */
    vsi_client_close(&c);
    vsi_server_assert_serves(&s);
  }
  /* Two equal lengths are accepted. */
  CHECK_EQUAL(
      vsi_server_status_of(&s, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
      200);
  vsi_server_stop(&s);
}

static void malformed_chunks_are_refused(void) {
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
  /* libmicrohttpd may miss the end of a connection that comes with data: then it waits for the time-out. */
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true, .silent_ms = 2000}, NULL);
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bodies[i].body);
    vsi_client_shut(&c);
    vsi_client_read_all(&c);
    const bool may_close = vsi_adapter.closes_broken && bodies[i].breaks_off;
    if (!(may_close && !c.len) && !is_refusal(vsi_client_status(&c)))
      FAIL("\"%s\" was answered %d", bodies[i].body, vsi_client_status(&c));
    vsi_client_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

static void continue_is_sent_only_for_accepted_bodies(void) {
  start();
  vsi_client c;
  vsi_client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
  while (!c.text || !strstr(c.text, "\r\n\r\n")) vsi_client_read(&c);
  CHECK_BYTES(c.text, "HTTP/1.1 100 ", 13);
  CHECK_TEXT(strstr(c.text, "\r\n\r\n"), "\r\n\r\n");
  vsi_client_sendf(&c, "hello");
  CHECK_EQUAL(vsi_client_status(&c), 200);
  vsi_client_expect(&c, "hello");
  vsi_client_next(&c);
  vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n");
  CHECK_EQUAL(vsi_client_status(&c), 413);
  vsi_client_read_all(&c); /* closed at once, without waiting for a body */
  CHECK_NOT(strstr(c.text + c.at, "100 Continue"));
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- unfinished bodies ------------------------------------------------------------------------------------------- */

enum { TRICKLE_BYTES = 1000, TRICKLE_MS = 10 };

/* Send single bytes. Returns whether the server has stopped waiting: a response or the end came. */
static bool is_interrupted(vsi_client *c) {
  for (int i = 0; i < TRICKLE_BYTES - 1; i++) {
    vsi_client_send(c, "0", 1);
    if (c->unsent || vsi_client_wait(c, TRICKLE_MS)) return true;
  }
  return false;
}

static void start_impatient(void) {
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true, .stalled_ms = 400, .silent_ms = 1000},
                   NULL);
}

/* Single bytes, each of which is in time, do not extend the total time. */
static void trickling_body_gets_408(void) {
  static const char *const framings[] = {"Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"};
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    start_impatient();
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n%s", framings[i]);
    CHECK(is_interrupted(&c));
    vsi_client_read_all(&c);
    if (c.len || !vsi_adapter.closes_broken) {
      CHECK_EQUAL(vsi_client_status(&c), 408);
      CHECK_TEXT(vsi_client_header(&c, "Connection"), "close");
    }
    vsi_client_close(&c);
    vsi_server_assert_serves(&s);
    const vestry_stats stats = vsi_server_stats(&s);
    CHECK_EQUAL(stats.refused_by_reason[VESTRY_REFUSAL_DEADLINE], 1);
    vsi_server_stop(&s);
  }
}

/* The same after a response that did not wait for the body. */
static void rest_of_a_refused_body_times_out(void) {
  static const struct {
    const char *head;
    int status;
  } asked[] = {
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n", 413},
      {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 405},
      {"PUT /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", 405},
  };
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    start_impatient();
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "%s", asked[i].head);
    if (!vsi_adapter.closes_broken || vsi_client_wait(&c, 0)) {
      CHECK_EQUAL(vsi_client_status(&c), asked[i].status);
      vsi_client_finish(&c, false);
    }
    while (!c.ended && is_interrupted(&c)) vsi_client_read(&c);
    CHECK(c.ended || c.unsent);
    vsi_client_close(&c);
    vsi_server_assert_serves(&s);
    vsi_server_stop(&s);
  }
}

/* ---- kept connections -------------------------------------------------------------------------------------------- */

/* A handler whose response the query selects. */
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
static bool promises_more(vsi_client *c) {
  const char *connection = vsi_client_header(c, "Connection");
  return !connection || strcasecmp(connection, "close") != 0;
}

/* After the response, do as its head announces. False: the connection is closed. */
static bool goes_on(vsi_client *c) {
  bool more = promises_more(c);
  if (more)
    vsi_client_next(c);
  else
    vsi_client_read_all(c);
  return more;
}

/* Send requests of each kind on one connection while the heads promise to keep it. An unannounced end fails in
 * client_status, because there is no response. Returns the number of connections needed. */
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
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
    vsi_client_sendf(&c, "%s %s HTTP/%s\r\nHost: a\r\n%s%s", asked[i].method, asked[i].target, version, headers,
                     asked[i].rest);
    int status = vsi_client_status(&c);
    if (status != asked[i].status && !(strcmp(version, "1.0") == 0 && asked[i].status == 413))
      FAIL("%s %s was answered %d", asked[i].method, asked[i].target, status);
    if (goes_on(&c)) continue;
    vsi_client_close(&c);
    vsi_client_connect(&c, s.port, false);
    connections++;
  }
  vsi_client_close(&c);
  return connections;
}

static void heads_announce_whether_the_connection_is_kept(void) {
  for (int keep = 0; keep < 2; keep++) {
    vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = keep}, NULL);
    CHECK_ERROR(vestry_route(s.v, "GET", "/answer", answer, &s), VESTRY_OK);
    CHECK_ERROR(vestry_route(s.v, "POST", "/answer", answer, &s), VESTRY_OK);
    unsigned count = ask_on_and_on("1.1", "");
    /* besides the first: after refused requests, and those that the server refuses itself */
    if (keep) CHECK(count >= 1 && count <= 4);
    ask_on_and_on("1.1", "Connection: keep-alive\r\n");
    ask_on_and_on("1.1", "Connection: close\r\n");
    ask_on_and_on("1.1", "Connection: Keep-Alive, Upgrade\r\n");
    ask_on_and_on("1.1", "Connection: keep-alive; timeout=5\r\n");
    ask_on_and_on("1.1", "Connection: keep\r\n");
    ask_on_and_on("1.1", "Connection: close, keep-alive\r\n");
    ask_on_and_on("1.0", "");
    ask_on_and_on("1.0", "Connection: keep-alive\r\n");
    vsi_server_stop(&s);
  }
}

/* RFC 9110, 8.6: a 304 has the length that a 200 would have, or none; and it has no body, chunked or not. */
/* capability: K7 */
static void not_modified_has_no_body_and_no_other_length(void) {
  static const vestry_file table[] = {{.path = "a.txt", .bytes = "0123456789", .len = 10}, {.path = "empty.txt"}};
  vestry_files *files;
  start();
  CHECK_ERROR(vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 2}, &files), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/answer", answer, &s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/files/{path...}", vestry_files_handler, files), VESTRY_OK);
  static const char *const methods[] = {"GET", "HEAD"}, *const versions[] = {"1.0", "1.1"};
  for (size_t i = 0; i < 4; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    const char *method = methods[i % 2], *version = versions[i / 2];
    for (int again = 0; again < 2; again++) { /* the connection is kept */
      vsi_client_sendf(&c, "%s /files/a.txt HTTP/%s\r\nHost: a\r\nConnection: keep-alive\r\nIf-None-Match: *\r\n\r\n",
                       method, version);
      CHECK_EQUAL(vsi_client_status(&c), 304);
      CHECK_TEXT(vsi_client_header(&c, "Content-Length"), "10");
      CHECK_NOT(vsi_client_header(&c, "Transfer-Encoding"));
      CHECK(promises_more(&c) || strcmp(version, "1.0") == 0);
      if (goes_on(&c)) continue;
      vsi_client_close(&c);
      vsi_client_connect(&c, s.port, false);
    }
    vsi_client_sendf(&c, "%s /files/empty.txt HTTP/%s\r\nHost: a\r\nIf-None-Match: *\r\n\r\n", method, version);
    CHECK_EQUAL(vsi_client_status(&c), 304);
    CHECK_TEXT(vsi_client_header(&c, "Content-Length"), "0");
    if (!goes_on(&c)) {
      vsi_client_close(&c);
      vsi_client_connect(&c, s.port, false);
    }
    vsi_client_sendf(&c, "%s /answer?304 HTTP/%s\r\nHost: a\r\n\r\n", method, version);
    CHECK_EQUAL(vsi_client_status(&c), 304);
    CHECK_NOT(vsi_client_header(&c, "Content-Length"));
    CHECK_NOT(vsi_client_header(&c, "Transfer-Encoding"));
    if (goes_on(&c)) {
      vsi_client_sendf(&c, "GET /answer?200 HTTP/1.1\r\nHost: a\r\n\r\n");
      CHECK_EQUAL(vsi_client_status(&c), 200);
    } else {
      CHECK_TEXT(strstr(c.text + c.at, "\r\n\r\n"), "\r\n\r\n"); /* and no byte after it */
    }
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
  vestry_files_destroy(files);
}

/* Bodies whose length is unknown before their end, with and without trailers. */
static void heads_after_chunked_bodies_announce_the_connection(void) {
  static const char *const bodies[] = {
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
  };
  start();
  for (size_t i = 0; i < 2 * sizeof bodies / sizeof *bodies; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    for (int turn = 0; turn < 3; turn++) {
      vsi_client_sendf(&c, "%s /echo HTTP/1.1\r\nHost: a\r\n%s", i % 2 ? "PUT" : "POST", bodies[i / 2]);
      CHECK_EQUAL(vsi_client_status(&c), i % 2 ? 405 : 200);
      if (goes_on(&c)) continue;
      vsi_client_close(&c);
      vsi_client_connect(&c, s.port, false);
    }
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
}

/* A stream that ends cleanly, and a further request on the connection if the head promises to keep it. */
static void heads_of_streams_announce_the_connection(void) {
  for (int keeps = 0; keeps < 2; keeps++) {
    vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = keeps}, NULL);
    vsi_client c;
    vestry_connection *connection = vsi_server_open(&s, &c);
    const char *says = vsi_client_header(&c, "Connection");
    bool closes = says && strcasecmp(says, "close") == 0;
    CHECK(closes || !vsi_adapter.closes_streams);
    vsi_server_patch(connection, "{\"a\":1}");
    vsi_client_expect(&c, "{\"a\":1}\n\n");
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    vsi_client_finish(&c, false);
    CHECK(c.complete);
    if (goes_on(&c)) {
      vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
      vsi_client_expect(&c, "nothing");
    } else {
      CHECK(c.complete && !c.reset);
    }
    vsi_client_close(&c);
    vsi_server_stop(&s);
  }
}

static void streams_until_the_close(const char *headers) {
  start();
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "GET /stream HTTP/1.0\r\nDatastar-Request: true\r\n%s\r\n", headers);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  CHECK_NOT(vsi_client_header(&c, "Transfer-Encoding"));
  CHECK_NOT(vsi_client_header(&c, "Content-Length"));
  CHECK_TEXT(vsi_client_header(&c, "Connection"), "close");
  CHECK(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  vsi_server_patch(connection, "{\"a\":1}");
  vsi_client_expect(&c, "{\"a\":1}\n\n");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  CHECK_TEXT(c.body, "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  vsi_client_close(&c);
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "GET /echo HTTP/1.0\r\n\r\n");
  vsi_client_read_all(&c);
  CHECK_TEXT(c.body, "nothing");
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

static void http10_client_gets_a_stream_until_the_close(void) {
  streams_until_the_close("");
  streams_until_the_close("Connection: keep-alive\r\n");
}

static const vsi_case cases[] = {
    VSI_CASE(head_is_get_without_a_body, VSI_RULE_HEAD_METHOD, NULL),
    VSI_CASE(unsupported_methods_get_405_and_allow, VSI_RULE_METHODS, NULL),
    VSI_CASE(paths_are_exact_and_decoded, VSI_RULE_TARGET, "breaks_queries"),
    VSI_CASE(ambiguous_paths_are_refused, VSI_RULE_TARGET, "has_own_paths"),
    VSI_CASE(request_of_unclear_length_is_refused, VSI_RULE_LENGTH, "refuses_itself"),
    VSI_CASE(contradictory_framing_is_refused, VSI_RULE_LENGTH, "refuses_itself"),
    VSI_CASE(malformed_chunks_are_refused, VSI_RULE_CHUNKS, "closes_broken, refuses_itself"),
    VSI_CASE(continue_is_sent_only_for_accepted_bodies, VSI_RULE_CONTINUE, NULL),
    VSI_CASE(trickling_body_gets_408, VSI_RULE_BODY_TIME, "closes_broken"),
    VSI_CASE(rest_of_a_refused_body_times_out, VSI_RULE_REST_TIME, "closes_broken"),
    VSI_CASE(heads_announce_whether_the_connection_is_kept, VSI_RULE_KEEP, NULL),
    VSI_CASE(not_modified_has_no_body_and_no_other_length, VSI_RULE_NO_BODY, NULL),
    VSI_CASE(heads_after_chunked_bodies_announce_the_connection, VSI_RULE_KEEP, NULL),
    VSI_CASE_TLS(heads_of_streams_announce_the_connection, VSI_RULE_KEEP, "closes_streams"),
    VSI_CASE(http10_client_gets_a_stream_until_the_close, VSI_RULE_HTTP10, NULL),
};

const vsi_suite vsi_wire_suite = VSI_SUITE("wire", cases);
