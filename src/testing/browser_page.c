/* SPDX-License-Identifier: MIT */
/* A page of the browser of tests: its document (browser_document.h) is loaded, used and read. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/real.h"
#include "testing/browser_document.h"
#include "testing/exchange.h"

enum { AGAIN_MS = 500, RELOADS_MOST = 10, NUMBER_BYTES = 32 };

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static void hang_up(vestry_browser_page *page) {
  while (page->streams_count) vestry_memory_destroy(page->streams[--page->streams_count].exchange);
}

/* Return the signals that the client sends: all except those whose names begin with '_'. */
static json_t *sent_signals(const json_t *signals) {
  json_t *made = json_object(), *value;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)signals, name, value) {
    if (*name != '_') json_object_set_new(made, name, json_is_object(value) ? sent_signals(value) : json_incref(value));
  }
  return made;
}

/* Open the stream that an element's data-init requests. */
static vestry_err open_stream(vestry_browser_page *page, size_t element) {
  if (!vsi_markup_attribute(&page->markup, element, "data-init", &page->value, NULL, 0)) return VESTRY_OK;
  const char *at = strstr(page->value.data, "@get(");
  if (!at || page->streams_count == VSI_PAGE_STREAMS) return VESTRY_OK;
  at += strcspn(at, "'\"");
  json_t *url = *at ? vsi_js_literal(&at) : NULL, *signals = sent_signals(page->signals);
  vestry_err error = VESTRY_OK;
  if (json_is_string(url) && signals) {
    vsi_browser_request a = {.method = "GET", .url = json_string_value(url), .datastar = true};
    vsi_browser_request_init(page->browser, &a);
    error = vsi_browser_put_signals(&a, signals);
    if (!error) error = vsi_browser_request_send(page->browser, &a, &page->streams[page->streams_count].exchange);
    if (!error) {
      const int status = vestry_memory_look(page->streams[page->streams_count].exchange).status;
      if (status >= 400) page->status = status; /* it ends, and is opened again */
      page->streams[page->streams_count++].is_of_page = true;
    }
    vsi_browser_request_finish(&a);
  }
  json_decref(url);
  json_decref(signals);
  return error;
}

/* Show a document, which replaces the former one. Takes the exchange. */
static vestry_err show(vestry_browser_page *page, const char *url, vestry_memory_exchange *document) {
  const vestry_memory_seen seen = vestry_memory_look(document);
  char *copy = vsi_strdup(page->host, url, strlen(url));
  hang_up(page);
  page->status = seen.status;
  json_object_clear(page->signals);
  json_object_clear(page->typed);
  vsi_buffer_clear(&page->html);
  vsi_buffer_append(&page->html, seen.received.data, seen.received.len);
  (void)vsi_buffer_terminate(&page->html);
  vestry_memory_destroy(document);
  vsi_free(page->host, page->url);
  page->url = copy;
  page->reloads = false;
  page->again_ns = 0;
  vestry_err error = copy ? vsi_page_read(page) : VESTRY_NO_MEMORY;
  for (size_t i = 0; !error && i < page->markup.count; i++) vsi_page_take_signals(page, i);
  for (size_t i = 0; !error && i < page->markup.count; i++) error = open_stream(page, i);
  if (error != VESTRY_IO || !vsi_browser_is_remote(page->browser)) return error;
  page->again_ns = vsi_now_ns(page->host) + vsi_ms_to_ns(AGAIN_MS); /* the server has ended behind the document */
  return VESTRY_OK;
}

static vestry_err load(vestry_browser_page *page, const char *url) {
  vestry_memory_exchange *document;
  vestry_err error = vestry_browser_get(page->browser, url, &document);
  return error ? error : show(page, url, document);
}

/* Apply what the streams have received, and remove those that a server has ended. */
static vestry_err take_streams(vestry_browser_page *page) {
  vestry_err error = VESTRY_OK;
  size_t kept = 0;
  for (size_t i = 0; i < page->streams_count; i++) {
    vestry_memory_exchange *stream = page->streams[i].exchange;
    const bool has_ended =
        vsi_browser_is_remote(page->browser) && vestry_memory_look(stream).ended; /* before reading */
    if (!error) error = vsi_page_take_received(page, stream);
    if (!has_ended) {
      page->streams[kept++] = page->streams[i];
      continue;
    }
    if (page->streams[i].is_of_page) page->again_ns = vsi_now_ns(page->host) + vsi_ms_to_ns(AGAIN_MS);
    vestry_memory_destroy(stream);
  }
  page->streams_count = kept;
  return error;
}

