/* SPDX-License-Identifier: MIT */
/* Heads that browsers, phones, proxies and sign-on systems send, with the defaults of a server and above them: each
 * request gets exactly one well-formed response. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"

enum { MOST = 16384 /* bytes of a head, by default */, TEXT_BYTES = 1 << 20, LETTERS = 50000, LARGE_BYTES = 200000 };

static vsi_server s;

/* ---- the server -------------------------------------------------------------------------------------------------- */

/* Answer with the number of bytes of the body. */
static vestry_err count_body(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  char text[32];
  int len = snprintf(text, sizeof text, "%zu bytes", req->body.len);
  return vestry_reply_body(reply, "text/plain", text, (size_t)len);
}

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("open", true));
}

static vestry_err large_response_head(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  static char value[LARGE_BYTES + 1];
  memset(value, 'v', LARGE_BYTES);
  vestry_err error = vestry_reply_header(reply, "X-Large", value);
  return error ? error : vestry_reply_body(reply, "text/plain", "all", 3);
}

static void start(size_t max_head_bytes) {
  vsi_server_begin(&s, NULL);
  CHECK_ERROR(vestry_route(s.v, "GET", "/", count_body, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "POST", "/", count_body, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/files/{name}", count_body, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/stream", open_stream, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/large", large_response_head, NULL), VESTRY_OK);
  vsi_server_run(&s, &(vestry_contract_settings){.max_head_bytes = max_head_bytes});
}

static void stop(void) {
  vsi_server_stop(&s);
}

/* ---- one response ------------------------------------------------------------------------------------------------ */

/* Send all bytes, and read until the server closes: exactly one complete response must arrive. Returns its status. */
static int answer_to(const char *request, size_t len) {
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_send(&c, request, len);
  int status = vsi_client_status(&c);
  vsi_client_finish(&c, false);
  CHECK(c.complete);
  const size_t one = c.len;
  vsi_client_read_all(&c);
  if (c.len != one) FAIL("more than one answer: %.900s", c.text);
  const char *again = strstr(c.text + 1, "HTTP/1.");
  if (again) FAIL("more than one head: %.900s", c.text);
  vsi_client_close(&c);
  return status;
}

static void expect(const char *what, const char *request, size_t len, int wanted) {
  int status = answer_to(request, len);
  if (status != wanted) FAIL("%s: %d instead of %d", what, status, wanted);
}

/* ---- today's requests -------------------------------------------------------------------------------------------- */

#define CHROME                                                                                                         \
  "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "     \
  "Safari/537.36\r\nsec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"\r\n"      \
  "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"            \
  "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7\r\nDNT: 1\r\n"
#define CHROME_PAGE                                                                                                    \
  CHROME "Upgrade-Insecure-Requests: 1\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"   \
         "image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\nSec-Fetch-Site: none\r\n"          \
         "Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
#define CHROME_FETCH                                                                                                   \
  CHROME "Accept: text/event-stream, text/html, application/json\r\nDatastar-Request: true\r\n"                        \
         "Referer: https://www.example.com/orders/2026?page=3&sort=name\r\nSec-Fetch-Site: same-origin\r\n"            \
         "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n"
#define FIREFOX                                                                                                        \
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,"           \
  "application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"                       \
  "Accept-Encoding: gzip, deflate, br, zstd\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n"           \
  "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\nSec-GPC: 1\r\n"
#define SAFARI                                                                                                         \
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: none\r\n"                \
  "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nUser-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like "  \
  "Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1\r\n"                     \
  "Accept-Language: fr-FR,fr;q=0.9\r\nPriority: u=0, i\r\nAccept-Encoding: gzip, deflate, br\r\n"
#define CURL "User-Agent: curl/8.14.1\r\nAccept: */*\r\n"
#define NGINX                                                                                                          \
  "X-Real-IP: 2001:db8:85a3::8a2e:370:7334\r\nX-Forwarded-For: 2001:db8:85a3::8a2e:370:7334, 203.0.113.7\r\n"          \
  "X-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example.com\r\n"                                                  \
  "X-Request-ID: 6f0b8c2e4b0f4d0ea5f5d2c0c1a4e9b7\r\n"
#define HAPROXY                                                                                                        \
  "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Unique-ID: CB007107:D2F0_0A000001:01BB_68C1B2A3_0001" \
  ":7B\r\nX-SSL-Client-Verify: 0\r\nX-SSL-Client-DN: /C=DE/O=Example/CN=ada.lovelace@example.com\r\n"                  \
  "Forwarded: for=203.0.113.7;proto=https;by=10.0.0.1\r\nVia: 1.1 edge-7.example.net (Varnish/7.5)\r\n"

/* Names of cookies and the lengths of their values; ended by NULL. */
typedef struct cookies {
  const char *name;
  size_t len;
} cookies;

/* Analytics and consent of a parent domain, and the application's own cookie. */
static const cookies foreign[] = {
    {"_ga", 27},         {"_ga_K3J9X0T2QM", 52},   {"_fbp", 34},    {"OptanonConsent", 540},
    {"ajs_user_id", 36}, {"intercom-session", 88}, {"session", 43}, {NULL, 0}};
/* A sign-on system: its token is split into cookies of 4 kB, as by oauth2-proxy and ASP.NET. */
static const cookies sign_on[] = {
    {"_oauth2_proxy_0", 3990}, {"_oauth2_proxy_1", 3990}, {"_oauth2_proxy_csrf", 96}, {"session", 43}, {NULL, 0}};
static const cookies none[] = {{NULL, 0}};

typedef struct recorded {
  const char *name, *line, *headers;
  const cookies *cookies;
} recorded;

static const recorded heads[] = {
    {"Chrome, a document", "GET / HTTP/1.1", CHROME_PAGE, foreign},
    {"Chrome, a document behind a sign-on", "GET / HTTP/1.1", CHROME_PAGE, sign_on},
    {"Chrome, a stream behind a sign-on", "GET /stream?datastar=%7B%22q%22%3A%22%C3%A4%22%7D HTTP/1.1", CHROME_FETCH,
     sign_on},
    {"Firefox", "GET / HTTP/1.1", FIREFOX, foreign},
    {"Safari on iOS", "GET / HTTP/1.1", SAFARI, foreign},
    {"curl", "GET / HTTP/1.1", CURL, none},
    {"Chrome by nginx", "GET / HTTP/1.1", CHROME_PAGE NGINX, sign_on},
    {"Firefox by HAProxy, Varnish and nginx", "GET / HTTP/1.1", FIREFOX HAPROXY NGINX, sign_on},
    {"a name of 255 bytes of UTF-8", NULL, SAFARI, foreign},
};

/* Write a recorded request, with "Connection: close". body: its length; negative: none. */
static size_t write_head(char *text, size_t room, const recorded *from, long body) {
  char name[3 * 255 + 40] = "GET /files/";
  for (int i = 0; i < 85; i++) strcat(name, "%E6%96%87");
  size_t len = (size_t)snprintf(text, room, "%s%s\r\nHost: www.example.com\r\nConnection: close\r\n%s",
                                from->line ? from->line : name, from->line ? "" : " HTTP/1.1", from->headers);
  for (const cookies *at = from->cookies; at->name; at++) {
    len += (size_t)snprintf(text + len, room - len, "%s%s=", at == from->cookies ? "Cookie: " : "; ", at->name);
    for (size_t i = 0; i < at->len; i++) text[len++] = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjE2"[i % 32];
    if (!at[1].name) len += (size_t)snprintf(text + len, room - len, "\r\n");
  }
  if (body >= 0) len += (size_t)snprintf(text + len, room - len, "Content-Length: %ld\r\n", body);
  len += (size_t)snprintf(text + len, room - len, "\r\n");
  CHECK(len < room);
  return len;
}

static char text[TEXT_BYTES];

static void heads_of_current_browsers_are_served(void) {
  start(0);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    size_t len = write_head(text, TEXT_BYTES, &heads[i], -1);
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_send(&c, text, len);
    const int status = vsi_client_status(&c);
    if (status != 200) FAIL("%s: %d", heads[i].name, status);
    if (strstr(heads[i].line ? heads[i].line : "", "/stream"))
      vsi_client_expect(&c, "datastar-patch-signals");
    else
      vsi_client_finish(&c, false);
    vsi_client_close(&c);
    if (!strstr(heads[i].line ? heads[i].line : "", "/stream")) expect(heads[i].name, text, len, 200);
  }
  stop();
}

static bool is_too_large(int status) {
  return status == 414 || status == 431 || (vsi_adapter.refuses_itself && (status == 413 || status == 400));
}

/* A draft of 50,000 letters of any alphabet fits into a body, but not into the signals of a GET. */
static void large_form_gets_exactly_one_response(void) {
  static const char *const letters[] = {"x", "%E6%96%87"};
  start(0);
  for (size_t i = 0; i < 2; i++) {
    const size_t each = strlen(letters[i]), body = 5 + each * LETTERS;
    static const recorded post = {"a draft", "POST / HTTP/1.1",
                                  CHROME_FETCH "Content-Type: application/x-www-form-urlencoded\r\n", sign_on};
    size_t len = write_head(text, TEXT_BYTES, &post, (long)body);
    memcpy(text + len, "text=", 5);
    len += 5;
    for (size_t n = 0; n < LETTERS; n++, len += each) memcpy(text + len, letters[i], each);
    expect("a draft in a body", text, len, 200);
    len = (size_t)snprintf(text, TEXT_BYTES, "GET /?datastar=");
    for (size_t n = 0; n < LETTERS; n++, len += each) memcpy(text + len, letters[i], each);
    len += (size_t)snprintf(text + len, TEXT_BYTES - len, " HTTP/1.1\r\nHost: localhost\r\n" CHROME_FETCH "\r\n");
    const int status = answer_to(text, len);
    CHECK(is_too_large(status));
  }
  stop();
}

/* ---- at the limit ------------------------------------------------------------------------------------------------ */

typedef enum filler { COOKIE, COOKIES, HEADER, HEADERS, TARGET, PARAMETERS, FILLERS } filler;
static const char *const filler_names[] = {"a cookie", "cookies", "a header", "headers", "a target", "parameters"};

static void fill(size_t *len, size_t until, const char *piece) {
  const size_t each = strlen(piece);
  for (; *len + each <= until; *len += each) memcpy(text + *len, piece, each);
  for (; *len < until; ++*len) text[*len] = 'z';
}

/* Write a head of exactly this number of bytes. Its pieces are as long as today's: 40 bytes. */
static void write_head_of(filler by, size_t bytes) {
  static const char end[] = "\r\n\r\n";
  const bool in_target = by == TARGET || by == PARAMETERS;
  static const char rest[] = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: */*";
  size_t len = (size_t)snprintf(text, TEXT_BYTES, "GET /%s", in_target ? "?" : rest);
  const size_t until = bytes - sizeof end + 1 - (in_target ? sizeof rest - 1 : 0);
  if (!in_target)
    len += (size_t)snprintf(text + len, 40, "\r\n%s", by == HEADER || by == HEADERS ? "A: b" : "Cookie: ");
  CHECK(until >= len && bytes < TEXT_BYTES);
  fill(&len, until,
       by == COOKIES      ? "name=value-of-thirty-three-letters-12; "
       : by == HEADERS    ? "\r\nX-Header-Name: value-of-twenty-one-1"
       : by == PARAMETERS ? "name=value-of-thirty-four-letters-123&"
                          : "z");
  if (in_target) memcpy(text + len, rest, sizeof rest - 1), len += sizeof rest - 1;
  memcpy(text + len, end, sizeof end - 1);
  CHECK_EQUAL(len + sizeof end - 1, bytes);
}

static void expect_at(filler by, size_t bytes, bool fits) {
  write_head_of(by, bytes);
  const int status = answer_to(text, bytes);
  const bool is_right =
      fits ? status == 200 : is_too_large(status) && (status != 414 || by == TARGET || by == PARAMETERS);
  if (!is_right) FAIL("%s, %zu bytes: %d", filler_names[by], bytes, status);
}

static void head_at_the_limit_is_served_and_above_refused(void) {
  static const size_t bounds[] = {0, 2048, 5000, 40000};
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
    const size_t most = bounds[i] ? bounds[i] : MOST;
    start(bounds[i]);
    for (filler by = 0; by < FILLERS; by++) {
      if (by == HEADERS && most > 2048) continue; /* civetweb accepts 64 headers */
      expect_at(by, most - 1, true);
      expect_at(by, most, true);
      expect_at(by, most + 1, false);
    }
    stop();
  }
}

