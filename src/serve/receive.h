/* SPDX-License-Identifier: MIT */
/* Bodies that come in pieces. */
#ifndef VSI_SERVE_RECEIVE_H
#define VSI_SERVE_RECEIVE_H

#include "serve/serving.h"

/* A body that is being passed to its route's receiver. */
typedef struct vsi_receipt {
  void *state;        /* of the receiver, while it has one */
  bool is_open;       /* begin returned OK, and neither end nor abort was called */
  bool is_guarded;    /* the error comes from the receiver, and is answered like that of a guard */
  vestry_err error;   /* if set, the rest of the body is ignored */
  uint64_t len, most; /* bytes so far, and their maximum */
} vsi_receipt;

/* Serve a request whose route has a receiver, after its visit has begun: read the body to its end. OK | IO */
vestry_err vsi_receive(vsi_serving *s, vestry_connection **ret_connection);

#endif
