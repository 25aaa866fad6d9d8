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
  vestry_once *once;
  vestry_rate *rate;
};

/* Clicks and scrolls have short heads, and many browsers keep connections (docs/guide/deploying.md). */
enum { MAX_HEAD_BYTES = 8192 };

/* The page names the first visible box. */
#define WHERE "$_row = Math.round(at.scrollTop / 40) + 1; $_column = Math.round(at.scrollLeft / 40) + 1"
#define LABEL "A million check boxes: Enter leads in, arrows walk, Escape leads out"

/* ------------------------------------------------------------------------------------------------ the pages ------- */

VESTRY_STRUCT(ticked, (int, box));

/* Render the content of a part: ten by ten boxes. Its key is their position. */
static void put_part(vestry_call *call) {
  bool is_ticked[PART * PART] = {false};
  const int down = (int)call->key / PARTS, across = (int)call->key % PARTS;
  vestry_rows ticks =
      vestry_call_rows(call, &ticked_shape, "SELECT box FROM tick WHERE part = ? AND box BETWEEN 0 AND ?",
                       VESTRY_LIST(call->key, PART * PART - 1));
  for (const ticked *at; (at = vestry_next(&ticks));) is_ticked[at->box] = true;
  for (int box = 0; box < PART * PART; box++) {
    int row = down * PART + box / PART, column = across * PART + box % PART;
    vestry_html_add(call->html, "<input type=\"checkbox\" tabindex=\"-1\" value=\"%d\" aria-label=\"%d, %d\"%-s>",
                    row * SIDE + column, row + 1, column + 1, is_ticked[box] ? " checked" : "");
  }
}

static void put_window(vestry_call *call) {
  const vestry_window_axis axis = {.count = PARTS, .px = PART_PX, .buffer_count = SEEN};
  const vestry_window_options options = {.id = "at", .rows = axis, .columns = axis, .label = LABEL};
  vestry_window window = {0};
  vestry_call_fail(call, vestry_window_begin(call->render, call->html, &options, &window));
  for (uint64_t down = window.first_row; down < window.first_row + window.rows_count; down++) {
    vestry_html_add(call->html, "<div id=\"row-%llu\">", (unsigned long long)down);
    for (uint64_t across = window.first_column; across < window.first_column + window.columns_count; across++)
      vestry_call_part(call, "part", (int64_t)(down * PARTS + across));
    vestry_html_add(call->html, "</div>");
  }
  vestry_window_end(call->html, &window);
}

/* GET /, also with ?at=…, the visible parts. The state of a clicked box is its wanted state, and its attribute is the
 * stored state. Therefore a failed click is reverted. */
static void page(vestry_call *call) {
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES] = "";
  vestry_html *html = call->html;
  if (!call->render->is_stream) vestry_call_fail(call, vestry_once_attributes(call->req, once, sizeof once));
  vestry_call_document(call, "A million check boxes");
  vestry_html_add(html, "<div class=\"all\" %-s><header><h1>A million check boxes</h1><nav aria-label=\"Places\">",
                  once);
  static const char *const places[][2] = {{"0.0", "First"}, {"49.49", "Middle"}, {"99.99", "Last"}};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    vestry_html_add(html, "<a href=\"/?at=%s\" data-navigate>%s</a> ", places[i][0], places[i][1]);
  vestry_html_add(html,
                  "</nav><p>Row <b data-text=\"$_row\">1</b>, column <b data-text=\"$_column\">1</b></p><p "
                  "role=\"status\" data-text=\"$_savingFailed ? 'Some boxes could not be changed.' : "
                  "$_saving ? 'Saving…' : ''\" data-effect=\"$_savingFailed && document.querySelectorAll('#at input')"
                  ".forEach(box => box.checked = box.hasAttribute('checked'))\"></p></header>"
                  "<div data-signals=\"{_box: 0, _to: 0, _row: 1, _column: 1}\" data-init=\"const at = "
                  "document.getElementById('at'); " WHERE "\" data-on:scroll__capture=\"const at = evt.target; " WHERE
                  "\" data-on:change=\"$_box = +evt.target.value; "
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
  vestry_call_content(call);
  put_window(call);
  vestry_call_content_end(call);
  vestry_html_add(html, "</div></div>");
}

/* ---------------------------------------------------------------------------------------------- the handlers ------ */

/* POST /box/{box}/{to}: the change is durable before the answer. Pages that show the box receive its part. */
static void tick(vestry_call *call) {
  int64_t box = 0, to = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "box", vestry_into_between(&box, 0, SIDE * SIDE - 1));
  vestry_call_get(call, VESTRY_IN_PATH, "to", vestry_into_between(&to, 0, 1));
  const int64_t row = box / SIDE, column = box % SIDE;
  vestry_call_run(call,
                  to ? "INSERT INTO tick(part, box) VALUES(?, ?) ON CONFLICT DO NOTHING"
                     : "DELETE FROM tick WHERE part = ? AND box = ?",
                  VESTRY_LIST(row / PART * PARTS + column / PART, row % PART * PART + column % PART));
}

/* GET /stats: numbers of renders, parts and streams. */
static void stats(vestry_call *call) {
  vestry_pages_stats of = {0};
  char json[128];
  vestry_pages_stats_get(call->app->pages, &of);
  int len = snprintf(json, sizeof json, "{\"streams\": %zu, \"renders\": %llu, \"changed\": %llu}\n", of.streams_count,
                     (unsigned long long)of.renders_count, (unsigned long long)of.changed_count);
  vestry_reply_body(call->reply, "application/json", json, (size_t)len);
}

/* ------------------------------------------------------------------------------------- from start to end ---------- */

static const vestry_page_options window_page = {.layout = "cells"};
static const vestry_entry entries[] = {VESTRY_PAGE("/", page, .page = &window_page),
                                       VESTRY_PART("part", put_part),
                                       VESTRY_ACT("/box/{box}/{to}", tick),
                                       VESTRY_HANDLER("GET", "/stats", stats),
                                       {0}};

/* Clicks are deduplicated in memory: one that is repeated after a restart sets the same state again. */
static vestry_err begin(vestry_application *parts, void *own) {
  struct app *app = own;
  vestry *v = parts->instance;
  const vestry_rate_options rate = {.count = 20, .burst_count = 100};
  vestry_err err = vestry_once_create(v, NULL, &app->once);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  if (!err) err = vestry_guard(v, "/box", vestry_rate_guard, app->rate);
  return err ? err : vestry_guard(v, "/box", vestry_once_guard, app->once);
}

static void end(vestry_application *parts, void *own) {
  struct app *app = own;
  (void)parts;
  vestry_once_destroy(app->once);
  vestry_rate_destroy(app->rate);
}

int main(int argc, char **argv) {
  struct app app = {0};
  const vestry_application_options application = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
      VESTRY_SQLITE(.path = "cells.db",
                    .schema = "CREATE TABLE tick(part INT, box INT, PRIMARY KEY(part, box)) WITHOUT ROWID",
                    .schema_version = 1, .setup = "PRAGMA synchronous = FULL"),
      .entries = entries,
      .own = &app,
      .begin = begin,
      .end = end};
  struct program program = {
      .application = &application, .style = cells_css, .style_len = cells_css_len, .max_head_bytes = MAX_HEAD_BYTES};
  return program_main(&program, argc, argv, "cells", "A million check boxes, shared by all users");
}
