/* SPDX-License-Identifier: MIT */
/* Requests that parsers could read in two ways: every web server must refuse them. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"

static vsi_server s;

static void start(void) {
  vsi_server_start(&s, &(vestry_contract_settings){.keeps_connections = true}, NULL);
}

/* Find a second status line; an error page may contain its version. */
static const char *second_response(const char *text) {
  const char *at = text + 10;
  while ((at = strstr(at, "HTTP/1.1 ")) != NULL && (at[9] < '1' || at[9] > '5')) at += 9;
  return at;
}

/* Expect one response, a 400, and the end of the connection. */
static void assert_refused(const char *text, size_t len) {
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_send(&c, text, len);
  int status = vsi_client_status(&c);
  if (status != 400) FAIL("\"%s\" was answered %d", text, status);
  vsi_client_read_all(&c);
  const char *second = second_response(c.text);
  if (second && !(vsi_adapter.refuses_itself && strncmp(second, c.text, 12) == 0))
    FAIL("\"%s\" was taken for two requests", text);
  vsi_client_close(&c);
}

/* Each head is followed by bytes that would be a second request for a parser that reads the first one differently. */
static void ambiguous_heads_get_400(void) {
  static const struct {
    const char *lines;
    size_t len; /* 0: terminated */
  } heads[] = {
      {"Host: a\r\nTransfer-Encoding : chunked\r\n", 0},
      {"Host: a\r\nTransfer-Encoding\t: chunked\r\n", 0},
      {"Host: a\r\nTransfer-Enc: chunked\r\n oding\r\n", 0},
      {"Host: a\r\nTransfer-Encoding: chunked\r\n x\r\n", 0},
      {"Host: a\r\nX: 1\r\n 2\r\n", 0},
      {"Host: a\r\nX: 1\r\n\t2\r\nY: 3\r\n", 0},
      {"Host: a\r\nX: 1\r\n \r\nY: 3\r\n", 0},
      {"Host: a\r\n: v\r\nX: y\r\n", 0},
      {"Host: a\r\n: v\r\nContent-Length: 20\r\n", 0},
      {"Host: a\r\nX: y\r\n Content-Length: 20\r\n", 0},
      {"Host: a\r\nX: y\r\n\xc3: z\r\nContent-Length: 20\r\n", 0},
      {" Host: a\r\nContent-Length: 20\r\n", 0},
      {"Host: a\r\n:\r\nX: y\r\n", 0},
      {"Host: a\r\n:\r\n", 0},
      {"Host: a\r\n:v\r\n", 0},
      {": v\r\nHost: a\r\n", 0},
      {"Host: a\r\nX Y: z\r\n", 0},
      {"Host: a\r\nX\0: z\r\n", 15},
      {"Host: a\r\nX: y\0z\r\n", 17},
      {"Host: a\r\nX: y\rz\r\n", 0},
      {"Host: a\r\nX: \x01\r\n", 0},
      {"Host: a\r\nno colon\r\n", 0},
      {"Host: a\r\nHost: b\r\n", 0},
      {"Host: a, b\r\n", 0},
      {"Host : a\r\n", 0},
      {"X: y\r\n", 0},
      {"", 0},
  };
  start();
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    char text[512];
    static const char first[] = "POST /echo HTTP/1.1\r\n", behind[] = "\r\n5\r\nhello\r\n0\r\n\r\n";
    static const char second[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t at = 0, len = heads[i].len ? heads[i].len : strlen(heads[i].lines);
    if (vsi_adapter.joins_folds && (strstr(heads[i].lines, "\n ") || strstr(heads[i].lines, "\n\t"))) continue;
    if (vsi_adapter.cuts_at_nul && memchr(heads[i].lines, '\0', len)) continue;
    memcpy(text, first, sizeof first - 1), at += sizeof first - 1;
    memcpy(text + at, heads[i].lines, len), at += len;
    memcpy(text + at, behind, sizeof behind - 1), at += sizeof behind - 1;
    memcpy(text + at, second, sizeof second), at += sizeof second - 1;
    assert_refused(text, at);
  }
  vsi_server_assert_serves(&s);
  /* a server may refuse some of them itself, or most */
  CHECK(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_AMBIGUOUS] >= (vsi_adapter.refuses_most ? 1 : 12));
  vsi_server_stop(&s);
}

