/* SPDX-License-Identifier: MIT */
#include "testing/contract/readings.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- generating -------------------------------------------------------------------------------------------------- */

typedef struct dice {
  uint64_t state;
} dice;

/* splitmix64 */
static uint64_t roll(dice *d) {
  uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static size_t below(dice *d, size_t count) {
  return (size_t)(roll(d) % count);
}

static const char *const firsts[] = {
    "GET /saw HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /saw/a%20b?x=1&y=%20z HTTP/1.1\r\nHost: a:80\r\nX-A: one two\r\nX-B:\r\nCookie: a=b; c=d\r\n\r\n",
    "POST /saw HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nContent-Length: 5\r\nX-B: 2\r\n\r\nhello",
    "POST /saw/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /saw HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-B: t\r\n\r\n",
    "GET /saw HTTP/1.0\r\nX-A: 1\r\nConnection: keep-alive\r\n\r\n",
    "POST /saw HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nab",
    "GET http://a/saw?q HTTP/1.1\r\nHost: a\r\nX-A:\t tabs\t in \t\r\n\r\n",
    "GET /saw/%C3%BC HTTP/1.1\r\nHost:a\r\nX-A: \xc3\xbc\r\nConnection: keep-alive\r\n\r\n",
    "POST /saw HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nx-a: b\r\n\r\n",
    "DELETE /saw HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
    "POST /saw HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
};

static const char *const bits[] = {
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    ",",
    ";",
    "/",
    "//",
    "/../",
    "/./",
    "?",
    "#",
    "%",
    "%2f",
    "%2F",
    "%00",
    "%5c",
    "%61",
    "%20",
    "\\",
    ".",
    "\x01",
    "\x7f",
    "\x80",
    "\xc3",
    "+",
    "=",
    "\"",
    "<",
    " HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "http/1.1",
    "Host: b\r\n",
    "Host: a\r\n",
    "Host : a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "\r\n folded",
    "\n folded",
    "\r\n\tfolded",
    "\r\n \r\n",
    " \r\n",
    " \n",
    "X-A\r\n",
    ": v\r\n",
    ":\r\n",
    " X-A: 3\r\n",
    "X-A: 3\n",
    "X-A: 3 \n",
    "X-B: \r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Upgrade: h2c\r\n",
    "0\r\n",
    "0\r\n\r\n",
    ";x=y",
    "0x5",
    "00",
    "5",
    "g",
    "GET /saw HTTP/1.1\r\nHost: a\r\n\r\n",
    "Expect: 100-continue\r\n",
    "Trailer: X-B\r\n",
    "Range: bytes=0-1\r\n",
    "X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
};

enum { FIRSTS = sizeof firsts / sizeof *firsts, BITS = sizeof bits / sizeof *bits, MOST_CHANGES = 4, ROOM = 2048 };

/* Replace old_len bytes at this position by len bytes. */
static void replace(vsi_readings_text *text, size_t at, size_t old_len, const char *data, size_t len) {
  if (text->len - old_len + len > ROOM) return;
  char copy[256];
  if (len > sizeof copy) len = sizeof copy;
  memcpy(copy, data, len);
  memmove(text->bytes + at + len, text->bytes + at + old_len, text->len - at - old_len);
  memcpy(text->bytes + at, copy, len);
  text->len = text->len - old_len + len;
}

static void change(dice *d, vsi_readings_text *text) {
  size_t at = below(d, text->len + 1), left = text->len - at;
  if (left && below(d, 3) == 0) { /* line boundaries offer more different readings */
    const char *line = memchr(text->bytes + at, "\r\n:"[below(d, 3)], left);
    if (line) at = (size_t)(line - text->bytes) + below(d, 3);
    if (at > text->len) at = text->len;
    left = text->len - at;
  }
  const char *bit = bits[below(d, BITS)];
  char byte = (char)roll(d);
  size_t few = 1 + below(d, 6);
  if (few > left) few = left;
  switch (below(d, 6)) {
  case 0: replace(text, at, few, "", 0); break;
  case 1: replace(text, at, 0, &byte, 1); break;
  case 2: replace(text, at, left ? 1 : 0, &byte, 1); break;
  case 3: replace(text, at, left ? 1 : 0, bit, strlen(bit)); break;
  case 4: replace(text, at, 0, text->bytes + below(d, text->len ? text->len : 1), few); break;
  default: replace(text, at, 0, bit, strlen(bit)); break;
  }
}

void vsi_readings_make(uint64_t seed, uint64_t number, vsi_readings_text *ret_text) {
  static const char second[] = "GET /saw/second?2 HTTP/1.1\r\nHost: a\r\nX-B: second\r\nConnection: close\r\n\r\n";
  dice d = {seed * UINT64_C(0x2545f4914f6cdd1d) + number};
  const char *first = firsts[below(&d, FIRSTS)];
  ret_text->len = strlen(first);
  memcpy(ret_text->bytes, first, ret_text->len);
  ret_text->changes_count = (unsigned)below(&d, MOST_CHANGES + 1);
  for (unsigned i = 0; i < ret_text->changes_count; i++) change(&d, ret_text);
  memcpy(ret_text->bytes + ret_text->len, second, sizeof second - 1);
  ret_text->len += sizeof second - 1;
}

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

typedef struct cursor {
  const char *at, *end;
  bool takes_feeds;
} cursor;

static bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A line without its end. false: there is none. */
static bool take_line(cursor *c, vsi_readings_span *ret_line) {
  const char *feed = c->at < c->end ? memchr(c->at, '\n', (size_t)(c->end - c->at)) : NULL;
  if (!feed) return false;
  const bool has_return = feed > c->at && feed[-1] == '\r';
  if (!has_return && !c->takes_feeds) return false;
  *ret_line = (vsi_readings_span){c->at, (size_t)(feed - c->at) - has_return};
  c->at = feed + 1;
  return true;
}

/* Bytes above 126 must not be sent, but a server may accept them in a query: all parsers read them the same. */
static bool is_visible(vsi_readings_span text) {
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f) return false;
  return text.len > 0;
}

