/* SPDX-License-Identifier: MIT */
/** An application: the objects that most programs need, created, run and destroyed in the right order by one call each.
 *
 *      int main(void) {
 *        const vestry_sqlite_pool_options pool = {.path = "shelf.db", .schema = schema, .schema_version = 1};
 *        const vestry_application_options options = {
 *            .name = "shelf",
 *            .database = &vestry_sqlite_application,                 // vestry/data/sqlite.h
 *            .database_options = &(vestry_sqlite_database){.pool = &pool}};
 *        const vestry_page_options home = {.render = render_home};
 *        vestry_application *app = NULL;
 *        vestry_err error = vestry_application_create(&options, &app);
 *        if (!error) error = vestry_application_page(app, "/", &home);
 *        if (!error) error = vestry_route(app->instance, "POST", "/note", add_note, app);
 *        if (!error) error = vestry_application_run(app, &vestry_server_microhttpd, NULL);
 *        vestry_application_destroy(app);
 *        return error ? 1 : 0;
 *      }
 *
 *  The object only calls functions that programs can call, too: whatever it does can be done without it, and each part
 *  can be made alone. docs/guide/application.md has the order of the calls. */
#ifndef VESTRY_APPLICATION_H
#define VESTRY_APPLICATION_H

#include "vestry/app/clock.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/form.h"
#include "vestry/app/guest.h"
#include "vestry/app/input.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/press.h"
#include "vestry/app/rate.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sql.h"
#include "vestry/server.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vestry_metrics; /* vestry/ops/metrics.h */

/** A type of database: vestry_sqlite_application (vestry/data/sqlite.h), vestry_postgres_application
 *  (vestry/data/postgres.h), or a type that the program implements. Its members are for authors of such types;
 *  libvestry-app needs no library of a database. vestry_application_create and vestry_application_destroy call the
 *  functions on their thread, and vestry_application_settle calls `sync`; all may block. All but `followed` and
 *  `metrics` are mandatory. */
typedef struct vestry_application_database {
  size_t size;      /**< sizeof(vestry_application_database), or 0 */
  const char *name; /**< for the log */
  /** Open the pool. options: vestry_application_options.database_options. host: for the pool, if the options name none.
   *  OK | any error, after the reason was logged */
  vestry_err (*open)(const void *options, const vestry_host *host, vestry_sql_pool **ret_pool);
  /** Let pages follow the pool. *ret_follower may be NULL. OK | any error, after the reason was logged */
  vestry_err (*follow)(const void *options, vestry_sql_pool *pool, vestry_pages *pages, void **ret_follower);
  /** Refresh pages for all commits so far, for tests. *ret_seq: for vestry_pages_settle. OK | any error */
  vestry_err (*sync)(void *follower, uint64_t *ret_seq, uint64_t timeout_ms);
  /** Stop following; no stream is open, and the pages still exist. */
  void (*detach)(void *follower);
  /** Free the follower, after detach and after the pages were destroyed. */
  void (*destroy)(void *follower);
  /** Get the object of the library that the follower contains, for vestry_application.database. Optional; without it,
   *  that is the follower. */
  void *(*followed)(void *follower);
  /** Add the counters of the database and of its pool to metrics. Optional. OK | NO_MEMORY | any error of a
   *  vestry_metrics_fn */
  vestry_err (*metrics)(void *follower, vestry_sql_pool *pool, struct vestry_metrics *to);
} vestry_application_database;

/** An application. Its members are read-only, and do not change as long as it exists; those of parts that it does not
 *  have are NULL. */
typedef struct vestry_application {
  size_t size;           /**< sizeof(vestry_application) of the library */
  vestry *instance;      /**< for routes, guards, dispatches and timers */
  vestry_sql_pool *pool; /**< NULL: no database */
  vestry_pages *pages;
  vestry_csrf *csrf;   /**< guards all paths; NULL: VESTRY_WITHOUT_CSRF */
  vestry_once *once;   /**< guards all paths; NULL: VESTRY_WITHOUT_ONCE */
  vestry_rate *rate;   /**< guards all paths, before the other two */
  vestry_forms *forms; /**< declare forms with vestry_forms_add */
  vestry_jobs *jobs;   /**< name kinds of jobs with vestry_jobs_on */
  vestry_files *files;
  /** The vestry_sqlite or vestry_postgres that the pages follow, for counters and metrics. NULL: no database */
  void *database;
} vestry_application;

