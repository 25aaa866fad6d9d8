/* SPDX-License-Identifier: MIT */
/* essay: a path that leads nowhere but into the folder */
#include "app/files/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef SYS_openat2 /* headers of Linux 5.6 */
#include <linux/openat2.h>
#endif

#include "base/field.h"

/* A FIFO or a device must not hold the thread, nor a terminal become the process' own. */
enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, PATH_MAX_BYTES = 4095 };

/* Segments that are not empty and do not begin with a dot: neither "..", nor "/etc", nor ".git". */
static bool is_path(const char *path) {
  if (!path || strlen(path) > PATH_MAX_BYTES || !vsi_is_field_value(path) || strchr(path, '\t')) return false;
  for (;; path++) {
    if (!*path || *path == '/' || *path == '.') return false;
    path = strchr(path, '/');
    if (!path) return true;
  }
}

vestry_err vsi_folder_error(void) {
  switch (errno) {
  case EMFILE:
  case ENFILE: return VESTRY_LIMIT;
  case ENOMEM: return VESTRY_NO_MEMORY;
  case EIO:
  case EINTR: return VESTRY_IO;
  default: return VESTRY_NOT_FOUND; /* ENOENT, ENOTDIR, ELOOP, EXDEV, EACCES, ENXIO … */
  }
}

static int open_at_once(int folder, const char *path) {
#ifdef SYS_openat2
  const struct open_how how = {.flags = FLAGS,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
  return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
#else
  (void)folder, (void)path;
  errno = ENOSYS;
  return -1;
#endif
}

/* A folder on the way is opened only to go on from; with O_NOFOLLOW, so a link is none. */
static int open_by_walk(int folder, const char *path) {
  int at = folder;
  for (;;) {
    size_t len = strcspn(path, "/");
    char segment[PATH_MAX_BYTES + 1];
    memcpy(segment, path, len);
    segment[len] = '\0';
    int next = openat(at, segment, path[len] ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : FLAGS);
    int error = errno;
    if (at != folder) close(at);
    errno = error;
    if (next < 0 || !path[len]) return next;
    at = next;
    path += len + 1;
  }
}

vestry_err vsi_folder_open(int folder, const char *path, bool by_walk, int *ret_fd, struct stat *ret_stat) {
  if (!is_path(path)) return VESTRY_NOT_FOUND;
  int fd = by_walk ? -1 : open_at_once(folder, path);
  /* EPERM: so say sandboxes of what they do not know */
  if (by_walk || (fd < 0 && (errno == ENOSYS || errno == EPERM))) fd = open_by_walk(folder, path);
  if (fd < 0) return vsi_folder_error();
  vestry_err error = fstat(fd, ret_stat) ? VESTRY_IO : S_ISREG(ret_stat->st_mode) ? VESTRY_OK : VESTRY_NOT_FOUND;
  if (error)
    close(fd);
  else
    *ret_fd = fd;
  return error;
}
