/* SPDX-License-Identifier: MIT */
/* essay: the order of effects and actions, and the bounds that end their loops */
/* Performs effects and actions, with the interceptors around them, and records the results. The targets are the
 * connections of a request or, in code outside of requests, the connections stored under a key.
 *
 * Words. An effect is a named operation that sends events to the targets, such as patch-signals. An action is a
 * function of the application that returns a list. The entries of a list are effects and actions. A placeholder is a
 * part of an entry that is replaced by a value just before the entry is performed. An interceptor is a function that is
 * called before and after an entry.
 *
 * A list is processed once. The placeholders of an entry are replaced when its turn comes. An effect is performed at
 * once. An action returns a list that takes its place and is processed before the next entry. So the order is that of a
 * depth-first traversal, and an action sees the state that the effects before it have left.
 *
 * Two bounds end a loop of actions: the depth of actions, and the number of entries that result from them, because a
 * bounded depth still allows a large tree. Depths are counted over all dispatches that run on the thread, however they
 * were started. Entries are counted over dispatches that are nested in one another by their contexts. Together with the
 * bound on the depth of values, the worst case fits the stack of a server's thread (tests/registry/nested). */
#include "registry/dispatch.h"

#include <string.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/trace.h"
#include "base/utf8.h"
#include "event/effect.h"
#include "instance/elsewhere.h"
#include "instance/stores.h"
#include "registry/names.h"
#include "store/store.h"

/* Number of running dispatches and actions of this thread. An effect may dispatch by its context, or by a key: both are
 * nested in it, on one stack. */
static _Thread_local unsigned dispatches, actions;

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
  vsi_context_record(context, interceptor->name, what, error);
}

void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect,
                           size_t most) {
  const vsi_interceptors *all = &context->v->registry->phases[phase];
  const size_t count = all->count < most ? all->count : most;
  context->phase = phase;
  context->is_after = is_after;
  for (size_t i = 0; i < count; i++)
    intercept_one(context, &all->items[is_after ? count - 1 - i : i], is_after, effect);
}

/* --------------------------------------------------------------------------------------------------- performing --- */

/* Return whether a value is a list of effects: an array of arrays that begin with a name. */
static bool is_effect_list(const json_t *effects) {
  size_t count = json_array_size(effects), at = 0;
  while (at < count && json_string_length(json_array_get(json_array_get(effects, at), 0))) at++;
  return json_is_array(effects) && at == count;
}

/* The head of an effect or action. */
typedef struct head {
  const char *name;
  const vsi_meaning *meaning; /* NULL: no such name is registered */
  vestry_phase phase;         /* ACTION or EFFECT */
} head;

/* Return whether the dispatch stops because of a failure. */
static bool is_over(const vestry_dispatch_context *context) {
  return context->fail_fast && context->result->errors_count;
}

static void fail(vestry_dispatch_context *context, vestry_phase phase, const char *name, vestry_err error) {
  context->phase = phase;
  context->is_after = false;
  vsi_context_record(context, name, context->within, error);
}

static bool is_exhausted(const vestry_dispatch_context *root) {
  return root->expanded_count > VESTRY_DISPATCH_MAX_COUNT;
}

static vestry_err fail_exhausted(vestry_dispatch_context *context) {
  return vestry_context_fail(context, VESTRY_LIMIT, "one dispatch expands to more than %d effects and actions",
                             VESTRY_DISPATCH_MAX_COUNT);
}

/* Record that the bound was reached, once in each dispatch. The bound counts a dispatch and all dispatches nested in
 * it. A nested dispatch records the failure in its own result, and each dispatch around it does the same when it
 * continues. */
static void record_exhausted(vestry_dispatch_context *context, const json_t *entry) {
  if (context->has_recorded_exhausted) return;
  context->has_recorded_exhausted = true;
  const char *name = json_string_value(json_array_get(entry, 0));
  fail(context, VESTRY_PHASE_ACTION, name, fail_exhausted(context));
}

/* Count an entry that came from an action or a nested dispatch. Returns false, and records it, if the bound is
 * reached. */
static bool count_expanded(vestry_dispatch_context *context, const json_t *entry) {
  vestry_dispatch_context *root = context->root;
  if (!is_exhausted(root)) root->expanded_count++;
  if (is_exhausted(root)) record_exhausted(context, entry);
  return !is_exhausted(root);
}

