/* SPDX-License-Identifier: MIT */
#include "registry/effect_options.h"

#include <string.h>

#include "event/layout.h"
typedef struct reader {
  vestry_dispatch_context *context;
  vestry_attribute *attributes; /* of scripts: where they are stored */
} reader;

/* Read one value into its field of an options struct. */
typedef vestry_err (*read_fn)(reader *r, const char *name, const json_t *value, void *field);

typedef struct option {
  const char *name;
  read_fn read;
  size_t offset; /* of the field */
} option;

static vestry_err wrong(reader *r, const char *name, const char *wanted) {
  return vestry_context_fail(r->context, VESTRY_INVALID, "option %.40s: expected %s", name, wanted);
}

const char *vsi_text_of(const json_t *value) {
  const char *text = json_string_value(value);
  return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static vestry_err read_text(reader *r, const char *name, const json_t *value, void *field) {
  const char *text = vsi_text_of(value);
  if (!text) return wrong(r, name, "a string without NUL");
  *(const char **)field = text;
  return VESTRY_OK;
}

static vestry_err read_flag(reader *r, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(r, name, "true or false");
  *(bool *)field = json_is_true(value);
  return VESTRY_OK;
}

static vestry_err read_not_flag(reader *r, const char *name, const json_t *value, void *field) {
  if (!json_is_boolean(value)) return wrong(r, name, "true or false");
  *(bool *)field = json_is_false(value);
  return VESTRY_OK;
}

static vestry_err read_ms(reader *r, const char *name, const json_t *value, void *field) {
  json_int_t number = json_integer_value(value);
  if (!json_is_integer(value) || number < 0 || number > UINT32_MAX) return wrong(r, name, "an integer number of ms");
  *(uint32_t *)field = (uint32_t)number;
  return VESTRY_OK;
}

static vestry_err read_mode(reader *r, const char *name, const json_t *value, void *field) {
  const char *text = vsi_text_of(value);
  if (!text || vsi_patch_mode_from_name(text, field)) return wrong(r, name, "the name of a mode");
  return VESTRY_OK;
}

static vestry_err read_namespace(reader *r, const char *name, const json_t *value, void *field) {
  const char *text = vsi_text_of(value);
  if (!text || vsi_namespace_from_name(text, field)) return wrong(r, name, "html, svg or mathml");
  return VESTRY_OK;
}

/* {"type": "module", "async": true} */
static vestry_err read_attributes(reader *r, const char *name, const json_t *value, void *options) {
  vestry_script_options *script = options;
  if (!json_is_object(value)) return wrong(r, name, "an object");
  if (json_object_size(value) > VSI_SCRIPT_ATTRIBUTES_MAX) return wrong(r, name, "at most 64 attributes");
  const char *attribute;
  json_t *content;
  json_object_foreach((json_t *)value, attribute, content) {
    const char *text = vsi_text_of(content);
    if (!text && !json_is_true(content)) return wrong(r, name, "a string or true for each attribute");
    r->attributes[script->attributes_count++] = (vestry_attribute){attribute, text};
  }
  script->attributes = r->attributes;
  return VESTRY_OK;
}

static const option elements_options[] = {
    {"selector", read_text, offsetof(vestry_elements_options, selector)},
    {"mode", read_mode, offsetof(vestry_elements_options, mode)},
    {"namespace", read_namespace, offsetof(vestry_elements_options, ns)},
#define REMOVE_OPTIONS (&elements_options[3]) /* for an effect that sets the options above itself */
    {"useViewTransition", read_flag, offsetof(vestry_elements_options, use_view_transition)},
    {"viewTransitionSelector", read_text, offsetof(vestry_elements_options, view_transition_selector)},
    {"eventId", read_text, offsetof(vestry_elements_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_elements_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option signals_options[] = {
    {"onlyIfMissing", read_flag, offsetof(vestry_signals_options, only_if_missing)},
    {"eventId", read_text, offsetof(vestry_signals_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_signals_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option plain_options[] = {
    {"eventId", read_text, offsetof(vestry_plain_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_plain_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option script_options[] = {
    {"autoRemove", read_not_flag, offsetof(vestry_script_options, keep)},
    {"attributes", read_attributes, 0},
    {"eventId", read_text, offsetof(vestry_script_options, event.id)},
    {"retryDuration", read_ms, offsetof(vestry_script_options, event.retry_ms)},
    {NULL, NULL, 0},
};

static const option custom_event_options[] = {
    {"selector", read_text, offsetof(vsi_custom_event_options, event.selector)},
    {"bubbles", read_not_flag, offsetof(vsi_custom_event_options, event.no_bubbles)},
    {"cancelable", read_not_flag, offsetof(vsi_custom_event_options, event.not_cancelable)},
    {"composed", read_not_flag, offsetof(vsi_custom_event_options, event.not_composed)},
    {"autoRemove", read_not_flag, offsetof(vsi_custom_event_options, script.keep)},
    {"attributes", read_attributes, offsetof(vsi_custom_event_options, script)},
    {"eventId", read_text, offsetof(vsi_custom_event_options, script.event.id)},
    {"retryDuration", read_ms, offsetof(vsi_custom_event_options, script.event.retry_ms)},
    {NULL, NULL, 0},
};

static const option *find(const option *options, const char *name) {
  for (; options->name; options++)
    if (strcmp(options->name, name) == 0) return options;
  return NULL;
}

static vestry_err read_all(reader *r, const json_t *json, const option *options, void *ret_options) {
  if (!json || json_is_null(json)) return VESTRY_OK;
  if (!json_is_object(json)) return vestry_context_fail(r->context, VESTRY_INVALID, "the options must be an object");
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)json, name, value) { /* iteration does not modify it */
    const option *known = find(options, name);
    if (!known) return vestry_context_fail(r->context, VESTRY_INVALID, "unknown option %.40s", name);
    vestry_err error = known->read(r, name, value, (char *)ret_options + known->offset);
    if (error) return error;
  }
  return VESTRY_OK;
}

vestry_err vsi_elements_options_read(vestry_dispatch_context *context, const json_t *json,
                                     vestry_elements_options *ret_options) {
  *ret_options = (vestry_elements_options){.size = sizeof *ret_options};
  return read_all(&(reader){context, NULL}, json, elements_options, ret_options);
}

vestry_err vsi_remove_options_read(vestry_dispatch_context *context, const json_t *json,
                                   vestry_elements_options *ret_options) {
  *ret_options = (vestry_elements_options){.size = sizeof *ret_options};
  return read_all(&(reader){context, NULL}, json, REMOVE_OPTIONS, ret_options);
}

vestry_err vsi_signals_options_read(vestry_dispatch_context *context, const json_t *json,
                                    vestry_signals_options *ret_options) {
  *ret_options = (vestry_signals_options){.size = sizeof *ret_options};
  return read_all(&(reader){context, NULL}, json, signals_options, ret_options);
}

vestry_err vsi_plain_options_read(vestry_dispatch_context *context, const json_t *json,
                                  vestry_plain_options *ret_options) {
  *ret_options = (vestry_plain_options){.size = sizeof *ret_options};
  return read_all(&(reader){context, NULL}, json, plain_options, ret_options);
}

vestry_err vsi_script_options_read(vestry_dispatch_context *context, const json_t *json, vestry_attribute *attributes,
                                   vestry_script_options *ret_options) {
  *ret_options = (vestry_script_options){.size = sizeof *ret_options};
  return read_all(&(reader){context, attributes}, json, script_options, ret_options);
}

vestry_err vsi_custom_event_options_read(vestry_dispatch_context *context, const json_t *json,
                                         vestry_attribute *attributes, vsi_custom_event_options *ret_options) {
  *ret_options = (vsi_custom_event_options){.event.script = &ret_options->script};
  return read_all(&(reader){context, attributes}, json, custom_event_options, ret_options);
}
