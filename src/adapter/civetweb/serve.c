/* SPDX-License-Identifier: MIT */
/* Serving one request of civetweb from its head to the end of its response or stream, on civetweb's worker. */
#include <civetweb.h>
#include <string.h>

#include "adapter/civetweb/request.h"
#include "adapter/web/policy.h"
#include "base/memory.h"

/* ------------------------------------------------------------------------------------- the functions of vestry ---- */

static const char *request_method(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->request_method;
}

static const char *request_path(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->query_string;
}

static void request_each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value),
                                void *ctx) {
  const struct mg_request_info *info = ((const vsi_civetweb_request *)server_request)->info;
  for (int i = 0; i < info->num_headers; i++) line(ctx, info->http_headers[i].name, info->http_headers[i].value);
}

static const char *request_header(void *server_request, const char *name) {
  return mg_get_header(((vsi_civetweb_request *)server_request)->conn, name);
}

static const char *request_peer(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->remote_addr;
}

static int64_t request_body_length(void *server_request) {
  const vsi_civetweb_request *request = server_request;
  if (request->is_chunked) return -1;
  return request->info->content_length > 0 ? request->info->content_length : 0;
}

static void request_room(void *server_request, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_civetweb *adapter = ((vsi_civetweb_request *)server_request)->adapter;
  *ret_streams = vsi_civetweb_streams(adapter);
  *ret_capacity = adapter->gate.capacity;
}

/* The functions' server_request is a vsi_civetweb_request. */
static const vestry_request_ops request_ops = {
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = vsi_civetweb_request_read,
    .respond = vsi_civetweb_respond,
    .open = vsi_civetweb_open,
    .respond_body = vsi_civetweb_respond_body,
    .receives = vsi_civetweb_request_receives,
    .room = request_room,
    .each_header = request_each_header,
};

struct mg_connection *vestry_civetweb_request_of(const vestry_request *req) {
  const vsi_civetweb_request *request = vestry_request_server(req, &request_ops);
  return request ? request->conn : NULL;
}

/* ----------------------------------------------------------------------------------------------------- serving ---- */

/* Answer by the adapter itself, without a body, and close: the rest of the request is not read. */
static void refuse(vsi_civetweb_request *request, int status, const vestry_header *header) {
  request->body_ended = true;
  vsi_civetweb_request_close(request);
  vsi_civetweb_respond(request,
                       &(vestry_response){.status = status, .headers = header, .headers_count = header ? 1 : 0});
}

/* Refuse a request whose worker must leave, or is needed for others. */
static void reject(vsi_civetweb_request *request) {
  refuse(request, 503, &(vestry_header){"Retry-After", VSI_WEB_RETRY_AFTER_S});
}

/* Return whether the head has only one reading. */
static bool is_clear(vsi_civetweb_request *request) {
  const bool is_known = request->is_http11 || strcmp(request->info->http_version, "1.0") == 0;
  return request->path && is_known &&
         vsi_civetweb_head_is_whole(request->info, request->adapter->settings.head_bytes) &&
         !vestry_head_check(&request_ops, request, request->is_http11, NULL);
}

static void serve(vsi_civetweb_request *request) {
  vestry_connection *connection = NULL;
  const vsi_civetweb *adapter = request->adapter;
  if (!is_clear(request)) {
    vestry_reject(adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
    refuse(request, 400, NULL);
    return;
  }
  vestry_err error = vestry_serve(adapter->v, &request_ops, request, NULL, NULL, &connection);
  if (error) vsi_civetweb_request_close(request); /* no response was sent: close the connection instead */
  if (!connection) return;
  vsi_civetweb_park(request, connection);
  vestry_connection_unref(connection);
}

static int serve_by(vsi_civetweb *adapter, struct mg_connection *conn, const char *path) {
  vsi_civetweb_request request;
  vsi_civetweb_request_init(&request, adapter, conn, path);
  bool is_open = atomic_load_explicit(&adapter->is_open, memory_order_acquire); /* pairs with create */
  bool entered = is_open && vsi_web_gate_enter(&adapter->gate);
  vsi_address address = vsi_address_parse(request.info->remote_addr);
  vestry_err crowded = entered ? vsi_web_addresses_enter(adapter->addresses, address) : VESTRY_CLOSED;
  if (crowded == VESTRY_LIMIT) vestry_reject(adapter->v, VESTRY_REFUSAL_ADDRESS);
  if (crowded)
    reject(&request);
  else
    serve(&request);
  vsi_civetweb_request_finish(&request);
  if (!crowded) vsi_web_addresses_leave(adapter->addresses, address);
  if (request.holds_place) vsi_web_gate_give_place(&adapter->gate);
  if (entered) vsi_web_gate_leave(&adapter->gate);
  return request.status ? request.status : 500; /* for civetweb's access log */
}

/* Serve a request. is_routed: by any adapter of this server that has a route for it. Returns 0: the request is for the
 * server itself. */
static int serve_at(vsi_civetweb *adapter, struct mg_connection *conn, bool is_routed) {
  const struct mg_request_info *info = mg_get_request_info(conn);
  if (!info || !info->local_uri) return 0;
  char *owned;
  const char *sent = vsi_civetweb_path_read(adapter, info, &owned);
  /* A refused path is answered at the place where it would be mounted. */
  const char *method = info->request_method, *path = sent ? sent : info->local_uri;
  vsi_civetweb *by = is_routed ? vsi_civetweb_find(adapter, method, path) : NULL;
  const bool is_own =
      adapter->answers_all || (!is_routed && vestry_route_status(adapter->v, method, path, NULL) != 404);
  if (!by && is_own) by = adapter;
  int status = by ? serve_by(by, conn, sent) : 0;
  vsi_free(adapter->host, owned);
  return status;
}

int vsi_civetweb_serve_routed(vsi_civetweb *by, struct mg_connection *conn) {
  return serve_at(by, conn, true);
}

int vsi_civetweb_serve_own(vsi_civetweb *adapter, struct mg_connection *conn) {
  return serve_at(adapter, conn, false);
}
