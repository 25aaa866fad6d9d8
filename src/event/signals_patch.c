/* SPDX-License-Identifier: MIT */
/* Signals patches made from values: the JSON is written into the event directly. */
#include "event/signals_patch.h"

#include "base/field.h"
#include "base/options.h"
#include "event/layout.h"
#include "json/json.h"
#include "json/write.h"

/* A value is written directly: it needs no check and has no line breaks. */
typedef struct patch {
  vestry_signals_options options;
  const char *json; /* of a patch given as text */
  size_t len;
  const vestry_value *signals;
  vestry_err *error; /* of writing; both passes have the same */
} patch;

static void patch_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  const patch *p = ctx;
  vsi_put_head(writer, meaning, p->options.only_if_missing ? VSI_EVENT_MISSING_SIGNALS : VSI_EVENT_SIGNALS,
               &p->options.event);
  if (p->options.only_if_missing) vsi_put_str(writer, "data: onlyIfMissing true\n");
  vsi_put_content_key(writer, meaning, "data: signals ");
  if (p->signals)
    *p->error = vsi_json_put_value(writer, p->signals);
  else
    vsi_put_lines(writer, p->json, p->len, "data: signals ");
  vsi_put(writer, "\n\n", 2);
}

static vestry_err take_options(patch *p, const vestry_signals_options *options) {
  if (VSI_OPTIONS_TAKE(vestry_signals_options, p->options, options) || !vsi_is_one_line(p->options.event.id))
    return VESTRY_INVALID;
  return VESTRY_OK;
}

/* The browser parses the text, so the accepted grammar is exactly that of JSON.parse. Only the nesting is bounded,
 * because the client merges recursively. */
static const vsi_json_limits limits = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX};

vestry_err vestry_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                     const vestry_signals_options *options, vestry_event **ret_event) {
  if (!json && len) return VESTRY_INVALID;
  patch p = {.json = json, .len = len};
  vestry_err error = take_options(&p, options);
  if (error) return error;
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_json_fault fault;
  error = vsi_json_check(json, len, &limits, VSI_JSON_OBJECT, &fault);
  if (error == VESTRY_MALFORMED) error = VESTRY_INVALID; /* an error of the program, not of a client */
  return error ? error : vsi_event_build(host, patch_layout, &p, ret_event);
}

vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                const vestry_signals_options *options, vestry_event **ret_event) {
  if (!signals ||
      (signals->type == VESTRY_VALUE_JSON ? !json_is_object(signals->json) : signals->type != VESTRY_VALUE_OBJECT))
    return VESTRY_INVALID;
  vestry_err written = VESTRY_OK;
  patch p = {.signals = signals, .error = &written};
  vestry_event *event = NULL;
  vestry_err error = take_options(&p, options);
  if (!error) error = vsi_event_build(host, patch_layout, &p, &event);
  if (!error && !written) {
    *ret_event = event;
    return VESTRY_OK;
  }
  vestry_event_unref(event);
  return written ? written : error;
}
