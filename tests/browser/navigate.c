/* SPDX-License-Identifier: MIT */
/* A server for navigate.test.js: pages of one layout, and other addresses.
 *   GET  /list?q=…&page=…   lines, and a search field; /item/{n}: another page of the same layout
 *   GET  /about             a page of another layout; /plain: a document without a page; /login: likewise
 *   GET  /guarded           redirects to /login, document and stream; /moved: its render redirects there; /none:
 * 404;
 *                           /item/100: so does its render; /file: a download
 *   GET  /state             elements whose state the browser keeps: the changes switch a check box, a list, radio
 *                           buttons and `declared`
 *   POST /add               changes the lists; /go?url=…&how=…: the effect, as a response; /say: sets the signal `kept`
 *   POST /hold, /release    renders of /item/{n} for streams wait in between */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/once.h"
#include "vestry/app/tab.h"

enum { LINES = 120 };

struct app {
  struct program program;
  vestry_pages *pages;
  pthread_mutex_t lock;
  pthread_cond_t released;
  /* All members below are guarded by lock. */
  int extra;
  bool is_held;
};

static void add_links(vestry_html *html) {
  static const char *const to[][3] = {
      {"second", "/list?page=2", "data-navigate"},
      {"third", "/list?page=3", "data-navigate"},
      {"first", "/list", "data-navigate"},
      {"same", "/list?same=1", "data-navigate"},
      {"sorted", "/list?sort=1", "data-navigate=\"replace\""},
      {"part", "/list?page=2#line-60", "data-navigate"},
      {"within", "#line-30", "data-navigate"},
      {"item", "/item/7", "data-navigate"},
      {"about", "/about", "data-navigate"},
      {"document", "/plain", "data-navigate"},
      {"guarded", "/guarded", "data-navigate"},
      {"moved", "/moved", "data-navigate"},
      {"none", "/none", "data-navigate"},
      {"lost", "/item/100", "data-navigate"},
      {"file", "/file", "data-navigate"},
      {"window", "/list?page=2", "data-navigate target=\"other\""},
      {"download", "/list?page=2", "data-navigate download"},
      {"elsewhere", "http://localhost:1/", "data-navigate"},
      {"unmarked", "/list?page=2", ""},
  };
  vestry_html_add(html, "<nav>");
  for (size_t i = 0; i < sizeof to / sizeof *to; i++)
    vestry_html_add(html, "<a id=\"%s\" href=\"%s\" %-s>%s</a> ", to[i][0], to[i][1], to[i][2], to[i][0]);
  vestry_html_add(html, "</nav>");
}

static void begin(struct app *app, vestry_render *render, vestry_html *html, const char *title) {
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES] = "", once[VESTRY_ONCE_ATTRIBUTES_BYTES] = "";
  bool is_item = strncmp(render->request->path, "/item", 5) == 0; /* with a count of submissions */
  if (!render->is_stream) (void)vestry_tab_attributes(render->request, render->reply, tab, sizeof tab);
  if (!render->is_stream && is_item) (void)vestry_once_attributes(render->request, once, sizeof once);
  program_live_begin(&app->program, render, html, title);
  vestry_html_add(html, "<div %-s %-s data-signals:kept__ifmissing=\"''\">", tab, once);
  add_links(html);
  vestry_html_add(html, "<input id=\"outside\" data-bind:kept></div>");
  vestry_render_begin(render, html);
}

