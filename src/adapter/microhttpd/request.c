/* SPDX-License-Identifier: MIT */
/* A request of libmicrohttpd: checking its head, collecting its body, and the operations by which vestry reads it. */
#include "adapter/microhttpd/adapter.h"

#include "adapter/microhttpd/head.h"
#include "base/ascii.h"
#include "http/target.h"

enum { PASSED_BYTES = VSI_MICROHTTPD_PASSED_BYTES, LEAST_BODY_BYTES = 1024 };

static vsi_microhttpd_request *make(vsi_microhttpd *adapter, struct MHD_Connection *conn, vsi_microhttpd_socket *socket,
                                    size_t target_bytes) {
  vsi_microhttpd_request *request = vsi_calloc(adapter->host, 1, sizeof *request + target_bytes);
  if (!request) return NULL;
  request->adapter = adapter;
  request->conn = conn;
  request->socket = socket;
  socket->request = request;
  return request;
}

vsi_microhttpd_request *vsi_microhttpd_request_create(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                      vsi_microhttpd_socket *socket, const char *target) {
  size_t len = strlen(target) + 1;
  vsi_microhttpd_request *request = make(adapter, conn, socket, len + len + 1);
  if (!request) return NULL;
  request->target_len = len - 1;
  memcpy(request->target, target, len);
  request->path = request->target + len;
  request->is_legal = !vestry_target_read(request->target, request->path, &request->query);
  vsi_microhttpd_refused_awaits(request);
  return request;
}

vsi_microhttpd_request *vsi_microhttpd_request_adopt(vsi_microhttpd *adapter, struct MHD_Connection *conn,
                                                     const char *path, const char *version) {
  const vsi_microhttpd_query query = vsi_microhttpd_query_write(conn, NULL);
  size_t path_len = strlen(path) + 1;
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_adopt(&adapter->sockets, conn);
  if (!socket) return NULL;
  vsi_microhttpd_request *request = make(adapter, conn, socket, query.len + 1 + path_len);
  if (!request) {
    vsi_microhttpd_socket_release(socket);
    return NULL;
  }
  request->target_len = version > path ? (size_t)(version - path) - 1 : 0;
  request->is_legal = vsi_path_is_plain(path) && !query.is_broken &&
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
  vsi_microhttpd_refused_shown(request);
  request->conn = NULL; /* libmicrohttpd frees it, and the memory of its headers */
  forget_body(request);
  if (adopted) vsi_microhttpd_socket_release(adopted);
  return was_late ? VESTRY_TIMEOUT : VESTRY_IO;
}

/* ---------------------------------------------------------------------------------------------------- the body ---- */

static bool is_unwanted(const vsi_microhttpd_request *request) {
  if (request->receiving) return !vestry_receive_wants(request->receiving);
  return request->refused || !request->is_routed || request->no_memory ||
         request->body_length > request->max_body_bytes || request->body_len > request->max_body_bytes;
}

