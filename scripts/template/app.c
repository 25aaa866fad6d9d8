/* A page with all notes, and a form for a new one. Each open tab shows a note as soon as it is committed, and its
 * number of words as soon as a job has counted them. The session that wrote a note can remove it. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

#include <vestry/data/sqlite.h>

/* Creates the tables, or upgrades those of any earlier version. */
static const char schema[] = "CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT NOT NULL,"
                             "  owner BLOB NOT NULL DEFAULT x'', words INTEGER NOT NULL DEFAULT 0);";

/* The form of the page. Its rules hold in the browser and in the handler. */
typedef struct note {
  char text[VESTRY_TEXT_BYTES(200)];
} note;
static const vestry_input inputs[] = {VESTRY_INPUT(note, text, .label = "Note", .min = 1, .max = 200)};
static const vestry_application_form form = {.action = "/note", .inputs = inputs, .inputs_count = 1, .button = "Add"};

/* ---- the page ---------------------------------------------------------------------------------------------------- */

/* A row of the list, read by the names of its columns. */
typedef struct shown {
  int id, words;
  const char *text;
  bool is_mine;
} shown;
static const vestry_sql_shape shown_shape = VESTRY_ROW(shown, VESTRY_COLUMN(shown, id), VESTRY_COLUMN(shown, words),
                                                       VESTRY_COLUMN(shown, text), VESTRY_COLUMN(shown, is_mine));

static vestry_err add_note(void *row, void *html) {
  const shown *note = row;
  vestry_html_add(html, "<li dir=\"auto\">%s <small>%d words</small>", note->text, note->words);
  if (note->is_mine) vestry_html_add(html, " <button data-press=\"/note/%d/remove\">Remove</button>", note->id);
  return vestry_html_add(html, "</li>");
}

/* The action of all buttons with data-press. */
static const vestry_backend_action_options removal = {.csrf = true, .once = true};

/* GET /: renders the document, and renders it again for each change. */
static vestry_err notes(vestry_render *render, vestry_html *html, void *ctx) {
  vestry_application *app = ctx;
  const vestry_value me = vestry_value_bytes(render->request->scope.data, render->request->scope.len);
  const vestry_application_document document = {.title = "APPNAME", .presses = &removal};
  vestry_err error = vestry_application_document_begin(app, render, html, &document);
  if (error) return error;
  vestry_html_add(html, "<h1>APPNAME</h1>");
  error = vestry_application_form_add(app, render, html, &form, NULL);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<ul>");
  shown note;
  error = vestry_sql_read_rows(app->pool,
                               "SELECT id, words, text, owner = $1 AS is_mine FROM note ORDER BY id DESC LIMIT 100",
                               VESTRY_LIST(me), VESTRY_EACH_ROW(&shown_shape, &note, add_note, html));
  if (error) return error;
  vestry_html_add(html, "</ul>");
  vestry_render_end(render, html);
  return vestry_application_document_end(html);
}

/* ---- its actions ------------------------------------------------------------------------------------------------- */

typedef struct draft {
  vestry_application *app;
  const vestry_request *req;
  note note;
} draft;

/* The note and its job are committed together, or neither. */
static vestry_err insert(vestry_sql_transaction *transaction, void *ctx) {
  const draft *of = ctx;
  int64_t id = 0;
  const vestry_value me = vestry_value_bytes(of->req->scope.data, of->req->scope.len);
  vestry_err error = vestry_sql_run(transaction, "INSERT INTO note(text, owner) VALUES($1, $2) RETURNING id",
                                    VESTRY_LIST((const char *)of->note.text, me), vestry_sql_row_integer, &id);
  const vestry_job_order count = {.kind = "count", .payload = {&id, sizeof id}};
  return error ? error : vestry_jobs_enqueue(of->app->jobs, transaction, &count, NULL);
}

/* POST /note: a rejected text stays in the form, with the reason. */
static vestry_err add(const vestry_request *req, vestry_reply *reply, void *app) {
  draft of = {.app = app, .req = req};
  vestry_err error = vestry_application_form_read(app, req, reply, &form, &of.note);
  if (!error) error = vestry_sql_act(of.app->pool, VESTRY_SQL_WRITE, insert, &of);
  return vestry_application_form_end(app, req, reply, &form, error, "/");
}

/* POST /note/{id}/remove: of this session only. */
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
  if (!error) error = vestry_application_form_route(app, &form, add, app);
  if (!error) error = vestry_route(app->instance, "POST", "/note/{id}/remove", take_away, app);
  if (!error) error = vestry_jobs_on(app->jobs, "count", count_words, app);
  if (!error) *ret_app = app;
  if (error) vestry_application_destroy(app);
  return error;
}
