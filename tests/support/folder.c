/* SPDX-License-Identifier: MIT */
#include "support/folder.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/test.h"

void folder_make(char folder[FOLDER_BYTES], const char *name) {
  const char *fast = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
  snprintf(folder, FOLDER_BYTES, "%s/vestry-%s-XXXXXX", fast, name);
  assert_non_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *at) {
  (void)stat, (void)kind, (void)at;
  return remove(path);
}

void folder_remove(const char *folder) {
  assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}
