/* SPDX-License-Identifier: MIT */
/* The state of one request while it is served. */
#ifndef VSI_SERVE_SERVING_H
#define VSI_SERVE_SERVING_H

#include "base/trace.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "vestry/dispatch.h"

/* Allocated on the serving thread's stack, which is small with civetweb: 5 kB. For a body that an adapter pushes, on
 * the heap. */
typedef struct vsi_serving {
  vestry *v;
  vestry_request request;
  vsi_request own_request; /* the private half of the request */
  vsi_visit visit;         /* of the route, if the routes choose the handler */
  vestry_reply reply;
  vestry_dispatch_result result;

  vestry_connection *opened;         /* the stream that this request opened; NULL: none */
  struct vsi_stream_context *stream; /* context of `opened` */
  bool has_sign;                     /* the stream begins with an event that its element counts as a sign of life */
  bool not_acceptable;               /* the client accepts none of the stream's encodings */
  bool asked_to_open;                /* the adapter's open was called: at most once for each request */
  vestry_err refusal;                /* reason why there is no connection to dispatch to */
  vsi_span span;                     /* of the request */
} vsi_serving;

/* Begin to serve. ops: already checked. */
void vsi_serving_init(vsi_serving *s, vestry *v, const vestry_request_ops *ops, void *server_request);
void vsi_serving_finish(vsi_serving *s);

/* Begin the request's span, in the client's trace if it sends one; and end it. */
void vsi_serving_begin_span(vsi_serving *s);
void vsi_serving_end_span(vsi_serving *s, vestry_err error);

/* Find the scope. OK | an error, which is answered like that of a guard. */
vestry_err vsi_serving_find_scope(vsi_serving *s);
/* Perform the reply, or answer the error. is_guarded: a guard returned the error. OK | IO */
vestry_err vsi_serving_conclude(vsi_serving *s, vestry_err error, bool is_guarded, vestry_connection **ret_connection);
/* Answer a request whose body was not read. why: NULL, or the error in its signals. OK | IO */
vestry_err vsi_serving_refuse_reading(vsi_serving *s, vestry_err error, const vestry_signals_error *why);
/* Notify the request's watcher that the request is over. */
void vsi_serving_notify_watcher(vsi_serving *s);

#endif