/* A head whose last lines may exceed the server's room for headers; they determine where the body ends. */
static void headers_over_the_servers_room_are_not_skipped(void) {
  start();
  for (int count = 60; count < 70; count++) {
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < count; i++) len += (size_t)snprintf(text + len, sizeof text - len, "X%d: y\r\n", i);
    static const char hidden[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    len += (size_t)snprintf(text + len, sizeof text - len, "Content-Length: %zu\r\n\r\n%s", sizeof hidden - 1, hidden);
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_send(&c, text, len);
    int status = vsi_client_status(&c);
    if (status == 200) vsi_client_sendf(&c, "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    vsi_client_read_all(&c);
    /* Either all headers were read, and the body was a body, or the request was refused. */
    if (status != 200 && status != 400 && status != 431) FAIL("%d headers were answered %d", count + 1, status);
    const char *second = strstr(c.text + 10, "HTTP/1.1 200");
    if (second) FAIL("the body behind %d headers was taken for a request", count + 1);
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
}

/* 0: the server closed without a response. */
static int ask_for(const char *target) {
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target);
  vsi_client_read_all(&c);
  int status = c.len ? vsi_client_status(&c) : 0;
  vsi_client_close(&c);
  vsi_server_assert_serves(&s);
  return status;
}

static void ambiguous_targets_are_refused(void) {
  static const char *const refused[] = {
      "/echo%00",  "/echo%00x", "/echo.",    "/x/..%5cecho", "//echo",          "/x/../echo",
      "/./echo",   "/%2e/echo", "/x%2fecho", "/echo%5c",     "/echo\\",         "/echo%0d%0a",
      "/echo%",    "/echo%4",   "/echo%zz",  "/%c0%afecho",  "/echo#x",         "/echo?x#y",
      "/\xc3\xa9", "echo",      "a:80",      "ftp://a/echo", "http://u@a/echo", "http:///echo",
  };
  start();
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    char text[256];
    /* A target outside of vestry's paths */
    int status = ask_for(refused[i]);
    if (vsi_adapter.has_own_paths && (status == 404 || !status)) continue;
    if (status != 400) FAIL("\"%s\" was answered %d", refused[i], status);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", refused[i]);
    assert_refused(text, strlen(text));
  }
  CHECK_EQUAL(ask_for("/echo"), 200);
  CHECK_EQUAL(ask_for("/%65%63ho?//../%00"), 200);
  if (!vsi_adapter.has_own_paths) { /* which closes if the target names another port, or no path */
    CHECK_EQUAL(ask_for("http://a/echo"), 200);
    CHECK_EQUAL(ask_for("HTTP://a:80/echo?x"), 200);
    CHECK_EQUAL(ask_for("http://a"), 404);
  }
  CHECK_EQUAL(ask_for("/a%20b/.c/d..e/"), 404);
  vsi_server_stop(&s);
}

