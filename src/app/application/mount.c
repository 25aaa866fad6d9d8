/* SPDX-License-Identifier: MIT */
/* The entries of an application's table: for each kind, the handler, render or job that calls the function.
 *
 * The function of an act runs inside a transaction that may run again, so it has no reply: its calls for the
 * reply are stored, and performed after the commit. The transaction also marks the stored submission as done, so that
 * an act is committed once, also if its process is killed (data/sql/once.c). */
#include "app/application/mount.h"

#include <stdlib.h>
#include <string.h>

#include "app/application/document.h"
#include "app/application/form.h"
#include "app/guard/once_mark.h"
#include "app/guard/proof.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/sql/sql.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "instance/instance.h"

/* ------------------------------------------------------------------------------------------------ requests -------- */

/* Make a guest of a person without a log-in, if the entry makes guests. */
static vestry_err greet(const vsi_mounted *entry, const vestry_request *req, vestry_reply *reply) {
  const char *guest;
  if (!entry->is.makes_guest || vestry_session_user(req)) return VESTRY_OK;
  return vestry_guest_begin(req, reply, &guest);
}

/* A page: its document is served after its guest was made, because a render cannot make one. A stream keeps the guest
 * of its document. */
static vestry_err serve_page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const vsi_mounted *entry = ctx;
  vestry_err error = req->is_datastar ? VESTRY_OK : greet(entry, req, reply);
  return error ? error : vestry_page_serve(req, reply, entry->page, entry->is.share);
}

static vestry_err render_page(vestry_render *render, vestry_html *html, void *ctx) {
  const vsi_mounted *entry = ctx;
  vsi_entry_call call;
  vsi_entry_call_begin(&call, entry, render->request, render->reply);
  call.is.html = html;
  call.is.render = render;
  entry->is.fn(&call.is);
  vsi_entry_call_document_end(&call);
  return vsi_entry_call_end(&call);
}

static void *app_of(const vsi_mounted *entry) {
  return entry->options.app ? entry->options.app : entry->app;
}

static vestry_err name_topics(vestry_render *render, void *ctx) {
  const vsi_mounted *entry = ctx;
  return entry->options.topics(render, app_of(entry));
}

static vestry_err allow_page(const vestry_request *req, void *ctx) {
  const vsi_mounted *entry = ctx;
  return entry->options.allow(req, app_of(entry));
}

static vestry_err render_part(vestry_render *render, vestry_html *html, void *ctx) {
  const vsi_mounted *entry = ctx;
  vsi_entry_call call;
  vsi_entry_call_begin(&call, entry, NULL, NULL);
  call.is.html = html;
  call.is.render = render;
  call.is.key = strtoll(render->share, NULL, 10);
  entry->is.fn(&call.is);
  vestry_call_fail(&call.is, vestry_html_error(html, NULL, NULL));
  return vsi_entry_call_end(&call);
}

/* End the call of a request. FAILED means that it is forbidden; a page has `allow` for this. */
static vestry_err end(vsi_entry_call *call) {
  vestry_reply *reply = call->reply;
  const bool has_status = reply->status >= 400;
  const bool is_answered = call->url || (has_status && reply->has_body);
  if (call->is.error == VESTRY_FAILED && !is_answered && call->entry->is.kind != VESTRY_ENTRY_ERROR_DOCUMENT)
    call->is.error = vsi_refuse_request(call->req, reply, has_status ? reply->status : 403, "You may not do this.");
  return vsi_entry_call_end(call);
}

/* A document, also that of an error; or a handler, which may answer with a document. */
static vestry_err serve_document(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const vsi_mounted *entry = ctx;
  vestry_html html;
  vsi_entry_call call;
  vestry_err error = greet(entry, req, reply);
  if (error) return error;
  vestry_html_init(&html, vsi_application_of(entry->app)->host);
  vsi_entry_call_begin(&call, entry, req, reply);
  call.is.html = &html;
  entry->is.fn(&call.is);
  vsi_entry_call_document_end(&call);
  if (call.has_document && !call.url) vestry_call_fail(&call.is, vestry_reply_html(reply, &html));
  vestry_html_finish(&html);
  return end(&call);
}

static void show_error(vestry_call *call) {
  const int status = call->req->error;
  vestry_call_document(call, NULL);
  vestry_call_content(call);
  vestry_html_add(call->html, "<h1>%-s</h1><p><a href=\"/\">Continue</a></p>",
                  status == 404   ? "There is no such page"
                  : status == 403 ? "This page is out of date, or not for you"
                  : status == 429 ? "Too many requests. Try again later"
                  : status == 503 ? "The server is busy. Try again later"
                                  : "That did not work");
}

