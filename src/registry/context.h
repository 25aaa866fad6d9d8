/* SPDX-License-Identifier: MIT */
/* A dispatch under way: its connections, what it may ask, what has gone wrong. One thread's. */
#ifndef VSI_REGISTRY_CONTEXT_H
#define VSI_REGISTRY_CONTEXT_H

#include "instance/instance.h"
#include "instance/stream_context.h"
#include "registry/targets.h"
#include "vestry/dispatch.h"

/* Find connections again, when those that were found have all closed: adds to context->targets. OK: look again. */
typedef vestry_err (*vsi_reconnect_fn)(vestry_dispatch_context *context, void *ctx);

struct vestry_dispatch_context {
  vestry *v;
  const vestry_request *request; /* NULL: none */
  vestry_scope scope;
  vestry_dispatch_result *result;
  vestry_phase phase; /* of the callback that runs, or ran last */
  bool is_after;
  char detail[sizeof((vestry_dispatch_error *)0)->detail]; /* what the running callback said; "": nothing */

  json_t *data, *state; /* objects, never NULL; borrowed, but merged data is own */
  bool data_is_own;
  bool fail_fast;
  bool may_write;      /* this thread writes what it sends, if that is little: it has nothing else to do */
  json_t *results;     /* of the caller's; NULL: not wanted */
  json_t *value;       /* what the running effect gave; owned; NULL: nothing */
  bool in_effect;      /* an effect runs: value may be set */
  json_t *args;        /* vsi_context_args; owned; NULL: none yet */
  const char *within;  /* the action that gave what is performed; NULL: none */
  bool said_exhausted; /* the result says already that the bound was reached */

  /* Nesting. What is below is kept by the outermost dispatch; nested ones reach it through root. */
  vestry_dispatch_context *root; /* the outermost, or itself */
  unsigned nesting;              /* 0: the outermost */
  vsi_targets targets;
  uint32_t expanded_count; /* effects and actions that actions and nested dispatches gave */
  bool exhausted;          /* expanded_count has reached its bound */

  /* PHASE_CONNECT */
  const vestry_reply *reply;
  vestry_connection *opened;  /* borrowed from targets; NULL: none, or given up */
  vsi_stream_context *stream; /* of the opened stream; in PHASE_CLOSE of the one that ended; else NULL */
  vestry_err refusal;         /* OK: not refused */

  /* What became of the events sent by vestry_context_send. */
  bool accepted; /* some connection took one */
  bool lost;     /* all connections were closed for one, and none had taken anything before */
  vsi_reconnect_fn reconnect;
  void *reconnect_ctx;

  vestry_dispatch_info info; /* of vestry_context_info, which makes it */
};

/* Begin to count. */
static inline void vsi_context_clear(vestry_dispatch_result *result) {
  result->size = sizeof *result;
  result->effects_count = result->errors_count = result->skipped_count = result->connections_count = 0;
}

/* The counts of result are cleared; data and state are the signals, the request's if there is one; NULL: empty. */
void vsi_context_init(vestry_dispatch_context *context, vestry *v, const vestry_request *request, json_t *signals,
                      vestry_scope scope, vestry_dispatch_result *result);
/* One that is nested in parent, which must outlive it. */
void vsi_context_init_nested(vestry_dispatch_context *context, vestry_dispatch_context *parent,
                             vestry_dispatch_result *result);
void vsi_context_finish(vestry_dispatch_context *context);
/* Its connections are found: what was recorded of that is not the dispatch's, which begins. */
void vsi_context_connected(vestry_dispatch_context *context);
/* The stream that was opened, its first target, is given up in favour of the other ones. */
void vsi_context_give_up(vestry_dispatch_context *context);
/* Give the caller what came of it; ret_result may be NULL. */
void vsi_context_give(const vestry_dispatch_context *context, vestry_dispatch_result *ret_result);

/* Take data (over what is there, for names of both), fail_fast and results; but its connections the caller has settled.
 * OK | INVALID | NO_MEMORY. */
vestry_err vsi_context_configure(vestry_dispatch_context *context, const vestry_dispatch_options *options);

/* What is after the head of a list, as an array: valid until the next call, or longer by a reference. NULL: out of
 * memory. */
const json_t *vsi_context_args(vestry_dispatch_context *context, const json_t *list);

/* What goes into a record besides the detail, which is the context's. name and what may be NULL. */
typedef struct vsi_failure {
  vestry_phase phase;
  bool is_after;
  const char *name, *what;
  vestry_err error;
} vsi_failure;
void vsi_context_record(vestry_dispatch_context *context, const vsi_failure *failure);

/* vestry_context_target and vestry_context_refuse for vestry itself, in any phase. connection: not NULL; error: not OK.
 * OK | CLOSED | NO_MEMORY. */
vestry_err vsi_context_target(vestry_dispatch_context *context, vestry_connection *connection);
static inline void vsi_context_refuse(vestry_dispatch_context *context, vestry_err error) {
  if (!context->refusal) context->refusal = error; /* the first counts */
}

#endif
