/* SPDX-License-Identifier: MIT */
/* Checks of a request's head that libmicrohttpd has parsed: whether another reader could read the head in a second way.
 * Also a probe of the way in which the installed libmicrohttpd reads heads. */
#ifndef VSI_MICROHTTPD_HEAD_H
#define VSI_MICROHTTPD_HEAD_H

#include <microhttpd.h>

#include "vestry/adapter.h"

/* The parts of a request line, as passed to the access callback, and the length of the target as it was sent. */
typedef struct vsi_microhttpd_line {
  const char *method, *path, *version;
  size_t target_len;
} vsi_microhttpd_line;

/* Check the places of all headers of a request whose head is complete. false: the head can be read in two ways.
 * measures  also check the bytes between the parts, because this libmicrohttpd accepts malformed heads */
bool vsi_microhttpd_head_is_plain(struct MHD_Connection *conn, const vsi_microhttpd_line *line, bool measures);
/* Implements vestry_request_ops.each_header for a connection. */
void vsi_microhttpd_each_header(struct MHD_Connection *conn,
                                void (*line)(void *ctx, const char *name, const char *value), void *ctx);

/* A reassembled query, of a target that libmicrohttpd has split and decoded, in a daemon of the application. */
typedef struct vsi_microhttpd_query {
  char *text;            /* NULL: it was only measured */
  size_t len, least_len; /* least_len: minimum length as it was sent */
  const char *first;     /* the first name; NULL: there is none */
  bool is_broken;        /* an escape is malformed: then 1.0 reports an empty text, but leaves it in memory */
} vsi_microhttpd_query;

/* Write the query. text: room for the measured number of bytes; NULL: only measure. */
vsi_microhttpd_query vsi_microhttpd_query_write(struct MHD_Connection *conn, char *text);

/* Return whether a target is clear. Its path must have only one segment, or no encoded byte that need not be encoded;
 * and its query must be at least as long as with all required bytes encoded. Use this only if keeps_targets. */
bool vsi_microhttpd_target_is_clear(const char *path, const char *version, const vsi_microhttpd_query *query);

/* The behaviour of libmicrohttpd, found by sending it heads, once for each adapter. A program built with one version
 * may run with another, distributions patch libmicrohttpd, and no function reports this behaviour. */
typedef struct vsi_microhttpd_capabilities {
  bool refuses_odd;   /* a strict daemon (MHD_OPTION_STRICT_FOR_CLIENT) refuses ambiguous heads by itself */
  bool keeps_heads;   /* heads stay in the memory where they were read, and can be checked (head.c) */
  bool finds_odd;     /* in that way all ambiguous heads are found in a daemon that is not strict */
  bool keeps_targets; /* the places of a path's parts show which bytes were encoded (target_is_clear) */
} vsi_microhttpd_capabilities;

/* Probe libmicrohttpd. OK | IO (no descriptors or no memory: logged). Starts no thread; does not wait. */
vestry_err vsi_microhttpd_capabilities_find(const vestry_host *host, vsi_microhttpd_capabilities *ret_capabilities);

#endif
