/* SPDX-License-Identifier: MIT */
/* Heads of requests (RFC 9113, 8.2 and 8.3): one that a proxy could read in another way is refused, by a reset of its
 * stream or by 400, and its session goes on. All others arrive as they were sent. */
#include <stdlib.h>
#include <string.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"

enum { RESET = 0, REFUSED = 1, MOST_FIELDS = 14 };

static vsi_server s;

typedef struct head {
  int status; /* RESET: the stream is reset; REFUSED: it is reset, or 400, which depends on the version of nghttp2 */
  const char *fields[MOST_FIELDS];
} head;

#define GET                ":method", "GET", ":scheme", "http"
#define POST               ":method", "POST", ":scheme", "http"
#define ECHO               GET, ":authority", "a", ":path", "/echo"
#define PATH(path)         GET, ":authority", "a", ":path", path, NULL
#define AUTHORITY(name)    GET, ":authority", name, ":path", "/echo", NULL
#define METHOD(name)       ":method", name, ":scheme", "http", ":authority", "a", ":path", "/echo", NULL
#define SCHEME(name)       ":method", "GET", ":scheme", name, ":authority", "a", ":path", "/echo", NULL
#define FIELD(name, value) ECHO, name, value, NULL
#define LENGTH(value)      POST, ":authority", "a", ":path", "/echo", "content-length", value, NULL

static const head heads[] = {
    {200, {ECHO, NULL}},

    /* Pseudo-header fields (8.3): missing, twice, unknown, of responses, after other fields. */
    {RESET, {":method", "GET", ":authority", "a", ":path", "/echo", NULL}},
    {RESET, {":scheme", "http", ":authority", "a", ":path", "/echo", NULL}},
    {RESET, {GET, ":authority", "a", NULL}},
    {RESET, {GET, ":path", "/echo", NULL}},
    {RESET, {ECHO, ":path", "/other", NULL}},
    {RESET, {ECHO, ":method", "POST", NULL}},
    {RESET, {ECHO, ":scheme", "http", NULL}},
    {RESET, {ECHO, ":authority", "b", NULL}},
    {RESET, {ECHO, ":status", "200", NULL}},
    {RESET, {ECHO, ":test", "ok", NULL}},
    {RESET, {ECHO, ":protocol", "websocket", NULL}},
    {RESET, {GET, ":authority", "a", "x", "1", ":path", "/echo", NULL}},

    /* The path (8.3.1) begins with a slash, and has no fragment, space or control character. */
    {200, {PATH("/echo?a=%20b")}},
    {404, {PATH("/other")}},
    {RESET, {PATH("")}},
    {RESET, {PATH("echo")}},
    {RESET, {PATH("*")}},
    {RESET, {PATH("http://a/echo")}},
    {RESET, {PATH("a:80")}},
    {RESET, {PATH("/echo x")}},
    {RESET, {PATH("/echo\t")}},
    {RESET, {PATH("/echo\1")}},
    {RESET, {PATH("/echo\x7f")}},
    {RESET, {PATH("/echo\r\nx: y")}},
    {RESET, {PATH("/echo HTTP/1.1\r\nhost: b\r\n\r\n")}},
    {400, {PATH("/echo#a")}},
    {400, {PATH("/echo?a#b")}},
    {400, {PATH("//echo")}},
    {400, {PATH("/x/../echo")}},
    {400, {PATH("/x/%2e%2e/echo")}},
    {400, {PATH("/%2fecho")}},
    {400, {PATH("/echo\\")}},
    {400, {PATH("/echo%00")}},
    {400, {PATH("/echo%")}},
    {400, {PATH("/\xc3\xa4")}},

    /* The authority has no user, and is the Host if there is one. */
    {200, {AUTHORITY("a:8443")}},
    {200, {ECHO, "host", "a", NULL}},
    {200, {GET, ":path", "/echo", "host", "a", NULL}},
    {200, {ECHO, "host", "A", NULL}},
    {200, {ECHO, "host", "a:80", NULL}},
    {200, {ECHO, "host", "a:", NULL}},
    {200, {GET, ":authority", "A:80", ":path", "/echo", "host", "a", NULL}},
    {200, {GET, ":authority", "[::1]", ":path", "/echo", "host", "[::1]:80", NULL}},
    {200, {":method", "GET", ":scheme", "https", ":authority", "a:443", ":path", "/echo", "host", "a", NULL}},
    {400, {ECHO, "host", "a:443", NULL}},
    {400, {ECHO, "host", "a:81", NULL}},
    {400, {GET, ":authority", "[::1]", ":path", "/echo", "host", "[::2]", NULL}},
    {400, {ECHO, "host", "b", NULL}},
    {RESET, {ECHO, "host", "", NULL}},
    {RESET, {ECHO, "host", "a", "host", "a", NULL}},
    {RESET, {ECHO, "host", "a", "host", "b", NULL}},
    {REFUSED, {AUTHORITY("a@b")}},
    {400, {AUTHORITY("a,b")}},
    {RESET, {AUTHORITY("a/b")}},
    {RESET, {AUTHORITY("a?b")}},
    {RESET, {AUTHORITY("a#b")}},
    {RESET, {AUTHORITY("a b")}},
    {RESET, {AUTHORITY("a\r\nx: y")}},
    {RESET, {AUTHORITY("")}},

    /* The method is a token; CONNECT has no path, and is not served. */
    {405, {METHOD("PURGE")}},
    {405, {METHOD("get")}},
    {RESET, {METHOD("")}},
    {RESET, {METHOD("GE T")}},
    {RESET, {METHOD("GET\r\n")}},
    {RESET, {METHOD("GET /other HTTP/1.1")}},
    {RESET, {METHOD("CONNECT")}},
    {400, {":method", "CONNECT", ":authority", "a:443", NULL}},

    {400, {SCHEME("ftp")}},
    {200, {SCHEME("HTTP")}},
    {200, {SCHEME("https")}},
    {RESET, {SCHEME("")}},
    {RESET, {SCHEME("http:")}},
    {RESET, {SCHEME("http://a")}},

    /* Names are lower-case tokens, and values have no control characters and no blanks around them (8.2.1). */
    {200, {FIELD("x-a_b.c~", "a \tb\xc3\xa4")}},
    {200, {FIELD("x", "")}},
    {RESET, {FIELD("Upper", "1")}},
    {RESET, {FIELD("", "1")}},
    {RESET, {FIELD("a b", "1")}},
    {RESET, {FIELD("a:", "1")}},
    {RESET, {FIELD("a\r\nb", "1")}},
    {RESET, {FIELD("\xc3\xa4", "1")}},
    {RESET, {FIELD("x", "a\r\nb: c")}},
    {RESET, {FIELD("x", "a\nb")}},
    {RESET, {FIELD("x", "a\rb")}},
    {RESET, {FIELD("x", "a\1")}},
    {RESET, {FIELD("x", " a")}},
    {RESET, {FIELD("x", "a\t")}},

    /* Fields about the connection (8.2.2). */
    {200, {FIELD("te", "trailers")}},
    {RESET, {FIELD("te", "gzip")}},
    {RESET, {FIELD("te", "trailers, deflate;q=0.5")}},
    {RESET, {FIELD("connection", "close")}},
    {RESET, {FIELD("keep-alive", "1")}},
    {RESET, {FIELD("proxy-connection", "keep-alive")}},
    {RESET, {FIELD("upgrade", "websocket")}},
    {RESET, {FIELD("transfer-encoding", "chunked")}},
    {RESET, {FIELD("transfer-encoding", "")}},

    /* The length: a number, once, and that of the body, which is empty here (8.1.1). */
    {200, {LENGTH("0")}},
    {RESET, {LENGTH("5")}},
    {RESET, {LENGTH("0, 0")}},
    {RESET, {LENGTH("+0")}},
    {RESET, {LENGTH("-1")}},
    {RESET, {LENGTH("")}},
    {RESET, {LENGTH("0x0")}},
    {RESET, {LENGTH("18446744073709551616")}},
    {RESET, {POST, ":authority", "a", ":path", "/echo", "content-length", "0", "content-length", "0", NULL}},
    {RESET, {POST, ":authority", "a", ":path", "/echo", "content-length", "0", "content-length", "1", NULL}},
};

