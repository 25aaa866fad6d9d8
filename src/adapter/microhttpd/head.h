/* SPDX-License-Identifier: MIT */
/* Checks whether a head that libmicrohttpd has accepted could be read in a second way. */
#ifndef VSI_MICROHTTPD_HEAD_H
#define VSI_MICROHTTPD_HEAD_H

#include <microhttpd.h>

#include "adapter/web/framing.h"

/* The parts of a request line, as passed to the access callback, and the length of the target as it was sent. */
typedef struct vsi_microhttpd_line {
  const char *method, *path, *version;
  size_t target_len;
} vsi_microhttpd_line;

/* Check all headers of a request whose head is complete. false: the head can be read in two ways.
 * measures  also check the bytes between the parts, because this libmicrohttpd accepts malformed heads (capabilities.h)
 * framing   zeroed; borrows from the request */
bool vsi_microhttpd_head_read(struct MHD_Connection *conn, const vsi_microhttpd_line *line, bool measures,
                              vsi_web_framing *framing);

#endif
