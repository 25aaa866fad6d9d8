/* SPDX-License-Identifier: MIT */
/* The target of a request that libmicrohttpd has taken apart and decoded already: in a daemon of the application's. */
#ifndef VSI_MICROHTTPD_TARGET_H
#define VSI_MICROHTTPD_TARGET_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* A query, put together again. */
typedef struct vsi_microhttpd_query {
  char *text;            /* NULL: it was counted */
  size_t len, least_len; /* least_len: as it was sent, at least */
  const char *first;     /* where the first name stands; NULL: there is none */
  bool is_broken;        /* an escape is none: 1.0 says then that the text is empty, and leaves it there */
} vsi_microhttpd_query;

/* text: room for as many bytes as were counted; NULL: count. */
vsi_microhttpd_query vsi_microhttpd_query_write(struct MHD_Connection *conn, char *text);

/* Whether nothing of a path was encoded that need not be, or it has but one segment, and so for the query. Only where
 * it is known that a target stays where it was read (habits.h). */
bool vsi_microhttpd_target_is_clear(const char *path, const char *version, const vsi_microhttpd_query *query);

#endif
