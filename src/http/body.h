/* Bodies of answers: what an adapter is given, and what all of them hold together. */
#ifndef VSI_HTTP_BODY_H
#define VSI_HTTP_BODY_H

#include "vestry/adapter.h"

/* An open file that is lent: to be given back once. Embedded in what lends it. */
typedef struct vsi_open_file {
  int fd;
  void (*give_back)(struct vsi_open_file *file); /* any thread */
} vsi_open_file;

/* What a body is made of: one of these. */
typedef struct vsi_body_source {
  char *bytes;          /* of the instance's host */
  const char *borrowed; /* copied, when there is room for it */
  vsi_open_file *file;
  uint64_t at; /* where it begins in the file */
} vsi_body_source;

/* Bytes and file are taken on OK only. OK | LIMIT (all bodies hold what they may) | NO_MEMORY */
vestry_err vsi_body_create(vestry *v, const vsi_body_source *source, size_t len, vestry_body **ret_body);

/* Read a part of a file into memory of the host, and a NUL behind it. OK | IO (it is shorter) | NO_MEMORY */
vestry_err vsi_open_file_load(const vestry_host *host, const vsi_open_file *file, uint64_t at, size_t len,
                              char **ret_bytes);

#endif
