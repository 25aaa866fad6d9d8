/* SPDX-License-Identifier: MIT */
/* essay: the order of effects and actions, and what ends their loops */
/* Performing effects and actions, with the interceptors around them, and telling what became of them.
 *
 * A list is gone through once. Each entry has its placeholders replaced when its turn comes; an effect is performed at
 * once; an action is asked for the list that takes its place, which is gone through before the next entry. So the order
 * is that of a depth-first walk, and an action sees the world as the effects before it have left it.
 *
 * What ends a loop of actions: their depth is bounded, and so is the number of entries that come of them, because a
 * depth alone still allows a tree. Both are counted over all the dispatches that are nested in one another; with the
 * bounds on those and on the depth of values, the worst fits the stack of a server's thread (tests/registry/nested). */
#include "base/log.h"
#include "registry/context.h"
#include "registry/effect_list.h"
#include "registry/names.h"
#include "registry/placeholders.h"

/* ------------------------------------------------------------------------------------------------ interceptors ---- */

static void intercept_one(vestry_dispatch_context *context, const vestry_interceptor *interceptor, bool is_after,
                          const json_t *effect) {
  vestry_intercept_fn side = is_after ? interceptor->after : interceptor->before;
  if (!side) return;
  context->detail[0] = '\0';
  context->phase = interceptor->phase;
  context->is_after = is_after;
  vestry_err error = side(context, effect, interceptor->ctx);
  if (!error) return;
  const char *what = json_string_value(json_array_get(effect, 0));
  vsi_context_record(context, &(vsi_failure){interceptor->phase, is_after, interceptor->name, what, error});
}

void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect) {
  const vsi_interceptors *all = &context->v->registry->phases[phase];
  context->phase = phase;
  context->is_after = is_after;
  for (size_t i = 0; i < all->count; i++)
    intercept_one(context, &all->items[is_after ? all->count - 1 - i : i], is_after, effect);
}

/* --------------------------------------------------------------------------------------------------- performing --- */

static void perform(vestry_dispatch_context *context, json_t *entry, unsigned depth);
static void perform_replaced(vestry_dispatch_context *context, json_t *entry, unsigned depth);

/* Something has failed, and that is to be all. */
static bool is_over(const vestry_dispatch_context *context) {
  return context->fail_fast && context->result->errors_count;
}

static void fail(vestry_dispatch_context *context, vestry_phase phase, const char *name, vestry_err error) {
  vsi_context_record(context, &(vsi_failure){phase, false, name, context->within, error});
}

static vestry_err fail_exhausted(vestry_dispatch_context *context) {
  return vestry_context_fail(context, VESTRY_LIMIT, "more than %d came of one dispatch", VESTRY_DISPATCH_MAX_COUNT);
}

/* Record once in each dispatch that the bound was reached, which counts a dispatch and all that are nested in it: a
 * nested one records it in its own result, and each dispatch around it in its own when it goes on. */
static void say_exhausted(vestry_dispatch_context *context, const json_t *entry) {
  if (context->said_exhausted) return;
  context->said_exhausted = true;
  const char *name = json_string_value(json_array_get(entry, 0));
  fail(context, VESTRY_PHASE_ACTION, name, fail_exhausted(context));
}

/* Whether an entry may be performed. Those of the list that was dispatched itself always may: it has an end. */
static bool may_perform(vestry_dispatch_context *context, const json_t *entry, unsigned depth) {
  vestry_dispatch_context *root = context->root;
  if (is_over(context)) return false;
  if (!depth && !context->nesting) return true;
  if (root->expanded_count == VESTRY_DISPATCH_MAX_COUNT) root->exhausted = true;
  if (root->exhausted) {
    say_exhausted(context, entry);
    return false;
  }
  root->expanded_count++;
  return true;
}

/* depth: 0 for the list that was dispatched. */
static void perform_list(vestry_dispatch_context *context, const json_t *list, unsigned depth) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    json_t *entry = json_array_get(list, i);
    if (!may_perform(context, entry, depth)) {
      context->result->skipped_count += (uint32_t)(json_array_size(list) - i);
      return;
    }
    if (!depth && context->are_plain && context->are_plain[i])
      perform_replaced(context, entry, depth);
    else
      perform(context, entry, depth);
  }
}

/* What an action comes to: a new reference; NULL with OK: nothing. */
static vestry_err ask(vestry_dispatch_context *context, const vsi_meaning *meaning, const json_t *action,
                      json_t **ret_list) {
  context->detail[0] = '\0';
  if (context->root->actions_depth >= VESTRY_ACTIONS_MAX_DEPTH)
    return vestry_context_fail(context, VESTRY_LIMIT, "actions are nested deeper than %d", VESTRY_ACTIONS_MAX_DEPTH);
  if (context->root->exhausted) return fail_exhausted(context);
  const json_t *args = vsi_context_args(context, action);
  if (!args) return VESTRY_NO_MEMORY;
  json_t *list = NULL;
  vestry_err error = meaning->fn.action(context->state, args, &list, meaning->ctx);
  if (!error && list && !vsi_is_effect_list(list, NULL))
    error = vestry_context_fail(context, VESTRY_INVALID, "an action gives a list of effects and actions");
  if (error) {
    json_decref(list);
    return error;
  }
  *ret_list = list;
  return VESTRY_OK;
}