/* Open the page's streams again, as the client does, until the server accepts them. Returns whether it has. */
static bool open_again(vestry_browser_page *page) {
  vestry_err error = VESTRY_OK;
  if (!page->again_ns || vsi_now_ns(page->host) < page->again_ns) return false;
  hang_up(page);
  page->again_ns = 0;
  for (size_t i = 0; !error && i < page->markup.count; i++) error = open_stream(page, i);
  if (error) page->again_ns = vsi_now_ns(page->host) + vsi_ms_to_ns(AGAIN_MS);
  return !error;
}

/* Apply everything that has arrived, and follow redirects and reloads. */
static vestry_err take_all(vestry_browser_page *page) {
  vestry_err error = VESTRY_OK;
  for (int count = 0; count < RELOADS_MOST; count++) {
    vsi_browser_settle(page->browser);
    error = take_streams(page);
    if (!error && open_again(page)) error = take_streams(page); /* their first bytes may be there already */
    if (error || (!page->leaves_for && !page->reloads)) return error;
    char *url = page->leaves_for ? page->leaves_for : vsi_strdup(page->host, page->url, strlen(page->url));
    page->leaves_for = NULL;
    error = url ? load(page, url) : VESTRY_NO_MEMORY;
    vsi_free(page->host, url);
    if (error) return error;
  }
  return VESTRY_LIMIT;
}

vestry_err vestry_browser_open(vestry_browser *browser, const char *url, vestry_browser_page **ret_page) {
  if (!browser || !url || !ret_page) return VESTRY_INVALID;
  const vestry_host *host = vsi_browser_host(browser);
  vestry_browser_page *page = vsi_calloc(host, 1, sizeof *page);
  if (!page) return VESTRY_NO_MEMORY;
  page->browser = browser;
  page->host = host;
  page->markup.host = host;
  page->signals = json_object();
  page->typed = json_object();
  vsi_buffer *all[] = {&page->html, &page->text, &page->value};
  for (size_t i = 0; i < 3; i++) vsi_buffer_init(all[i], host);
  vestry_err error = page->signals && page->typed ? load(page, url) : VESTRY_NO_MEMORY;
  if (!error) error = take_all(page);
  if (error)
    vestry_browser_close(page);
  else
    *ret_page = page;
  return error;
}

