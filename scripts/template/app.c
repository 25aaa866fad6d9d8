/* A page with all notes, and a form for a new one. Each open tab shows a note as soon as it is committed, and its
 * number of words as soon as a job has counted them. The session that wrote a note can remove it. */
#include "app.h"

#include <vestry/data/sqlite.h>

/* Creates the tables, or upgrades those of any earlier version. */
static const char schema[] = "CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT NOT NULL,"
                             "  owner BLOB NOT NULL DEFAULT x'', words INTEGER NOT NULL DEFAULT 0);";

/* The form of the page. Its rules hold in the browser and in the handler. */
VESTRY_STRUCT(note, (const char *, text));
static const vestry_application_form form = {
    .action = "/note", .button = "Add", VESTRY_INPUTS(VESTRY_INPUT(note, text, .label = "Note", .min = 1, .max = 200))};

/* A row of the list, read by the names of its columns. */
VESTRY_STRUCT(shown, (int, id), (int, words), (const char *, text), (bool, is_mine));

/* GET /: renders the document, and renders its content again for each change. */
static void home(vestry_call *call) {
  vestry_call_document(call, "APPNAME");
  vestry_html_add(call->html, "<h1>APPNAME</h1>");
  vestry_call_form(call, &form, NULL);
  vestry_call_content(call);
  vestry_rows notes = vestry_call_rows(
      call, &shown_shape, "SELECT id, words, text, owner = $1 AS is_mine FROM note ORDER BY id DESC LIMIT 100",
      VESTRY_LIST(call->me));
  vestry_html_add(call->html, "<ul>");
  for (const shown *note; (note = vestry_next(&notes));) {
    vestry_html_add(call->html, "<li dir=\"auto\">%s <small>%d words</small>", note->text, note->words);
    if (note->is_mine) vestry_html_add(call->html, " <button data-press=\"/note/%d/remove\">Remove</button>", note->id);
    vestry_html_add(call->html, "</li>");
  }
  vestry_html_add(call->html, "</ul>");
}

/* The accepted form. The note and its job are committed together, or neither. */
static void add(vestry_call *call) {
  const note *sent = call->values;
  const int64_t id = vestry_call_integer(call, "INSERT INTO note(text, owner) VALUES($1, $2) RETURNING id",
                                         VESTRY_LIST(sent->text, call->me));
  vestry_call_enqueue(call, "count", id, 0);
}

/* POST /note/{id}/remove: of this session only. */
static void take_away(vestry_call *call) {
  if (!vestry_call_run(call, "DELETE FROM note WHERE id = $1 AND owner = $2 RETURNING id",
                       VESTRY_LIST(vestry_call_path(call, "id"), call->me)))
    vestry_call_fail(call, VESTRY_NOT_FOUND);
}

/* A job: runs again if it fails or if the process dies, and its effect occurs once. */
static void count_words(vestry_call *call) {
  vestry_call_run(call,
                  "UPDATE note SET words = 1 + length(trim(text)) - length(replace(trim(text), ' ', '')) WHERE id = $1",
                  VESTRY_LIST(call->key));
}

static const vestry_entry entries[] = {VESTRY_PAGE("/", home),
                                       VESTRY_FORM(&form, add),
                                       VESTRY_ACT("/note/{id}/remove", take_away),
                                       VESTRY_JOB("count", count_words),
                                       {0}};

const vestry_application_options app_options = {
    .name = "APPNAME",
    VESTRY_SQLITE(.path = "APPNAME.db", .schema = schema, .schema_version = 1),
    .jobs = &(const vestry_jobs_options){0},
    .entries = entries,
};
