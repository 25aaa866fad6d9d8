/* SPDX-License-Identifier: MIT */
/* A million shared check boxes. They are in SQLite, with one row for each ticked box. A page is a window that scrolls
 * in both directions; it consists of parts of ten by ten boxes. No code here tracks which page shows which box: a part
 * reads its hundred boxes by their key, so a tick renders only that part, once for all pages that show it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/program.h"
#include "../shared/secret.h"
#include "assets.h"
#include "vestry/app/once.h"
#include "vestry/app/rate.h"
#include "vestry/app/secret.h"
#include "vestry/app/window.h"

enum { SIDE = 1000, PART = 10, PARTS = SIDE / PART, PART_PX = 400, SEEN = 4 };

struct app {
  struct program program;
  const char *file;
  vestry_sql_pool *db;
  vestry_sqlite *database;
  vestry_pages *pages;
  vestry_once *once;
  vestry_rate *rate;
  unsigned char secret[SECRET_BYTES];
};

#define LABEL "A million check boxes: Enter leads in, arrows walk, Escape leads out"

/* ------------------------------------------------------------------------------------------------ the pages ------- */

static void read_box(const vestry_sql_row *row, void *ctx) {
  bool *is_ticked = ctx;
  int box = vestry_sql_integer(row, 0);
  if (box >= 0 && box < PART * PART) is_ticked[box] = true;
}

/* Render the content of a part: ten by ten boxes. Its share contains their position. */
static vestry_err put_part(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  bool is_ticked[PART * PART] = {false};
  int number = atoi(render->share), down = number / PARTS, across = number % PARTS;
  vestry_err err =
      vestry_sql_run_alone(app->db, "SELECT box FROM tick WHERE part = ?", VESTRY_LIST(number), read_box, is_ticked);
  if (err && err != VESTRY_NOT_FOUND) return err;
  for (int box = 0; box < PART * PART; box++) {
    int row = down * PART + box / PART, column = across * PART + box % PART;
    vestry_html_add(html, "<input type=\"checkbox\" tabindex=\"-1\" value=\"%d\" aria-label=\"%d, %d\"%-s>",
                    row * SIDE + column, row + 1, column + 1, is_ticked[box] ? " checked" : "");
  }
  return VESTRY_OK;
}

static void put_window(struct app *app, vestry_render *render, vestry_html *html) {
  const vestry_window_axis axis = {.count = PARTS, .px = PART_PX, .buffer_count = SEEN};
  const vestry_window_options options = {.id = "at", .rows = axis, .columns = axis, .label = LABEL};
  vestry_window window = {0};
  if (vestry_window_begin(render, html, &options, &window)) return; /* the render reports the error */
  for (uint64_t down = window.first_row; down < window.first_row + window.rows_count; down++) {
    vestry_html_add(html, "<div id=\"row-%llu\">", (unsigned long long)down);
    for (uint64_t across = window.first_column; across < window.first_column + window.columns_count; across++) {
      char id[20];
      snprintf(id, sizeof id, "part-%u", (unsigned)(down * PARTS + across));
      const vestry_page_part part = {.id = id, .share = strchr(id, '-') + 1, .render = put_part, .app = app};
      vestry_render_part(render, html, &part);
    }
    vestry_html_add(html, "</div>");
  }
  vestry_window_end(html, &window);
}

/* GET /, also with ?at=…, the visible parts. The state of a clicked box is its wanted state, and its attribute is the
 * stored state. Therefore a failed click is reverted. */
static vestry_err page(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES];
  vestry_err err = render->is_stream ? VESTRY_OK : vestry_once_attributes(render->request, once, sizeof once);
  if (err) return err;
  program_live_begin(&app->program, render, html, "A million check boxes");
  vestry_html_add(html, "<div class=\"all\" %-s><header><h1>A million check boxes</h1><nav aria-label=\"Places\">",
                  render->is_stream ? "" : once);
  static const char *const places[][2] = {{"0.0", "First"}, {"49.49", "Middle"}, {"99.99", "Last"}};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    vestry_html_add(html, "<a href=\"/?at=%s\" data-navigate>%s</a> ", places[i][0], places[i][1]);
  vestry_html_add(html,
                  "</nav><p role=\"status\" data-text=\"$_savingFailed ? 'Some boxes could not be changed.' : "
                  "$_saving ? 'Saving…' : ''\" data-effect=\"$_savingFailed && document.querySelectorAll('#at input')"
                  ".forEach(box => box.checked = box.hasAttribute('checked'))\"></p></header>"
                  "<div data-signals=\"{_box: 0, _to: 0}\" data-on:change=\"$_box = +evt.target.value; "
                  "$_to = +evt.target.checked; ");
  const vestry_backend_action_options press = {.filter_include = "^$", .once = true, .sent = "_saving"};
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &press, "/box/{$_box}/{$_to}");
  /* The boxes are a grid (WAI-ARIA) with a single tab stop, whatever is visible. */
  vestry_html_add(html,
                  "\" data-on:keydown=\"const at = document.getElementById('at'), boxes = [...at.querySelectorAll("
                  "'input')], edge = at.getBoundingClientRect(), of = box => box.getBoundingClientRect(), to = "
                  "{ArrowLeft: -1, ArrowRight: 1, ArrowUp: -%d, ArrowDown: %d}[evt.key], next = evt.target === at ? "
                  "evt.key === 'Enter' && boxes.find(box => of(box).top >= edge.top && of(box).left >= edge.left) : "
                  "evt.key === 'Escape' ? at : to && evt.target.matches('#at input') && boxes.find(box => +box.value "
                  "=== +evt.target.value + to); if (next) { evt.preventDefault(); next.focus() }\">",
                  SIDE, SIDE);
  vestry_render_begin(render, html);
  put_window(app, render, html);
  vestry_render_end(render, html);
  vestry_html_add(html, "</div></div>");
  return program_live_end(html);
}

