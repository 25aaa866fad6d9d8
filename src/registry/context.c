/* SPDX-License-Identifier: MIT */
/* The functions by which effects and interceptors use the dispatch that they run in. */
#include "registry/context.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#include "connection/send.h"
#include "event/extras.h"
#include "store/store.h"
#include "json/value.h"

/* Larger events are left to the pool, so that a request does not copy them into the kernel. */
enum { WRITTEN_HERE_BYTES = 16 << 10 };

/* ---------------------------------------------------------------------------------------------------- targets ---- */

vestry_err vsi_targets_add(vsi_targets *targets, vestry_connection *connection) {
  if (targets->count == targets->capacity) {
    const size_t larger = targets->capacity * 2; /* no overflow: that many pointers are in memory already */
    vsi_targets_block *block = vsi_alloc(targets->host, sizeof *block + larger * sizeof *block->items);
    if (!block) return VESTRY_NO_MEMORY;
    block->former = targets->block;
    memcpy(block->items, targets->items, targets->count * sizeof *targets->items);
    targets->block = block;
    targets->items = block->items;
    targets->capacity = larger;
  }
  targets->items[targets->count++] = vsi_connection_hold(connection);
  return VESTRY_OK;
}

void vsi_targets_prune(vsi_targets *targets) {
  size_t kept = 0;
  for (size_t i = 0; i < targets->count; i++) {
    if (vsi_connection_is_open(targets->items[i]))
      targets->items[kept++] = targets->items[i];
    else
      vsi_connection_let_go(targets->items[i]);
  }
  targets->count = kept;
}

typedef struct search {
  vsi_targets *targets;
  bool lacks_memory;
} search;

/* The newest connection is met first. */
static void meet(void *value, void *ctx) {
  search *s = ctx;
  if (vsi_connection_is_open(value) && vsi_targets_add(s->targets, value)) s->lacks_memory = true;
}

/* A key may have ten thousand connections, and each visit fetches their memory: one visit finds them all, and the list
 * grows meanwhile. */
