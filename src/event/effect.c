/* SPDX-License-Identifier: MIT */
/* Events of the built-in effects: each effect reads its arguments strictly, and makes one event. */
#include "event/effect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "event/layout.h"
#include "event/script.h"
#include "json/value.h"
#include "json/write.h"

/* Write the reason of an error. The format is printf's. Returns the error. */
static vestry_err fail(vsi_effect *made, vestry_err error, const char *format, ...) VESTRY_PRINTF(3, 4);
static vestry_err fail(vsi_effect *made, vestry_err error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(made->why, sizeof made->why, format, arguments);
  va_end(arguments);
  return error;
}

/* --------------------------------------------------------------------------------------------------- options ---- */

/* Read one value into its field of an options struct. */
typedef vestry_err (*read_fn)(vsi_effect *made, const char *name, const json_t *value, void *field);

typedef struct option {
  const char *name;
  read_fn read;
  size_t offset; /* of the field */
} option;

static vestry_err wrong(vsi_effect *made, const char *name, const char *wanted) {
  return fail(made, VESTRY_INVALID, "option %.40s: expected %s", name, wanted);
}

static vestry_err read_text(vsi_effect *made, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text) return wrong(made, name, "a string without NUL");
  *(const char **)field = text;
  return VESTRY_OK;
}

static vestry_err read_flag(vsi_effect *made, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(made, name, "true or false");
  *(bool *)field = json_is_true(value);
  return VESTRY_OK;
}

static vestry_err read_ms(vsi_effect *made, const char *name, const json_t *value, void *field) {
  json_int_t number = json_integer_value(value);
  if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
    return wrong(made, name, "an integer from 0 to 4294967295, in ms");
  *(uint32_t *)field = (uint32_t)number;
  return VESTRY_OK;
}

static vestry_err read_mode(vsi_effect *made, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text || vsi_patch_mode_from_name(text, field))
    return wrong(made, name, "outer, inner, replace, prepend, append, before, after or remove");
  return VESTRY_OK;
}

static vestry_err read_namespace(vsi_effect *made, const char *name, const json_t *value, void *field) {
  const char *text = vsi_json_c_text(value);
  if (!text || vsi_namespace_from_name(text, field)) return wrong(made, name, "html, svg or mathml");
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
    {"eventId", read_text, offsetof(vestry_event_options, id)},
    {"retryDuration", read_ms, offsetof(vestry_event_options, retry_ms)},
    {NULL, NULL, 0},
};

static const option *find_option(const option *options, const char *name) {
  for (; options->name; options++)
    if (strcmp(options->name, name) == 0) return options;
  return NULL;
}

/* Read an object of options. NULL and a JSON null: the defaults, which ret_options contains already. An unknown name or
 * a wrong type is INVALID, and the reason names the option. The options borrow from the object. */
static vestry_err read_options(vsi_effect *made, const json_t *json, const option *options, void *ret_options) {
  if (!json || json_is_null(json)) return VESTRY_OK;
  if (!json_is_object(json)) return fail(made, VESTRY_INVALID, "the options must be an object");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)json, name, value) { /* iteration does not modify it */
    const option *known = find_option(options, name);
    if (!known) return fail(made, VESTRY_INVALID, "unknown option %.40s", name);
    vestry_err error = known->read(made, name, value, (char *)ret_options + known->offset);
    if (error) return error;
  }
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- effects ---- */

/* A built-in effect that makes an event. Exactly one of make and what is set. */
struct vsi_effect_kind {
  const char *name;
  size_t least, most; /* number of arguments */
  vestry_err (*make)(vsi_effect *made, const json_t *effect);
  const char *what;   /* the argument, in errors, of an effect that runs code: a text, followed by options */
  const char *before; /* JavaScript before the text, which is the argument of one call; NULL: the text is the code */
  bool is_address;    /* the text is an address */
};

/* Complete the reason of a failure to make the event. what: the content of the event, for the reason. */
static vestry_err settle(vsi_effect *made, vestry_err error, const char *what) {
  return error == VESTRY_INVALID ? fail(made, error, "%s or an option is not allowed in an event", what) : error;
}

static vestry_err make_elements(vsi_effect *made, const char *html, size_t len, const json_t *json) {
  vestry_elements_options options = {0};
  vestry_err error = read_options(made, json, elements_options, &options);
  if (error) return error;
  bool is_by_id = options.mode == VESTRY_PATCH_OUTER || options.mode == VESTRY_PATCH_REPLACE;
  if (!is_by_id && !(options.selector && *options.selector))
    return fail(made, VESTRY_INVALID, "this mode needs a selector: {\"selector\": \"#id\", …}");
  error = vestry_event_elements(made->host, html, len, &options, &made->event);
  return settle(made, error, "the elements");
}

