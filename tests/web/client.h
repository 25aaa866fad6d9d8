/* SPDX-License-Identifier: MIT */
/* A client made of a bare socket: it shows what is on the wire, and can behave badly. Every wait ends after a minute,
 * and then the test fails. */
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
  size_t at;            /* where the answer begins that is looked at */
  unsigned in_vain;     /* reads behind the end */
  bool ended;           /* the server has closed, or reset */
  bool reset;
  bool unsent; /* it had closed before all was sent */
  char *body;  /* of that answer, without framing; terminated */
  size_t body_len, body_capacity;
  size_t chunks_count;
  /* Where the first chunk begins that is not whole, and the body and the chunks before it; 0: not known. */
  size_t whole_at, whole_len, whole_count;
  bool complete; /* its length was reached, or its final chunk came */
  char header[256];
  struct client_tls *tls; /* NULL: plain */
} client;

/* With TLS: what clients are given at the connect, and what they then send and receive with. */
typedef struct client_tls_ops {
  struct client_tls *(*begin)(int fd);
  /* As send and recv. */
  ssize_t (*send)(struct client_tls *tls, const void *data, size_t len);
  ssize_t (*receive)(struct client_tls *tls, void *data, size_t len);
  void (*end)(struct client_tls *tls);
} client_tls_ops;
extern const client_tls_ops *client_tls_ops_used; /* NULL: none */

/* A UNIX socket's path: client_connect connects there, whatever the port. NULL: to the port. */
extern const char *client_path_used;

/* Connect to the loopback interface. small: with buffers that little data fills. */
void client_connect(client *c, uint16_t port, bool small);
/* The same to an address. */
void client_connect_to(client *c, const char *address, uint16_t port, bool small);
void client_send(client *c, const void *data, size_t len);
void client_say(client *c, const char *format, ...) VESTRY_PRINTF(2, 3);
/* Connect and ask; nothing is read. headers: whole lines. */
void client_ask(client *c, uint16_t port, const char *method, const char *target, const char *headers);

/* Take what there is, waiting for at least a byte or the end. Who goes on for ever behind the end fails. */
void client_read(client *c);
/* Whether something came within this time, or the end. */
bool client_wait(client *c, int ms);
/* Read until the head is there; its status. 100 Continue is passed over. */
int client_status(client *c);
/* Of a header of the head; NULL: none. Valid until the next call. */
const char *client_header(client *c, const char *name);
/* Read until the body has the text. */
void client_expect(client *c, const char *text);
/* Read until the answer is over: complete, or the server has closed. is_head: an answer to HEAD. */
void client_finish(client *c, bool is_head);
/* Read until the server closes; complete says whether the answer was. */
void client_read_all(client *c);
/* Go on to the answer behind this one, on the same connection. */
void client_next(client *c);

/* The client's half of the connection ends; it still reads. */
void client_shut(client *c);
void client_close(client *c);
/* Closes with a reset. */
void client_abort(client *c);

#endif
