/* SPDX-License-Identifier: MIT */
/* Whether a request's headers say clearly where its body ends, and can be read in one way only: names are tokens,
 * values have no control characters, a request of HTTP/1.1 has one Host. If not, the next request on this connection
 * could be one that the client of another proxy hop smuggled in: answer 400, close, and count AMBIGUOUS. */
#ifndef VSI_WEB_FRAMING_H
#define VSI_WEB_FRAMING_H

#include <stdbool.h>

/* Zeroed to begin with; borrows the values that it sees. */
typedef struct vsi_web_framing {
  const char *length, *encoding, *host;
  bool unclear;
} vsi_web_framing;

/* See one header; all of a request's in turn. */
void vsi_web_framing_see(vsi_web_framing *framing, const char *name, const char *value);
bool vsi_web_framing_is_clear(const vsi_web_framing *framing, bool is_http11);

#endif
