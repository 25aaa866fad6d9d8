/* SPDX-License-Identifier: MIT */
/* The built-in effects: they read their arguments strictly, make one event, and send it through vestry_context_send. */
#include "registry/builtin.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "event/layout.h"
#include "registry/context.h"
#include "registry/effect_options.h"
#include "json/write.h"

/* Send an event and drop it. error: result of making it; on an error nothing is sent. what: names the event's content
 * in the error message. */
static vestry_err send(vestry_dispatch_context *context, vestry_err error, vestry_event *event, const char *what) {
  if (error == VESTRY_INVALID) vestry_context_fail(context, error, "%s or an option is not allowed in an event", what);
  if (error) return error;
  error = vestry_context_send(context, event);
  vestry_event_unref(event);
  return error;
}

static vestry_err send_elements(vestry_dispatch_context *context, const char *html, size_t len, const json_t *json) {
  vestry_elements_options options;
  vestry_err error = vsi_elements_options_read(context, json, &options);
  if (error) return error;
  bool is_by_id = options.mode == VESTRY_PATCH_OUTER || options.mode == VESTRY_PATCH_REPLACE;
  if (!is_by_id && !(options.selector && *options.selector))
    return vestry_context_fail(context, VESTRY_INVALID, "this mode needs a selector: {\"selector\": \"#id\", …}");
  vestry_event *event = NULL;
  error = vestry_event_elements(context->v->host, html, len, &options, &event);
  return send(context, error, event, "the elements");
}

/* [html, options?] */
static vestry_err patch_elements(vestry_dispatch_context *context, const json_t *args) {
  const json_t *html = json_array_get(args, 0);
  if (!json_is_string(html)) return vestry_context_fail(context, VESTRY_INVALID, "the elements must be a string");
  return send_elements(context, json_string_value(html), json_string_length(html), json_array_get(args, 1));
}

/* [[html…], options?]: one event, with each text on separate lines. */
static vestry_err patch_elements_seq(vestry_dispatch_context *context, const json_t *args) {
  const json_t *list = json_array_get(args, 0);
  if (!json_is_array(list))
    return vestry_context_fail(context, VESTRY_INVALID, "the elements must be a list of strings");
  vestry_err error = VESTRY_OK;
  vsi_buffer joined;
  vsi_buffer_init(&joined, context->v->host);
  for (size_t i = 0; !error && i < json_array_size(list); i++) {
    const json_t *html = json_array_get(list, i);
    if (i) vsi_buffer_append_char(&joined, '\n');
    if (json_is_string(html))
      vsi_buffer_append(&joined, json_string_value(html), json_string_length(html));
    else
      error = vestry_context_fail(context, VESTRY_INVALID, "element %zu is not a string", i);
  }
  if (!error) error = joined.error;
  if (!error) error = send_elements(context, joined.len ? joined.data : "", joined.len, json_array_get(args, 1));
  vsi_buffer_finish(&joined);
  return error;
}

static vestry_err send_signals(vestry_dispatch_context *context, const char *text, size_t len,
                               const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals_text(context->v->host, text, len, options, &event);
  return send(context, error, event, "the signals");
}

/* [object or its JSON text, options?] */
static vestry_err patch_signals(vestry_dispatch_context *context, const json_t *args) {
  vestry_signals_options options = {.size = sizeof options};
  const json_t *signals = json_array_get(args, 0), *given = json_array_get(args, 1);
  vestry_err error = given ? vsi_signals_options_read(context, given, &options) : VESTRY_OK;
  if (error) return error;
  if (json_is_string(signals))
    return send_signals(context, json_string_value(signals), json_string_length(signals), &options);
  if (!json_is_object(signals))
    return vestry_context_fail(context, VESTRY_INVALID, "the signals must be an object, or its JSON text");
  vestry_event *event = NULL;
  error = vsi_event_signals_value(context->v->host, signals, &options, &event);
  return send(context, error, event, "the signals");
}

