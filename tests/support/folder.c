/* SPDX-License-Identifier: MIT */
#include "support/folder.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "support/test.h"

#define ROOM_BYTES 2e9

/* Several tests run at a time, and a database's server takes some hundred megabytes. A container's /dev/shm may have
 * 64. */
static bool has_room(const char *path) {
  struct statvfs is;
  return access(path, W_OK) == 0 && statvfs(path, &is) == 0 && (double)is.f_bavail * (double)is.f_frsize >= ROOM_BYTES;
}

void folder_make(char folder[FOLDER_BYTES], const char *name) {
  snprintf(folder, FOLDER_BYTES, "%s/vestry-%s-XXXXXX", has_room("/dev/shm") ? "/dev/shm" : "/tmp", name);
  assert_non_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *at) {
  return remove(path);
}

void folder_remove(const char *folder) {
  assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