/* A guard that leads elsewhere ends the request. The tab of a live page gets 401, for which it reloads. */
static vestry_err guard(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const vsi_mounted *entry = ctx;
  vsi_entry_call call;
  vsi_entry_call_begin(&call, entry, req, reply);
  entry->is.fn(&call.is);
  if (call.url && req->is_datastar) vestry_call_fail(&call.is, vestry_reply_status(reply, 401));
  if (call.url) vestry_call_fail(&call.is, VESTRY_FAILED);
  return end(&call);
}

/* -------------------------------------------------------------------------------------------- transactions -------- */

static void answer_act(vsi_entry_call *call) {
  vestry_reply *reply = call->reply;
  if (call->entry->is.form) {
    vsi_form_answer(call);
    return;
  }
  if (call->is.error == VESTRY_FAILED && call->said) {
    call->is.error =
        call->req->is_datastar ? vsi_entry_call_say(call) : vestry_reply_bodyf(reply, "<p>%s</p>", call->said);
    if (!call->req->is_datastar) vestry_call_fail(&call->is, vestry_reply_status(reply, 422));
    return;
  }
  if (call->is.error) return;
  if (call->url)
    vestry_call_fail(&call->is, vestry_reply_redirect(reply, 303, call->url));
  else if (call->signals)
    vestry_call_fail(&call->is, vsi_entry_call_patch(call));
  else
    vestry_call_fail(&call->is, vestry_reply_status(reply, 204));
}

/* Mark the submission of a call with its response. The client's response is made again after the commit, because the
 * transaction may be rolled back. */
static void mark(vsi_entry_call *call, vestry_sql_transaction *transaction) {
  vestry_reply made, *const reply = call->reply;
  call->has_mark = false;
  if (!call->req || call->is.error || !vsi_once_has_mark(call->req)) return;
  vsi_reply_init(&made, reply->host);
  made.is_datastar = reply->is_datastar;
  call->reply = &made;
  answer_act(call);
  call->reply = reply;
  if (made.has_body) vestry_call_fail(&call->is, vestry_reply_header(&made, "Content-Type", made.body_type));
  const vestry_response response = {.status = made.status     ? made.status
                                              : made.has_body ? 200
                                                              : 204,
                                    .headers = made.headers,
                                    .headers_count = made.headers_count,
                                    .body = made.body,
                                    .body_len = made.body_len};
  if (!call->is.error) vestry_call_fail(&call->is, vsi_once_mark(call->req, &response, vsi_sql_once_mark, transaction));
  call->has_mark = !call->is.error;
  vsi_reply_finish(&made);
}

static vestry_err run_act(vestry_sql_transaction *transaction, void *ctx) {
  vsi_entry_call *call = ctx;
  const vestry *v = call->entry->app->instance;
  vsi_inside_set_ending(v, false);
  vsi_entry_call_again(call, transaction);
  /* First, because a transaction with one snapshot could not finish the job after a renewal of its lease. */
  if (call->is.job && !call->is.job->period_at_ms)
    vestry_call_fail(&call->is, vestry_job_finish(call->is.job, transaction));
  if (!call->is.error) call->entry->is.fn(&call->is);
  if (call->entry->is.form) vsi_form_clear(call);
  if (transaction) mark(call, transaction);
  vsi_inside_set_ending(v, transaction != NULL);
  return call->is.error;
}

/* Run the function of a call in a transaction, and commit it. */
static void act(vsi_entry_call *call) {
  vestry_application *app = call->entry->app;
  if (call->is.error) return;
  if (!call->entry->is.has_reply) call->is.reply = NULL;
  const bool has_transaction = app->pool && !call->entry->is.has_reply;
  vestry_err error = has_transaction ? vsi_application_act(app, run_act, call, &call->has_mark) : run_act(NULL, call);
  call->is.transaction = NULL;
  call->is.error = error;
}

static vestry_err serve_act(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const vsi_mounted *entry = ctx;
  vsi_entry_call call;
  vestry_err error = greet(entry, req, reply);
  if (error) return error;
  vsi_entry_call_begin(&call, entry, req, reply);
  if (entry->is.form) vsi_form_read(&call);
  act(&call);
  answer_act(&call);
  return end(&call);
}

/* The response that a mark stores has no cookie, so a repetition gets the cookie of the guest here. A session always
 * has the same guest. */
