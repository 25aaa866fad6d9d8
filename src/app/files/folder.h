/* SPDX-License-Identifier: MIT */
/* Opening and reading what is in a folder, and nothing else. */
#ifndef VSI_FILES_FOLDER_H
#define VSI_FILES_FOLDER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "vestry/host.h"

/* Open a regular file below a folder. Does not wait, whatever it is.
 * by_walk  segment by segment, as it is done where the kernel has no openat2
 * OK | NOT_FOUND (none that may be seen) | LIMIT (no descriptor) | IO | NO_MEMORY (the kernel's) */
vestry_err vsi_folder_open(int folder, const char *path, bool by_walk, int *ret_fd, struct stat *ret_stat);

/* What open left in errno, as above. */
vestry_err vsi_folder_error(void);

#endif
