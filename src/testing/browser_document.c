/* SPDX-License-Identifier: MIT */
#include "testing/browser_document.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "testing/exchange.h"
#include "json/load.h"

enum { ID_BYTES = 160 };

static const char ignore[] = "data-ignore-morph";

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* Convert the rest of an attribute's name, such as tab-id__ifmissing, into that of a signal, such as tabId. */
static void name_signal(char *name) {
  char *to = name, *end = strstr(name, "__");
  if (end && end != name) *end = '\0';
  for (const char *at = name; *at; at++) {
    const bool is_upper = *at == '-' && at[1] >= 'a' && at[1] <= 'z';
    *to++ = is_upper ? (char)(*++at - 'a' + 'A') : *at;
  }
  *to = '\0';
}

static void merge(json_t *into, json_t *from) {
  const char *name;
  json_t *value;
  json_object_foreach(from, name, value) {
    json_t *old = json_object_get(into, name);
    if (json_is_null(value))
      json_object_del(into, name);
    else if (json_is_object(old) && json_is_object(value))
      merge(old, value);
    else
      json_object_set(into, name, value);
  }
}

void vsi_page_signal_set(vestry_browser_page *page, const char *path, json_t *value) {
  json_t *at = page->signals;
  char name[VSI_PAGE_NAME_BYTES];
  for (size_t len; path[len = strcspn(path, ".")]; path += len + 1) {
    snprintf(name, sizeof name, "%.*s", (int)len, path);
    json_t *next = json_object_get(at, name);
    if (!json_is_object(next)) json_object_set_new(at, name, next = json_object());
    at = next;
  }
  json_object_set_new(at, path, value);
}

json_t *vsi_page_signal(const vestry_browser_page *page, const char *path) {
  json_t *at = page->signals;
  char name[VSI_PAGE_NAME_BYTES];
  for (size_t len; at && path[len = strcspn(path, ".")]; path += len + 1) {
    snprintf(name, sizeof name, "%.*s", (int)len, path);
    at = json_object_get(at, name);
  }
  return at ? json_object_get(at, path) : NULL;
}

bool vsi_page_bound_to(vestry_browser_page *page, size_t element, char name[VSI_PAGE_NAME_BYTES]) {
  if (vsi_markup_attribute(&page->markup, element, "data-bind:", &page->value, name, VSI_PAGE_NAME_BYTES)) {
    name_signal(name);
    return true;
  }
  if (!vsi_markup_attribute(&page->markup, element, "data-bind", &page->value, NULL, 0)) return false;
  snprintf(name, VSI_PAGE_NAME_BYTES, "%s", page->value.data);
  return true;
}

bool vsi_page_is_checkable(vestry_browser_page *page, size_t element) {
  return vsi_markup_attribute(&page->markup, element, "type", &page->value, NULL, 0) &&
         strcmp(page->value.data, "checkbox") == 0;
}

/* Set a signal to the literal of an attribute; without a literal it stays as it is, and so does a signal that exists if
 * the name has the modifier __ifmissing. The default of data-signals:tab-id="el.stash.take() || '…'" counts, too. */
static void take_literal(vestry_browser_page *page, char *name, const char *text) {
  const char *either = strstr(text, "|| '");
  const bool only_missing = strstr(name, "__ifmissing") != NULL;
  name_signal(name);
  if (only_missing && vsi_page_signal(page, name)) return;
  if (either) text = either + 3;
  json_t *value = vsi_js_literal(&text);
  if (value) vsi_page_signal_set(page, name, value);
}

/* Set the signal of a field that has none yet, from its value. */
static void take_bound(vestry_browser_page *page, size_t element) {
  char name[VSI_PAGE_NAME_BYTES];
  if (!vsi_page_bound_to(page, element, name) || vsi_page_signal(page, name)) return;
  const bool is_check = vsi_page_is_checkable(page, element);
  const bool has_value =
      vsi_markup_attribute(&page->markup, element, is_check ? "checked" : "value", &page->value, NULL, 0);
  vsi_page_signal_set(page, name, is_check ? json_boolean(has_value) : json_string(has_value ? page->value.data : ""));
}

