/* SPDX-License-Identifier: MIT */
/* Reads a request from the web server, through the adapter's table of functions: the request line, the body, which
 * counts in the budget of all requests, and the signals of the Datastar client, which are in the query or the body.
 * Also runs the guards of the route, and contains the functions by which handlers read peer and JSON. */
#include "http/request.h"

#include <string.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "event/query.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "vestry/routes.h"
#include "json/value.h"

enum { READ_BYTES = 16384 };

void vsi_request_init(vestry_request *req, vsi_request *own, vestry *v, const vestry_request_ops *ops,
                      void *server_request) {
  memset(own, 0, offsetof(vsi_request, scope)); /* the rest is written before it is read */
  *req = (vestry_request){.v = v, .own = own};
  req->own->ops = ops;
  req->own->server_request = server_request;
  req->own->came_ns = v->host->now_ns(v->host->ctx);
  const char *method = ops->method(server_request), *path = ops->path(server_request);
  const char *query = ops->query(server_request);
  req->method = method ? method : "";
  req->path = path ? path : "";
  req->query = query ? query : "";
  const char *datastar = ops->header(server_request, "Datastar-Request");
  req->own->is_head = strcmp(req->method, "HEAD") == 0; /* a HEAD is answered like a GET, but without a stream */
  req->is_datastar = !req->own->is_head && datastar && strcmp(datastar, "true") == 0;
}

/* Each request has its own object, because a handler may change it, and another request would read the change in a
 * shared object. An empty object that a request has left unchanged, and to which no code keeps a reference, is stored
 * for the next request without signals. */
static json_t *take_no_signals(vestry *v) {
  /* acquire pairs with the release in vsi_request_finish: the former request no longer reads the object */
  json_t *spare = atomic_exchange_explicit(&v->no_signals, NULL, memory_order_acquire);
  return spare ? spare : json_object();
}

void vsi_request_finish(vestry_request *req) {
  json_t *signals = req->signals, *none = NULL;
  /* acquire pairs with jansson's release when another thread drops a reference that a handler gave it */
  const bool is_spare =
      signals && __atomic_load_n(&signals->refcount, __ATOMIC_ACQUIRE) == 1 && !json_object_size(signals);
  if (!is_spare || !atomic_compare_exchange_strong_explicit(&req->v->no_signals, &none, signals, memory_order_release,
                                                            memory_order_relaxed))
    json_decref(signals);
  vsi_free(req->v->host, req->own->body);
  for (size_t i = 0; i < VSI_IN_COUNT; i++)
    if (req->own->values[i].pairs) vsi_free(req->v->host, req->own->values[i].pairs);
  VSI_LIST_FREE(req->v->host, req->own->joined);
  if (req->own->body_taken) vestry_request_bytes_give(req->v, req->own->body_taken);
  req->own->body = NULL;
  req->body = (vestry_slice){NULL, 0};
  req->own->body_taken = 0;
  req->signals = NULL;
}

