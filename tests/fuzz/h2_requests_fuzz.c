/* SPDX-License-Identifier: MIT */
/* Requests to the HTTP/2 adapter. A handler that is called sees the only reading of what was sent: each pseudo-header
 * field once and first, names of lower-case tokens, no field about the connection, the announced length, cookies
 * joined, nothing of the trailers; otherwise the request was refused before.
 *
 * Input: a byte of flags, and one that says where the head is split; then the fields, "name: value" and a line feed
 * each; an empty line; the body up to a NUL; and trailers in the form of the fields. */
#include "fuzz/h2_peer.h"
#include "vestry/vestry.h"

enum { HAS_TABLE = 1, IS_SPLIT = 2, HAS_TRAILERS = 4, ENDS_EARLY = 8, FIELDS_MOST = 64, VALUE_MOST = 8192, ID = 1 };

typedef struct text {
  const uint8_t *at;
  size_t len;
} text;

typedef struct field {
  text name, value;
} field;

typedef struct fields {
  size_t count;
  field all[FIELDS_MOST];
} fields;

static fields head, trailers;
static text body;
static int calls;

static bool is(text a, const char *b) {
  return a.len == strlen(b) && memcmp(a.at, b, a.len) == 0;
}

static bool is_same(text a, text b) {
  return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

/* ---- the reading ------------------------------------------------------------------------------------------------- */

static size_t count_of(const fields *of, const char *name, text *ret_first) {
  size_t count = 0;
  for (size_t i = 0; i < of->count; i++)
    if (is(of->all[i].name, name) && !count++) *ret_first = of->all[i].value;
  return count;
}

static bool is_token(text name) {
  for (size_t i = 0; i < name.len; i++)
    if (!name.at[i] || !strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz", name.at[i])) return false;
  return name.len;
}

static bool is_value(text value) {
  for (size_t i = 0; i < value.len; i++)
    if ((value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f) return false;
  return true;
}

static void require_one_reading(void) {
  static const char *const of_connection[] = {"connection", "keep-alive", "proxy-connection", "upgrade",
                                              "transfer-encoding"};
  bool has_plain = false;
  text found, host;
  for (size_t i = 0; i < head.count; i++) {
    const field *at = &head.all[i];
    const bool is_pseudo = at->name.len && *at->name.at == ':';
    require(!is_pseudo || !has_plain);
    has_plain |= !is_pseudo;
    if (is_pseudo)
      require(is(at->name, ":method") || is(at->name, ":path") || is(at->name, ":scheme") ||
              is(at->name, ":authority"));
    else
      require(is_token(at->name));
    require(is_value(at->value));
  }
  require(count_of(&head, ":scheme", &found) == 1 && (is(found, "http") || is(found, "https")));
  require(count_of(&head, ":method", &found) == 1 && found.len);
  require(count_of(&head, ":path", &found) == 1 && found.len && *found.at == '/');
  require(count_of(&head, ":authority", &found) <= 1 && count_of(&head, "host", &host) <= 1);
  require(count_of(&head, ":authority", &found) + count_of(&head, "host", &host) > 0);
  if (count_of(&head, ":authority", &found) && count_of(&head, "host", &host)) require(is_same(found, host));
  for (size_t i = 0; i < sizeof of_connection / sizeof *of_connection; i++)
    require(!count_of(&head, of_connection[i], &found));
  if (count_of(&head, "content-length", &found)) {
    char number[32] = "";
    require(count_of(&head, "content-length", &found) == 1 && found.len && found.len < sizeof number);
    memcpy(number, found.at, found.len);
    require(strspn(number, "0123456789") == found.len && strtoull(number, NULL, 10) == body.len);
  }
}

/* ---- the handler ------------------------------------------------------------------------------------------------- */

static void require_text(const char *seen, text sent) {
  require(seen && strlen(seen) == sent.len && memcmp(seen, sent.at, sent.len) == 0);
}

static void require_cookies(const vestry_request *req) {
  static uint8_t joined[FIELDS_MOST * VALUE_MOST];
  size_t len = 0, count = 0;
  for (size_t i = 0; i < head.count; i++) {
    const text value = head.all[i].value;
    if (!is(head.all[i].name, "cookie")) continue;
    if (count++) memcpy(joined + len, "; ", 2), len += 2;
    memcpy(joined + len, value.at, value.len);
    len += value.len;
  }
  const char *seen = vestry_request_header(req, "Cookie");
  if (count)
    require_text(seen, (text){joined, len});
  else
    require(!seen);
}

static vestry_err check(const vestry_request *req, vestry_reply *reply, void *app) {
  char name[VALUE_MOST];
  text first;
  calls++;
  require_one_reading();
  (void)count_of(&head, ":method", &first);
  require_text(req->method, first);
  if (!count_of(&head, ":authority", &first)) (void)count_of(&head, "host", &first);
  require_text(vestry_request_header(req, "Host"), first);
  require_cookies(req);
  require(is_same((text){(const uint8_t *)req->body.data, req->body.len}, body));
  for (size_t i = 0; i < head.count + trailers.count; i++) {
    const field *at = i < head.count ? &head.all[i] : &trailers.all[i - head.count];
    if (!is_token(at->name) || is(at->name, "cookie") || is(at->name, "host")) continue;
    memcpy(name, at->name.at, at->name.len);
    name[at->name.len] = '\0';
    if (count_of(&head, name, &first))
      require_text(vestry_request_header(req, name), first);
    else
      require(!vestry_request_header(req, name));
  }
  return vestry_reply_body(reply, "text/plain", "seen", 4);
}

/* ---- the input --------------------------------------------------------------------------------------------------- */

/* Take fields up to an empty line. */
static void take_fields(fields *to, text *from) {
  to->count = 0;
  while (from->len && *from->at != '\n' && to->count < FIELDS_MOST) {
    const uint8_t *end = memchr(from->at, '\n', from->len), *line = from->at;
    const size_t len = end ? (size_t)(end - line) : from->len;
    const uint8_t *colon = len > 1 ? memchr(line + 1, ':', len - 1) : NULL;
    const uint8_t *value = colon ? colon + 1 : line + len;
    if (value < line + len && *value == ' ') value++;
    to->all[to->count++] = (field){{line, colon ? (size_t)(colon - line) : len}, {value, (size_t)(line + len - value)}};
    from->at += len + (end != NULL);
    from->len -= len + (end != NULL);
  }
  if (from->len) from->at++, from->len--;
}

static size_t put_text(uint8_t *to, text from) {
  size_t at = 0, left = from.len;
  if (left < 127) {
    to[at++] = (uint8_t)left;
  } else {
    to[at++] = 127;
    for (left -= 127; left >= 128; left >>= 7) to[at++] = (uint8_t)(left | 128);
    to[at++] = (uint8_t)left;
  }
  if (from.len) memcpy(to + at, from.at, from.len);
  return at + from.len;
}

/* Send fields as literals. split: length of the first frame; 0: one frame */
static void send_fields(peer *p, const fields *from, uint8_t flags, size_t split) {
  static uint8_t bytes[FIELDS_MOST * (VALUE_MOST + 16)];
  size_t len = 0;
  bytes[len++] = 0x20; /* the size of the table */
  for (size_t i = 0; i < from->count; i++) {
    bytes[len++] = 0;
    len += put_text(bytes + len, from->all[i].name);
    len += put_text(bytes + len, from->all[i].value);
  }
  if (!split || split > len) split = len;
  peer_frame(p, NGHTTP2_HEADERS, (uint8_t)(flags | (split == len ? NGHTTP2_FLAG_END_HEADERS : 0)), ID, bytes, split);
  if (split < len) peer_frame(p, NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, ID, bytes + split, len - split);
}

static void prepare(void) {
  static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"}, *const paths[] = {"/", "/a", "/a/{b}"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
      require(!vestry_route(peer_vestry(), methods[i], paths[k], check, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool is_ready;
  peer p;
  if (!is_ready) prepare();
  is_ready = true;
  if (size < 2 || size > VALUE_MOST) return 0;
  const uint8_t flags = data[0];
  text from = {data + 2, size - 2};
  take_fields(&head, &from);
  const uint8_t *nul = from.len ? memchr(from.at, 0, from.len) : NULL;
  body = (text){from.at, nul ? (size_t)(nul - from.at) : from.len};
  from = nul ? (text){nul + 1, from.len - body.len - 1} : (text){from.at + from.len, 0};
  trailers.count = 0;
  if (flags & HAS_TRAILERS) take_fields(&trailers, &from);
  const bool ends_early = flags & ENDS_EARLY, ends = ends_early || (!body.len && !trailers.count);
  const text sent = body;
  if (ends_early) body.len = trailers.count = 0; /* for the handler: what follows the end is no part of the request */
  calls = 0;
  peer_begin(&p, flags & HAS_TABLE);
  send_fields(&p, &head, ends ? NGHTTP2_FLAG_END_STREAM : 0, flags & IS_SPLIT ? data[1] : 0);
  if (sent.len) peer_frame(&p, NGHTTP2_DATA, trailers.count ? 0 : NGHTTP2_FLAG_END_STREAM, ID, sent.at, sent.len);
  if (trailers.count) send_fields(&p, &trailers, NGHTTP2_FLAG_END_STREAM, 0);
  peer_end(&p);
  require(calls <= 1);
  return 0;
}
