/* SPDX-License-Identifier: MIT */
/* The acceptor: vestry listens and accepts connections itself, and gives them to libmicrohttpd. */
#ifndef VSI_MICROHTTPD_ACCEPTOR_H
#define VSI_MICROHTTPD_ACCEPTOR_H

#include <sys/stat.h>

#include "adapter/microhttpd/socket.h"
#include "vestry/microhttpd.h"

/* The file of a listening UNIX socket. */
typedef struct vsi_microhttpd_unix_socket {
  const vestry_host *host;
  char *path; /* NULL: there is no file */
  dev_t device;
  ino_t inode; /* of the file, because another file may replace it */
} vsi_microhttpd_unix_socket;

/* Listen at a path. A file left by a server that is gone is replaced; a socket with a listening process, and a file
 * that is no socket, are not touched.
 * mode     of the file, independent of the umask; no user can connect before it is set
 * ret_fd   owned by the caller; non-blocking
 * Returns  OK | NO_MEMORY | IO (the reason is logged)
 * Blocks for at most START_PATIENCE_MS, while another server starts in the same folder. */
vestry_err vsi_microhttpd_unix_listen(vsi_microhttpd_unix_socket *socket, const vestry_host *host, const char *path,
                                      mode_t mode, int backlog, int *ret_fd);

/* Remove the file, if it is still the one that was created. A struct that was only zeroed is accepted. */
void vsi_microhttpd_unix_finish(vsi_microhttpd_unix_socket *socket);

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
  bool is_tls;            /* constant */
  atomic_bool is_closing; /* set, then signalled by `stop` */
} vsi_microhttpd_acceptor;

/* Listen at the address, or the UNIX path, of the options, but accept no client yet.
 * silent_ms  TCP_USER_TIMEOUT of its connections; 0: the system's
 * OK | INVALID (no address) | NO_MEMORY | IO (logged) */
vestry_err vsi_microhttpd_acceptor_make(vsi_microhttpd_acceptor *acceptor, vestry *v,
                                        const vestry_microhttpd_options *options, unsigned silent_ms);
/* Accept connections, at most `capacity` at once. sockets: counts them. OK | IO */
vestry_err vsi_microhttpd_acceptor_open(vsi_microhttpd_acceptor *acceptor, struct MHD_Daemon *daemon, uint32_t capacity,
                                        vsi_microhttpd_sockets *sockets);
/* Return the port; 0: not created, or a UNIX socket. */
uint16_t vsi_microhttpd_acceptor_port(const vsi_microhttpd_acceptor *acceptor);
/* Stop accepting and listening. May be called twice, and for one that was never created. */
void vsi_microhttpd_acceptor_close(vsi_microhttpd_acceptor *acceptor);

#endif