/* Read a text, or a list of at least one. Returns pointers to the texts in memory of the host, which the caller frees.
 * what: for the error message. */
static vestry_err read_texts(vestry_dispatch_context *context, const json_t *value, const char *what,
                             const char ***ret_texts, size_t *ret_count) {
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  const char **texts = vsi_calloc(context->v->host, count, sizeof *texts);
  if (!texts) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  if (!count) error = vestry_context_fail(context, VESTRY_INVALID, "%s: expected at least one", what);
  for (size_t i = 0; i < count && !error; i++) {
    texts[i] = vsi_text_of(json_is_array(value) ? json_array_get(value, i) : value);
    if (!texts[i])
      error = vestry_context_fail(context, VESTRY_INVALID,
                                  "%s: expected a string without NUL, or a list of such strings", what);
  }
  if (error) {
    vsi_free(context->v->host, texts);
    return error;
  }
  *ret_texts = texts;
  *ret_count = count;
  return VESTRY_OK;
}

/* [selector, options?] */
static vestry_err remove_elements(vestry_dispatch_context *context, const json_t *args) {
  vestry_elements_options options;
  vestry_err error = vsi_remove_options_read(context, json_array_get(args, 1), &options);
  if (error) return error;
  const char *selector = vsi_text_of(json_array_get(args, 0));
  if (!selector) return vestry_context_fail(context, VESTRY_INVALID, "the selector must be a string without NUL");
  vestry_event *event = NULL;
  error = vestry_event_remove(context->v->host, selector, &options, &event);
  return send(context, error, event, "the selector");
}

/* [path or [path…], options?] */
static vestry_err remove_signals(vestry_dispatch_context *context, const json_t *args) {
  const char **paths = NULL;
  size_t count = 0;
  vestry_signals_options options;
  vestry_err error = vsi_signals_options_read(context, json_array_get(args, 1), &options);
  if (!error) error = read_texts(context, json_array_get(args, 0), "the paths", &paths, &count);
  if (error) return error;
  vestry_event *event = NULL;
  error = vestry_event_remove_signals(context->v->host, paths, count, &options, &event);
  vsi_free(context->v->host, paths);
  return send(context, error, event, "a path");
}

/* Arguments shared by all effects that run scripts: options after their first argument. */
typedef struct script_args {
  vestry_attribute attributes[VSI_SCRIPT_ATTRIBUTES_MAX];
  vestry_script_options options;
} script_args;

static vestry_err read_script_args(vestry_dispatch_context *context, const json_t *args, script_args *ret_args) {
  return vsi_script_options_read(context, json_array_get(args, 1), ret_args->attributes, &ret_args->options);
}

typedef vestry_err (*text_fn)(const vestry_host *host, const char *text, size_t len,
                              const vestry_script_options *options, vestry_event **ret_event);

/* wanted: the error message if there is no text; `what`: as for send. */
static vestry_err send_text(vestry_dispatch_context *context, const json_t *args, text_fn make, const char *wanted,
                            const char *what) {
  script_args script;
  vestry_err error = read_script_args(context, args, &script);
  if (error) return error;
  const json_t *text = json_array_get(args, 0);
  if (!json_is_string(text)) return vestry_context_fail(context, VESTRY_INVALID, "%s", wanted);
  vestry_event *event = NULL;
  error = make(context->v->host, json_string_value(text), json_string_length(text), &script.options, &event);
  return send(context, error, event, what);
}

/* [text, options?] */
static vestry_err execute_script(vestry_dispatch_context *context, const json_t *args) {
  return send_text(context, args, vestry_event_script, "the script must be a string", "the script");
}

/* [text, options?] */
static vestry_err console_log(vestry_dispatch_context *context, const json_t *args) {
  return send_text(context, args, vestry_event_console_log, "the logged text must be a string", "the text");
}

/* [text, options?] */
static vestry_err console_error(vestry_dispatch_context *context, const json_t *args) {
  return send_text(context, args, vestry_event_console_error, "the logged text must be a string", "the text");
}

