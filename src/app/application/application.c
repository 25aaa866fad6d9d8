/* SPDX-License-Identifier: MIT */
/* The parts of an application, from begin to end.
 *
 *     create    database · instance, secret, sessions · guards · pages, follower · forms, jobs, files · cluster
 *     destroy   jobs stop · streams end · cluster · follower detaches · forms, pages · follower · guards, jobs, files
 *               · instance · sessions in the database · database
 *
 * The order of the end is not that of the beginning reversed. Jobs use pages and the instance, so they stop first.
 * Renders use the pool, so the streams end before it is released. Sessions write to their storage until the instance is
 * destroyed. */
#include "vestry/app/application.h"

#include <stdio.h>
#include <string.h>

#include "app/application/mount.h"
#include "app/application/scripts.h"
#include "app/guard/once_mark.h"
#include "app/session/session.h"
#include "base/ascii.h"
#include "base/assert.h"
#include "base/held_log.h"
#include "base/log.h"
#include "base/memory.h"
#include "serve/profiles.h"

enum {
  PATH_BYTES = 256,
  WITHOUT_MOST = 15,
  NAME_MAX_BYTES = 40,
  COOKIE_BYTES = 64,
  ONCE_RESPONSE_BYTES = 32768,
  ACT_LEASE_MS = 2000
};

/* --------------------------------------------------------------------------------------------- beginning --------- */

static bool has(const vestry_application_options *options, vestry_application_without part) {
  return !(options->without & (unsigned)part);
}

static vestry_err create_instance(vsi_application *a, const vestry_application_options *options) {
  vestry_err error = vestry_create(options->instance, &a->is.instance);
  a->is_uncompressed = !has(options, VESTRY_WITHOUT_COMPRESSION);
  if (!error && !a->is_uncompressed) error = vsi_profiles_offer(a->is.instance);
  return error;
}

/* Name the cookie of the sessions by the application. Browsers send a cookie to all ports of a host, so applications on
 * one host that use one name end each other's sessions. Returns NULL if the application's name cannot be part of it. */
static const char *name_cookie(const char *name, bool insecure, char cookie[COOKIE_BYTES]) {
  const char *at = name;
  while (vsi_is_letter(*at) || vsi_is_digit(*at) || *at == '-' || *at == '_') at++;
  if (at == name || *at || at - name > NAME_MAX_BYTES) return NULL;
  snprintf(cookie, COOKIE_BYTES, "%s%s-session", insecure ? "" : "__Host-", name);
  return cookie;
}

/* A part whose options point to a storage of the database, unless the program has set one. */
static vestry_err create_sessions(vsi_application *a, const vestry_application_options *options) {
  char cookie[COOKIE_BYTES];
  vestry_session_options own = options->sessions ? *options->sessions : (vestry_session_options){0};
  own.insecure |= options->insecure;
  if (!own.cookie && options->name) own.cookie = name_cookie(options->name, own.insecure, cookie);
  const bool is_stored = a->is.pool && !own.storage;
  const vestry_sql_sessions_options stored = {
      .idle_ms = own.idle_ms, .lifetime_ms = own.lifetime_ms, .max_per_user_count = (uint32_t)own.max_per_user_count};
  vestry_err error = is_stored ? vestry_sql_sessions_create(a->is.pool, &stored, &a->sessions) : VESTRY_OK;
  if (is_stored) own.storage = &vestry_sql_sessions_ops, own.storage_ctx = a->sessions;
  return error ? error : vestry_sessions_create(a->is.instance, &own);
}

static vestry_err create_csrf(vsi_application *a, const vestry_application_options *options) {
  vestry_csrf_options own = options->csrf ? *options->csrf : (vestry_csrf_options){0};
  own.insecure |= options->insecure;
  vestry_err error = vestry_csrf_create(a->is.instance, &own, &a->is.csrf);
  return error ? error : vestry_guard(a->is.instance, "/", vestry_csrf_guard, a->is.csrf);
}

