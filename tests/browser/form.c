/* SPDX-License-Identifier: MIT */
/* A server for form.test.js and form_stored.test.js: a form with fields of all kinds, in memory, or in a database
 * with --db FILE. There a title of "die" kills the process when the form is cleared, before the commit.
 *   GET /        the form in a live page, which shows how often it was submitted and refreshed
 *   GET /plain   the form in a page without a stream
 *   POST /report accepts it; rejects a title of "bad"; /sent does the same as a plain form
 *   POST /tick   refreshes the page
 *   POST /out    messages of the form are redirected to /plain from now on; POST /in: no more */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "../../examples/shared/program.h"
#ifdef FORM_SQLITE
#include "vestry/app/secret.h"
#include "vestry/app/tab.h"
#include "vestry/data/sqlite.h"
#endif

static const vestry_input fields[] = {{.name = "title"}, {.name = "text"}, {.name = "urgent"},   {.name = "color"},
                                      {.name = "tags"},  {.name = "note"}, {.name = "password"}, {.name = "token"},
                                      {.name = "code"},  {.name = "never"}};

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *page;
  vestry_forms *forms;
  atomic_int sent, ticks; /* they order no other memory accesses */
  atomic_bool is_out;     /* messages of the form are redirected to /plain; it orders nothing either */
  const char *file;       /* NULL: in memory */
#ifdef FORM_SQLITE
  vestry_sql_pool *pool;
  vestry_sqlite *database;
  vestry_forms_storage *stored;
#endif
};

/* -------------------------------------------------------------------------------------------- the database -------- */

#ifdef FORM_SQLITE
static vestry_err open_database(struct app *app, vestry_forms_options *options) {
  const vestry_sqlite_pool_options file = {
      .path = app->file, .schema = "CREATE TABLE report(title TEXT)", .schema_version = 1};
  if (!app->file) return VESTRY_OK;
  vestry_err err = vestry_sqlite_pool_create(&file, &app->pool);
  if (!err) err = vestry_sqlite_create(app->pages, &(vestry_sqlite_options){.path = app->file}, &app->database);
  if (!err) err = vestry_sqlite_pool_follow(app->pool, app->database);
  if (!err) err = vestry_sql_forms_create(app->pool, &app->stored);
  options->storage = app->stored;
  return err;
}

static void close_database(struct app *app) {
  vestry_sql_forms_destroy(app->stored);
  if (app->pool) (void)vestry_sqlite_pool_follow(app->pool, NULL);
  vestry_sqlite_destroy(app->database);
  vestry_sql_pool_destroy(app->pool);
}

static vestry_err submit(struct app *app, const vestry_request *req, const char *title) {
  vestry_sql_transaction *transaction;
  if (!app->pool) return vestry_forms_clear(app->forms, req, "report");
  vestry_err err = vestry_sql_begin(app->pool, VESTRY_SQL_WRITE, &transaction);
  if (err) return err;
  err = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES(?)", VESTRY_LIST(title), NULL, NULL);
  if (!err) err = vestry_forms_clear(app->forms, req, "report");
  if (strcmp(title, "die") == 0) raise(SIGKILL);
  return vestry_sql_end(transaction, err);
}
#else
static vestry_err open_database(struct app *app, vestry_forms_options *options) {
  return app->file ? VESTRY_UNSUPPORTED : VESTRY_OK;
}

static void close_database(struct app *app) {}

static vestry_err submit(struct app *app, const vestry_request *req, const char *title) {
  return vestry_forms_clear(app->forms, req, "report");
}
#endif

/* ------------------------------------------------------------------------------------------------- pages ---------- */

static vestry_err add_form(struct app *app, const vestry_request *req, vestry_render *render, vestry_html *html) {
  vestry_form *form;
  vestry_html_add(html, "<form method=\"post\" action=\"/sent\" ");
  if (render) {
    vestry_html_add(html, "data-on:submit=\"");
    vestry_html_backend_action(
        html, VESTRY_METHOD_POST,
        &(vestry_backend_action_options){.content = VESTRY_CONTENT_FORM, .cancellation = VESTRY_CANCEL_DISABLED},
        "/report");
    vestry_html_add(html, "\" ");
  }
  vestry_err err = vestry_form_open(app->forms, req, render, html, "report", &form);
  if (err) return err;
  vestry_html_add(html, "><input type=\"hidden\" name=\"tabId\" data-attr:value=\"$tabId\">");
  vestry_html_add(html, "<input name=\"title\" " VESTRY_FORM_FIELD " value=\"%s\">",
                  vestry_form_text(form, "title", "Untitled"));
  vestry_html_add(html, "<textarea name=\"text\" " VESTRY_FORM_FIELD ">%s</textarea>",
                  vestry_form_text(form, "text", ""));
  vestry_html_add(html, "<input type=\"checkbox\" name=\"urgent\" value=\"yes\" " VESTRY_FORM_FIELD "%-s>",
                  vestry_form_has(form, "urgent", "yes", true) ? " checked" : "");
  static const char *const colors[] = {"red", "blue"};
  for (size_t i = 0; i < 2; i++)
    vestry_html_add(html, "<input type=\"radio\" name=\"color\" value=\"%s\" " VESTRY_FORM_FIELD "%-s>", colors[i],
                    vestry_form_has(form, "color", colors[i], i == 0) ? " checked" : "");
  vestry_html_add(html, "<select name=\"tags\" multiple " VESTRY_FORM_FIELD ">");
  static const char *const tags[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; i++)
    vestry_html_add(html, "<option value=\"%s\"%-s>%s</option>", tags[i],
                    vestry_form_has(form, "tags", tags[i], false) ? " selected" : "", tags[i]);
  vestry_html_add(html, "</select><input name=\"note\" " VESTRY_FORM_FIELD " data-bind:note value=\"%s\">",
                  vestry_form_text(form, "note", ""));
  vestry_html_add(html, "<input type=\"password\" name=\"password\"><input type=\"hidden\" name=\"token\" value=\"t\">"
                        "<input name=\"code\" autocomplete=\"one-time-code\">"
                        "<p " VESTRY_FORM_NEVER "><input name=\"never\"></p>"
                        "<button type=\"submit\">Send</button><button type=\"reset\">Reset</button></form>");
  vestry_form_close(form);
  return vestry_html_error(html, NULL, NULL);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_err err =
      render->is_stream ? VESTRY_OK : vestry_tab_attributes(render->request, render->reply, tab, sizeof tab);
  if (err) return err;
  vestry_render_topic(render, "ticks");
  program_live_begin(&app->program, render, html, "Forms");
  if (!render->is_stream) vestry_html_add(html, "<div %-s><output id=\"shown\" data-text=\"$note\"></output>", tab);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p id=\"ticks\">%d</p><p id=\"sent\">%d</p>", atomic_load(&app->ticks),
                  atomic_load(&app->sent));
  err = add_form(app, render->request, render, html);
  if (err) return err;
  vestry_render_end(render, html);
  if (!render->is_stream) vestry_html_add(html, "</div>");
  return program_live_end(html);
}

