/* The built-in effects: arguments read strictly, one event formatted, and sent through vestry_context_send. */
#include "registry/effects.h"

#include "base/buffer.h"
#include "event/signals_patch.h"
#include "registry/context.h"
#include "registry/effect_options.h"

static vestry_err check_count(vestry_dispatch_context *context, const json_t *args, size_t least, size_t most) {
  size_t count = json_array_size(args);
  if (count < least) return vestry_context_fail(context, VESTRY_INVALID, "an argument is missing");
  if (count > most) return vestry_context_fail(context, VESTRY_INVALID, "at most %zu arguments are wanted", most);
  return VESTRY_OK;
}

/* Send what was made, if it was made; drops it. what: of which the event would consist. */
static vestry_err send(vestry_dispatch_context *context, vestry_err error, vestry_event *event, const char *what) {
  if (error == VESTRY_INVALID)
    vestry_context_fail(context, error, "%s or an option is outside what events allow", what);
  if (error == VESTRY_MALFORMED) vestry_context_fail(context, error, "%s: not well formed", what);
  if (error) return error;
  error = vestry_context_send(context, event);
  vestry_event_unref(event);
  return error;
}

static vestry_err send_elements(vestry_dispatch_context *context, const char *html, size_t len, const json_t *json) {
  vestry_elements_options options;
  vestry_err error = vsi_elements_options_read(context, json, &options);
  if (error) return error;
  vestry_event *event = NULL;
  error = vestry_event_elements(vestry_host_of(vestry_context_instance(context)), html, len, &options, &event);
  return send(context, error, event, "the elements");
}

/* [html, options?] */
static vestry_err patch_elements(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)ctx;
  vestry_err error = check_count(context, args, 1, 2);
  if (error) return error;
  const json_t *html = json_array_get(args, 0);
  if (!json_is_string(html)) return vestry_context_fail(context, VESTRY_INVALID, "the elements are a text");
  return send_elements(context, json_string_value(html), json_string_length(html), json_array_get(args, 1));
}

/* [[html…], options?]: one event, each of them on lines of its own. */
static vestry_err patch_elements_seq(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)ctx;
  vestry_err error = check_count(context, args, 1, 2);
  if (error) return error;
  const json_t *list = json_array_get(args, 0);
  if (!json_is_array(list)) return vestry_context_fail(context, VESTRY_INVALID, "the elements are a list of texts");
  vsi_buffer joined;
  vsi_buffer_init(&joined, vestry_host_of(vestry_context_instance(context)));
  for (size_t i = 0; !error && i < json_array_size(list); i++) {
    const json_t *html = json_array_get(list, i);
    if (i) vsi_buffer_append_char(&joined, '\n');
    if (json_is_string(html))
      vsi_buffer_append(&joined, json_string_value(html), json_string_length(html));
    else
      error = vestry_context_fail(context, VESTRY_INVALID, "element %zu is no text", i);
  }
  if (!error) error = joined.error;
  if (!error) error = send_elements(context, joined.len ? joined.data : "", joined.len, json_array_get(args, 1));
  vsi_buffer_finish(&joined);
  return error;
}

static vestry_err send_signals(vestry_dispatch_context *context, const char *text, size_t len,
                               const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals(vestry_host_of(vestry_context_instance(context)), text, len, options, &event);
  return send(context, error, event, "the signals");
}

/* [object or its JSON text, options?] */
static vestry_err patch_signals(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)ctx;
  vestry_signals_options options;
  vestry_err error = check_count(context, args, 1, 2);
  if (!error) error = vsi_signals_options_read(context, json_array_get(args, 1), &options);
  if (error) return error;
  const json_t *signals = json_array_get(args, 0);
  if (json_is_string(signals))
    return send_signals(context, json_string_value(signals), json_string_length(signals), &options);
  if (!json_is_object(signals))
    return vestry_context_fail(context, VESTRY_INVALID, "the signals are an object or its JSON text");
  vestry_event *event = NULL;
  error = vsi_event_signals_value(vestry_host_of(vestry_context_instance(context)), signals, &options, &event);
  return send(context, error, event, "the signals");
}

/* [text, options?] */
static vestry_err execute_script(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)ctx;
  vestry_attribute attributes[VSI_SCRIPT_ATTRIBUTES_MAX];
  vestry_script_options options;
  vestry_err error = check_count(context, args, 1, 2);
  if (!error) error = vsi_script_options_read(context, json_array_get(args, 1), attributes, &options);
  if (error) return error;
  const json_t *script = json_array_get(args, 0);
  if (!json_is_string(script)) return vestry_context_fail(context, VESTRY_INVALID, "the script is a text");
  vestry_event *event = NULL;
  error = vestry_event_script(vestry_host_of(vestry_context_instance(context)), json_string_value(script),
                              json_string_length(script), &options, &event);
  return send(context, error, event, "the script");
}

/* []: ends the streams cleanly, after what was sent before. */
static vestry_err close_sse(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)ctx;
  vestry_err error = check_count(context, args, 0, 0);
  if (error) return error;
  size_t count;
  vestry_connection *const *connections = vestry_context_connections(context, &count);
  for (size_t i = 0; i < count; i++) vestry_connection_close(connections[i], VESTRY_CAUSE_CLOSED);
  context->root->reconnect = NULL; /* what comes behind this effect finds them closed on purpose */
  return VESTRY_OK;
}

vestry_err vsi_effects_register(vsi_names *names) {
  static const struct {
    const char *name;
    vestry_effect_fn effect;
  } built_in[] = {
      {"patch-elements", patch_elements}, {"patch-elements-seq", patch_elements_seq},
      {"patch-signals", patch_signals},   {"execute-script", execute_script},
      {"close-sse", close_sse},
  };
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < sizeof built_in / sizeof *built_in; i++)
    error =
        vsi_names_set(names, built_in[i].name, &(vsi_entry){.kind = VSI_KIND_EFFECT, .fn.effect = built_in[i].effect});
  if (!error) error = vsi_names_set(names, VESTRY_QUOTE, &(vsi_entry){.kind = VSI_KIND_QUOTE});
  return error;
}