static vestry_err create_once(vsi_application *a, const vestry_application_options *options) {
  vestry_once_options own = options->once ? *options->once : (vestry_once_options){0};
  /* A repetition of a refused form without JavaScript gets the document with the form again, not only its status. */
  if (!own.max_response_bytes) own.max_response_bytes = ONCE_RESPONSE_BYTES;
  const bool is_stored = a->is.pool && !own.storage;
  const uint64_t lease_ms = options->act_lease_ms ? options->act_lease_ms : ACT_LEASE_MS;
  const vestry_sql_once_options stored = {.lifetime_ms = own.lifetime_ms,
                                          .lease_ms = options->acts_repeat ? lease_ms : 0,
                                          .runs_again = options->acts_repeat};
  vestry_err error = is_stored ? vestry_sql_once_create(a->is.pool, &stored, &a->once) : VESTRY_OK;
  if (is_stored) own.storage = &vestry_sql_once_ops, own.storage_ctx = a->once;
  if (!error) error = vestry_once_create(a->is.instance, &own, &a->is.once);
  if (!error && is_stored) vsi_once_set_marked(a->is.once, vsi_entry_is_marked, lease_ms);
  return error ? error : vestry_guard(a->is.instance, "/", vsi_entry_guard_once, a->is.once);
}

static vestry_err create_rate(vsi_application *a, const vestry_application_options *options) {
  vestry_err error = vestry_rate_create(a->is.instance, options->rate, &a->is.rate);
  return error ? error : vestry_guard(a->is.instance, "/", vestry_rate_guard, a->is.rate);
}

static vestry_err create_pages(vsi_application *a, const vestry_application_options *options) {
  vestry_err error = vestry_pages_create(a->is.instance, options->pages, &a->is.pages);
  if (error || !a->database) return error;
  error = a->database->follow(options->database_options, options->database_at, a->is.pool, a->is.pages, &a->follower);
  a->is_following = !error;
  if (error) return error;
  const bool has_followed = a->database->followed;
  a->is.database = has_followed ? a->database->followed(a->follower) : a->follower;
  return VESTRY_OK;
}

static vestry_err create_forms(vsi_application *a, const vestry_application_options *options) {
  vestry_forms_options own = options->forms ? *options->forms : (vestry_forms_options){0};
  own.pages = a->is.pages;
  const bool is_stored = a->is.pool && !own.storage;
  vestry_err error = is_stored ? vestry_sql_forms_create(a->is.pool, &a->forms) : VESTRY_OK;
  if (is_stored) own.storage = a->forms;
  if (!error) error = vestry_forms_create(a->is.instance, &own, &a->is.forms);
  const char *path = own.path ? own.path : "/kept";
  return error ? error : vestry_route(a->is.instance, "POST", path, vestry_forms_handler, a->is.forms);
}

static vestry_err create_jobs(vsi_application *a, const vestry_application_options *options) {
  if (!a->is.pool)
    return vsi_mistake(a->host, "vestry_application_create", "options.jobs needs a database; set options.database");
  return vestry_jobs_create(a->is.pool, options->jobs, &a->is.jobs);
}

static vestry_err create_files(vsi_application *a, const vestry_application_options *options) {
  char pattern[PATH_BYTES];
  const char *path = options->files_path ? options->files_path : "/files";
  const int len = snprintf(pattern, sizeof pattern, "%s/{path...}", path);
  if (len < 0 || (size_t)len >= sizeof pattern)
    return vsi_mistake(a->host, "vestry_application_create", "options.files_path has more than 200 bytes");
  vestry_err error = vestry_files_create(options->files, &a->is.files);
  return error ? error : vestry_route(a->is.instance, "GET", pattern, vestry_files_handler, a->is.files);
}

/* Serve the clock of the documents at its path, unless the program does so itself. */
static vestry_err mount_clock(vsi_application *a) {
  const vestry_clock *clock = a->document.clock;
  vsi_held_log held;
  if (!clock || !clock->url) return VESTRY_OK;
  vsi_log_hold(&held);
  vestry_err error = vestry_route(a->is.instance, "GET", clock->url, vestry_clock_handler, (void *)(uintptr_t)clock);
  vsi_log_release(&held);
  if (error == VESTRY_EXISTS) return VESTRY_OK;
  if (error && *held.line) vsi_log(a->host, VESTRY_LOG_ERROR, "%s", held.line);
  return error;
}