static vestry_err list(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const char *q = vestry_request_value(render->request, VESTRY_IN_QUERY, "q");
  const char *page = vestry_request_value(render->request, VESTRY_IN_QUERY, "page");
  char title[128];
  q = q ? q : "";
  page = page ? page : "1";
  vestry_render_topic(render, "list");
  pthread_mutex_lock(&app->lock);
  int extra = app->extra;
  pthread_mutex_unlock(&app->lock);
  snprintf(title, sizeof title, "List \"%s\" & %s", q, page);
  begin(app, render, html, title);
  vestry_html_add(html,
                  "<h1 id=\"heading\">%s %d</h1><form id=\"form\" action=\"/list\" role=\"search\" data-navigate>"
                  "<input id=\"q\" name=\"q\" value=\"%s\" data-navigate>"
                  "<input id=\"odd\" type=\"checkbox\" name=\"odd\" value=\"1\" data-navigate>"
                  "<select id=\"page\" name=\"page\" data-navigate><option>1<option>2<option>3</select>"
                  "<button id=\"search\">Search</button></form><ul>",
                  page, extra, q);
  for (int i = 1; i <= LINES; i++) {
    char line[64];
    snprintf(line, sizeof line, "line %d of %s", i, page);
    if (strstr(line, q)) vestry_html_add(html, "<li id=\"line-%d\">%s</li>", i, line);
  }
  vestry_html_add(html, "</ul><a id=\"further\" href=\"/item/9\" data-navigate>further</a>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err item(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  int64_t number;
  vestry_err error = vestry_request_get(render->request, VESTRY_IN_PATH, "number", vestry_into_between(&number, 0, 99));
  if (error) return error;
  vestry_render_topic(render, "item");
  pthread_mutex_lock(&app->lock);
  while (render->is_stream && app->is_held) pthread_cond_wait(&app->released, &app->lock);
  pthread_mutex_unlock(&app->lock);
  begin(app, render, html, "Item");
  vestry_html_add(html, "<h1 id=\"heading\">item %d</h1>", (int)number);
  vestry_html_add(html, "<button id=\"back\" data-on:click=\"@post('/go?how=navigate&amp;url=%%2Flist%%3Fpage%%3D2')\">"
                        "back</button>");
  const vestry_backend_action_options once = {.once = true};
  vestry_html_add(html, "<button id=\"say\" data-on:click=\"@post('/say')\">say</button>"
                        "<button id=\"once\" data-on:click=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &once, "/say");
  vestry_html_add(html, "\">once</button>");
  vestry_html_add(html, "<button id=\"out\" data-on:click=\"@post('/go?how=navigate-replace&amp;url=%%2Fitem%%2F8')\">"
                        "out</button>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err state(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  vestry_render_topic(render, "list");
  pthread_mutex_lock(&app->lock);
  int extra = app->extra;
  pthread_mutex_unlock(&app->lock);
  const bool is_odd = extra % 2;
  begin(app, render, html, "State");
  vestry_html_add(html, "<h1 id=\"heading\">state %d</h1><section id=\"all\">%d", extra, extra);
  vestry_html_add(html,
                  "<details id=\"details\"><summary>more</summary>inside</details>"
                  "<details id=\"declared\"%-s><summary>more</summary>inside</details>"
                  "<dialog id=\"dialog\"><input id=\"inside\"><a id=\"leave\" href=\"/item/7\" data-navigate>7</a>"
                  "</dialog><div id=\"popover\" popover=\"manual\">popped</div>"
                  "<textarea id=\"area\" rows=\"3\"></textarea>"
                  "<div id=\"editable\" contenteditable>initial</div><p id=\"text\">text to select</p>"
                  "<video id=\"video\"></video><input id=\"file\" type=\"file\">"
                  "<input id=\"partly\" type=\"checkbox\">",
                  is_odd ? " open" : "");
  vestry_html_add(html,
                  "<input id=\"box\" type=\"checkbox\"%-s><select id=\"pick\"><option>0</option>"
                  "<option%-s>1</option></select>",
                  is_odd ? " checked" : "", is_odd ? " selected" : "");
  for (int i = 0; i < 2; i++)
    vestry_html_add(html, "<input type=\"radio\" name=\"choice\" id=\"choice%d\"%-s>", i,
                    is_odd == i ? " checked" : "");
  vestry_html_add(html, "<form id=\"draft\"><input id=\"word\" name=\"word\">"
                        "<input id=\"own\" type=\"checkbox\"></form>");
  vestry_html_add(html,
                  "<input id=\"range\" type=\"range\" value=\"%d\"><input id=\"colour\" type=\"color\" "
                  "value=\"#00000%d\"><form><input id=\"acts\" type=\"checkbox\" data-on:change=\"@post('/say')\"%-s>"
                  "</form></section>",
                  is_odd, is_odd, is_odd ? " checked" : "");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err about(vestry_render *render, vestry_html *html, void *ctx) {
  begin(ctx, render, html, "About");
  vestry_html_add(html, "<h1 id=\"heading\">about</h1>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err moved(vestry_render *render, vestry_html *html, void *ctx) {
  return vestry_reply_redirect(render->reply, 303, "/login");
}

static vestry_err plain(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  return program_page(&app->program, reply, "Plain", "<main id=\"content\"><h1 id=\"heading\">%s</h1></main>",
                      req->path + 1);
}

static vestry_err file(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err error = vestry_reply_header(reply, "Content-Disposition", "attachment; filename=\"a.csv\"");
  return error ? error : vestry_reply_body(reply, "text/csv", "a,b\n", 4);
}

static vestry_err guarded(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_redirect(reply, 303, "/login");
}

static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  app->extra++;
  pthread_mutex_unlock(&app->lock);
  vestry_err error = vestry_refresh(app->pages, "list", NULL);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *how = vestry_request_value(req, VESTRY_IN_QUERY, "how");
  return vestry_reply_effect(reply, VESTRY_LIST(how, vestry_request_value(req, VESTRY_IN_QUERY, "url")));
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("kept", "said"));
}

static vestry_err set_held(struct app *app, vestry_reply *reply, bool is_held) {
  pthread_mutex_lock(&app->lock);
  app->is_held = is_held;
  pthread_cond_broadcast(&app->released);
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err hold(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_held(ctx, reply, true);
}

static vestry_err let_go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_held(ctx, reply, false);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};
  static const struct {
    const char *path, *layout;
    vestry_page_fn render;
  } pages[] = {{"/list", "shop", list},
               {"/item/{number}", "shop", item},
               {"/about", "info", about},
               {"/moved", "shop", moved},
               {"/state", "shop", state}};
  program_start(&app.program, argc, argv, "test_browser_navigate", "Addresses", &(vestry_options){0});
  vestry *v = app.program.v;
  if (vestry_pages_create(v, &(vestry_pages_options){.retry_ms = 50}, &app.pages)) return 1;
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    const vestry_page_options options = {.render = pages[i].render, .layout = pages[i].layout, .app = &app};
    vestry_page *page;
    if (vestry_page_create(app.pages, &options, &page)) return 1;
    vestry_route(v, "GET", pages[i].path, vestry_page_handler, page);
  }
  vestry_route(v, "GET", "/plain", plain, &app);
  vestry_route(v, "GET", "/login", plain, &app);
  vestry_route(v, "GET", "/guarded", guarded, &app);
  vestry_route(v, "GET", "/file", file, &app);
  vestry_route(v, "POST", "/add", add, &app);
  vestry_route(v, "POST", "/go", go, &app);
  vestry_route(v, "POST", "/say", say, &app);
  vestry_route(v, "POST", "/hold", hold, &app);
  vestry_route(v, "POST", "/release", let_go, &app);
  program_wait(&app.program);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