void vestry_browser_close(vestry_browser_page *page) {
  if (!page) return;
  hang_up(page);
  vsi_markup_finish(&page->markup);
  vsi_buffer *all[] = {&page->html, &page->text, &page->value};
  for (size_t i = 0; i < 3; i++) vsi_buffer_finish(all[i]);
  json_decref(page->signals);
  json_decref(page->typed);
  vsi_free(page->host, page->url);
  vsi_free(page->host, page->leaves_for);
  vsi_free(page->host, page);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static bool is_disabled(vestry_browser_page *page, size_t element) {
  return vsi_markup_attribute(&page->markup, element, "disabled", &page->value, NULL, 0);
}

static bool is_field(const vsi_markup_element *of) {
  return strcmp(of->name, "input") == 0 || strcmp(of->name, "textarea") == 0 || strcmp(of->name, "select") == 0;
}

/* Return the field of a label: inside it, or the one that its `for` names. */
static size_t field_of(vestry_browser_page *page, size_t label) {
  const vsi_markup_element *of = &page->markup.elements[label];
  if (vsi_markup_attribute(&page->markup, label, "for", &page->value, NULL, 0))
    return vsi_markup_by_id(&page->markup, VSI_NO_ELEMENT, page->value.data);
  for (size_t i = label + 1; i < page->markup.count && page->markup.elements[i].begin < of->inner_end; i++)
    if (is_field(&page->markup.elements[i])) return i;
  return VSI_NO_ELEMENT;
}

static size_t find_field(vestry_browser_page *page, const char *label) {
  for (size_t i = 0; i < page->markup.count; i++) {
    const vsi_markup_element *of = &page->markup.elements[i];
    if (is_field(of) && vsi_markup_attribute(&page->markup, i, "aria-label", &page->value, NULL, 0) &&
        strcmp(page->value.data, label) == 0 && !is_disabled(page, i))
      return i;
    if (strcmp(of->name, "label") != 0) continue;
    vsi_markup_text(&page->markup, i, NULL, &page->text);
    const size_t field = page->text.data && strcmp(page->text.data, label) == 0 ? field_of(page, i) : VSI_NO_ELEMENT;
    if (field != VSI_NO_ELEMENT && !is_disabled(page, field)) return field;
  }
  return VSI_NO_ELEMENT;
}

/* Return whether an element is an input of a type. */
static bool has_type(vestry_browser_page *page, size_t element, const char *type) {
  return vsi_markup_attribute(&page->markup, element, "type", &page->value, NULL, 0) &&
         strcmp(page->value.data, type) == 0;
}

/* Return the radio button of a group, which is a fieldset with this legend, that has a label or a value. Labels count
 * first. */
static size_t find_choice(vestry_browser_page *page, const char *legend, const char *choice) {
  const vsi_markup *markup = &page->markup;
  size_t by_value = VSI_NO_ELEMENT;
  for (size_t i = 0; i < markup->count; i++) {
    if (strcmp(markup->elements[i].name, "legend") != 0) continue;
    const size_t group = vsi_markup_around(markup, i, "fieldset");
    vsi_markup_text(markup, i, NULL, &page->text);
    if (!page->text.data || strcmp(page->text.data, legend) != 0) continue;
    if (group == VSI_NO_ELEMENT || is_disabled(page, group)) continue;
    for (size_t at = i + 1; at < markup->count && markup->elements[at].begin < markup->elements[group].inner_end;
         at++) {
      const bool is_label = strcmp(markup->elements[at].name, "label") == 0;
      const size_t field = is_label ? field_of(page, at) : at;
      if (field == VSI_NO_ELEMENT || !has_type(page, field, "radio") || is_disabled(page, field)) continue;
      if (is_label) vsi_markup_text(markup, at, NULL, &page->text);
      if (is_label && page->text.data && strcmp(page->text.data, choice) == 0) return field;
      if (by_value == VSI_NO_ELEMENT && vsi_markup_attribute(markup, field, "value", &page->value, NULL, 0) &&
          strcmp(page->value.data, choice) == 0)
        by_value = field;
    }
  }
  return by_value;
}

/* Find the option of a select element with this text; NULL: the one that the document has selected. Its value is in
 * page->value then, or its text if it has none. Returns false if there is none. */
static bool find_option(vestry_browser_page *page, size_t select, const char *text) {
  const vsi_markup *markup = &page->markup;
  for (size_t i = select + 1; i < markup->count && markup->elements[i].begin < markup->elements[select].inner_end;
       i++) {
    if (strcmp(markup->elements[i].name, "option") != 0) continue;
    vsi_markup_text(markup, i, NULL, &page->text);
    const bool is_found = text ? page->text.data && strcmp(page->text.data, text) == 0
                               : vsi_markup_attribute(markup, i, "selected", &page->value, NULL, 0);
    if (!is_found) continue;
    if (!vsi_markup_attribute(markup, i, "value", &page->value, NULL, 0)) {
      vsi_buffer_clear(&page->value);
      vsi_buffer_append(&page->value, page->text.data ? page->text.data : "",
                        page->text.data ? strlen(page->text.data) + 1 : 1);
    }
    return true;
  }
  return false;
}

vestry_err vestry_browser_fill(vestry_browser_page *page, const char *label, const char *text) {
  char name[VSI_PAGE_NAME_BYTES], *end;
  if (!page || !label || !text) return VESTRY_INVALID;
  vestry_err error = take_all(page);
  size_t field = error ? VSI_NO_ELEMENT : find_field(page, label);
  if (!error && field == VSI_NO_ELEMENT && (field = find_choice(page, label, text)) != VSI_NO_ELEMENT) text = "on";
  if (field == VSI_NO_ELEMENT) return error ? error : VESTRY_NOT_FOUND;
  const bool is_check = vsi_page_is_checkable(page, field), is_bound = vsi_page_bound_to(page, field, name);
  const bool is_number = has_type(page, field, "number") || has_type(page, field, "range");
  vsi_buffer chosen;
  vsi_buffer_init(&chosen, page->host);
  if (strcmp(page->markup.elements[field].name, "select") == 0) {
    if (!find_option(page, field, text)) return VESTRY_NOT_FOUND;
    vsi_buffer_append(&chosen, page->value.data, strlen(page->value.data) + 1);
  } else if (has_type(page, field, "radio") && strcmp(text, "on") == 0 &&
             vsi_markup_attribute(&page->markup, field, "value", &page->value, NULL, 0)) {
    vsi_buffer_append(&chosen, page->value.data, strlen(page->value.data) + 1);
  }
  if (chosen.len && chosen.data) text = chosen.data;
  if (is_bound && is_check)
    vsi_page_signal_set(page, name, json_boolean(strcmp(text, "on") == 0));
  else if (is_bound && is_number && *text)
    vsi_page_signal_set(page, name, json_real(vsi_real_read(text, &end)));
  else if (is_bound)
    vsi_page_signal_set(page, name, json_string(text));
  if (vsi_markup_attribute(&page->markup, field, "name", &page->value, NULL, 0))
    json_object_set_new(page->typed, page->value.data,
                        is_check && strcmp(text, "on") != 0 ? json_null() : json_string(text));
  vsi_buffer_finish(&chosen);
  return VESTRY_OK;
}

/* Append the fields of a form: typed values, or else those of the document. by: the button, whose name counts. */
static void put_form(vestry_browser_page *page, size_t form, size_t by, vsi_buffer *to) {
  const vsi_markup_element *of = &page->markup.elements[form];
  vsi_buffer name;
  vsi_buffer_init(&name, page->host);
  for (size_t i = form + 1; i < page->markup.count && page->markup.elements[i].begin < of->inner_end; i++) {
    if (!is_field(&page->markup.elements[i]) && i != by) continue;
    if (!vsi_markup_attribute(&page->markup, i, "name", &name, NULL, 0)) continue;
    const json_t *typed = json_object_get(page->typed, name.data);
    if (has_type(page, i, "radio")) {
      const bool is_checked = vsi_markup_attribute(&page->markup, i, "checked", &page->value, NULL, 0);
      const bool has_value = vsi_markup_attribute(&page->markup, i, "value", &page->value, NULL, 0);
      const char *value = has_value ? page->value.data : "on";
      if (typed ? json_is_string(typed) && strcmp(json_string_value(typed), value) == 0 : is_checked)
        vsi_browser_put_field(to, name.data, value);
      continue;
    }
    if (!typed && strcmp(page->markup.elements[i].name, "select") == 0) {
      if (find_option(page, i, NULL)) vsi_browser_put_field(to, name.data, page->value.data);
      continue;
    }
    const bool is_check = vsi_page_is_checkable(page, i);
    const bool is_on = is_check && vsi_markup_attribute(&page->markup, i, "checked", &page->value, NULL, 0);
    const bool has_value = vsi_markup_attribute(&page->markup, i, "value", &page->value, NULL, 0);
    if (json_is_null(typed) || (is_check && !typed && !is_on)) continue;
    const char *value = json_is_string(typed) && !is_check ? json_string_value(typed)
                        : has_value                        ? page->value.data
                        : is_check                         ? "on"
                                                           : "";
    vsi_browser_put_field(to, name.data, value);
  }
  vsi_buffer_finish(&name);
}

/* ---- presses ----------------------------------------------------------------------------------------------------- */

static bool can_press(vestry_browser_page *page, size_t element) {
  const char *name = page->markup.elements[element].name;
  if (strcmp(name, "button") == 0 || strcmp(name, "a") == 0) return true;
  if (strcmp(name, "input") == 0)
    return vsi_markup_attribute(&page->markup, element, "type", &page->value, NULL, 0) &&
           strcmp(page->value.data, "submit") == 0;
  if (vsi_markup_attribute(&page->markup, element, "data-press", &page->value, NULL, 0)) return true;
  return vsi_markup_attribute(&page->markup, element, "data-on:click", &page->value, NULL, 0) &&
         !strstr(page->value.data, VSI_MARKUP_PRESSED);
}

static size_t find_button(vestry_browser_page *page, const char *text) {
  for (size_t i = 0; i < page->markup.count; i++) {
    if (!can_press(page, i) || is_disabled(page, i)) continue;
    const bool is_input = strcmp(page->markup.elements[i].name, "input") == 0;
    if (!is_input) vsi_markup_text(&page->markup, i, page->signals, &page->text);
    const bool has_label =
        vsi_markup_attribute(&page->markup, i, is_input ? "value" : "aria-label", &page->value, NULL, 0);
    if ((has_label && strcmp(page->value.data, text) == 0) ||
        (!is_input && page->text.data && strcmp(page->text.data, text) == 0))
      return i;
  }
  return VSI_NO_ELEMENT;
}

/* Add a header of an action's expression: 'Name':'value', 'Name':$signal, or 'X-Once':$_once+…. texts: its memory. */
static void put_header(vestry_browser_page *page, const char *expression, const char *name, bool is_nonce,
                       vsi_browser_request *a, char text[VSI_PAGE_NAME_BYTES + NUMBER_BYTES]) {
  const char *at = strstr(expression, name);
  if (!at || a->more_count == VSI_BROWSER_HEADERS) return;
  at += strlen(name) + 1;
  at += strspn(at, ": ");
  if (*at != '$') return;
  char signal[VSI_PAGE_NAME_BYTES];
  snprintf(signal, sizeof signal, "%.*s", (int)strcspn(at + 1, "+,} "), at + 1);
  const json_t *value = vsi_page_signal(page, signal);
  if (!json_is_string(value)) return;
  snprintf(text, VSI_PAGE_NAME_BYTES + NUMBER_BYTES, is_nonce ? "%s.%lu" : "%s", json_string_value(value),
           page->submissions_count);
  a->more[a->more_count++] = (vestry_header){name, text};
}

/* Find the request of an expression: \@post('/x'…), or ('/x',{…},(u,o)=>\@post(u,o),el,evt). Returns the method; NULL:
 * there is none. The caller owns *ret_url. press: URL of a pressed button; NULL: the expression has the URL. */
static const char *find_request(const char *expression, const char *press, json_t **ret_url) {
  static const char *const names[][2] = {{"@get(", "GET"},     {"@post(", "POST"},     {"@put(", "PUT"},
                                         {"@patch(", "PATCH"}, {"@delete(", "DELETE"}, {"@query(", "QUERY"}};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *at = strstr(expression, names[i][0]);
    if (!at) continue;
    at += strlen(names[i][0]);
    if (press) {
      *ret_url = json_string(press);
      return json_is_string(*ret_url) ? names[i][1] : NULL;
    }
    if (*at != '\'' && *at != '"') { /* the page's function for actions that run once has the URL */
      at = strstr(expression, "('/");
      if (!at) at = strstr(expression, "(\"/");
      if (!at) return NULL;
      at++;
    }
    *ret_url = vsi_js_literal(&at);
    return json_is_string(*ret_url) ? names[i][1] : NULL;
  }
  return NULL;
}

