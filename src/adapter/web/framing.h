/* SPDX-License-Identifier: MIT */
/* Checks whether a request's headers define the end of its body unambiguously: names are tokens, values have no control
 * characters, and a request of HTTP/1.1 has one Host. If not, the next request on this connection could be smuggled in
 * by a client of an upstream proxy: answer 400, close, and count AMBIGUOUS. */
#ifndef VSI_WEB_FRAMING_H
#define VSI_WEB_FRAMING_H

#include <stdbool.h>

/* Zeroed at first; borrows the values of the headers. */
typedef struct vsi_web_framing {
  const char *length, *encoding, *host;
  bool unclear;
} vsi_web_framing;

/* Check one header; call it for all headers of a request in order. */
void vsi_web_framing_see(vsi_web_framing *framing, const char *name, const char *value);
bool vsi_web_framing_is_clear(const vsi_web_framing *framing, bool is_http11);

#endif