/* An element may have several data-signals:x. */
void vsi_page_take_signals(vestry_browser_page *page, size_t element) {
  static const char mark[] = "data-signals:";
  const vsi_markup_element *of = &page->markup.elements[element];
  const char *html = page->markup.html, *at = html + of->begin, *end = html + of->inner;
  if (!memmem(at, (size_t)(end - at), "data-", 5)) return;
  while (at < end && (at = memmem(at, (size_t)(end - at), mark, strlen(mark))) != NULL) {
    char attribute[VSI_PAGE_NAME_BYTES], *name = attribute + strlen(mark);
    const size_t len = strlen(mark) + strcspn(at + strlen(mark), "= >\t\r\n");
    snprintf(attribute, sizeof attribute, "%.*s", (int)len, at);
    at += len;
    if (vsi_markup_attribute(&page->markup, element, attribute, &page->value, NULL, 0))
      take_literal(page, name, page->value.data);
  }
  if (vsi_markup_attribute(&page->markup, element, "data-signals", &page->value, NULL, 0)) {
    const char *text = page->value.data;
    json_t *values = vsi_js_literal(&text);
    if (json_is_object(values)) merge(page->signals, values);
    json_decref(values);
  }
  take_bound(page, element);
}

vestry_err vsi_page_read(vestry_browser_page *page) {
  vsi_markup_finish(&page->markup);
  if (page->html.error) return VESTRY_NO_MEMORY;
  return vsi_markup_read(&page->markup, page->host, page->html.data ? page->html.data : "", page->html.len);
}

/* ---- patches of elements ----------------------------------------------------------------------------------------- */

/* Replace a part of the document. */
static vestry_err replace(vestry_browser_page *page, size_t begin, size_t end, const vsi_markup_part *by) {
  vsi_buffer *html = &page->html;
  const size_t len = by->end - by->begin;
  if (!vsi_buffer_reserve(html, len + 1)) return VESTRY_NO_MEMORY;
  memmove(html->data + begin + len, html->data + end, html->len - end);
  if (len) memcpy(html->data + begin, by->of->html + by->begin, len);
  html->len = html->len - (end - begin) + len;
  (void)vsi_buffer_terminate(html);
  size_t first;
  vestry_err error = vsi_markup_replace(&page->markup, html->data, begin, end, by, &first);
  for (size_t i = 0; !error && i < by->count; i++) vsi_page_take_signals(page, first + i);
  return error;
}

/* Note a redirect in a patched element: data-init="… location.href = '/x'". */
static void take_redirect(vestry_browser_page *page, const char *html) {
  const char *at = strstr(html, "location");
  vsi_buffer text;
  if (!at || (strncmp(at, "location.href = ", 16) != 0 && !strstr(at, "location.assign(url), 0, "))) return;
  vsi_buffer_init(&text, page->host);
  at = strncmp(at, "location.href = ", 16) == 0 ? at + 16 : strstr(at, "location.assign(url), 0, ") + 25;
  for (; *at; at++) { /* the attribute's quotes may be references */
    if (strncmp(at, "&#39;", 5) == 0)
      vsi_buffer_append_char(&text, '\''), at += 4;
    else if (strncmp(at, "&amp;", 5) == 0)
      vsi_buffer_append_char(&text, '&'), at += 4;
    else
      vsi_buffer_append_char(&text, *at);
  }
  const char *literal = vsi_buffer_terminate(&text);
  json_t *url = literal ? vsi_js_literal(&literal) : NULL;
  if (json_is_string(url)) {
    vsi_free(page->host, page->leaves_for);
    page->leaves_for = vsi_strdup(page->host, json_string_value(url), json_string_length(url));
  }
  json_decref(url);
  vsi_buffer_finish(&text);
}

/* Replace each element of the document whose id is that of a top element of the patch. */
static vestry_err patch_by_ids(vestry_browser_page *page, const vsi_markup *patch) {
  vsi_buffer id;
  vsi_buffer_init(&id, page->host);
  vestry_err error = VESTRY_OK;
  for (size_t i = 0, next; !error && i < patch->count; i = next) {
    const vsi_markup_element *top = &patch->elements[i];
    for (next = i + 1; next < patch->count && patch->elements[next].parent != VSI_NO_ELEMENT;) next++;
    if (!vsi_markup_attribute(patch, i, "id", &id, NULL, 0)) continue;
    const size_t at = vsi_markup_by_id(&page->markup, VSI_NO_ELEMENT, id.data);
    if (at == VSI_NO_ELEMENT) continue;
    const vsi_markup_part by = {.of = patch, .begin = top->begin, .end = top->end, .first = i, .count = next - i};
    error = replace(page, page->markup.elements[at].begin, page->markup.elements[at].end, &by);
  }
  vsi_buffer_finish(&id);
  return error;
}

