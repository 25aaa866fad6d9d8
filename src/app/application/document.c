/* SPDX-License-Identifier: MIT */
/* The frame of an application's documents: of live pages, of ordinary documents, of refused forms and of errors. */
#include "app/application/document.h"

#include <stdio.h>
#include <string.h>

#include "app/application/scripts.h"
#include "app/guard/attributes.h"
#include "base/buffer.h"
#include "html/builder.h"
#include "http/reply.h"
#include "vestry/app/early.h"
#include "vestry/app/tab.h"

enum { KEY_BYTES = 24, NAME_BYTES = 128, ID_BYTES = NAME_BYTES + 1 + KEY_BYTES };

/* Return whether the document is for one user: it is not shared, and its scope is known. */
static bool is_personal(const vestry_call *call, const vsi_entry_call *own) {
  return own->entry->is.kind != VESTRY_ENTRY_ERROR_DOCUMENT && !(call->render && call->render->share);
}

/* Append the attributes of the body that identify its user and its tab. */
static void add_identity(vestry_call *call, const vestry_request *req, vestry_reply *reply, vestry_html *html) {
  char token[VESTRY_CSRF_TOKEN_BYTES], tab[VESTRY_TAB_ATTRIBUTES_BYTES], once[VESTRY_ONCE_ATTRIBUTES_BYTES] = "";
  vestry_err error = vsi_tab_attributes(req, reply, true, tab, sizeof tab);
  if (!error && call->app->once) error = vsi_once_attributes(req, true, once, sizeof once);
  if (!error && call->app->csrf) error = vestry_csrf_token(call->app->csrf, req, reply, token);
  vestry_call_fail(call, error);
  if (error) return;
  vestry_html_add(html, " %-s %-s", tab, once);
  if (call->app->csrf) vestry_html_add(html, " data-signals:_csrf=\"'%s'\"", token);
}

static void add_presses(const vestry_call *call, const vestry_application_document *frame, vestry_html *html) {
  const vestry_backend_action_options own = {
      .csrf = call->app->csrf != NULL, .once = call->app->once != NULL, .deduplicate = call->app->once != NULL};
  vestry_html_add(html, " data-signals=\"{_said: {act: ''}}\" ");
  vsi_html_presses(html, VESTRY_METHOD_POST, frame->presses ? frame->presses : &own, "$_said.act = '',");
}

static void begin(vsi_entry_call *own, const char *title) {
  vestry_call *call = &own->is;
  const vestry_application_document *frame = &vsi_application_of(call->app)->document;
  vestry_html *html = call->html;
  const char *language = frame->language ? frame->language(call) : NULL;
  own->reply->encodes = true;
  if (frame->policy) vestry_call_fail(call, vestry_reply_csp(own->reply, frame->policy));
  vestry_html_add(html, "<!doctype html><html lang=\"%s\"><head><meta charset=\"utf-8\">", language ? language : "en");
  /* The keyboard of a phone makes the page smaller, instead of covering it. */
  vestry_html_add(html,
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, "
                  "interactive-widget=resizes-content\"><title>%s</title>",
                  title);
  vestry_html_early(html, vestry_reply_nonce(own->reply));
  vsi_scripts_put(html, vestry_reply_nonce(own->reply));
  vestry_html_add(html, "<script type=\"module\" src=\"%-s\"></script>",
                  frame->client ? frame->client : VESTRY_DATASTAR_CDN_URL);
  if (call->render) vestry_render_head(call->render, html);
  vestry_html_add(html, "%-s</head><body", frame->head ? frame->head : "");
  if (is_personal(call, own)) add_identity(call, own->req, own->reply, html);
  if (frame->clock) vestry_html_add(html, " "), vestry_html_clock(html, frame->clock);
  if (is_personal(call, own) && (frame->presses || vsi_application_of(call->app)->has_acts))
    add_presses(call, frame, html);
  vestry_html_add(html, ">%-s", frame->begin ? frame->begin : "");
}

