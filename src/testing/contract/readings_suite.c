/* SPDX-License-Identifier: MIT */
/* Whatever a client sends, a handler sees its single valid reading, or the request is refused. Bytes after it are never
 * treated as a request. The suite sends some thousand texts: VESTRY_READINGS_COUNT of them, from VESTRY_READINGS_SEED
 * on. The result of each is written to the file VESTRY_READINGS_FILE, if set, so that two runs with different versions
 * of a library can be compared. */

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/readings.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"

enum { DEFAULT_COUNT = 2000, PLACES = 8, ANSWER_BYTES = 16384, SEEN_BYTES = 8192, QUIET_MS = 30, LONG_MS = 5000 };
enum { MOST_TOLD = 12 };

static vsi_server s;
static FILE *reported;
static unsigned failures, served, refused;

static const char *const names[] = {"Host",   "X-A",     "X-B",     "Cookie", "Content-Length", "Transfer-Encoding",
                                    "Expect", "Upgrade", "Trailer", "Range"};
enum { NAMES = sizeof names / sizeof *names };

/* ---- recorded requests ------------------------------------------------------------------------------------------- */

typedef struct seen {
  char text[SEEN_BYTES];
  size_t len;
} seen;

static void put(seen *to, const void *data, size_t len) {
  CHECK(len <= sizeof to->text - to->len);
  if (len) memcpy(to->text + to->len, data, len); /* an empty body is NULL */
  to->len += len;
}

static void put_line(seen *to, const char *name, const char *data, size_t len) {
  while (len && (data[len - 1] == ' ' || data[len - 1] == '\t')) len--;
  put(to, name, strlen(name));
  put(to, "=", 1);
  put(to, data, len);
  put(to, "\n", 1);
}

static const char mark[] = "SAW\n";

static vestry_err say_seen(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  seen all = {.len = 0};
  const char *query = req->query;
  if (!query || vsi_adapter.has_own_targets) query = ""; /* rebuilt by that server */
  put(&all, mark, sizeof mark - 1);
  put_line(&all, "method", req->method, strlen(req->method));
  put_line(&all, "path", req->path, strlen(req->path));
  put_line(&all, "query", query, strlen(query));
  for (size_t i = 0; i < NAMES; i++) {
    const char *value = vestry_request_header(req, names[i]);
    if (value) put_line(&all, names[i], value, strlen(value));
  }
  vestry_slice body = req->body;
  put(&all, body.data, body.len);
  return vestry_reply_body(reply, "text/plain", all.text, all.len);
}

