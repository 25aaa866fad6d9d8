/* SPDX-License-Identifier: MIT */
/* The target of a request that libmicrohttpd has split and decoded already, in a daemon of the application. */
#ifndef VSI_MICROHTTPD_TARGET_H
#define VSI_MICROHTTPD_TARGET_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* A reassembled query. */
typedef struct vsi_microhttpd_query {
  char *text;            /* NULL: it was only measured */
  size_t len, least_len; /* least_len: minimum length as it was sent */
  const char *first;     /* the first name; NULL: there is none */
  bool is_broken;        /* an escape is malformed: then 1.0 reports an empty text, but leaves it in memory */
} vsi_microhttpd_query;

/* Write the query. text: room for the measured number of bytes; NULL: only measure. */
vsi_microhttpd_query vsi_microhttpd_query_write(struct MHD_Connection *conn, char *text);

/* Return whether a target is clear. Its path must have only one segment, or no encoded byte that need not be encoded;
 * and its query must be at least as long as with all required bytes encoded. Use this only if targets stay in the
 * memory where they were read (capabilities.h). */
bool vsi_microhttpd_target_is_clear(const char *path, const char *version, const vsi_microhttpd_query *query);

#endif
