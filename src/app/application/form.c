/* SPDX-License-Identifier: MIT */
/* Forms that work with and without JavaScript. With it, the client sends the fields, the token and the nonce of the
 * submission as headers, and shows two signals: the message of the last response, and a value that is another one for
 * each accepted form, at which the form empties itself. Without it, the browser sends the hidden fields. The nonce in
 * such a field belongs to one content, so the response to a refused form contains the form with a new nonce; a user who
 * went back instead would get 409. */
#include "app/application/form.h"

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
  if (!own.sending) own.sending = "Sending…";
  if (!own.failed) own.failed = "This was not sent. Try again.";
  if (!own.page) own.page = "/";
  return own;
}

/* Return a form with its defaults, after its function has adapted it to a call. */
static vestry_application_form adapted(vsi_entry_call *call, const vestry_application_form *given) {
  vestry_application_form own = *given;
  vestry_input *inputs = own.adapt ? vsi_entry_call_alloc(call, own.inputs_count * sizeof *inputs) : NULL;
  for (size_t i = 0; inputs && i < own.inputs_count; i++) inputs[i] = own.inputs[i];
  if (inputs) own.inputs = inputs, own.adapt(&call->is, &own, inputs);
  return taken(&own);
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
      if (form->inputs[i].name && strcmp(form->inputs[i].name, names[j]) == 0) return true;
  return false;
}

/* Return what is wrong with a form; NULL: nothing. */
static const char *fault_of(const vsi_application *a, const vestry_application_form *form) {
  if (!is_form_name(form->name))
    return "the name of the form has other characters than letters, digits and '_', or more than 40";
  if (!form->action || *form->action != '/') return "the form's action is no path";
  if (strchr(form->action, '{'))
    return "the form's action has a parameter; give the value as a field with is_hidden instead";
  if (!form->inputs && form->inputs_count) return "inputs is NULL; set inputs and their number by VESTRY_INPUTS";
  if (has_own_name(form)) return "a field is called csrf, once or tabId, as fields of the form itself; rename it";
  if (form->is_kept && !a->is.forms) return "the form is kept; set options.forms of the application";
  return NULL;
}

vestry_err vsi_form_mount(vsi_application *a, vsi_mounted *entry, vestry_handler_fn handler) {
  if (!entry->is.form) return vsi_mistake(a->host, "VESTRY_FORM", "the form is NULL");
  const vestry_application_form form = taken(entry->is.form);
  const char *fault = fault_of(a, &form);
  if (fault) return vsi_mistake(a->host, "VESTRY_FORM", fault);
  vestry_err error = vsi_inputs_check(a->host, form.inputs, form.inputs_count);
  if (!error && form.is_kept) error = vestry_forms_add(a->is.forms, form.name, form.inputs, form.inputs_count);
  return error ? error : vestry_route(a->is.instance, "POST", form.action, handler, entry);
}

