/* SPDX-License-Identifier: MIT */
/* Events that make the page run code: client actions (script.h), and script elements, which remove themselves unless
 * they are to be kept. Speculation rules need a script element of a special type. The lines of such an event, with both
 * forms of the last line:
 *
 *   event: datastar-patch-elements
 *   data: selector body
 *   data: mode append
 *   data: elements <i hidden data-init="console.log('hi'); el.remove()"></i>
 *   data: elements <script data-effect="el.remove()">alert(1)</script> */
#include "event/script.h"

#include <string.h>

#include "base/ascii.h"
#include "base/field.h"
#include "html/escape.h"
#include "html/tag.h"
#include "json/write.h"

/* ------------------------------------------------------------------------------------------------ escapes ---- */

/* Sequences that must not follow a `<` in the text of a script element.
 *
 * - `/script` ends the element.
 * - `!--` begins a state of the HTML parser in which a later `<script` makes it ignore the next `</script>`. Without
 *   the first, the second is harmless. So `<script` is not escaped: minified code contains it as "less than script".
 * - The last three concern the client. If the elements contain any of them, the client parses all elements as a
 *   document, and the script moves into a head that is dropped, so it does not run. */
static const char *const hazards[] = {"/script", "!--", "/html", "/head", "/body"};

/* Write the text of a script element. The script has the same effect; only the `<` of sequences that would end the
 * element or change its parsing is escaped.
 *
 * The `<` is written as \u003C. Strings, templates and regular expressions read this as `<`, and so does JSON, because
 * some script elements contain JSON (speculation rules, import maps). If a backslash already escapes the `<`, that
 * backslash is used: a second one would turn the pair into a backslash and "u003C". */
static void put_script_text(vsi_html *html, const char *text, size_t len) {
  const char *end = text + len;
  const char *written = text, *at = text;
  while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
    if (VSI_STARTS_WITH_ANY(((vestry_slice){at + 1, (size_t)(end - at - 1)}), hazards)) {
      size_t backslashes = 0;
      while (at - backslashes > text && *(at - backslashes - 1) == '\\') backslashes++;
      vsi_html_put(html, written, (size_t)(at - written));
      vsi_html_put_str(html, backslashes % 2 ? "u003C" : "\\u003C");
      written = at + 1;
    }
    at++;
  }
  vsi_html_put(html, written, (size_t)(end - written));
}

/* Write an attribute's value for double quotes, on one line. */
static void put_attribute_value(vsi_html *html, const char *value) {
  static const char special[] = "&\"<>\r\n";
  static const char *const references[] = {"&amp;", "&quot;", "&lt;", "&gt;", "&#13;", "&#10;"};
  for (;; value++) {
    const size_t plain = strcspn(value, special);
    vsi_html_put(html, value, plain);
    value += plain;
    if (!*value) return;
    vsi_html_put_str(html, references[strchr(special, *value) - special]);
  }
}

/* Return whether the text can be an attribute's name: ASCII letters, digits, '-', '_', ':', '.', at least one. */
static bool is_attribute_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.";
  return name && *name && name[strspn(name, allowed)] == '\0';
}

/* --------------------------------------------------------------------------------------- elements and events ---- */

/* Begin an element with the application's attributes. reserved: an attribute that the element has already, because the
 * parser drops the second of two attributes with the same name, so one of the two would be lost silently; NULL: none */
static vsi_html *begin_element(vestry_html *builder, const vestry_host *host, const char *opening,
                               const vsi_script_options *options, const char *reserved) {
  vestry_html_init(builder, host);
  vsi_html *html = vsi_html_of(builder);
  vsi_html_put_str(html, opening);
  for (size_t i = 0; i < options->attributes_count; i++) {
    const vestry_attribute *attribute = &options->attributes[i];
    if (!is_attribute_name(attribute->name) || (reserved && vsi_strcasecmp(attribute->name, reserved) == 0)) {
      vsi_html_fail(html, VESTRY_INVALID, "an attribute's name");
      break;
    }
    vsi_html_put_str(html, " ");
    vsi_html_put_str(html, attribute->name);
    if (attribute->value) {
      vsi_html_put_str(html, "=\"");
      put_attribute_value(html, attribute->value);
      vsi_html_put_str(html, "\"");
    }
  }
  return html;
}

/* Make the event that appends the element to the body, and finish the builder. */
static vestry_err append_element(vestry_html *builder, const vsi_script_options *options, vestry_event **ret_event) {
  const vestry_elements_options append = {.selector = "body", .mode = VESTRY_PATCH_APPEND, .event = options->event};
  vestry_slice made;
  vestry_err error = vestry_html_result(builder, &made);
  if (!error) error = vestry_event_elements(vsi_html_of(builder)->host, made.data, made.len, &append, ret_event);
  vestry_html_finish(builder);
  return error;
}

vestry_err vsi_event_script(const vestry_host *host, const char *text, size_t len, const vsi_script_options *options,
                            vestry_event **ret_event) {
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_html builder;
  vsi_html *html = begin_element(&builder, host, "<script", options, options->keep ? NULL : "data-effect");
  vsi_html_put_str(html, options->keep ? ">" : " data-effect=\"el.remove()\">");
  put_script_text(html, text, len);
  vsi_html_put_str(html, "</script>");
  return append_element(&builder, options, ret_event);
}

