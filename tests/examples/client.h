/* SPDX-License-Identifier: MIT */
/* A plain HTTP client on a socket: it shows the bytes on the wire, and can violate the protocol. */
#ifndef TESTS_EXAMPLES_CLIENT_H
#define TESTS_EXAMPLES_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { COOKIE_LEN = 33 };

/* One connection with one request. All received bytes stay in text, terminated. */
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
  const char *headers; /* additional headers, each with its line end; NULL: none */
};

/* Connect and send. */
void client_call(struct client *client, unsigned port, const struct call *call);
/* Connect and send raw bytes, without reading. small: with buffers so small that little data stalls it. */
void client_connect(struct client *client, unsigned port, bool small);
void client_send(struct client *client, const char *bytes, size_t len);
/* Read until the text appears at or after offset. Returns the offset after it; fails if it does not come. */
size_t client_expect(struct client *client, size_t offset, const char *text);
/* Read until the server closes. */
void client_read_all(struct client *client);
/* Wait for the head of the answer, and return its status. */
int client_status(struct client *client);
/* Return the value of a header of the answer; NULL: none. Valid until the next call. */
const char *client_header(struct client *client, const char *name);
/* Return the body as sent. */
const char *client_body(struct client *client);
/* Whether a chunked answer has ended with its final chunk: an aborted one has not. */
bool client_ended_cleanly(const struct client *client);
/* abruptly: with a reset, which the system sends for a killed process with unread data. */
void client_close(struct client *client, bool abruptly);

/* Perform a complete call, and return its status. */
int call_status(unsigned port, const struct call *call);
/* Get a session like a browser: GET /, and read the cookie. */
void new_session(unsigned port, char session[COOKIE_LEN + 1]);
/* GET /keys. To be freed with json_decref. */
json_t *keys_of(unsigned port);
/* Request /keys until the number at a path such as "open" or "causes.hangup" has this value. */
void keys_expect(unsigned port, const char *path, json_int_t wanted);

#endif