/* Make room for more of the body. false: there is none, and the response will be an error. */
static bool make_room(vsi_microhttpd_request *request, size_t more) {
  const vestry_host *host = request->adapter->host;
  if (request->body_capacity - request->body_len >= more) return true;
  size_t capacity = request->body_capacity ? request->body_capacity : LEAST_BODY_BYTES;
  while (capacity - request->body_len < more) capacity *= 2; /* the limit is far from SIZE_MAX */
  /* Memory is allocated only for bytes that arrive, and never for more than announced or allowed. */
  const size_t most = request->body_length ? (size_t)request->body_length : request->max_body_bytes + 1;
  if (capacity > most) capacity = most;
  size_t grown = capacity - request->body_capacity;
  if (!vestry_request_bytes_take(request->adapter->v, grown)) {
    vestry_reject(request->adapter->v, VESTRY_REFUSAL_BUDGET);
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
  if (request->body_len + more == request->body_length)
    vsi_microhttpd_sockets_relieve(&request->adapter->sockets); /* complete: it is served next, and not cut any more */
  else
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

bool vsi_microhttpd_request_is_hopeless(const vsi_microhttpd_request *request) {
  if (!is_unwanted(request)) return false;
  if (!request->is_chunked && !request->body_length) return false;
  if (request->refused == 400 || request->refused == 414 || request->refused == 431 ||
      request->body_length > PASSED_BYTES)
    return true;
  const char *expect = MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, "Expect");
  return expect && vsi_strcasecmp(expect, "100-continue") == 0; /* a client that gets no 100 Continue sends nothing */
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

static const char *request_method(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->method;
}

static const char *request_path(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->query;
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  vsi_microhttpd_each_header(((vsi_microhttpd_request *)server_request)->conn, line, ctx);
}

static const char *request_header(void *server_request, const char *name) {
  return MHD_lookup_connection_value(((vsi_microhttpd_request *)server_request)->conn, MHD_HEADER_KIND, name);
}

static const char *request_peer(void *server_request) {
  vsi_microhttpd_request *request = server_request;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  const struct sockaddr *address = info ? info->client_addr : NULL;
  const void *number = NULL;
  if (address && address->sa_family == AF_INET) number = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
  if (address && address->sa_family == AF_INET6)
    number = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  if (!number || !inet_ntop(address->sa_family, number, request->peer, sizeof request->peer)) return "";
  return request->peer;
}

static int64_t request_body_length(void *server_request) {
  const vsi_microhttpd_request *request = server_request;
  return request->is_chunked ? -1 : (int64_t)request->body_length;
}

static void request_room(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_web_gate_room(&((vsi_microhttpd_request *)server_request)->adapter->gate, ret_streams, ret_capacity);
}

/* Read from the body, which is here completely, or with one byte more than allowed. */
static vestry_err request_read(void *server_request, void *buffer, size_t capacity, size_t *ret_len) {
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

static const vestry_request_ops ops = {
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = request_read,
    .respond = vsi_microhttpd_direct_respond,
    .open = vsi_microhttpd_direct_open,
    .respond_body = vsi_microhttpd_direct_respond_body,
    .room = request_room,
    .each_header = request_each_header,
};

/* ---------------------------------------------------------------------------------------------------- the head ---- */

/* Return the status for a head of more than max_head_bytes: 414 if the target is longer than half of this bound,
 * otherwise 431. 0: the head fits. */
static int refusal_of_size(const vsi_microhttpd_request *request) {
  const size_t most = request->adapter->max_head_bytes;
  if (vsi_microhttpd_head_size(request->conn) <= most) return 0;
  return request->target_len > most / 2 ? 414 : 431;
}

static int refusal_of(vsi_microhttpd_request *request, const vsi_microhttpd_line *line) {
  const bool is_known = request->is_http11 || strcmp(line->version, "HTTP/1.0") == 0;
  int64_t body_length = -1;
  if (!is_known || !request->is_legal ||
      !vsi_microhttpd_head_is_plain(request->conn, line, request->adapter->measures_heads) ||
      vestry_head_check(&ops, request, request->is_http11, &body_length)) {
    request->is_chunked = true; /* the end of its body is unknown, so its connection ends */
    request->socket->is_spent = true;
    vestry_reject(request->adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
    return 400;
  }
  request->is_chunked = body_length < 0;
  /* Trailers are read like heads, but cannot be checked, so the following bytes may not be a request. */
  if (request->is_chunked) request->socket->is_spent = true;
  const int too_large = refusal_of_size(request);
  if (too_large) {
    request->is_chunked = body_length != 0; /* its body is discarded */
    return too_large;
  }
  if (!request->is_chunked) request->body_length = (uint64_t)body_length;
  request->is_routed =
      vestry_route_status(request->adapter->v, request->method, request->path, &request->max_body_bytes) == 200;
  return 0;
}

void vsi_microhttpd_request_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                  const char *version) {
  const vsi_microhttpd_line line = {method, path, version, request->target_len};
  request->has_begun = true;
  vsi_microhttpd_refused_shown(request);
  request->method = method;
  request->is_head = strcmp(method, "HEAD") == 0;
  request->is_http11 = strcmp(version, "HTTP/1.1") == 0;
  request->refused = refusal_of(request, &line);
}

struct MHD_Connection *vestry_microhttpd_connection_of(const vestry_request *req) {
  const vsi_microhttpd_request *request = vestry_request_server(req, &ops);
  return request ? request->conn : NULL;
}

vestry_err vsi_microhttpd_request_serve(vsi_microhttpd_request *request, vestry_connection **ret_connection) {
  return vestry_serve(request->adapter->v, &ops, request, NULL, NULL, ret_connection);
}

vestry_err vsi_microhttpd_request_receive(vsi_microhttpd_request *request) {
  return vestry_receive_begin(request->adapter->v, &ops, request, &request->receiving);
}