static vestry_err plain(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char tab[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_html html;
  vestry_err err = vestry_tab_attributes(req, reply, tab, sizeof tab);
  if (err) return err;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<div %-s>", tab);
  err = add_form(app, req, NULL, &html);
  vestry_html_add(&html, "</div>");
  vestry_slice text;
  if (!err) err = vestry_html_result(&html, &text);
  if (!err) err = program_page(&app->program, reply, "Forms", "%-.*s", (int)text.len, (const char *)text.data);
  vestry_html_finish(&html);
  return err;
}

static vestry_err take(const vestry_request *req, vestry_reply *reply, struct app *app) {
  const char *title = vestry_request_value(req, VESTRY_IN_FORM, "title");
  if (!title || strcmp(title, "bad") == 0) {
    vestry_reply_status(reply, 422);
    vestry_reply_bodyf(reply, "<p id=\"why\">A better title, please.</p>");
    return VESTRY_MALFORMED;
  }
  atomic_fetch_add(&app->sent, 1); /* first, because clearing the form renders the page */
  return submit(app, req, title);
}

static vestry_err report(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return take(req, reply, ctx);
}

static vestry_err sent(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err err = take(req, reply, ctx);
  return err ? err : vestry_reply_redirect(reply, 303, "/plain");
}

static vestry_err for_users(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  if (!atomic_load(&app->is_out)) return VESTRY_OK;
  vestry_err err = vestry_reply_redirect(reply, 303, "/plain");
  return err ? err : VESTRY_FAILED;
}

static vestry_err set_out(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  atomic_store(&app->is_out, strcmp(req->path, "/out") == 0);
  return vestry_reply_status(reply, 204);
}

static vestry_err tick(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  atomic_fetch_add(&app->ticks, 1);
  vestry_err err = vestry_refresh(app->pages, "ticks", NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct app app;
  const vestry_program_option own[] = {{"db", "FILE", "file of the database [memory]", VESTRY_INTO(&app.file)}, {0}};
  vestry_forms_options forms = {.pages = NULL};
  app.program = (struct program){.own = own};
#ifdef FORM_SQLITE
  vestry_sqlite_record_pages();
#endif
  program_start(&app.program, argc, argv, "test_browser_form", "Forms that come back", &(vestry_options){0});
  vestry *v = app.program.v;
  const vestry_page_options page = {.render = render, .app = &app};
  const vestry_secret secret = {.secret = "at least 32 random bytes, from a file", .secret_len = 37};
  if (vestry_secret_set(v, &secret) || vestry_pages_create(v, &(vestry_pages_options){.retry_ms = 50}, &app.pages) ||
      vestry_page_create(app.pages, &page, &app.page) || open_database(&app, &forms))
    return 1;
  forms.pages = app.pages;
  if (vestry_forms_create(v, &forms, &app.forms) ||
      vestry_forms_add(app.forms, "report", fields, sizeof fields / sizeof *fields))
    return 1;
  vestry_route(v, "GET", "/", vestry_page_handler, app.page);
  vestry_route(v, "GET", "/plain", plain, &app);
  vestry_route(v, "POST", "/kept", vestry_forms_handler, app.forms);
  vestry_body_limit(v, "/kept", 1 << 20); /* the examples accept less */
  vestry_route(v, "POST", "/report", report, &app);
  vestry_route(v, "POST", "/sent", sent, &app);
  vestry_route(v, "POST", "/tick", tick, &app);
  vestry_route(v, "POST", "/out", set_out, &app);
  vestry_route(v, "POST", "/in", set_out, &app);
  vestry_guard(v, "/kept", for_users, &app);
  program_wait(&app.program);
  vestry_forms_destroy(app.forms);
  close_database(&app);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
