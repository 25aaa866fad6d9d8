/* SPDX-License-Identifier: MIT */
/* Advice for a server that cannot listen. */
#ifndef VSI_ADAPTER_WEB_LISTEN_H
#define VSI_ADAPTER_WEB_LISTEN_H

#include <errno.h>

/* Return a static text, which is appended to the message. error: an errno. */
static inline const char *vsi_listen_advice(int error) {
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