static void go_through(vestry_dispatch_context *context, const json_t *list, unsigned depth);

/* Call an action. *ret_list: the list that it has returned, a new reference; NULL: it has returned none. */
static vestry_err ask(vestry_dispatch_context *context, const vsi_meaning *meaning, const json_t *action,
                      json_t **ret_list) {
  context->detail[0] = '\0';
  if (actions >= VESTRY_ACTIONS_MAX_DEPTH)
    return vestry_context_fail(context, VESTRY_LIMIT, "actions are nested deeper than %d", VESTRY_ACTIONS_MAX_DEPTH);
  if (is_exhausted(context->root)) return fail_exhausted(context);
  const json_t *args = vsi_context_args(context, action);
  if (!args) return VESTRY_NO_MEMORY;
  json_t *list = NULL;
  vestry_err error = meaning->fn.action(context->state, args, &list, meaning->ctx);
  if (!error && list && !is_effect_list(list))
    error = vestry_context_fail(context, VESTRY_INVALID, "the action did not return a list of effects and actions");
  if (error) {
    json_decref(list);
    return error;
  }
  *ret_list = list;
  return VESTRY_OK;
}

static void perform_action(vestry_dispatch_context *context, const head *of, const json_t *action, unsigned depth) {
  const char *within = context->within;
  json_t *list = NULL;
  vestry_err error = ask(context, of->meaning, action, &list);
  if (error) fail(context, VESTRY_PHASE_ACTION, of->name, error);
  context->within = of->name;
  actions++;
  go_through(context, list, depth + 1);
  actions--;
  context->within = within;
  json_decref(list);
}

/* close-sse, after the events that were sent before; with a context, wake. */
static vestry_err close_or_wake(vestry_dispatch_context *context, const json_t *args, void *is_wake) {
  if (json_array_size(args)) return vestry_context_fail(context, VESTRY_INVALID, "expected at most 0 arguments");
  for (size_t i = 0; i < context->root->targets.count; i++)
    if (is_wake)
      vestry_connection_wake(context->root->targets.items[i]);
    else
      vestry_connection_close(context->root->targets.items[i], VESTRY_CAUSE_CLOSED);
  return VESTRY_OK;
}

vestry_err vsi_effects_register(vestry_registry *names) {
  vestry_err error = vestry_registry_effect(names, "close-sse", close_or_wake, NULL);
  return error ? error : vestry_registry_effect(names, "wake", close_or_wake, names);
}

/* Append an effect's result. Without memory the effect was performed all the same: record that its result is
 * missing. */
static void keep_result(vestry_dispatch_context *context, json_t *effect, const char *name) {
  json_t *value = context->value;
  json_t *kept = value ? json_pack("{s:O,s:O}", "effect", effect, "value", value)
                       : json_pack("{s:O,s:n}", "effect", effect, "value");
  if (kept && json_array_append_new(context->results, kept) == 0) return;
  vestry_context_fail(context, VESTRY_NO_MEMORY, "performed, but out of memory for its result");
  fail(context, VESTRY_PHASE_EFFECT, name, VESTRY_NO_MEMORY);
}

static void drop_value(vestry_dispatch_context *context) {
  json_decref(context->value);
  context->value = NULL;
}

/* Call the function of an effect, or send its event, and record its failure or its result. */
static void perform_effect(vestry_dispatch_context *context, const head *of, json_t *effect) {
  vestry_err error = VESTRY_NO_MEMORY;
  context->detail[0] = '\0';
  if (!of->meaning) {
    error = vestry_context_fail(context, VESTRY_NOT_FOUND, "no effect of this name is registered");
  } else if (of->meaning->kind == VSI_KIND_EVENT) {
    vsi_effect made = {.host = context->v->host};
    error = vsi_effect_make(&made, effect);
    error = error ? vestry_context_fail(context, error, "%s", made.why) : vestry_context_send(context, made.event);
    vestry_event_unref(made.event);
  } else {
    const json_t *args = vsi_context_args(context, effect);
    context->in_effect = true;
    if (args) error = of->meaning->fn.effect(context, args, of->meaning->ctx);
    context->in_effect = false;
  }
  if (error) {
    fail(context, VESTRY_PHASE_EFFECT, of->name, error);
    drop_value(context);
    return;
  }
  context->result->effects_count++;
  if (context->results) keep_result(context, effect, of->name);
}