/** Parts that an application does not have. */
typedef enum vestry_application_without {
  VESTRY_WITHOUT_SESSIONS = 1,
  VESTRY_WITHOUT_CSRF = 2,
  VESTRY_WITHOUT_ONCE = 4,
  VESTRY_WITHOUT_COMPRESSION = 8 /**< streams are not compressed */
} vestry_application_without;

/** Options of an application. Zero selects the default, which is given in [brackets]. The options of a part are those
 *  of its create function, which copies them; a pointer in them to another part of the application may be NULL,
 *  because the application sets it. */
typedef struct vestry_application_options {
  size_t size;      /**< sizeof(vestry_application_options), or 0 */
  const char *name; /**< name of the program, for the log ["application"]. Copied */
  unsigned without; /**< parts to leave out: VESTRY_WITHOUT_… of vestry_application_without, added [none] */
  bool insecure;    /**< allow plain http, for example on a developer's machine: sets `insecure` of the
                                      sessions and of the CSRF protection. Behind a proxy with TLS leave it false */
  const vestry_options *instance; /**< [the defaults]. Without profiles, streams are compressed by brotli or gzip if the
                                      client accepts it (vestry_server_options.is_uncompressed has the memory) */
  const vestry_secret *secret;    /**< of the instance [with a database the one of vestry_sql_secret_set, so that open
                                      pages stay valid after a restart; without one it is random] */
  const vestry_application_database *database; /**< borrowed [none] */
  const void *database_options;                /**< passed to the functions of database; borrowed for the call */
  const vestry_session_options *sessions;      /**< [the defaults, stored in the database if there is one] */
  const vestry_csrf_options *csrf;             /**< [the defaults] */
  const vestry_once_options *once;             /**< [the defaults, stored in the database if there is one] */
  const vestry_pages_options *pages;           /**< [the defaults] */
  const vestry_rate_options *rate;             /**< [no rate] */
  const vestry_forms_options *forms;   /**< persistent forms, stored in the database if there is one; their handler has
                                          the route of forms->path [none] */
  const vestry_jobs_options *jobs;     /**< jobs in the database; INVALID without a database [none] */
  const vestry_files_options *files;   /**< files below files_path [none] */
  const char *files_path;              /**< ["/files"] */
  const vestry_guests_options *guests; /**< persons without a password (vestry/app/guest.h) [none] */
} vestry_application_options;

/** Create an application: its database, its instance with the secret and the sessions, the guards of all paths, the
 *  pages, which follow the database, and the other parts that the options name. Then add routes, pages, and kinds of
 *  jobs. If a part cannot be created, the parts before it are destroyed again.
 *  options  NULL: the defaults
 *  ret_app  owned by the caller, who destroys it; untouched on failure
 *  Returns  OK | the errors of the parts. The host's log has the part, the reason and a remedy
 *  Threads  any; blocks on the database and the file system */
VESTRY_API vestry_err vestry_application_create(const vestry_application_options *options,
                                                vestry_application **ret_app);
/** Stop and free an application: jobs first (waits for running ones), then the streams, then all parts. No server may
 *  serve its instance any more; vestry_application_run has ended its own. Objects of the program that use the instance,
 *  such as timers: call vestry_stop(app->instance, …), destroy them, then call this. NULL is accepted.
 *  Returns  OK (also for NULL) | BUSY (as vestry_destroy: its jobs have ended, and everything else continues to work;
 *           call it again) | CLOSED (the process was forked: nothing is freed)
 *  Threads  as vestry_stop; blocks on the database, and until running jobs have ended */
VESTRY_API vestry_err vestry_application_destroy(vestry_application *app);

/** Create a page, and serve it to GET at a path: vestry_page_create and vestry_route with vestry_page_handler.
 *  pattern  as for vestry_route
 *  options  as for vestry_page_create. app NULL: the page's functions get the application
 *  Returns  OK | INVALID | the errors of both functions; the log has the reason
 *  Threads  as vestry_page_create and vestry_route */
VESTRY_API vestry_err vestry_application_page(vestry_application *app, const char *pattern,
                                              const vestry_page_options *options);

/** Document around the content of a page. Zero selects the default, which is given in [brackets]. All texts are
 *  borrowed for the call. */
