/* SPDX-License-Identifier: MIT */
/* The table of functions by which vestry reads a request of libmicrohttpd and answers it. */
#include "adapter/microhttpd/operations.h"

#include <netinet/in.h>

#include "adapter/microhttpd/direct_read.h"

static const char *request_method(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->method;
}

static const char *request_path(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((vsi_microhttpd_request *)server_request)->query;
}

static enum MHD_Result see_line(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  vsi_web_lines_see(cls, name, value ? value : "");
  return MHD_YES;
}

static void see_lines(void *server_request, vsi_web_lines *lines) {
  const vsi_microhttpd_request *request = server_request;
  MHD_get_connection_values(request->conn, MHD_HEADER_KIND, see_line, lines);
}

static const char *request_header(void *server_request, const char *name) {
  vsi_microhttpd_request *request = server_request;
  const char *first = MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, name);
  return vsi_web_header_of(&request->joined, request->adapter->host, name, first, see_lines, request);
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
  vsi_web_gate *gate = &((vsi_microhttpd_request *)server_request)->adapter->gate;
  *ret_streams = vsi_web_gate_streams(gate);
  *ret_capacity = gate->capacity;
}

const vestry_request_ops vsi_microhttpd_request_ops = {
    .size = sizeof(vestry_request_ops),
    .method = request_method,
    .path = request_path,
    .query = request_query,
    .header = request_header,
    .peer = request_peer,
    .body_length = request_body_length,
    .read = vsi_microhttpd_request_read,
    .respond = vsi_microhttpd_direct_respond,
    .open = vsi_microhttpd_direct_open,
    .respond_body = vsi_microhttpd_direct_respond_body,
    .room = request_room,
};

struct MHD_Connection *vestry_microhttpd_connection_of(const vestry_request *req) {
  const vsi_microhttpd_request *request = vestry_request_server(req, &vsi_microhttpd_request_ops);
  return request ? request->conn : NULL;
}
