/* civetweb's own answers to what it cannot read. It begins them with the version that it has read, which is whatever
 * stood there: of "GET /a b HTTP/1.1" it is "b HTTP/1.1" and the lines behind, so what somebody sent comes back in
 * front of the headers. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "vestry/civetweb.h"

int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message) {
  (void)message; /* which may have something of the request's in it */
  const struct mg_request_info *info = mg_get_request_info(conn);
  const bool is_head = info && info->request_method && strcmp(info->request_method, "HEAD") == 0;
  const char *words = mg_get_response_code_text(NULL, status);
  char text[512];
  int len = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                     "Connection: close\r\nContent-Length: %zu\r\n\r\n%s%s",
                     status, words, strlen(words) + 1, is_head ? "" : words, is_head ? "" : "\n");
  mg_disable_connection_keep_alive(conn);
  if (len > 0 && (size_t)len < sizeof text) (void)mg_write(conn, text, (size_t)len);
  return 0;
}
