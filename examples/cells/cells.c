/* SPDX-License-Identifier: MIT */
/* A million shared check boxes. They are in SQLite, with one row for each ticked box. A page is a window that scrolls
 * in both directions; it consists of parts of ten by ten boxes. No code here tracks which page shows which box: a part
 * reads its hundred boxes by their key, so a tick renders only that part, once for all pages that show it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/program.h"
#include "assets.h"
#include "vestry/app/window.h"
#include "vestry/data/sqlite.h"

enum { SIDE = 1000, PART = 10, PARTS = SIDE / PART, PART_PX = 400, SEEN = 4 };

struct app {
  struct program program;
  const char *file;
  vestry_sql_pool *db; /* of the application */
  vestry_once *once;
  vestry_rate *rate;
};

#define LABEL "A million check boxes: Enter leads in, arrows walk, Escape leads out"

/* ------------------------------------------------------------------------------------------------ the pages ------- */

struct tick {
  int box;
};
static const vestry_sql_shape tick_shape = VESTRY_ROW(struct tick, VESTRY_COLUMN(struct tick, box));

/* Render the content of a part: ten by ten boxes. Its share contains their position. */
static vestry_err put_part(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  struct tick ticks[PART * PART];
  bool is_ticked[PART * PART] = {false};
  size_t count = 0;
  int number = atoi(render->share), down = number / PARTS, across = number % PARTS;
  vestry_err err =
      vestry_sql_read_rows(app->db, "SELECT box FROM tick WHERE part = ? AND box BETWEEN 0 AND ?",
                           VESTRY_LIST(number, PART * PART - 1), VESTRY_ALL_ROWS(&tick_shape, ticks, &count));
  if (err) return err;
  for (size_t i = 0; i < count; i++) is_ticked[ticks[i].box] = true;
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
  vestry_pages_stats_get(app->program.app->pages, &of);
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

static void create(struct app *app) {
  const vestry_sqlite_pool_options file = {
      .path = app->file,
      .schema = "CREATE TABLE tick(part INT, box INT, PRIMARY KEY(part, box)) WITHOUT ROWID",
      .schema_version = 1,
      .setup = "PRAGMA synchronous = FULL"};
  program_create(&app->program, &(vestry_application_options){
                                    .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
                                    .database = &vestry_sqlite_application,
                                    .database_options = &(vestry_sqlite_database){.pool = &file}});
  app->db = app->program.app->pool;
}

/* Clicks are deduplicated in memory: one that is repeated after a restart sets the same state again. */
static vestry_err begin(struct app *app) {
  vestry *v = app->program.v;
  const vestry_page_options one = {.render = page, .layout = "cells", .app = app};
  const vestry_rate_options rate = {.count = 20, .burst_count = 100};
  vestry_err err = vestry_application_page(app->program.app, "/", &one);
  if (!err) err = vestry_once_create(v, NULL, &app->once);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  if (!err) err = vestry_guard(v, "/box", vestry_rate_guard, app->rate);
  if (!err) err = vestry_guard(v, "/box", vestry_once_guard, app->once);
  if (!err) err = vestry_route(v, "GET", "/stats", stats, app);
  return err ? err : vestry_route(v, "POST", "/box/{box}/{to}", tick, app);
}

int main(int argc, char **argv) {
  static const struct option names[] = {OPTIONS_OF_ALL, {"db", required_argument, NULL, OPTION_DB}, {0}};
  static struct app app = {.file = "cells.db"};
  app.program = (struct program){.names = names,
                                 .read_own = read_option,
                                 .own = &app,
                                 .style = cells_css,
                                 .style_len = cells_css_len,
                                 .own_help = "  --db FILE             database file [cells.db]\n"};
  program_read(&app.program, argc, argv, "cells", "A million check boxes, shared by all users");
  create(&app);
  vestry_err err = begin(&app);
  if (!err) program_wait(&app.program);
  vestry_stop(app.program.v, VESTRY_NEVER_MS);
  vestry_once_destroy(app.once);
  vestry_rate_destroy(app.rate);
  int status = program_finish(&app.program);
  return err ? 1 : status;
}
