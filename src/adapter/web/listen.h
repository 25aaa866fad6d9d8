/* SPDX-License-Identifier: MIT */
/* Advice for a server that cannot listen. */
#ifndef VSI_ADAPTER_WEB_LISTEN_H
#define VSI_ADAPTER_WEB_LISTEN_H

#include <errno.h>

/* Return a static text, which is appended to the message. error: an errno. */
static inline const char *vsi_listen_advice(int error) {
  switch (error) {
  case EADDRINUSE: return "choose another port, or end the program that listens there";
  case EACCES: return "this user may not have that port: choose one from 1024 on";
  case EADDRNOTAVAIL: return "this machine has no such address: choose one that it has";
  case EMFILE:
  case ENFILE: return "let there be more descriptors (ulimit -n)";
  default: return "choose another address or port";
  }
}

#endif
