/* SPDX-License-Identifier: MIT */
/* A plain HTTP client on a socket: it shows what is really on the wire, and can behave badly. */
#ifndef TESTS_EXAMPLES_CLIENT_H
#define TESTS_EXAMPLES_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { COOKIE_LEN = 33 };

/* One connection, one request. Everything received stays in text, terminated. */
struct client {
  int fd;
  char *text;
  size_t len, capacity;
  bool ended; /* the server has closed */
};

struct call {
  const char *method, *path;
  const char *session; /* value of the cookie; NULL: none */
  bool plain;          /* without Datastar-Request */
  const char *body;    /* NULL: none */
  const char *headers; /* more of them, each with its line end; NULL: none */
};

/* Connect and send. */
void client_call(struct client *client, unsigned port, const struct call *call);
/* Connect and send bytes as they are; read nothing. small: with buffers so small that little data stalls it. */
void client_connect(struct client *client, unsigned port, bool small);
void client_send(struct client *client, const char *bytes, size_t len);
/* Read until the text is there, from offset on. Returns the offset behind it; fails when it does not come. */
size_t client_expect(struct client *client, size_t offset, const char *text);
/* Read until the server closes. */
void client_read_all(struct client *client);
/* The status of the answer, whose head is waited for. */
int client_status(struct client *client);
/* A header's value in the answer; NULL: it has none. Valid until the next call. */
const char *client_header(struct client *client, const char *name);
/* What is behind the head, as sent. */
const char *client_body(struct client *client);
/* Whether a chunked answer has ended with its final chunk: an aborted one has not. */
bool client_ended_cleanly(const struct client *client);
/* abruptly: with a reset, as the system does for a process that was killed with data unread. */
void client_close(struct client *client, bool abruptly);

/* The whole of a call: status. */
int call_status(unsigned port, const struct call *call);
/* A session as a browser gets one: GET /, cookie out. */
void new_session(unsigned port, char session[COOKIE_LEN + 1]);
/* GET /keys. To be freed with json_decref. */
json_t *keys_of(unsigned port);
/* Ask for /keys until the number at a path such as "open" or "causes.hangup" is this. */
void keys_expect(unsigned port, const char *path, json_int_t wanted);

#endif
