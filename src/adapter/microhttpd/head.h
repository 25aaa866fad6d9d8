/* SPDX-License-Identifier: MIT */
/* Heads as libmicrohttpd hands them over: whether there is a second way to read one. */
#ifndef VSI_MICROHTTPD_HEAD_H
#define VSI_MICROHTTPD_HEAD_H

#include <microhttpd.h>

#include "adapter/web/framing.h"

/* The parts of a request line, as the access callback gets them, and how long the target was as it was sent. */
typedef struct vsi_microhttpd_line {
  const char *method, *path, *version;
  size_t target_len;
} vsi_microhttpd_line;

/* See all headers of a request, of which the head is complete. false: it can be read in two ways.
 * measures  look at what stands between the parts, too: this libmicrohttpd takes what is not allowed (habits.h)
 * framing   zeroed; borrows from the request */
bool vsi_microhttpd_head_read(struct MHD_Connection *conn, const vsi_microhttpd_line *line, bool measures,
                              vsi_web_framing *framing);

#endif
