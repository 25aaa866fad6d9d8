/* SPDX-License-Identifier: MIT */
/* Make an event and send it: one function for each kind of event. */
#include "connection/send.h"

#define SEND(connection, make, ...)                                                                                    \
  do {                                                                                                                 \
    vestry_event *event = NULL;                                                                                        \
    vestry_err error = make(vsi_connection_host(connection), __VA_ARGS__, &event);                                     \
    return vsi_connection_send_made(connection, error, event);                                                         \
  } while (0)

vestry_err vestry_connection_patch_elements(vestry_connection *connection, const char *html, size_t len,
                                            const vestry_elements_options *options) {
  SEND(connection, vestry_event_elements, html, len, options);
}

vestry_err vestry_connection_patch_signals_text(vestry_connection *connection, const char *json, size_t len,
                                                const vestry_signals_options *options) {
  SEND(connection, vestry_event_signals_text, json, len, options);
}

vestry_err vestry_connection_patch_signals(vestry_connection *connection, const vestry_value *signals,
                                           const vestry_signals_options *options) {
  SEND(connection, vestry_event_signals, signals, options);
}

vestry_err vestry_connection_execute_script(vestry_connection *connection, const char *script, size_t len,
                                            const vestry_script_options *options) {
  SEND(connection, vestry_event_script, script, len, options);
}

vestry_err vestry_connection_event(vestry_connection *connection, const char *name, const char *data, size_t len,
                                   const vestry_plain_options *options) {
  SEND(connection, vestry_event_plain, name, data, len, options);
}

vestry_err vestry_connection_remove_elements(vestry_connection *connection, const char *selector,
                                             const vestry_elements_options *options) {
  SEND(connection, vestry_event_remove, selector, options);
}

vestry_err vestry_connection_redirect(vestry_connection *connection, const char *url,
                                      const vestry_script_options *options) {
  SEND(connection, vestry_event_redirect, url, options);
}