/* civetweb passes the decoded path and the number of encoded bytes, but not which bytes were encoded. */
static void encoded_slashes_do_not_separate_segments(void) {
  start();
  CHECK_ERROR(vestry_route(s.v, "GET", "/two/echo", vsi_server_echo, &s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/two/a b", vsi_server_echo, &s), VESTRY_OK);
  CHECK_EQUAL(ask_for("/two/echo"), 200);
  CHECK_EQUAL(ask_for("/two/a%20b"), 200);
  static const char *const refused[] = {"/two%2fecho", "/two/%65cho", "/%74wo/echo", "/two%2fa%20b", "/two/%61%20b"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (ask_for(refused[i]) != 400) FAIL("\"%s\" was not refused", refused[i]);
  vsi_server_stop(&s);
}

static vestry_err say_name(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *name = vestry_request_value(req, VESTRY_IN_PATH, "name");
  (void)app;
  return vestry_reply_body(reply, "text/plain", name, strlen(name));
}

static void assert_name(const char *sent, const char *name) {
  char target[64];
  vsi_client c;
  snprintf(target, sizeof target, "/item/%s/x", sent);
  vsi_client_ask(&c, s.port, "GET", target, "Connection: close\r\n");
  int status = vsi_client_status(&c);
  if (status != 200) FAIL("\"%s\" was answered %d", target, status);
  vsi_client_read_all(&c);
  CHECK_TEXT(c.body, name);
  vsi_client_close(&c);
}

/* The characters that browsers encode in a path (WHATWG URL, path percent-encode set) and those of encodeURIComponent.
 * Slashes are excluded, because they would change the segments. */
static void characters_that_browsers_encode_reach_the_handler(void) {
  static const char always[] = " \"#<>?`{}%^|", by_hand[] = "$&+,:;=@[]";
  start();
  CHECK_ERROR(vestry_route(s.v, "GET", "/item/{name}/x", say_name, NULL), VESTRY_OK);
  char sent[32], name[8];
  for (const char *c = vsi_adapter.decodes_paths ? " #?%" : always; *c; c++) {
    snprintf(sent, sizeof sent, "a%%%02Xb", *c);
    snprintf(name, sizeof name, "a%cb", *c);
    assert_name(sent, name);
  }
  assert_name("%C3%BC%20%E2%82%AC", "\xc3\xbc \xe2\x82\xac");
  for (const char *c = by_hand; *c; c++) {
    snprintf(sent, sizeof sent, "a%cb", *c);
    snprintf(name, sizeof name, "a%cb", *c);
    assert_name(sent, name);
    snprintf(sent, sizeof sent, "a%%%02Xb", *c);
    if (!vsi_adapter.decodes_paths) assert_name(sent, name);
  }
  static const char *const refused[] = {"/item/a%2Fb/x",  "/item/a%5Cb/x",    "/item/a%00b/x",    "/item/..%2F/x",
                                        "/item/%2e%2e/x", "/item/a%7Fb/x",    "/item/%2526%2F/x", "/item%2Fa%26b/x",
                                        "/it%65m/a/x",    "/item%2Fa|b/x%2F", "/item/a\"b/x",     "/item/a{b/x"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    int status = ask_for(refused[i]);
    if (vsi_adapter.decodes_paths && strpbrk(refused[i], "\"{")) continue; /* no byte of it could be read differently */
    if (status != 400 && !(vsi_adapter.has_own_paths && status == 404)) FAIL("\"%s\": %d", refused[i], status);
  }
  vsi_server_stop(&s);
}

static void spaces_in_request_lines_are_refused(void) {
  static const char *const lines[] = {"GET  /echo HTTP/1.1",   "GET /echo  HTTP/1.1",  "GET /echo HTTP/1.1 ",
                                      "GET /echo /b HTTP/1.1", "GET\t/echo HTTP/1.1",  "GET /echo <script> HTTP/1.1",
                                      "GET /echo b",           "GET /echo HTTP/1.1 x", "GET /echo HTTP/1.1\tx"};
  const bool redirects = vsi_adapter.redirects_blanks;
  start();
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "%s\r\nHost: a\r\n\r\n", lines[i]);
    bool is_own = false; /* a path of another handler in this server, which keeps the connection */
    while (!c.ended && !is_own) {
      vsi_client_read(&c);
      is_own = vsi_adapter.has_own_targets && c.len && strstr(c.text, " 404 ");
      /* a server that is not strict redirects, and keeps the connection; it also treats a tab as a space */
      if (redirects && c.len && (strncmp(c.text, "HTTP/1.1 301 ", 13) == 0 || strchr(lines[i], '\t'))) is_own = true;
    }
    /* Or the connection closes without a response; but the response never repeats the request. */
    bool is_plain = strncmp(c.text ? c.text : "", "HTTP/1.", 7) == 0 && strncmp(c.text + 8, " 400 ", 5) == 0;
    if (c.len && ((!is_plain && !is_own) || (strstr(c.text, "script") && !redirects)))
      FAIL("\"%s\" was answered \"%s\"", lines[i], c.text);
    vsi_client_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

static void send_body(vsi_client *c, size_t announced, size_t sent) {
  static char body[1 << 17];
  memset(body, 'b', sizeof body);
  vsi_client_connect(c, s.port, false);
  vsi_client_sendf(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", announced);
  vsi_client_send(c, body, sent);
}

enum { HELD = 60, FIT = 24, EACH = 100000, SMALL = 1000, MOST = 2400000, MARK = MOST / 8 * 7 };

/* This number of bodies was read, each of which holds each_bytes; those over the budget were aborted, and other
 * requests have ended. */
static bool have_settled(size_t bodies, uint64_t each_bytes) {
  vestry_stats stats = vsi_server_stats(&s);
  return stats.request_bytes == (bodies - stats.refused_by_reason[VESTRY_REFUSAL_BUDGET]) * each_bytes &&
         stats.request_bytes <= MARK;
}

/* The memory of the first body is counted, before the body is complete. */
static bool is_body_counted(uint64_t *ret_bytes) {
  *ret_bytes = vsi_server_stats(&s).request_bytes;
  return *ret_bytes > EACH;
}

/* More bodies than fit: the largest ones are aborted, and a request with a smaller body is served. */
static void unfinished_bodies_do_not_block_small_requests(void) {
  static vsi_client held[HELD];
  uint64_t each_bytes = 0;
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = HELD},
                   &(vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = MOST}});
  for (size_t i = 0; i < HELD; i++) {
    vsi_client newcomer;
    send_body(&held[i], EACH + 1, EACH);
    if (!i) CHECK_UNTIL(is_body_counted(&each_bytes));
    CHECK_UNTIL(have_settled(i + 1, each_bytes));
    send_body(&newcomer, SMALL, SMALL);
    CHECK_EQUAL(vsi_client_status(&newcomer), 200);
    vsi_client_close(&newcomer);
    CHECK_UNTIL(have_settled(i + 1, each_bytes)); /* a kept connection would be closed before a body */
  }
  vestry_stats stats = vsi_server_stats(&s);
  CHECK(stats.refused_by_reason[VESTRY_REFUSAL_BUDGET] >= HELD - FIT);
  CHECK(stats.request_peak_bytes <= MOST);
  for (int i = 0; i < HELD; i++) vsi_client_close(&held[i]);
  CHECK_UNTIL(!vsi_server_stats(&s).request_bytes);
  vsi_server_stop(&s);
}

enum { GONE = 3000, STAYING = 200 };

static void send_half(vsi_client *c) {
  vsi_client_connect(c, s.port, false);
  vsi_client_sendf(c, "GET /echo HTTP/1.1\r\nHost: ");
}

static double seconds_worked(void) {
  struct timespec worked;
  CHECK_EQUAL(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &worked), 0);
  return (double)worked.tv_sec + (double)worked.tv_nsec / 1e9;
}

