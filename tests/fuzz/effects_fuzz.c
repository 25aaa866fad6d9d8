/* SPDX-License-Identifier: MIT */
/* Lists of effects of any content, read from JSON under any limits, and dispatched to a stream by an instance with
 * actions and placeholders of every kind.
 * Input: a byte each for max_depth, max_count, and bits (1: fail fast; 2: data is the first effect's first
 * argument), then the text. */
#include "fuzz/target.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"
#include "json/value.h"

enum { INPUTS_AN_INSTANCE = 500 };

/* ---------------------------------------------------------------------------------------- actions and others ----- */

/* Return the given list; or two actions of the same name, so that only limits end it. */
static vestry_err act(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  require(json_is_object(state));
  json_t *given = json_array_get(args, 0);
  *ret_effects = given ? json_incref(given) : json_pack("[[s],[s]]", "do", "do");
  return VESTRY_OK;
}

static vestry_err value_of(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  require(json_is_object(data));
  const char *name = json_string_value(json_array_get(args, 0));
  *ret_value = name ? json_incref(json_object_get(data, name)) : json_incref((json_t *)args);
  return json_array_size(args) > 3 ? VESTRY_FAILED : VESTRY_OK;
}

static vestry_err nest(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *effects = json_array_get(args, 0), *data = json_array_get(args, 1);
  vestry_dispatch_options options = {.data = data};
  vestry_err error = vestry_context_dispatch(context, effects, &options, NULL);
  vestry_dispatch_handle *handle;
  require(vestry_context_keep(context, &handle) == VESTRY_OK);
  if (!error) vestry_dispatch_later(handle, json_array_get(args, 2), &options, NULL);
  vestry_dispatch_handle_unref(handle);
  return error ? error : vestry_context_return(context, json_incref((json_t *)args));
}

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("k"));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

/* --------------------------------------------------------------------------------------------- one instance ------ */

static vestry *v;
static vestry_memory_exchange *exchange;

static void end(void) {
  vestry_memory_destroy(exchange);
  if (v) vestry_memory_settle(v);
  vestry_destroy(v);
  v = NULL;
  exchange = NULL;
}

/* Create the instance again now and then, because the record of the stream only grows. */
static void begin(void) {
  static int inputs;
  if (v && inputs++ % INPUTS_AN_INSTANCE && !vestry_memory_look(exchange).ended) return;
  if (!v) atexit(end);
  end();
  require(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v) == VESTRY_OK);
  require(vestry_registry_effect(vestry_parts_of(v)->registry, "nest", nest, NULL) == VESTRY_OK);
  require(vestry_registry_action(vestry_parts_of(v)->registry, "do", act, NULL) == VESTRY_OK);
  require(vestry_registry_placeholder(vestry_parts_of(v)->registry, "get", value_of, NULL) == VESTRY_OK);
  require(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, keep, NULL, &exchange) == VESTRY_OK);
  vestry_memory_settle(v);
}

/* ------------------------------------------------------------------------------------------------ the checks ----- */

static void check_dispatch(json_t *effects, unsigned bits) {
  begin();
  json_t *data = json_array_get(json_array_get(effects, 0), 1), *results = json_array();
  vestry_key parts[1] = {vestry_key_string("k")}, key = vestry_key_tuple(parts, 1);
  vestry_dispatch_options options = {.key = &key, .fail_fast = bits & 1, .results = results};
  if (bits & 2 && json_is_object(data)) options.data = data;
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(v, effects, &options, &result);
  require((error == VESTRY_OK) == (result.errors_count == 0));
  require(json_array_size(results) == result.effects_count);
  require(result.connections_count == 1);
  if (options.fail_fast) require(result.errors_count <= 1);
  json_decref(results);
  vestry_memory_settle(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3) return 0;
  vestry_signals_limits limits = {.max_depth = data[0], .max_count = data[1]};
  const char *json = (const char *)data + 3;
  size_t len = size - 3;
  json_t *effects = NULL, *copy;
  vestry_signals_error why;
  if (vsi_json_parse(json, len, &limits, VSI_JSON_ROOT_ARRAY, &effects, &why)) return 0;
  copy = json_deep_copy(effects);
  check_dispatch(effects, data[2]);
  require(json_equal(effects, copy)); /* the input is unchanged */
  json_decref(copy);
  json_decref(effects);
  return 0;
}
