/* SPDX-License-Identifier: MIT */
/* The files of a folder: opening them, their ETags, and the open descriptors of files that are being sent, so that all
 * responses with one file share one descriptor. */
#ifndef VSI_FILES_KNOWN_H
#define VSI_FILES_KNOWN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "http/body.h"
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

typedef struct vsi_known vsi_known;

/* OK | NO_MEMORY */
vestry_err vsi_known_create(const vestry_host *host, vsi_known **ret_known);
/* Destroy the list of descriptors, when the last checked-out file has been released. NULL is accepted. */
void vsi_known_destroy(vsi_known *known);

/* Write the ETag of an open file. It changes whenever the file does, and differs between machines. */
void vsi_known_etag(const struct stat *stat, char etag[VSI_ETAG_BYTES]);

/* Check out a descriptor for sending, shared by all responses with the same file. The caller releases it with
 * give_back.
 * fd       on OK it belongs to the list, which closes it if it has a descriptor of this file already
 * Returns  OK | LIMIT (64 files are open: read the file instead) | NO_MEMORY */
vestry_err vsi_known_check_out(vsi_known *known, int fd, const struct stat *stat, vsi_open_file **ret_file);

/* Write the ETag of the bytes. */
void vsi_etag_write(const void *bytes, size_t len, char etag[VSI_ETAG_BYTES]);

#endif
