/* SPDX-License-Identifier: MIT */
/* Requests: their heads, their bodies unless these are in pieces (body.c), and serving them.
 *
 * A head is a list of texts: a name, a NUL, a value and a NUL for each field. nghttp2 has checked them (RFC 9113, 8.1
 * to 8.3): names are lower-case tokens, no value has a control character, pseudo-header fields come first, once each,
 * and none is missing; fields about the connection are absent; the length of the body is the announced one. */
#include "adapter/h2/adapter.h"

#include "base/ascii.h"
#include "base/wait.h"
#include "http/body.h"

enum { LEAST_HEAD_BYTES = 512, LEAST_BODY_BYTES = 1024, PROOF_BYTES = 64 << 10 };

#define REST_NS UINT64_C(1000000000)
#define TURN_NS UINT64_C(250000)

/* ------------------------------------------------------------------------------------------------------ memory ---- */

/* Grow a buffer that is counted as a part of the instance's memory for requests. Returns 0, or a status. */
static int grow(vsi_h2_session *session, char **memory, size_t *capacity, size_t wanted, size_t least, size_t most) {
  size_t grown = *capacity ? *capacity : least;
  while (grown < wanted) grown *= 2;
  if (grown > most) grown = most;
  if (!vsi_h2_request_bytes_take(session, grown - *capacity)) return 503;
  char *made = vsi_realloc(session->host, *memory, grown);
  if (!made) {
    vsi_h2_request_bytes_give(session, grown - *capacity);
    return 500;
  }
  *memory = made;
  *capacity = grown;
  return 0;
}

/* ---------------------------------------------------------------------------------------------------- the head ---- */

/* Add a text and a NUL. */
static void add_text(vsi_h2_request *request, const void *text, size_t len) {
  memcpy(request->head + request->head_len, text, len);
  request->head_len += len;
  request->head[request->head_len++] = '\0';
}

static bool make_room(vsi_h2_session *session, vsi_h2_request *request, size_t bytes) {
  const size_t wanted = request->head_len + bytes;
  if (!request->refused && wanted > request->head_capacity)
    request->refused = grow(session, &request->head, &request->head_capacity, wanted, LEAST_HEAD_BYTES, SIZE_MAX);
  return !request->refused;
}

void vsi_h2_request_field(vsi_h2_stream *stream, const uint8_t *name, size_t name_len, const uint8_t *value,
                          size_t value_len) {
  const vsi_h2 *adapter = stream->session->adapter;
  vsi_h2_request *request = stream->request;
  request->listed += name_len + value_len + VSI_H2_FIELD_BYTES;
  if (!request->refused && request->listed > adapter->max_head_bytes) request->refused = 431;
  if (!make_room(stream->session, request, name_len + value_len + 2)) return;
  add_text(request, name, name_len);
  add_text(request, value, value_len);
}

/* A field of a head. name NULL: there are no more. */
typedef struct field {
  const char *name, *value;
} field;

static field next_field(const vsi_h2_request *request, const field *after) {
  const char *at = after ? after->value + strlen(after->value) + 1 : request->head;
  if (!at || at == request->head + request->head_len) return (field){NULL, NULL};
  return (field){at, at + strlen(at) + 1};
}

/* A client may split its cookies into several fields, which are joined (RFC 9113, 8.2.3). The single fields stay in the
 * list, but their names then begin with a colon, as those of pseudo-header fields, so they are not reported. */
static void join_cookies(vsi_h2_session *session, vsi_h2_request *request) {
  size_t count = 0, bytes = sizeof "cookie";
  for (field at = next_field(request, NULL); at.name; at = next_field(request, &at))
    if (strcmp(at.name, "cookie") == 0) count++, bytes += strlen(at.value) + 2;
  if (count < 2 || !make_room(session, request, bytes)) return;
  const size_t before = request->head_len;
  add_text(request, "cookie", sizeof "cookie" - 1);
  char *to = request->head + request->head_len;
  request->head_len = before; /* while the fields are visited */
  for (field at = next_field(request, NULL); at.name; at = next_field(request, &at)) {
    if (strcmp(at.name, "cookie") != 0) continue;
    const size_t len = strlen(at.value);
    memcpy(to, at.value, len);
    memcpy(to + len, "; ", 2);
    to += len + 2;
    request->head[at.name - request->head] = ':';
  }
  to[-2] = '\0';
  request->head_len = (size_t)(to - 1 - request->head);
}

/* Return whether a text is http or https, whatever its case (RFC 3986, 3.1). A proxy may send the scheme that its
 * client has used, which is not that of this connection (RFC 9113, 8.3.1). */
