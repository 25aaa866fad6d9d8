/* SPDX-License-Identifier: MIT */
/* Signals patches: from text and from values, and removals. */
#include <string.h>

#include "base/field.h"
#include "event/layout.h"
#include "json/json.h"
#include "json/write.h"

/* A patch is given as text, or as a value. A value is written directly, because it needs no check and has no line
 * breaks. */
typedef struct patch {
  vestry_signals_options options;
  const char *json; /* of a patch given as text */
  size_t len;
  const vestry_value *signals;
  vestry_err *error; /* receives the error of writing the value, which is the same in both passes */
} patch;

static void patch_layout(vsi_writer *writer, const void *ctx) {
  const patch *p = ctx;
  vsi_put_head(writer, VSI_SIGNALS_EVENT, &p->options.event);
  if (p->options.only_if_missing) vsi_put_str(writer, "data: onlyIfMissing true\n");
  vsi_put_str(writer, "data: signals ");
  if (p->signals)
    *p->error = vsi_json_put_value(writer, p->signals);
  else
    vsi_put_lines(writer, p->json, p->len, "data: signals ");
  vsi_put(writer, "\n\n", 2);
}

static vestry_err take_options(patch *p, const vestry_signals_options *options) {
  p->options = options ? *options : (vestry_signals_options){0};
  if (!vsi_is_one_line(p->options.event.id)) return VESTRY_INVALID;
  /* of several patches that are merged only if a signal is missing, the first one has an effect */
  if (p->options.state && p->options.only_if_missing) return VESTRY_INVALID;
  return vsi_state_check(p->options.state, &p->options.event);
}

/* The browser parses the text, so the accepted grammar is exactly that of JSON.parse. Only the nesting is bounded,
 * because the client merges recursively. */
static const vsi_json_limits limits = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX};

vestry_err vsi_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                  const vestry_signals_options *options, vestry_event **ret_event) {
  if (!json && len) return VESTRY_INVALID;
  patch p = {.json = json, .len = len};
  vestry_err error = take_options(&p, options);
  if (error) return error;
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_json_fault fault;
  error = vsi_json_read(json, len, &limits, VSI_JSON_ROOT_OBJECT, NULL, &fault);
  if (error == VESTRY_MALFORMED) error = VESTRY_INVALID; /* an error of the program, not of a client */
  return error ? error : vsi_event_build_state(host, vsi_state_slice(p.options.state), patch_layout, &p, ret_event);
}

vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                const vestry_signals_options *options, vestry_event **ret_event) {
  if (signals && signals->type == VESTRY_VALUE_STRING && signals->text)
    return vsi_event_signals_text(host, signals->text, strlen(signals->text), options, ret_event);
  if (!signals ||
      (signals->type == VESTRY_VALUE_JSON ? !json_is_object(signals->json) : signals->type != VESTRY_VALUE_OBJECT))
    return VESTRY_INVALID;
  vestry_err written = VESTRY_OK;
  patch p = {.signals = signals, .error = &written};
  vestry_event *event = NULL;
  vestry_err error = take_options(&p, options);
  if (!error) error = vsi_event_build_state(host, vsi_state_slice(p.options.state), patch_layout, &p, &event);
  if (!error && !written) {
    *ret_event = event;
    return VESTRY_OK;
  }
  vestry_event_unref(event);
  return written ? written : error;
}

/* ----------------------------------------------------------------------------------------------- removing ---- */

/* Set a path to null in an object of objects and nulls. A path inside a null is part of it. OK | INVALID (an empty
 * name) | TOO_LARGE (too deep) | NO_MEMORY */
static vestry_err add_path(json_t *object, const char *path) {
  if (!path) return VESTRY_INVALID;
  for (size_t depth = 1;; depth++) {
    const size_t len = strcspn(path, ".");
    const bool is_last = !path[len];
    if (!len) return VESTRY_INVALID;
    if (depth > VSI_JSON_MAX_DEPTH) return VESTRY_TOO_LARGE;
    json_t *inner = json_object_getn(object, path, len);
    if (object && (is_last || !inner)) {
      inner = is_last ? json_null() : json_object();
      if (json_object_setn_new_nocheck(object, path, len, inner)) return VESTRY_NO_MEMORY;
    }
    if (is_last) return VESTRY_OK;
    object = json_is_object(inner) ? inner : NULL;
    path += len + 1;
  }
}

vestry_err vsi_event_remove_signals(const vestry_host *host, const char *const *paths, size_t count,
                                    const vestry_signals_options *options, vestry_event **ret_event) {
  if (!paths || !count || (options && options->only_if_missing)) return VESTRY_INVALID;
  json_t *signals = json_object();
  vestry_err error = signals ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (size_t i = 0; i < count && !error; i++) error = add_path(signals, paths[i]);
  if (!error) error = vestry_event_signals(host, VESTRY_VALUES(signals), options, ret_event);
  json_decref(signals);
  return error;
}
