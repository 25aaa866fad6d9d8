/* SPDX-License-Identifier: MIT */
/* Constants and advice that all adapters share. */
#ifndef VSI_WEB_POLICY_H
#define VSI_WEB_POLICY_H

#include <errno.h>

/* Retry-After of the 503 of an adapter that stops, equal to the default of vestry's own 503. */
#define VSI_WEB_RETRY_AFTER_S "2"

/* The time for which a peer may leave bytes unacknowledged if there are no heartbeats to derive it from. */
enum { VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS = 30000 };

/* The minimum of that time, however short the heartbeat interval is. TCP waits for a second before it retransmits lost
 * data (RFC 6298, 2.4), and a client whose processor is busy acknowledges late. */
enum { VSI_WEB_LOST_LEAST_MS = 2000 };

/* Return advice for a server that cannot listen: a static text, which is appended to the message. error: an errno. */
static inline const char *vsi_web_listen_advice(int error) {
  switch (error) {
  case EADDRINUSE: return "choose another port, or end the program that listens there";
  case EACCES: return "this user has no permission for the port; choose a port from 1024 on";
  case EADDRNOTAVAIL: return "choose an address of this machine";
  case EMFILE:
  case ENFILE: return "raise the limit of descriptors (ulimit -n)";
  default: return "choose another address or port";
  }
}

#endif