typedef struct vestry_application_document {
  size_t size;               /**< sizeof(vestry_application_document), or 0 */
  const char *title;         /**< text, escaped by the function ["vestry"] */
  const char *language;      /**< value of the attribute lang ["en"] */
  const char *client;        /**< URL of the Datastar client [VESTRY_DATASTAR_CDN_URL] */
  const char *head;          /**< HTML of the program for the head, for example links to style sheets [none] */
  const vestry_clock *clock; /**< the server's clock for the page (vestry/app/clock.h) [none] */
  /** A button with data-press in the body sends a POST request with these options (vestry/app/press.h) [none] */
  const vestry_backend_action_options *presses;
} vestry_application_document;

/** Begin the document of a live page: the head, with the Datastar client, the script of vestry_html_early
 *  (vestry/app/early.h), and what vestry_render_head adds; and the start tag of the body, with the signal `_csrf`, the
 *  tab's id (vestry/app/tab.h), and the attributes of vestry_once. Continue with HTML that never changes, then
 *  vestry_render_begin, the content, vestry_render_end, and vestry_application_document_end.
 *
 *      vestry_application_document_begin(app, render, html, &(vestry_application_document){.title = "Shelf"});
 *      vestry_render_begin(render, html);
 *      …
 *      vestry_render_end(render, html);
 *      return vestry_application_document_end(html);
 *
 *  A shared page (vestry_page_serve with a share key) gets neither token nor ids, because several users receive it. In
 *  a render for a stream, only the title is written.
 *  options  NULL: the defaults
 *  Returns  OK | INVALID | the errors of vestry_csrf_token, vestry_tab_attributes, vestry_once_attributes and
 *           vestry_html_add; the log has the reason
 *  Threads  the render's; does not block */
VESTRY_API vestry_err vestry_application_document_begin(vestry_application *app, vestry_render *render,
                                                        vestry_html *html, const vestry_application_document *options);
/** End the document. Returns as vestry_html_add. Threads the render's; does not block. */
VESTRY_API vestry_err vestry_application_document_end(vestry_html *html);

/** A form that works with and without JavaScript, declared once: its page shows it with the token, a nonce, the id of
 *  the tab, a place for messages, and its fields; its handler reads the fields by the same rules.
 *
 *      static const vestry_application_form add = {
 *          .action = "/note", .name = "note", .inputs = note_inputs, .inputs_count = 3, .button = "Add"};
 *
 *      vestry_application_form_route(app, &add, add_note, app);             // between create and run
 *      vestry_application_form_add(app, render, html, &add, NULL);          // a page, outside of its content
 *
 *      note note;                                                           // add_note
 *      vestry_err error = vestry_application_form_read(app, req, reply, &add, &note);
 *      if (!error) error = insert(app, &note);     // it may call vestry_application_form_refuse, and return its result
 *      return vestry_application_form_end(app, req, reply, &add, error, "/");
 *
 *  With JavaScript, messages are shown in the form, and an accepted one is emptied. Without it, the response to a
 *  refused form is a document with the same form and the message (422), and that to an accepted one leads to the URL of
 *  vestry_application_form_end. Zero selects the default, which is given in [brackets]; texts are borrowed. */
typedef struct vestry_application_form {
  size_t size;                /**< sizeof(vestry_application_form), or 0 */
  const char *action;         /**< path of its handler, without parameters: a hidden field in `more` has the value */
  const char *name;           /**< of its signals: letters, digits and '_', unique in its page ["form"] */
  const vestry_input *inputs; /**< vestry/app/input.h */
  size_t inputs_count;
  const char *button;     /**< text of its button ["Send"] */
  const char *attributes; /**< HTML for the start tag of the form, such as "class=\"line\"" [none] */
  const char *more;       /**< HTML behind the fields [none] */
  bool is_kept;           /**< store its text while it is typed (vestry/app/form.h); vestry_application_form_end clears
                               it. Needs options.forms of the application */
  const char *sending;    /**< shown until the page has its result ["Sending…"] */
  const char *failed;     /**< shown if it was not accepted for another reason than a message ["This was not sent. Try
                               again."] */
  const vestry_application_document *document; /**< of the response to a refused form [the defaults] */
} vestry_application_form;

/** Serve a form: vestry_route for POST, and vestry_forms_add if it is kept.
 *  Returns  OK | INVALID (also: its name; a field `csrf`, `once` or `tabId`; kept without options.forms) | the errors
 *           of both functions; the log has the reason
 *  Threads  as vestry_route and vestry_forms_add */