size_t vsi_page_selected(const vestry_browser_page *page, const char *selector) {
  size_t found = VSI_NO_ELEMENT;
  char id[ID_BYTES];
  for (size_t i = 0; *selector != '#' && *selector != '[' && i < page->markup.count; i++)
    if (strcmp(page->markup.elements[i].name, selector) == 0) return i;
  for (size_t len; *selector == '#' || *selector == '['; selector += len + (selector[len] == ' ')) {
    const size_t quote = *selector == '[' ? strlen("[id=\"") : 1;
    len = strcspn(selector, quote == 1 ? " " : "]");
    snprintf(id, sizeof id, "%.*s", (int)(len - quote - (quote > 1)), selector + quote);
    len += quote > 1;
    found = vsi_markup_by_id(&page->markup, found, id);
    if (found == VSI_NO_ELEMENT) break;
  }
  return found;
}

/* Patch the element of each selector of a list; several of them only remove elements. */
static vestry_err patch_selected(vestry_browser_page *page, char *selectors, const char *mode,
                                 const vsi_markup *patch) {
  const vsi_markup_part by = {.of = patch, .end = patch->len, .count = patch->count};
  vestry_err error = VESTRY_OK;
  for (char *selector = selectors, *next; selector && !error; selector = next) {
    if ((next = strchr(selector, ',')) != NULL) *next++ = '\0';
    const size_t at = vsi_page_selected(page, selector);
    if (at == VSI_NO_ELEMENT) continue;
    const vsi_markup_element of = page->markup.elements[at];
    const struct {
      const char *mode;
      size_t begin, end;
    } places[] = {{"inner", of.inner, of.inner_end}, {"append", of.inner_end, of.inner_end},
                  {"prepend", of.inner, of.inner},   {"before", of.begin, of.begin},
                  {"after", of.end, of.end},         {"remove", of.begin, of.end},
                  {"replace", of.begin, of.end},     {"outer", of.begin, of.end}};
    for (size_t i = 0; i < sizeof places / sizeof *places && !error; i++)
      if (strcmp(places[i].mode, mode) == 0) error = replace(page, places[i].begin, places[i].end, &by);
  }
  return error;
}

/* Replace each element of a patch with data-ignore-morph by the one of the document that has it, too, because the
 * client does not change it: usually it is the place of a part. Appends the text of the patch. */
static vestry_err keep_ignored(vestry_browser_page *page, const vsi_markup *patch, vsi_buffer *to) {
  vsi_buffer id;
  size_t done = 0;
  vsi_buffer_init(&id, page->host);
  for (size_t i = 0; i < patch->count; i++) {
    const vsi_markup_element *of = &patch->elements[i];
    if (of->begin < done || !vsi_markup_attribute(patch, i, ignore, &page->value, NULL, 0)) continue;
    if (!vsi_markup_attribute(patch, i, "id", &id, NULL, 0)) continue;
    const size_t at = vsi_markup_by_id(&page->markup, VSI_NO_ELEMENT, id.data);
    if (at == VSI_NO_ELEMENT || !vsi_markup_attribute(&page->markup, at, ignore, &page->value, NULL, 0)) continue;
    const vsi_markup_element *had = &page->markup.elements[at];
    vsi_buffer_append(to, patch->html + done, of->begin - done);
    vsi_buffer_append(to, page->html.data + had->begin, had->end - had->begin);
    done = of->end;
  }
  vsi_buffer_append(to, patch->html + done, patch->len - done);
  vsi_buffer_finish(&id);
  return to->error;
}

