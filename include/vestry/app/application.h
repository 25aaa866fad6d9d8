/* SPDX-License-Identifier: MIT */
/** An application: the objects that most programs need, created, run and destroyed in the right order by one call each.
 *
 *      static const vestry_entry entries[] = {                                         // vestry/app/call.h
 *          VESTRY_PAGE("/", home), VESTRY_FORM(&form, add), {0}};
 *      const vestry_application_options shelf = {
 *          .name = "shelf",
 *          .database = &vestry_sqlite_application,                                     // vestry/data/sqlite.h
 *          .database_options = &(const vestry_sqlite_database){
 *              .pool = &(const vestry_sqlite_pool_options){.path = "shelf.db", .schema = schema, .schema_version = 1}},
 *          .entries = entries};
 *
 *      vestry_application *app;
 *      vestry_err error = vestry_application_create(&shelf, &app);
 *      if (!error) error = vestry_application_run(app, &vestry_server_microhttpd, NULL);
 *      vestry_application_destroy(app);
 *
 *  vestry_program_main (vestry/app/program.h) makes a program of the options. The object only calls functions that
 *  programs can call, too. docs/guide/application.md has the order of the calls. */
#ifndef VESTRY_APPLICATION_H
#define VESTRY_APPLICATION_H

#include "vestry/app/call.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/guest.h"
#include "vestry/app/once.h"
#include "vestry/app/press.h"
#include "vestry/app/rate.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
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
  const char *name; /**< for the log */
  /** Open the pool. options: vestry_application_options.database_options. place: a file or a URL, instead of that of
   *  the options; NULL: none. host: for the pool, if the options name none. OK | any error, after the reason was
   *  logged */
  vestry_err (*open)(const void *options, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool);
  /** Let pages follow the pool. *ret_follower may be NULL. OK | any error, after the reason was logged */
  vestry_err (*follow)(const void *options, const char *place, vestry_sql_pool *pool, vestry_pages *pages,
                       void **ret_follower);
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
  vestry *instance;      /**< for routes, guards, dispatches and timers */
  vestry_sql_pool *pool; /**< NULL: no database */
  vestry_pages *pages;
  vestry_csrf *csrf; /**< guards all paths; NULL: VESTRY_WITHOUT_CSRF */
  vestry_once *once; /**< guards all paths; NULL: VESTRY_WITHOUT_ONCE */
  vestry_rate *rate; /**< guards all paths, before the other two */
  vestry_forms *forms;
  vestry_jobs *jobs;
  vestry_files *files;
  /** The vestry_sqlite or vestry_postgres that the pages follow, for counters and metrics. NULL: no database */
  void *database;
} vestry_application;

/** Parts that an application does not have. */
typedef enum vestry_application_without {
  VESTRY_WITHOUT_SESSIONS = 1,
  VESTRY_WITHOUT_CSRF = 2,
  VESTRY_WITHOUT_ONCE = 4,
  VESTRY_WITHOUT_COMPRESSION = 8 /**< streams and documents are not compressed */
} vestry_application_without;

/** Options of an application. Zero selects the default, which is given in [brackets]. The options of a part are those
 *  of its create function, which copies them; a pointer in them to another part of the application may be NULL,
 *  because the application sets it. */