/* [html, options?] */
static vestry_err patch_elements(vsi_effect *made, const json_t *effect) {
  const json_t *html = json_array_get(effect, 1);
  if (!json_is_string(html)) return fail(made, VESTRY_INVALID, "the elements must be a string");
  return make_elements(made, json_string_value(html), json_string_length(html), json_array_get(effect, 2));
}

/* [[html…], options?]: one event, with each text on separate lines. */
static vestry_err patch_elements_seq(vsi_effect *made, const json_t *effect) {
  const json_t *list = json_array_get(effect, 1);
  if (!json_is_array(list)) return fail(made, VESTRY_INVALID, "the elements must be a list of strings");
  vestry_err error = VESTRY_OK;
  vsi_buffer joined;
  vsi_buffer_init(&joined, made->host);
  for (size_t i = 0; !error && i < json_array_size(list); i++) {
    const json_t *html = json_array_get(list, i);
    if (i) vsi_buffer_append_char(&joined, '\n');
    if (json_is_string(html))
      vsi_buffer_append(&joined, json_string_value(html), json_string_length(html));
    else
      error = fail(made, VESTRY_INVALID, "element %zu is not a string", i);
  }
  if (!error) error = joined.error;
  if (!error) error = make_elements(made, joined.len ? joined.data : "", joined.len, json_array_get(effect, 2));
  vsi_buffer_finish(&joined);
  return error;
}

/* [object or its JSON text, options?] */
static vestry_err patch_signals(vsi_effect *made, const json_t *effect) {
  vestry_signals_options options = {0};
  const json_t *signals = json_array_get(effect, 1);
  vestry_err error = read_options(made, json_array_get(effect, 2), signals_options, &options);
  if (error) return error;
  if (json_is_string(signals))
    error = vsi_event_signals_text(made->host, json_string_value(signals), json_string_length(signals), &options,
                                   &made->event);
  else if (json_is_object(signals))
    error = vsi_event_signals_value(made->host, signals, &options, &made->event);
  else
    return fail(made, VESTRY_INVALID, "the signals must be an object, or its JSON text");
  return settle(made, error, "the signals");
}

/* Read a text, or a list of at least one. Returns pointers to the texts in memory of the host, which the caller frees.
 * what: for the error message. */
static vestry_err read_texts(vsi_effect *made, const json_t *value, const char *what, const char ***ret_texts,
                             size_t *ret_count) {
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  const char **texts = vsi_calloc(made->host, count, sizeof *texts);
  if (!texts) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  if (!count) error = fail(made, VESTRY_INVALID, "%s: expected at least one", what);
  for (size_t i = 0; i < count && !error; i++) {
    texts[i] = vsi_json_c_text(json_is_array(value) ? json_array_get(value, i) : value);
    if (!texts[i])
      error = fail(made, VESTRY_INVALID, "%s: expected a string without NUL, or a list of such strings", what);
  }
  if (error) {
    vsi_free(made->host, texts);
    return error;
  }
  *ret_texts = texts;
  *ret_count = count;
  return VESTRY_OK;
}

/* [selector, options?] */
static vestry_err remove_elements(vsi_effect *made, const json_t *effect) {
  vestry_elements_options options = {0};
  vestry_err error = read_options(made, json_array_get(effect, 2), REMOVE_OPTIONS, &options);
  if (error) return error;
  const char *selector = vsi_json_c_text(json_array_get(effect, 1));
  if (!selector) return fail(made, VESTRY_INVALID, "the selector must be a string without NUL");
  options.selector = selector;
  options.mode = VESTRY_PATCH_REMOVE;
  error = vestry_event_elements(made->host, NULL, 0, &options, &made->event);
  return settle(made, error, "the selector");
}

/* [path or [path…], options?] */
static vestry_err remove_signals(vsi_effect *made, const json_t *effect) {
  const char **paths = NULL;
  size_t count = 0;
  vestry_signals_options options = {0};
  vestry_err error = read_options(made, json_array_get(effect, 2), signals_options, &options);
  if (!error) error = read_texts(made, json_array_get(effect, 1), "the paths", &paths, &count);
  if (error) return error;
  error = vsi_event_remove_signals(made->host, paths, count, &options, &made->event);
  vsi_free(made->host, paths);
  return settle(made, error, "a path");
}

