/* SPDX-License-Identifier: MIT */
/* The acceptor: vestry accepts connections itself and gives them to libmicrohttpd. */
#ifndef VSI_MICROHTTPD_ACCEPTOR_H
#define VSI_MICROHTTPD_ACCEPTOR_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/unix_socket.h"
#include "vestry/adapter.h"

/* Zeroed at first. */
typedef struct vsi_microhttpd_acceptor {
  vestry *v; /* NULL: not created */
  const vestry_host *host;
  struct MHD_Daemon *daemon;
  uint32_t capacity; /* maximum number of connections; constant */
  vsi_microhttpd_sockets *sockets;
  int listener, stop;              /* -1: none */
  vsi_microhttpd_unix_socket file; /* of the listener, if it is a UNIX socket */
  pthread_t thread;
  bool is_open;
  bool is_tls;            /* constant, set before it is open */
  atomic_bool is_closing; /* set, then signalled by `stop` */
} vsi_microhttpd_acceptor;

/* Listen, but accept no client yet.
 * address, port  as the adapter's options; address: not NULL
 * silent_ms      TCP_USER_TIMEOUT of its connections; 0: the system's
 * OK | INVALID (no address) | IO (logged) */
vestry_err vsi_microhttpd_acceptor_make(vsi_microhttpd_acceptor *acceptor, vestry *v, const char *address,
                                        uint16_t port, unsigned silent_ms);
/* The same on a UNIX socket, as vsi_microhttpd_unix_listen does. OK | NO_MEMORY | IO (logged) */
vestry_err vsi_microhttpd_acceptor_make_unix(vsi_microhttpd_acceptor *acceptor, vestry *v, const char *path,
                                             mode_t mode);
/* Accept connections, at most `capacity` at once. sockets: counts them. OK | IO */
vestry_err vsi_microhttpd_acceptor_open(vsi_microhttpd_acceptor *acceptor, struct MHD_Daemon *daemon, uint32_t capacity,
                                        vsi_microhttpd_sockets *sockets);
/* Return the port; 0: not created, or a UNIX socket. */
uint16_t vsi_microhttpd_acceptor_port(const vsi_microhttpd_acceptor *acceptor);
/* Stop accepting and listening. May be called twice, and for one that was never created. */
void vsi_microhttpd_acceptor_close(vsi_microhttpd_acceptor *acceptor);

#endif
