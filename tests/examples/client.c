/* SPDX-License-Identifier: MIT */
#include "examples/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "examples/process.h"
#include "support/patience.h"
#include "support/test.h"

enum { PATIENCE_MS = PATIENCE_S * 1000 };

void client_connect(struct client *client, unsigned port, bool small) {
  *client = (struct client){.capacity = 4096, .text = calloc(1, 4096)};
  assert_non_null(client->text);
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (small) {
    /* Small segments and a small window keep the server's buffer for this connection small as well. */
    int bytes = 2048, segment = 536;
    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(client->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  }
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
}

void client_send(struct client *client, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);
    if (sent <= 0) return; /* refused early: the answer can be read */
    bytes += sent;
    len -= (size_t)sent;
  }
}

void client_call(struct client *client, unsigned port, const struct call *call) {
  char head[2048], length[48] = "";
  size_t body_len = call->body ? strlen(call->body) : 0;
  if (call->body) snprintf(length, sizeof length, "Content-Length: %zu\r\n", body_len);
  int len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s%s%s%s%s%s\r\n",
                     call->method, call->path, call->plain ? "" : "Datastar-Request: true\r\n",
                     call->session ? "Cookie: theme=dark; vestry_session=" : "", call->session ? call->session : "",
                     call->session ? "\r\n" : "", call->headers ? call->headers : "", length);
  assert_in_range(len, 1, sizeof head - 1);
  client_connect(client, port, false);
  client_send(client, head, (size_t)len);
  if (call->body) client_send(client, call->body, body_len);
}

/* Wait for more bytes until the deadline. False: no more bytes will come. */
static bool receive(struct client *client, uint64_t deadline) {
  if (client->ended) return false;
  struct pollfd waiting = {.fd = client->fd, .events = POLLIN};
  uint64_t now = now_ms();
  if (now >= deadline || poll(&waiting, 1, (int)(deadline - now)) <= 0) return false;
  if (client->capacity - client->len < 1024) {
    client->capacity *= 2;
    client->text = realloc(client->text, client->capacity);
    assert_non_null(client->text);
  }
  ssize_t got = recv(client->fd, client->text + client->len, client->capacity - client->len - 1, 0);
  if (got <= 0)
    client->ended = true;
  else
    client->len += (size_t)got;
  client->text[client->len] = '\0';
  return got > 0;
}

size_t client_expect(struct client *client, size_t offset, const char *text) {
  uint64_t deadline = now_ms() + PATIENCE_MS;
  for (;;) {
    const char *found = strstr(client->text + offset, text);
    if (found) return (size_t)(found - client->text) + strlen(text);
    if (!receive(client, deadline))
      fail_msg("\"%s\" is not in what came %s:\n%s", text, client->ended ? "before the end" : "in time",
               client->text + offset);
  }
}

void client_read_all(struct client *client) {
  uint64_t deadline = now_ms() + PATIENCE_MS;
  while (receive(client, deadline)) continue;
  if (!client->ended) fail_msg("the server does not close, after:\n%s", client->text);
}

int client_status(struct client *client) {
  int status = 0;
  client_expect(client, 0, "\r\n\r\n");
  assert_int_equal(sscanf(client->text, "HTTP/1.1 %d ", &status), 1);
  return status;
}

const char *client_header(struct client *client, const char *name) {
  static char value[1024];
  client_expect(client, 0, "\r\n\r\n");
  const char *end = strstr(client->text, "\r\n\r\n");
  for (const char *line = strstr(client->text, "\r\n"); line && line < end; line = strstr(line, "\r\n")) {
    line += 2;
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':') continue;
    line += len + 1 + strspn(line + len + 1, " ");
    snprintf(value, sizeof value, "%.*s", (int)(strstr(line, "\r\n") - line), line);
    return value;
  }
  return NULL;
}

const char *client_body(struct client *client) {
  return client->text + client_expect(client, 0, "\r\n\r\n");
}

bool client_ended_cleanly(const struct client *client) {
  static const char last[] = "\r\n0\r\n\r\n";
  size_t len = sizeof last - 1;
  return client->ended && client->len > len && memcmp(client->text + client->len - len, last, len) == 0;
}

void client_close(struct client *client, bool abruptly) {
  if (abruptly) setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
  close(client->fd);
  free(client->text);
}

int call_status(unsigned port, const struct call *call) {
  struct client client;
  client_call(&client, port, call);
  int status = client_status(&client);
  client_close(&client, false);
  return status;
}

void new_session(unsigned port, char session[COOKIE_LEN + 1]) {
  struct client client;
  client_call(&client, port, &(struct call){.method = "GET", .path = "/", .plain = true});
  const char *cookie = client_header(&client, "Set-Cookie");
  assert_non_null(cookie);
  assert_int_equal(sscanf(cookie, "vestry_session=%33[-0-9a-f];", session), 1);
  assert_int_equal(strlen(session), COOKIE_LEN);
  client_close(&client, false);
}

json_t *keys_of(unsigned port) {
  struct client client;
  client_call(&client, port, &(struct call){.method = "GET", .path = "/keys", .plain = true});
  assert_int_equal(client_status(&client), 200);
  assert_string_equal(client_header(&client, "Content-Type"), "application/json");
  client_read_all(&client);
  json_t *keys = json_loads(client_body(&client), 0, NULL);
  assert_non_null(keys);
  client_close(&client, false);
  return keys;
}

static json_int_t number_at(json_t *object, const char *path) {
  char name[64];
  const char *rest = strchr(path, '.');
  snprintf(name, sizeof name, "%.*s", rest ? (int)(rest - path) : (int)strlen(path), path);
  json_t *value = json_object_get(object, name);
  if (rest) return number_at(value, rest + 1);
  assert_true(json_is_integer(value));
  return json_integer_value(value);
}

void keys_expect(unsigned port, const char *path, json_int_t wanted) {
  uint64_t deadline = now_ms() + PATIENCE_MS;
  for (;;) {
    json_t *keys = keys_of(port);
    json_int_t seen = number_at(keys, path);
    json_decref(keys);
    if (seen == wanted) return;
    if (now_ms() >= deadline) fail_msg("%s is %lld, not %lld", path, (long long)seen, (long long)wanted);
  }
}
