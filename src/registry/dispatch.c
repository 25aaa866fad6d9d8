/* Performing effects, with the interceptors around them, and telling what became of them. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registry/context.h"

static void record(vestry_dispatch_context *context, vestry_phase phase, const char *name, vestry_err error) {
  vestry_dispatch_result *result = context->result;
  uint32_t at = result->errors_count++;
  if (at >= sizeof result->errors / sizeof *result->errors) return;
  vestry_dispatch_error *kept = &result->errors[at];
  kept->phase = phase;
  kept->error = error;
  snprintf(kept->name, sizeof kept->name, "%s", name);
  memcpy(kept->detail, context->detail, sizeof kept->detail);
}

static void intercept_one(vestry_dispatch_context *context, const vestry_interceptor *interceptor, vestry_phase phase,
                          bool is_after, const json_t *effect) {
  vestry_intercept_fn side = is_after ? interceptor->after : interceptor->before;
  if (interceptor->phase != phase || !side) return;
  context->detail[0] = '\0';
  vestry_err error = side(context, effect, interceptor->ctx);
  if (error) record(context, phase, interceptor->name, error);
}

void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect) {
  const vsi_names *names = &context->v->names;
  context->phase = phase;
  context->is_after = is_after;
  for (size_t i = 0; i < names->interceptors_count; i++) {
    size_t at = is_after ? names->interceptors_count - 1 - i : i;
    intercept_one(context, &names->interceptors[at], phase, is_after, effect);
  }
}

/* What is behind the name, as an array of its own. NULL: out of memory. */
static json_t *arguments_of(const json_t *effect) {
  json_t *args = json_array();
  for (size_t i = 1; args && i < json_array_size(effect); i++) {
    if (json_array_append(args, json_array_get(effect, i))) {
      json_decref(args);
      args = NULL;
    }
  }
  return args;
}

static vestry_err call(vestry_dispatch_context *context, const vsi_entry *entry, const json_t *effect) {
  context->detail[0] = '\0';
  if (!entry) return vestry_context_fail(context, VESTRY_NOT_FOUND, "no effect of this name is registered");
  json_t *args = arguments_of(effect);
  if (!args) return VESTRY_NO_MEMORY;
  context->phase = VESTRY_PHASE_EFFECT;
  vestry_err error = entry->fn.effect(context, args, entry->ctx);
  json_decref(args);
  return error;
}

static void perform(vestry_dispatch_context *context, const json_t *effect) {
  const char *name = json_string_value(json_array_get(effect, 0)); /* NULL-safe: of what is no array, NULL */
  if (!name) {
    vestry_context_fail(context, VESTRY_INVALID, "an effect is an array headed by its name");
    record(context, VESTRY_PHASE_EFFECT, "", VESTRY_INVALID);
    return;
  }
  const vsi_entry *entry = vsi_names_find(&context->v->names, VSI_KIND_EFFECT, name);
  vsi_context_intercept(context, VESTRY_PHASE_EFFECT, false, effect);
  vestry_err error = call(context, entry, effect);
  if (error)
    record(context, VESTRY_PHASE_EFFECT, name, error);
  else
    context->result->effects_count++;
  vsi_context_intercept(context, VESTRY_PHASE_EFFECT, true, effect);
}

vestry_err vsi_dispatch(vestry_dispatch_context *context, const json_t *effects) {
  context->result->connections_count = (uint32_t)context->targets.count;
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, false, NULL);
  for (size_t i = 0; i < json_array_size(effects); i++) perform(context, json_array_get(effects, i));
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, true, NULL);
  return context->result->errors_count ? context->result->errors[0].error : VESTRY_OK;
}

void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose) {
  static const char *const phases[] = {"connect", "dispatch", "effect", "close"};
  size_t room = sizeof result->errors / sizeof *result->errors;
  for (size_t i = 0; i < result->errors_count && i < room; i++) {
    const vestry_dispatch_error *error = &result->errors[i];
    /* That a stream has closed meanwhile is an everyday matter. */
    vestry_log_level level = error->error == VESTRY_CLOSED ? VESTRY_LOG_DEBUG : VESTRY_LOG_WARN;
    vsi_log(v->host, level, "dispatch for %s: %s %s: %s%s%s", whose, phases[error->phase], error->name,
            vestry_err_name(error->error), error->detail[0] ? ": " : "", error->detail);
  }
  if (result->errors_count > room)
    vsi_log(v->host, VESTRY_LOG_WARN, "dispatch for %s: and %zu more failures", whose, result->errors_count - room);
}

/* ------------------------------------------------------------------- from anywhere, with no request in sight - */

vestry_err vestry_dispatch_json(vestry *v, vestry_scope scope, vestry_key key, json_t *effects,
                                vestry_dispatch_result *ret_result) {
  if (!v || !json_is_array(effects)) return VESTRY_INVALID;
  vestry_dispatch_result own, *result = ret_result ? ret_result : &own;
  vestry_dispatch_context context;
  vsi_context_init(&context, v, NULL, scope, result);
  vestry_err error = VESTRY_CLOSED;
  if (!vsi_instance_is_closing(v)) error = vsi_targets_find(&context.targets, v->store, scope, &key, NULL);
  if (!error) error = vsi_dispatch(&context, effects);
  vsi_context_finish(&context);
  return error;
}

vestry_err vestry_dispatch(vestry *v, vestry_scope scope, vestry_key key, const char *format, ...) {
  if (!format) return VESTRY_INVALID;
  json_error_t why;
  va_list arguments;
  va_start(arguments, format);
  json_t *effects = json_vpack_ex(&why, 0, format, arguments);
  va_end(arguments);
  if (!effects) return json_error_code(&why) == json_error_out_of_memory ? VESTRY_NO_MEMORY : VESTRY_INVALID;
  vestry_err error = vestry_dispatch_json(v, scope, key, effects, NULL);
  json_decref(effects);
  return error;
}

vestry_err vestry_dispatch_to(vestry *v, vestry_connection *connection, json_t *effects,
                              vestry_dispatch_result *ret_result) {
  if (!v || !connection || !json_is_array(effects)) return VESTRY_INVALID;
  vestry_dispatch_result own, *result = ret_result ? ret_result : &own;
  vestry_dispatch_context context;
  vsi_context_init(&context, v, NULL, (vestry_scope){NULL, 0}, result);
  vestry_err error = VESTRY_CLOSED;
  if (!vsi_instance_is_closing(v)) error = vestry_connection_is_open(connection) ? VESTRY_OK : VESTRY_NOT_FOUND;
  if (!error) error = vsi_targets_add(&context.targets, connection);
  if (!error) error = vsi_dispatch(&context, effects);
  vsi_context_finish(&context);
  return error;
}

vestry_err vestry_close_key(vestry *v, vestry_scope scope, vestry_key key, vestry_cause cause, size_t *ret_count) {
  if (!v || cause == VESTRY_CAUSE_NONE || (unsigned)cause >= VESTRY_CAUSE_COUNT) return VESTRY_INVALID;
  return vestry_store_remove(v->store, scope, &key, cause, ret_count);
}