/* ----------------------------------------------------------------------------------------- client actions ---- */

/* Append a text as a JavaScript string. HTML cannot contain a NUL, but a JavaScript string can: it is written as an
 * escape. */
static void put_string(vsi_html *code, const char *text, size_t len) {
  const char *end = text + len;
  vsi_html_put_str(code, "'");
  while (text < end) {
    const char *nul = memchr(text, '\0', (size_t)(end - text));
    vsi_html_escape_js(code, text, (size_t)((nul ? nul : end) - text));
    if (nul) vsi_html_put_str(code, "\\x00");
    text = nul ? nul + 1 : end;
  }
  vsi_html_put_str(code, "'");
}

/* The element: its start, up to the application's attributes; the attribute with the code; its removal; its end. */
#define OPENING   "<i hidden"
#define ATTRIBUTE " data-init=\""
#define REMOVAL   "; el.remove()"
#define CLOSING   "\"></i>"

static vsi_html *begin_action(vestry_html *builder, const vestry_host *host, const vsi_script_options *options) {
  vsi_html *code = begin_element(builder, host, OPENING, options, "data-init");
  vsi_html_put_str(code, ATTRIBUTE);
  return code;
}

/* End the code, which is on one line and has no double quotes and ampersands, and make the event. */
static vestry_err end_action(vestry_html *builder, const vsi_script_options *options, vestry_event **ret_event) {
  vsi_html_put_str(vsi_html_of(builder), options->keep ? CLOSING : REMOVAL CLOSING);
  return append_element(builder, options, ret_event);
}

vestry_err vsi_html_leave(vestry_html *html, const char *url) {
  vsi_html *to = vsi_html_of(html);
  vsi_html_put_str(to, OPENING ATTRIBUTE VSI_LEAVING);
  put_string(to, url, strlen(url));
  vsi_html_put_str(to, ")" REMOVAL CLOSING);
  return to->error;
}

vestry_err vsi_event_call(const vestry_host *host, const char *before, const char *string, size_t len,
                          const vsi_script_options *options, vestry_event **ret_event) {
  if (len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_html builder;
  vsi_html *code = begin_action(&builder, host, options);
  vsi_html_put_str(code, before);
  put_string(code, string, len);
  vsi_html_put_str(code, ")");
  return end_action(&builder, options, ret_event);
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

/* The rules contain no `<` that would have to be escaped. */
vestry_err vsi_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                              const vsi_script_options *options, vestry_event **ret_event) {
  if (!count) return VESTRY_INVALID;
  vestry_html builder;
  vsi_html *html = begin_element(&builder, host, "<script type=\"speculationrules\"", options, "type");
  vsi_html_put_str(html, ">{\"prefetch\":[{\"source\":\"list\",\"urls\":[");
  vsi_buffer list;
  vsi_buffer_init(&list, host);
  for (size_t i = 0; i < count && !html->error; i++) {
    if (list.len > VESTRY_EVENT_MAX_BYTES) vsi_html_fail(html, VESTRY_TOO_LARGE, "the addresses");
    if (i) vsi_buffer_append_char(&list, ',');
    if (vsi_is_web_address(urls[i]))
      vsi_literal_append(&list, urls[i], strlen(urls[i]));
    else
      vsi_html_fail(html, VESTRY_INVALID, "an address");
  }
  if (list.error) vsi_html_fail(html, list.error, "the addresses");
  vsi_html_put(html, list.data, list.len);
  vsi_html_put_str(html, "]}]}</script>");
  vsi_buffer_finish(&list);
  return append_element(&builder, options, ret_event);
}

/* -------------------------------------------------------------------- events of the application ---- */

/* The detail is passed through JSON.parse instead of being written as an expression, although all JSON is a valid
 * expression: there, a member named __proto__ would set the object's prototype. */
vestry_err vsi_event_custom(const vestry_host *host, const char *name, const char *detail, size_t detail_len,
                            const vsi_script_options *options, vestry_event **ret_event) {
  if (!*name) return VESTRY_INVALID;
  if (detail_len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_html builder;
  vsi_html *code = begin_action(&builder, host, options);
  if (options->selector && *options->selector) {
    vsi_html_put_str(code, "for (const to of document.querySelectorAll(");
    put_string(code, options->selector, strlen(options->selector));
    vsi_html_put_str(code, ")) to");
  } else {
    vsi_html_put_str(code, "document");
  }
  vsi_html_put_str(code, ".dispatchEvent(new CustomEvent(");
  put_string(code, name, strlen(name));
  vsi_html_put_str(code, options->no_bubbles ? ", {bubbles: false" : ", {bubbles: true");
  vsi_html_put_str(code, options->not_cancelable ? ", cancelable: false" : ", cancelable: true");
  vsi_html_put_str(code, options->not_composed ? ", composed: false" : ", composed: true");
  if (detail_len) {
    vsi_html_put_str(code, ", detail: JSON.parse(");
    put_string(code, detail, detail_len);
    vsi_html_put_str(code, ")");
  }
  vsi_html_put_str(code, "}))");
  return end_action(&builder, options, ret_event);
}