static int digit(char c) {
  return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void put_path(seen *to, vsi_readings_span path) {
  static char decoded[VSI_READINGS_BYTES];
  size_t len = 0;
  for (size_t i = 0; i < path.len; i++) {
    const bool is_encoded = path.data[i] == '%' && i + 2 < path.len && isxdigit((unsigned char)path.data[i + 1]) &&
                            isxdigit((unsigned char)path.data[i + 2]);
    decoded[len++] = is_encoded ? (char)(digit(path.data[i + 1]) * 16 + digit(path.data[i + 2])) : path.data[i];
    if (is_encoded) i += 2;
  }
  put_line(to, "path", decoded, len);
}

/* The text that the handler must have seen. */
static void expect(const vsi_readings_request *request, seen *ret_all) {
  vsi_readings_span path = request->target, query = {"", 0};
  const char *slash = path.data;
  if (path.len > 7 && strncasecmp(path.data, "http://", 7) == 0) {
    slash = memchr(path.data + 7, '/', path.len - 7);
    path = slash ? (vsi_readings_span){slash, path.len - (size_t)(slash - path.data)} : (vsi_readings_span){"/", 1};
  }
  const char *sign = memchr(path.data, '?', path.len);
  if (sign) {
    query = (vsi_readings_span){sign + 1, path.len - (size_t)(sign - path.data) - 1};
    path.len = (size_t)(sign - path.data);
  }
  ret_all->len = 0;
  put(ret_all, mark, sizeof mark - 1);
  put_line(ret_all, "method", request->method.data, request->method.len);
  put_path(ret_all, path);
  put_line(ret_all, "query", query.data, vsi_adapter.has_own_targets ? 0 : query.len);
  for (size_t i = 0; i < NAMES; i++) {
    const vsi_readings_span value = vsi_readings_header(request, names[i]);
    if (value.data) put_line(ret_all, names[i], value.data, value.len);
  }
  put(ret_all, request->body, request->body_len);
}

/* ---- responses --------------------------------------------------------------------------------------------------- */

typedef struct exchange {
  int fd; /* -1: none */
  uint64_t number;
  vsi_readings_text text;
  char answers[ANSWER_BYTES];
  size_t len;
  double quiet_since;
  bool is_shut;
} exchange;

typedef struct answer {
  int status;
  const char *body;
  size_t body_len;
} answer;

/* Return the response at *at, and advance *at; skips 1xx. false: no complete response. */
static bool next_response(const exchange *v, size_t *at, answer *ret_response) {
  for (;;) {
    const char *begin = v->answers + *at, *end = v->answers + v->len;
    if (end - begin < 13 || memcmp(begin, "HTTP/1.", 7) != 0) return false;
    const char *blank = memmem(begin, (size_t)(end - begin), "\r\n\r\n", 4);
    if (!blank) return false;
    size_t length = (size_t)(end - blank - 4);
    for (const char *line = begin; line < blank; line++)
      if (*line == '\n' && blank - line > 16 && strncasecmp(line + 1, "Content-Length:", 15) == 0)
        length = (size_t)atoi(line + 16);
    const int status = atoi(begin + 9);
    if (status < 200 || status == 304 || status == 204) length = 0;
    if (length > (size_t)(end - blank - 4)) return false;
    *ret_response = (answer){status, blank + 4, length};
    *at = (size_t)(blank + 4 + length - v->answers);
    if (status >= 200) return true;
  }
}

static void print(FILE *to, const char *data, size_t len) {
  for (size_t i = 0; i < len; i++) {
    const unsigned char c = (unsigned char)data[i];
    if (c >= ' ' && c < 0x7f && c != '\\')
      fputc(c, to);
    else if (c == '\r' || c == '\n')
      fputs(c == '\r' ? "\\r" : "\\n", to);
    else
      fprintf(to, "\\x%02x", c);
  }
}

static void fail_reading(const exchange *v, const char *what, const seen *wanted) {
  if (failures++ >= MOST_TOLD) return;
  fprintf(stderr, "%s: text %llu %s\n  sent: ", vsi_adapter.name, (unsigned long long)v->number, what);
  print(stderr, v->text.bytes, v->text.len);
  fprintf(stderr, "\n  answered: ");
  print(stderr, v->answers, v->len);
  if (wanted) {
    fprintf(stderr, "\n  to be seen: ");
    print(stderr, wanted->text, wanted->len);
  }
  fputc('\n', stderr);
}

static bool is_seen(const answer *a) {
  return a->body_len >= sizeof mark - 1 && memcmp(a->body, mark, sizeof mark - 1) == 0;
}

/* There is no handler for its path or method. */
static bool is_elsewhere(const answer *a) {
  return a->status == 404 || a->status == 405 || a->status == 501;
}

/* Each response belongs to the next request of the text, until one is refused. Returns the number of served
 * requests. */
static size_t judge(const exchange *v) {
  static vsi_readings_request requests[VSI_READINGS_REQUESTS];
  static seen wanted;
  const size_t count = vsi_readings_read(&v->text, vsi_adapter.takes_feeds, requests);
  size_t at = 0, index = 0, count_served = 0;
  bool is_over = false;
  answer a;
  for (; next_response(v, &at, &a); index++) {
    if (reported) fprintf(reported, " %d ", a.status);
    if (reported && is_seen(&a)) print(reported, a.body, a.body_len);
    if (!is_seen(&a)) {
      /* the server's own response, and the bytes after it */
      if (vsi_adapter.has_own_paths && is_elsewhere(&a)) return count_served;
      if (!is_elsewhere(&a)) is_over = true;
      continue;
    }
    count_served++;
    if (is_over || index >= count) {
      if (!is_over && vsi_adapter.is_blind_to && vsi_adapter.is_blind_to(v->text.bytes, v->text.len))
        return count_served;
      fail_reading(v, is_over ? "was served behind a refusal" : "has no reading, and was served", NULL);
      return count_served;
    }
    expect(&requests[index], &wanted);
    if (wanted.len != a.body_len || memcmp(wanted.text, a.body, a.body_len) != 0) {
      fail_reading(v, "was read differently", &wanted);
      return count_served;
    }
  }
  if (memmem(v->answers + at, v->len - at, mark, sizeof mark - 1)) fail_reading(v, "has an answer too many", NULL);
  return count_served;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void begin(exchange *v, uint64_t seed, uint64_t number) {
  const struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  vsi_readings_make(seed, number, &v->text);
  v->number = number;
  v->len = 0;
  v->is_shut = false;
  v->quiet_since = vsi_seconds_now();
  v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(v->fd >= 0);
  CHECK_EQUAL(connect(v->fd, (const struct sockaddr *)&at, sizeof at), 0);
  (void)!send(v->fd, v->text.bytes, v->text.len, MSG_NOSIGNAL); /* it fits; or the connection was closed already */
}

/* Read the available bytes. false: the connection has ended. If no bytes arrive for a while, shut down the client's
 * half, so that the server stops waiting for more. */
static bool go_on(exchange *v, bool is_ready, int quiet_ms) {
  const double now = vsi_seconds_now();
  if (is_ready) {
    const ssize_t got = recv(v->fd, v->answers + v->len, sizeof v->answers - v->len, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) return false;
    v->len += (size_t)got;
    v->quiet_since = now;
    return v->len < sizeof v->answers;
  }
  if (!v->is_shut && now - v->quiet_since > quiet_ms / 1000.0) {
    shutdown(v->fd, SHUT_WR);
    v->is_shut = true;
  }
  CHECK(now - v->quiet_since < vsi_patience_s);
  return true;
}

static void exchange_alone(exchange *v, uint64_t seed, uint64_t number) {
  begin(v, seed, number);
  struct pollfd polled = {.fd = v->fd, .events = POLLIN};
  while (go_on(v, poll(&polled, 1, 10) > 0, LONG_MS)) continue;
  close(v->fd);
}

/* "http://a/path": a server with its own paths may have another name. */
static bool names_host(const vsi_readings_text *text) {
  return memmem(text->bytes, text->len, " http://", 8) != NULL;
}

static void end(exchange *v, uint64_t seed) {
  close(v->fd);
  v->fd = -1;
  size_t count = judge(v);
  if (!count && !v->text.changes_count) { /* it was slow, or a request was refused that must not be refused */
    static exchange again;
    exchange_alone(&again, seed, v->number);
    count = judge(&again);
    if (!count && !(vsi_adapter.has_own_paths && names_host(&again.text)))
      fail_reading(&again, "is plain, and was refused", NULL);
  }
  served += count > 0;
  refused += !count;
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void handlers_see_the_only_valid_reading(void) {
  static exchange exchanges[PLACES];
  const uint64_t seed = number_of("VESTRY_READINGS_SEED", 1), most = number_of("VESTRY_READINGS_COUNT", DEFAULT_COUNT);
  const char *file = getenv("VESTRY_READINGS_FILE");
  reported = file ? fopen(file, "a") : NULL;
  failures = served = refused = 0;
  vsi_server_start(
      &s, &(vestry_contract_settings){.keeps_connections = true, .max_streams = 2 * PLACES, .silent_ms = 1000}, NULL);
  static const char *const patterns[] = {"/saw", "/saw/{a}", "/saw/{a}/{b}"}, *const methods[] = {"GET", "POST",
                                                                                                  "DELETE"};
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 3; j++) CHECK_ERROR(vestry_route(s.v, methods[j], patterns[i], say_seen, NULL), VESTRY_OK);
  for (size_t i = 0; i < PLACES; i++) exchanges[i].fd = -1;
  size_t open = 0;
  for (uint64_t next = 0; next < most || open;) {
    struct pollfd polled[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
      if (exchanges[i].fd < 0 && next < most) begin(&exchanges[i], seed, next++), open++;
      polled[i] = (struct pollfd){.fd = exchanges[i].fd, .events = POLLIN};
    }
    (void)poll(polled, PLACES, 10);
    for (size_t i = 0; i < PLACES; i++) {
      if (exchanges[i].fd < 0 || go_on(&exchanges[i], polled[i].revents != 0, QUIET_MS)) continue;
      if (reported) fprintf(reported, "%s: %llu:", vsi_adapter.name, (unsigned long long)exchanges[i].number);
      end(&exchanges[i], seed);
      if (reported) fputc('\n', reported);
      open--;
    }
  }
  if (reported) fclose(reported);
  reported = NULL;
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
  if (failures) FAIL("%u of %llu texts were read in another way", failures, (unsigned long long)most);
  CHECK(served > most / 8 && refused > most / 8); /* the texts differed */
}

static const vsi_case cases[] = {
    VSI_CASE(handlers_see_the_only_valid_reading, VSI_RULE_READING,
             "takes_feeds, has_own_paths, has_own_targets, is_blind_to"),
};

const vsi_suite vsi_readings_suite = VSI_SUITE("readings", cases);
