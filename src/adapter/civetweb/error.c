/* SPDX-License-Identifier: MIT */
/* Replacements for civetweb's own answers to requests that it cannot read. civetweb begins its answers with the version
 * that it has read from the request line, which can be anything: for "GET /a b HTTP/1.1" it is "b HTTP/1.1" and the
 * lines after it. So text of the client would be sent back in front of the headers.
 *
 * civetweb answers 400 both to a head that fills its buffer and to a malformed request. The kernel's count of received
 * bytes distinguishes the two cases. */
#include <civetweb.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the bytes */
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "adapter/civetweb/neighbours.h"
#include "adapter/civetweb/peer.h"
#include "vestry/civetweb.h"

/* Return whether the method is QUERY, which civetweb up to 1.17 does not know. 400 would blame the request. */
static bool is_query(const struct mg_request_info *info, int status) {
  return status == 400 && info && info->request_method && strcmp(info->request_method, "QUERY") == 0;
}

static uint64_t bytes_received(int fd) {
  struct tcp_info tcp = {0};
  socklen_t len = sizeof tcp;
  const bool says = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &len) == 0 &&
                    len >= offsetof(struct tcp_info, tcpi_bytes_received) + sizeof tcp.tcpi_bytes_received;
  return says ? tcp.tcpi_bytes_received : 0;
}

/* A search for the descriptor of a peer. */
typedef struct search {
  vsi_civetweb_peer peer;
  uint64_t bytes; /* that it has received; 0: not found */
} search;

static bool see(void *ctx, int fd) {
  search *sought = ctx;
  vsi_civetweb_peer at;
  if (!vsi_civetweb_peer_of_descriptor(fd, &at) || !vsi_civetweb_peer_equal(&at, &sought->peer)) return true;
  sought->bytes = bytes_received(fd);
  return false;
}

/* Return whether a request was refused because its head is larger than max_request_size. The worker holds the
 * connection's descriptor until this returns. A client that has reset its connection is not found. */
static bool is_too_large(const struct mg_connection *conn, const struct mg_request_info *info, int status) {
  const char *most = mg_get_option(mg_get_context(conn), "max_request_size");
  search sought = {.bytes = 0};
  if (status != 400 || !info || info->request_method || !most ||
      !vsi_civetweb_peer_parse(info->remote_addr, info->remote_port, info->server_port, &sought.peer))
    return false;
  vsi_civetweb_descriptors_see_all(see, &sought);
  return sought.bytes >= strtoull(most, NULL, 10);
}

int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message) {
  (void)message; /* may contain text of the request */
  const struct mg_request_info *info = mg_get_request_info(conn);
  const bool is_head = info && info->request_method && strcmp(info->request_method, "HEAD") == 0;
  if (is_too_large(conn, info, status)) status = 431;
  const char *words = status == 431 ? "Request Header Fields Too Large" : mg_get_response_code_text(NULL, status);
  if (is_query(info, status)) {
    status = 501;
    words = "Not Implemented: this server does not support QUERY";
    vsi_civetweb_neighbours_log_query(mg_get_context(conn));
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
