/* A page with all notes, and a form for a new one. Each open tab shows a note as soon as it is committed, and its
 * number of words as soon as a job has counted them. The session that wrote a note can remove it. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include <vestry/data/sqlite.h>

enum { TEXT_MAX = 200 /* in UTF-16 units, as browsers count */ };

/* Creates the tables, or upgrades those of any earlier version. */
static const char schema[] = "CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT NOT NULL,"
                             "  owner BLOB NOT NULL DEFAULT x'', words INTEGER NOT NULL DEFAULT 0);";
static const vestry_backend_action_options proofs = {.csrf = true, .once = true};

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void add_note(const vestry_sql_row *row, void *html) {
  vestry_html_add(html, "<li dir=\"auto\">%s <small>%d words</small>", vestry_sql_text(row, 0),
                  (int)vestry_sql_integer(row, 1));
  if (vestry_sql_integer(row, 2)) {
    vestry_html_add(html, " <button data-on:click=\"");
    vestry_html_backend_action(html, VESTRY_METHOD_DELETE, &proofs, "/note/%d", (int)vestry_sql_integer(row, 3));
    vestry_html_add(html, "\">Remove</button>");
  }
  vestry_html_add(html, "</li>");
}

/* The form is outside of the live content, so events never change the typed text. */
static void add_form(vestry_html *html) {
  vestry_html_add(html, "<h1>APPNAME</h1><form data-signals=\"{text: '', error: ''}\" data-on:submit=\"");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &proofs, "/note");
  vestry_html_add(html,
                  "\"><label>Note <input data-bind:text required maxlength=\"%d\" dir=\"auto\"></label>"
                  " <button>Add</button><p role=\"alert\" data-text=\"$error\"></p></form>",
                  TEXT_MAX);
}

/* GET /: renders the document, and renders it again for each change. */
static vestry_err notes(vestry_render *render, vestry_html *html, void *ctx) {
  vestry_application *app = ctx;
  const vestry_value me = vestry_value_bytes(render->request->scope.data, render->request->scope.len);
  const vestry_application_document document = {.title = "APPNAME"};
  vestry_err error = vestry_application_document_begin(app, render, html, &document);
  if (error) return error;
  add_form(html);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<ul>");
  error = vestry_sql_read(app->pool, "SELECT text, words, owner = $1, id FROM note ORDER BY id DESC LIMIT 100",
                          VESTRY_LIST(me), add_note, html);
  if (error && error != VESTRY_NOT_FOUND) return error; /* NOT_FOUND: no note yet */
  vestry_html_add(html, "</ul>");
  vestry_render_end(render, html);
  return vestry_application_document_end(html);
}

/* ---- its actions ------------------------------------------------------------------------------------------------- */

/* Return the length in UTF-16 units, as maxlength counts: a character with four bytes in UTF-8 counts as two. */
static size_t length_of(const char *text) {
  size_t length = 0;
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    length += (size_t)((*at & 0xc0) != 0x80) + (*at >= 0xf0);
  return length;
}

typedef struct draft {
  vestry_application *app;
  const vestry_request *req;
  const char *text;
} draft;

/* The note and its job are committed together, or neither. */
static vestry_err insert(vestry_sql_transaction *transaction, void *ctx) {
  const draft *of = ctx;
  int64_t id = 0;
  const vestry_value me = vestry_value_bytes(of->req->scope.data, of->req->scope.len);
  vestry_err error = vestry_sql_run(transaction, "INSERT INTO note(text, owner) VALUES($1, $2) RETURNING id",
                                    VESTRY_LIST(of->text, me), vestry_sql_row_integer, &id);
  const vestry_job_order count = {.kind = "count", .payload = {&id, sizeof id}};
  return error ? error : vestry_jobs_enqueue(of->app->jobs, transaction, &count, NULL);
}

/* POST /note: a rejected text stays in the form, with the reason. */
static vestry_err add(const vestry_request *req, vestry_reply *reply, void *app) {
  draft of = {.app = app, .req = req};
  if (vestry_signals_get(req->signals, "text", VESTRY_INTO(&of.text), NULL) || !*of.text)
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "Write something first."));
  if (length_of(of.text) > TEXT_MAX)
    return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "That is too long."));
  vestry_err error = vestry_sql_act(of.app->pool, VESTRY_SQL_WRITE, insert, &of);
  return error ? error : vestry_reply_patch_signals(reply, VESTRY_OBJECT("text", "", "error", ""));
}

/* DELETE /note/{id}: of this session only. */
static vestry_err take_away(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  int64_t id;
  const vestry_value me = vestry_value_bytes(req->scope.data, req->scope.len);
  vestry_err error = vestry_request_get(req, VESTRY_IN_PATH, "id", VESTRY_INTO(&id));
  if (!error)
    error = vestry_sql_run_alone(app->pool, "DELETE FROM note WHERE id = $1 AND owner = $2 RETURNING id",
                                 VESTRY_LIST(id, me), NULL, NULL);
  return error ? error : vestry_reply_status(reply, 204);
}

/* A job: may block, and is run again if it fails or if the process dies. */
static vestry_err count_words(vestry_job *job, void *ctx) {
  vestry_application *app = ctx;
  int64_t id;
  memcpy(&id, job->payload.data, sizeof id);
  return vestry_sql_run_alone(
      app->pool, "UPDATE note SET words = 1 + length(trim(text)) - length(replace(trim(text), ' ', '')) WHERE id = $1",
      VESTRY_LIST(id), NULL, NULL);
}

vestry_err app_begin(const char *file, uint32_t threads_count, vestry_application **ret_app) {
  const vestry_sqlite_pool_options pool = {.path = file, .schema = schema, .schema_version = 1};
  const vestry_application_options options = {
      .name = "APPNAME",
      .instance = &(vestry_options){.threads_count = threads_count},
      .database = &vestry_sqlite_application,
      .database_options = &(vestry_sqlite_database){.pool = &pool},
      .jobs = &(vestry_jobs_options){0},
  };
  vestry_application *app = NULL;
  vestry_err error = vestry_application_create(&options, &app);
  if (!error) error = vestry_application_page(app, "/", &(vestry_page_options){.render = notes});
  if (!error) error = vestry_route(app->instance, "POST", "/note", add, app);
  if (!error) error = vestry_route(app->instance, "DELETE", "/note/{id}", take_away, app);
  if (!error) error = vestry_jobs_on(app->jobs, "count", count_words, app);
  if (!error) *ret_app = app;
  if (error) vestry_application_destroy(app);
  return error;
}
