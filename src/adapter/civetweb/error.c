/* SPDX-License-Identifier: MIT */
/* civetweb's own answers to what it cannot read. It begins them with the version that it has read, which is whatever
 * stood there: of "GET /a b HTTP/1.1" it is "b HTTP/1.1" and the lines after it, so what a client sent comes back in
 * front of the headers. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "adapter/civetweb/neighbours.h"
#include "vestry/civetweb.h"

/* QUERY is a method that civetweb up to 1.17 does not know: 400 would say that something is wrong with the request. */
static bool is_query(const struct mg_request_info *info, int status) {
  return status == 400 && info && info->request_method && strcmp(info->request_method, "QUERY") == 0;
}

int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message) {
  (void)message; /* which may have something of the request's in it */
  const struct mg_request_info *info = mg_get_request_info(conn);
  const bool is_head = info && info->request_method && strcmp(info->request_method, "HEAD") == 0;
  const char *words = mg_get_response_code_text(NULL, status);
  if (is_query(info, status)) {
    status = 501;
    words = "Not Implemented: this server takes no QUERY";
    vsi_civetweb_neighbours_tell_of_query(mg_get_context(conn));
  }
  char text[512];
  int len = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                     "Connection: close\r\nContent-Length: %zu\r\n\r\n%s%s",
                     status, words, strlen(words) + 1, is_head ? "" : words, is_head ? "" : "\n");
  mg_disable_connection_keep_alive(conn);
  if (len > 0 && (size_t)len < sizeof text) (void)mg_write(conn, text, (size_t)len);
  return 0;
}