vestry_err vsi_targets_find(vsi_targets *targets, vestry_store *store, const vestry_scoped_key *key) {
  const size_t before_count = targets->count;
  search s = {.targets = targets};
  vestry_err error = vsi_store_with(store, key, meet, &s);
  if (error) return error;
  if (s.lacks_memory) {
    while (targets->count > before_count) vsi_connection_let_go(targets->items[--targets->count]);
    return VESTRY_NO_MEMORY;
  }
  vestry_connection **found = targets->items + before_count;
  const size_t open_count = targets->count - before_count;
  for (size_t i = 0; i < open_count / 2; i++) { /* reverse: the oldest first */
    vestry_connection *other = found[open_count - 1 - i];
    found[open_count - 1 - i] = found[i];
    found[i] = other;
  }
  return open_count ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_targets_count(vestry_store *store, const vestry_scoped_key *key, uint32_t *ret_count) {
  vsi_targets found;
  vsi_targets_init(&found, store->host);
  vestry_err error = vsi_targets_find(&found, store, key);
  *ret_count = (uint32_t)found.count;
  vsi_targets_finish(&found);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- context ---- */

void vsi_context_init(vestry_dispatch_context *context, vestry *v, const vestry_request *request, json_t *signals,
                      vestry_scope scope, vestry_dispatch_result *result) {
  memset(context, 0, offsetof(vestry_dispatch_context, info));
  vsi_context_clear(result);
  context->v = v;
  context->request = request;
  context->scope = scope;
  context->result = result;
  context->phase = VESTRY_PHASE_DISPATCH;
  context->data = context->state = signals ? signals : v->nothing;
  context->root = context;
  vsi_targets_init(&context->targets, v->host);
}

void vsi_context_init_nested(vestry_dispatch_context *context, vestry_dispatch_context *parent,
                             vestry_dispatch_result *result) {
  vsi_context_init(context, parent->v, parent->request, parent->data, parent->scope, result);
  context->state = parent->state;
  context->root = parent->root;
  context->nesting = parent->nesting + 1;
}

void vsi_context_finish(vestry_dispatch_context *context) {
  json_decref(context->args);
  if (context->data_is_own) json_decref(context->data);
  if (context->root == context) vsi_targets_finish(&context->targets);
}

const vestry_dispatch_info *vestry_context_info(const vestry_dispatch_context *context) {
  vestry_dispatch_info *info =
      (vestry_dispatch_info *)(uintptr_t)&context->info; /* used by one thread; filled in on request */
  const vsi_connecting *connecting = context->connecting;
  const bool after = context->is_after;
  *info = (vestry_dispatch_info){.v = context->v,
                                 .request = context->request,
                                 .scope = context->scope,
                                 .connections = context->root->targets.items,
                                 .connections_count = context->root->targets.count,
                                 .data = context->data,
                                 .state = context->state,
                                 .result = context->result,
                                 .value = context->phase == VESTRY_PHASE_EFFECT && after ? context->value : NULL,
                                 .reply = connecting ? connecting->reply : NULL,
                                 .opened = connecting && after && !connecting->refusal ? connecting->opened : NULL};
  return info;
}

/* Merge data into the data of the context. At most once for each context, because the former data is borrowed and is
 * not freed here. */
static vestry_err merge_data(vestry_dispatch_context *context, json_t *more) {
  if (!json_object_size(context->data)) { /* there is no data to merge with */
    context->data = more;
    return VESTRY_OK;
  }
  json_t *merged = vsi_json_copy(context->data);
  if (!merged || json_object_update(merged, more)) {
    json_decref(merged);
    return VESTRY_NO_MEMORY;
  }
  context->data = merged;
  context->data_is_own = true;
  return VESTRY_OK;
}

vestry_err vsi_context_configure(vestry_dispatch_context *context, const vestry_dispatch_options *options) {
  if (!vsi_context_can_take(options))
    return vsi_mistake(context->v->host, "dispatch", "options.data is not an object, or options.results not an array");
  context->fail_fast = options->fail_fast;
  context->results = options->results;
  return json_object_size(options->data) ? merge_data(context, options->data) : VESTRY_OK;
}

/* Return the arguments as an array. One array serves all effects of a dispatch, unless an effect keeps it. */
const json_t *vsi_context_args(vestry_dispatch_context *context, const json_t *list) {
  /* acquire pairs with jansson's release when another thread drops a reference that an effect gave it */
  if (context->args && __atomic_load_n(&context->args->refcount, __ATOMIC_ACQUIRE) == 1) {
    json_array_clear(context->args);
  } else {
    json_decref(context->args);
    context->args = json_array();
  }
  for (size_t i = 1; context->args && i < json_array_size(list); i++)
    if (json_array_append(context->args, json_array_get(list, i))) return NULL;
  return context->args;
}

void vsi_context_record(vestry_dispatch_context *context, const char *name, const char *what, vestry_err error) {
  vestry_dispatch_result *result = context->result;
  uint32_t at = result->errors_count++;
  if (at >= sizeof result->errors / sizeof *result->errors) return;
  vestry_dispatch_error *kept = &result->errors[at];
  kept->phase = context->phase;
  kept->is_after = context->is_after;
  kept->error = error;
  snprintf(kept->name, sizeof kept->name, "%s", name ? name : "");
  snprintf(kept->what, sizeof kept->what, "%s", what ? what : "");
  memcpy(kept->detail, context->detail, sizeof kept->detail);
}

void vsi_context_give(const vestry_dispatch_context *context, vestry_dispatch_result *ret_result) {
  if (!ret_result) return;
  const vestry_dispatch_result *result = context->result; /* the errors beyond errors_count have no values */
  size_t kept = result->errors_count < VESTRY_DISPATCH_ERRORS_MAX ? result->errors_count : VESTRY_DISPATCH_ERRORS_MAX;
  memset(ret_result, 0, sizeof *ret_result);
  memcpy(ret_result, result, offsetof(vestry_dispatch_result, errors) + kept * sizeof *result->errors);
}

vestry_err vestry_context_return(vestry_dispatch_context *context, json_t *value) {
  if (!value) return VESTRY_NO_MEMORY;
  if (!context->in_effect) {
    json_decref(value);
    return vsi_mistake(context->v->host, "vestry_context_return", "call it in the function of an effect");
  }
  json_decref(context->value);
  context->value = value;
  return VESTRY_OK;
}

vestry_err vestry_context_target(vestry_dispatch_context *context, vestry_connection *connection) {
  if (!context->connecting || !connection || !vsi_group_has(context->v->group, connection))
    return vsi_mistake(context->v->host, "vestry_context_target",
                       "call it in phase CONNECT, with a connection of the same instance");
  if (!vsi_connection_is_open(connection)) return VESTRY_CLOSED;
  vestry_err error = vsi_targets_add(&context->targets, connection);
  if (!error && context->connecting->opened) vsi_connecting_give_up(context->connecting);
  return error;
}

/* The server holds another reference to the stream (serve/serving.c). */
void vsi_connecting_give_up(vsi_connecting *connecting) {
  vsi_targets *targets = connecting->targets;
  vsi_connection_let_go(targets->items[0]);
  targets->count--;
  memmove(targets->items, targets->items + 1, targets->count * sizeof *targets->items);
  connecting->opened = NULL;
}

vestry_err vestry_context_refuse(vestry_dispatch_context *context, vestry_err error) {
  if (!context->connecting || error == VESTRY_OK)
    return vsi_mistake(context->v->host, "vestry_context_refuse",
                       "call it in phase CONNECT, with another error than OK");
  vsi_connecting_refuse(context->connecting, error);
  return VESTRY_OK;
}

vestry_err vestry_context_fail(vestry_dispatch_context *context, vestry_err error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(context->detail, sizeof context->detail, format, arguments);
  va_end(arguments);
  return error;
}

/* Return whether this thread writes an event to `count` streams itself, instead of waking a thread of the pool, which
 * takes longer than a write. A request does so for the event of an effect that it dispatches alone, if the event is
 * small. All its dispatches write to a few streams only: a handler that sends to many keys leaves them to the pool,
 * whose threads work side by side. */
static bool writes_here(const vestry_dispatch_context *context, size_t count, const vestry_event *event) {
  const vestry_dispatch_context *root = context->root;
  vsi_inside *request = context->writer; /* NULL in a nested dispatch */
  if (root->may_write) return count <= VSI_TARGETS_INLINE;
  if (!request || context->within || count > request->writes_left) return false;
  if (event->len > WRITTEN_HERE_BYTES) return false;
  request->writes_left -= (unsigned)count;
  return true;
}

vestry_err vestry_context_send(vestry_dispatch_context *context, vestry_event *event) {
  vestry_dispatch_context *root = context->root;
  const vsi_targets *targets = &root->targets;
  const bool writes = writes_here(context, targets->count, event);
  vestry_err failure = VESTRY_OK;
  bool accepted = false;
  for (size_t at = 0, count; at < targets->count; at += count) {
    vestry_err errors[VSI_BURST_MOST];
    count = targets->count - at < VSI_BURST_MOST ? targets->count - at : VSI_BURST_MOST;
    if (!writes) vsi_connection_send_each(targets->items + at, count, event, errors);
    for (size_t i = 0; i < count; i++) {
      if (writes) errors[i] = vsi_connection_send_here(targets->items[at + i], event);
      accepted |= !errors[i];
      if (errors[i] && errors[i] != VESTRY_CLOSED && !failure) failure = errors[i];
    }
  }
  root->accepted |= accepted;
  if (failure || accepted) return failure;
  root->lost |= !root->accepted;
  return VESTRY_CLOSED;
}
