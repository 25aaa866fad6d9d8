/* SPDX-License-Identifier: MIT */
/* The door: vestry accepts connections itself and hands them to libmicrohttpd. */
#ifndef VSI_MICROHTTPD_DOOR_H
#define VSI_MICROHTTPD_DOOR_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/unix_socket.h"
#include "vestry/adapter.h"

/* Zeroed to begin with. */
typedef struct vsi_microhttpd_door {
  vestry *v; /* NULL: not made */
  const vestry_host *host;
  struct MHD_Daemon *daemon;
  uint32_t capacity; /* connections at once; constant */
  vsi_microhttpd_sockets *sockets;
  int listener, stop;              /* -1: none */
  vsi_microhttpd_unix_socket file; /* the listener's, if it is a UNIX socket */
  pthread_t thread;
  bool is_open;
  bool is_tls;            /* constant, set before it is open */
  atomic_bool is_closing; /* set, then told by `stop` */
} vsi_microhttpd_door;

/* Listen, and let no client in yet.
 * address, port  as the adapter's options; address: no NULL
 * silent_ms      TCP_USER_TIMEOUT of its connections; 0: the system's
 * OK | INVALID (no address) | IO (which is logged) */
vestry_err vsi_microhttpd_door_make(vsi_microhttpd_door *door, vestry *v, const char *address, uint16_t port,
                                    unsigned silent_ms);
/* The same on a UNIX socket, as vsi_microhttpd_unix_listen does. OK | NO_MEMORY | IO (which is logged) */
vestry_err vsi_microhttpd_door_make_unix(vsi_microhttpd_door *door, vestry *v, const char *path, mode_t mode);
/* Let connections in, so many at once. sockets: where they are counted. OK | IO */
vestry_err vsi_microhttpd_door_open(vsi_microhttpd_door *door, struct MHD_Daemon *daemon, uint32_t capacity,
                                    vsi_microhttpd_sockets *sockets);
/* 0: it was not made, or is a UNIX socket's. */
uint16_t vsi_microhttpd_door_port(const vsi_microhttpd_door *door);
/* From here on no client comes in, and the socket listens no more. May be called twice, and for one that was never
 * made. */
void vsi_microhttpd_door_close(vsi_microhttpd_door *door);

#endif
