/* SPDX-License-Identifier: MIT */
/* The state of a running dispatch: its connections, its data, and its failures. Used by one thread. */
#ifndef VSI_REGISTRY_CONTEXT_H
#define VSI_REGISTRY_CONTEXT_H

#include "base/memory.h"
#include "connection/connection.h"
#include "instance/instance.h"
#include "instance/stream_context.h"
#include "vestry/dispatch.h"

/* The target connections of a dispatch: a list of references, without an allocation while it is short.
 *
 * A callback may read the list (vestry_context_info) while it sends or adds a target, which can append to the list. So
 * a list that grows frees no former array of items before vsi_targets_finish. */
enum { VSI_TARGETS_INLINE = 8 };

/* An array of items, and the smaller one before it. */
typedef struct vsi_targets_block {
  struct vsi_targets_block *former;
  vestry_connection *items[];
} vsi_targets_block;

typedef struct vsi_targets {
  const vestry_host *host;
  vestry_connection **items; /* few, or those of block */
  size_t count, capacity;
  vsi_targets_block *block;                   /* NULL: none */
  vestry_connection *few[VSI_TARGETS_INLINE]; /* the list must stay at its address */
} vsi_targets;

static inline void vsi_targets_init(vsi_targets *targets, const vestry_host *host) {
  targets->host = host;
  targets->items = targets->few;
  targets->count = 0;
  targets->capacity = VSI_TARGETS_INLINE;
  targets->block = NULL;
}
/* Drop the references. */
static inline void vsi_targets_clear(vsi_targets *targets) {
  enum { FETCHED_AHEAD = 8 };
  while (targets->count) {
    if (targets->count > FETCHED_AHEAD)
      vsi_prefetch_to_write(&targets->items[targets->count - 1 - FETCHED_AHEAD]->refs);
    vsi_connection_let_go(targets->items[--targets->count]);
  }
}
static inline void vsi_targets_finish(vsi_targets *targets) {
  vsi_targets_clear(targets);
  for (vsi_targets_block *block = targets->block, *former; block; block = former) {
    former = block->former;
    vsi_free(targets->host, block);
  }
}

/* Append; takes a reference. OK | NO_MEMORY (list unchanged). */
vestry_err vsi_targets_add(vsi_targets *targets, vestry_connection *connection);
/* Drop connections that are not open. */
void vsi_targets_prune(vsi_targets *targets);

/* Append all open connections stored under a key, oldest first. A closing connection is still stored until its hooks
 * run, but it is not a target any more. OK | NOT_FOUND (none is open) | NO_MEMORY (list unchanged). */
VESTRY_API vestry_err vsi_targets_find(vsi_targets *targets, vestry_store *store, const vestry_scoped_key *key);
/* Count the open connections stored under a key. ret_count: always set. Results as vsi_targets_find. */
VESTRY_API vestry_err vsi_targets_count(vestry_store *store, const vestry_scoped_key *key, uint32_t *ret_count);

/* The choice of the connections of a reply (PHASE_CONNECT), which become the targets of its dispatch. */
typedef struct vsi_connecting {
  vestry *v;
  vsi_targets *targets;
  const vestry_reply *reply;
  vestry_store *store;       /* of the reply's keys */
  vestry_connection *opened; /* the stream that was opened for the reply, the first target; NULL: none, or given up */
  vestry_err refusal;        /* OK: not refused */
} vsi_connecting;

struct vestry_dispatch_context {
  vestry *v;
  const vestry_request *request; /* NULL: none */
  vestry_scope scope;
  vestry_dispatch_result *result;
  vestry_phase phase; /* of the callback that runs, or ran last */
  bool is_after;
  char detail[sizeof((vestry_dispatch_error *)0)->detail]; /* error detail of the running callback; "": none */

