/* SPDX-License-Identifier: MIT */
/* essay: replacing the socket file of a server that is gone */
/* Listening on a UNIX socket.
 *
 * A server that ends without cleanup leaves its socket's file behind, and no other server can bind to that path.
 * Therefore a server that finds a socket at its path connects to it. If the connection is refused, no process listens,
 * and the file may be removed. But a server that has bound its file and does not listen yet refuses connections, too,
 * and another server may start between the refusal and the removal. Therefore a starting server holds a lock on the
 * folder (flock, which leaves no file), from the check until it listens. The wait for the lock is bounded, because any
 * user that may read the folder can hold it.
 *
 * The file gets its mode before the socket listens, because all connections are refused until then. */
#include "adapter/microhttpd/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

enum { START_PATIENCE_MS = 2000, LOOK_AGAIN_MS = 10 };

bool vsi_microhttpd_unix_path_fits(const char *path) {
  return *path && strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path;
}

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path) + 1);
  return address;
}

static vestry_err fail(const vestry_host *host, const char *path, const char *why) {
  vsi_log(host, VESTRY_LOG_ERROR,
          "vestry_microhttpd_create: cannot listen at %s: %s; choose another path, in a folder in which this user can "
          "write",
          path, why);
  return VESTRY_IO;
}

/* Lock the folder. Returns its descriptor; -1: failed, see errno. */
static int lock_folder(const char *path) {
  char folder[sizeof((struct sockaddr_un *)0)->sun_path] = ".";
  const char *slash = strrchr(path, '/');
  if (slash) snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  const struct timespec pause = {.tv_nsec = LOOK_AGAIN_MS * 1000000L};
  for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += LOOK_AGAIN_MS) {
    int error = errno;
    if (error == EINTR) continue;
    if (error == EWOULDBLOCK && waited_ms < START_PATIENCE_MS) {
      nanosleep(&pause, NULL);
      continue;
    }
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/* Make a path available. Returns the reason of a failure; NULL: there is no file now. */
static const char *clear_locked(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) return errno == ENOENT ? NULL : strerror(errno);
  if (!S_ISSOCK(found.st_mode)) return "a file exists that is not a socket";
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return strerror(errno);
  struct sockaddr_un address = address_of(path);
  int error = connect(probe, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
  close(probe);
  if (!error || error == EAGAIN) return "another server listens there"; /* EAGAIN: its queue is full */
  if (error != ECONNREFUSED) return error == ENOENT ? NULL : strerror(error);
  return unlink(path) == 0 || errno == ENOENT ? NULL : strerror(errno);
}

/* Returns the reason of a failure; NULL: it listens. */
static const char *listen_locked(vsi_microhttpd_unix_socket *at, mode_t mode, int backlog, int *ret_fd) {
  const char *why = clear_locked(at->path);
  if (why) return why;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return strerror(errno);
  struct sockaddr_un address = address_of(at->path);
  struct stat made;
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    why = strerror(errno);
    close(fd);
    return why;
  }
  if (chmod(at->path, mode) != 0 || lstat(at->path, &made) != 0 || listen(fd, backlog) != 0) {
    why = strerror(errno);
    unlink(at->path);
    close(fd);
    return why;
  }
  at->device = made.st_dev;
  at->inode = made.st_ino;
  *ret_fd = fd;
  return NULL;
}

vestry_err vsi_microhttpd_unix_listen(vsi_microhttpd_unix_socket *at, const vestry_host *host, const char *path,
                                      mode_t mode, int backlog, int *ret_fd) {
  *at = (vsi_microhttpd_unix_socket){.host = host};
  int folder = lock_folder(path);
  if (folder < 0)
    return fail(host, path, errno == EWOULDBLOCK ? "another server is starting in this folder" : strerror(errno));
  at->path = vsi_strdup(host, path, strlen(path));
  vestry_err error = at->path ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (at->path) {
    const char *why = listen_locked(at, mode, backlog, ret_fd);
    if (why) {
      error = fail(host, path, why);
      vsi_free(host, at->path);
      at->path = NULL;
    }
  }
  close(folder);
  return error;
}

void vsi_microhttpd_unix_finish(vsi_microhttpd_unix_socket *at) {
  struct stat found;
  if (!at->path) return;
  if (lstat(at->path, &found) == 0 && found.st_dev == at->device && found.st_ino == at->inode) unlink(at->path);
  vsi_free(at->host, at->path);
  at->path = NULL;
}
