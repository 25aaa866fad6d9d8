/* Make an event and send it: one function for each kind of event. */
#include "stream/connection.h"

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

vestry_err vestry_connection_patch_signals(vestry_connection *connection, const char *json, size_t len,
                                           const vestry_signals_options *options) {
  SEND(connection, vestry_event_signals, json, len, options);
}

vestry_err vestry_connection_execute_script(vestry_connection *connection, const char *script, size_t len,
                                            const vestry_script_options *options) {
  SEND(connection, vestry_event_script, script, len, options);
}

vestry_err vestry_connection_remove_elements(vestry_connection *connection, const char *selector,
                                             const vestry_elements_options *options) {
  SEND(connection, vestry_event_remove, selector, options);
}

vestry_err vestry_connection_remove_signals(vestry_connection *connection, const char *const *paths, size_t count,
                                            const vestry_signals_options *options) {
  SEND(connection, vestry_event_remove_signals, paths, count, options);
}

vestry_err vestry_connection_console_log(vestry_connection *connection, const char *text, size_t len,
                                         const vestry_script_options *options) {
  SEND(connection, vestry_event_console_log, text, len, options);
}

vestry_err vestry_connection_console_error(vestry_connection *connection, const char *text, size_t len,
                                           const vestry_script_options *options) {
  SEND(connection, vestry_event_console_error, text, len, options);
}

vestry_err vestry_connection_redirect(vestry_connection *connection, const char *url,
                                      const vestry_script_options *options) {
  SEND(connection, vestry_event_redirect, url, options);
}

vestry_err vestry_connection_replace_url(vestry_connection *connection, const char *url,
                                         const vestry_script_options *options) {
  SEND(connection, vestry_event_replace_url, url, options);
}

vestry_err vestry_connection_dispatch_event(vestry_connection *connection, const char *name, const char *detail,
                                            size_t detail_len, const vestry_custom_event_options *options) {
  SEND(connection, vestry_event_custom, name, detail, detail_len, options);
}

vestry_err vestry_connection_prefetch(vestry_connection *connection, const char *const *urls, size_t count,
                                      const vestry_script_options *options) {
  SEND(connection, vestry_event_prefetch, urls, count, options);
}
