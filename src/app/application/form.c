/* SPDX-License-Identifier: MIT */
/* Forms that work with and without JavaScript. With it, the client sends the fields, the token and the nonce of the
 * submission as headers, and shows two signals: the message of the last response, and a value that is another one for
 * each accepted form, at which the form empties itself. Without it, the browser sends the hidden fields. The nonce in
 * such a field belongs to one content, so the response to a refused form contains the form with a new nonce; a user who
 * went back instead would get 409. */
#include "app/application/form.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/application/document.h"
#include "app/page/input.h"
#include "app/page/render.h"
#include "base/ascii.h"
#include "base/log.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "vestry/app/tab.h"
#include "json/load.h"

enum { SIGNAL_BYTES = 80, NAME_MAX_BYTES = 40 };

/* Read the options of a form, with the defaults. They were checked when the form was mounted. */
static vestry_application_form taken(const vestry_application_form *given) {
  vestry_application_form own = *given;
  if (!own.name) own.name = "form";
  if (!own.button) own.button = "Send";
  if (!own.attributes) own.attributes = "";
  if (!own.more) own.more = "";
  if (!own.sending) own.sending = "Sending…";
  if (!own.failed) own.failed = "This was not sent. Try again.";
  if (!own.page) own.page = "/";
  return own;
}

static bool is_form_name(const char *name) {
  const char *at = name;
  while (vsi_is_letter(*at) || *at == '_' || (at > name && vsi_is_digit(*at))) at++;
  return !*at && at > name && at - name <= NAME_MAX_BYTES;
}

/* Return whether a field has a name that the form itself uses: of two fields with one name the guards read the first,
 * and reject the request. */
static bool has_own_name(const vestry_application_form *form) {
  static const char *const names[] = {"csrf", "once", "tabId"};
  for (size_t i = 0; i < form->inputs_count; i++)
    for (size_t j = 0; j < sizeof names / sizeof *names; j++)
      if (strcmp(form->inputs[i].name, names[j]) == 0) return true;
  return false;
}

/* Return what is wrong with a form; NULL: nothing. */
static const char *fault_of(const vsi_application *a, const vestry_application_form *form) {
  if (!is_form_name(form->name))
    return "the name of the form has other characters than letters, digits and '_', or more than 40";
  if (!form->action || *form->action != '/') return "the form's action is no path";
  if (strchr(form->action, '{'))
    return "the form's action has a parameter; give the value as a field with is_hidden instead";
  if (form->is_kept && !a->is.forms) return "the form is kept; set options.forms of the application";
  if (form->is_kept && form->inputs_count > VESTRY_FORM_FIELDS_MAX) return "a kept form has more than 64 fields";
  return NULL;
}

vestry_err vsi_form_mount(vsi_application *a, vsi_mounted *entry, vestry_handler_fn handler) {
  const char *names[VESTRY_FORM_FIELDS_MAX];
  size_t names_count = 0;
  vestry_application_form form;
  form = entry->is.form ? *entry->is.form : (vestry_application_form){0};
  if (!entry->is.form) return vsi_mistake(a->host, "VESTRY_FORM", "the form is NULL");
  form = taken(entry->is.form);
  const char *fault = fault_of(a, &form);
  if (fault) return vsi_mistake(a->host, "VESTRY_FORM", fault);
  vestry_err error = vestry_inputs_check(a->host, form.inputs, form.inputs_count);
  if (!error && has_own_name(&form))
    error = vsi_mistake(a->host, "VESTRY_FORM",
                        "a field is called csrf, once or tabId, as fields of the form itself; rename it");
  for (size_t i = 0; !error && form.is_kept && i < form.inputs_count; i++)
    if (!vsi_input_is_secret(&form.inputs[i])) names[names_count++] = form.inputs[i].name;
  if (!error && form.is_kept) error = vestry_forms_add(a->is.forms, form.name, names, names_count);
  return error ? error : vestry_route(a->is.instance, "POST", form.action, handler, entry);
}

