/* SPDX-License-Identifier: MIT */
#include "app/upload/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int make_file(int folder, const char *name) {
  return openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int open_file(int folder, const char *name) {
  return openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

static int rename_file(int folder, const char *from, const char *to) {
  return renameat(folder, from, folder, to);
}

static int remove_file(int folder, const char *name) {
  return unlinkat(folder, name, 0);
}

static int free_room(int folder, uint64_t *ret_bytes) {
  struct statvfs about;
  if (fstatvfs(folder, &about)) return -1;
  *ret_bytes = (uint64_t)about.f_bavail * about.f_frsize;
  return 0;
}

static int64_t now_s(void) {
  return time(NULL);
}

const vsi_disk vsi_disk_of_system = {make_file,   open_file,   pwrite,    ftruncate, fsync,
                                     rename_file, remove_file, free_room, now_s};

bool vsi_disk_write(const vsi_disk *disk, int fd, const void *bytes, size_t len, uint64_t *at) {
  for (const char *from = bytes; len;) {
    ssize_t written = disk->write(fd, from, len, (off_t)*at);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    if (written <= 0) return false;
    *at += (uint64_t)written;
    from += written;
    len -= (size_t)written;
  }
  return true;
}

bool vsi_disk_put(const vsi_disk *disk, int folder, const char *name, const void *first, size_t first_len,
                  const void *second, size_t second_len) {
  uint64_t at = 0;
  int fd = disk->make(folder, name);
  if (fd < 0 && errno == EEXIST && !disk->remove(folder, name)) fd = disk->make(folder, name);
  if (fd < 0) return false;
  const bool is_put = vsi_disk_write(disk, fd, first, first_len, &at) &&
                      vsi_disk_write(disk, fd, second, second_len, &at) && !disk->sync(fd);
  const int why = errno;
  close(fd);
  if (!is_put) (void)disk->remove(folder, name);
  errno = why;
  return is_put;
}