static bool is_value(vsi_readings_span text) {
  for (size_t i = 0; i < text.len; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    if ((byte < ' ' && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

static vsi_readings_span trim(vsi_readings_span text) {
  while (text.len && (*text.data == ' ' || *text.data == '\t')) text.data++, text.len--;
  while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) text.len--;
  return text;
}

static bool is_text(vsi_readings_span span, const char *text) {
  return span.len == strlen(text) && strncasecmp(span.data, text, span.len) == 0;
}

/* If lines may end with a bare LF, the first line ends with two bytes of CR, LF and space in any combination, because
 * the parser does not distinguish them there. */
static bool take_first_line(cursor *c, vsi_readings_span *ret_line) {
  if (!c->takes_feeds) return take_line(c, ret_line);
  const char *end = c->at;
  while (end < c->end && *end != '\r' && *end != '\n') end++;
  if (c->end - end < 2 || !strchr(" \r\n", end[1]) || !end[1]) return false;
  *ret_line = (vsi_readings_span){c->at, (size_t)(end - c->at)};
  c->at = end + 2;
  return true;
}

/* METHOD SP target SP HTTP/1.x */
static bool read_line(vsi_readings_span line, vsi_readings_request *request, bool *ret_is_old) {
  const char *end = line.data + line.len, *blank = memchr(line.data, ' ', line.len);
  if (!blank || blank == line.data) return false;
  for (const char *at = line.data; at < blank; at++)
    if (!is_token_char(*at)) return false;
  const char *target = blank + 1, *second = memchr(target, ' ', (size_t)(end - target));
  if (!second) return false;
  request->method = (vsi_readings_span){line.data, (size_t)(blank - line.data)};
  request->target = (vsi_readings_span){target, (size_t)(second - target)};
  const vsi_readings_span version = {second + 1, (size_t)(end - second) - 1};
  *ret_is_old = version.len == 8 && memcmp(version.data, "HTTP/1.0", 8) == 0;
  return is_visible(request->target) && version.len == 8 && (*ret_is_old || memcmp(version.data, "HTTP/1.1", 8) == 0);
}

/* Lines up to an empty one. headers: NULL: skip them. */
static bool read_headers(cursor *c, vsi_readings_request *headers) {
  vsi_readings_span line;
  while (take_line(c, &line)) {
    if (!line.len) return true;
    const char *colon = memchr(line.data, ':', line.len);
    if (!colon || colon == line.data) return false;
    for (const char *at = line.data; at < colon; at++)
      if (!is_token_char(*at)) return false;
    const vsi_readings_span value = trim((vsi_readings_span){colon + 1, (size_t)(line.data + line.len - colon) - 1});
    if (!is_value(value)) return false;
    if (!headers) continue;
    if (headers->headers_count == VSI_READINGS_HEADERS) return false;
    headers->names[headers->headers_count] = (vsi_readings_span){line.data, (size_t)(colon - line.data)};
    headers->values[headers->headers_count++] = value;
  }
  return false;
}

typedef struct framing {
  bool is_chunked;
  size_t length;
} framing;

/* false: there is more than one reading. */
static bool read_framing(const vsi_readings_request *request, bool is_old, framing *ret_framing) {
  size_t hosts = 0, encodings = 0;
  vsi_readings_span length = {NULL, 0};
  *ret_framing = (framing){.length = 0};
  for (size_t i = 0; i < request->headers_count; i++) {
    const vsi_readings_span name = request->names[i], value = request->values[i];
    hosts += is_text(name, "Host");
    if (is_text(name, "Transfer-Encoding") && (encodings++ || !is_text(value, "chunked"))) return false;
    if (!is_text(name, "Content-Length")) continue;
    if (length.data && (length.len != value.len || memcmp(length.data, value.data, value.len) != 0)) return false;
    length = value;
  }
  if (hosts > 1 || (!hosts && !is_old) || (encodings && (is_old || length.data))) return false;
  ret_framing->is_chunked = encodings > 0;
  if (length.data && (!length.len || length.len > 18)) return false;
  for (size_t i = 0; i < length.len; i++) {
    if (length.data[i] < '0' || length.data[i] > '9') return false;
    ret_framing->length = ret_framing->length * 10 + (size_t)(length.data[i] - '0');
  }
  return true;
}

static bool take_bytes(cursor *c, vsi_readings_request *request, size_t len) {
  if (len > (size_t)(c->end - c->at)) return false;
  memcpy(request->body + request->body_len, c->at, len);
  request->body_len += len;
  c->at += len;
  return true;
}

/* false: the body is incomplete or invalid. A line of chunks contains no bare LF, no CR, and no control byte in an
 * extension. A server that accepts one must not continue after this request. */
static bool read_chunks(cursor *c, vsi_readings_request *request) {
  cursor feeds = *c;
  feeds.takes_feeds = true;
  for (vsi_readings_span line; take_line(&feeds, &line);) {
    size_t count = 0, size = 0;
    for (; count < line.len && count < 8 && isxdigit((unsigned char)line.data[count]); count++) {
      const char digit = line.data[count];
      size = size * 16 + (size_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    const vsi_readings_span extension = {line.data + count, line.len - count};
    if (!count || (extension.len && *extension.data != ';' && !(c->takes_feeds && *extension.data == '\r')))
      return false;
    request->is_last |= line.data[line.len] != '\r' || !is_value(extension);
    if (!size) {
      c->at = feeds.at;
      request->is_last |= !read_headers(c, NULL);
      return true;
    }
    if (!take_bytes(&feeds, request, size) || !take_line(&feeds, &line) || line.len) return false;
    request->is_last |= *line.data != '\r';
  }
  return false;
}

/* …after an HTTP/1.0 request without a header, such bytes may be an empty line, or hide the other headers: a server
 * that accepts them must close. */
static bool hides_headers(const cursor *c) {
  return c->takes_feeds && c->end - c->at >= 2 && strchr(" \r\n", c->at[0]) && strchr(" \r\n", c->at[1]) && c->at[0] &&
         c->at[1] && memcmp(c->at, "\r\n", 2) != 0;
}

size_t vsi_readings_read(const vsi_readings_text *text, bool takes_feeds,
                         vsi_readings_request ret_requests[VSI_READINGS_REQUESTS]) {
  cursor c = {text->bytes, text->bytes + text->len, takes_feeds};
  size_t count = 0;
  while (count < VSI_READINGS_REQUESTS) {
    vsi_readings_request *request = &ret_requests[count];
    vsi_readings_span line;
    framing found;
    bool is_old;
    memset(request, 0, sizeof *request);
    /* empty lines, which every parser skips */
    while (c.at < c.end && (*c.at == '\r' || *c.at == '\n' || (takes_feeds && *c.at == ' '))) c.at++;
    if (!take_first_line(&c, &line) || !read_line(line, request, &is_old)) break;
    if (is_old && hides_headers(&c)) {
      request->is_last = true;
      return count + 1;
    }
    if (!read_headers(&c, request) || !read_framing(request, is_old, &found)) break;
    if (found.is_chunked ? !read_chunks(&c, request) : !take_bytes(&c, request, found.length)) break;
    count++;
    if (request->is_last) break;
  }
  return count;
}

vsi_readings_span vsi_readings_header(const vsi_readings_request *request, const char *name) {
  for (size_t i = 0; i < request->headers_count; i++)
    if (is_text(request->names[i], name)) return request->values[i];
  return (vsi_readings_span){NULL, 0};
}