/* Find an entry that makes guests of an application without them. The program may create them in options.begin. */
static vestry_err check_guests(const vsi_application *a) {
  char why[PATH_BYTES];
  const vsi_sessions *sessions = vsi_sessions_of(a->is.instance);
  if (sessions && sessions->guests.seals) return VESTRY_OK;
  for (size_t i = 0; i < a->entries_count; i++) {
    const vestry_entry *is = &a->entries[i].is;
    if (!is->makes_guest) continue;
    snprintf(why, sizeof why, "the entry \"%.120s\" makes guests; set options.guests of the application",
             is->name                       ? is->name
             : is->form && is->form->action ? is->form->action
                                            : "");
    return vsi_mistake(a->host, "vestry_application_create", why);
  }
  return VESTRY_OK;
}

/* Create the parts. ret_part: the part that failed, for the log. */
static vestry_err create_parts(vsi_application *a, const vestry_application_options *options, const char **ret_part) {
  vestry_err error = VESTRY_OK;
  *ret_part = "its database";
  if (a->database) error = a->database->open(options->database_options, options->database_at, a->host, &a->is.pool);
  if (!error) *ret_part = "its instance (options.instance)", error = create_instance(a, options);
  if (!error) *ret_part = "the secret of its instance";
  if (!error && options->secret) error = vestry_secret_set(a->is.instance, options->secret);
  if (!error && !options->secret && a->is.pool) error = vestry_sql_secret_set(a->is.pool, a->is.instance);
  if (!error && has(options, VESTRY_WITHOUT_SESSIONS)) *ret_part = "its sessions", error = create_sessions(a, options);
  if (!error && options->guests)
    *ret_part = "its guests", error = vestry_guests_create(a->is.instance, options->guests);
  if (!error && options->rate) *ret_part = "its rate", error = create_rate(a, options);
  if (!error && has(options, VESTRY_WITHOUT_CSRF)) *ret_part = "its CSRF protection", error = create_csrf(a, options);
  if (!error && has(options, VESTRY_WITHOUT_ONCE))
    *ret_part = "the table of actions that run once", error = create_once(a, options);
  if (!error) *ret_part = "its pages", error = create_pages(a, options);
  if (!error && options->forms) *ret_part = "its forms", error = create_forms(a, options);
  if (!error && options->jobs) *ret_part = "its jobs", error = create_jobs(a, options);
  if (!error && options->files) *ret_part = "its files", error = create_files(a, options);
  if (!error) *ret_part = "the file of its scripts", error = vsi_scripts_mount(a->is.instance, &a->scripts);
  if (!error && options->entries) *ret_part = "its entries", error = vsi_entries_mount(a, options->entries);
  if (error) return error;
  *ret_part = "the parts of the program (options.begin)";
  a->end = options->end;
  error = options->begin ? options->begin(&a->is, a->own) : VESTRY_OK;
  if (!error && options->join) *ret_part = "its cluster", error = options->join(&a->is, a->node);
  if (!error) *ret_part = "its entries", error = check_guests(a);
  if (!error) *ret_part = "the route of its clock (document.clock)", error = mount_clock(a);
  return error;
}

vestry_err vestry_application_create(const vestry_application_options *given, vestry_application **ret_app) {
  const vestry_host *host = vestry_host_default();
  vestry_application_options options = given ? *given : (vestry_application_options){0};
  if (options.instance && options.instance->host) host = options.instance->host;
  if (!ret_app) return vsi_mistake(host, "vestry_application_create", "ret_app is NULL");
  if (options.without > WITHOUT_MOST)
    return vsi_mistake(host, "vestry_application_create", "options.without has a bit that is no VESTRY_WITHOUT_…");
  if (options.isolation && (options.isolation < VESTRY_SQL_WRITE || options.isolation > VESTRY_SQL_SERIALIZABLE))
    return vsi_mistake(host, "vestry_application_create",
                       "options.isolation is no kind of vestry_sql_kind for writing");
  vsi_application *a = vsi_calloc(host, 1, sizeof *a);
  if (!a) return VESTRY_NO_MEMORY;
  const char *name = options.name ? options.name : "application", *part = "its name";
  a->host = host;
  a->database = options.database;
  a->own = options.own;
  a->node = options.node;
  a->leave = options.leave;
  a->acts_repeat = options.acts_repeat;
  a->isolation = options.isolation ? options.isolation : VESTRY_SQL_WRITE;
  a->name = vsi_strdup(host, name, strlen(name));
  vestry_err error = a->name ? VESTRY_OK : VESTRY_NO_MEMORY;
  if (options.document) a->document = *options.document;
  if (!error) error = create_parts(a, &options, &part);
  if (!error) {
    *ret_app = &a->is;
    return VESTRY_OK;
  }
  vsi_log(host, VESTRY_LOG_ERROR, "application %s: cannot create %s (%s): %s", name, part, vestry_err_name(error),
          error == VESTRY_NO_MEMORY ? "the process has too little memory"
                                    : "the line before has the reason, and what to do");
  (void)vestry_application_destroy(&a->is);
  return error;
}

