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
#include "event/layout.h"
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

/* Write the text of a script element, with the prefix in front of each line but the first. The script has the same
 * effect; only the `<` of sequences that would end the element or change its parsing is escaped.
 *
 * The `<` is written as \u003C. Strings, templates and regular expressions read this as `<`, and so does JSON, because
 * some script elements contain JSON (speculation rules, import maps). If a backslash already escapes the `<`, that
 * backslash is used: a second one would turn the pair into a backslash and "u003C". */
static void put_script_text(vsi_writer *writer, const char *text, size_t len, const char *prefix) {
  const char *end = text + len;
  const char *written = text, *at = text;
  while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
    if (VSI_STARTS_WITH_ANY(((vestry_slice){at + 1, (size_t)(end - at - 1)}), hazards)) {
      size_t backslashes = 0;
      while (at - backslashes > text && *(at - backslashes - 1) == '\\') backslashes++;
      vsi_put_lines(writer, written, (size_t)(at - written), prefix);
      vsi_put_str(writer, backslashes % 2 ? "u003C" : "\\u003C");
      written = at + 1;
    }
    at++;
  }
  vsi_put_lines(writer, written, (size_t)(end - written), prefix);
}

/* Write an attribute's value for double quotes, on one line. */
static void put_attribute_value(vsi_writer *writer, const char *value) {
  for (;;) {
    size_t plain = strcspn(value, "&\"<>\r\n");
    vsi_put(writer, value, plain);
    value += plain;
    switch (*value++) {
    case '&': vsi_put_str(writer, "&amp;"); break;
    case '"': vsi_put_str(writer, "&quot;"); break;
    case '<': vsi_put_str(writer, "&lt;"); break;
    case '>': vsi_put_str(writer, "&gt;"); break;
    case '\r': vsi_put_str(writer, "&#13;"); break;
    case '\n': vsi_put_str(writer, "&#10;"); break;
    default: return;
    }
  }
}

/* Return whether the text can be an attribute's name: ASCII letters, digits, '-', '_', ':', '.', at least one. */
static bool is_attribute_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.";
  return name && *name && name[strspn(name, allowed)] == '\0';
}

/* ---------------------------------------------------------------------------------------- script elements ---- */

enum { MAX_ATTRIBUTES = 64 };

typedef struct script {
  vsi_script_options options;
  const char *text;
  size_t len;
} script;

/* Write the event's head, and the lines up to the elements, which append the element to the body. */
static void put_head(vsi_writer *writer, const vsi_script_options *options) {
  vsi_put_head(writer, VSI_ELEMENTS_EVENT, &options->event);
  vsi_put_str(writer, "data: selector body\ndata: mode append\ndata: elements ");
}

/* Write the application's attributes. */
static void put_attributes(vsi_writer *writer, const vsi_script_options *options) {
  for (size_t i = 0; i < options->attributes_count; i++) {
    const vestry_attribute *attribute = &options->attributes[i];
    vsi_put_str(writer, " ");
    vsi_put_str(writer, attribute->name);
    if (attribute->value) {
      vsi_put_str(writer, "=\"");
      put_attribute_value(writer, attribute->value);
      vsi_put_str(writer, "\"");
    }
  }
}

static void script_layout(vsi_writer *writer, const void *ctx) {
  const script *s = ctx;
  put_head(writer, &s->options);
  vsi_put_str(writer, "<script");
  put_attributes(writer, &s->options);
  if (!s->options.keep) vsi_put_str(writer, " data-effect=\"el.remove()\"");
  vsi_put_str(writer, ">");
  put_script_text(writer, s->text, s->len, "data: elements ");
  vsi_put_str(writer, "</script>\n\n");
}