/* Run the assignments `$a = $b` and `$a = 'literal'`, before a semicolon or comma, that precede the request of an
 * expression. */
static void assign(vestry_browser_page *page, const char *expression, const char *request) {
  for (const char *at = expression; (at = strchr(at, '$')) && at < request; at++) {
    char name[VSI_PAGE_NAME_BYTES], other[VSI_PAGE_NAME_BYTES];
    int len = 0;
    if (sscanf(at, "$%127[A-Za-z0-9_.] = %n", name, &len) != 1 || !len) continue;
    const char *value = at + len;
    json_t *is = NULL;
    if (sscanf(value, "$%127[A-Za-z0-9_.]%n", other, &len) == 1)
      is = json_incref(vsi_page_signal(page, other)), value += len;
    else
      is = vsi_js_literal(&value);
    if (is && (*value == ';' || *value == ','))
      vsi_page_signal_set(page, name, is);
    else
      json_decref(is);
  }
}

/* Send the request of an expression, and apply its answer. press, payload: of a pressed button; may be NULL. */
static vestry_err act(vestry_browser_page *page, size_t element, const char *expression, const char *press,
                      const char *payload) {
  char token[VSI_PAGE_NAME_BYTES + NUMBER_BYTES], once[VSI_PAGE_NAME_BYTES + NUMBER_BYTES];
  json_t *url = NULL, *signals = NULL;
  vestry_memory_exchange *answer = NULL;
  const char *method = find_request(expression, press, &url);
  const bool is_form = strstr(expression, "contentType:'form'") || strstr(expression, "contentType: 'form'");
  const size_t form = is_form ? vsi_markup_around(&page->markup, element, "form") : VSI_NO_ELEMENT;
  if (!method || (is_form && form == VSI_NO_ELEMENT)) {
    json_decref(url);
    return VESTRY_UNSUPPORTED;
  }
  const char *request = strchr(expression, '@');
  if (request) assign(page, expression, request);
  vsi_browser_request a = {.method = method, .url = json_string_value(url), .datastar = true, .is_repeated = true};
  vsi_browser_request_init(page->browser, &a);
  page->submissions_count++;
  put_header(page, expression, "X-CSRF-Token", false, &a, token);
  put_header(page, expression, "X-Once", true, &a, once);
  const bool in_query = strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0;
  if (is_form && !in_query) a.type = "application/x-www-form-urlencoded";
  if (is_form) put_form(page, form, element, in_query ? &a.query : &a.body);
  if (!is_form) signals = payload ? json_loads(payload, 0, NULL) : sent_signals(page->signals);
  vestry_err error = signals ? vsi_browser_put_signals(&a, signals) : payload ? VESTRY_UNSUPPORTED : VESTRY_OK;
  if (!error) error = vsi_browser_request_send(page->browser, &a, &answer);
  if (!error) page->status = vestry_memory_look(answer).status;
  if (!error) error = vsi_page_take_received(page, answer);
  const bool is_open = !error && !vestry_memory_look(answer).ended &&
                       (vestry_memory_look(answer).connection || vsi_browser_is_remote(page->browser));
  if (is_open && page->streams_count < VSI_PAGE_STREAMS) {
    page->streams[page->streams_count].exchange = answer, answer = NULL;
    page->streams[page->streams_count++].is_of_page = false;
  }
  vestry_memory_destroy(answer);
  vsi_browser_request_finish(&a);
  json_decref(signals);
  json_decref(url);
  return error ? error : take_all(page);
}

