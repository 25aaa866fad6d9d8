/* SPDX-License-Identifier: MIT */
/* A UNIX socket that listens, and the file it has in the file system. */
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
  ino_t inode; /* the file's: another one in its place is not ours */
} vsi_microhttpd_unix_socket;

/* Whether a path fits into an address: neither empty nor too long. */
bool vsi_microhttpd_unix_path_fits(const char *path);

/* Listen at a path. A file that a server left there which is gone is replaced; a socket where a process listens, and
 * what is no socket, stay as they are.
 * mode     of the file, whatever the umask; no user can connect before it has it
 * ret_fd   owned by the caller; does not block
 * Returns  OK | NO_MEMORY | IO (the log says why)
 * Blocks for START_PATIENCE_MS at most, while another server starts in the same folder. */
vestry_err vsi_microhttpd_unix_listen(vsi_microhttpd_unix_socket *socket, const vestry_host *host, const char *path,
                                      mode_t mode, int backlog, int *ret_fd);

/* Remove the file, if it is still the one that was made. Takes one that was only zeroed. */
void vsi_microhttpd_unix_finish(vsi_microhttpd_unix_socket *socket);

#endif
