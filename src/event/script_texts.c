/* SPDX-License-Identifier: MIT */
/* The functions of script.h: client actions, and speculation rules, which need a script element of a special type. */
#include <string.h>

#include "base/ascii.h"
#include "base/options.h"
#include "event/client_action.h"
#include "event/escape.h"
#include "vestry/script.h"
#include "json/json.h"
#include "json/write.h"

/* Make an event of the action, and finish the action. */
static vestry_err send_off(vsi_client_action *action, const vestry_script_options *options, vestry_event **ret_event) {
  vestry_err error = vsi_client_action_event(action, options, ret_event);
  vsi_client_action_finish(action);
  return error;
}

/* Make an event of one call with one string: before '…' behind. */
static vestry_err call(const vestry_host *host, const char *before, const char *string, size_t len, const char *behind,
                       const vestry_script_options *options, vestry_event **ret_event) {
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_client_action action;
  vsi_client_action_init(&action, host);
  vsi_client_action_code(&action, before);
  vsi_client_action_string(&action, string ? string : "", len);
  vsi_client_action_code(&action, behind);
  return send_off(&action, options, ret_event);
}

vestry_err vestry_event_console_log(const vestry_host *host, const char *text, size_t len,
                                    const vestry_script_options *options, vestry_event **ret_event) {
  if (!text && len) return VESTRY_INVALID;
  return call(host, "console.log(", text, len, ")", options, ret_event);
}

vestry_err vestry_event_console_error(const vestry_host *host, const char *text, size_t len,
                                      const vestry_script_options *options, vestry_event **ret_event) {
  if (!text && len) return VESTRY_INVALID;
  return call(host, "console.error(", text, len, ")", options, ret_event);
}

/* -------------------------------------------------------------------------------------- addresses ---- */

/* Return whether a browser treats the text as a relative address or a web address. Browsers (WHATWG URL, section 4.4)
 * skip leading spaces and control characters, and tabs and line breaks anywhere, before they look for a scheme: a
 * letter, then letters, digits, `+`, `-`, `.` up to a colon. No address needs control characters, so they are refused
 * anywhere, and the rest is parsed as browsers do. The allowed schemes are listed, because the schemes that run code,
 * or show content that the application did not make, differ among browsers. */
bool vsi_is_web_address(const char *url) {
  if (!url || !*url) return false;
  for (const char *at = url; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7F) return false;
  url += strspn(url, " ");
  if (!vsi_is_letter(*url)) return true;
  const char *end = url;
  while (vsi_is_letter(*end) || (*end && strchr("0123456789+-.", *end))) end++;
  if (*end != ':') return true;
  size_t len = (size_t)(end + 1 - url);
  return vsi_starts_with(url, len, "http:") || vsi_starts_with(url, len, "https:");
}