static bool is_web(const char *scheme) {
  return scheme && (vsi_strcasecmp(scheme, "https") == 0 || vsi_strcasecmp(scheme, "http") == 0);
}

/* Return the port of an authority with its colon; "": it has none. */
static const char *port_of(const char *authority) {
  const char *colon = strrchr(authority, ':');
  return colon && !strchr(colon, ']') ? colon : authority + strlen(authority);
}

/* Return whether two authorities are the same one: their names in any case, and the default port given or not
 * (RFC 9113, 8.3.1; RFC 9110, 4.2.3). */
static bool is_same(const char *a, const char *b, const char *scheme) {
  const char *usual = scheme && vsi_strcasecmp(scheme, "http") == 0 ? ":80" : ":443";
  const char *port_a = port_of(a), *port_b = port_of(b);
  const size_t len = (size_t)(port_a - a);
  if ((size_t)(port_b - b) != len || vsi_strncasecmp(a, b, len) != 0) return false;
  if (strcmp(port_a, usual) == 0 || strcmp(port_a, ":") == 0) port_a = "";
  if (strcmp(port_b, usual) == 0 || strcmp(port_b, ":") == 0) port_b = "";
  return strcmp(port_a, port_b) == 0;
}

/* Find the parts of the head. false: the Host differs from the authority. */
static bool find_parts(vsi_h2_stream *stream) {
  vsi_h2_request *request = stream->request;
  const char *host = NULL, *priority = NULL;
  bool is_clear = true;
  for (field at = next_field(request, NULL); at.name; at = next_field(request, &at)) {
    if (strcmp(at.name, ":method") == 0) request->method = at.value;
    if (strcmp(at.name, ":path") == 0) request->target = at.value;
    if (strcmp(at.name, ":scheme") == 0) request->scheme = at.value;
    if (strcmp(at.name, ":authority") == 0) request->authority = at.value;
    if (strcmp(at.name, "priority") == 0) priority = at.value;
    if (strcmp(at.name, "host") != 0) continue;
    is_clear &= !host;
    host = at.value;
  }
  vsi_h2_data_settle_priority(stream, priority);
  if (host && request->authority) is_clear &= is_same(host, request->authority, request->scheme);
  if (!request->authority) request->authority = host;
  return is_clear;
}

/* Return whether the server serves a name, without its port. */
static bool is_served(const vsi_h2 *adapter, const char *authority) {
  const size_t len = (size_t)(port_of(authority) - authority);
  if (!adapter->names) return true;
  for (char **at = adapter->names; *at; at++)
    if (strlen(*at) == len && vsi_strncasecmp(*at, authority, len) == 0) return true;
  return false;
}

