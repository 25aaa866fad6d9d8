/* SPDX-License-Identifier: MIT */
/* Making events and sending them to a connection. */
#include <stdarg.h>

#include "base/log.h"
#include "base/memory.h"
#include "connection/refusal.h"
#include "connection/send.h"
#include "event/effect.h"
#include "event/layout.h"

vestry_err vsi_connection_send_made(vestry_connection *connection, vestry_err made, vestry_event *event) {
  if (made == VESTRY_INVALID)
    return vsi_mistake(vsi_connection_host(connection), "vestry_connection_patch_…",
                       "no event can be made of these arguments; see the errors of the function that makes the event");
  if (made) return vsi_connection_refused(connection, made);
  vestry_err error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  return error;
}

vestry_err vestry_connection_patch_elements(vestry_connection *connection, const char *html, size_t len,
                                            const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_elements(vsi_connection_host(connection), html, len, options, &event);
  return vsi_connection_send_made(connection, made, event);
}

vestry_err vestry_connection_patch_elementsf(vestry_connection *connection, const vestry_elements_options *options,
                                             const char *format, ...) {
  vestry_event *event = NULL;
  va_list arguments;
  va_start(arguments, format);
  vestry_err made = vsi_event_velements(vsi_connection_host(connection), options, &event, format, arguments);
  va_end(arguments);
  return vsi_connection_send_made(connection, made, event);
}

vestry_err vestry_connection_patch_signals(vestry_connection *connection, const vestry_value *signals,
                                           const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_signals(vsi_connection_host(connection), signals, options, &event);
  return vsi_connection_send_made(connection, made, event);
}

/* Make the events of effects, and send them together. */
static vestry_err send_effects(vestry_connection *connection, const json_t *effects, size_t count, vsi_effect *made) {
  vestry_event **events = vsi_calloc(made->host, count, sizeof *events);
  vestry_err error = events ? VESTRY_OK : VESTRY_NO_MEMORY;
  size_t done = 0;
  for (; !error && done < count; done++) {
    error = vsi_effect_make(made, json_is_string(json_array_get(effects, 0)) ? effects : json_array_get(effects, done));
    if (error) break;
    events[done] = made->event;
  }
  error = error ? vsi_connection_refused(connection, error) : vestry_connection_send_all(connection, events, count);
  while (done) vestry_event_unref(events[--done]);
  vsi_free(made->host, events);
  return error;
}

vestry_err vestry_connection_effects(vestry_connection *connection, const vestry_value *effects) {
  vsi_effect made = {.host = vsi_connection_host(connection)};
  json_t *json = NULL;
  vestry_err error = effects ? vestry_value_to_json(effects, &json) : VESTRY_INVALID;
  const size_t count = json_is_string(json_array_get(json, 0)) ? 1 : json_array_size(json);
  if (!error && !count) error = VESTRY_INVALID;
  error = error ? vsi_connection_refused(connection, error) : send_effects(connection, json, count, &made);
  json_decref(json);
  if (error == VESTRY_INVALID || error == VESTRY_NOT_FOUND)
    vsi_log_mistake(made.host, "vestry_connection_effects",
                    *made.why ? made.why : "the effects are not a list of effects");
  return error;
}