/* ----------------------------------------------------------------------------------------------- the end --------- */

/* Free the parts that use the instance. No stream is open, and no request is being served. */
static void destroy_parts(vsi_application *a) {
  if (a->is_following) a->database->detach(a->follower);
  vestry_forms_destroy(a->is.forms);
  vestry_sql_forms_destroy(a->forms);
  vestry_pages_destroy(a->is.pages);
  if (a->is_following) a->database->destroy(a->follower);
  vestry_once_destroy(a->is.once);
  vestry_sql_once_destroy(a->once);
  vestry_csrf_destroy(a->is.csrf);
  vestry_rate_destroy(a->is.rate);
  vestry_jobs_destroy(a->is.jobs);
  vestry_files_destroy(a->is.files);
  vsi_scripts_destroy(a->scripts);
}

vestry_err vestry_application_destroy(vestry_application *app) {
  if (!app) return VESTRY_OK;
  vsi_application *a = vsi_application_of(app);
  if (app->instance && vestry_is_forked(app->instance)) return VESTRY_CLOSED;
  if (app->jobs) vestry_jobs_stop(app->jobs);
  vestry_err error = app->instance ? vestry_stop(app->instance, VESTRY_NEVER_MS) : VESTRY_OK;
  if (error) return error;
  if (a->leave) a->leave(app, a->node);
  if (a->end) a->end(app, a->own);
  destroy_parts(a);
  error = vestry_destroy(app->instance);
  VSI_ASSERT(!error); /* vestry_stop has returned OK on this thread */
  vestry_sql_sessions_destroy(a->sessions);
  vestry_sql_pool_destroy(app->pool);
  vsi_free(a->host, a->entries);
  vsi_free(a->host, a->name);
  vsi_free(a->host, a);
  return error;
}

/* ------------------------------------------------------------------------------------------------ running -------- */

vestry_err vestry_application_run(vestry_application *app, const vestry_server_adapter *adapter,
                                  const vestry_server_options *given) {
  if (!app) return VESTRY_INVALID;
  vsi_application *a = vsi_application_of(app);
  vestry_server_options options = given ? *given : (vestry_server_options){0};
  options.is_uncompressed |= a->is_uncompressed;
  vestry_err error = app->jobs && !a->has_started ? vestry_jobs_start(app->jobs) : VESTRY_OK;
  if (!error) a->has_started = app->jobs != NULL;
  if (!error) error = vestry_server_run(app->instance, adapter, &options); /* it logs why it cannot */
  return error;
}

vestry_err vestry_application_settle(vestry_application *app, uint64_t timeout_ms) {
  if (!app) return VESTRY_INVALID;
  vsi_application *a = vsi_application_of(app);
  vestry_err error = VESTRY_OK;
  uint64_t seq = 0;
  for (bool has_run = app->jobs && !a->has_started; !error && has_run;) error = vestry_jobs_step(app->jobs, &has_run);
  if (!error && a->is_following) error = a->database->sync(a->follower, &seq, timeout_ms);
  return error ? error : vestry_pages_settle(app->pages, seq, timeout_ms);
}

vestry_err vestry_application_metrics(struct vestry_metrics *to, void *app) {
  if (!app) return VESTRY_INVALID;
  vsi_application *a = app;
  const bool has = a->is_following && a->database->metrics;
  return has ? a->database->metrics(a->follower, a->is.pool, to) : VESTRY_OK;
}
