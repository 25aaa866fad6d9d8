/* SPDX-License-Identifier: MIT */
/* A server for watch.test.js: a clock, and a countdown, by watches.
 *   GET /            the page; GET /clock and GET /countdown are its streams
 *   GET /seen        as JSON: the number of watches that have begun and ended, and of calls at their end */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../examples/shared/program.h"
#include "vestry/app/watch.h"

enum { BEAT_MS = 50, SECONDS = 3 };

#define CLOCKS VESTRY_KEY("clocks")

struct app {
  struct program program;
  _Atomic(int) ends;
};

struct count {
  struct app *app;
  int beats;
};

static vestry_err tick(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  struct count *own = ctx;
  return vestry_connection_patch_elementsf(connection, NULL, "<time id=\"clock\">%d</time>", ++own->beats);
}

static vestry_err count_down(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  struct count *own = ctx;
  vestry_err err = vestry_connection_patch_signals(connection, VESTRY_OBJECT("left", SECONDS - own->beats), NULL);
  if (own->beats++ == SECONDS) vestry_watch_finish(watcher);
  return err;
}

static void over(vestry_cause cause, void *ctx) {
  struct count *own = ctx;
  atomic_fetch_add(&own->app->ends, 1);
  free(own);
}

static vestry_err watch(vestry_reply *reply, struct app *app, vestry_watch_step_fn step) {
  struct count *own = calloc(1, sizeof *own);
  if (!own) return VESTRY_NO_MEMORY;
  own->app = app;
  return vestry_reply_watch(reply, &(vestry_watch){.step = step, .end = over, .ctx = own, .every_ms = BEAT_MS});
}

static vestry_err clocks(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, CLOCKS);
  return watch(reply, app, tick);
}

static vestry_err countdown(const vestry_request *req, vestry_reply *reply, void *app) {
  return watch(reply, app, count_down);
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return program_page(ctx, reply, "Watches",
                      "<main data-signals=\"{left: ''}\" data-init=\"@get('/clock', {openWhenHidden: true})\">"
                      "<time id=\"clock\">0</time><output id=\"left\" data-text=\"$left\"></output>"
                      "<button id=\"start\" data-on:click=\"@get('/countdown')\">Count down</button></main>");
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_watch_stats stats = {0};
  vestry_watch_stats_get(app->program.v, &stats);
  json_t *all =
      json_pack("{s:I,s:I,s:I,s:i}", "begun", (json_int_t)stats.begun_count, "live", (json_int_t)stats.live_count,
                "ended", (json_int_t)stats.ended_count, "ends", atomic_load(&app->ends));
  vestry_err err = all ? vestry_reply_json(reply, all) : VESTRY_NO_MEMORY;
  json_decref(all);
  return err;
}

int main(int argc, char **argv) {
  static struct app app;
  program_start(&app.program, argc, argv, "test_browser_watch", "Watches", &(vestry_options){0});
  vestry_route(app.program.v, "GET", "/", page, &app.program);
  vestry_route(app.program.v, "GET", "/clock", clocks, &app);
  vestry_route(app.program.v, "GET", "/countdown", countdown, &app);
  vestry_route(app.program.v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  return program_finish(&app.program);
}
