/* SPDX-License-Identifier: MIT */
/* Bodies of responses, as passed to adapters, and the memory that all of them hold together. */
#ifndef VSI_HTTP_BODY_H
#define VSI_HTTP_BODY_H

#include "vestry/adapter.h"

/* A checked-out open file, to be released once. Embedded in the owner's struct. */
typedef struct vsi_open_file {
  int fd;
  void (*give_back)(struct vsi_open_file *file); /* any thread */
} vsi_open_file;

/* The share of one body in the instance's response bytes, held from before its memory is allocated until the memory is
 * freed. Embedded in the owner's struct; one thread at a time. */
typedef struct vsi_room {
  vestry *v;    /* NULL: not a response, so nothing is counted */
  size_t bytes; /* of the instance's response bytes */
} vsi_room;

/* Change the room to that of a body with len bytes in memory: before they are allocated, or after they are freed. OK |
 * LIMIT (all bodies together are at their limit; the room is unchanged) */
vestry_err vsi_room_resize(vsi_room *room, size_t len);

/* The source of a body: exactly one of bytes, borrowed and file. */
typedef struct vsi_body_source {
  char *bytes;          /* allocated by the instance's host */
  const char *borrowed; /* copied when there is room for it */
  vsi_open_file *file;
  uint64_t at; /* offset of the body in the file */
} vsi_body_source;

/* Create a body. Takes bytes, file and room on OK only; the bytes have their room already. OK | LIMIT (no room for a
 * copy of borrowed bytes, or for a piece of the file) | NO_MEMORY */
vestry_err vsi_body_create(vsi_room *room, const vsi_body_source *source, size_t len, vestry_body **ret_body);

/* Read a part of a file into memory of the host, followed by a NUL. OK | IO (the file is shorter) | NO_MEMORY */
VESTRY_API vestry_err vsi_open_file_load(const vestry_host *host, const vsi_open_file *file, uint64_t at, size_t len,
                                         char **ret_bytes);

/* Return the largest limit that bodies can have. While a body is read it is in memory twice, as the adapter's and as
 * the request's, and both must stay below the 7/8 of max_request_bytes from which on requests are closed. */
static inline size_t vsi_body_bytes_most(size_t max_request_bytes) {
  return max_request_bytes / 16 * 7;
}

/* Reserve memory as vestry_request_bytes_take does, unless all requests hold more than a part of the bound (2: a half).
 * For memory that a request holds while it waits for the rest of its body, and for memory that it can do without. */
VESTRY_API bool vsi_request_bytes_take_within(vestry *v, size_t bytes, unsigned part);

/* Write the counters of requests and responses into stats. */
void vsi_intake_stats(vestry *v, vestry_stats *stats);

/* Return whether bodies of one connection hold their share of the memory: 1/32 of the bytes from which bodies are
 *  aborted (vestry_response_bytes_excess), while all bodies together hold more than a half. An adapter whose
 *  connections have several responses at a time then serves no further GET on this connection until its client has
 *  read some of them. Otherwise a client that reads nothing makes handlers run for responses that are only aborted.
 *  held_bytes  of the bodies that wait to be sent on the connection
 *  Threads     any; does not block */
VESTRY_API bool vsi_response_share_is_used(const vestry *v, uint64_t held_bytes);

#endif
