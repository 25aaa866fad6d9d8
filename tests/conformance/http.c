/* SPDX-License-Identifier: MIT */
#include "conformance/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Encode like encodeURIComponent of browsers: all bytes except letters, digits and a few marks. */
static void append_encoded(sse_text *out, sse_text text) {
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.data[i];
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    char escape[4];
    snprintf(escape, sizeof escape, "%%%02X", c);
    sse_text_append(out, plain ? text.data + i : escape, plain ? 1 : 3);
  }
}

static void append(sse_text *out, const char *text) {
  sse_text_append(out, text, strlen(text));
}

static sse_text make_request(const char *method, const char *path, const char *headers, sse_text json) {
  bool in_query = strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0;
  sse_text request = {NULL, 0};
  append(&request, method);
  append(&request, " ");
  append(&request, path);
  if (in_query) {
    append(&request, "?datastar=");
    append_encoded(&request, json);
  }
  append(&request, " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nConnection: close\r\n");
  append(&request, headers);
  if (!in_query) {
    char of_body[96];
    snprintf(of_body, sizeof of_body, "Content-Type: application/json\r\nContent-Length: %zu\r\n", json.len);
    append(&request, of_body);
  }
  append(&request, "\r\n");
  if (!in_query) sse_text_append(&request, json.data, json.len);
  return request;
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {.tv_sec = 10};
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* Send the request, and read until the connection ends. */
static const char *exchange(int port, sse_text request, sse_text *answer) {
  int fd = connect_to(port);
  if (fd < 0) return "no connection";
  const char *why = NULL;
  for (size_t sent = 0; sent < request.len && !why;) {
    ssize_t got = send(fd, request.data + sent, request.len - sent, MSG_NOSIGNAL);
    if (got <= 0)
      why = "the request was not taken";
    else
      sent += (size_t)got;
  }
  char block[16384];
  ssize_t got = 1;
  while (!why && (got = recv(fd, block, sizeof block, 0)) > 0) sse_text_append(answer, block, (size_t)got);
  if (!why && got < 0) why = "the answer did not end";
  close(fd);
  return why;
}

static const char *dechunk(const char *at, const char *end, sse_text *body) {
  for (;;) {
    char *digits_end;
    unsigned long len = strtoul(at, &digits_end, 16); /* strtoul stops at the terminating NUL of the answer */
    if (digits_end == at || strncmp(digits_end, "\r\n", 2) != 0) return "a chunk without its length";
    at = digits_end + 2;
    if ((unsigned long)(end - at) < len + 2 || strncmp(at + len, "\r\n", 2) != 0) return "a chunk is cut";
    if (len == 0) return at + 2 == end ? NULL : "there is more behind the last chunk";
    sse_text_append(body, at, len);
    at += len + 2;
  }
}

/* Return the value of a header, which ends with CR. NULL: the header is absent. */
static const char *header(const http_answer *answer, const char *name) {
  for (const char *line = answer->head.data; (line = strstr(line, "\r\n")) != NULL;) {
    line += 2;
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) == 0 && line[len] == ':') return line + len + 1 + strspn(line + len + 1, " ");
  }
  return NULL;
}

bool http_has_header(const http_answer *answer, const char *name, const char *value) {
  const char *got = header(answer, name);
  return got && strncmp(got, value, strlen(value)) == 0 && strncmp(got + strlen(value), "\r\n", 2) == 0;
}

static const char *take_apart(sse_text bytes, http_answer *answer) {
  const char *blank = bytes.data ? strstr(bytes.data, "\r\n\r\n") : NULL;
  if (!blank) return "an answer without a head";
  const char *body = blank + 4, *end = bytes.data + bytes.len;
  sse_text_append(&answer->head, bytes.data, (size_t)(blank + 2 - bytes.data));
  sse_text_append(&answer->body, "", 0);
  if (sscanf(answer->head.data, "HTTP/1.1 %d", &answer->status) != 1) return "an answer without a status";
  if (http_has_header(answer, "Transfer-Encoding", "chunked")) return dechunk(body, end, &answer->body);
  const char *length = header(answer, "Content-Length");
  if (length && strtoul(length, NULL, 10) != (unsigned long)(end - body)) return "a body of another length";
  sse_text_append(&answer->body, body, (size_t)(end - body));
  return NULL;
}

const char *http_request(int port, const char *method, const char *path, const char *headers, sse_text json,
                         http_answer *ret_answer) {
  *ret_answer = (http_answer){.status = 0};
  sse_text request = make_request(method, path, headers, json), bytes = {NULL, 0};
  const char *why = exchange(port, request, &bytes);
  if (!why) why = take_apart(bytes, ret_answer);
  sse_text_finish(&request);
  sse_text_finish(&bytes);
  return why;
}

void http_finish(http_answer *answer) {
  sse_text_finish(&answer->head);
  sse_text_finish(&answer->body);
}