typedef vestry_err (*go_fn)(const vestry_host *host, const char *url, const vestry_script_options *options,
                            vestry_event **ret_event);

static vestry_err go(vestry_dispatch_context *context, const json_t *args, go_fn make) {
  script_args script;
  vestry_err error = read_script_args(context, args, &script);
  if (error) return error;
  const char *url = vsi_text_of(json_array_get(args, 0));
  if (!url) return vestry_context_fail(context, VESTRY_INVALID, "the address must be a string without NUL");
  vestry_event *event = NULL;
  error = make(context->v->host, url, &script.options, &event);
  return send(context, error, event, "the address (relative, http or https)");
}

/* [url, options?] */
static vestry_err redirect(vestry_dispatch_context *context, const json_t *args) {
  return go(context, args, vestry_event_redirect);
}

/* [url, options?] */
static vestry_err replace_url(vestry_dispatch_context *context, const json_t *args) {
  return go(context, args, vestry_event_replace_url);
}

/* [url, options?] */
static vestry_err navigate(vestry_dispatch_context *context, const json_t *args) {
  return go(context, args, vestry_event_navigate);
}

/* [url, options?] */
static vestry_err navigate_replace(vestry_dispatch_context *context, const json_t *args) {
  return go(context, args, vestry_event_navigate_replace);
}

/* [url or [url…], options?] */
static vestry_err prefetch(vestry_dispatch_context *context, const json_t *args) {
  script_args script;
  const char **urls = NULL;
  size_t count = 0;
  vestry_err error = read_script_args(context, args, &script);
  if (!error) error = read_texts(context, json_array_get(args, 0), "the addresses", &urls, &count);
  if (error) return error;
  vestry_event *event = NULL;
  error = vestry_event_prefetch(context->v->host, urls, count, &script.options, &event);
  vsi_free(context->v->host, urls);
  return send(context, error, event, "an address (relative, http or https)");
}

/* Write a value as text: count first, then write. */
static vestry_err write_detail(vestry_dispatch_context *context, const json_t *detail, vsi_buffer *text) {
  vsi_writer writer = {.to = NULL};
  if (vsi_json_put(&writer, detail))
    return vestry_context_fail(context, VESTRY_INVALID, "the detail cannot be written as JSON");
  writer = (vsi_writer){.to = vsi_buffer_reserve(text, writer.len)};
  if (!writer.to) return VESTRY_NO_MEMORY;
  (void)vsi_json_put(&writer, detail); /* same result as the first time */
  text->len += writer.len;
  return VESTRY_OK;
}

/* [name, data?, options?]: an event for readers other than Datastar. The data is a text, or any value as JSON. */
static vestry_err send_event(vestry_dispatch_context *context, const json_t *args) {
  vestry_plain_options options;
  vestry_err error = vsi_plain_options_read(context, json_array_get(args, 2), &options);
  if (error) return error;
  const char *name = vsi_text_of(json_array_get(args, 0));
  if (!name) return vestry_context_fail(context, VESTRY_INVALID, "the event's name must be a string without NUL");
  const json_t *data = json_array_get(args, 1);
  vsi_buffer text;
  vsi_buffer_init(&text, context->v->host);
  vestry_event *event = NULL;
  if (json_is_string(data))
    vsi_buffer_append(&text, json_string_value(data), json_string_length(data));
  else if (data)
    error = write_detail(context, data, &text);
  if (!error) error = text.error;
  if (!error) {
    error = vestry_event_plain(context->v->host, name, text.data, text.len, &options, &event);
    error = send(context, error, event, "the event's name");
  }
  vsi_buffer_finish(&text);
  return error;
}