  json_t *data, *state; /* objects, never NULL; borrowed, except merged data */
  bool data_is_own;
  bool fail_fast;
  bool may_write;      /* this thread may write to the streams itself if they are few, because it has no other work */
  vsi_inside *writer;  /* of an outermost dispatch of one effect: its request, which may write; NULL: none */
  json_t *results;     /* owned by the caller; NULL: not wanted */
  json_t *value;       /* result of the running effect; owned; NULL: none */
  bool in_effect;      /* an effect is running, so value may be set */
  bool in_before;      /* a function `before` of an effect or action is running, so that may be replaced */
  bool is_skipped;     /* an interceptor prevents the current effect or action */
  json_t *replacement; /* of the current effect or action; owned; NULL: none */
  json_t *args;        /* vsi_context_args; owned; NULL: none yet */
  const char *within;  /* the action that returned the current entry; NULL: none */
  bool has_recorded_exhausted; /* this result has recorded that the bound was reached */

  /* Nesting. The outermost dispatch holds the members below; nested ones access them through root. */
  vestry_dispatch_context *root; /* the outermost context, or itself */
  unsigned nesting;              /* 0: the outermost */
  vsi_targets targets;
  uint32_t expanded_count; /* number of effects and actions that came from actions and nested dispatches, up to its
                              bound and the first one beyond it */

  vsi_connecting *connecting; /* in PHASE_CONNECT; otherwise NULL */

  /* The outcome of the events sent by vestry_context_send. */
  bool accepted; /* at least one connection accepted one */
  bool lost;     /* for one event all connections were closed, and none had accepted any before */

  vestry_dispatch_info info; /* filled in by vestry_context_info */
};

/* Reset the counts. */
static inline void vsi_context_clear(vestry_dispatch_result *result) {
  result->effects_count = result->errors_count = result->skipped_count = result->connections_count = 0;
}

/* Initialize a dispatch, and clear the counts of result. signals: become data and state; the request's signals if there
 * is a request; NULL: empty. */
void vsi_context_init(vestry_dispatch_context *context, vestry *v, const vestry_request *request, json_t *signals,
                      vestry_scope scope, vestry_dispatch_result *result);
/* Initialize a dispatch nested in parent, which must outlive it. */
void vsi_context_init_nested(vestry_dispatch_context *context, vestry_dispatch_context *parent,
                             vestry_dispatch_result *result);
void vsi_context_finish(vestry_dispatch_context *context);
/* Remove the opened stream, which is the first target, because the dispatch has another target. */
void vsi_connecting_give_up(vsi_connecting *connecting);
/* Refuse the reply. error: not OK; the first one counts. */
static inline void vsi_connecting_refuse(vsi_connecting *connecting, vestry_err error) {
  if (!connecting->refusal) connecting->refusal = error;
}
/* Copy the result to the caller; ret_result may be NULL. */
void vsi_context_give(const vestry_dispatch_context *context, vestry_dispatch_result *ret_result);

/* Return whether data and results of the options have the right types. */
static inline bool vsi_context_can_take(const vestry_dispatch_options *options) {
  return (!options->data || json_is_object(options->data)) && (!options->results || json_is_array(options->results));
}
/* Apply data (merged over the existing data), fail_fast and results of the options. The connections are chosen already.
 * OK | INVALID | NO_MEMORY. */
vestry_err vsi_context_configure(vestry_dispatch_context *context, const vestry_dispatch_options *options);

/* Return the elements after the head of a list as an array, valid until the next call, or longer with a reference.
 * NULL: out of memory. */
const json_t *vsi_context_args(vestry_dispatch_context *context, const json_t *list);

/* Record a failure; its phase and its detail are those of the context. name and what may be NULL. */
void vsi_context_record(vestry_dispatch_context *context, const char *name, const char *what, vestry_err error);

/* Replace the placeholders in a value, and the value itself if it is one.
 * within       name of the effect or action
 * value        borrowed, unchanged
 * depth        of the value in the effect or action: 0, which is this one itself
 * ret_changed  a new reference; NULL: nothing has changed
 * Returns  OK | an error, which is recorded */
vestry_err vsi_placeholders_replace(vestry_dispatch_context *context, const char *within, json_t *value, unsigned depth,
                                    json_t **ret_changed);

#endif
