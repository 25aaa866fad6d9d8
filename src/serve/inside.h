/* SPDX-License-Identifier: MIT */
/* Internal functions of the assembly: serving requests, streams of replies, and counters. */
#ifndef VSI_SERVE_INSIDE_H
#define VSI_SERVE_INSIDE_H

#include "base/trace.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "registry/context.h"

/* ------------------------------------------------------------------------------------------------ a request ------- */

/* The state of one request while it is served: about 5 kB. It is on the stack of the serving thread, which is small
 * with civetweb; for a body that an adapter pushes, it is on the heap. */
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
  vsi_span span;                     /* of the request */
} vsi_serving;

/* Begin to serve. ops: already checked. */
void vsi_serving_init(vsi_serving *s, vestry *v, const vestry_request_ops *ops, void *server_request);
void vsi_serving_finish(vsi_serving *s);

/* Begin the request's span, in the client's trace if it sends one. */
void vsi_serving_begin_span(vsi_serving *s);
/* End the span, and notify the request's watcher that the request is over. */
void vsi_serving_end_span(vsi_serving *s, vestry_err error);

/* Find the scope. OK | an error, which is answered like that of a guard. */
vestry_err vsi_serving_find_scope(vsi_serving *s);
/* Perform the reply, or answer the error. is_guarded: a guard returned the error. OK | IO */
vestry_err vsi_serving_conclude(vsi_serving *s, vestry_err error, bool is_guarded, vestry_connection **ret_connection);
/* Answer a request whose body was not read. why: NULL, or the error in its signals. OK | IO */
vestry_err vsi_serving_refuse_reading(vsi_serving *s, vestry_err error, const vestry_signals_error *why);
/* Serve a request whose route has a receiver, after its visit has begun: read the body to its end. OK | IO */
vestry_err vsi_receive(vsi_serving *s, vestry_connection **ret_connection);

/* ------------------------------------------------------------------------------------- streams of replies --------- */

/* Apply the policy of a reply to the connections that are stored under its key, before a stream is opened for it:
 * - if the policy reuses them, they become the targets;
 * - if it forbids a second stream, the reply is refused;
 * - otherwise nothing changes, and a stream can be opened. */
void vsi_registration_find(vsi_connecting *connecting);

/* Store an opened stream, which stays open, under the keys of its reply, and count it for its scope. If another stream
 * was faster and the policy is REUSE, the opened stream is given up for that one. */
void vsi_registration_keep(vsi_connecting *connecting, vestry_scope scope);

/* The limit on the number of streams of each scope, under any keys. The empty scope is not limited, because all users
 * share it. */
typedef struct vsi_shares vsi_shares;

/* Create the limit for an instance. OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_shares_create(const vestry_host *host, size_t max_count, vsi_shares **ret_shares);
/* Destroy the limit, after the last stream has left. NULL is accepted. */
void vsi_shares_destroy(vsi_shares *shares);

/* Count a stream that stays open for a scope until it ends, instead of for its former one. If the scope has too many
 * streams then, another one is closed with cause REPLACED. shares NULL: there is no limit. OK (the stream may have
 * ended already) | NO_MEMORY: it counts for the former scope. */
vestry_err vsi_shares_enter(vsi_shares *shares, vestry_scope scope, vestry_connection *connection);

/* Return the number of streams closed. NULL: 0. */
uint64_t vsi_shares_outnumbered(const vsi_shares *shares);

/* ----------------------------------------------------------------------------------- drain and counters ----------- */

/* Fill in the drain's members of the instance's counters. Any thread. */
void vsi_drain_stats(vestry *v, vestry_stats *stats);

/* Free the drain, if there is one; before the runtime is freed. */
void vsi_drain_destroy(vestry *v);

/* Get the public counters and those of the group, from the same moment. Any thread. */
VESTRY_API void vsi_stats_get(vestry *v, vsi_group_stats *ret_group, vestry_stats *ret_stats);

#endif
