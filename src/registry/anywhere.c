/* SPDX-License-Identifier: MIT */
/* Dispatching from anywhere, with no request in sight; and from inside a dispatch. */
#include "registry/anywhere.h"

#include "base/options.h"
#include "instance/elsewhere.h"
#include "registry/context.h"
#include "store/store.h"

/* Dispatch to the connections that were found. Finishes the context. */
static vestry_err dispatch_to_found(vestry_dispatch_context *context, vestry_err error, json_t *effects,
                                    vestry_dispatch_result *ret_result) {
  if (!error) error = vsi_dispatch(context, effects);
  vsi_context_give(context, ret_result);
  vsi_context_finish(context);
  return error;
}

/* As vsi_dispatch_here; *ret_count: how many connections. */
static inline vestry_err dispatch_here(vestry *v, const vestry_scoped_key *key, json_t *effects,
                                       const vestry_dispatch_options *options, bool may_write,
                                       vestry_dispatch_result *ret_result, uint32_t *ret_count) {
  vestry_dispatch_result result;
  vestry_dispatch_context context;
  vsi_context_init(&context, v, NULL, NULL, key->scope, &result);
  vestry_err error = vsi_context_configure(&context, options);
  context.state = context.data; /* there is no request: what it was given is all there is */
  context.may_write = may_write;
  if (!error && vsi_instance_is_closing(v)) error = VESTRY_CLOSED;
  if (!error) error = vsi_targets_find(&context.targets, v->store, key);
  error = dispatch_to_found(&context, error, effects, ret_result);
  *ret_count = result.connections_count;
  return error;
}

vestry_err vsi_dispatch_here(vestry *v, const vestry_scoped_key *key, json_t *effects,
                             const vestry_dispatch_options *options, bool may_write,
                             vestry_dispatch_result *ret_result) {
  uint32_t count;
  return dispatch_here(v, key, effects, options, may_write, ret_result, &count);
}

/* A caller's result, whose struct may be shorter than ours. */
static void add_count(vestry_dispatch_result *result, uint32_t count) {
  const size_t end = offsetof(vestry_dispatch_result, connections_count) + sizeof count;
  if (result && (!result->size || result->size >= end)) result->connections_count += count;
}

static vestry_err dispatch_by_key(vestry *v, const vestry_scoped_key *key, json_t *effects,
                                  const vestry_dispatch_options *options, vestry_dispatch_result *ret_result) {
  uint32_t here, there = 0;
  vestry_err error = dispatch_here(v, key, effects, options, false, ret_result, &here);
  const vsi_elsewhere *elsewhere = options->only_here ? NULL : vsi_instance_elsewhere(v);
  if (!elsewhere) return error;
  if (here ? !elsewhere->is_shared(key, elsewhere->ctx) : error != VESTRY_NOT_FOUND) return error;
  vestry_err other = elsewhere->dispatch(key, effects, options, here > 0, &there, elsewhere->ctx);
  add_count(ret_result, there);
  if (!here) return other;
  return error || other == VESTRY_NOT_FOUND ? error : other;
}

/* To one connection, or to none. */
static vestry_err dispatch_to(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                              vestry_dispatch_result *ret_result) {
  vestry_dispatch_result result;
  vestry_dispatch_context context;
  vestry_connection *connection = options->connection;
  vsi_context_init(&context, v, NULL, NULL, options->scope, &result);
  vestry_err error = vsi_context_configure(&context, options);
  context.state = context.data;
  if (!error && vsi_instance_is_closing(v)) error = VESTRY_CLOSED;
  if (!error && connection)
    error = vestry_connection_is_open(connection) ? vsi_targets_add(&context.targets, connection) : VESTRY_NOT_FOUND;
  return dispatch_to_found(&context, error, effects, ret_result);
}

/* What fails before anything was looked for. */
static vestry_err fail(vestry_err error, vestry_dispatch_result *ret_result) {
  const vestry_dispatch_result none = {0};
  if (ret_result) VSI_RESULT_GIVE(ret_result, none);
  return error;
}

static bool makes_sense(const vestry_dispatch_options *options) {
  return (!options->data || json_is_object(options->data)) && (!options->results || json_is_array(options->results)) &&
         !(options->key && options->connection);
}

vestry_err vestry_dispatch_with(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                                vestry_dispatch_result *ret_result) {
  vestry_dispatch_options own;
  if (!v || !json_is_array(effects) || VSI_OPTIONS_TAKE(own, options) || !makes_sense(&own)) return VESTRY_INVALID;
  if (!own.key) return dispatch_to(v, effects, &own, ret_result);
  if (vsi_instance_is_closing(v)) return fail(VESTRY_CLOSED, ret_result);
  vsi_scoped_key key;
  vestry_err error = vsi_store_pack(v->store, &key, own.scope, own.key);
  if (error) return fail(error, ret_result);
  error = dispatch_by_key(v, &key.key, effects, &own, ret_result);
  vsi_scoped_key_finish(&key);
  return error;
}

/* One effect, no list of them. */
static bool is_one(const vestry_value *effects) {
  if (effects->type == VESTRY_VALUE_JSON) return json_is_string(json_array_get(effects->json, 0));
  return effects->count && effects->items && effects->items->type == VESTRY_VALUE_STRING;
}

vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_value *effects) {
  if (!key) return VESTRY_INVALID;
  json_t *list = NULL;
  vestry_err error = vestry_value_to_json(effects && is_one(effects) ? VESTRY_LIST(effects) : effects, &list);
  if (!error) error = vestry_dispatch_with(v, list, &(vestry_dispatch_options){.scope = scope, .key = key}, NULL);
  json_decref(list);
  return error;
}
