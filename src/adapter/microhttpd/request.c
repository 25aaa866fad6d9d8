/* SPDX-License-Identifier: MIT */
/* A request of libmicrohttpd: checking its head, and collecting its body. */
#include "adapter/microhttpd/request.h"

#include <string.h>
#include <strings.h>

#include "adapter/microhttpd/head.h"
#include "adapter/microhttpd/target.h"
#include "adapter/web/target.h"
#include "base/field.h"
#include "base/memory.h"

enum { PASSED_BYTES = VSI_MICROHTTPD_PASSED_BYTES, LEAST_BODY_BYTES = 1024 };

vsi_microhttpd_request *vsi_microhttpd_request_create(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                      vsi_microhttpd_socket *socket, const char *target) {
  size_t len = strlen(target) + 1;
  vsi_microhttpd_request *request = vsi_calloc(adapter->host, 1, sizeof *request + len + len + 1);
  if (!request) return NULL;
  request->adapter = adapter;
  request->conn = conn;
  request->socket = socket;
  request->target_len = len - 1;
  memcpy(request->target, target, len);
  request->path = request->target + len;
  request->is_legal = vsi_web_target_read(request->target, request->path, &request->query);
  socket->request = request;
  return request;
}

/* ---------------------------------------------------------------------------------- requests of another daemon ---- */

vsi_microhttpd_request *vsi_microhttpd_request_adopt(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                     const char *path, const char *version) {
  const vsi_microhttpd_query query = vsi_microhttpd_query_write(conn, NULL);
  size_t path_len = strlen(path) + 1;
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_adopt(&adapter->sockets, conn);
  if (!socket) return NULL;
  vsi_microhttpd_request *request = vsi_calloc(adapter->host, 1, sizeof *request + query.len + 1 + path_len);
  if (!request) {
    vsi_microhttpd_socket_release(socket);
    return NULL;
  }
  request->adapter = adapter;
  request->conn = conn;
  request->socket = socket;
  request->target_len = version > path ? (size_t)(version - path) - 1 : 0;
  request->is_legal = vsi_web_path_is_plain(path) && !query.is_broken &&
                      (!adapter->attached.keeps_targets || vsi_microhttpd_target_is_clear(path, version, &query));
  vsi_microhttpd_query_write(conn, request->target);
  if (query.first) request->query = request->target;
  request->path = memcpy(request->target + query.len + 1, path, path_len);
  return request;
}

static void forget_body(vsi_microhttpd_request *request) {
  vsi_free(request->adapter->host, request->body);
  if (request->body_capacity) vsi_microhttpd_socket_holds(request->socket, 0);
  vestry_request_bytes_give(request->adapter->v, request->body_capacity);
  request->body = NULL;
  request->body_capacity = request->body_len = request->body_read = 0;
}

vestry_err vsi_microhttpd_request_detach(vsi_microhttpd_request *request) {
  vsi_microhttpd_socket *adopted = vsi_microhttpd_is_attached(request->adapter) ? request->socket : NULL;
  /* acquire: pairs with the check that found it late */
  const bool was_late = atomic_load_explicit(&request->socket->was_late, memory_order_acquire);
  request->socket->request = NULL;
  request->conn = NULL; /* libmicrohttpd frees it, and the memory of its headers */
  forget_body(request);
  vsi_web_joined_free(&request->joined, request->adapter->host);
  if (adopted) vsi_microhttpd_socket_release(adopted);
  return was_late ? VESTRY_TIMEOUT : VESTRY_IO;
}

/* ---------------------------------------------------------------------------------------------------- the head ---- */

/* Return the status for a head of more than max_head_bytes: 414 if the target fills it, otherwise 431. 0: it fits. */
static int refusal_of_size(const vsi_microhttpd_request *request) {
  const size_t most = request->adapter->max_head_bytes;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (!info || info->header_size <= most) return 0;
  return request->target_len > most / 2 ? 414 : 431;
}