/* Check a head that is complete. Returns the status of its refusal; 0: it can be served. */
static int check(vsi_h2_stream *stream, bool has_body) {
  const vsi_h2 *adapter = stream->session->adapter;
  vsi_h2_request *request = stream->request;
  join_cookies(stream->session, request);
  const bool is_clear = !request->refused && find_parts(stream) && request->target && is_web(request->scheme);
  if (request->refused) return request->refused;
  request->path = request->target ? vsi_alloc(adapter->host, strlen(request->target) + 2) : NULL;
  if (request->target && !request->path) return 500;
  if (!is_clear || vestry_target_read(request->target, request->path, &request->query) ||
      vestry_head_check(adapter->ops, stream, true, &request->body_length)) {
    vestry_reject(adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
    return 400;
  }
  if (has_body && !request->body_length) request->body_length = -1;
  request->is_head = strcmp(request->method, "HEAD") == 0;
  stream->is_action = !request->is_head && strcmp(request->method, "GET") != 0;
  if (is_served(adapter, request->authority)) return 0;
  vestry_reject(adapter->v, VESTRY_REFUSAL_MISDIRECTED);
  return 421;
}

bool vsi_h2_request_begin(vsi_h2_stream *stream, bool has_body) {
  const vsi_h2 *adapter = stream->session->adapter;
  vsi_h2_request *request = stream->request;
  request->refused = check(stream, has_body);
  if (request->refused || !has_body) return true;
  const char *method = request->method;
  request->is_routed = vestry_route_status(adapter->v, method, request->path, &request->max_body_bytes) == 200;
  if (!request->is_routed) return true;
  const vestry_err error = vsi_h2_body_begin(stream);
  if (error == VESTRY_NO_MEMORY) request->no_memory = true;
  if (error == VESTRY_LIMIT) request->refused = 503;
  const bool is_unwanted =
      (error && error != VESTRY_NOT_FOUND) ||
      (error && request->body_length > 0 && (uint64_t)request->body_length > request->max_body_bytes);
  if (is_unwanted) return true;
  if (stream->is_pieces) return false;
  if (vsi_h2_request_expects(stream)) vsi_h2_stream_invite(stream);
  enum { WHOLE_BYTES = 2 << 20 }; /* its bytes are counted as they arrive, so this only bounds those of a round trip */
  if (request->body_length < 0 || request->body_length > VSI_H2_WINDOW_BYTES)
    (void)nghttp2_session_set_local_window_size(stream->session->frames, NGHTTP2_FLAG_NONE, stream->id, WHOLE_BYTES);
  return false;
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

bool vsi_h2_request_take(vsi_h2_stream *stream, const uint8_t *data, size_t len) {
  vsi_h2_request *request = stream->request;
  /* One byte more than the limit shows that the body is too large. */
  const size_t room = request->max_body_bytes + 1 - request->body_len, part = len < room ? len : room;
  const size_t most = request->body_length > 0 ? (size_t)request->body_length : request->max_body_bytes + 1;
  if (request->body_len + part > request->body_capacity) {
    const int failed = grow(stream->session, &request->body, &request->body_capacity, request->body_len + part,
                            LEAST_BODY_BYTES, most);
    if (failed) {
      request->refused = failed;
      vsi_h2_request_forget_body(stream->session, request);
      return true;
    }
  }
  if (part) memcpy(request->body + request->body_len, data, part);
  request->body_len += part;
  return request->body_len > request->max_body_bytes;
}

void vsi_h2_request_arrived(vsi_h2_stream *stream) {
  vsi_h2_request_settle(stream);
  if (stream->is_pieces) {
    vsi_h2_body_wake(stream, VSI_H2_BODY_ENDED);
    return;
  }
  VSI_REFS_TAKE(&stream->refs);
  STAILQ_INSERT_TAIL(&stream->session->ready, stream, in_ready);
}

void vsi_h2_request_late(vsi_h2_stream *stream) {
  if (stream->is_pieces) {
    vsi_h2_request_settle(stream);
    vsi_h2_body_wake(stream, VSI_H2_BODY_LATE);
    return;
  }
  stream->request->is_late = true;
  vsi_h2_request_arrived(stream);
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

static const char *request_method(void *server_request) {
  return ((vsi_h2_stream *)server_request)->request->method;
}

static const char *request_path(void *server_request) {
  return ((vsi_h2_stream *)server_request)->request->path;
}

static const char *request_query(void *server_request) {
  return ((vsi_h2_stream *)server_request)->request->query;
}

static bool is_plain(const field *at) {
  return *at->name != ':' && strcmp(at->name, "host") != 0;
}

static const char *request_header(void *server_request, const char *name) {
  const vsi_h2_request *request = ((vsi_h2_stream *)server_request)->request;
  if (vsi_strcasecmp(name, "host") == 0) return request->authority;
  for (field at = next_field(request, NULL); at.name; at = next_field(request, &at))
    if (is_plain(&at) && vsi_strcasecmp(at.name, name) == 0) return at.value;
  return NULL;
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  const vsi_h2_request *request = ((vsi_h2_stream *)server_request)->request;
  if (request->authority) line(ctx, "host", request->authority);
  for (field at = next_field(request, NULL); at.name; at = next_field(request, &at))
    if (is_plain(&at)) line(ctx, at.name, at.value);
}

static const char *request_peer(void *server_request) {
  return ((vsi_h2_stream *)server_request)->session->peer;
}

static int64_t request_body_length(void *server_request) {
  return ((vsi_h2_stream *)server_request)->request->body_length;
}

static void request_room(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_web_gate_room(&((vsi_h2_stream *)server_request)->session->adapter->inner->gate, ret_streams, ret_capacity);
}

/* Read from the body, which is here completely, or with one byte more than allowed. */
static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  vsi_h2_stream *stream = server_request;
  vsi_h2_request *request = stream->request;
  if (request->no_memory) return VESTRY_NO_MEMORY;
  if (request->is_late) return VESTRY_TIMEOUT;
  if (request->body_length && !request->is_routed) return VESTRY_LIMIT; /* its route was mounted after its head came */
  const size_t left = request->body_len - request->body_read, len = left < capacity ? left : capacity;
  if (len) memcpy(buffer, request->body + request->body_read, len);
  request->body_read += len;
  if (request->body && request->body_read == request->body_len)
    vsi_h2_request_forget_body(stream->session, request); /* the reader has a copy */
  *ret_len = len;
  return VESTRY_OK;
}

static const vestry_request_ops ops = {
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = request_read,
    .respond = vsi_h2_respond,
    .open = vsi_h2_stream_open,
    .respond_body = vsi_h2_respond_body,
    .room = request_room,
    .each_header = request_each_header,
};

/* ----------------------------------------------------------------------------------------------------- serving ---- */

void vsi_h2_request_serve(vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  const vsi_h2 *adapter = session->adapter;
  vsi_web_gate *gate = &adapter->inner->gate;
  vestry_connection *connection = NULL;
  if (stream->is_pieces) {
    vsi_h2_body_run(stream);
    return;
  }
  vsi_mutex_lock(&session->lock);
  const bool is_gone = stream->is_gone;
  vsi_mutex_unlock(&session->lock);
  if (!is_gone) {
    const bool is_inside = vsi_web_gate_enter(gate);
    const int status = is_inside ? stream->request->refused : 503;
    if (status)
      (void)vsi_h2_refuse(stream, status);
    else
      (void)vestry_serve(adapter->v, adapter->ops, stream, NULL, NULL, &connection);
    vsi_h2_request_served(stream, connection);
    if (is_inside) vsi_web_gate_leave(gate);
  }
  vsi_h2_request_free(stream);
}

/* A client may send hundreds of requests for large responses at a time, and read none of them. If their handlers ran at
 * once, each response would be made only to be cut for the next one, because all of them together hold too much memory,
 * and other clients would wait for that. Therefore requests wait in two cases:
 *
 * - Memory for responses is short, and the responses of the session hold their share of it. Those that do not move are
 *   reset early (session.c).
 * - A response of the session was cut. It rests for REST_NS, or until its client has taken PROOF_BYTES.
 *
 * Requests other than GET and HEAD only wait if a response to one of them was cut, so that a POST is answered beside
 * downloads that are not read. */
static void rest_locked(const vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  const uint64_t sent = atomic_load_explicit(&session->sent, memory_order_relaxed); /* only a number */
  session->rests[stream->is_action] = (vsi_h2_rest){vsi_now_ns(session->host) + REST_NS, sent};
}

static bool rests_locked(vsi_h2_session *session, bool is_action) {
  vsi_h2_rest *rest = &session->rests[is_action];
  const uint64_t sent = atomic_load_explicit(&session->sent, memory_order_relaxed); /* only a number */
  if (rest->until_ns && (sent - rest->sent >= PROOF_BYTES || vsi_now_ns(session->host) > rest->until_ns))
    rest->until_ns = 0;
  return rest->until_ns != 0;
}

/* Choose the request to serve next. NULL: none, or all of them wait. */
static vsi_h2_stream *choose_ready(vsi_h2_session *session) {
  const vsi_h2 *adapter = session->adapter;
  vsi_h2_stream *at = STAILQ_FIRST(&session->ready);
  /* relaxed: a number, and a flag */
  const size_t held = atomic_load_explicit(&session->answers_bytes, memory_order_relaxed);
  const bool is_stopping = atomic_load_explicit(&adapter->is_stopping, memory_order_relaxed);
  vsi_mutex_lock(&session->lock);
  session->is_crowded = at && held && !is_stopping && vsi_response_share_is_used(adapter->v, held);
  const bool waits = session->is_crowded || rests_locked(session, false), actions_wait = rests_locked(session, true);
  while (at && !is_stopping && !at->is_gone && (at->is_action ? actions_wait : waits)) at = STAILQ_NEXT(at, in_ready);
  vsi_mutex_unlock(&session->lock);
  return at;
}

bool vsi_h2_request_serve_ready(vsi_h2_session *session) {
  const uint64_t until_ns = vsi_monotonic_ns() + TURN_NS;
  vsi_h2_stream *at;
  while ((at = choose_ready(session)) != NULL) {
    STAILQ_REMOVE(&session->ready, at, vsi_h2_stream, in_ready);
    vsi_h2_request_serve(at);
    vsi_h2_stream_unref(at);
    if (vsi_monotonic_ns() > until_ns) return !STAILQ_EMPTY(&session->ready);
  }
  return false;
}

/* A response that holds too much memory is reset. Its body is ended before its stream is freed. */
static void hold(void *stream) {
  VSI_REFS_TAKE(&((vsi_h2_stream *)stream)->refs);
}

static void cut(void *of) {
  vsi_h2_stream *stream = of;
  vsi_h2_session *session = stream->session;
  vsi_mutex_lock(&session->lock);
  rest_locked(stream);
  vsi_h2_stream_reset_locked(stream, NGHTTP2_ENHANCE_YOUR_CALM);
  vsi_mutex_unlock(&session->lock);
  session->ops->pump(session);
  vsi_h2_stream_unref(stream);
}

static const vsi_microhttpd_cut_ops cut_ops = {hold, cut};

void vsi_h2_request_init(vsi_h2 *adapter) {
  adapter->ops = &ops;
  adapter->cut_ops = &cut_ops;
}