/* Find the head of an entry. Returns false if it is no effect or action. */
static bool find_head(const vestry_dispatch_context *context, const json_t *entry, head *ret_head) {
  const json_t *name = json_array_get(entry, 0); /* NULL-safe: NULL if the entry is no array */
  size_t len = json_string_length(name);
  if (!len) return false;
  ret_head->name = json_string_value(name);
  ret_head->meaning = vsi_names_performed(context->v->registry, ret_head->name, len);
  bool is_action = ret_head->meaning && ret_head->meaning->kind == VSI_KIND_ACTION;
  ret_head->phase = is_action ? VESTRY_PHASE_ACTION : VESTRY_PHASE_EFFECT;
  return true;
}

static void refuse_headless(vestry_dispatch_context *context) {
  vestry_context_fail(context, VESTRY_INVALID, "an effect must be an array that begins with its name");
  fail(context, VESTRY_PHASE_EFFECT, "", VESTRY_INVALID);
}

/* A call that fails leaves the effect or action skipped. An interceptor that removes secrets from effects may not be
 * able to make the replacement, and the original must not be sent then. */
vestry_err vestry_context_replace(vestry_dispatch_context *context, json_t *effect) {
  head of;
  if (!context->in_before) {
    json_decref(effect);
    return vsi_mistake(context->v->host, "vestry_context_replace",
                       "call it in the function `before` of an interceptor of this phase");
  }
  json_decref(context->replacement);
  context->replacement = NULL;
  context->is_skipped = true;
  if (!effect) return VESTRY_NO_MEMORY;
  if (find_head(context, effect, &of) && of.phase == context->phase) {
    context->is_skipped = false;
    context->replacement = effect;
    return VESTRY_OK;
  }
  const bool is_none = json_is_array(effect) && !json_array_size(effect);
  json_decref(effect);
  return is_none ? VESTRY_OK
                 : vsi_mistake(context->v->host, "vestry_context_replace",
                               "pass an array that begins with a name, of the same phase, or an empty array");
}

/* Call the functions `before` around an entry, up to one that skips it. *entry, of: replaced if the entry is. Returns
 * the number of interceptors that were reached: the others do not know of the entry. */
static size_t intercept_before(vestry_dispatch_context *context, head *of, json_t **entry) {
  const vsi_interceptors *all = &context->v->registry->phases[of->phase];
  size_t reached = 0;
  context->phase = of->phase;
  context->is_after = context->is_skipped = false;
  while (reached < all->count && !context->is_skipped) {
    context->in_before = true;
    intercept_one(context, &all->items[reached++], false, *entry);
    context->in_before = false;
    if (!context->replacement) continue;
    json_decref(*entry);
    *entry = context->replacement;
    context->replacement = NULL;
    (void)find_head(context, *entry, of);
  }
  return reached;
}

/* Perform one entry of a list. is_plain: it has no placeholders. */
static void perform(vestry_dispatch_context *context, json_t *entry, bool is_plain, unsigned depth) {
  head of;
  json_t *changed = NULL;
  if (!find_head(context, entry, &of)) {
    refuse_headless(context);
    return;
  }
  context->phase = of.phase;
  context->is_after = false;
  if (!is_plain && vsi_placeholders_replace(context, of.name, entry, 0, &changed)) return;
  json_t *current = changed ? changed : json_incref(entry);
  if (changed && !find_head(context, changed, &of)) {
    refuse_headless(context);
  } else {
    const size_t reached = intercept_before(context, &of, &current);
    if (is_over(context) || context->is_skipped)
      context->result->skipped_count++;
    else if (of.phase == VESTRY_PHASE_ACTION)
      perform_action(context, &of, current, depth);
    else
      perform_effect(context, &of, current);
    vsi_context_intercept(context, of.phase, true, current, reached);
    if (context->value) drop_value(context);
  }
  json_decref(current);
}

/* Send the event of a built-in effect. No interceptor runs around it, so only the sending is left. */
static void send_made(vestry_dispatch_context *context, const vsi_effect_item *effect) {
  context->detail[0] = '\0';
  context->phase = VESTRY_PHASE_EFFECT;
  context->is_after = false;
  vestry_err error = vestry_context_send(context, effect->event);
  if (error)
    fail(context, VESTRY_PHASE_EFFECT, effect->name, error);
  else
    context->result->effects_count++;
}

