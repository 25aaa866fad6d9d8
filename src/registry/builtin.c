/* SPDX-License-Identifier: MIT */
/* The built-in effects: they read their arguments strictly, make one event, and send it through vestry_context_send. */
#include "registry/names.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "event/layout.h"
#include "registry/context.h"
#include "json/value.h"
#include "json/write.h"

/* --------------------------------------------------------------------------------------------------- options ---- */

/* Read one value into its field of an options struct. */
typedef vestry_err (*read_fn)(vestry_dispatch_context *context, const char *name, const json_t *value, void *field);

typedef struct option {
  const char *name;
  read_fn read;
  size_t offset; /* of the field */
} option;

static vestry_err wrong(vestry_dispatch_context *context, const char *name, const char *wanted) {
  return vestry_context_fail(context, VESTRY_INVALID, "option %.40s: expected %s", name, wanted);
}

static vestry_err read_text(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text) return wrong(context, name, "a string without NUL");
  *(const char **)field = text;
  return VESTRY_OK;
}

static vestry_err read_flag(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(context, name, "true or false");
  *(bool *)field = json_is_true(value);
  return VESTRY_OK;
}

static vestry_err read_ms(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  json_int_t number = json_integer_value(value);
  if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
    return wrong(context, name, "an integer from 0 to 4294967295, in ms");
  *(uint32_t *)field = (uint32_t)number;
  return VESTRY_OK;
}

static vestry_err read_mode(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text || vsi_patch_mode_from_name(text, field))
    return wrong(context, name, "outer, inner, replace, prepend, append, before, after or remove");
  return VESTRY_OK;
}

static vestry_err read_namespace(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text || vsi_namespace_from_name(text, field)) return wrong(context, name, "html, svg or mathml");
  return VESTRY_OK;
}