/* Append a value as JSON text. The first pass counts the bytes, the second writes them. */
static vestry_err write_detail(vsi_effect *made, const json_t *detail, vsi_buffer *text) {
  vsi_writer writer = {.to = NULL};
  if (vsi_json_put(&writer, detail)) return fail(made, VESTRY_INVALID, "the detail cannot be written as JSON");
  writer = (vsi_writer){.to = vsi_buffer_reserve(text, writer.len)};
  if (!writer.to) return VESTRY_NO_MEMORY;
  (void)vsi_json_put(&writer, detail); /* same result as the first time */
  text->len += writer.len;
  return VESTRY_OK;
}

/* Read the name of an event, and its detail: any value, as JSON text. plain: a string is copied without quotes. */
static vestry_err read_named(vsi_effect *made, const json_t *effect, bool plain, const char **ret_name,
                             vsi_buffer *detail) {
  const json_t *value = json_array_get(effect, 2);
  vestry_err error = VESTRY_OK;
  *ret_name = vsi_json_c_text(json_array_get(effect, 1));
  if (!*ret_name) return fail(made, VESTRY_INVALID, "the event's name must be a string without NUL");
  if (plain && json_is_string(value))
    vsi_buffer_append(detail, json_string_value(value), json_string_length(value));
  else if (value)
    error = write_detail(made, value, detail);
  return error ? error : detail->error;
}

/* [name, data?, options?]: an event for readers other than Datastar. The data is a text, or any value as JSON. */
static vestry_err send_event(vsi_effect *made, const json_t *effect) {
  vestry_event_options options = {0};
  const char *name;
  vsi_buffer data;
  vsi_buffer_init(&data, made->host);
  vestry_err error = read_options(made, json_array_get(effect, 3), plain_options, &options);
  if (!error) error = read_named(made, effect, true, &name, &data);
  if (!error)
    error = settle(made, vsi_event_plain(made->host, name, data.data, data.len, &options, &made->event),
                   "the event's name");
  vsi_buffer_finish(&data);
  return error;
}

/* -------------------------------------------------------------------------------------------------- scripts ---- */

#ifndef VSI_WITHOUT_SCRIPTS /* small programs: docs/building.md */
static vestry_err read_not_flag(vsi_effect *made, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(made, name, "true or false");
  *(bool *)field = json_is_false(value);
  return VESTRY_OK;
}

/* Options of the effects that run scripts and of dispatch-event, and the attributes to which they point. */
typedef struct script_args {
  vsi_script_options script;
  vsi_custom_event_options event;
  vestry_attribute attributes[64];
} script_args;
enum { ATTRIBUTES_MAX = sizeof((script_args *)0)->attributes / sizeof(vestry_attribute) };

