/* SPDX-License-Identifier: MIT */
/* A client on a plain socket: it shows the bytes on the wire, and can violate the protocol. Each wait ends after a
 * minute, and then the test fails. */
#ifndef TESTS_WEB_CLIENT_H
#define TESTS_WEB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vestry/host.h"

typedef struct client {
  int fd; /* -1: closed */
  char *text;
  size_t len, capacity; /* received; terminated */
  size_t at;            /* offset of the current answer */
  unsigned in_vain;     /* reads after the end */
  bool ended;           /* the server has closed or reset the connection */
  bool reset;
  bool unsent; /* the server had closed before all was sent */
  char *body;  /* of the current answer, without framing; terminated */
  size_t body_len, body_capacity;
  size_t chunks_count;
  /* The offset of the first incomplete chunk, and the length and number of the chunks before it; 0: unknown. The bytes
   * of that chunk that are in the body already. */
  size_t whole_at, whole_len, whole_count, part_len;
  bool complete; /* its length was reached, or its final chunk arrived */
  char header[256];
  struct client_tls *tls; /* NULL: plain */
} client;

/* TLS: the functions that clients call at connect, and to send and receive. */
typedef struct client_tls_ops {
  struct client_tls *(*begin)(int fd);
  /* Like send and recv. */
  ssize_t (*send)(struct client_tls *tls, const void *data, size_t len);
  ssize_t (*receive)(struct client_tls *tls, void *data, size_t len);
  void (*end)(struct client_tls *tls);
} client_tls_ops;
extern const client_tls_ops *client_tls_ops_used; /* NULL: none */

/* The path of a UNIX socket: client_connect connects to it, whatever the port. NULL: to the port. */
extern const char *client_path_used;

/* Connect to the loopback interface. small: with small buffers, which fill quickly. */
void client_connect(client *c, uint16_t port, bool small);
/* The same to an address. */
void client_connect_to(client *c, const char *address, uint16_t port, bool small);
void client_send(client *c, const void *data, size_t len);
void client_sendf(client *c, const char *format, ...) VESTRY_PRINTF(2, 3);
/* Connect and send a request, without reading. headers: complete lines. */
void client_ask(client *c, uint16_t port, const char *method, const char *target, const char *headers);

/* Read the available bytes; wait for at least one byte, or the end. Fails if it is called repeatedly after the end. */
void client_read(client *c);
/* Whether bytes, or the end, arrived within this time. */
bool client_wait(client *c, int ms);
/* Read until the head is complete, and return its status. Skips 100 Continue. */
int client_status(client *c);
/* Return a header of the head; NULL: none. Valid until the next call. */
const char *client_header(client *c, const char *name);
/* Read until the body contains the text. */
void client_expect(client *c, const char *text);
/* Read until the answer ends: it is complete, or the server has closed. is_head: an answer to HEAD. */
void client_finish(client *c, bool is_head);
/* Read until the server closes; then `complete` shows whether the answer was complete. */
void client_read_all(client *c);
/* Continue with the next answer on the same connection. */
void client_next(client *c);

/* Shut down the client's half of the connection; it still reads. */
void client_shut(client *c);
void client_close(client *c);
/* Close with a reset. */
void client_abort(client *c);

#endif