static int refusal_of(vsi_microhttpd_request *request, const vsi_microhttpd_line *line) {
  const bool is_known = request->is_http11 || strcmp(line->version, "HTTP/1.0") == 0;
  vsi_web_framing framing = {.unclear = !is_known || !vsi_is_token(request->method)};
  bool is_plain = vsi_microhttpd_head_read(request->conn, line, request->adapter->measures_heads, &framing);
  request->is_chunked = framing.encoding != NULL;
  /* Trailers are read like heads, but cannot be checked, so the following bytes may not be a request. */
  if (request->is_chunked) request->socket->is_spent = true;
  if (!is_plain || !request->is_legal || !vsi_web_framing_is_clear(&framing, request->is_http11)) {
    request->is_chunked = true; /* the end of its body is unknown */
    vestry_turn_away(request->adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
    return 400;
  }
  const int too_large = refusal_of_size(request);
  if (too_large) {
    request->is_chunked = framing.encoding || framing.length; /* its body is discarded */
    return too_large;
  }
  if (framing.length)
    for (const char *at = framing.length; *at; at++)
      request->body_length = request->body_length * 10 + (uint64_t)(*at - '0');
  request->is_routed = vestry_route_status(request->adapter->v, request->method, request->path) == 200;
  request->max_body_bytes = vestry_max_body_bytes_at(request->adapter->v, request->path);
  return 0;
}

void vsi_microhttpd_request_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                  const char *version) {
  const vsi_microhttpd_line line = {method, path, version, request->target_len};
  request->has_begun = true;
  request->method = method;
  request->is_head = strcmp(method, "HEAD") == 0;
  request->is_http11 = strcmp(version, "HTTP/1.1") == 0;
  request->refused = refusal_of(request, &line);
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

static bool is_unwanted(const vsi_microhttpd_request *request) {
  if (request->receiving) return !vestry_receive_wants(request->receiving);
  return request->refused || !request->is_routed || request->no_memory ||
         request->body_length > request->max_body_bytes || request->body_len > request->max_body_bytes;
}

/* Make room for more of the body. false: there is none, and the answer will be an error. */
static bool make_room(vsi_microhttpd_request *request, size_t more) {
  const vestry_host *host = request->adapter->host;
  if (request->body_capacity - request->body_len >= more) return true;
  size_t capacity = request->body_capacity ? request->body_capacity : LEAST_BODY_BYTES;
  while (capacity - request->body_len < more) capacity *= 2; /* the limit is far from SIZE_MAX */
  /* Memory is allocated only for bytes that arrive, and never for more than announced. */
  if (request->body_length && capacity > request->body_length) capacity = (size_t)request->body_length;
  size_t grown = capacity - request->body_capacity;
  if (!vestry_request_bytes_take(request->adapter->v, grown)) {
    vestry_turn_away(request->adapter->v, VESTRY_REFUSAL_BUDGET);
    request->refused = 503;
    return false;
  }
  char *body = host->reallocate(host->ctx, request->body, capacity);
  if (!body) {
    vestry_request_bytes_give(request->adapter->v, grown);
    request->no_memory = true;
    return false;
  }
  request->body = body;
  request->body_capacity = capacity;
  vsi_microhttpd_socket_holds(request->socket, capacity);
  return true;
}

bool vsi_microhttpd_request_take(vsi_microhttpd_request *request, const char *data, size_t len) {
  size_t limit = request->max_body_bytes;
  if (!is_unwanted(request)) {
    size_t part = len < limit + 1 - request->body_len ? len : limit + 1 - request->body_len;
    if (make_room(request, part)) {
      memcpy(request->body + request->body_len, data, part);
      request->body_len += part;
      data += part;
      len -= part;
    } else {
      forget_body(request); /* others can use the memory */
    }
  }
  request->body_passed += len;
  return request->body_passed <= PASSED_BYTES;
}

/* Read from the body, which is here completely, or with one byte more than allowed. */
vestry_err vsi_microhttpd_request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
  vsi_microhttpd_request *request = server_request;
  if (request->no_memory) return VESTRY_NO_MEMORY;
  /* Its route was mounted after the body had been discarded, so the client must try again. */
  if (!request->is_routed) return VESTRY_LIMIT;
  size_t left = request->body_len - request->body_read, len = left < capacity ? left : capacity;
  if (len) memcpy(buffer, request->body + request->body_read, len);
  request->body_read += len;
  if (request->body && request->body_read == request->body_len) forget_body(request); /* the reader has a copy */
  *ret_len = len;
  return VESTRY_OK;
}

bool vsi_microhttpd_request_is_hopeless(const vsi_microhttpd_request *request) {
  if (!is_unwanted(request)) return false;
  if (!request->is_chunked && !request->body_length) return false;
  if (request->refused == 400 || request->refused == 414 || request->refused == 431 ||
      request->body_length > PASSED_BYTES)
    return true;
  const char *expect = MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, "Expect");
  return expect && strcasecmp(expect, "100-continue") == 0; /* a client that gets no 100 Continue sends nothing */
}
