/* SPDX-License-Identifier: MIT */
/* Routes whose bodies come in pieces, as they arrive, instead of as a whole to a handler (serve/receive.c calls it). */
#ifndef VSI_HTTP_RECEIVER_H
#define VSI_HTTP_RECEIVER_H

#include "vestry/request.h"

/* One request's calls come one after the other, on the thread of its connection. What begin, write and end return is
 * answered as what a guard returns: a reply with a status is the answer, whatever the error. */
typedef struct vsi_receiver {
  /* The head is there, and its scope; no guard has looked yet: vsi_request_guard. OK | an error: nothing more is
   * called, and no byte of the body is wanted. */
  vestry_err (*begin)(void *app, const vestry_request *req, vestry_reply *reply, void **ret_state);
  /* OK | an error: abort is called with it at once. */
  vestry_err (*write)(void *state, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len);
  /* The body is whole; the last call, whatever it returns. */
  vestry_err (*end)(void *state, const vestry_request *req, vestry_reply *reply);
  /* There is no more of it; the last call. why: what write returned | IO (the peer broke off) | TIMEOUT | TOO_LARGE |
   * LIMIT, NO_MEMORY (of the adapter). */
  void (*abort)(void *state, vestry_err why);
} vsi_receiver;

#endif
