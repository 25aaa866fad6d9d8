/* SPDX-License-Identifier: MIT */
/* A listening UNIX socket, and its file. */
#ifndef VSI_MICROHTTPD_UNIX_SOCKET_H
#define VSI_MICROHTTPD_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "vestry/error.h"
#include "vestry/host.h"

typedef struct vsi_microhttpd_unix_socket {
  const vestry_host *host;
  char *path; /* NULL: there is no file */
  dev_t device;
  ino_t inode; /* of the file, because another file may replace it */
} vsi_microhttpd_unix_socket;

/* Return whether a path fits into an address: neither empty nor too long. */
bool vsi_microhttpd_unix_path_fits(const char *path);

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

#endif