void vsi_request_detach(vestry_request *req) {
  static const vestry_request_ops gone = {.header = NULL};
  req->own->ops = &gone;
  req->own->server_request = NULL;
  req->query = "";
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

/* Make room for more of the body, and count the buffer's growth against the bytes of all requests. The buffer doubles,
 * but is never larger than `most`, which vsi_body_bytes_most relies on. OK | LIMIT | NO_MEMORY */
static vestry_err make_body_room(vestry_request *req, vsi_buffer *body, size_t more, size_t most) {
  const size_t least = body->len + more;
  if (least <= body->capacity) return VESTRY_OK;
  size_t capacity = least > 2 * body->capacity ? least : 2 * body->capacity;
  if (capacity > most) capacity = most;
  const size_t grown = capacity - body->capacity;
  if (!vestry_request_bytes_take(req->v, grown)) {
    vestry_reject(req->v, VESTRY_REFUSAL_BUDGET);
    return VESTRY_LIMIT;
  }
  req->own->body_taken += grown;
  char *data = vsi_realloc(body->host, body->data, capacity);
  if (!data) return VESTRY_NO_MEMORY;
  body->data = data;
  body->capacity = capacity;
  return VESTRY_OK;
}

/* Read the body in pieces into a buffer that grows with it, so that a client that only announces a megabyte uses no
 * memory. A chunked body is read until one byte more than the maximum has arrived. */
static vestry_err read_pieces(vestry_request *req, int64_t announced, size_t most, vsi_buffer *body) {
  size_t limit = announced >= 0 ? (size_t)announced : most + 1;
  while (body->len < limit) {
    size_t room = limit - body->len < READ_BYTES ? limit - body->len : READ_BYTES, len = 0;
    vestry_err error = make_body_room(req, body, room + 1, limit + 1); /* plus one byte for the final NUL */
    if (!error) error = req->own->ops->read(req->own->server_request, body->data + body->len, room, &len);
    if (error) return error;
    if (len > room) return VESTRY_IO;
    if (len == 0) return announced >= 0 ? VESTRY_IO : VESTRY_OK; /* the body ended before its announced length */
    body->len += len;
  }
  return body->len > most ? VESTRY_TOO_LARGE : VESTRY_OK;
}

static vestry_err read_long(vestry_request *req, int64_t announced, size_t most) {
  vsi_buffer body;
  vsi_buffer_init(&body, req->v->host);
  vestry_err error = read_pieces(req, announced, most, &body);
  size_t len = 0;
  if (!error && body.len) {
    req->own->body = vsi_buffer_take(&body, &len);
    if (!req->own->body) error = VESTRY_NO_MEMORY;
    if (!error) req->body = (vestry_slice){req->own->body, len};
  }
  vsi_buffer_finish(&body);
  return error;
}

/* Read a short body into the request itself, without an allocation. */
static vestry_err read_short(vestry_request *req, size_t announced) {
  size_t at = 0;
  while (at < announced) {
    size_t len = 0;
    vestry_err error = req->own->ops->read(req->own->server_request, req->own->short_body + at, announced - at, &len);
    if (error) return error;
    if (!len || len > announced - at) return VESTRY_IO; /* the body ended before its announced length */
    at += len;
  }
  req->own->short_body[at] = '\0';
  req->body = (vestry_slice){req->own->short_body, at};
  return VESTRY_OK;
}

static vestry_err read_request_body(vestry_request *req) {
  int64_t announced = req->own->ops->body_length(req->own->server_request);
  if (announced == 0) return VESTRY_OK;
  const size_t most = vsi_max_body_bytes_at(req->v, req->path);
  if (announced > 0 && (uint64_t)announced > most) return VESTRY_TOO_LARGE;
  if (announced > 0 && announced < VSI_SHORT_BODY_BYTES) return read_short(req, (size_t)announced);
  return read_long(req, announced, most);
}

bool vsi_is_media_type(const char *content_type, const char *wanted) {
  return vsi_is_word((vestry_slice){content_type, strcspn(content_type, "; \t")}, wanted);
}

bool vsi_request_is_form(const vestry_request *req) {
  const vestry_request_ops *ops = req->own->ops;
  const char *type = ops->header ? ops->header(req->own->server_request, "Content-Type") : NULL;
  return type && (vsi_is_media_type(type, "application/x-www-form-urlencoded") ||
                  vsi_is_media_type(type, "multipart/form-data"));
}

static bool has_signals_in_query(const vestry_request *req) {
  return strcmp(req->method, "GET") == 0 || strcmp(req->method, "DELETE") == 0;
}

static vestry_err read_signals(vestry_request *req, vestry_signals_error *why) {
  const vestry_signals_limits *limits = &req->v->signals;
  if (has_signals_in_query(req))
    return vsi_signals_parse_query(req->v->host, req->query, strlen(req->query), limits, &req->signals, why);
  const bool is_empty = !req->body.len || (req->body.len == 2 && memcmp(req->body.data, "{}", 2) == 0);
  if (!is_empty && !vsi_request_is_form(req))
    return vestry_signals_parse(req->body.data, req->body.len, limits, &req->signals, why);
  req->signals = take_no_signals(req->v);
  return req->signals ? VESTRY_OK : VESTRY_NO_MEMORY;
}

vestry_err vsi_request_read(vestry_request *req, vestry_signals_error *why) {
  *why = (vestry_signals_error){0};
  vestry_err error = read_request_body(req);
  if (!error && req->is_datastar) error = read_signals(req, why);
  return error;
}

int64_t vsi_request_length(const vestry_request *req) {
  return req->own->ops->body_length ? req->own->ops->body_length(req->own->server_request) : 0;
}

vestry_err vsi_request_scope(vestry_request *req, vestry_reply *reply) {
  if (!req->v->scope) return VESTRY_OK;
  size_t len = 0;
  vestry_err error = req->v->scope(req, reply, req->own->scope, &len, req->v->scope_ctx);
  if (error) return error;
  if (len > sizeof req->own->scope) return VESTRY_FAILED;
  vsi_request_set_scope(req, len);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ for handlers ---- */

const char *vestry_request_peer(const vestry_request *req) {
  const char *peer = req->own->ops->peer ? req->own->ops->peer(req->own->server_request) : NULL;
  return peer ? peer : "";
}

void *vestry_request_server(const vestry_request *req, const vestry_request_ops *ops) {
  return ops && req->own->ops == ops ? req->own->server_request : NULL;
}

vestry_err vestry_request_json(const vestry_request *req, const vestry_signals_limits *limits, json_t **ret_value,
                               vestry_signals_error *ret_error) {
  return vsi_json_parse(req->body.data, req->body.len, limits ? limits : &req->v->signals, VSI_JSON_ROOT_ANY, ret_value,
                        ret_error);
}
