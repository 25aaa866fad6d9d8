/* SPDX-License-Identifier: MIT */
/* Routes that receive their bodies in pieces, as they arrive, instead of passing the whole body to a handler (called by
 * serve/receive.c). */
#ifndef VSI_HTTP_RECEIVER_H
#define VSI_HTTP_RECEIVER_H

#include "vestry/request.h"

/* The calls for one request are made one after the other, on the thread of its connection. Errors returned by begin,
 * write and end are answered like errors of a guard: if the reply has a status, the reply is the response. */
typedef struct vsi_receiver {
  /* The head and the scope are known; no guard has run yet (vsi_routes_guard runs them). OK | an error: no other
   * function is called, and the body is discarded. */
  vestry_err (*begin)(void *app, const vestry_request *req, vestry_reply *reply, void **ret_state);
  /* OK | an error: abort is called with it at once. */
  vestry_err (*write)(void *state, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len);
  /* The body is complete. The last call, whatever it returns. */
  vestry_err (*end)(void *state, const vestry_request *req, vestry_reply *reply);
  /* The body ends early; the last call. why: the result of write | IO (the peer broke off) | TIMEOUT | TOO_LARGE |
   * LIMIT, NO_MEMORY (of the adapter). */
  void (*abort)(void *state, vestry_err why);
  /* The last bytes that arrived before the peer broke off; abort is called next. The request is gone: neither a guard
   * nor another function of the application may be called with it. NULL: these bytes are dropped. */
  void (*keep)(void *state, const void *bytes, size_t len);
} vsi_receiver;

/* Header of the requests of a script that sends files (app/upload/view.c). The redirect of a guard is answered as 403
 * with its Location, because the browser hides redirects from scripts. */
#define VSI_UPLOAD_HEADER "Vestry-Upload"

#endif