/* However far above the limit, and whichever memory of the server is exhausted first: exactly one response. */
static void head_far_over_the_limit_gets_one_response(void) {
  start(0);
  for (filler by = 0; by < FILLERS; by++)
    for (size_t bytes = MOST + 1021; bytes < 5 * MOST; bytes += 1021)
      if (by != HEADERS) expect_at(by, bytes, false);
  for (size_t bytes = 1000; bytes < 5 * MOST; bytes += 1021) {
    write_head_of(HEADERS, bytes);
    const int status = answer_to(text, bytes);
    CHECK(status == 200 || status == 400 || is_too_large(status));
  }
  stop();
}

/* More cookies or parameters than any browser sends: libmicrohttpd allocates a record for each. */
static void many_cookies_or_parameters_get_one_response(void) {
  static const char *const pieces[] = {"a=b; ", "a=b&", "\r\na:b"};
  static const char *const begins[] = {"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: ", "GET /?",
                                       "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close"};
  static const char *const ends[] = {"\r\n\r\n", " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                                     "\r\n\r\n"};
  start(0);
  for (size_t i = 0; i < 3; i++) {
    for (size_t count = 1; count < 12000; count += count < 1000 ? 13 : 997) {
      size_t len = (size_t)snprintf(text, TEXT_BYTES, "%s", begins[i]);
      fill(&len, len + count * strlen(pieces[i]), pieces[i]);
      len += (size_t)snprintf(text + len, 100, "%s", ends[i]);
      const int status = answer_to(text, len);
      if (status != 200 && status != 400 && !is_too_large(status)) FAIL("%zu of \"%s\": %d", count, pieces[i], status);
    }
  }
  stop();
}

static void invalid_content_length_gets_one_response(void) {
  static const char *const lengths[] = {"abc", "-1", "1 2", "99999999999999999999999999", "5, 6", "0x10"};
  start(0);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t len = (size_t)snprintf(text, TEXT_BYTES, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %s\r\n\r\n",
                                  lengths[i]);
    const int status = answer_to(text, len);
    if (status != 400 && status != 411 && status != 413) FAIL("Content-Length: %s: %d", lengths[i], status);
  }
  stop();
}