/* A nonce in the content would change it with each render, so these fields follow behind the content of a document. */
static void add_hidden_later(vsi_entry_call *own, const char *name) {
  vsi_content_form *form = own->is.render->is_stream ? NULL : vsi_entry_call_alloc(own, sizeof *form);
  if (!form) return;
  *form = (vsi_content_form){own->forms, name};
  own->forms = form;
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

/* Append a form that the client sends; outside of a page, one that the browser sends itself. */
static void add(vsi_entry_call *own, const vestry_application_form *form, vestry_inputs_shown shown,
                const char *message) {
  char signal[SIGNAL_BYTES];
  vestry_call *call = &own->is;
  vestry_html *html = call->html;
  vestry_form *kept = NULL;
  const char *tab = shown.req ? vestry_request_value(shown.req, VESTRY_IN_FORM, "tabId") : NULL;
  snprintf(signal, sizeof signal, "_sending_%s", form->name);
  vestry_html_add(html, "<form id=\"form-%s\" method=\"post\" action=\"%s\" %-s", form->name, form->action,
                  form->attributes);
  if (call->render) add_action(call->app, html, form, signal);
  if (call->render && form->is_kept)
    vestry_call_fail(call, vestry_form_open(call->app->forms, own->req, call->render, html, form->name, &kept));
  shown.form = kept;
  vestry_html_add(html, ">");
  if (call->render) vestry_html_add(html, "<input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\">");
  if (tab) vestry_html_add(html, "<input type=\"hidden\" name=\"tabId\" value=\"%s\">", tab);
  call->render && own->has_content ? add_hidden_later(own, form->name) : vsi_entry_call_hidden(own, form->name);
  vestry_call_fail(call, vsi_inputs_add(html, form->inputs, form->inputs_count, &shown, form->name, own->wrong));
  vestry_form_close(kept);
  vestry_html_add(html, "<p role=\"alert\"");
  if (call->render) vestry_html_add(html, " data-text=\"$_said.%-s\"", form->name);
  vestry_html_add(html, ">%s</p><button>%s</button>", message, form->button);
  if (call->render && call->app->once)
    vestry_html_add(html, "<p role=\"status\" data-text=\"$%-s ? '%s' : $%-sFailed ? '%s' : ''\"></p>", signal,
                    form->sending, signal, form->failed);
  vestry_html_add(html, "</form>");
}

static bool has_route(const vestry_call *call, const char *action) {
  vsi_visit visit;
  char allow[VSI_ALLOW_BYTES];
  vsi_routes *routes = call->app->instance->routes;
  return action && vsi_routes_find(routes, "POST", action, &visit, allow);
}

void vestry_call_form(vestry_call *call, const vestry_application_form *given, const void *values) {
  vsi_entry_call *own = vsi_entry_call_of(call);
  const char *why = NULL;
  if (call->error) return;
  if (!given || !own->has_document)
    why = "the form is NULL, or no document has begun; call vestry_call_document first";
  else if (!has_route(call, given->action))
    why = "the form's action has no route; add VESTRY_FORM with the form to the table";
  else if (call->render && own->has_content && given->is_kept)
    why = "a form that keeps its text is in the content; put it before vestry_call_content, or behind "
          "vestry_call_content_end";
  if (why) {
    vsi_entry_call_mistake(call, "vestry_call_form", why);
  } else if (own->has_content || !call->render || !call->render->is_stream) {
    const vestry_application_form form = adapted(own, given);
    add(own, &form, (vestry_inputs_shown){.values = values}, "");
  }
}

static void *take_memory(void *ctx, size_t bytes) {
  return vsi_entry_call_alloc(ctx, bytes);
}

/* Note the messages of the fields, of which the form shows the first. */
static void refuse(vsi_entry_call *call, const vestry_application_form *form,
                   char (*messages)[VESTRY_INPUT_MESSAGE_BYTES]) {
  for (size_t i = 0; i < form->inputs_count; i++) {
    if (!*messages[i]) continue;
    vestry_call_refuse(&call->is, "%s", messages[i]);
    if (!call->wrong) call->wrong = json_object();
    if (json_object_set_new(call->wrong, form->inputs[i].name, json_string(messages[i])))
      vestry_call_fail(&call->is, VESTRY_NO_MEMORY);
  }
}

void vsi_form_read(vsi_entry_call *call) {
  const vestry_application_form form = adapted(call, call->entry->is.form);
  void *values = vsi_entry_call_alloc(call, form.inputs_count ? form.inputs[0].struct_bytes : 1);
  void *messages = vsi_entry_call_alloc(call, form.inputs_count * VESTRY_INPUT_MESSAGE_BYTES);
  if (!values || !messages) return;
  call->is.values = values;
  const vsi_input_memory memory = {take_memory, call};
  vestry_err error = vsi_inputs_read(call->req, form.inputs, form.inputs_count, values, messages, &memory);
  if (error == VESTRY_MALFORMED)
    refuse(call, &form, messages);
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
static void show_refused(vsi_entry_call *call) {
  vestry_html html;
  vestry_call *is = &call->is;
  const vestry_application_form form = adapted(call, call->entry->is.form);
  vestry_html_init(&html, vsi_application_of(is->app)->host);
  is->html = &html;
  vestry_call_document(is, form.title);
  vestry_call_content(is);
  if (!is->error) add(call, &form, (vestry_inputs_shown){.req = call->req}, call->said);
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
  const vestry_host *host = vsi_application_of(call->is.app)->host;
  if (call->said) return say(call, form);
  if (!call->accepted_ns) call->accepted_ns = host->now_ns(host->ctx);
  json_t *own =
      json_pack("{s:{s:s},s:{s:I}}", "_said", form->name, "", "_done", form->name, (json_int_t)call->accepted_ns);
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
    show_refused(call);
  else
    vestry_call_fail(&call->is, vestry_reply_redirect(call->reply, 303, call->url ? call->url : form.page));
}