void vestry_call_document(vestry_call *call, const char *title) {
  vsi_entry_call *own = vsi_entry_call_of(call);
  const vsi_application *a = vsi_application_of(call->app);
  if (call->error) return;
  if (!call->html || !own->reply || own->has_document) {
    vsi_entry_call_mistake(call, "vestry_call_document", "this call has no document, or it has already begun");
    return;
  }
  own->has_document = true;
  vsi_html_of(call->html)->has_file = true;
  if (!title) title = a->document.title ? a->document.title : a->name;
  if (call->render && call->render->is_stream)
    vestry_html_add(call->html, "<title>%s</title>", title);
  else
    begin(own, title);
}

void vestry_call_content(vestry_call *call) {
  vsi_entry_call *own = vsi_entry_call_of(call);
  if (call->error) return;
  if (!own->has_document || own->has_content) {
    vsi_entry_call_mistake(call, "vestry_call_content", "the document has not begun, or its content has already begun");
    return;
  }
  own->has_content = true;
  if (call->render)
    vestry_call_fail(call, vestry_render_begin(call->render, call->html));
  else
    vestry_html_add(call->html, "<main id=\"content\">");
}

void vsi_entry_call_hidden(vsi_entry_call *own, const char *name) {
  static const char hidden[] = "<input type=\"hidden\" form=\"form-%s\" name=\"%-s\" value=\"%s\">";
  char token[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  const vestry_application *app = own->is.app;
  vestry_err error = app->csrf ? vestry_csrf_token(app->csrf, own->req, own->reply, token) : VESTRY_OK;
  if (!error && app->csrf) vestry_html_add(own->is.html, hidden, name, "csrf", token);
  if (!error && app->once) error = vestry_once_nonce(own->req, nonce);
  if (!error && app->once) vestry_html_add(own->is.html, hidden, name, "once", nonce);
  vestry_call_fail(&own->is, error);
}

void vestry_call_content_end(vestry_call *call) {
  vsi_entry_call *own = vsi_entry_call_of(call);
  if (call->error || !own->has_content) return;
  own->has_content = false;
  if (call->render)
    vestry_call_fail(call, vestry_render_end(call->render, call->html));
  else
    vestry_html_add(call->html, "</main>");
  for (; own->forms; own->forms = own->forms->next) vsi_entry_call_hidden(own, own->forms->name);
}

void vsi_entry_call_document_end(vsi_entry_call *own) {
  vestry_call *call = &own->is;
  const vestry_application_document *frame = &vsi_application_of(call->app)->document;
  if (call->error || !own->has_document) return;
  vestry_call_content_end(call);
  vestry_html_add(call->html, "%-s</body></html>", frame->end ? frame->end : "");
  vestry_call_fail(call, vestry_html_error(call->html, NULL, NULL));
}

void vestry_call_part(vestry_call *call, const char *name, int64_t key) {
  char share[KEY_BYTES] = "", id[ID_BYTES], why[ID_BYTES];
  const vsi_application *a = vsi_application_of(call->app);
  const vsi_mounted *entry = a->entries, *end = entry + a->entries_count;
  if (call->error) return;
  if (!name) name = "";
  while (entry < end && (entry->is.kind != VESTRY_ENTRY_PART || strcmp(entry->is.name, name) != 0)) entry++;
  if (entry == end || !call->render || call->render->share) {
    snprintf(why, sizeof why, "the application has no VESTRY_PART \"%.60s\", or this is no page", name);
    vsi_entry_call_mistake(call, "vestry_call_part", why);
    return;
  }
  vsi_writer number = {.to = share};
  vsi_put_int(&number, key);
  share[number.len] = '\0';
  const size_t name_len = strnlen(name, NAME_BYTES);
  memcpy(id, name, name_len);
  if (key) memcpy(id + name_len + 1, share, KEY_BYTES);
  id[name_len] = key ? '-' : '\0';
  const vestry_page_part part = {.id = id,
                                 .element = entry->is.element,
                                 .share = share,
                                 .render = entry->options.render,
                                 .app = (void *)(uintptr_t)entry,
                                 .attributes = entry->is.attributes};
  vestry_call_fail(call, vestry_render_part(call->render, call->html, &part));
}