vestry_err vestry_event_redirect(const vestry_host *host, const char *url, const vestry_script_options *options,
                                 vestry_event **ret_event) {
  if (!vsi_is_web_address(url)) return VESTRY_INVALID;
  if (strlen(url) > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_client_action action;
  vsi_client_action_init(&action, host);
  vsi_client_action_leave(&action, url);
  return send_off(&action, options, ret_event);
}

vestry_err vestry_event_replace_url(const vestry_host *host, const char *url, const vestry_script_options *options,
                                    vestry_event **ret_event) {
  if (!vsi_is_web_address(url)) return VESTRY_INVALID;
  return call(host, "window.history.replaceState(window.history.state, '', ", url, strlen(url), ")", options,
              ret_event);
}

/* Navigate by a timer, like a redirect (client_action.c), because the navigation ends the page's stream, and some of
 * its events may have arrived without being applied. */
static vestry_err navigate(const vestry_host *host, const char *url, const char *how, const char *otherwise,
                           const vestry_script_options *options, vestry_event **ret_event) {
  if (!vsi_is_web_address(url)) return VESTRY_INVALID;
  if (strlen(url) > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_client_action action;
  vsi_client_action_init(&action, host);
  vsi_client_action_code(&action, "setTimeout((url) => window.vestryNavigate?.(url, ");
  vsi_client_action_code(&action, how);
  vsi_client_action_code(&action, ") || window.location.");
  vsi_client_action_code(&action, otherwise);
  vsi_client_action_code(&action, "(url), 0, ");
  vsi_client_action_string(&action, url, strlen(url));
  vsi_client_action_code(&action, ")");
  return send_off(&action, options, ret_event);
}

vestry_err vestry_event_navigate(const vestry_host *host, const char *url, const vestry_script_options *options,
                                 vestry_event **ret_event) {
  return navigate(host, url, "'push'", "assign", options, ret_event);
}

vestry_err vestry_event_navigate_replace(const vestry_host *host, const char *url, const vestry_script_options *options,
                                         vestry_event **ret_event) {
  return navigate(host, url, "'replace'", "replace", options, ret_event);
}

/* The application's attributes follow the attribute that makes the script a speculation rule. */
enum { MAX_ATTRIBUTES = 64 };

vestry_err vestry_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                                 const vestry_script_options *options, vestry_event **ret_event) {
  vestry_script_options own = {0};
  vestry_err error = VSI_OPTIONS_TAKE(vestry_script_options, own, options);
  if (error) return error;
  if (own.attributes_count >= MAX_ATTRIBUTES || (own.attributes_count && !own.attributes)) return VESTRY_INVALID;
  vestry_attribute attributes[MAX_ATTRIBUTES] = {{"type", "speculationrules"}};
  for (size_t i = 0; i < own.attributes_count; i++) {
    attributes[i + 1] = own.attributes[i];
    const char *name = own.attributes[i].name;
    if (name && strlen(name) == 4 && vsi_starts_with(name, 4, "type"))
      return VESTRY_INVALID; /* the parser would drop the second */
  }
  own.attributes = attributes;
  own.attributes_count++;
  own.keep = true;
  if (!urls || !count) return VESTRY_INVALID;
  vsi_buffer text;
  vsi_buffer_init(&text, host);
  vsi_buffer_append_str(&text, "{\"prefetch\":[{\"source\":\"list\",\"urls\":[");
  for (size_t i = 0; i < count && !text.error; i++) {
    if (!vsi_is_web_address(urls[i]) || text.len > VESTRY_EVENT_MAX_BYTES) {
      error = vsi_is_web_address(urls[i]) ? VESTRY_TOO_LARGE : VESTRY_INVALID;
      break;
    }
    if (i) vsi_buffer_append_char(&text, ',');
    vsi_literal_append(&text, urls[i], strlen(urls[i]));
  }
  vsi_buffer_append_str(&text, "]}]}");
  if (!error) error = text.error;
  if (!error) error = vestry_event_script(host, text.data, text.len, &own, ret_event);
  vsi_buffer_finish(&text);
  return error;
}

/* -------------------------------------------------------------------- events of the application ---- */

/* The detail is passed through JSON.parse instead of being written as an expression, although all JSON is a valid
 * expression: there, a member named __proto__ would set the object's prototype. */
vestry_err vestry_event_custom(const vestry_host *host, const char *name, const char *detail, size_t detail_len,
                               const vestry_custom_event_options *options, vestry_event **ret_event) {
  static const vsi_json_limits limits = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX};
  if (!name || !*name || (!detail && detail_len)) return VESTRY_INVALID;
  vestry_custom_event_options own = {0};
  vestry_err error = VSI_OPTIONS_TAKE(vestry_custom_event_options, own, options);
  if (error) return error;
  if (detail_len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (detail_len) error = vsi_json_check(detail, detail_len, &limits, VSI_JSON_VALUE, NULL);
  if (error == VESTRY_MALFORMED) error = VESTRY_INVALID; /* an error of the program, not of a client */
  if (error) return error;
  vsi_client_action action;
  vsi_client_action_init(&action, host);
  if (own.selector && *own.selector) {
    vsi_client_action_code(&action, "for (const to of document.querySelectorAll(");
    vsi_client_action_string(&action, own.selector, strlen(own.selector));
    vsi_client_action_code(&action, ")) to");
  } else {
    vsi_client_action_code(&action, "document");
  }
  vsi_client_action_code(&action, ".dispatchEvent(new CustomEvent(");
  vsi_client_action_string(&action, name, strlen(name));
  vsi_client_action_code(&action, own.no_bubbles ? ", {bubbles: false" : ", {bubbles: true");
  vsi_client_action_code(&action, own.not_cancelable ? ", cancelable: false" : ", cancelable: true");
  vsi_client_action_code(&action, own.not_composed ? ", composed: false" : ", composed: true");
  if (detail_len) {
    vsi_client_action_code(&action, ", detail: JSON.parse(");
    vsi_client_action_string(&action, detail, detail_len);
    vsi_client_action_code(&action, ")");
  }
  vsi_client_action_code(&action, "}))");
  return send_off(&action, own.script, ret_event);
}
