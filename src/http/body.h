/* SPDX-License-Identifier: MIT */
/* Bodies of answers: what an adapter is given, and what all of them hold together. */
#ifndef VSI_HTTP_BODY_H
#define VSI_HTTP_BODY_H

#include "vestry/adapter.h"

/* An open file that is lent: to be given back once. Embedded in what lends it. */
typedef struct vsi_open_file {
  int fd;
  void (*give_back)(struct vsi_open_file *file); /* any thread */
} vsi_open_file;

/* What a body has of the room that all of them have: from before there is memory of it until it is freed. Embedded in
 * what has it; one thread at a time. */
typedef struct vsi_room {
  vestry *v;    /* NULL: it is no answer, and nothing of it is counted */
  size_t bytes; /* of the instance's answer bytes */
} vsi_room;

/* Have room for a body of so many bytes in memory, and no more. OK | LIMIT (all bodies hold what they may; the room has
 * what it had) */
vestry_err vsi_room_resize(vsi_room *room, size_t len);
/* Without memory of a body, or when that was freed. */
void vsi_room_give_back(vsi_room *room);

/* What a body is made of: one of these. */
typedef struct vsi_body_source {
  char *bytes;          /* of the instance's host */
  const char *borrowed; /* copied, when there is room for it */
  vsi_open_file *file;
  uint64_t at; /* where it begins in the file */
} vsi_body_source;

/* Bytes, file and room are taken on OK only; bytes have their room already. OK | LIMIT (there is no room for a copy of
 * what is borrowed, or for a piece of the file) | NO_MEMORY */
vestry_err vsi_body_create(vsi_room *room, const vsi_body_source *source, size_t len, vestry_body **ret_body);

/* Read what comes at once of a part of a file. OK | IO (it is shorter) */
VESTRY_API vestry_err vsi_file_read(int fd, uint64_t at, void *buffer, size_t capacity, size_t *ret_len);

/* Read a part of a file into memory of the host, and a NUL after it. OK | IO (it is shorter) | NO_MEMORY */
VESTRY_API vestry_err vsi_open_file_load(const vestry_host *host, const vsi_open_file *file, uint64_t at, size_t len,
                                         char **ret_bytes);

#endif
