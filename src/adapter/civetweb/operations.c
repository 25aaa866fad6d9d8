/* SPDX-License-Identifier: MIT */
/* The table of functions by which vestry reads a request of civetweb and answers it. */
#include "adapter/civetweb/operations.h"

#include <civetweb.h>

#include "adapter/civetweb/answer.h"
#include "adapter/civetweb/stream.h"

static const char *request_method(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->request_method;
}

static const char *request_path(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->path;
}

static const char *request_query(void *server_request) {
  return ((vsi_civetweb_request *)server_request)->info->query_string;
}

static void see_lines(void *server_request, vsi_web_lines *lines) {
  const struct mg_request_info *info = ((const vsi_civetweb_request *)server_request)->info;
  for (int i = 0; i < info->num_headers; i++)
    vsi_web_lines_see(lines, info->http_headers[i].name, info->http_headers[i].value);
}

static const char *request_header(void *server_request, const char *name) {
  vsi_civetweb_request *request = server_request;
  const char *first = mg_get_header(request->conn, name);
  return vsi_web_header_of(&request->joined, request->adapter->host, name, first, see_lines, request);
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
  const vsi_civetweb_neighbour *own = &((const vsi_civetweb_request *)server_request)->adapter->neighbour;
  *ret_streams = vsi_civetweb_neighbours_streams(own);
  *ret_capacity = own->gate->capacity;
}

const vestry_request_ops vsi_civetweb_request_ops = {
    .size = sizeof(vestry_request_ops),
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
};

struct mg_connection *vestry_civetweb_request_of(const vestry_request *req) {
  const vsi_civetweb_request *request = vestry_request_server(req, &vsi_civetweb_request_ops);
  return request ? request->conn : NULL;
}
