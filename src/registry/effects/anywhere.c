/* Dispatching from anywhere, with no request in sight; and from inside a dispatch. */
#include "base/options.h"
#include "registry/effects/context.h"
#include "store/store.h"
#include "json/value.h"

/* The connections of a dispatch. OK | NOT_FOUND (no open one) | INVALID, TOO_LARGE (key) | NO_MEMORY. */
static vestry_err find(vestry_dispatch_context *context, const vestry_dispatch_options *options) {
  if (options->key) {
    vsi_scoped_key key;
    vestry_err error = vsi_store_pack(context->v->store, &key, context->scope, options->key);
    if (error) return error;
    error = vsi_targets_find(&context->targets, context->v->store, &key.key);
    vsi_scoped_key_finish(&key);
    return error;
  }
  if (!options->connection) return VESTRY_OK;
  if (!vestry_connection_is_open(options->connection)) return VESTRY_NOT_FOUND;
  return vsi_targets_add(&context->targets, options->connection);
}

vestry_err vestry_dispatch_with(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                                vestry_dispatch_result *ret_result) {
  vestry_dispatch_options own_options;
  if (!v || !json_is_array(effects) || VSI_OPTIONS_TAKE(own_options, options)) return VESTRY_INVALID;
  if (own_options.key && own_options.connection) return VESTRY_INVALID;
  vestry_dispatch_result result;
  vestry_dispatch_context context;
  vsi_context_init(&context, v, NULL, own_options.scope, &result);
  vestry_err error = vsi_context_configure(&context, &own_options);
  context.state = context.data; /* there is no request: what it was given is all there is */
  if (!error) error = vsi_instance_is_closing(v) ? VESTRY_CLOSED : find(&context, &own_options);
  if (!error) error = vsi_dispatch(&context, effects);
  vsi_context_give(&context, ret_result);
  vsi_context_finish(&context);
  return error;
}

vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_value *effects) {
  if (!key) return VESTRY_INVALID;
  json_t *list = NULL;
  bool is_one = effects && effects->count && effects->items && effects->items->type == VESTRY_VALUE_STRING;
  vestry_err error = vestry_value_to_json(is_one ? VESTRY_LIST(effects) : effects, &list);
  if (!error) error = vestry_dispatch_with(v, list, &(vestry_dispatch_options){.scope = scope, .key = key}, NULL);
  json_decref(list);
  return error;
}

vestry_err vestry_dispatch_pack(vestry *v, vestry_scope scope, const vestry_key *key, const char *format, ...) {
  if (!key || !format) return VESTRY_INVALID;
  json_t *effects = NULL;
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = vsi_json_vpack(format, arguments, &effects);
  va_end(arguments);
  if (error) return error;
  error = vestry_dispatch_with(v, effects, &(vestry_dispatch_options){.scope = scope, .key = key}, NULL);
  json_decref(effects);
  return error;
}