vestry_err vsi_entry_guard_once(const vestry_request *req, vestry_reply *reply, void *once) {
  const vsi_route *route = req->own->visit ? req->own->visit->route : NULL;
  vestry_err error = vestry_once_guard(req, reply, once);
  if (error == VESTRY_FAILED && reply->status < 400 && route && route->handler == serve_act)
    (void)greet(route->app, req, reply);
  return error;
}

bool vsi_entry_is_marked(const vsi_route *route) {
  return route->handler == serve_act && !((const vsi_mounted *)route->app)->is.has_reply;
}

static vestry_err run_job(vestry_job *job, void *ctx) {
  vsi_entry_call call;
  vsi_entry_call_begin(&call, ctx, NULL, NULL);
  call.is.job = job;
  call.is.key = job->payload.len ? strtoll(job->payload.data, NULL, 10) : 0;
  act(&call);
  return vsi_entry_call_end(&call);
}

/* ------------------------------------------------------------------------------------------------ mounting -------- */

static vestry_err mount_page(vsi_application *a, vsi_mounted *entry) {
  vestry_page_options options;
  entry->options = entry->is.page ? *entry->is.page : (vestry_page_options){0};
  if (entry->options.render || entry->options.handler)
    return vsi_mistake(a->host, "VESTRY_PAGE", "page has a render or a handler; the entry has the function");
  options = entry->options;
  options.render = render_page;
  options.topics = options.topics ? name_topics : NULL;
  options.allow = options.allow ? allow_page : NULL;
  options.app = entry;
  vestry_err error = vestry_page_create(a->is.pages, &options, &entry->page);
  return error ? error : vestry_route(a->is.instance, "GET", entry->is.name, serve_page, entry);
}

static vestry_err mount_job(vsi_application *a, vsi_mounted *entry) {
  const vestry_entry *is = &entry->is;
  if (!a->is.jobs) return vsi_mistake(a->host, "VESTRY_JOB", "the application has no jobs; set options.jobs");
  if (is->kind == VESTRY_ENTRY_JOB) return vestry_jobs_on(a->is.jobs, is->name, run_job, entry);
  return vestry_jobs_every(a->is.jobs, is->name, is->period_ms, is->offset_ms, run_job, entry);
}

static vestry_err mount(vsi_application *a, vsi_mounted *entry) {
  const vestry_entry *is = &entry->is;
  const char *method = is->method ? is->method : "POST";
  vestry *v = a->is.instance;
  const bool has_no_name = is->kind == VESTRY_ENTRY_FORM || is->kind == VESTRY_ENTRY_ERROR_DOCUMENT;
  if (!is->fn || (!is->name && !has_no_name))
    return vsi_mistake(a->host, "vestry_application_create", "an entry has no function, or no name");
  switch (is->kind) {
  case VESTRY_ENTRY_PAGE: return mount_page(a, entry);
  case VESTRY_ENTRY_DOCUMENT: return vestry_route(v, "GET", is->name, serve_document, entry);
  case VESTRY_ENTRY_HANDLER: return vestry_route(v, method, is->name, serve_document, entry);
  case VESTRY_ENTRY_ACT: return vestry_route(v, method, is->name, serve_act, entry);
  case VESTRY_ENTRY_FORM: return vsi_form_mount(a, entry, serve_act);
  case VESTRY_ENTRY_JOB:
  case VESTRY_ENTRY_EVERY: return mount_job(a, entry);
  case VESTRY_ENTRY_GUARD: return vestry_guard(v, is->name, guard, entry);
  case VESTRY_ENTRY_PART: entry->options.render = render_part; return VESTRY_OK;
  case VESTRY_ENTRY_ERROR_DOCUMENT: return vestry_error_page(v, 0, serve_document, entry);
  default: return vsi_mistake(a->host, "vestry_application_create", "an entry is of no kind of vestry_entry_kind");
  }
}

vestry_err vsi_entries_mount(vsi_application *a, const vestry_entry *table) {
  static const vestry_entry errors = {.kind = VESTRY_ENTRY_ERROR_DOCUMENT, .fn = show_error};
  size_t count = 0;
  while (table[count].kind) count++;
  a->entries = vsi_calloc(a->host, count + 1, sizeof *a->entries);
  if (!a->entries) return VESTRY_NO_MEMORY;
  a->entries_count = count + 1; /* the first is the page of errors, unless the table has one */
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i <= count && !error; i++) {
    a->entries[i] = (vsi_mounted){.is = i ? table[i - 1] : errors, .app = &a->is};
    a->has_acts |= a->entries[i].is.kind == VESTRY_ENTRY_ACT;
    error = mount(a, &a->entries[i]);
  }
  return error;
}
