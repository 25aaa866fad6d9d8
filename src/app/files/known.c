/* SPDX-License-Identifier: MIT */
/* ETags and descriptors. The ETag of a file is a hash of its identity: device, inode number, length, time of the last
 * write, and time of the last status change (ctime), which programs cannot set. The file system's clock moves in steps,
 * so two writes within one step leave the same times. Therefore a file that changed within the last 100 ms (YOUNG_NS)
 * has another ETag for each request, and no cache takes it for a later state of the file (RFC 9110, section 8.8.1).
 */
#include "app/files/known.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/memory.h"

/* essay: opening a path that cannot leave its folder */
/* First the path is checked: no segment may be empty or begin with a dot. Then it is opened segment by segment, without
 * following a symbolic link, so no path leaves the folder. */

#include "base/field.h"

/* O_NONBLOCK: opening a FIFO or a device must not block the thread. O_NOCTTY: a terminal must not become the
 * controlling terminal of the process. */
enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, PATH_MAX_BYTES = 4095 };

/* Return whether no segment of the path is empty or begins with a dot. This excludes "..", "/etc" and ".git". */
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

/* Folders are opened with O_PATH, only as the start of the next step. With O_NOFOLLOW, a symbolic link is not
 * followed. */
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

vestry_err vsi_folder_open(int folder, const char *path, int *ret_fd, struct stat *ret_stat) {
  if (!is_path(path)) return VESTRY_NOT_FOUND;
  const int fd = open_by_walk(folder, path);
  if (fd < 0) return vsi_folder_error();
  vestry_err error = fstat(fd, ret_stat) ? VESTRY_IO : S_ISREG(ret_stat->st_mode) ? VESTRY_OK : VESTRY_NOT_FOUND;
  if (error)
    close(fd);
  else
    *ret_fd = fd;
  return error;
}

char *vsi_folder_path(const vestry_host *host, const char *path) {
  char here[PATH_MAX] = "";
  const bool is_absolute = *path == '/';
  if (!is_absolute && !getcwd(here, sizeof here)) return NULL;
  const size_t len = strlen(here) + strlen(path) + 2;
  char *whole = vsi_alloc(host, len);
  if (whole) snprintf(whole, len, "%s%s%s", here, is_absolute ? "" : "/", path);
  return whole;
}

bool vsi_folder_is_at(int folder, const char *path) {
  struct stat named, opened;
  return !stat(path, &named) && !fstat(folder, &opened) && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

#define YOUNG_NS INT64_C(100000000)

typedef struct identity {
  uint64_t device, number, len;
  int64_t written_ns, changed_ns;
} identity;

static int64_t ns_of(const struct timespec *at) {
  return (int64_t)at->tv_sec * 1000000000 + at->tv_nsec;
}

static identity identity_of(const struct stat *stat) {
  return (identity){(uint64_t)stat->st_dev, (uint64_t)stat->st_ino, (uint64_t)stat->st_size, ns_of(&stat->st_mtim),
                    ns_of(&stat->st_ctim)};
}

/* ---------------------------------------------------------------------------------------------- ETags ------------- */

void vsi_etag_write(const void *bytes, size_t len, char etag[VSI_ETAG_BYTES]) {
  struct sha256_ctx sha;
  unsigned char digest[16];
  sha256_init(&sha);
  sha256_update(&sha, len, bytes);
  sha256_digest(&sha, sizeof digest, digest);
  etag[0] = '"';
  vsi_hex_write(etag + 1, digest, sizeof digest);
  memcpy(etag + VSI_ETAG_BYTES - 2, "\"", 2);
}

void vsi_known_etag(const struct stat *stat, char etag[VSI_ETAG_BYTES]) {
  struct timespec now = {.tv_sec = 0};
  struct {
    identity of;
    int64_t young_ns; /* 0: the file is not young */
  } hashed = {.of = identity_of(stat)};
  (void)clock_gettime(CLOCK_REALTIME, &now); /* it cannot fail: every kernel has this clock */
  if (ns_of(&now) - hashed.of.changed_ns < YOUNG_NS) hashed.young_ns = ns_of(&now);
  vsi_etag_write(&hashed, sizeof hashed, etag);
}
