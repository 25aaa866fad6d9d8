/* SPDX-License-Identifier: MIT */
/* A client on a plain socket: it shows the bytes on the wire, and can violate the protocol. A wait without
 * result fails the case. */
#ifndef VSI_TESTING_CONTRACT_CLIENT_H
#define VSI_TESTING_CONTRACT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vestry/host.h"

typedef struct vsi_client {
  int fd; /* -1: closed */
  char *text;
  size_t len, capacity; /* received; terminated */
  size_t at;            /* offset of the current response */
  unsigned in_vain;     /* reads after the end */
  bool ended;           /* the server has closed or reset the connection */
  bool reset;
  bool unsent; /* the server had closed before all was sent */
  char *body;  /* of the current response, without framing; terminated */
  size_t body_len, body_capacity;
  size_t chunks_count;
  /* The offset of the first incomplete chunk, and the length and number of the chunks before it; 0: unknown. The bytes
   * of that chunk that are in the body already. */
  size_t whole_at, whole_len, whole_count, part_len;
  bool complete; /* its length was reached, or its final chunk arrived */
  char header[256];
  struct vsi_client_tls *tls; /* NULL: plain */
} vsi_client;

/* TLS: the functions that clients call at connect, and to send and receive. */
typedef struct vsi_client_tls_ops {
  struct vsi_client_tls *(*begin)(int fd);
  /* Like send and recv. */
  ssize_t (*send)(struct vsi_client_tls *tls, const void *data, size_t len);
  ssize_t (*receive)(struct vsi_client_tls *tls, void *data, size_t len);
  void (*end)(struct vsi_client_tls *tls);
  /* Send what the server takes now, and return the number of bytes; NULL: not possible. */
  size_t (*offer)(struct vsi_client_tls *tls, const void *data, size_t len);
} vsi_client_tls_ops;
/* The TLS that the adapter under test can use, so that the cases that differ with it run twice; NULL: none. And the TLS
 * that clients use from now on, and the adapter when it starts; NULL: none. */
extern const vsi_client_tls_ops *vsi_client_tls_ops_offered, *vsi_client_tls_ops_used;

/* The path of a UNIX socket: vsi_client_connect connects to it, whatever the port. NULL: to the port. */
extern const char *vsi_client_path_used;

/* Connect to the loopback interface. small: with small buffers, which fill quickly. */
void vsi_client_connect(vsi_client *c, uint16_t port, bool small);
/* The same to an address. */
void vsi_client_connect_to(vsi_client *c, const char *address, uint16_t port, bool small);
void vsi_client_send(vsi_client *c, const void *data, size_t len);
/* Send what the connection takes without waiting for the server. Returns the number of bytes. */
size_t vsi_client_offer(vsi_client *c, const void *data, size_t len);
void vsi_client_sendf(vsi_client *c, const char *format, ...) VESTRY_PRINTF(2, 3);
/* Connect and send a request, without reading. headers: complete lines. */
void vsi_client_ask(vsi_client *c, uint16_t port, const char *method, const char *target, const char *headers);

/* Read the available bytes; wait for at least one byte, or the end. Fails if it is called repeatedly after the end. */
void vsi_client_read(vsi_client *c);
/* Whether bytes, or the end, arrived within this time. */
bool vsi_client_wait(vsi_client *c, int ms);
/* Read until the head is complete, and return its status. Skips 100 Continue. */
int vsi_client_status(vsi_client *c);
/* Return a header of the head; NULL: none. Valid until the next call. */
const char *vsi_client_header(vsi_client *c, const char *name);
/* Read until the body contains the text. */
void vsi_client_expect(vsi_client *c, const char *text);
/* Read until the response ends: it is complete, or the server has closed. is_head: a response to HEAD. */
void vsi_client_finish(vsi_client *c, bool is_head);
/* Read until the server closes; then `complete` shows whether the response was complete. */
void vsi_client_read_all(vsi_client *c);
/* Continue with the next response on the same connection. */
void vsi_client_next(vsi_client *c);

/* Shut down the client's half of the connection; it still reads. */
void vsi_client_shut(vsi_client *c);
void vsi_client_close(vsi_client *c);
/* Close with a reset. */
void vsi_client_abort(vsi_client *c);

#endif