/* Submit a form without a script, and show the document to which it leads. */
static vestry_err submit(vestry_browser_page *page, size_t form, size_t by) {
  vsi_buffer action, fields;
  vestry_memory_exchange *document;
  vsi_buffer_init(&action, page->host);
  vsi_buffer_init(&fields, page->host);
  if (!vsi_markup_attribute(&page->markup, form, "action", &action, NULL, 0)) vsi_buffer_append_str(&action, page->url);
  const bool is_post = vsi_markup_attribute(&page->markup, form, "method", &page->value, NULL, 0) &&
                       (strcmp(page->value.data, "post") == 0 || strcmp(page->value.data, "POST") == 0);
  put_form(page, form, by, &fields);
  const char *url = vsi_buffer_terminate(&action);
  vsi_browser_request a = {.method = is_post ? "POST" : "GET", .url = url};
  vsi_browser_request_init(page->browser, &a);
  if (is_post) a.type = "application/x-www-form-urlencoded";
  vsi_buffer_append(is_post ? &a.body : &a.query, fields.data, fields.len);
  vestry_err error = url ? vsi_browser_request_send(page->browser, &a, &document) : VESTRY_NO_MEMORY;
  const int status = error ? 0 : vestry_memory_look(document).status;
  const char *to = status >= 301 && status <= 303 ? vestry_memory_header(document, "Location", 0) : NULL;
  char *leads = to ? vsi_strdup(page->host, to, strlen(to)) : NULL;
  if (!error && leads) {
    vestry_memory_destroy(document);
    error = load(page, leads);
  } else if (!error) {
    error = show(page, url, document);
  }
  vsi_free(page->host, leads);
  vsi_browser_request_finish(&a);
  vsi_buffer_finish(&action);
  vsi_buffer_finish(&fields);
  return error ? error : take_all(page);
}