/* If the server has no memory for this head of a response, it answers with an error, and continues to serve. */
static void response_with_large_head_gets_one_response(void) {
  static const char name[] = "\r\nX-Large: ";
  start(0);
  size_t len =
      (size_t)snprintf(text, TEXT_BYTES, "GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_send(&c, text, len);
  while (!c.ended) vsi_client_read(&c);
  const bool has_memory = strncmp(c.text, "HTTP/1.1 200", 12) == 0;
  if (!has_memory && strncmp(c.text, "HTTP/1.1 500", 12) != 0) FAIL("%.200s", c.text);
  CHECK_NOT(strstr(c.text + 1, "HTTP/1."));
  const char *large = strstr(c.text, name), *body = strstr(c.text, "\r\n\r\n");
  CHECK(body);
  CHECK_TEXT(body + 4, has_memory ? "all" : "");
  CHECK_EQUAL(large ? strspn(large + strlen(name), "v") : 0, has_memory ? LARGE_BYTES : 0);
  vsi_client_close(&c);
  write_head_of(COOKIE, 4000);
  expect("after it", text, 4000, 200);
  stop();
}

static const vsi_case cases[] = {
    VSI_CASE_TLS(heads_of_current_browsers_are_served, VSI_RULE_HEAD_SIZE, NULL),
    VSI_CASE_TLS(large_form_gets_exactly_one_response, VSI_RULE_HEAD_SIZE, "refuses_itself"),
    VSI_CASE_TLS(head_at_the_limit_is_served_and_above_refused, VSI_RULE_HEAD_SIZE, "refuses_itself"),
    VSI_CASE_TLS(head_far_over_the_limit_gets_one_response, VSI_RULE_HEAD_SIZE, "refuses_itself"),
    VSI_CASE_TLS(many_cookies_or_parameters_get_one_response, VSI_RULE_ONE_RESPONSE, "refuses_itself"),
    VSI_CASE_TLS(invalid_content_length_gets_one_response, VSI_RULE_LENGTH, NULL),
    VSI_CASE_TLS(response_with_large_head_gets_one_response, VSI_RULE_ONE_RESPONSE, NULL),
};

const vsi_suite vsi_heads_suite = VSI_SUITE("heads", cases);