/* Unfinished heads hold all places, and the backlog is full of clients that gave up waiting. Measures how long the next
 * request waits after the other clients have gone as well. Setup is not included, because it takes longer under
 * valgrind. */
static double seconds_behind_who_has_gone(void) {
  static vsi_client staying[STAYING];
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = 8}, NULL);
  for (int i = 0; i < STAYING; i++) send_half(&staying[i]);
  for (int i = 0; i < GONE; i++) {
    vsi_client c;
    send_half(&c);
    vsi_client_close(&c);
  }
  for (int i = 0; i < STAYING; i++) vsi_client_close(&staying[i]);
  double since = vsi_seconds_now() - seconds_worked();
  vsi_server_assert_serves(&s);
  double waited = vsi_seconds_now() - seconds_worked() - since;
  vsi_server_stop(&s);
  return waited;
}

/* The next request is served at once. If it had to wait for the lost clients, it would wait for their time-out of half
 * a minute. A third of this distinguishes the two cases on a busy machine, too (scripts/soak requires one second). */
static void lost_clients_hold_no_place(void) {
  CHECK_BELOW_S(10, seconds_behind_who_has_gone());
}

static const vsi_case cases[] = {
    VSI_CASE(ambiguous_heads_get_400, VSI_RULE_HEAD, "joins_folds, cuts_at_nul, refuses_itself, refuses_most"),
    VSI_CASE(headers_over_the_servers_room_are_not_skipped, VSI_RULE_MANY_LINES, NULL),
    VSI_CASE(ambiguous_targets_are_refused, VSI_RULE_TARGET, "has_own_paths, refuses_itself"),
    VSI_CASE(encoded_slashes_do_not_separate_segments, VSI_RULE_TARGET, NULL),
    VSI_CASE(spaces_in_request_lines_are_refused, VSI_RULE_BLANKS, "has_own_targets, redirects_blanks"),
    VSI_CASE(unfinished_bodies_do_not_block_small_requests, VSI_RULE_MEMORY, NULL),
    VSI_CASE(lost_clients_hold_no_place, VSI_RULE_GONE, NULL),
    VSI_CASE(characters_that_browsers_encode_reach_the_handler, VSI_RULE_TARGET, "decodes_paths, has_own_paths"),
};

const vsi_suite vsi_hostile_suite = VSI_SUITE("hostile", cases);