TEST_CASE(ambiguous_heads_are_refused) {
  unsigned wrong = 0;
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    frames_client c;
    frames_connect(&c, s.port, 0);
    frames_ask(&c, 1, FLAG_END_STREAM, heads[i].fields);
    const int status = frames_status(&c, 1);
    frames_get(&c, 3, "/echo"); /* the session goes on */
    const int next = frames_status(&c, 3);
    const bool is_right = heads[i].status == REFUSED ? status == 400 || status == RESET : status == heads[i].status;
    if (!is_right || next != 200) {
      for (const char *const *at = heads[i].fields; *at; at += 2) print_error("%s: \"%s\", ", at[0], at[1]);
      print_error("%d instead of %d; next request: %d\n", status, heads[i].status, next);
      wrong++;
    }
    frames_close(&c);
  }
  assert_int_equal(wrong, 0);
  vsi_server_stop(&s);
}

/* A NUL in each part of a head. */
TEST_CASE(heads_with_nul_are_refused) {
  static const struct {
    const char *bytes;
    size_t len;
  } texts[] = {
#define WITH(bytes) {(bytes), sizeof(bytes) - 1}
      WITH("\x20\x82\x86\x01\x01"
           "a"
           "\x04\x07/echo\0x"),
      WITH("\x20\x82\x86\x01\x03"
           "a\0b"
           "\x04\x05/echo"),
      WITH("\x20\x86\x02\x04GET\0\x01\x01"
           "a"
           "\x04\x05/echo"),
      WITH("\x20\x82\x06\x05http\0\x01\x01"
           "a"
           "\x04\x05/echo"),
      WITH("\x20\x82\x86\x01\x01"
           "a"
           "\x04\x05/echo\0\x03x\0y\x01z"),
      WITH("\x20\x82\x86\x01\x01"
           "a"
           "\x04\x05/echo\0\x01x\x03y\0z"),
  };
  frames_client c;
  uint32_t id = 1;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++, id += 2) {
    frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, id, texts[i].bytes, texts[i].len);
    assert_int_equal(frames_status(&c, id), RESET);
  }
  frames_get(&c, id, "/echo");
  assert_int_equal(frames_status(&c, id), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- what handlers see ------------------------------------------------------------------------------------------- */

static vestry_err show(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *cookie = vestry_request_header(req, "Cookie"), *host = vestry_request_header(req, "Host"),
             *trailer = vestry_request_header(req, "x-trailer"), *twice = vestry_request_header(req, "twice");
  return vestry_reply_bodyf(reply, "%s|%s|%s|%s", host ? host : "-", cookie ? cookie : "-", twice ? twice : "-",
                            trailer ? trailer : "-");
}

static void assert_body(frames_client *c, uint32_t id, const char *body) {
  assert_int_equal(frames_status(c, id), 200);
  assert_true(frames_wait(c, FRAME_DATA, id));
  assert_int_equal(c->last.len, strlen(body));
  assert_memory_equal(c->last.bytes, body, strlen(body));
}

/* RFC 9113, 8.2.3: a client may send each cookie as a field. Fields of trailers are not those of the head. */
TEST_CASE(cookies_are_joined_and_trailers_kept_apart) {
#define SHOW ":scheme", "http", ":authority", "a:1", ":path", "/show"
  static const char *const
      one[] = {":method", "GET", SHOW, "cookie", "a=b", NULL},
      *const crumbs[] = {":method", "GET", SHOW, "cookie", "a=b", "twice", "1", "cookie", "c=d", "cookie", "e=f", NULL},
      *const empty[] = {":method", "GET", SHOW, "cookie", "", "cookie", "c=d", NULL},
      *const body[] = {":method", "POST", SHOW, NULL}, *const trailers[] = {"x-trailer", "1", "cookie", "x=y", NULL};
  frames_client c;
  server_start(&s, NULL);
  assert_int_equal(vestry_route(s.v, "GET", "/show", show, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "POST", "/show", show, NULL), VESTRY_OK);
  frames_connect(&c, s.port, 0);
  frames_ask(&c, 1, FLAG_END_STREAM, one);
  assert_body(&c, 1, "a:1|a=b|-|-");
  frames_ask(&c, 3, FLAG_END_STREAM, crumbs);
  assert_body(&c, 3, "a:1|a=b; c=d; e=f|1|-");
  frames_ask(&c, 5, FLAG_END_STREAM, empty);
  assert_body(&c, 5, "a:1|; c=d|-|-");
  frames_ask(&c, 7, 0, body);
  frames_send(&c, FRAME_DATA, 0, 7, "{}", 2);
  frames_ask(&c, 7, FLAG_END_STREAM, trailers);
  assert_body(&c, 7, "a:1|-|-|-");
  frames_close(&c);
  vsi_server_stop(&s);
}

TEST_CASE(large_heads_get_431) {
  char large[2000];
  memset(large, 'a', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  const char *const fields[] = {ECHO, "x", large, NULL};
  frames_client c;
  server_start(&s, &(server_settings){.adapter.max_head_bytes = 1024});
  frames_connect(&c, s.port, 0);
  frames_ask(&c, 1, FLAG_END_STREAM, fields);
  assert_int_equal(frames_status(&c, 1), 431);
  frames_get(&c, 3, "/echo");
  assert_int_equal(frames_status(&c, 3), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* A stream that both sides have ended is closed: a reset would be a frame on a closed stream (RFC 9113, 5.1). */
TEST_CASE(only_a_request_that_goes_on_is_reset_after_its_response) {
  frames_client c;
  bool is_reset[2] = {false, false};
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  frames_get(&c, 1, "/echo");
  frames_post(&c, 3, "/other");
  for (unsigned ends = 0; ends < 2; ends += c.last.stream && c.last.flags & FLAG_END_STREAM) {
    assert_true(frames_read(&c));
    if (c.last.type == FRAME_RST_STREAM) is_reset[c.last.stream / 2] = true;
  }
  frames_send(&c, FRAME_PING, 0, 0, "12345678", 8);
  while (c.last.type != FRAME_PING) {
    assert_true(frames_read(&c));
    if (c.last.type == FRAME_RST_STREAM) is_reset[c.last.stream / 2] = frames_number(c.last.bytes) == 0;
  }
  assert_false(is_reset[0]);
  assert_true(is_reset[1]);
  frames_close(&c);
  vsi_server_stop(&s);
}