/* Process a list. depth: 0 for the list that was dispatched. The entries of the dispatched list itself are not counted,
 * because their number is finite. */
static void go_through(vestry_dispatch_context *context, const json_t *list, unsigned depth) {
  const bool are_counted = depth || context->nesting;
  for (size_t i = 0; i < json_array_size(list); i++) {
    json_t *entry = json_array_get(list, i);
    if (is_over(context) || (are_counted && !count_expanded(context, entry))) {
      context->result->skipped_count += (uint32_t)(json_array_size(list) - i);
      return;
    }
    perform(context, entry, false, depth);
  }
}

vestry_err vsi_dispatch(vestry_dispatch_context *context, const vsi_effects *effects) {
  const vsi_effect_item only = {.list = json_array_get(effects->list, 0)};
  const vsi_effect_item *first = effects->count ? effects->items : &only;
  vestry_dispatch_result *result = context->result;
  if (dispatches > VESTRY_DISPATCH_MAX_NESTING) {
    vsi_log_repeated(
        context->v->host, &context->v->repeated, 0, VESTRY_LOG_WARN,
        "a dispatch was refused: dispatches of effects, actions and interceptors are nested deeper than %d; check "
        "for an effect that dispatches to its own key",
        VESTRY_DISPATCH_MAX_NESTING);
    return VESTRY_LIMIT;
  }
  vsi_span span;
  vsi_span_begin(&span, context->v->host, VESTRY_SPAN_DISPATCH, NULL);
  VSI_PROBE1(dispatch, context->root->targets.count);
  /* The events of several effects are left to a thread of the pool, which writes them together. */
  if (effects->count + json_array_size(effects->list) == 1) context->writer = vsi_inside_writer(context->v);
  vsi_inside inside;
  vsi_inside_begin(&inside, context->v);
  dispatches++;
  result->connections_count = (uint32_t)context->root->targets.count;
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, false, NULL, SIZE_MAX);
  go_through(context, effects->list, 0);
  for (size_t i = 0; i < effects->count; i++) {
    const vsi_effect_item *at = &effects->items[i];
    if (is_over(context))
      result->skipped_count++;
    else if (at->event)
      send_made(context, at);
    else
      perform(context, at->list, at->is_plain, 0);
  }
  vsi_context_intercept(context, VESTRY_PHASE_DISPATCH, true, NULL, SIZE_MAX);
  dispatches--;
  vsi_inside_end(&inside);
  vestry_err error = result->errors_count ? result->errors[0].error : VESTRY_OK;
  const char *name = first->event ? first->name : json_string_value(json_array_get(first->list, 0));
  vsi_span_end(&span, name, result->connections_count, error);
  VSI_PROBE3(dispatched, name, result->connections_count, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------- from anywhere ---- */

vestry_err vsi_dispatch_here(vestry *v, vestry_store *store, const vestry_scoped_key *key, const vsi_effects *effects,
                             const vestry_dispatch_options *options, bool may_write, vestry_dispatch_result *ret_result,
                             uint32_t *ret_count) {
  vestry_dispatch_result result;
  vestry_dispatch_context context;
  vestry_connection *one = key ? NULL : options->connection;
  vsi_context_init(&context, v, NULL, NULL, key ? key->scope : options->scope, &result);
  vestry_err error = vsi_context_configure(&context, options);
  context.state = context.data; /* without a request, the given data is the state */
  context.may_write = may_write;
  if (!error && vsi_instance_is_closing(v)) error = VESTRY_CLOSED;
  if (!error && key) error = vsi_targets_find(&context.targets, store ? store : v->store, key);
  if (!error && one) error = vestry_connection_is_open(one) ? vsi_targets_add(&context.targets, one) : VESTRY_NOT_FOUND;
  if (!error) error = vsi_dispatch(&context, effects);
  vsi_context_give(&context, ret_result);
  vsi_context_finish(&context);
  if (ret_count) *ret_count = result.connections_count;
  return error;
}

/* Dispatch to the streams of other nodes, if they may have some. here: the number of streams on this node. error: the
 * result of the dispatch to these. */
static vestry_err dispatch_elsewhere(vestry *v, const vestry_scoped_key *key, json_t *effects,
                                     const vestry_dispatch_options *options, uint32_t here, vestry_err error,
                                     vestry_dispatch_result *ret_result) {
  uint32_t there = 0;
  const vsi_elsewhere *elsewhere = vsi_instance_elsewhere(v);
  if (!elsewhere) return error;
  if (here ? !elsewhere->is_shared(key, elsewhere->ctx) : error != VESTRY_NOT_FOUND) return error;
  vestry_err other = elsewhere->dispatch(key, effects, options, here > 0, &there, elsewhere->ctx);
  if (ret_result) ret_result->connections_count += there;
  if (!here) return other;
  return error || other == VESTRY_NOT_FOUND ? error : other;
}

/* Return an error that came before the search for targets, with an empty result. */
static vestry_err fail_early(vestry_err error, vestry_dispatch_result *ret_result) {
  const vestry_dispatch_result none = {0};
  if (ret_result) *ret_result = none;
  return error;
}

static vestry_err refuse_store_name(vestry *v, const char *name) {
  vsi_log_repeated(v->host, &v->repeated, vsi_log_reason("store"), VESTRY_LOG_ERROR,
                   "dispatch: options.store: the instance has no store %s; see vestry_options.stores", name);
  return VESTRY_INVALID;
}

vestry_err vestry_dispatch_with(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                                vestry_dispatch_result *ret_result) {
  if (!v) return VESTRY_INVALID;
  vestry_dispatch_options own = options ? *options : (vestry_dispatch_options){0};
  if (!json_is_array(effects) || !vsi_context_can_take(&own) || (own.key ? !!own.connection : !!own.store))
    return vsi_mistake(v->host, "vestry_dispatch_with",
                       "effects or options.results is not an array, options.data is not an object, key and connection "
                       "are both set, or store is set without a key");
  if (own.connection && !vsi_group_has(v->group, own.connection))
    return vsi_mistake(v->host, "dispatch", "options.connection belongs to another instance; dispatch with that one");
  const vsi_effects list = {.list = effects};
  if (!own.key) return vsi_dispatch_here(v, NULL, NULL, &list, &own, false, ret_result, NULL);
  if (vsi_instance_is_closing(v)) return fail_early(VESTRY_CLOSED, ret_result);
  const vsi_instance_store *in = vsi_stores_find(v, own.store);
  if (!in) return refuse_store_name(v, own.store);
  vsi_scoped_key key;
  vestry_err error = vsi_store_pack(in->store, &key, own.scope, own.key);
  if (error) return fail_early(vsi_key_refuse(v->host, "vestry_dispatch_with", error), ret_result);
  uint32_t here;
  error = vsi_dispatch_here(v, in->store, key.key, &list, &own, false, ret_result, &here);
  if (!own.only_here && !own.store) error = dispatch_elsewhere(v, key.key, effects, &own, here, error, ret_result);
  vsi_scoped_key_finish(&key);
  return error;
}

/* Return whether the value is one effect instead of a list of them. */
static bool is_one(const vestry_value *effects) {
  if (effects->type == VESTRY_VALUE_JSON) return json_is_string(json_array_get(effects->json, 0));
  return effects->count && effects->items && effects->items->type == VESTRY_VALUE_STRING;
}

/* Return whether a value contains no list that could be a placeholder. A value with JSON is not searched. */
static bool is_constant(const vestry_value *value, unsigned depth) {
  if (value->type != VESTRY_VALUE_LIST && value->type != VESTRY_VALUE_OBJECT) return value->type != VESTRY_VALUE_JSON;
  if (depth == VESTRY_VALUE_MAX_DEPTH || !value->items) return false;
  if (value->type == VESTRY_VALUE_LIST && value->count && value->items->type == VESTRY_VALUE_STRING) return false;
  for (size_t i = 0; i < value->count; i++)
    if (!is_constant(&value->items[i], depth + 1)) return false;
  return true;
}

vestry_err vsi_effect_item_make(const vestry_registry *names, const vestry_host *host, bool is_elements,
                                const vestry_value *argument, vsi_effect_item *ret_item) {
  *ret_item = (vsi_effect_item){.name = is_elements ? "patch-elements" : "patch-signals", .is_plain = true};
  if (!argument) return VESTRY_INVALID;
  const bool is_direct = !names || vsi_names_are_direct(names);
  if (is_direct && is_elements) {
    const size_t len = argument->text ? strlen(argument->text) : 0;
    if (!argument->text || !vsi_is_utf8(argument->text, len)) return VESTRY_INVALID;
    return vestry_event_elements(host, argument->text, len, NULL, &ret_item->event);
  }
  if (is_direct) return vestry_event_signals(host, argument, NULL, &ret_item->event);
  vestry_err error = vestry_value_to_json(VESTRY_LIST(ret_item->name, *argument), &ret_item->list);
  if (error || json_typeof(json_array_get(ret_item->list, 1)) == (is_elements ? JSON_STRING : JSON_OBJECT))
    return error;
  json_decref(ret_item->list);
  return VESTRY_INVALID;
}

/* Make the event of one frequent effect without making JSON of it. Returns false if it must be dispatched as JSON; also
 * after a failure, which is then described, and for a tracer. The writes of an event are children of the span in which
 * it was made, and the span of the dispatch begins later. */
static bool make_event(const vestry *v, const vestry_value *effect, vsi_effect_item *ret_item) {
  if (!effect || effect->type != VESTRY_VALUE_LIST || effect->count != 2 || !effect->items) return false;
  const vestry_value *name = &effect->items[0], *argument = &effect->items[1];
  if (!vsi_names_are_direct(v->registry) || vsi_instance_elsewhere(v) || v->host->tracer) return false;
  if (name->type != VESTRY_VALUE_STRING || !name->text || !is_constant(argument, 0)) return false;
  const bool is_signals = argument->type == VESTRY_VALUE_OBJECT && strcmp(name->text, "patch-signals") == 0;
  const bool is_elements = argument->type == VESTRY_VALUE_STRING && strcmp(name->text, "patch-elements") == 0;
  return (is_signals || is_elements) && !vsi_effect_item_make(NULL, v->host, is_elements, argument, ret_item);
}

static vestry_err dispatch_made(vestry *v, vestry_scope scope, const vestry_key *key, const vsi_effect_item *made) {
  vsi_scoped_key packed;
  if (vsi_instance_is_closing(v)) return VESTRY_CLOSED;
  vestry_err error = vsi_store_pack(v->store, &packed, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_dispatch", error);
  error = vsi_dispatch_here(v, NULL, packed.key, &(vsi_effects){.items = made, .count = 1},
                            &(vestry_dispatch_options){0}, false, NULL, NULL);
  vsi_scoped_key_finish(&packed);
  return error;
}

vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_value *effects) {
  if (!v) return VESTRY_INVALID;
  if (!key) return vsi_mistake(v->host, "vestry_dispatch", "the key is NULL");
  vsi_effect_item made;
  if (make_event(v, effects, &made)) {
    vestry_err sent = dispatch_made(v, scope, key, &made);
    vestry_event_unref(made.event);
    return sent;
  }
  json_t *list = NULL;
  vestry_err error = vestry_value_to_json(effects && is_one(effects) ? VESTRY_LIST(effects) : effects, &list);
  if (error == VESTRY_INVALID)
    return vsi_mistake(v->host, "vestry_dispatch", "effects is NULL, or has a value that JSON cannot express");
  if (!error) error = vestry_dispatch_with(v, list, &(vestry_dispatch_options){.scope = scope, .key = key}, NULL);
  json_decref(list);
  return error;
}

/* ----------------------------------------------------------------------------------------------------- reporting -- */

void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose) {
  static const char *const phases[] = {"connect", "dispatch", "action", "effect", "close"};
  size_t room = sizeof result->errors / sizeof *result->errors;
  for (size_t i = 0; i < result->errors_count && i < room; i++) {
    const vestry_dispatch_error *error = &result->errors[i];
    /* A stream that has closed meanwhile is a normal case. */
    vestry_log_level level = error->error == VESTRY_CLOSED ? VESTRY_LOG_DEBUG : VESTRY_LOG_WARN;
    vsi_log_repeated(v->host, &v->repeated, vsi_log_reason(error->name) + (uint32_t)error->error, level,
                     "dispatch for %s: %s%s %s%s%s: %s%s%s", whose, phases[error->phase],
                     error->is_after ? " (after)" : "", error->name, error->what[0] ? " in " : "", error->what,
                     vestry_err_name(error->error), error->detail[0] ? ": " : "", error->detail);
  }
  if (result->errors_count > room)
    vsi_log_repeated(v->host, &v->repeated, vsi_log_reason("more"), VESTRY_LOG_WARN,
                     "dispatch for %s: and %zu more failures", whose, result->errors_count - room);
}
