/* SPDX-License-Identifier: MIT */
/* Headers by which a proxy reports the client: its address, its user, the host that it requested. A proxy must set such
 * a header, but some add a line after that of the client instead (HAProxy's option forwardfor does). Then the first
 * line is the client's own. Therefore the lines of such a header are joined with ", " (RFC 9110, 5.3), so that no part
 * of it is taken for the whole: "192.0.2.1, 198.51.100.7" is not an address. */
#ifndef VSI_WEB_REPEATED_H
#define VSI_WEB_REPEATED_H

#include "vestry/adapter.h"

/* The joined headers of a request, NULL at first. */
typedef struct vsi_web_joined vsi_web_joined;

/* A search for the lines of one header. */
typedef struct vsi_web_lines {
  const char *name;
  size_t count, len; /* of the lines so far; len: as joined */
  char *to;          /* NULL: only count */
} vsi_web_lines;

/* Look at one line of the request. */
void vsi_web_lines_see(vsi_web_lines *lines, const char *name, const char *value);

/* Return the value of a header.
 * joined    of the request; freed by vsi_web_joined_free
 * first     the first line; NULL: there is none
 * each      calls vsi_web_lines_see for each line of the request, in order
 * Returns   first, or the joined lines, valid until they are freed. Without memory: a value that is no line's */
const char *vsi_web_header_of(vsi_web_joined **joined, const vestry_host *host, const char *name, const char *first,
                              void (*each)(void *server_request, vsi_web_lines *lines), void *server_request);
void vsi_web_joined_free(vsi_web_joined **joined, const vestry_host *host);

#endif
