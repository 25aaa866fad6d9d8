/* SPDX-License-Identifier: MIT */
/* Forms that work with and without JavaScript. With it, the client sends the fields, the token and the nonce of the
 * submission as headers, and shows two signals: the message of the last response, and a value that is another one for
 * each accepted form, at which the form empties itself. Without it, the browser sends the hidden fields. The nonce in
 * such a field belongs to one content, so the response to a refused form contains the form with a new nonce; a user who
 * went back instead would get 409. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/page/render.h"
#include "base/ascii.h"
#include "base/log.h"
#include "base/options.h"
#include "instance/instance.h"
#include "vestry/app/application.h"
#include "vestry/app/tab.h"

enum { SIGNAL_BYTES = 80, NAME_MAX_BYTES = 40 };

/* The options of a form, with the defaults, in own. function: for the log. */
static vestry_err take(vestry_application *app, const vestry_application_form *given, const char *function,
                       vestry_application_form *own) {
  if (!app) return VESTRY_INVALID;
  if (!given || VSI_OPTIONS_TAKE(vestry_application_form, *own, given))
    return vsi_mistake(app->instance->host, function, "the form is NULL, or of a later version");
  if (!own->name) own->name = "form";
  if (!own->button) own->button = "Send";
  if (!own->attributes) own->attributes = "";
  if (!own->more) own->more = "";
  if (!own->sending) own->sending = "Sending…";
  if (!own->failed) own->failed = "This was not sent. Try again.";
  const char *at = own->name;
  while (vsi_is_letter(*at) || *at == '_' || (at > own->name && vsi_is_digit(*at))) at++;
  if (*at || at == own->name || at - own->name > NAME_MAX_BYTES)
    return vsi_mistake(app->instance->host, function,
                       "the name of the form has other characters than letters, digits and '_', or more than 40");
  if (!own->action || *own->action != '/')
    return vsi_mistake(app->instance->host, function, "the form's action is no path");
  if (strchr(own->action, '{'))
    return vsi_mistake(app->instance->host, function,
                       "the form's action has a parameter; give the value as a hidden field in `more` instead");
  if (own->is_kept && !app->forms)
    return vsi_mistake(app->instance->host, function, "the form is kept; set options.forms of the application");
  return VESTRY_OK;
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

vestry_err vestry_application_form_route(vestry_application *app, const vestry_application_form *given,
                                         vestry_handler_fn handler, void *ctx) {
  const char *names[VESTRY_FORM_FIELDS_MAX];
  vestry_application_form form;
  vestry_err error = take(app, given, "vestry_application_form_route", &form);
  if (!error && has_own_name(&form))
    error = vsi_mistake(app->instance->host, "vestry_application_form_route",
                        "a field is called csrf, once or tabId, as fields of the form itself; rename it");
  if (!error && form.is_kept && form.inputs_count > VESTRY_FORM_FIELDS_MAX)
    error = vsi_mistake(app->instance->host, "vestry_application_form_route", "a kept form has more than 64 fields");
  for (size_t i = 0; !error && form.is_kept && i < form.inputs_count; i++) names[i] = form.inputs[i].name;
  if (!error && form.is_kept) error = vestry_forms_add(app->forms, form.name, names, form.inputs_count);
  return error ? error : vestry_route(app->instance, "POST", form.action, handler, ctx);
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

static void add_action(vestry_application *app, vestry_html *html, const vestry_application_form *form,
                       const char *signal) {
  const vestry_backend_action_options action = {.content = VESTRY_CONTENT_FORM,
                                                .csrf = app->csrf != NULL,
                                                .once = app->once != NULL,
                                                .deduplicate = app->once != NULL,
                                                .sent = app->once ? signal : NULL,
                                                .cancellation = VESTRY_CANCEL_DISABLED};
  vestry_html_add(html,
                  " data-signals=\"{_said: {%-s: ''}, _done: {%-s: ''}}\" data-effect=\"$_done.%-s && "
                  "HTMLFormElement.prototype.reset.call(el)\"",
                  form->name, form->name, form->name);
  vestry_html_add(html, " data-on:submit=\"$_said.%-s = ''; ", form->name);
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
  if (form->is_kept) error = vestry_form_open(app->forms, render->request, render, html, form->name, &kept);
  vestry_html_add(html, "><input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\">");
  if (!error) error = add_hidden(app, render->request, render->reply, html);
  const vestry_inputs_shown shown = {.form = kept, .values = values};
  if (!error) error = vestry_inputs_add(html, form->inputs, form->inputs_count, &shown);
  vestry_form_close(kept);
  return error ? error : add_end(app, html, form, signal);
}

/* Append a form that the browser sends itself. The client, if the document has it, does nothing with it. */
static vestry_err add_plain(vestry_application *app, const vestry_request *req, vestry_reply *reply, vestry_html *html,
                            const vestry_application_form *form, const vestry_inputs_shown *shown,
                            const char *message) {
  const char *tab = shown->req ? vestry_request_value(req, VESTRY_IN_FORM, "tabId") : NULL;
  begin(html, form);
  vestry_html_add(html, ">");
  if (tab) vestry_html_add(html, "<input type=\"hidden\" name=\"tabId\" value=\"%s\">", tab);
  vestry_err error = add_hidden(app, req, reply, html);
  if (!error) error = vestry_inputs_add(html, form->inputs, form->inputs_count, shown);
  vestry_html_add(html, "%-s<p role=\"alert\">%s</p><button>%s</button></form>", form->more, message, form->button);
  return error;
}

vestry_err vestry_application_form_add(vestry_application *app, vestry_render *render, vestry_html *html,
                                       const vestry_application_form *given, const void *values) {
  vestry_application_form form;
  vestry_err error = take(app, given, "vestry_application_form_add", &form);
  if (error) return error;
  if (!render || !render->request || !html)
    return vsi_mistake(app->instance->host, "vestry_application_form_add",
                       "an argument is NULL, or the render is that of a part");
  const vsi_render *own = render->own;
  if (own->is_begun && !own->is_ended)
    return vsi_mistake(app->instance->host, "vestry_application_form_add",
                       "the form is in the content; put it before vestry_render_begin, or behind vestry_render_end");
  if (render->is_stream) return VESTRY_OK;
  return add(app, render, html, &form, values);
}

vestry_err vestry_application_form_show(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                                        vestry_html *html, const vestry_application_form *given, const void *values) {
  vestry_application_form form;
  vestry_err error = take(app, given, "vestry_application_form_show", &form);
  if (error) return error;
  if (!req || !reply || !html)
    return vsi_mistake(app->instance->host, "vestry_application_form_show", "an argument is NULL");
  return add_plain(app, req, reply, html, &form, &(vestry_inputs_shown){.values = values}, "");
}

vestry_err vestry_application_form_read(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                                        const vestry_application_form *given, void *ret_values) {
  char message[VESTRY_INPUT_MESSAGE_BYTES];
  vestry_application_form form;
  vestry_err error = take(app, given, "vestry_application_form_read", &form);
  if (!error) error = vestry_inputs_read(req, form.inputs, form.inputs_count, ret_values, message);
  return error == VESTRY_MALFORMED ? vestry_application_form_refuse(app, req, reply, given, message) : error;
}

/* Answer a browser without JavaScript with the form and the message. */
static vestry_err show_refused(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                               const vestry_application_form *form, const char *message) {
  vestry_application_document document;
  vestry_html html;
  if (VSI_OPTIONS_TAKE(vestry_application_document, document, form->document))
    return vsi_mistake_in_options(app->instance->host, "vestry_application_form_refuse, document");
  vestry_html_init(&html, app->instance->host);
  vestry_html_add(&html, "<!doctype html><html lang=\"%s\"><head><meta charset=\"utf-8\">",
                  document.language ? document.language : "en");
  vestry_html_add(&html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>%s</title>%-s",
                  document.title ? document.title : "vestry", document.head ? document.head : "");
  vestry_html_add(&html, "</head><body><main>");
  vestry_err error = add_plain(app, req, reply, &html, form, &(vestry_inputs_shown){.req = req}, message);
  vestry_html_add(&html, "</main></body></html>");
  if (!error) error = vestry_reply_html(reply, &html);
  if (!error) error = vestry_reply_status(reply, 422);
  vestry_html_finish(&html);
  return error;
}

vestry_err vestry_application_form_refuse(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                                          const vestry_application_form *given, const char *message) {
  vestry_application_form form;
  vestry_err error = take(app, given, "vestry_application_form_refuse", &form);
  if (error || !req || !reply || !message) return error ? error : VESTRY_INVALID;
  if (req->is_datastar)
    error = vestry_reply_patch_signals(reply, VESTRY_OBJECT("_said", VESTRY_OBJECT(form.name, message)));
  else
    error = show_refused(app, req, reply, &form, message);
  return error ? error : VESTRY_FAILED;
}

vestry_err vestry_application_form_end(vestry_application *app, const vestry_request *req, vestry_reply *reply,
                                       const vestry_application_form *given, vestry_err error, const char *url) {
  char done[24];
  vestry_application_form form;
  vestry_err taken = take(app, given, "vestry_application_form_end", &form);
  if (taken || !req || !reply) return taken ? taken : VESTRY_INVALID;
  if (error) return error == VESTRY_FAILED ? VESTRY_OK : error;
  if (form.is_kept) error = vestry_forms_clear(app->forms, req, form.name);
  if (error == VESTRY_NOT_FOUND) error = VESTRY_OK; /* a request without a tab has no stored text */
  if (error || !url) return error;
  if (!req->is_datastar) return vestry_reply_redirect(reply, 303, url);
  const vestry_host *host = app->instance->host;
  snprintf(done, sizeof done, "%" PRIu64, host->now_ns(host->ctx));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("_said", VESTRY_OBJECT(form.name, ""), "_done",
                                                         VESTRY_OBJECT(form.name, (const char *)done)));
}
