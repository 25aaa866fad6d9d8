/* SPDX-License-Identifier: MIT */
/* Files of a folder that were asked for before: their ETags, so that a file is read once and not for each request; and
 * the descriptors of those that are being sent, each once, however many answers send it. */
#ifndef VSI_FILES_KNOWN_H
#define VSI_FILES_KNOWN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "http/body.h"
#include "vestry/host.h"

/* Open a regular file below a folder. Does not wait, whatever it is.
 * by_walk  segment by segment, as it is done where the kernel has no openat2
 * OK | NOT_FOUND (none that may be seen) | LIMIT (no descriptor) | IO | NO_MEMORY (the kernel's) */
vestry_err vsi_folder_open(int folder, const char *path, bool by_walk, int *ret_fd, struct stat *ret_stat);

/* What open left in errno, as above. */
vestry_err vsi_folder_error(void);

enum { VSI_ETAG_BYTES = 2 + 2 * 16 + 1 };

typedef struct vsi_known vsi_known;

/* OK | NO_MEMORY */
vestry_err vsi_known_create(const vestry_host *host, vsi_known **ret_known);
/* Ends when the last lent file has been given back. NULL is accepted. */
void vsi_known_destroy(vsi_known *known);

/* The ETag of an open file: a hash of what is in it. Reads it, unless it is as it was when it was last read.
 * OK | IO (it could not be read, or has become shorter) | NO_MEMORY */
vestry_err vsi_known_etag(vsi_known *known, int fd, const struct stat *stat, char etag[VSI_ETAG_BYTES]);

/* Lend an open file whose ETag was asked for, so that it can be sent from its descriptor.
 * fd        taken on OK only, and closed if another one of the same file is open already
 * Returns   OK | LIMIT (enough are open: read it) | NO_MEMORY */
vestry_err vsi_known_lend(vsi_known *known, int fd, const struct stat *stat, vsi_open_file **ret_file);

/* Hash bytes into an ETag. */
void vsi_etag_write(const void *bytes, size_t len, char etag[VSI_ETAG_BYTES]);

#endif