static const option elements_options[] = {
    {"selector", read_text, offsetof(vestry_elements_options, selector)},
    {"mode", read_mode, offsetof(vestry_elements_options, mode)},
    {"namespace", read_namespace, offsetof(vestry_elements_options, ns)},
#define REMOVE_OPTIONS (&elements_options[3]) /* for an effect that sets the options above itself */
    {"useViewTransition", read_flag, offsetof(vestry_elements_options, use_view_transition)},
    {"viewTransitionSelector", read_text, offsetof(vestry_elements_options, view_transition_selector)},
    {"state", read_text, offsetof(vestry_elements_options, state)},
    {"eventId", read_text, offsetof(vestry_elements_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_elements_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option signals_options[] = {
    {"onlyIfMissing", read_flag, offsetof(vestry_signals_options, only_if_missing)},
    {"state", read_text, offsetof(vestry_signals_options, state)},
    {"eventId", read_text, offsetof(vestry_signals_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_signals_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option plain_options[] = {
    {"eventId", read_text, offsetof(vestry_plain_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_plain_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option *find_option(const option *options, const char *name) {
  for (; options->name; options++)
    if (strcmp(options->name, name) == 0) return options;
  return NULL;
}

/* Read an object of options. NULL and a JSON null: the defaults, which ret_options contains already. An unknown name or
 * a wrong type is INVALID, and the context gets an error detail that names the option. The options borrow from the
 * object. */
static vestry_err read_options(vestry_dispatch_context *context, const json_t *json, const option *options,
                               void *ret_options) {
  if (!json || json_is_null(json)) return VESTRY_OK;
  if (!json_is_object(json)) return vestry_context_fail(context, VESTRY_INVALID, "the options must be an object");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)json, name, value) { /* iteration does not modify it */
    const option *known = find_option(options, name);
    if (!known) return vestry_context_fail(context, VESTRY_INVALID, "unknown option %.40s", name);
    vestry_err error = known->read(context, name, value, (char *)ret_options + known->offset);
    if (error) return error;
  }
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- effects ---- */

/* A built-in effect. Exactly one of run, text and go is set; `what` belongs to text. */
typedef struct built_in {
  vsi_meaning meaning; /* first member: a built-in effect's meaning is the effect */
  const char *name;
  size_t least, most; /* number of arguments */
  vestry_err (*run)(vestry_dispatch_context *context, const json_t *effect);
#ifndef VSI_WITHOUT_SCRIPTS
  /* Make the event of an effect whose arguments are a text, or an address, and options of a script. */
  vestry_err (*text)(const vestry_host *host, const char *text, size_t len, const vestry_script_options *options,
                     vestry_event **ret_event);
  vestry_err (*go)(const vestry_host *host, const char *url, const vestry_script_options *options,
                   vestry_event **ret_event);
  const char *what; /* the text, in error messages */
#endif
} built_in;

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
  vestry_elements_options options = {0};
  vestry_err error = read_options(context, json, elements_options, &options);
  if (error) return error;
  bool is_by_id = options.mode == VESTRY_PATCH_OUTER || options.mode == VESTRY_PATCH_REPLACE;
  if (!is_by_id && !(options.selector && *options.selector))
    return vestry_context_fail(context, VESTRY_INVALID, "this mode needs a selector: {\"selector\": \"#id\", …}");
  vestry_event *event = NULL;
  error = vestry_event_elements(context->v->host, html, len, &options, &event);
  return send(context, error, event, "the elements");
}

/* [html, options?] */
static vestry_err patch_elements(vestry_dispatch_context *context, const json_t *effect) {
  const json_t *html = json_array_get(effect, 1);
  if (!json_is_string(html)) return vestry_context_fail(context, VESTRY_INVALID, "the elements must be a string");
  return send_elements(context, json_string_value(html), json_string_length(html), json_array_get(effect, 2));
}

/* [[html…], options?]: one event, with each text on separate lines. */
static vestry_err patch_elements_seq(vestry_dispatch_context *context, const json_t *effect) {
  const json_t *list = json_array_get(effect, 1);
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
  if (!error) error = send_elements(context, joined.len ? joined.data : "", joined.len, json_array_get(effect, 2));
  vsi_buffer_finish(&joined);
  return error;
}

/* [object or its JSON text, options?] */
static vestry_err patch_signals(vestry_dispatch_context *context, const json_t *effect) {
  vestry_signals_options options = {0};
  const json_t *signals = json_array_get(effect, 1);
  vestry_err error = read_options(context, json_array_get(effect, 2), signals_options, &options);
  if (error) return error;
  vestry_event *event = NULL;
  if (json_is_string(signals))
    error = vestry_event_signals_text(context->v->host, json_string_value(signals), json_string_length(signals),
                                      &options, &event);
  else if (json_is_object(signals))
    error = vsi_event_signals_value(context->v->host, signals, &options, &event);
  else
    return vestry_context_fail(context, VESTRY_INVALID, "the signals must be an object, or its JSON text");
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
    texts[i] = vsi_json_c_text(json_is_array(value) ? json_array_get(value, i) : value);
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
static vestry_err remove_elements(vestry_dispatch_context *context, const json_t *effect) {
  vestry_elements_options options = {0};
  vestry_err error = read_options(context, json_array_get(effect, 2), REMOVE_OPTIONS, &options);
  if (error) return error;
  const char *selector = vsi_json_c_text(json_array_get(effect, 1));
  if (!selector) return vestry_context_fail(context, VESTRY_INVALID, "the selector must be a string without NUL");
  vestry_event *event = NULL;
  error = vestry_event_remove(context->v->host, selector, &options, &event);
  return send(context, error, event, "the selector");
}

/* [path or [path…], options?] */
static vestry_err remove_signals(vestry_dispatch_context *context, const json_t *effect) {
  const char **paths = NULL;
  size_t count = 0;
  vestry_signals_options options = {0};
  vestry_err error = read_options(context, json_array_get(effect, 2), signals_options, &options);
  if (!error) error = read_texts(context, json_array_get(effect, 1), "the paths", &paths, &count);
  if (error) return error;
  vestry_event *event = NULL;
  error = vestry_event_remove_signals(context->v->host, paths, count, &options, &event);
  vsi_free(context->v->host, paths);
  return send(context, error, event, "a path");
}

/* Append a value as JSON text. The first pass counts the bytes, the second writes them. */
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

/* Send an event with a name and a detail, which can be any value and is written as JSON. custom: its options; NULL: the
 * event is for readers other than Datastar, has the options `plain`, and a string is copied without quotes. */
static vestry_err send_named(vestry_dispatch_context *context, const json_t *effect,
                             const vestry_custom_event_options *custom, const vestry_plain_options *plain) {
  const vestry_host *host = context->v->host;
  const json_t *detail = json_array_get(effect, 2);
  const char *name = vsi_json_c_text(json_array_get(effect, 1));
  if (!name) return vestry_context_fail(context, VESTRY_INVALID, "the event's name must be a string without NUL");
  vestry_err error = VESTRY_OK;
  vsi_buffer text;
  vsi_buffer_init(&text, host);
  if (plain && json_is_string(detail))
    vsi_buffer_append(&text, json_string_value(detail), json_string_length(detail));
  else if (detail)
    error = write_detail(context, detail, &text);
  if (!error) error = text.error;
  if (!error) {
    vestry_event *event = NULL;
    error = plain ? vestry_event_plain(host, name, text.data, text.len, plain, &event)
                  : vestry_event_custom(host, name, text.data, text.len, custom, &event);
    error = send(context, error, event, "the event's name");
  }
  vsi_buffer_finish(&text);
  return error;
}

/* [name, data?, options?]: an event for readers other than Datastar. The data is a text, or any value as JSON. */
static vestry_err send_event(vestry_dispatch_context *context, const json_t *effect) {
  vestry_plain_options options = {0};
  vestry_err error = read_options(context, json_array_get(effect, 3), plain_options, &options);
  return error ? error : send_named(context, effect, NULL, &options);
}

/* -------------------------------------------------------------------------------------------------- scripts ---- */

#ifndef VSI_WITHOUT_SCRIPTS /* small programs: docs/building.md */
static vestry_err read_not_flag(vestry_dispatch_context *context, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(context, name, "true or false");
  *(bool *)field = json_is_false(value);
  return VESTRY_OK;
}

/* Options of the effects that run scripts and of dispatch-event, and the attributes to which they point. */
typedef struct script_args {
  vestry_script_options script;
  vestry_custom_event_options event;
  vestry_attribute attributes[64];
} script_args;
enum { ATTRIBUTES_MAX = sizeof((script_args *)0)->attributes / sizeof(vestry_attribute) };

/* {"type": "module", "async": true} */
static vestry_err read_attributes(vestry_dispatch_context *context, const char *name, const json_t *value,
                                  void *field) {
  script_args *into = field;
  if (!json_is_object(value)) return wrong(context, name, "an object");
  if (json_object_size(value) > ATTRIBUTES_MAX) return wrong(context, name, "at most 64 attributes");
  const char *attribute;
  json_t *content;
  json_object_foreach((json_t *)value, attribute, content) {
    const char *text = vsi_json_c_text(content);
    if (!text && !json_is_true(content)) return wrong(context, name, "a string or true for each attribute");
    into->attributes[into->script.attributes_count++] = (vestry_attribute){attribute, text};
  }
  into->script.attributes = into->attributes;
  return VESTRY_OK;
}

static const option custom_event_options[] = {
    {"selector", read_text, offsetof(script_args, event.selector)},
    {"bubbles", read_not_flag, offsetof(script_args, event.no_bubbles)},
    {"cancelable", read_not_flag, offsetof(script_args, event.not_cancelable)},
    {"composed", read_not_flag, offsetof(script_args, event.not_composed)},
#define SCRIPT_OPTIONS (&custom_event_options[4]) /* for an effect without an event */
    {"autoRemove", read_not_flag, offsetof(script_args, script.keep)},
    {"attributes", read_attributes, 0},
    {"eventId", read_text, offsetof(script_args, script.event.id)},
    {"retryDuration", read_ms, offsetof(script_args, script.event.retry_ms)},
    {NULL, NULL, 0},
};

static vestry_err read_script_options(vestry_dispatch_context *context, const json_t *json, const option *options,
                                      script_args *ret_args) {
  ret_args->script = (vestry_script_options){0};
  ret_args->event = (vestry_custom_event_options){.script = &ret_args->script};
  return read_options(context, json, options, ret_args);
}

/* [text, options?] */
static vestry_err run_text(vestry_dispatch_context *context, const json_t *effect, const built_in *of) {
  script_args script;
  vestry_err error = read_script_options(context, json_array_get(effect, 2), SCRIPT_OPTIONS, &script);
  if (error) return error;
  const json_t *text = json_array_get(effect, 1);
  if (!json_is_string(text)) return vestry_context_fail(context, VESTRY_INVALID, "%s must be a string", of->what);
  vestry_event *event = NULL;
  error = of->text(context->v->host, json_string_value(text), json_string_length(text), &script.script, &event);
  return send(context, error, event, of->what);
}

/* [url, options?] */
static vestry_err go(vestry_dispatch_context *context, const json_t *effect, const built_in *of) {
  script_args script;
  vestry_err error = read_script_options(context, json_array_get(effect, 2), SCRIPT_OPTIONS, &script);
  if (error) return error;
  const char *url = vsi_json_c_text(json_array_get(effect, 1));
  if (!url) return vestry_context_fail(context, VESTRY_INVALID, "the address must be a string without NUL");
  vestry_event *event = NULL;
  error = of->go(context->v->host, url, &script.script, &event);
  return send(context, error, event, "the address (relative, http or https)");
}

/* [url or [url…], options?] */
static vestry_err prefetch(vestry_dispatch_context *context, const json_t *effect) {
  script_args script;
  const char **urls = NULL;
  size_t count = 0;
  vestry_err error = read_script_options(context, json_array_get(effect, 2), SCRIPT_OPTIONS, &script);
  if (!error) error = read_texts(context, json_array_get(effect, 1), "the addresses", &urls, &count);
  if (error) return error;
  vestry_event *event = NULL;
  error = vestry_event_prefetch(context->v->host, urls, count, &script.script, &event);
  vsi_free(context->v->host, urls);
  return send(context, error, event, "an address (relative, http or https)");
}

/* [name, detail?, options?]: the detail is any value. */
static vestry_err dispatch_event(vestry_dispatch_context *context, const json_t *effect) {
  script_args script;
  vestry_err error = read_script_options(context, json_array_get(effect, 3), custom_event_options, &script);
  return error ? error : send_named(context, effect, &script.event, NULL);
}
#endif

/* []: close the streams cleanly, after the events that were sent before. */
static vestry_err close_sse(vestry_dispatch_context *context, const json_t *effect) {
  (void)effect;
  const vsi_targets *targets = &context->root->targets;
  for (size_t i = 0; i < targets->count; i++) vestry_connection_close(targets->items[i], VESTRY_CAUSE_CLOSED);
  return VESTRY_OK;
}

static vestry_err wake(vestry_dispatch_context *context, const json_t *effect) {
  (void)effect;
  const vsi_targets *targets = &context->root->targets;
  for (size_t i = 0; i < targets->count; i++) vestry_connection_wake(targets->items[i]);
  return VESTRY_OK;
}

vestry_err vsi_effects_perform(vestry_dispatch_context *context, const json_t *effect, const vsi_meaning *meaning) {
  const built_in *of = (const built_in *)meaning;
  const size_t count = json_array_size(effect) - 1;
  if (count < of->least) return vestry_context_fail(context, VESTRY_INVALID, "an argument is missing");
  if (count > of->most) return vestry_context_fail(context, VESTRY_INVALID, "expected at most %zu arguments", of->most);
#ifndef VSI_WITHOUT_SCRIPTS
  if (of->text) return run_text(context, effect, of);
  if (of->go) return go(context, effect, of);
#endif
  return of->run(context, effect);
}

/* The names stand in a constant table, because each name in a registry takes an allocation. The most frequent names
 * come first. */
static const vsi_meaning *find_built_in(const char *name, size_t len) {
#define EFFECT                                                                                                         \
  { .kind = VSI_KIND_BUILT_IN }
  static const built_in all[] = {
      {EFFECT, "patch-signals", 1, 2, .run = patch_signals},
      {EFFECT, "patch-elements", 1, 2, .run = patch_elements},
      {{.kind = VSI_KIND_QUOTE}, VESTRY_QUOTE, 0, 0, .run = NULL},
      {EFFECT, "patch-elements-seq", 1, 2, .run = patch_elements_seq},
      {EFFECT, "remove-elements", 1, 2, .run = remove_elements},
      {EFFECT, "remove-signals", 1, 2, .run = remove_signals},
      {EFFECT, "send-event", 1, 3, .run = send_event},
      {EFFECT, "close-sse", 0, 0, .run = close_sse},
      {EFFECT, "wake", 0, 0, .run = wake},
#ifndef VSI_WITHOUT_SCRIPTS
      {EFFECT, "execute-script", 1, 2, .text = vestry_event_script, .what = "the script"},
      {EFFECT, "console-log", 1, 2, .text = vestry_event_console_log, .what = "the logged text"},
      {EFFECT, "console-error", 1, 2, .text = vestry_event_console_error, .what = "the logged text"},
      {EFFECT, "redirect", 1, 2, .go = vestry_event_redirect},
      {EFFECT, "replace-url", 1, 2, .go = vestry_event_replace_url},
      {EFFECT, "navigate", 1, 2, .go = vestry_event_navigate},
      {EFFECT, "navigate-replace", 1, 2, .go = vestry_event_navigate_replace},
      {EFFECT, "dispatch-event", 1, 3, .run = dispatch_event},
      {EFFECT, "prefetch", 1, 2, .run = prefetch},
#endif
  };
  for (const built_in *at = all; at < all + sizeof all / sizeof *all; at++)
    if (strlen(at->name) == len && memcmp(at->name, name, len) == 0) return &at->meaning;
  return NULL;
}

void vsi_effects_register(vestry_registry *names) {
  names->find_built_in = find_built_in;
}

bool vsi_builtin_is(const vestry_registry *names, const char *name) {
  const vsi_meaning *meaning = vsi_names_performed(names, name, strlen(name));
  return meaning && meaning->kind == VSI_KIND_BUILT_IN;
}

bool vsi_builtin_is_alone(const vestry_registry *names) {
  return !names->has_placeholders && !names->phases[VESTRY_PHASE_DISPATCH].count &&
         !names->phases[VESTRY_PHASE_ACTION].count && !names->phases[VESTRY_PHASE_EFFECT].count;
}