/* ---------------------------------------------------------------------------------------------- the handlers ------ */

/* POST /box/{box}/{to}: the change is durable before the answer. Pages that show the box receive its part. */
static vestry_err tick(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t box, to;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "box", vestry_into_between(&box, 0, SIDE * SIDE - 1));
  if (!err) err = vestry_request_get(req, VESTRY_IN_PATH, "to", vestry_into_between(&to, 0, 1));
  if (err) return err;
  const char *sql = to ? "INSERT INTO tick(part, box) VALUES(?, ?) ON CONFLICT DO NOTHING"
                       : "DELETE FROM tick WHERE part = ? AND box = ?";
  int64_t row = box / SIDE, column = box % SIDE;
  err = vestry_sql_run_alone(
      app->db, sql, VESTRY_LIST(row / PART * PARTS + column / PART, row % PART * PART + column % PART), NULL, NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

/* GET /stats: numbers of renders, parts and streams. */
static vestry_err stats(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const struct app *app = ctx;
  vestry_pages_stats of = {0};
  char json[128];
  (void)req;
  vestry_pages_stats_get(app->pages, &of);
  int len = snprintf(json, sizeof json, "{\"streams\": %zu, \"renders\": %llu, \"changed\": %llu}\n", of.streams_count,
                     (unsigned long long)of.renders_count, (unsigned long long)of.changed_count);
  return vestry_reply_body(reply, "application/json", json, (size_t)len);
}

/* ------------------------------------------------------------------------------------- from start to end ---------- */

enum { OPTION_DB = OPTION_OWN };

static int read_option(int option, const char *value, void *ctx) {
  if (option == OPTION_DB) ((struct app *)ctx)->file = value;
  return 0;
}

/* The secret survives a restart, so clicks that a tab made meanwhile stay valid. */
static bool prepare(void *ctx) {
  struct app *app = ctx;
  const vestry_sqlite_pool_options file = {
      .path = app->file,
      .schema = "CREATE TABLE tick(part INT, box INT, PRIMARY KEY(part, box)) WITHOUT ROWID;"
                "CREATE TABLE secret(bytes BLOB); INSERT INTO secret VALUES(randomblob(32))",
      .schema_version = 1,
      .setup = "PRAGMA synchronous = FULL"};
  if (vestry_sqlite_pool_create(&file, &app->db)) return false;
  return !secret_read(app->db, app->secret);
}

static vestry_err begin(struct app *app) {
  vestry *v = app->program.v;
  const vestry_page_options one = {.render = page, .layout = "cells", .app = app};
  const vestry_rate_options rate = {.count = 20, .burst_count = 100};
  vestry_page *served;
  vestry_err err = vestry_secret_set(v, &(vestry_secret){.secret = app->secret, .secret_len = sizeof app->secret});
  if (!err) err = vestry_pages_create(v, NULL, &app->pages);
  if (!err) err = vestry_sqlite_create(app->pages, &(vestry_sqlite_options){.path = app->file}, &app->database);
  if (!err) err = vestry_sqlite_pool_follow(app->db, app->database);
  if (!err) err = vestry_page_create(app->pages, &one, &served);
  if (!err) err = vestry_once_create(v, NULL, &app->once);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  if (!err) err = vestry_guard(v, "/box", vestry_rate_guard, app->rate);
  if (!err) err = vestry_guard(v, "/box", vestry_once_guard, app->once);
  if (!err) err = vestry_route(v, "GET", "/", vestry_page_handler, served);
  if (!err) err = vestry_route(v, "GET", "/stats", stats, app);
  return err ? err : vestry_route(v, "POST", "/box/{box}/{to}", tick, app);
}

int main(int argc, char **argv) {
  static const struct option names[] = {OPTIONS_OF_ALL, {"db", required_argument, NULL, OPTION_DB}, {0}};
  static struct app app = {.file = "cells.db"};
  app.program = (struct program){.names = names,
                                 .read_own = read_option,
                                 .own = &app,
                                 .prepare = prepare,
                                 .style = cells_css,
                                 .style_len = cells_css_len,
                                 .own_help = "  --db FILE             database file [cells.db]\n"};
  vestry_sqlite_record_pages();
  static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
  const vestry_options options = {.profiles = offered, .profiles_count = 2};
  program_start(&app.program, argc, argv, "cells", "A million check boxes, shared by all users", &options);
  vestry_err err = begin(&app);
  app.program.options.shown.pages = app.pages;
  console_metrics_of(&app.program.options.metrics, vestry_sqlite_metrics, app.database);
  console_metrics_of(&app.program.options.metrics, vestry_sqlite_pool_metrics, app.db);
  if (!err) program_wait(&app.program);
  vestry_stop(app.program.v, VESTRY_NEVER_MS);
  vestry_once_destroy(app.once);
  vestry_rate_destroy(app.rate);
  vestry_sqlite_pool_follow(app.db, NULL);
  vestry_sqlite_destroy(app.database);
  vestry_pages_destroy(app.pages);
  int status = program_finish(&app.program);
  vestry_sql_pool_destroy(app.db);
  return err ? 1 : status;
}
