/* SPDX-License-Identifier: MIT */
/* A server for window.test.js and window_ways.test.js: windows of lists that are longer than any document.
 *   GET  /rows      a list of a million rows of 40 px; /short: 500 rows; /cells: a table, 1,000 rows of 1,000
 * columns
 *   GET  /chat      messages of different heights, the newest last; /away: another page of the layout
 *   POST /add       appends a message; /above: inserts ten rows above the first one of /short; /fewer: removes 200
 *                   at its end
 *   POST /touch     changes row 500,000 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/csp.h"
#include "vestry/app/window.h"

enum { MESSAGES = 10000 };

struct app {
  struct program program;
  vestry_pages *pages;
  pthread_mutex_t lock;
  /* All members below are guarded by lock. */
  uint64_t messages, above, fewer, touched;
};

static void begin(struct app *app, vestry_render *render, vestry_html *html) {
  vestry_render_topic(render, render->request->path);
  program_live_begin(&app->program, render, html, "Window");
  vestry_html_add(
      html,
      "<style nonce=\"%s\">#list{height:400px}#list .row{height:40px;box-sizing:border-box}"
      ".cell{display:inline-block;width:60px;height:40px}.vestry-window-rows>div{white-space:nowrap}</style>",
      render->is_stream ? "" : vestry_reply_nonce(render->reply));
  vestry_render_begin(render, html);
}

static vestry_err finish(vestry_render *render, vestry_html *html, const vestry_window *window) {
  vestry_window_end(html, window);
  vestry_html_add(html, "<a id=\"away\" href=\"/away\" data-navigate>away</a>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static uint64_t look(struct app *app, const uint64_t *number) {
  pthread_mutex_lock(&app->lock);
  uint64_t value = *number;
  pthread_mutex_unlock(&app->lock);
  return value;
}

static vestry_err rows(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  bool is_short = strcmp(render->request->path, "/short") == 0;
  uint64_t above = is_short ? look(app, &app->above) : 0, touched = look(app, &app->touched);
  uint64_t fewer = is_short ? look(app, &app->fewer) : 0;
  const vestry_window_options options = {.id = "list",
                                         .rows = {.count = is_short ? 500 + above - fewer : 1000000, .px = 40},
                                         .role = is_short ? VESTRY_WINDOW_PLAIN : VESTRY_WINDOW_LIST,
                                         .label = "Rows"};
  vestry_window window = {0};
  begin(app, render, html);
  vestry_window_begin(render, html, &options, &window);
  for (uint64_t i = 0; i < window.rows_count; i++) {
    long long row = (long long)(window.first_row + i) - (long long)above;
    vestry_html_add(html, "<div class=\"row\" id=\"row%lld\"", row);
    vestry_window_row(html, &window, window.first_row + i);
    vestry_html_add(html, ">row %lld%s<input></div>", row, (long long)touched == row && touched ? " touched" : "");
  }
  return finish(render, html, &window);
}

static vestry_err cells(vestry_render *render, vestry_html *html, void *ctx) {
  const vestry_window_options options = {.id = "list",
                                         .rows = {.count = 1000, .px = 40, .buffer_count = 36},
                                         .columns = {.count = 1000, .px = 60, .buffer_count = 45},
                                         .role = VESTRY_WINDOW_TABLE};
  vestry_window window = {0};
  begin(ctx, render, html);
  vestry_window_begin(render, html, &options, &window);
  for (uint64_t i = 0; i < window.rows_count; i++) {
    unsigned long row = (unsigned long)(window.first_row + i);
    vestry_html_add(html, "<div class=\"row\" id=\"row%lu\"", row);
    vestry_window_row(html, &window, row);
    vestry_html_add(html, ">");
    for (uint64_t j = 0; j < window.columns_count; j++)
      vestry_html_add(html, "<span class=\"cell\" role=\"cell\" id=\"c%lu-%lu\">%lu/%lu</span>", row,
                      (unsigned long)(window.first_column + j), row, (unsigned long)(window.first_column + j));
    vestry_html_add(html, "</div>");
  }
  return finish(render, html, &window);
}

static vestry_err chat(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const vestry_window_options options = {
      .id = "list", .rows = {.count = look(app, &app->messages), .px = 60}, .is_at_end = true};
  vestry_window window = {0};
  begin(app, render, html);
  vestry_window_begin(render, html, &options, &window);
  for (uint64_t i = 0; i < window.rows_count; i++) {
    unsigned long row = (unsigned long)(window.first_row + i);
    vestry_html_add(html, "<p id=\"m%lu\">message %lu", row, row);
    for (unsigned long line = 0; line < row % 7; line++) vestry_html_add(html, "<br>line");
    vestry_html_add(html, "</p>");
  }
  return finish(render, html, &window);
}

static vestry_err away(vestry_render *render, vestry_html *html, void *ctx) {
  begin(ctx, render, html);
  vestry_html_add(html, "<h1 id=\"gone\">away</h1>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err change(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *topic = "/chat";
  pthread_mutex_lock(&app->lock);
  if (strcmp(req->path, "/add") == 0) {
    app->messages++;
  } else if (strcmp(req->path, "/above") == 0) {
    app->above += 10;
    topic = "/short";
  } else if (strcmp(req->path, "/fewer") == 0) {
    app->fewer = 200;
    topic = "/short";
  } else {
    app->touched = 500000;
    topic = "/rows";
  }
  pthread_mutex_unlock(&app->lock);
  vestry_err error = vestry_refresh(app->pages, topic, NULL);
  return error ? error : vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .messages = MESSAGES};
  static const struct {
    const char *path;
    vestry_page_fn render;
  } pages[] = {{"/rows", rows}, {"/short", rows}, {"/cells", cells}, {"/chat", chat}, {"/away", away}};
  program_start(&app.program, argc, argv, "test_browser_window", "Windows", &(vestry_options){0});
  vestry *v = app.program.v;
  if (vestry_pages_create(v, &(vestry_pages_options){.retry_ms = 50}, &app.pages)) return 1;
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    const vestry_page_options options = {.render = pages[i].render, .layout = "lists", .app = &app};
    vestry_page *page;
    if (vestry_page_create(app.pages, &options, &page)) return 1;
    vestry_route(v, "GET", pages[i].path, vestry_page_handler, page);
  }
  vestry_route(v, "POST", "/add", change, &app);
  vestry_route(v, "POST", "/above", change, &app);
  vestry_route(v, "POST", "/fewer", change, &app);
  vestry_route(v, "POST", "/touch", change, &app);
  program_wait(&app.program);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
