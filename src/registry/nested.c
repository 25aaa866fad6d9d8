/* SPDX-License-Identifier: MIT */
/* Dispatches that result from a dispatch: nested ones, while it runs; later ones, when only a handle to it is left. */
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "registry/dispatch.h"

/* Nothing changes, so any thread may read the handle. Data and state are separate copies, which are copied again for
 * each dispatch, because jansson's values are not safe for several threads. */
struct vestry_dispatch_handle {
  const vestry_host *host;
  vestry *v;
  json_t *data, *state; /* often the same object */
  vsi_targets targets;
  size_t scope_len;
  char scope[];
};

/* Read the options of a dispatch whose connections are chosen already. OK | INVALID. */
static vestry_err take_options(const vestry_dispatch_options *options, vestry_dispatch_options *ret_options) {
  *ret_options = options ? *options : (vestry_dispatch_options){0};
  bool settled = !ret_options->key && !ret_options->connection && !ret_options->scope.len && !ret_options->store;
  return settled ? VESTRY_OK : VESTRY_INVALID;
}

vestry_err vestry_context_dispatch(vestry_dispatch_context *context, json_t *effects,
                                   const vestry_dispatch_options *options, vestry_dispatch_result *ret_result) {
  vestry_dispatch_options own_options;
  if (!json_is_array(effects) || context->connecting || take_options(options, &own_options))
    return vsi_mistake(context->v->host, "vestry_context_dispatch",
                       "effects is not an array, the phase is CONNECT, or the options choose connections");
  if (context->nesting >= VESTRY_DISPATCH_MAX_NESTING)
    return vestry_context_fail(context, VESTRY_LIMIT, "dispatches are nested deeper than %d",
                               VESTRY_DISPATCH_MAX_NESTING);
  /* A result takes two kilobytes, and eight nested ones are too much for a small stack. */
  const vestry_host *host = context->v->host;
  vestry_dispatch_result *result = vsi_alloc(host, sizeof *result);
  if (!result) return VESTRY_NO_MEMORY;
  vestry_dispatch_context nested;
  vsi_context_init_nested(&nested, context, result);
  vestry_err error = vsi_context_configure(&nested, &own_options);
  if (!error) error = vsi_dispatch(&nested, &(vsi_effects){.list = effects});
  vsi_context_give(&nested, ret_result);
  vsi_context_finish(&nested);
  vsi_free(host, result);
  return error;
}

/* Copy data and state. ret_data, ret_state: references, untouched on failure. OK | NO_MEMORY */
static vestry_err copy_both(const json_t *data, const json_t *state, json_t **ret_data, json_t **ret_state) {
  json_t *data_copy = json_deep_copy(data);
  json_t *state_copy = state == data ? json_incref(data_copy) : json_deep_copy(state);
  if (!data_copy || !state_copy) {
    json_decref(data_copy);
    json_decref(state_copy);
    return VESTRY_NO_MEMORY;
  }
  *ret_data = data_copy;
  *ret_state = state_copy;
  return VESTRY_OK;
}

vestry_err vestry_context_keep(vestry_dispatch_context *context, vestry_dispatch_handle **ret_handle) {
  if (context->connecting || !ret_handle)
    return vsi_mistake(context->v->host, "vestry_context_keep", "the phase is CONNECT, or ret_handle is NULL");
  const vsi_targets *targets = &context->root->targets;
  const vestry_host *host = context->v->host;
  vestry_dispatch_handle *handle = vsi_calloc(host, 1, sizeof *handle + context->scope.len);
  if (!handle) return VESTRY_NO_MEMORY;
  handle->host = host;
  handle->v = context->v;
  vsi_targets_init(&handle->targets, host);
  vestry_err error = copy_both(context->data, context->state, &handle->data, &handle->state);
  for (size_t i = 0; !error && i < targets->count; i++) error = vsi_targets_add(&handle->targets, targets->items[i]);
  if (error) {
    vestry_dispatch_handle_unref(handle);
    return error;
  }
  handle->scope_len = context->scope.len;
  if (context->scope.len) memcpy(handle->scope, context->scope.data, context->scope.len);
  *ret_handle = handle;
  return VESTRY_OK;
}

vestry_dispatch_handle *vestry_dispatch_handle_unref(vestry_dispatch_handle *handle) {
  if (!handle) return NULL;
  vsi_targets_finish(&handle->targets);
  json_decref(handle->data);
  json_decref(handle->state);
  vsi_free(handle->host, handle);
  return NULL;
}

/* Find the connections of a kept dispatch that are still open. OK | NOT_FOUND (it had some, and none is open) |
 * NO_MEMORY. */
static vestry_err find_again(vestry_dispatch_context *context, const vestry_dispatch_handle *handle) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < handle->targets.count; i++)
    if (vestry_connection_is_open(handle->targets.items[i]))
      error = vsi_targets_add(&context->targets, handle->targets.items[i]);
  if (!error && handle->targets.count && !context->targets.count) error = VESTRY_NOT_FOUND;
  return error;
}

vestry_err vestry_dispatch_later(vestry_dispatch_handle *handle, json_t *effects,
                                 const vestry_dispatch_options *options, vestry_dispatch_result *ret_result) {
  vestry_dispatch_options own_options;
  if (!handle) return VESTRY_INVALID;
  if (!json_is_array(effects) || take_options(options, &own_options))
    return vsi_mistake(handle->v->host, "vestry_dispatch_later",
                       "effects is not an array, or the options choose connections");
  vestry_dispatch_result result;
  vestry_dispatch_context context;
  vsi_context_init(&context, handle->v, NULL, NULL, (vestry_scope){handle->scope, handle->scope_len}, &result);
  json_t *data = NULL, *state = NULL;
  vestry_err error = copy_both(handle->data, handle->state, &data, &state);
  if (!error) {
    context.data = data;
    context.state = state;
    error = vsi_context_configure(&context, &own_options);
  }
  if (!error) error = vsi_instance_is_closing(handle->v) ? VESTRY_CLOSED : find_again(&context, handle);
  if (!error) error = vsi_dispatch(&context, &(vsi_effects){.list = effects});
  vsi_context_give(&context, ret_result);
  vsi_context_finish(&context);
  json_decref(data);
  json_decref(state);
  return error;
}