/* Act by an attribute, or by the listener of many buttons around the element (press.h). NOT_FOUND: neither */
static vestry_err act_by(vestry_browser_page *page, size_t element, const char *attribute) {
  char *expression = vsi_markup_copy(&page->markup, element, attribute);
  char *press = expression ? NULL : vsi_markup_copy(&page->markup, element, "data-press"),
       *payload = press ? vsi_markup_copy(&page->markup, element, "data-payload") : NULL;
  if (press) expression = vsi_markup_listener(&page->markup, element);
  vestry_err error = expression ? act(page, element, expression, press, payload) : VESTRY_NOT_FOUND;
  vsi_free(page->host, press);
  vsi_free(page->host, payload);
  vsi_free(page->host, expression);
  return error;
}

vestry_err vestry_browser_press(vestry_browser_page *page, const char *text) {
  if (!page || !text) return VESTRY_INVALID;
  vestry_err error = take_all(page);
  const size_t button = error ? VSI_NO_ELEMENT : find_button(page, text);
  if (button == VSI_NO_ELEMENT) return error ? error : VESTRY_NOT_FOUND;
  error = act_by(page, button, "data-on:click");
  if (error != VESTRY_NOT_FOUND) return error;
  if (strcmp(page->markup.elements[button].name, "a") == 0) {
    char *url = vsi_markup_copy(&page->markup, button, "href");
    error = url ? load(page, url) : VESTRY_UNSUPPORTED;
    vsi_free(page->host, url);
    return error ? error : take_all(page);
  }
  const size_t form = vsi_markup_around(&page->markup, button, "form");
  if (form == VSI_NO_ELEMENT) return VESTRY_UNSUPPORTED;
  error = act_by(page, form, "data-on:submit");
  return error == VESTRY_NOT_FOUND ? submit(page, form, button) : error;
}