static void perform_action(vestry_dispatch_context *context, const vsi_meaning *meaning, const json_t *action,
                           const char *name, unsigned depth) {
  const char *within = context->within;
  vsi_context_intercept(context, VESTRY_PHASE_ACTION, false, action);
  if (is_over(context)) {
    context->result->skipped_count++;
  } else {
    json_t *list = NULL;
    vestry_err error = ask(context, meaning, action, &list);
    if (error) fail(context, VESTRY_PHASE_ACTION, name, error);
    context->within = name;
    context->root->actions_depth++;
    perform_list(context, list, depth + 1);
    context->root->actions_depth--;
    context->within = within;
    json_decref(list);
  }
  vsi_context_intercept(context, VESTRY_PHASE_ACTION, true, action);
}

static vestry_err call(vestry_dispatch_context *context, const vsi_meaning *meaning, const json_t *effect) {
  context->detail[0] = '\0';
  if (!meaning) return vestry_context_fail(context, VESTRY_NOT_FOUND, "no effect of this name is registered");
  const json_t *args = vsi_context_args(context, effect);
  if (!args) return VESTRY_NO_MEMORY;
  context->phase = VESTRY_PHASE_EFFECT;
  context->is_after = false;
  context->in_effect = true;
  vestry_err error = meaning->fn.effect(context, args, meaning->ctx);
  context->in_effect = false;
  return error;
}

/* Keep an effect's result. Without memory the effect was performed all the same: record that its result is missing. */
static void keep_result(vestry_dispatch_context *context, json_t *effect, const char *name) {
  json_t *value = context->value;
  json_t *kept = value ? json_pack("{s:O,s:O}", "effect", effect, "value", value)
                       : json_pack("{s:O,s:n}", "effect", effect, "value");
  if (kept && json_array_append_new(context->results, kept) == 0) return;
  vestry_context_fail(context, VESTRY_NO_MEMORY, "performed, but its result is lost");
  fail(context, VESTRY_PHASE_EFFECT, name, VESTRY_NO_MEMORY);
}

static void perform_effect(vestry_dispatch_context *context, const vsi_meaning *meaning, json_t *effect,
                           const char *name) {
  vsi_context_intercept(context, VESTRY_PHASE_EFFECT, false, effect);
  if (is_over(context)) {
    context->result->skipped_count++;
  } else {
    vestry_err error = call(context, meaning, effect);
    if (error) {
      fail(context, VESTRY_PHASE_EFFECT, name, error);
      json_decref(context->value);
      context->value = NULL;
    } else {
      context->result->effects_count++;
      if (context->results) keep_result(context, effect, name);
    }
  }
  vsi_context_intercept(context, VESTRY_PHASE_EFFECT, true, effect);
  json_decref(context->value);
  context->value = NULL;
}

/* The name that heads an effect or action; NULL: it is none. */
static const char *name_of(const json_t *entry, size_t *ret_len) {
  const json_t *head = json_array_get(entry, 0); /* NULL-safe: of what is no array, NULL */
  *ret_len = json_string_length(head);
  return *ret_len ? json_string_value(head) : NULL;
}

static void fail_shape(vestry_dispatch_context *context) {
  vestry_context_fail(context, VESTRY_INVALID, "an effect is an array headed by its name");
  fail(context, VESTRY_PHASE_EFFECT, "", VESTRY_INVALID);
}

/* Its placeholders have been replaced, or it has none. */
static void perform_replaced(vestry_dispatch_context *context, json_t *entry, unsigned depth) {
  size_t len;
  const char *name = name_of(entry, &len);
  if (!name) {
    fail_shape(context);
    return;
  }
  const vsi_meaning *meaning = vsi_names_performed(context->v->registry, name, len);
  if (meaning && meaning->kind == VSI_KIND_ACTION)
    perform_action(context, meaning, entry, name, depth);
  else
    perform_effect(context, meaning, entry, name);
}

static void perform(vestry_dispatch_context *context, json_t *entry, unsigned depth) {
  size_t len;
  const char *name = name_of(entry, &len);
  if (!name) {
    fail_shape(context);
    return;
  }
  const vsi_meaning *meaning = vsi_names_performed(context->v->registry, name, len);
  bool is_action = meaning && meaning->kind == VSI_KIND_ACTION;
  json_t *replaced;
  if (!vsi_placeholders_replace(context, is_action ? VESTRY_PHASE_ACTION : VESTRY_PHASE_EFFECT, entry, &replaced))
    return;
  perform_replaced(context, replaced, depth);
  json_decref(replaced);
}

vestry_err vsi_dispatch(vestry_dispatch_context *context, json_t *effects) {
  context->result->connections_count = (uint32_t)context->root->targets.count;
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, false, NULL);
  perform_list(context, effects, 0);
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, true, NULL);
  return context->result->errors_count ? context->result->errors[0].error : VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------------ telling --- */

void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose) {
  static const char *const phases[] = {"connect", "dispatch", "action", "effect", "close"};
  size_t room = sizeof result->errors / sizeof *result->errors;
  for (size_t i = 0; i < result->errors_count && i < room; i++) {
    const vestry_dispatch_error *error = &result->errors[i];
    /* That a stream has closed meanwhile is an everyday matter. */
    vestry_log_level level = error->error == VESTRY_CLOSED ? VESTRY_LOG_DEBUG : VESTRY_LOG_WARN;
    vsi_log(v->host, level, "dispatch for %s: %s%s %s%s%s: %s%s%s", whose, phases[error->phase],
            error->is_after ? " (after)" : "", error->name, error->what[0] ? " in " : "", error->what,
            vestry_err_name(error->error), error->detail[0] ? ": " : "", error->detail);
  }
  if (result->errors_count > room)
    vsi_log(v->host, VESTRY_LOG_WARN, "dispatch for %s: and %zu more failures", whose, result->errors_count - room);
}