/* Append what a browser without JavaScript sends, instead of headers and signals. */
static vestry_err add_hidden(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                             vestry_html *html) {
  static const char hidden[] = "<input type=\"hidden\" name=\"%-s\" value=\"%s\">";
  char token[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  vestry_err error = app->csrf ? vestry_csrf_token(app->csrf, req, reply, token) : VESTRY_OK;
  if (!error && app->csrf) vestry_html_add(html, hidden, "csrf", token);
  if (!error && app->once) error = vestry_once_nonce(req, nonce);
  if (!error && app->once) vestry_html_add(html, hidden, "once", nonce);
  return error;
}

/* Text that was typed after the submission is not that of the accepted form, and stays. */
static void add_action(vestry_application *app, vestry_html *html, const vestry_application_form *form,
                       const char *signal) {
  const vestry_backend_action_options action = {.content = VESTRY_CONTENT_FORM,
                                                .csrf = app->csrf != NULL,
                                                .once = app->once != NULL,
                                                .deduplicate = app->once != NULL,
                                                .sent = app->once ? signal : NULL,
                                                .cancellation = VESTRY_CANCEL_DISABLED};
  static const char text[] = "String(new URLSearchParams(new FormData(el)))";
  vestry_html_add(html, " data-signals=\"{_said: {%-s: ''}, _wrong: {%-s: ''}, _done: {%-s: ''}}\"", form->name,
                  form->name, form->name);
  vestry_html_add(
      html,
      " data-effect__wrong=\"(wrong => HTMLFormElement.prototype.querySelectorAll.call(el, '[data-wrong]')"
      ".forEach(at => (at.textContent = wrong[at.dataset.wrong] ?? '', "
      "HTMLFormElement.prototype.querySelectorAll.call(el, '[aria-describedby=' + at.id + ']')"
      ".forEach(of => of.setAttribute('aria-invalid', !!at.textContent)))))(JSON.parse($_wrong.%-s || '{}'))\"",
      form->name);
  vestry_html_add(html,
                  " data-effect=\"$_done.%-s && el.sentText === %-s && HTMLFormElement.prototype.reset.call(el)\"",
                  form->name, text);
  vestry_html_add(html, " data-on:submit=\"$_said.%-s = ''; $_wrong.%-s = ''; el.sentText = %-s; ", form->name,
                  form->name, text);
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &action, "%-s", form->action);
  vestry_html_add(html, "\" ");
}

/* Append the part of the form behind its fields: messages, and the button. */
static vestry_err add_end(vestry_application *app, vestry_html *html, const vestry_application_form *form,
                          const char *signal) {
  vestry_html_add(html, "%-s<p role=\"alert\" data-text=\"$_said.%-s\"></p><button>%s</button>", form->more, form->name,
                  form->button);
  if (!app->once) return vestry_html_add(html, "</form>");
  return vestry_html_add(html, "<p role=\"status\" data-text=\"$%-s ? '%s' : $%-sFailed ? '%s' : ''\"></p></form>",
                         signal, form->sending, signal, form->failed);
}

static vestry_err begin(vestry_html *html, const vestry_application_form *form) {
  return vestry_html_add(html, "<form method=\"post\" action=\"%s\" %-s", form->action, form->attributes);
}

/* Append a form that the client sends. */
static vestry_err add(vestry_application *app, vestry_render *render, vestry_html *html,
                      const vestry_application_form *form, const void *values) {
  char signal[SIGNAL_BYTES];
  vestry_form *kept = NULL;
  snprintf(signal, sizeof signal, "_sending_%s", form->name);
  begin(html, form);
  add_action(app, html, form, signal);
  vestry_err error = VESTRY_OK;
  render->own->has_form = true;
  if (form->is_kept) error = vestry_form_open(app->forms, render->request, render, html, form->name, &kept);
  vestry_html_add(html, "><input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\">");
  if (!error) error = add_hidden(app, render->request, render->reply, html);
  const vestry_inputs_shown shown = {.form = kept, .values = values};
  if (!error) error = vsi_inputs_add(html, form->inputs, form->inputs_count, &shown, form->name, NULL);
  vestry_form_close(kept);
  return error ? error : add_end(app, html, form, signal);
}

/* Append a form that the browser sends itself. The client, if the document has it, does nothing with it. */
static vestry_err add_plain(vestry_application *app, const vestry_request *req, vestry_reply *reply, vestry_html *html,
                            const vestry_application_form *form, const vestry_inputs_shown *shown, const char *message,
                            const json_t *wrong) {
  const char *tab = shown->req ? vestry_request_value(req, VESTRY_IN_FORM, "tabId") : NULL;
  begin(html, form);
  vestry_html_add(html, ">");
  if (tab) vestry_html_add(html, "<input type=\"hidden\" name=\"tabId\" value=\"%s\">", tab);
  vestry_err error = add_hidden(app, req, reply, html);
  if (!error) error = vsi_inputs_add(html, form->inputs, form->inputs_count, shown, form->name, wrong);
  vestry_html_add(html, "%-s<p role=\"alert\">%s</p><button>%s</button></form>", form->more, message, form->button);
  return error;
}

static bool has_route(const vestry_call *call, const char *action) {
  vsi_visit visit;
  char allow[VSI_ALLOW_BYTES];
  vsi_routes *routes = call->app->instance->routes;
  return action && vsi_routes_find(routes, "POST", action, &visit, allow);
}

void vestry_call_form(vestry_call *call, const vestry_application_form *given, const void *values) {
  vsi_entry_call *own = vsi_entry_call_of(call);
  const vestry_inputs_shown shown = {.values = values};
  if (call->error) return;
  if (!given || !own->has_document) {
    vsi_entry_call_mistake(call, "vestry_call_form",
                           "the form is NULL, or no document has begun; call vestry_call_document first");
    return;
  }
  const vestry_application_form form = taken(given);
  if (!has_route(call, form.action)) {
    vsi_entry_call_mistake(call, "vestry_call_form",
                           "the form's action has no route; add VESTRY_FORM with the form to the table");
    return;
  }
  if (!call->render) {
    vestry_call_fail(call, add_plain(call->app, own->req, own->reply, call->html, &form, &shown, "", NULL));
    return;
  }
  if (own->has_content) {
    vsi_entry_call_mistake(
        call, "vestry_call_form",
        "the form is in the content; put it before vestry_call_content, or behind vestry_call_content_end");
    return;
  }
  if (!call->render->is_stream) vestry_call_fail(call, add(call->app, call->render, call->html, &form, values));
}