/* ---- visible text ----------------------------------------------------------------------------------------------- */

int vestry_browser_status(const vestry_browser_page *page) {
  return page->status;
}

const char *vestry_browser_text(vestry_browser_page *page) {
  if (take_all(page)) return NULL;
  size_t body = vsi_page_selected(page, "body");
  if (body == VSI_NO_ELEMENT) return vsi_buffer_terminate(&page->html); /* not a document */
  vsi_markup_text(&page->markup, body, page->signals, &page->text);
  return page->text.error ? NULL : page->text.data;
}

bool vestry_browser_shows(vestry_browser_page *page, const char *text) {
  const char *shown = vestry_browser_text(page);
  return shown && strstr(shown, text);
}

const json_t *vestry_browser_signal(vestry_browser_page *page, const char *path) {
  return take_all(page) ? NULL : vsi_page_signal(page, path);
}

vestry_err vestry_browser_wait(vestry_browser_page *page, const char *text, uint64_t timeout_ms) {
  const struct timespec pause = {.tv_nsec = 1000000};
  for (uint64_t waited_ms = 0; !vestry_browser_shows(page, text); waited_ms++) {
    if (waited_ms >= timeout_ms) return VESTRY_TIMEOUT;
    nanosleep(&pause, NULL); /* the clock of the host may be that of the test, which stands still */
  }
  return VESTRY_OK;
}

vestry_err vestry_browser_poll(vestry_browser_page *const *pages, size_t count, uint64_t timeout_ms,
                               bool *ret_arrived) {
  if (!count || !pages || !ret_arrived) return VESTRY_INVALID;
  const vestry_host *host = pages[0]->host;
  struct pollfd *polled = vsi_calloc(host, count * VSI_PAGE_STREAMS, sizeof *polled);
  if (!polled) return VESTRY_NO_MEMORY;
  size_t used = 0, at = 0;
  const uint64_t now_ns = vsi_now_ns(host);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < pages[i]->streams_count; j++) {
      const int socket = vsi_remote_socket(pages[i]->streams[j].exchange);
      polled[used++] = (struct pollfd){.fd = socket, .events = POLLIN};
      if (socket < 0) timeout_ms = 0; /* its end was read behind the last look of take_streams */
    }
    if (!pages[i]->again_ns) continue;
    const uint64_t left_ms = pages[i]->again_ns > now_ns ? (pages[i]->again_ns - now_ns) / 1000000 + 1 : 0;
    if (left_ms < timeout_ms) timeout_ms = left_ms;
  }
  (void)poll(polled, used, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
  for (size_t i = 0; i < count; i++) {
    ret_arrived[i] = pages[i]->again_ns && pages[i]->again_ns <= vsi_now_ns(host);
    for (size_t j = 0; j < pages[i]->streams_count; j++, at++)
      ret_arrived[i] |= polled[at].fd < 0 || polled[at].revents;
  }
  vsi_free(host, polled);
  return VESTRY_OK;
}