/* {"type": "module", "async": true} */
static vestry_err read_attributes(vsi_effect *made, const char *name, const json_t *value, void *field) {
  script_args *into = field;
  if (!json_is_object(value)) return wrong(made, name, "an object");
  if (json_object_size(value) > ATTRIBUTES_MAX) return wrong(made, name, "at most 64 attributes");
  const char *attribute;
  json_t *content;
  json_object_foreach((json_t *)value, attribute, content) {
    const char *text = vsi_json_c_text(content);
    if (!text && !json_is_true(content)) return wrong(made, name, "a string or true for each attribute");
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

static vestry_err read_script_options(vsi_effect *made, const json_t *json, const option *options,
                                      script_args *ret_args) {
  ret_args->script = (vsi_script_options){0};
  ret_args->event = (vsi_custom_event_options){.script = &ret_args->script};
  return read_options(made, json, options, ret_args);
}

/* [script, text or url, options?] */
static vestry_err call(vsi_effect *made, const json_t *effect, const vsi_effect_kind *of) {
  script_args script;
  vestry_err error = read_script_options(made, json_array_get(effect, 2), SCRIPT_OPTIONS, &script);
  if (error) return error;
  const json_t *given = json_array_get(effect, 1);
  const char *text = of->is_address ? vsi_json_c_text(given) : json_string_value(given);
  if (!text) return fail(made, VESTRY_INVALID, "%s must be a string%s", of->what, of->is_address ? " without NUL" : "");
  if (of->is_address && !vsi_is_web_address(text))
    error = VESTRY_INVALID;
  else if (of->before)
    error = vsi_event_call(made->host, of->before, text, json_string_length(given), &script.script, &made->event);
  else
    error = vsi_event_script(made->host, text, json_string_length(given), &script.script, &made->event);
  return settle(made, error, of->is_address ? "the address (relative, http or https)" : of->what);
}

/* [url or [url…], options?] */
static vestry_err prefetch(vsi_effect *made, const json_t *effect) {
  script_args script;
  const char **urls = NULL;
  size_t count = 0;
  vestry_err error = read_script_options(made, json_array_get(effect, 2), SCRIPT_OPTIONS, &script);
  if (!error) error = read_texts(made, json_array_get(effect, 1), "the addresses", &urls, &count);
  if (error) return error;
  error = vsi_event_prefetch(made->host, urls, count, &script.script, &made->event);
  vsi_free(made->host, urls);
  return settle(made, error, "an address (relative, http or https)");
}

/* [name, detail?, options?]: the detail is any value. */
static vestry_err dispatch_event(vsi_effect *made, const json_t *effect) {
  script_args script;
  const char *name;
  vsi_buffer detail;
  vsi_buffer_init(&detail, made->host);
  vestry_err error = read_script_options(made, json_array_get(effect, 3), custom_event_options, &script);
  if (!error) error = read_named(made, effect, false, &name, &detail);
  if (!error)
    error = settle(made, vsi_event_custom(made->host, name, detail.data, detail.len, &script.event, &made->event),
                   "the event's name");
  vsi_buffer_finish(&detail);
  return error;
}

#define ADDRESS .is_address = true, .what = "the address"
/* An application's page navigates within the document, if it can. */
#define NAVIGATE(how, otherwise)                                                                                       \
  "setTimeout((url) => window.vestryNavigate?.(url, '" how "') || window.location." otherwise "(url), 0, "
#endif

const vsi_effect_kind *vsi_effect_find(const char *name, size_t len) {
  /* the most frequent names come first */
  static const vsi_effect_kind all[] = {
      {"patch-signals", 1, 2, .make = patch_signals},
      {"patch-elements", 1, 2, .make = patch_elements},
      {"patch-elements-seq", 1, 2, .make = patch_elements_seq},
      {"remove-elements", 1, 2, .make = remove_elements},
      {"remove-signals", 1, 2, .make = remove_signals},
      {"send-event", 1, 3, .make = send_event},
#ifndef VSI_WITHOUT_SCRIPTS
      {"execute-script", 1, 2, .what = "the script"},
      {"console-log", 1, 2, .what = "the logged text", .before = "console.log("},
      {"console-error", 1, 2, .what = "the logged text", .before = "console.error("},
      {"redirect", 1, 2, ADDRESS, .before = VSI_LEAVING},
      {"replace-url", 1, 2, ADDRESS, .before = "window.history.replaceState(window.history.state, '', "},
      {"navigate", 1, 2, ADDRESS, .before = NAVIGATE("push", "assign")},
      {"navigate-replace", 1, 2, ADDRESS, .before = NAVIGATE("replace", "replace")},
      {"dispatch-event", 1, 3, .make = dispatch_event},
      {"prefetch", 1, 2, .make = prefetch},
#endif
  };
  for (const vsi_effect_kind *at = all; at < all + sizeof all / sizeof *all; at++)
    if (strlen(at->name) == len && memcmp(at->name, name, len) == 0) return at;
  return NULL;
}

vestry_err vsi_effect_make(vsi_effect *made, const json_t *effect) {
  const json_t *name = json_array_get(effect, 0); /* NULL if it is no array */
  const vsi_effect_kind *of =
      json_is_string(name) ? vsi_effect_find(json_string_value(name), json_string_length(name)) : NULL;
  if (!of) return fail(made, VESTRY_NOT_FOUND, "no effect of this name makes an event");
  const size_t count = json_array_size(effect) - 1;
  if (count < of->least) return fail(made, VESTRY_INVALID, "an argument is missing");
  if (count > of->most) return fail(made, VESTRY_INVALID, "expected at most %zu arguments", of->most);
#ifndef VSI_WITHOUT_SCRIPTS
  if (of->what) return call(made, effect, of);
#endif
  return of->make(made, effect);
}

vestry_err vestry_event_effect(const vestry_host *host, const vestry_value *effect, vestry_event **ret_event) {
  vsi_effect made = {.host = vsi_host(host)};
  json_t *json = NULL;
  vestry_err error = effect ? vestry_value_to_json(effect, &json) : VESTRY_INVALID;
  if (!error) error = vsi_effect_make(&made, json);
  json_decref(json);
  if (!error)
    *ret_event = made.event;
  else if (error == VESTRY_INVALID || error == VESTRY_NOT_FOUND)
    (void)vsi_mistake(made.host, "vestry_event_effect", *made.why ? made.why : "the effect is no value of JSON");
  return error;
}
