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

/* The arguments of an effect: its options, of one of the kinds, and the attributes that options of a script name. */
enum { ATTRIBUTES_MAX = 64 };
typedef struct args {
  union {
    vestry_elements_options elements;
    vestry_signals_options signals;
    vestry_event_options event;
    vsi_script_options script;
  };
  const vsi_effect_kind *of;
  vestry_attribute attributes[ATTRIBUTES_MAX]; /* not initialized */
} args;

/* A type of options. `read` reads a value into its field of `args`; false: the value is not as wanted. */
typedef struct option_type {
  bool (*read)(const json_t *value, void *field);
  const char *wanted;
} option_type;

static bool read_text(const json_t *value, void *field) {
  *(const char **)field = vsi_json_c_text(value);
  return *(const char **)field;
}

static bool read_flag(const json_t *value, void *field) {
  *(bool *)field = json_is_true(value);
  return json_is_boolean(value);
}

static bool read_ms(const json_t *value, void *field) {
  const json_int_t number = json_integer_value(value);
  *(uint32_t *)field = (uint32_t)number;
  return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
}

static bool read_mode(const json_t *value, void *field) {
  return vsi_patch_mode_from_name(vsi_json_c_text(value), field);
}

static bool read_namespace(const json_t *value, void *field) {
  return vsi_namespace_from_name(vsi_json_c_text(value), field);
}

static const option_type text_type = {read_text, "a string without NUL"};
static const option_type flag_type = {read_flag, "true or false"};
static const option_type ms_type = {read_ms, "an integer from 0 to 4294967295, in ms"};
static const option_type mode_type = {read_mode, "outer, inner, replace, prepend, append, before, after or remove"};
static const option_type namespace_type = {read_namespace, "html, svg or mathml"};

typedef struct option {
  const char *name;
  const option_type *type;
  size_t offset; /* of the field in args */
} option;

static const option elements_options[] = {
    {"selector", &text_type, offsetof(args, elements.selector)},
    {"mode", &mode_type, offsetof(args, elements.mode)},
    {"namespace", &namespace_type, offsetof(args, elements.ns)},
#define REMOVE_OPTIONS (&elements_options[3]) /* for an effect that sets the options above itself */
    {"useViewTransition", &flag_type, offsetof(args, elements.use_view_transition)},
    {"viewTransitionSelector", &text_type, offsetof(args, elements.view_transition_selector)},
    {"state", &text_type, offsetof(args, elements.state)},
    {"eventId", &text_type, offsetof(args, elements.event.id)},
    {"retryDuration", &ms_type, offsetof(args, elements.event.retry_ms)},
    {NULL, NULL, 0},
};

static const option signals_options[] = {
    {"onlyIfMissing", &flag_type, offsetof(args, signals.only_if_missing)},
    {"state", &text_type, offsetof(args, signals.state)},
    {"eventId", &text_type, offsetof(args, signals.event.id)},
    {"retryDuration", &ms_type, offsetof(args, signals.event.retry_ms)},
    {NULL, NULL, 0},
};

