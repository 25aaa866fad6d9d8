#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static bool send_all(int fd, const char *data, size_t len) {
  while (len) {
    ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    len -= (size_t)sent;
  }
  return true;
}

bool bench_stream_open(bench_stream *stream, int port, const char *path) {
  memset(stream, 0, sizeof *stream);
  stream->fd = connect_to(port);
  if (stream->fd < 0) return false;
  char request[1024];
  int len = snprintf(
      request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nDatastar-Request: true\r\n\r\n", path);
  if (!send_all(stream->fd, request, (size_t)len)) return false;
  return fcntl(stream->fd, F_SETFL, O_NONBLOCK) == 0;
}

static void take_line(bench_stream *stream, bench_line_fn fn, void *ctx) {
  stream->line[stream->line_len] = '\0';
  stream->line_len = 0;
  if (stream->at == STREAM_HEAD) {
    if (!stream->status) sscanf(stream->line, "HTTP/1.%*d %d", &stream->status);
    if (!stream->line[0]) stream->at = STREAM_SIZE;
  } else if (stream->at == STREAM_SIZE) {
    stream->chunk_left = strtoull(stream->line, NULL, 16);
    stream->at = stream->chunk_left ? STREAM_DATA : STREAM_ENDED;
    stream->ended_cleanly = !stream->chunk_left;
  } else if (stream->at == STREAM_DATA_END) {
    stream->at = STREAM_SIZE;
  } else {
    fn(stream, stream->line, ctx);
  }
}

bool bench_stream_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx) {
  for (size_t i = 0; i < len && stream->at != STREAM_ENDED; i++) {
    char c = data[i];
    bool in_data = stream->at == STREAM_DATA;
    if (c == '\n')
      take_line(stream, fn, ctx);
    else if (c != '\r' && stream->line_len < sizeof stream->line - 1)
      stream->line[stream->line_len++] = c;
    if (in_data && --stream->chunk_left == 0) {
      if (stream->line_len) return false; /* the server writes whole events: a chunk ends with a line */
      stream->at = STREAM_DATA_END;
    }
  }
  return stream->at == STREAM_HEAD || stream->status == 200;
}

int bench_request(int port, const char *method, const char *path, const char *send, size_t send_len, char *body,
                  size_t body_capacity) {
  int fd = connect_to(port);
  if (fd < 0) return -1;
  char head[1024];
  int head_len = snprintf(head, sizeof head,
                          "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
                          method, path, send_len);
  int status = -1;
  size_t capacity = 65536, got = 0;
  char *answer = malloc(capacity);
  if (answer && send_all(fd, head, (size_t)head_len) && send_all(fd, send, send_len)) {
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
  char body[4096], name[64];
  if (bench_request(port, "GET", "/stats", "", 0, body, sizeof body) != 200) return -1;
  json_t *all = json_loads(body, 0, NULL);
  const json_t *at = all;
  for (const char *next = path; next; next = strchr(next, '.') ? strchr(next, '.') + 1 : NULL) {
    snprintf(name, sizeof name, "%.*s", (int)strcspn(next, "."), next);
    at = json_object_get(at, name);
  }
  int64_t number = json_is_integer(at) ? json_integer_value(at) : -1;
  json_decref(all);
  return number;
}
