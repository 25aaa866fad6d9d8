/* SPDX-License-Identifier: MIT */
/* One request on its way through. */
#ifndef VSI_SERVE_SERVING_H
#define VSI_SERVE_SERVING_H

#include "base/trace.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "vestry/dispatch.h"

/* On the serving thread's stack, which with civetweb is small: 5 kB. Of a body that an adapter pushes: on the heap. */
typedef struct vsi_serving {
  vestry *v;
  vestry_request request;
  vsi_request own_request; /* its other half */
  vsi_visit visit;         /* of the route, if the handler is by the routes */
  vestry_reply reply;
  vestry_dispatch_result result;

  vestry_connection *opened;         /* the stream of this request; NULL: none */
  struct vsi_stream_context *stream; /* its */
  bool has_sign;                     /* the stream begins with an event that its element takes as a sign of life */
  bool not_acceptable;               /* the client takes none of the stream's encodings */
  bool asked_to_open;                /* the adapter's open has been called: once a request */
  vestry_err refusal;                /* why there is no connection to dispatch to */
  vsi_span span;                     /* of the request */
} vsi_serving;

/* ops: checked already. */
void vsi_serving_init(vsi_serving *s, vestry *v, const vestry_request_ops *ops, void *server_request);
void vsi_serving_finish(vsi_serving *s);

/* The request's span; the client's trace goes on, if it says one. */
void vsi_serving_begin_span(vsi_serving *s);
void vsi_serving_end_span(vsi_serving *s, vestry_err error);

/* Find the scope. OK | an error, which is answered as a guard's. */
vestry_err vsi_serving_find_scope(vsi_serving *s);
/* Perform the reply, or answer the error. is_guarded: it was a guard that returned it. OK | IO */
vestry_err vsi_serving_conclude(vsi_serving *s, vestry_err error, bool is_guarded, vestry_connection **ret_connection);
/* Answer a body that was not read. why: NULL, or what is wrong with its signals. OK | IO */
vestry_err vsi_serving_refuse_reading(vsi_serving *s, vestry_err error, const vestry_signals_error *why);
/* The request is over for those that watch it. */
void vsi_serving_tell_watcher(vsi_serving *s);

#endif