typedef struct vestry_application_options {
  /** Name of the program, for the log ["application"]. Copied. If it consists of at most 40 letters, digits, '-' and
   *  '_', the cookie of the sessions is NAME-session. Browsers send cookies to all ports of a host, so applications on
   *  one host need different names. */
  const char *name;
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
  const vestry_once_options *once; /**< [the defaults, stored in the database if there is one, but max_response_bytes is
                                      32,768, so that a repeated form without JavaScript is answered by its document] */
  const vestry_pages_options *pages;   /**< [the defaults] */
  const vestry_rate_options *rate;     /**< [no rate] */
  const vestry_forms_options *forms;   /**< persistent forms, stored in the database if there is one; their handler has
                                          the route of forms->path [none] */
  const vestry_jobs_options *jobs;     /**< jobs in the database; INVALID without a database [none] */
  const vestry_files_options *files;   /**< files below files_path [none] */
  const char *files_path;              /**< ["/files"] */
  const vestry_guests_options *guests; /**< persons without a password (vestry/app/guest.h) [none] */
  const vestry_entry *entries; /**< pages, forms, acts, jobs (vestry/app/call.h), ended by an entry of zeros; borrowed
                                    until vestry_application_destroy [none] */
  const vestry_application_document *document; /**< frame of its documents [the defaults] */
  void *own;                                   /**< data of the program: call->own [NULL] */
  /** Create objects of the program that use the application, after its entries: guards, effects, timers. An error
   *  undoes the application [none] */
  vestry_err (*begin)(vestry_application *app, void *own);
  /** Destroy these objects: called by vestry_application_destroy if begin was called, also if begin has failed. No job
   *  and no stream of the instance exists any more, and no page is rendered [none] */
  void (*end)(vestry_application *app, void *own);
  /** Join a cluster: VESTRY_NATS (vestry/cluster/nats.h) sets the next three members. Called after begin; an error
   *  undoes the application [none] */
  vestry_err (*join)(vestry_application *app, void *node);
  /** Leave it: called by vestry_application_destroy when no stream exists any more, before end, also if join was not
   *  called or has failed [none] */
  void (*leave)(vestry_application *app, void *node);
  void *node;                /**< passed to both; must outlive the application [NULL] */
  const char *database_at;   /**< file or URL of the database, instead of that of database_options [none]. Borrowed
                                  for the call */
  vestry_sql_kind isolation; /**< of the transactions of acts, forms and jobs [VESTRY_SQL_WRITE] */
  bool acts_repeat; /**< handlers, and entries with has_reply, have no further effect if they run a second time. Then
                              they run again if it is unknown whether they were done (vestry_application_act, runs_again
                              of vestry_sql_once_options). Acts and forms with a transaction do not need it: see
                              act_lease_ms */
  uint64_t act_lease_ms; /**< time after which a repetition of an act or a form runs, if its process was killed [2 s].
                              The transaction of an act also marks its submission as done, if the submissions are stored
                              in the database. A repetition of a marked one gets its response, or 204 if the response
                              exceeds max_response_bytes of the options of `once`. A short lease is safe: an act that
                              takes longer, and that another process has begun again meanwhile, is rolled back.
                              Handlers, and entries with has_reply, have the same lease with acts_repeat, and otherwise
                              lease_ms of vestry_sql_once_options */
} vestry_application_options;

/** Create an application: its database, its instance with the secret and the sessions, the guards of all paths, the
 *  pages, which follow the database, the other parts that the options name, and the entries. If a part
 *  cannot be created, the parts before it are destroyed again.
 *  options  NULL: the defaults
 *  ret_app  owned by the caller, who destroys it; untouched on failure
 *  Returns  OK | the errors of the parts. The host's log has the part, the reason and a remedy
 *  Threads  any; blocks on the database and the file system */
VESTRY_API vestry_err vestry_application_create(const vestry_application_options *options,
                                                vestry_application **ret_app);
/** Stop and free an application: jobs first (waits for running ones), then the streams, then all parts. No server may
 *  serve its instance any more; vestry_application_run has ended its own. Objects of the program that use the instance,
 *  such as timers, are destroyed by options.end. NULL is accepted.
 *  Returns  OK (also for NULL) | BUSY (as vestry_destroy: its jobs have ended, and everything else continues to work;
 *           call it again) | CLOSED (the process was forked: nothing is freed)
 *  Threads  as vestry_stop; blocks on the database, and until running jobs have ended */
VESTRY_API vestry_err vestry_application_destroy(vestry_application *app);

/** Run a transaction by vestry_sql_act, with `isolation` of the options: the transaction of acts, forms and jobs, for
 *  other functions.
 *  Returns  OK | INVALID (no database) | LIMIT (also instead of BUSY, TIMEOUT and a lost connection: not possible now,
 *           so that an action that is repeated (vestry/app/once.h) runs later. If the connection was lost during the
 *           commit, this needs options.acts_repeat, except in an act whose submission is stored; otherwise IO) | as
 *           vestry_sql_act
 *  Threads  as vestry_sql_act */
VESTRY_API vestry_err vestry_application_act(vestry_application *app, vestry_sql_act_fn fn, void *ctx);

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
