/* SPDX-License-Identifier: MIT */
/* Bodies that come in pieces. */
#ifndef VSI_SERVE_RECEIVE_H
#define VSI_SERVE_RECEIVE_H

#include "serve/serving.h"

/* A body on its way to its route's receiver. */
typedef struct vsi_receipt {
  void *state;        /* the receiver's, while it has one */
  bool is_open;       /* begin was OK, and neither end nor abort was called */
  bool is_guarded;    /* the error is the receiver's, and is answered as a guard's */
  vestry_err error;   /* nothing more of the body is wanted */
  uint64_t len, most; /* so far; at most */
} vsi_receipt;

/* Serve a request whose route has a receiver, and whose visit has begun: read its body to the end. OK | IO */
vestry_err vsi_receive(vsi_serving *s, vestry_connection **ret_connection);

#endif
