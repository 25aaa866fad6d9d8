/* SPDX-License-Identifier: MIT */
/* Progress of a long job. The job runs on a thread of the program, without a request, and wakes the watches of all
 * pages. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "shared/program.h"
#include "vestry/app/input.h"
#include "vestry/app/stream.h"
#include "vestry/app/watch.h"

/* The streams of all pages that show the job. */
#define JOB VESTRY_KEY("job")

enum { STEP_MS = 40, NAME_MAX = 40 };

struct app {
  struct program program;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  enum { IDLE, RUNNING, DONE, CANCELLED, OVER } state; /* guarded by lock, as are the following members */
  int percent;
  char job[VESTRY_TEXT_BYTES(NAME_MAX)]; /* its name */
};

/* The watch of a page: sends the current state of the job. */
static vestry_err show(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  static const char *const states[] = {"idle", "running", "done", "cancelled", "over"};
  struct app *app = ctx;
  (void)watcher;
  pthread_mutex_lock(&app->lock);
  vestry_err err =
      vestry_connection_patch_signals(connection,
                                      VESTRY_OBJECT("job", app->job, "state", states[app->state], "running",
                                                    (bool)(app->state == RUNNING), "percent", app->percent),
                                      NULL);
  pthread_mutex_unlock(&app->lock);
  return err;
}

/* Wake all pages, from any thread and without a request. NOT_FOUND means that no page is open, and is ignored. */
static void tell(struct app *app) {
  vestry_dispatch(app->program.v, NO_SCOPE, JOB, VESTRY_LIST("wake"));
}

static void *work(void *ctx) {
  struct app *app = ctx;
  for (;;) {
    pthread_mutex_lock(&app->lock);
    while (app->state != RUNNING && app->state != OVER) pthread_cond_wait(&app->changed, &app->lock);
    bool is_over = app->state == OVER;
    if (!is_over && ++app->percent == 100) app->state = DONE;
    pthread_mutex_unlock(&app->lock);
    if (is_over) return NULL;
    tell(app);
    nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL); /* the long work */
  }
}

static void change(struct app *app, int state, const char *job) {
  pthread_mutex_lock(&app->lock);
  if (state == RUNNING && app->state != RUNNING) {
    app->percent = 0;
    snprintf(app->job, sizeof app->job, "%s", job);
  }
  if (state != CANCELLED || app->state == RUNNING) app->state = state;
  pthread_cond_signal(&app->changed);
  pthread_mutex_unlock(&app->lock);
  tell(app);
}

#define PAGE                                                                                                           \
  "<main data-signals=\"{job: '', state: 'idle', running: false, percent: 0, message: ''}\"><h1>A long job</h1>"       \
  "<section class=\"live\"><h2 id=\"job\" data-text=\"$job || 'Nothing to do'\"></h2>"                                 \
  "<progress max=\"100\" aria-labelledby=\"job\" data-attr:value=\"$percent\"></progress>"                             \
  "<div class=\"row\"><span id=\"percent\" class=\"count\" data-text=\"$percent + ' %%'\"></span>"                     \
  "<span id=\"state\" class=\"soft\" role=\"status\" data-text=\"!$_stale ? $state : $running ? 'was running at ' + "  \
  "$_stale : $state + ' at ' + $_stale\"></span></div></section>"                                                      \
  "<form data-on:submit=\"$message = ''; $running || $_stale || @post('/job')\"><div class=\"field\"><label "          \
  "for=\"name\">Name</label>"                                                                                          \
  "<input id=\"name\" data-bind:name maxlength=\"%d\" autocomplete=\"off\" placeholder=\"Counting sheep\">"            \
  "<p class=\"error\" role=\"alert\" data-text=\"$message\"></p></div>"                                                \
  "<div class=\"buttons\"><button class=\"first\" id=\"start\" data-attr:aria-disabled=\"'' + ($running || "           \
  "!!$_stale)\">Start</button>"                                                                                        \
  "<button type=\"button\" id=\"cancel\" data-on:click=\"$running && !$_stale && @delete('/job')\" "                   \
  "data-attr:aria-disabled=\"'' + (!$running || !!$_stale)\">Cancel</button></div></form></main>"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_html html;
  program_page_begin(app, reply, &html, "A long job");
  vestry_html_add(&html, PAGE, NAME_MAX);
  vestry_html_stream(&html, req, NULL, NULL, "/stream");
  return program_page_end(reply, &html);
}

/* GET /stream: a page that opens or reconnects receives the progress at once. */
static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  vestry_reply_key(reply, JOB);
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
  return vestry_reply_watch(reply, &(vestry_watch){.step = show, .ctx = app});
}

/* POST /job, DELETE /job: the answer is an error message or empty; the progress goes to the streams. */
static vestry_err start(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *name = program_text(req, "name", VESTRY_TEXT_BYTES(NAME_MAX));
  if (!vestry_text_has(name, 0, NAME_MAX))
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("message", "A name has at most 40 characters."));
  change(app, RUNNING, vestry_text_has(name, 1, NAME_MAX) ? name : "Counting sheep");
  return vestry_reply_status(reply, 204);
}

static vestry_err cancel(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  change(app, CANCELLED, "");
  return vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  pthread_t worker;
  program_start(&app.program, argc, argv, "progress", "A long job and its progress", &(vestry_options){0});
  vestry_leases_create(app.program.v, 0); /* detects lost tabs behind a proxy */
  vestry_route(app.program.v, "GET", "/", page, &app.program);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "POST", "/job", start, &app);
  vestry_route(app.program.v, "DELETE", "/job", cancel, &app);
  bool has_worker = pthread_create(&worker, NULL, work, &app) == 0;
  program_wait(&app.program);
  change(&app, OVER, "");
  if (has_worker) pthread_join(worker, NULL);
  return program_finish(&app.program);
}