static void *take_memory(void *ctx, size_t bytes) {
  return vsi_entry_call_alloc(ctx, bytes);
}

static void note_wrong(void *ctx, const vestry_input *field, const char *message) {
  vsi_entry_call *call = ctx;
  if (!call->wrong) call->wrong = json_object();
  if (json_object_set_new(call->wrong, field->name, json_string(message)))
    vestry_call_fail(&call->is, VESTRY_NO_MEMORY);
}

void vsi_form_read(vsi_entry_call *call) {
  char message[VESTRY_INPUT_MESSAGE_BYTES];
  const vestry_application_form form = taken(call->entry->is.form);
  void *values = vsi_entry_call_alloc(call, form.inputs_count ? form.inputs[0].struct_bytes : 1);
  if (!values) return;
  call->is.values = values;
  const vsi_input_memory memory = {take_memory, note_wrong, call};
  vestry_err error = vsi_inputs_read(call->req, form.inputs, form.inputs_count, values, message, &memory);
  if (error == VESTRY_MALFORMED)
    vestry_call_refuse(&call->is, "%s", message);
  else
    vestry_call_fail(&call->is, error);
}

void vsi_form_clear(vsi_entry_call *call) {
  const vestry_application_form form = taken(call->entry->is.form);
  if (call->is.error || !form.is_kept) return;
  vestry_err error = vestry_forms_clear(call->is.app->forms, call->req, form.name);
  if (error != VESTRY_NOT_FOUND) vestry_call_fail(&call->is, error); /* a request without a tab has no stored text */
}

/* Answer a browser without JavaScript with the form and the message. */
static void show_refused(vsi_entry_call *call, const vestry_application_form *form) {
  vestry_html html;
  vestry_call *is = &call->is;
  vestry_html_init(&html, vsi_application_of(is->app)->host);
  is->html = &html;
  vestry_call_document(is, form->title);
  vestry_call_content(is);
  if (!is->error)
    vestry_call_fail(is, add_plain(is->app, call->req, call->reply, &html, form,
                                   &(vestry_inputs_shown){.req = call->req}, call->said, call->wrong));
  vsi_entry_call_document_end(call);
  if (!is->error) vestry_call_fail(is, vestry_reply_html(call->reply, &html));
  if (!is->error) vestry_call_fail(is, vestry_reply_status(call->reply, 422));
  vestry_html_finish(&html);
  is->html = NULL;
}

/* Answer the client with the message, and the messages of fields as a text, so that an answer replaces all of them. */
static vestry_err say(vsi_entry_call *call, const vestry_application_form *form) {
  char *texts = call->wrong ? vsi_json_dump(call->wrong) : NULL;
  json_decref(call->signals); /* they were for the success that did not come */
  call->signals = json_pack("{s:{s:s}}", "_said", form->name, call->said);
  const bool is_whole =
      !call->wrong || (texts && !json_object_set_new(call->signals, "_wrong", json_pack("{s:s}", form->name, texts)));
  free(texts);
  return call->signals && is_whole ? vsi_entry_call_patch(call) : VESTRY_NO_MEMORY;
}

/* Answer the client: the message, or a value for which the form empties itself, and the signals of the program. */
static vestry_err patch(vsi_entry_call *call, const vestry_application_form *form) {
  char done[24];
  const vestry_host *host = vsi_application_of(call->is.app)->host;
  if (call->said) return say(call, form);
  if (!call->accepted_ns) call->accepted_ns = host->now_ns(host->ctx);
  snprintf(done, sizeof done, "%" PRIu64, call->accepted_ns);
  json_t *own = json_pack("{s:{s:s},s:{s:s}}", "_said", form->name, "", "_done", form->name, done);
  if (!call->signals) call->signals = json_object();
  const bool has_failed = json_object_update_recursive(call->signals, own);
  json_decref(own);
  return has_failed ? VESTRY_NO_MEMORY : vsi_entry_call_patch(call);
}

void vsi_form_answer(vsi_entry_call *call) {
  const vestry_application_form form = taken(call->entry->is.form);
  if (call->is.error == VESTRY_FAILED && call->said) call->is.error = VESTRY_OK;
  if (call->is.error) return;
  if (call->req->is_datastar && !call->url)
    vestry_call_fail(&call->is, patch(call, &form));
  else if (call->said)
    show_refused(call, &form);
  else
    vestry_call_fail(&call->is, vestry_reply_redirect(call->reply, 303, call->url ? call->url : form.page));
}
