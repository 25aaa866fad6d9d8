/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

int bench_connect(int port, unsigned source, int receive_bytes) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) return -1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}, from = {.sin_family = AF_INET};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + source);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (receive_bytes) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on); /* connect chooses the port */
  if ((!source || bind(fd, (struct sockaddr *)&from, sizeof from) == 0) &&
      connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
    return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

bool bench_send_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    len -= (size_t)sent;
  }
  return true;
}

bool bench_cut(const char *from, const char *before, const char *end, char *text, size_t capacity) {
  const char *at = strstr(from, before);
  size_t len = at ? strcspn(at + strlen(before), end) : capacity;
  if (len >= capacity) return false;
  snprintf(text, capacity, "%.*s", (int)len, at + strlen(before));
  return true;
}

/* ---- a kept connection ------------------------------------------------------------------------------------------- */

void bench_client_finish(bench_client *client) {
  if (client->fd >= 0) close(client->fd);
  client->fd = -1;
}

/* The answer is empty: a server may end a kept connection at any time, even while the next request is on its way. */
enum { NOTHING_CAME = -2 };

/* Read an answer with a Content-Length, or without a body. */
static int read_response(bench_client *client) {
  char answer[8192];
  size_t got = 0;
  char *end = NULL;
  while (!end && got < sizeof answer - 1) {
    ssize_t n = recv(client->fd, answer + got, sizeof answer - 1 - got, 0);
    if (n <= 0) return got ? -1 : NOTHING_CAME;
    got += (size_t)n;
    answer[got] = '\0';
    end = strstr(answer, "\r\n\r\n");
  }
  int status = -1;
  if (!end || sscanf(answer, "HTTP/1.%*d %d", &status) != 1) return -1;
  bool closes = strcasestr(answer, "\r\nConnection: close") != NULL;
  const char *length = strcasestr(answer, "\r\nContent-Length:");
  size_t left = length && length < end ? strtoul(length + 17, NULL, 10) : 0, here = got - (size_t)(end + 4 - answer);
  for (left = left > here ? left - here : 0; left;) {
    ssize_t n = recv(client->fd, answer, left < sizeof answer ? left : sizeof answer, 0);
    if (n <= 0) return -1;
    left -= (size_t)n;
  }
  if (closes) bench_client_finish(client);
  return status;
}

static int post_once(bench_client *client, const char *head, size_t head_len, const char *body, size_t len) {
  if (client->fd < 0) client->fd = bench_connect(client->port, 0, 0);
  if (client->fd < 0) return -1;
  struct iovec parts[] = {{(char *)(uintptr_t)head, head_len}, {(char *)(uintptr_t)body, len}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL);
  size_t done = sent > 0 ? (size_t)sent : 0;
  bool all = done >= head_len && bench_send_all(client->fd, body + (done - head_len), len - (done - head_len));
  int status = all ? read_response(client) : NOTHING_CAME;
  if (status < 0) bench_client_finish(client);
  return status;
}

int bench_post(bench_client *client, const char *path, const char *headers, const char *body, size_t len) {
  char head[1024];
  int head_len = snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %zu\r\n\r\n",
                          path, headers, len);
  const bool is_kept = client->fd >= 0;
  int status = post_once(client, head, (size_t)head_len, body, len);
  if (status == NOTHING_CAME && is_kept) status = post_once(client, head, (size_t)head_len, body, len);
  return status < 0 ? -1 : status;
}

/* ---- a connection for one request -------------------------------------------------------------------------------- */

int bench_request(int port, const char *method, const char *path, const char *send, size_t send_len, char *body,
                  size_t body_capacity) {
  int fd = bench_connect(port, 0, 0);
  if (fd < 0) return -1;
  char head[1024];
  int head_len = snprintf(head, sizeof head,
                          "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
                          method, path, send_len);
  int status = -1;
  size_t capacity = 65536 + body_capacity, got = 0; /* including its head */
  char *answer = malloc(capacity);
  if (answer && bench_send_all(fd, head, (size_t)head_len) && bench_send_all(fd, send, send_len)) {
    for (ssize_t n; got < capacity - 1 && (n = recv(fd, answer + got, capacity - 1 - got, 0)) > 0;) got += (size_t)n;
    answer[got] = '\0';
    if (sscanf(answer, "HTTP/1.%*d %d", &status) != 1) status = -1;
    const char *at = strstr(answer, "\r\n\r\n");
    if (body && body_capacity) snprintf(body, body_capacity, "%s", at ? at + 4 : "");
  }
  free(answer);
  close(fd);
  return status;
}

int64_t bench_server_stat(int port, const char *path) {
  char body[4096];
  return bench_request(port, "GET", "/stats", "", 0, body, sizeof body) == 200 ? bench_stat_of(body, path) : -1;
}

int64_t bench_stat_of(const char *json, const char *path) {
  char name[64];
  json_t *all = json_loads(json, 0, NULL);
  const json_t *at = all;
  for (const char *next = path; next; next = strchr(next, '.') ? strchr(next, '.') + 1 : NULL) {
    snprintf(name, sizeof name, "%.*s", (int)strcspn(next, "."), next);
    at = json_object_get(at, name);
  }
  int64_t number = json_is_integer(at) ? json_integer_value(at) : -1;
  json_decref(all);
  return number;
}