/* Check the options. reserved: an attribute that the element has already; NULL: none. OK | INVALID */
static vestry_err check_options(const vsi_script_options *options, const char *reserved) {
  if (!vsi_is_one_line(options->event.id)) return VESTRY_INVALID;
  if (options->attributes_count > MAX_ATTRIBUTES) return VESTRY_INVALID;
  if (options->attributes_count && !options->attributes) return VESTRY_INVALID;
  for (size_t i = 0; i < options->attributes_count; i++) {
    const char *name = options->attributes[i].name;
    if (!is_attribute_name(name)) return VESTRY_INVALID;
    /* The HTML parser drops the second of two attributes with the same name, so one of the two would be lost
     * silently. */
    if (reserved && vsi_starts_with(name, strlen(name) + 1, reserved) && !name[strlen(reserved)]) return VESTRY_INVALID;
  }
  return VESTRY_OK;
}

vestry_err vsi_event_script(const vestry_host *host, const char *text, size_t len, const vsi_script_options *options,
                            vestry_event **ret_event) {
  if (!text && len) return VESTRY_INVALID;
  script s = {.text = text ? text : "", .len = len};
  if (options) s.options = *options;
  vestry_err error = check_options(&s.options, s.options.keep ? NULL : "data-effect");
  return error ? error : vsi_event_build(host, script_layout, &s, ret_event);
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

typedef struct framed {
  vsi_script_options options;
  vestry_slice code;
} framed;

static void action_layout(vsi_writer *writer, const void *ctx) {
  const framed *f = ctx;
  put_head(writer, &f->options);
  vsi_put_str(writer, OPENING);
  put_attributes(writer, &f->options);
  vsi_put_str(writer, ATTRIBUTE);
  vsi_put(writer, f->code.data, f->code.len);
  vsi_put_str(writer, f->options.keep ? CLOSING "\n\n" : REMOVAL CLOSING "\n\n");
}

/* Make an event of JavaScript code, and finish the code's builder. The code is on one line, and has no double quotes
 * and ampersands. OK | INVALID | TOO_LARGE | NO_MEMORY */
static vestry_err send_off(vestry_html *code, const vsi_script_options *options, vestry_event **ret_event) {
  framed f = {.code = {NULL, 0}};
  vestry_err error = vestry_html_result(code, &f.code);
  if (options) f.options = *options;
  if (!error) error = check_options(&f.options, "data-init");
  if (!error) error = vsi_event_build(vsi_html_of(code)->host, action_layout, &f, ret_event);
  vestry_html_finish(code);
  return error;
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
  vestry_html_init(&builder, host);
  vsi_html *code = vsi_html_of(&builder);
  vsi_html_put_str(code, before);
  put_string(code, string, len);
  vsi_html_put_str(code, ")");
  return send_off(&builder, options, ret_event);
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

/* The application's attributes follow the attribute that makes the script a speculation rule. */
vestry_err vsi_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                              const vsi_script_options *options, vestry_event **ret_event) {
  vsi_script_options own = options ? *options : (vsi_script_options){0};
  if (own.attributes_count >= MAX_ATTRIBUTES || (own.attributes_count && !own.attributes)) return VESTRY_INVALID;
  vestry_attribute attributes[MAX_ATTRIBUTES] = {{"type", "speculationrules"}};
  for (size_t i = 0; i < own.attributes_count; i++) {
    attributes[i + 1] = own.attributes[i];
    const char *name = own.attributes[i].name;
    if (name && vsi_strcasecmp(name, "type") == 0) return VESTRY_INVALID; /* the parser would drop the second */
  }
  own.attributes = attributes;
  own.attributes_count++;
  own.keep = true;
  if (!urls || !count) return VESTRY_INVALID;
  vestry_err error = VESTRY_OK;
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
  if (!error) error = vsi_event_script(host, text.data, text.len, &own, ret_event);
  vsi_buffer_finish(&text);
  return error;
}

/* -------------------------------------------------------------------- events of the application ---- */

/* The detail is passed through JSON.parse instead of being written as an expression, although all JSON is a valid
 * expression: there, a member named __proto__ would set the object's prototype. */
vestry_err vsi_event_custom(const vestry_host *host, const char *name, const char *detail, size_t detail_len,
                            const vsi_custom_event_options *options, vestry_event **ret_event) {
  if (!*name) return VESTRY_INVALID;
  if (detail_len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_html builder;
  vestry_html_init(&builder, host);
  vsi_html *code = vsi_html_of(&builder);
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
  return send_off(&builder, options->script, ret_event);
}
