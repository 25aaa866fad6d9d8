/* A dispatch under way: whom it is for, what it may ask, what has gone wrong. One thread's. */
#ifndef VSI_REGISTRY_CONTEXT_H
#define VSI_REGISTRY_CONTEXT_H

#include "registry/instance.h"
#include "registry/life.h"
#include "registry/targets.h"

/* Find connections again, when those that were found have all closed: adds to context->targets. OK: look again. */
typedef vestry_err (*vsi_reconnect_fn)(vestry_dispatch_context *context, void *ctx);

struct vestry_dispatch_context {
  vestry *v;
  const vestry_request *request; /* NULL: none */
  vestry_scope scope;
  vsi_targets targets;
  vestry_dispatch_result *result;
  vestry_phase phase; /* of the callback that runs, or ran last */
  bool is_after;
  char detail[sizeof((vestry_dispatch_error *)0)->detail]; /* what the running callback said; "": nothing */

  /* PHASE_CONNECT */
  const vestry_reply *reply;
  vestry_connection *opened; /* borrowed from targets; NULL: none, or given up */
  vsi_life *life;            /* of the opened stream; in PHASE_CLOSE of the one that ended; else NULL */
  vestry_err refusal;        /* OK: not refused */

  /* What became of the events sent by vestry_context_send. */
  bool accepted; /* some connection took one */
  bool lost;     /* all connections were closed for one, and none had taken anything before */
  vsi_reconnect_fn reconnect;
  void *reconnect_ctx;
};

/* result is cleared. */
void vsi_context_init(vestry_dispatch_context *context, vestry *v, const vestry_request *request, vestry_scope scope,
                      vestry_dispatch_result *result);
void vsi_context_finish(vestry_dispatch_context *context);

/* Run one side of all interceptors of a phase. */
void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect);

/* Perform a list of effects for the context's targets, interceptors included; an entry that is no effect is a failure
 * like another. OK | the first failure. */
vestry_err vsi_dispatch(vestry_dispatch_context *context, const json_t *effects);

/* Log what a dispatch could tell nobody else. whose: "a reply", say. */
void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose);

#endif
