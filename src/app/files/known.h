/* SPDX-License-Identifier: MIT */
/* The files of a folder: opening them, and their ETags. */
#ifndef VSI_FILES_KNOWN_H
#define VSI_FILES_KNOWN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "vestry/host.h"

/* Open a regular file below a folder. Does not block, even if the path names a FIFO or a device.
 * OK | NOT_FOUND (no such file, or a path that is not served) | LIMIT (no free descriptor) | IO | NO_MEMORY (in the
 * kernel) */
vestry_err vsi_folder_open(int folder, const char *path, int *ret_fd, struct stat *ret_stat);

/* Convert errno, as open has set it, to an error of vsi_folder_open. */
vestry_err vsi_folder_error(void);

/* Return a folder's absolute path, which a later chdir does not change, to be freed; NULL: out of memory, or the
 * working directory was removed. */
char *vsi_folder_path(const vestry_host *host, const char *path);

/* Return whether a path leads to this open folder. false: the folder was moved, replaced or removed. */
bool vsi_folder_is_at(int folder, const char *path);

enum { VSI_ETAG_BYTES = 2 + 2 * 16 + 1 };

/* Write the ETag of an open file. It changes whenever the file does, and differs between machines. */
void vsi_known_etag(const struct stat *stat, char etag[VSI_ETAG_BYTES]);

/* Write the ETag of the bytes. */
void vsi_etag_write(const void *bytes, size_t len, char etag[VSI_ETAG_BYTES]);

#endif