/* [name, detail?, options?]: the detail is any value. */
static vestry_err dispatch_event(vestry_dispatch_context *context, const json_t *args) {
  vestry_attribute attributes[VSI_SCRIPT_ATTRIBUTES_MAX];
  vsi_custom_event_options options;
  vestry_err error = vsi_custom_event_options_read(context, json_array_get(args, 2), attributes, &options);
  if (error) return error;
  const char *name = vsi_text_of(json_array_get(args, 0));
  if (!name) return vestry_context_fail(context, VESTRY_INVALID, "the event's name must be a string without NUL");
  const json_t *detail = json_array_get(args, 1);
  vsi_buffer text;
  vsi_buffer_init(&text, context->v->host);
  vestry_event *event = NULL;
  if (detail) error = write_detail(context, detail, &text);
  if (!error) {
    error = vestry_event_custom(context->v->host, name, text.data, text.len, &options.event, &event);
    error = send(context, error, event, "the event's name");
  }
  vsi_buffer_finish(&text);
  return error;
}

/* []: ends the streams cleanly, after what was sent before. */
static vestry_err close_sse(vestry_dispatch_context *context, const json_t *args) {
  (void)args;
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++) vestry_connection_close(connections[i], VESTRY_CAUSE_CLOSED);
  context->root->reconnect = NULL; /* effects after this one must not reopen them, because they were closed on
                                      purpose */
  return VESTRY_OK;
}

static vestry_err wake(vestry_dispatch_context *context, const json_t *args) {
  (void)args;
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++) vestry_connection_wake(connections[i]);
  return VESTRY_OK;
}

typedef struct built_in {
  const char *name;
  size_t least, most; /* number of arguments */
  vestry_err (*run)(vestry_dispatch_context *context, const json_t *args);
} built_in;

static vestry_err run_built_in(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  const built_in *effect = ctx;
  size_t count = json_array_size(args);
  if (count < effect->least) return vestry_context_fail(context, VESTRY_INVALID, "an argument is missing");
  if (count > effect->most)
    return vestry_context_fail(context, VESTRY_INVALID, "expected at most %zu arguments", effect->most);
  return effect->run(context, args);
}

vestry_err vsi_effects_register(vestry_registry *names) {
  static const built_in effects[] = {
      {"patch-elements", 1, 2, patch_elements},
      {"patch-elements-seq", 1, 2, patch_elements_seq},
      {"patch-signals", 1, 2, patch_signals},
      {"execute-script", 1, 2, execute_script},
      {"remove-elements", 1, 2, remove_elements},
      {"remove-signals", 1, 2, remove_signals},
      {"console-log", 1, 2, console_log},
      {"console-error", 1, 2, console_error},
      {"redirect", 1, 2, redirect},
      {"replace-url", 1, 2, replace_url},
      {"navigate", 1, 2, navigate},
      {"navigate-replace", 1, 2, navigate_replace},
      {"dispatch-event", 1, 3, dispatch_event},
      {"prefetch", 1, 2, prefetch},
      {"send-event", 1, 3, send_event},
      {"close-sse", 0, 0, close_sse},
      {"wake", 0, 0, wake},
  };
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < sizeof effects / sizeof *effects; i++)
    error = vsi_names_set(names, effects[i].name,
                          &(vsi_meaning){VSI_KIND_EFFECT, .fn.effect = run_built_in, .ctx = (void *)&effects[i]});
  if (!error) error = vsi_names_set(names, VESTRY_QUOTE, &(vsi_meaning){.kind = VSI_KIND_QUOTE});
  return error;
}

bool vsi_builtin_is(const vestry_registry *names, const char *name) {
  const vsi_meaning *meaning = vsi_names_performed(names, name, strlen(name));
  return meaning && meaning->kind == VSI_KIND_EFFECT && meaning->fn.effect == run_built_in;
}

bool vsi_builtin_is_alone(const vestry_registry *names) {
  return !names->has_placeholders && !names->phases[VESTRY_PHASE_DISPATCH].count &&
         !names->phases[VESTRY_PHASE_ACTION].count && !names->phases[VESTRY_PHASE_EFFECT].count;
}
