/* SPDX-License-Identifier: MIT */
/* A page with all notes, and a form for a new one. Each open tab shows a note as soon as it is committed: the page
 * reads the database, and vestry detects the commits that change the data which the page has read. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include <vestry/app/csrf.h>
#include <vestry/app/once.h>
#include <vestry/app/page.h>
#include <vestry/app/secret.h>
#include <vestry/data/sqlite.h>

enum { TEXT_MAX = 200 /* in UTF-16 units, as browsers count */, SECRET_BYTES = 32 };

/* Creates the tables, or upgrades those of any earlier version. */
static const char schema[] = "CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS secret(bytes BLOB NOT NULL);"
                             "INSERT INTO secret SELECT randomblob(32) WHERE NOT EXISTS(SELECT * FROM secret);";

struct app {
  vestry *v;
  vestry_csrf *csrf;
  vestry_once *once;
  vestry_pages *pages;
  vestry_sql_pool *pool;   /* a connection for each thread that reads or writes */
  vestry_sqlite *database; /* records the data that pages have read */
};

static void add_note(const vestry_sql_row *row, void *html) {
  vestry_html_add(html, "<li dir=\"auto\">%s</li>", vestry_sql_text(row, 0));
}

/* The form is outside of the live content, so events never change the typed text. */
static vestry_err add_form(vestry_html *html) {
  const vestry_backend_action_options proofs = {.csrf = true, .once = true};
  vestry_html_add(html, "<form data-signals=\"{text: '', error: ''}\" data-indicator:_saving data-on:submit=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &proofs, "/note");
  return vestry_html_add(html,
                         "\"><label>Note <input data-bind:text required maxlength=\"%d\" dir=\"auto\"></label> "
                         "<button>Add</button> <span role=\"status\" data-show=\"$_saving\">Saving…</span>"
                         "<p role=\"alert\" data-text=\"$error\"></p></form>",
                         TEXT_MAX);
}

/* GET /: renders the document, and renders it again for each change. */
static vestry_err notes(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const vestry_request *req = render->request;
  char token[VESTRY_CSRF_TOKEN_BYTES], once[VESTRY_ONCE_ATTRIBUTES_BYTES];
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_csrf_token(app->csrf, req, render->reply, token);
  if (!error) error = vestry_once_attributes(req, once, sizeof once);
  if (!error) error = vestry_sql_begin(app->pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                        "<meta name=\"viewport\" content=\"width=device-width\"><title>app</title>");
  vestry_html_add(html, "<script type=\"module\" src=\"%-s\"></script>", VESTRY_DATASTAR_CDN_URL);
  vestry_render_head(render, html);
  vestry_html_add(html, "</head><body data-signals:_csrf=\"'%s'\" %-s><h1>app</h1>", token, once);
  add_form(html);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<ul>");
  error = vestry_sql_run(transaction, "SELECT text FROM note ORDER BY id DESC LIMIT 100", NULL, add_note, html);
  if (error == VESTRY_NOT_FOUND) error = VESTRY_OK; /* no note yet */
  vestry_html_add(html, "</ul>");
  error = vestry_sql_end(transaction, error);
  return error ? error : vestry_render_end(render, html);
}

/* Return the length in UTF-16 units, as maxlength counts: a character with four bytes in UTF-8 counts as two. */
static size_t length_of(const char *text) {
  size_t length = 0;
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    length += (size_t)((*at & 0xc0) != 0x80) + (*at >= 0xf0);
  return length;
}

/* POST /note: a rejected text stays in the form, with the reason. */
static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *text = json_string_value(json_object_get(req->signals, "text"));
  vestry_sql_transaction *transaction;
  if (!text || !*text) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "Write something first."));
  if (length_of(text) > TEXT_MAX) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "That is too long."));
  vestry_err error = vestry_sql_begin(app->pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  error = vestry_sql_run(transaction, "INSERT INTO note(text) VALUES(?)", VESTRY_LIST(text), NULL, NULL);
  error = vestry_sql_end(transaction, error); /* commits, or rolls back */
  return error ? error : vestry_reply_patch_signals(reply, VESTRY_OBJECT("text", "", "error", ""));
}

/* The secret is the same after a restart, so open pages stay valid. */
static void take_secret(const vestry_sql_row *row, void *secret) {
  (void)vestry_sql_bytes(row, 0, secret, SECRET_BYTES);
}

static vestry_err make_instance(struct app *app, uint32_t threads_count) {
  unsigned char secret[SECRET_BYTES];
  vestry_err error = vestry_sql_run_alone(app->pool, "SELECT bytes FROM secret", NULL, take_secret, secret);
  if (!error) error = vestry_create(&(vestry_options){.threads_count = threads_count}, &app->v);
  if (error) return error;
  return vestry_secret_set(app->v, &(vestry_secret){.secret = secret, .secret_len = sizeof secret});
}

static vestry_err mount(struct app *app, const char *file) {
  vestry_page *page;
  vestry_err error = vestry_csrf_create(app->v, NULL, &app->csrf);
  if (!error) error = vestry_once_create(app->v, NULL, &app->once);
  if (!error) error = vestry_guard(app->v, "/", vestry_csrf_guard, app->csrf);
  if (!error) error = vestry_guard(app->v, "/", vestry_once_guard, app->once);
  if (!error) error = vestry_pages_create(app->v, NULL, &app->pages);
  if (!error) error = vestry_sqlite_create(app->pages, &(vestry_sqlite_options){.path = file}, &app->database);
  if (!error) error = vestry_sqlite_pool_follow(app->pool, app->database);
  if (!error) error = vestry_page_create(app->pages, &(vestry_page_options){.render = notes, .app = app}, &page);
  if (!error) error = vestry_route(app->v, "GET", "/", vestry_page_handler, page);
  return error ? error : vestry_route(app->v, "POST", "/note", add, app);
}

vestry_err app_begin(const char *file, uint32_t threads_count, struct app **ret_app) {
  const vestry_sqlite_pool_options pool = {.path = file, .schema = schema, .schema_version = 1};
  struct app *app = calloc(1, sizeof *app);
  if (!app) return VESTRY_NO_MEMORY;
  vestry_err error = vestry_sqlite_pool_create(&pool, &app->pool);
  if (!error) error = make_instance(app, threads_count);
  if (!error) error = mount(app, file);
  if (error)
    app_end(app);
  else
    *ret_app = app;
  return error;
}

vestry *app_instance(struct app *app) {
  return app->v;
}

vestry_err app_settle(struct app *app) {
  uint64_t seq;
  vestry_err error = vestry_sqlite_sync(app->database, &seq);
  return error ? error : vestry_pages_settle(app->pages, seq, 1000);
}

void app_end(struct app *app) {
  if (!app) return;
  if (app->v) vestry_stop(app->v, 1000);
  if (app->database) vestry_sqlite_pool_follow(app->pool, NULL);
  vestry_sqlite_destroy(app->database);
  vestry_pages_destroy(app->pages);
  vestry_once_destroy(app->once);
  vestry_csrf_destroy(app->csrf);
  vestry_destroy(app->v);
  vestry_sql_pool_destroy(app->pool);
  free(app);
}