static const option plain_options[] = {
    {"eventId", &text_type, offsetof(args, event.id)},
    {"retryDuration", &ms_type, offsetof(args, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option *find_option(const option *options, const char *name) {
  for (; options->name; options++)
    if (strcmp(options->name, name) == 0) return options;
  return NULL;
}

/* Read an object of options. NULL and a JSON null: the defaults, which ret_args contains already. An unknown name or a
 * wrong type is INVALID, and the reason names the option. The options borrow from the object. */
static vestry_err read_options(vsi_effect *made, const json_t *json, const option *options, args *ret_args) {
  if (!json || json_is_null(json)) return VESTRY_OK;
  if (!json_is_object(json)) return fail(made, VESTRY_INVALID, "the options must be an object");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)json, name, value) { /* iteration does not modify it */
    const option *known = find_option(options, name);
    if (!known) return fail(made, VESTRY_INVALID, "unknown option %.40s", name);
    if (!known->type->read(value, (char *)ret_args + known->offset))
      return fail(made, VESTRY_INVALID, "option %.40s: expected %s", name, known->type->wanted);
  }
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- effects ---- */

/* A built-in effect that makes an event. */
struct vsi_effect_kind {
  const char *name;
  /* Reads the arguments before the options, and makes the event. If it returns INVALID without a reason, the event does
   * not allow `what` or an option. */
  vestry_err (*make)(vsi_effect *made, const json_t *effect, args *given);
  const char *what;
  const option *options;
  size_t most; /* number of arguments; the options are the last one */
  /* Of an effect that runs code, whose argument is a text: */
  const char *before; /* JavaScript before the text, which is the argument of one call; NULL: the text is the code */
  bool is_address;    /* the text is an address */
};

static vestry_err make_elements(vsi_effect *made, const char *html, size_t len, const args *given) {
  const vestry_elements_options *options = &given->elements;
  bool is_by_id = options->mode == VESTRY_PATCH_OUTER || options->mode == VESTRY_PATCH_REPLACE;
  if (!is_by_id && !(options->selector && *options->selector))
    return fail(made, VESTRY_INVALID, "this mode needs a selector: {\"selector\": \"#id\", …}");
  return vestry_event_elements(made->host, html, len, options, &made->event);
}

/* [html, options?] */
static vestry_err patch_elements(vsi_effect *made, const json_t *effect, args *given) {
  const json_t *html = json_array_get(effect, 1);
  if (!json_is_string(html)) return fail(made, VESTRY_INVALID, "the elements must be a string");
  return make_elements(made, json_string_value(html), json_string_length(html), given);
}

/* [[html…], options?]: one event, with each text on separate lines. */
static vestry_err patch_elements_seq(vsi_effect *made, const json_t *effect, args *given) {
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
  if (!error) error = make_elements(made, joined.len ? joined.data : "", joined.len, given);
  vsi_buffer_finish(&joined);
  return error;
}

/* [object or its JSON text, options?] */
static vestry_err patch_signals(vsi_effect *made, const json_t *effect, args *given) {
  json_t *signals = json_array_get(effect, 1);
  if (json_is_string(signals))
    return vsi_event_signals_text(made->host, json_string_value(signals), json_string_length(signals), &given->signals,
                                  &made->event);
  if (json_is_object(signals))
    return vestry_event_signals(made->host, VESTRY_VALUES(signals), &given->signals, &made->event);
  return fail(made, VESTRY_INVALID, "the signals must be an object, or its JSON text");
}

/* Return pointers to the text, or the texts of a list, in memory of the host, which the caller frees; NULL: no memory.
 * A pointer is NULL if the value there is no string without NUL. */
static const char **read_texts(const vsi_effect *made, const json_t *value, size_t *ret_count) {
  const bool is_list = json_is_array(value);
  *ret_count = is_list ? json_array_size(value) : 1;
  const char **texts = vsi_calloc(made->host, *ret_count + 1, sizeof *texts);
  for (size_t i = 0; texts && i < *ret_count; i++)
    texts[i] = vsi_json_c_text(is_list ? json_array_get(value, i) : value);
  return texts;
}

/* [selector, options?] */
static vestry_err remove_elements(vsi_effect *made, const json_t *effect, args *given) {
  given->elements.selector = vsi_json_c_text(json_array_get(effect, 1));
  given->elements.mode = VESTRY_PATCH_REMOVE;
  if (!given->elements.selector) return fail(made, VESTRY_INVALID, "the selector must be a string without NUL");
  return vestry_event_elements(made->host, NULL, 0, &given->elements, &made->event);
}

/* [path or [path…], options?] */
static vestry_err remove_signals(vsi_effect *made, const json_t *effect, args *given) {
  size_t count;
  const char **paths = read_texts(made, json_array_get(effect, 1), &count);
  if (!paths) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_event_remove_signals(made->host, paths, count, &given->signals, &made->event);
  vsi_free(made->host, paths);
  return error;
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
static vestry_err send_event(vsi_effect *made, const json_t *effect, args *given) {
  const char *name;
  vsi_buffer data;
  vsi_buffer_init(&data, made->host);
  vestry_err error = read_named(made, effect, true, &name, &data);
  if (!error) error = vsi_event_plain(made->host, name, data.data, data.len, &given->event, &made->event);
  vsi_buffer_finish(&data);
  return error;
}

/* -------------------------------------------------------------------------------------------------- scripts ---- */

#ifndef VSI_WITHOUT_SCRIPTS /* small programs: docs/building.md */
static bool read_not_flag(const json_t *value, void *field) {
  *(bool *)field = json_is_false(value);
  return json_is_boolean(value);
}

/* {"type": "module", "async": true} */
static bool read_attributes(const json_t *value, void *field) {
  args *into = field;
  if (!json_is_object(value) || json_object_size(value) > ATTRIBUTES_MAX) return false;
  const char *name;
  json_t *content;
  json_object_foreach((json_t *)value, name, content) {
    const char *is = vsi_json_c_text(content);
    if (!is && !json_is_true(content)) return false;
    into->attributes[into->script.attributes_count++] = (vestry_attribute){name, is};
  }
  into->script.attributes = into->attributes;
  return true;
}

static const option_type not_flag_type = {read_not_flag, "true or false"};
static const option_type attributes_type = {read_attributes,
                                            "an object of at most 64 attributes, each a string or true"};

static const option custom_event_options[] = {
    {"selector", &text_type, offsetof(args, script.selector)},
    {"bubbles", &not_flag_type, offsetof(args, script.no_bubbles)},
    {"cancelable", &not_flag_type, offsetof(args, script.not_cancelable)},
    {"composed", &not_flag_type, offsetof(args, script.not_composed)},
#define SCRIPT_OPTIONS (&custom_event_options[4]) /* for an effect without an event */
    {"autoRemove", &not_flag_type, offsetof(args, script.keep)},
    {"attributes", &attributes_type, 0},
    {"eventId", &text_type, offsetof(args, script.event.id)},
    {"retryDuration", &ms_type, offsetof(args, script.event.retry_ms)},
    {NULL, NULL, 0},
};

/* [script, text or url, options?] */
static vestry_err call(vsi_effect *made, const json_t *effect, args *given) {
  const vsi_effect_kind *of = given->of;
  const json_t *json = json_array_get(effect, 1);
  const char *code = of->is_address ? vsi_json_c_text(json) : json_string_value(json);
  const size_t len = json_string_length(json);
  if (!code) return fail(made, VESTRY_INVALID, "%s must be a string%s", of->what, of->is_address ? " without NUL" : "");
  if (of->is_address && !vsi_is_web_address(code)) return VESTRY_INVALID;
  if (!of->before) return vsi_event_script(made->host, code, len, &given->script, &made->event);
  return vsi_event_call(made->host, of->before, code, len, &given->script, &made->event);
}

/* [url or [url…], options?] */
static vestry_err prefetch(vsi_effect *made, const json_t *effect, args *given) {
  size_t count;
  const char **urls = read_texts(made, json_array_get(effect, 1), &count);
  if (!urls) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_event_prefetch(made->host, urls, count, &given->script, &made->event);
  vsi_free(made->host, urls);
  return error;
}

/* [name, detail?, options?]: the detail is any value. */
static vestry_err dispatch_event(vsi_effect *made, const json_t *effect, args *given) {
  const char *name;
  vsi_buffer detail;
  vsi_buffer_init(&detail, made->host);
  vestry_err error = read_named(made, effect, false, &name, &detail);
  if (!error) error = vsi_event_custom(made->host, name, detail.data, detail.len, &given->script, &made->event);
  vsi_buffer_finish(&detail);
  return error;
}

/* An application's page navigates within the document, if it can. */
#define NAVIGATE(how, otherwise)                                                                                       \
  "setTimeout((url) => window.vestryNavigate?.(url, '" how "') || window.location." otherwise "(url), 0, "
#define CALL(name, what, before)                                                                                       \
  { name, call, what, SCRIPT_OPTIONS, 2, before, false }
#define CALL_WITH_URL(name, before)                                                                                    \
  { name, call, "the address (relative, http or https)", SCRIPT_OPTIONS, 2, before, true }
#endif

const vsi_effect_kind *vsi_effect_find(const char *name, size_t len) {
  /* the most frequent names come first */
  static const vsi_effect_kind all[] = {
      {"patch-signals", patch_signals, "the signals", signals_options, .most = 2},
      {"patch-elements", patch_elements, "the elements", elements_options, .most = 2},
      {"patch-elements-seq", patch_elements_seq, "the elements", elements_options, .most = 2},
      {"remove-elements", remove_elements, "the selector", REMOVE_OPTIONS, .most = 2},
      {"remove-signals", remove_signals, "a path (a string without NUL, or a list of such)", signals_options,
       .most = 2},
      {"send-event", send_event, "the event's name", plain_options, .most = 3},
#ifndef VSI_WITHOUT_SCRIPTS
      CALL("execute-script", "the script", NULL),
      CALL("console-log", "the logged text", "console.log("),
      CALL("console-error", "the logged text", "console.error("),
      CALL_WITH_URL("redirect", VSI_LEAVING),
      CALL_WITH_URL("replace-url", "window.history.replaceState(window.history.state, '', "),
      CALL_WITH_URL("navigate", NAVIGATE("push", "assign")),
      CALL_WITH_URL("navigate-replace", NAVIGATE("replace", "replace")),
      {"dispatch-event", dispatch_event, "the event's name", custom_event_options, .most = 3},
      {"prefetch", prefetch, "an address (relative, http or https)", SCRIPT_OPTIONS, .most = 2},
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
  if (!count) return fail(made, VESTRY_INVALID, "an argument is missing");
  if (count > of->most) return fail(made, VESTRY_INVALID, "expected at most %zu arguments", of->most);
  args given;
  memset(&given, 0, offsetof(args, attributes));
  given.of = of;
  vestry_err error = read_options(made, json_array_get(effect, of->most), of->options, &given);
  if (!error) error = of->make(made, effect, &given);
  const bool is_explained = error != VESTRY_INVALID || *made->why;
  return is_explained ? error : fail(made, error, "%s or an option is not allowed in an event", of->what);
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
