/* SPDX-License-Identifier: MIT */
/* An action that runs once sends the signals as they were when the user triggered it (vestry/app/once.h). For a retry,
 * the client builds URL and body again from the signals as they are then (since 1.0.3), but evaluates the action's
 * `payload` only once. Therefore, the expression itself filters the signals, like the client's own filter, and copies
 * them into the payload. It passes the result to a function that the page's attributes define
 * (app/guard/once_attributes.c), which keeps the order of submissions and handles forms. A page without these
 * attributes sends it at once. */
#include "event/script.h"

#include <stddef.h>
#include <string.h>

#include "base/ascii.h"
#include "base/field.h"
#include "event/layout.h"
#include "html/escape.h"
#include "html/format.h"

enum { MAX_HEADERS = 64 };

static const char *const actions[] = {
#define ACTION_NAME(name, action) [VESTRY_METHOD_##name] = action,
    VESTRY_METHODS(ACTION_NAME)
#undef ACTION_NAME
};
static const char *const retries[] = {
    [VESTRY_RETRY_AUTO] = NULL,
    [VESTRY_RETRY_ERROR] = "error",
    [VESTRY_RETRY_ALWAYS] = "always",
    [VESTRY_RETRY_NEVER] = "never",
};
static const char *const cancellations[] = {
    [VESTRY_CANCEL_AUTO] = NULL,
    [VESTRY_CANCEL_CLEANUP] = "cleanup",
    [VESTRY_CANCEL_DISABLED] = "disabled",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Return whether fetch accepts the value, excluding non-ASCII text: fetch would accept Latin-1 and reject the rest, in
 * the browser. */
static bool is_field_value(const char *value) {
  for (const char *at = value; at && *at; at++)
    if (*at & 0x80) return false;
  return value && vsi_is_field_value(value);
}

/* Return whether the text is the path of a signal: names separated by dots. */
static bool is_signal(const char *path, size_t len) {
  bool begins = true;
  for (size_t i = 0; i < len; i++) {
    const char c = path[i];
    if (!vsi_is_letter(c) && c != '_' && (begins || !(vsi_is_digit(c) || c == '.'))) return false;
    begins = c == '.';
  }
  return !begins;
}

static bool are_valid(const vestry_backend_action_options *o) {
  if (o->sent && (!o->once || strlen(o->sent) > VESTRY_SENT_MAX_BYTES || strchr(o->sent, '.') ||
                  !is_signal(o->sent, strlen(o->sent))))
    return false;
  if ((unsigned)o->content > VESTRY_CONTENT_FORM || (unsigned)o->when_hidden > VESTRY_HIDDEN_CLOSED) return false;
  if ((o->deduplicate || o->unordered) && !o->once) return false;
  if ((unsigned)o->retry >= COUNT(retries) || (unsigned)o->cancellation >= COUNT(cancellations)) return false;
  if (o->selector && o->content != VESTRY_CONTENT_FORM) return false;
  if (!(o->retry_scaler >= 0 && o->retry_scaler <= 1e6)) return false; /* also NaN */
  if (o->headers_count > MAX_HEADERS || (o->headers_count && !o->headers)) return false;
  for (size_t i = 0; i < o->headers_count; i++) {
    if (!o->headers[i].name || !vsi_is_token(o->headers[i].name) || !is_field_value(o->headers[i].value)) return false;
  }
  return true;
}

/* An object literal being written; its first member opens it. */
typedef struct object {
  vsi_html *html;
  const char *quote, *opening;
  bool is_open;
} object;

static void put_string(object *o, const char *text) {
  vsi_html_put_str(o->html, o->quote);
  vsi_html_escape_js(o->html, text, strlen(text));
  vsi_html_put_str(o->html, o->quote);
}

static void begin(object *o, const char *name, bool is_quoted) {
  vsi_html_put_str(o->html, o->is_open ? "," : o->opening);
  if (is_quoted)
    put_string(o, name);
  else
    vsi_html_put_str(o->html, name);
  vsi_html_put_str(o->html, ":");
  o->is_open = true;
}

static void put_text(object *o, const char *name, const char *text) {
  if (!text) return;
  begin(o, name, false);
  put_string(o, text);
}

static void put_word(object *o, const char *name, const char *word) {
  begin(o, name, false);
  vsi_html_put_str(o->html, word);
}

static void put_number(object *o, const char *name, const char *format, ...) VESTRY_PRINTF(3, 4);
static void put_number(object *o, const char *name, const char *format, ...) {
  static const vsi_format_sink sink = {vsi_html_put, vsi_html_put, vsi_html_put};
  begin(o, name, false);
  va_list arguments;
  va_start(arguments, format);
  vsi_html_format(o->html, &sink, format, arguments);
  va_end(arguments);
}

static void put_ms(object *o, const char *name, uint32_t ms) {
  if (ms) put_number(o, name, "%lu", (unsigned long)vsi_browser_ms(ms));
}

/* Write JavaScript of this file: quotes as the place requires, and characters that are special in HTML escaped. */
static void put_code(vsi_html *html, const char *code, const char *quote) {
  for (size_t plain; *code; code++) {
    plain = strcspn(code, "'&>");
    vsi_html_put(html, code, plain);
    code += plain;
    if (!*code) break;
    vsi_html_put_str(html, *code == '\'' ? quote : *code == '&' ? "&amp;" : "&gt;");
  }
}

static void put_headers(object *o, const vestry_backend_action_options *options) {
  if (!options->headers_count && !options->csrf && !options->once) return;
  put_word(o, "headers", "");
  object headers = {.html = o->html, .quote = o->quote, .opening = "{"};
  for (size_t i = 0; i < options->headers_count; i++) {
    begin(&headers, options->headers[i].name, true);
    put_string(&headers, options->headers[i].value);
  }
  if (options->csrf) {
    begin(&headers, "X-CSRF-Token", true);
    vsi_html_put_str(o->html, "$_csrf");
  }
  if (options->once) { /* the page's nonce, and a random value that identifies this call of the action */
    begin(&headers, "X-Once", true);
    put_code(o->html, "$_once+'.'+crypto.getRandomValues(new Uint32Array(4)).join('-')", o->quote);
  }
  vsi_html_put_str(o->html, "}");
}

static void put_filter(object *o, const vestry_backend_action_options *options) {
  if (!options->filter_include && !options->filter_exclude) return;
  put_word(o, "filterSignals", "");
  object filter = {.html = o->html, .quote = o->quote, .opening = "{"};
  put_text(&filter, "include", options->filter_include);
  put_text(&filter, "exclude", options->filter_exclude);
  vsi_html_put_str(o->html, "}");
}

/* Write RegExp('…').test. A slash at either end is dropped, because the client takes it for a delimiter. */
static void put_pattern(object *o, const char *pattern) {
  size_t len = strlen(pattern);
  if (len && pattern[len - 1] == '/') len--;
  if (len && *pattern == '/') pattern++, len--;
  put_code(o->html, "RegExp('", o->quote);
  vsi_html_escape_js(o->html, pattern, len);
  put_code(o->html, "').test(p+k)", o->quote);
}

/* Write an expression for the signals that the filter accepts, evaluated when the action runs, without subscribing to
 * them. Groups are filtered recursively, and omitted if nothing remains. The code contains no semicolon and no slash,
 * because the client's parser splits there. */
static void put_snapshot(object *o, const vestry_backend_action_options *options) {
  put_code(o->html,
           "@peek(()=>(f=>JSON.parse(JSON.stringify(f(f,$,''))||'{}'))((f,o,p)=>Object.entries(o).reduce((r,[k,v])=>"
           "(v&&Object.getPrototypeOf(v)==Object.prototype?v=f(f,v,p+k+'.'):",
           o->quote);
  if (options->filter_include) {
    put_pattern(o, options->filter_include);
    put_code(o->html, "&&", o->quote);
  }
  vsi_html_put_str(o->html, "!");
  put_pattern(o, options->filter_exclude ? options->filter_exclude : "(^|\\.)_");
  put_code(o->html, ")?{...r,[k]:v}:r,void 0)))", o->quote);
}

/* Write the content of the request, unless it is a form or what the client sends by default. */
static void put_payload(object *o, const vestry_backend_action_options *options, bool is_carried, bool is_of_pressed) {
  if (options->content == VESTRY_CONTENT_FORM && !options->payload) return;
  if (!options->payload && !is_carried && !is_of_pressed) return;
  put_word(o, "payload", is_of_pressed ? "b.dataset.payload?JSON.parse(b.dataset.payload):" : "");
  if (options->payload) {
    const vestry_value payload = vestry_value_json((json_t *)(uintptr_t)options->payload); /* cast: it is only read */
    vsi_html_put_value(o->html, &payload, "&quot;");
  } else if (is_carried) {
    put_snapshot(o, options);
  } else {
    vsi_html_put_str(o->html, "void 0");
  }
}

/* Write the action's options. cancel: JavaScript; NULL: as the options specify. */
static void put_options(vsi_html *html, const vestry_backend_action_options *options, const char *cancel,
                        const char *quote, bool is_carried, bool is_of_pressed) {
  object o = {.html = html, .quote = quote, .opening = ",{"};
  put_text(&o, "contentType", options->content == VESTRY_CONTENT_FORM ? "form" : NULL);
  put_text(&o, "selector", options->selector);
  put_headers(&o, options);
  if (!is_carried) put_filter(&o, options);
  put_payload(&o, options, is_carried, is_of_pressed);
  if (options->when_hidden)
    put_word(&o, "openWhenHidden", options->when_hidden == VESTRY_HIDDEN_OPEN ? "true" : "false");
  put_text(&o, "retry", retries[options->retry]);
  put_ms(&o, "retryInterval", options->retry_interval_ms);
  if (options->retry_scaler > 0) put_number(&o, "retryScaler", "%.15g", options->retry_scaler);
  put_ms(&o, "retryMaxWait", options->retry_max_wait_ms);
  if (options->retry_max_count == VESTRY_RETRY_FOREVER)
    put_word(&o, "retryMaxCount", "Infinity");
  else if (options->retry_max_count)
    put_number(&o, "retryMaxCount", "%lu", (unsigned long)options->retry_max_count);
  if (cancel)
    put_word(&o, "requestCancellation", cancel);
  else
    put_text(&o, "requestCancellation",
             cancellations[is_carried && !options->cancellation ? VESTRY_CANCEL_DISABLED : options->cancellation]);
  if (options->deduplicate) put_word(&o, "untilAnswered", "true");
  if (options->unordered) put_word(&o, "unordered", "true");
  put_text(&o, "sent", options->sent);
  if (o.is_open) vsi_html_put_str(html, "}");
}

/* Write a part of the URL from the format itself, in which {$signal} is replaced by the signal's value when the action
 * runs. Quotes are references, because an action never stands in a script element. */
static void put_url(vsi_html *html, const char *bytes, size_t len) {
  const char *end = bytes + len;
  for (const char *begin; (begin = memmem(bytes, (size_t)(end - bytes), "{$", 2)) != NULL;) {
    const char *name = begin + 2, *close = memchr(name, '}', (size_t)(end - name));
    if (!close || !is_signal(name, (size_t)(close - name))) {
      vsi_html_fail(html, VESTRY_INVALID, "in an action's URL, {$ is not followed by the path of a signal and }");
      return;
    }
    vsi_html_escape_js(html, bytes, (size_t)(begin - bytes));
    vsi_html_put_str(html, "&#39;+encodeURIComponent($");
    vsi_html_put(html, name, (size_t)(close - name));
    vsi_html_put_str(html, ")+&#39;");
    bytes = close + 1;
  }
  vsi_html_escape_js(html, bytes, (size_t)(end - bytes));
}

static void put_call(vsi_html *html, vestry_method method) {
  vsi_html_put_str(html, "@");
  vsi_html_put_str(html, actions[method]);
}

/* An action that is being written. */
typedef struct action {
  vsi_html *html;
  vestry_method method;
  vestry_backend_action_options options;
  const char *quote;
  bool is_carried; /* with a nonce. Safe methods change nothing and show the newest state, so they need no snapshot */
} action;

/* Write an action up to its URL. */
static vestry_err begin_action(action *is, vestry_html *builder, vestry_method method,
                               const vestry_backend_action_options *given) {
  vsi_html *html = vsi_html_of(builder);
  *is = (action){.html = html, .method = method};
  is->options = given ? *given : (vestry_backend_action_options){0};
  if ((unsigned)method >= COUNT(actions) || !are_valid(&is->options))
    return vsi_html_fail(html, VESTRY_INVALID, "an action's method or options are invalid");
  const bool is_safe = method == VESTRY_METHOD_GET || method == VESTRY_METHOD_QUERY;
  if (is->options.sent && is_safe)
    return vsi_html_fail(html, VESTRY_INVALID,
                         "GET and QUERY requests change nothing, so the option sent has no effect");
  if (vsi_html_code_begin(html, false, '\'', &is->quote)) return html->error;
  is->is_carried = is->options.once && !is_safe;
  if (is->is_carried)
    put_code(html, "(window.vestryOnce||((u,o,f)=>f(u,o)))", is->quote);
  else
    put_call(html, method);
  vsi_html_put_str(html, "(");
  return html->error;
}

/* Write the rest. cancel: as for vsi_html_cancelled_action */
static vestry_err end_action(const action *is, const char *cancel, bool is_of_pressed) {
  put_options(is->html, &is->options, cancel, is->quote, is->is_carried, is_of_pressed);
  if (is->is_carried) {
    put_code(is->html, ",(u,o)=>", is->quote);
    put_call(is->html, is->method);
    vsi_html_put_str(is->html, is_of_pressed ? "(u,o),el,evt,b" : "(u,o),el,evt");
  }
  vsi_html_put_str(is->html, ")");
  vsi_html_code_end(is->html);
  return is->html->error;
}

vestry_err vsi_html_cancelled_action(vestry_html *html, vestry_method method,
                                     const vestry_backend_action_options *options, const char *cancel, const char *url,
                                     va_list arguments) {
  static const vsi_format_sink in_url = {put_url, vsi_html_escape_component, vsi_html_escape_js};
  action is;
  vestry_err error = begin_action(&is, html, method, options);
  if (error) return error;
  vsi_html_put_str(is.html, is.quote);
  const size_t before = is.html->len;
  if (url) vsi_html_format(is.html, &in_url, url, arguments);
  if (is.html->len == before) vsi_html_fail(is.html, VESTRY_INVALID, "an action's URL is empty");
  vsi_html_put_str(is.html, is.quote);
  return end_action(&is, cancel, false);
}

vestry_err vsi_html_action_of_pressed(vestry_html *html, vestry_method method,
                                      const vestry_backend_action_options *options) {
  action is;
  vestry_err error = begin_action(&is, html, method, options);
  if (error) return error;
  vsi_html_put_str(is.html, "b.dataset.press");
  return end_action(&is, NULL, true);
}

vestry_err vestry_html_backend_action(vestry_html *builder, vestry_method method,
                                      const vestry_backend_action_options *options, const char *url, ...) {
  va_list arguments;
  va_start(arguments, url);
  vestry_err error = vsi_html_cancelled_action(builder, method, options, NULL, url, arguments);
  va_end(arguments);
  return error;
}

vestry_err vestry_backend_action_string(char *buffer, size_t capacity, vestry_method method,
                                        const vestry_backend_action_options *options, const char *url, ...) {
  if (!buffer && capacity) return VESTRY_INVALID;
  vestry_html builder = {{0}};
  vestry_slice made;
  vsi_html_init_fixed(vsi_html_of(&builder), buffer, capacity);
  va_list arguments;
  va_start(arguments, url);
  vsi_html_cancelled_action(&builder, method, options, NULL, url, arguments);
  va_end(arguments);
  vestry_err error = vestry_html_result(&builder, &made);
  if (error && capacity) *buffer = '\0';
  return error;
}
