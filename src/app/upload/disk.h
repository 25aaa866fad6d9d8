/* SPDX-License-Identifier: MIT */
/* What is asked of the operating system for a folder, so that tests can have each of it fail. Each function returns as
 * the system's does, with errno. */
#ifndef VSI_UPLOAD_DISK_H
#define VSI_UPLOAD_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct vsi_disk {
  int (*make)(int folder, const char *name); /* a file that was not there, for writing */
  int (*open)(int folder, const char *name); /* one that is there, for reading and writing */
  ssize_t (*write)(int fd, const void *bytes, size_t len, off_t at);
  int (*truncate)(int fd, off_t len);
  int (*sync)(int fd); /* a file's, or the folder's */
  int (*rename)(int folder, const char *from, const char *to);
  int (*remove)(int folder, const char *name);
  int (*room)(int folder, uint64_t *ret_bytes); /* that are free */
  int64_t (*now_s)(void);                       /* since 1970: it goes on while no process runs */
} vsi_disk;

extern const vsi_disk vsi_disk_of_system;

/* Write all of it, in as many calls as it takes. at: where; it moves on by what was written. false: not all, with
 * errno. */
bool vsi_disk_write(const vsi_disk *disk, int fd, const void *bytes, size_t len, uint64_t *at);

/* Make a file whole or not at all: written and synced, but its name is not. A file of that name that a failure left is
 * replaced. false: it is not there, with errno. */
bool vsi_disk_put(const vsi_disk *disk, int folder, const char *name, const void *first, size_t first_len,
                  const void *second, size_t second_len);

#endif