static vestry_err patch(vestry_browser_page *page, char *selector, const char *mode, const char *html, size_t len) {
  vsi_markup read;
  vsi_buffer text;
  vsi_buffer_init(&text, page->host);
  if (len) take_redirect(page, html);
  vestry_err error = vsi_markup_read(&read, page->host, html, len);
  if (!error && memmem(html, len, ignore, strlen(ignore))) {
    error = keep_ignored(page, &read, &text);
    vsi_markup_finish(&read);
    if (!error) error = vsi_markup_read(&read, page->host, text.data, text.len);
  }
  if (!error && *selector)
    error = patch_selected(page, selector, mode, &read);
  else if (!error && strcmp(mode, "remove") != 0)
    error = patch_by_ids(page, &read);
  vsi_markup_finish(&read);
  vsi_buffer_finish(&text);
  return error;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void take_vestry_signals(vestry_browser_page *page) {
  json_t *go = vsi_page_signal(page, "_vestry.go"), *reload = vsi_page_signal(page, "_vestry.reload");
  if (json_is_string(go) && json_string_length(go)) {
    vsi_free(page->host, page->leaves_for);
    page->leaves_for = vsi_strdup(page->host, json_string_value(go), json_string_length(go));
  }
  page->reloads |= json_is_integer(reload) && json_integer_value(reload);
}

static void take_json(vestry_browser_page *page, const char *text, size_t len, bool only_missing) {
  json_t *patch = vsi_json_load(text, len, 0, NULL);
  if (only_missing && json_is_object(patch)) {
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(patch, next, name, value) {
      if (json_object_get(page->signals, name)) json_object_del(patch, name);
    }
  }
  if (json_is_object(patch)) merge(page->signals, patch);
  json_decref(patch);
  take_vestry_signals(page);
}

typedef struct event {
  bool is_elements, is_signals, only_missing;
  char mode[16];
  vsi_buffer selector, data;
} event;

static void take_line(event *e, const char *line, size_t len) {
  static const char elements[] = "data: elements ", signals[] = "data: signals ";
  static const char selector[] = "data: selector ", mode[] = "data: mode ";
  const bool is_data = strncmp(line, elements, strlen(elements)) == 0 || strncmp(line, signals, strlen(signals)) == 0;
  if (strncmp(line, "event: datastar-patch-elements", 30) == 0) e->is_elements = true;
  if (strncmp(line, "event: datastar-patch-signals", 29) == 0) e->is_signals = true;
  if (strncmp(line, "data: onlyIfMissing true", 24) == 0) e->only_missing = true;
  if (strncmp(line, selector, strlen(selector)) == 0)
    vsi_buffer_append(&e->selector, line + strlen(selector), len - strlen(selector));
  if (strncmp(line, mode, strlen(mode)) == 0)
    snprintf(e->mode, sizeof e->mode, "%.*s", (int)(len - strlen(mode)), line + strlen(mode));
  if (!is_data) return;
  const size_t skipped = line[6] == 'e' ? strlen(elements) : strlen(signals);
  if (e->data.len) vsi_buffer_append_char(&e->data, '\n');
  vsi_buffer_append(&e->data, line + skipped, len - skipped);
}

static vestry_err take_event(vestry_browser_page *page, const char *at, const char *end) {
  event e = {.mode = "outer"};
  vestry_err error = VESTRY_OK;
  vsi_buffer_init(&e.data, page->host);
  vsi_buffer_init(&e.selector, page->host);
  while (at < end) {
    const char *next = memchr(at, '\n', (size_t)(end - at));
    if (!next) next = end;
    take_line(&e, at, (size_t)(next - at));
    at = next + (next < end);
  }
  const char *data = vsi_buffer_terminate(&e.data);
  if (!data || !vsi_buffer_terminate(&e.selector))
    error = VESTRY_NO_MEMORY;
  else if (e.is_elements)
    error = patch(page, e.selector.data, e.mode, data, e.data.len);
  else if (e.is_signals)
    take_json(page, data, e.data.len, e.only_missing);
  vsi_buffer_finish(&e.data);
  vsi_buffer_finish(&e.selector);
  return error;
}

vestry_err vsi_page_take_received(vestry_browser_page *page, vestry_memory_exchange *exchange) {
  vsi_buffer got; /* a copy, because other threads may write meanwhile */
  vsi_buffer_init(&got, page->host);
  vestry_err error = vsi_exchange_take(exchange, &got);
  const char *type = vestry_memory_header(exchange, "Content-Type", 0);
  const char *at = error ? "" : got.data, *end = at + got.len;
  if (error || !got.len || !type) {
    /* nothing to apply */
  } else if (strncmp(type, "application/json", 16) == 0) {
    take_json(page, at, got.len, false);
  } else if (strncmp(type, "text/html", 9) == 0) {
    error = patch(page, (char[]){""}, "outer", at, got.len);
  } else {
    for (const char *next; !error && (next = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL; at = next + 2)
      error = take_event(page, at, next);
    vsi_exchange_unread(exchange, (size_t)(end - at)); /* the rest of an event has not arrived yet */
  }
  vsi_buffer_finish(&got);
  return error;
}
