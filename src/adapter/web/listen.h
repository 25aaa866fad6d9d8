/* SPDX-License-Identifier: MIT */
/* What helps where a server cannot listen. */
#ifndef VSI_ADAPTER_WEB_LISTEN_H
#define VSI_ADAPTER_WEB_LISTEN_H

#include <errno.h>

/* error: an errno. Returns a static text, which goes after what is wrong. */
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