VESTRY_API vestry_err vestry_application_form_route(vestry_application *app, const vestry_application_form *form,
                                                    vestry_handler_fn handler, void *ctx);
/** Append a form to the document of a private page, before vestry_render_begin or after vestry_render_end, so that no
 *  event changes typed text. In a render for a stream nothing is appended.
 *  values   what it contains first, a struct of its fields; NULL: nothing
 *  Returns  OK | INVALID (in the content, or in a shared page; logged) | the errors of vestry_csrf_token,
 *           vestry_once_nonce, vestry_form_open and vestry_html_add
 *  Threads  the render's; does not block, but as vestry_form_open if it is kept */
VESTRY_API vestry_err vestry_application_form_add(vestry_application *app, vestry_render *render, vestry_html *html,
                                                  const vestry_application_form *form, const void *values);
/** Append a form to a document of an ordinary handler, such as a log-in. The browser sends it itself, with and without
 *  JavaScript, and its text is not stored. Arguments, returns, threads: as vestry_application_form_add. */
VESTRY_API vestry_err vestry_application_form_show(vestry_application *app, const vestry_request *req,
                                                   vestry_reply *reply, vestry_html *html,
                                                   const vestry_application_form *form, const void *values);
/** Read a form by the rules of its fields (vestry_inputs_read). If one is broken, the form is refused.
 *  Returns  OK | FAILED (refused) | INVALID | NO_MEMORY
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_application_form_read(vestry_application *app, const vestry_request *req,
                                                   vestry_reply *reply, const vestry_application_form *form,
                                                   void *ret_values);
/** Refuse a form, with a sentence for its user; the form keeps its text. Also in a function of vestry_sql_act, which
 *  then changes nothing.
 *  Returns  FAILED: return it to vestry_application_form_end | NO_MEMORY, and the errors of vestry_reply_html
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_application_form_refuse(vestry_application *app, const vestry_request *req,
                                                     vestry_reply *reply, const vestry_application_form *form,
                                                     const char *message);
/** End the handler of a form.
 *  error    OK: accepted; FAILED: the reply has the reason; any other error is returned
 *  url      to which a browser without JavaScript goes after an accepted form; with JavaScript the page stays, and its
 *           form is emptied. NULL: the reply leads elsewhere already (vestry_reply_redirect)
 *  Returns  OK | error | the errors of the reply and of vestry_forms_clear: return it from the handler
 *  Threads  the handler's; does not block, but as vestry_forms_clear if the form is kept */
VESTRY_API vestry_err vestry_application_form_end(vestry_application *app, const vestry_request *req,
                                                  vestry_reply *reply, const vestry_application_form *form,
                                                  vestry_err error, const char *url);

/** Run an application: start the threads of its jobs, and serve until SIGINT, SIGTERM or vestry_server_end, as
 *  vestry_server_run. Jobs continue until vestry_application_destroy.
 *  options  of the server; NULL: the defaults
 *  Returns  OK | INVALID (also: vestry_application_settle has run jobs) | the errors of vestry_jobs_start and
 *           vestry_server_run. The log has the reason and a remedy
 *  Threads  any, such as main, one at a time; blocks */
VESTRY_API vestry_err vestry_application_run(vestry_application *app, const vestry_server_adapter *adapter,
                                             const vestry_server_options *options);

/** Add the counters of an application's database to metrics: a vestry_metrics_fn, for `more` of vestry_observe_options.
 *  app is the vestry_application. Without a database nothing is added.
 *  Returns  OK | the errors of the functions of the database, such as vestry_sqlite_metrics
 *  Threads  as these */
VESTRY_API vestry_err vestry_application_metrics(struct vestry_metrics *to, void *app);

/** For tests: run the jobs that are due, on this thread, unless vestry_application_run has started threads for them;
 *  then wait until all commits so far have been rendered for each open page, and written.
 *  Returns  OK | INVALID | TIMEOUT | the errors of vestry_jobs_step and of vestry_sqlite_sync or
 *           vestry_postgres_settle
 *  Threads  one at a time, not that of a render, without a transaction; blocks. The time of the jobs does not count */
VESTRY_API vestry_err vestry_application_settle(vestry_application *app, uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
