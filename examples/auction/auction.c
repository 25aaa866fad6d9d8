/* SPDX-License-Identifier: MIT */
#include "auction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "auction.db" /* where --db names no other; the pictures are in FILE.pictures */

static void create(struct app *app) {
  const char *file = app->program.is->database ? app->program.is->database : FILE_NAME;
  program_create(&app->program, app->program.application);
  const vestry_application *parts = app->program.app;
  app->db = parts->pool, app->pages = parts->pages, app->jobs = parts->jobs, app->forms = parts->forms;
  snprintf(app->pictures, sizeof app->pictures, "%s.pictures", file);
  (void)mkdir(app->pictures, 0700); /* vestry_upload_folder_open reports errors */
}

/* End a lot. The job runs in one process at a time; a repetition has no further effect. */
static vestry_err end_lot(vestry_job *job, void *ctx) {
  return vestry_sql_run_alone(((struct app *)ctx)->db, "UPDATE lot SET is_over = 1 WHERE id = ?",
                              VESTRY_LIST((int64_t)atoll(job->payload.data)), NULL, NULL);
}

/* Enqueue jobs for the initial lots of the database, which have none yet. */
static vestry_err begin_jobs(struct app *app) {
  vestry_sql_transaction *transaction;
  vestry_err err = vestry_jobs_on(app->jobs, "end", end_lot, app);
  if (!err) err = vestry_sql_begin(app->db, VESTRY_SQL_WRITE, &transaction);
  if (err) return err;
  for (int64_t lot = 1, ends_ms; lot <= FIRST_LOTS && !err; lot++) {
    err = vestry_sql_run(transaction, "SELECT ends_ms FROM lot WHERE id = ?", VESTRY_LIST(lot), vestry_sql_row_integer,
                         &ends_ms);
    if (!err) err = actions_end_later(app, transaction, lot, ends_ms);
  }
  return vestry_sql_end(transaction, err);
}

static vestry_err begin(struct app *app) {
  static const char *const fields[] = {"title", "about", "price", "minutes"};
  vestry *v = app->program.v;
  const vestry_page_options lots = {.render = page_lots, .allow = page_may_see, .layout = "auction", .app = app};
  const vestry_rate_options rate = {.count = 5, .burst_count = 20, .by = VESTRY_RATE_SCOPE};
  vestry_err err = vestry_page_create(app->pages, &lots, &app->lots);
  if (!err) err = begin_jobs(app);
  if (!err) err = vestry_forms_add(app->forms, "lot", fields, sizeof fields / sizeof *fields);
  if (!err) err = vestry_upload_folder_open(v, &(vestry_upload_folder_options){.path = app->pictures}, &app->folder);
  if (!err) err = vestry_files_create(&(vestry_files_options){.folder = app->pictures}, &app->files);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  return err ? err : actions_mount(app);
}

/* Destroy all objects that use the application. */
static void end(struct app *app) {
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  vestry_uploads_destroy(app->uploads);
  vestry_upload_folder_close(app->folder);
  vestry_files_destroy(app->files);
  vestry_rate_destroy(app->rate);
}

int main(int argc, char **argv) {
  static struct app app;
  const vestry_sqlite_pool_options file = {
      .path = FILE_NAME, .schema = (const char *)schema_sql, .schema_version = 1, .setup = "PRAGMA synchronous = FULL"};
  const vestry_application_options application = {.without = VESTRY_WITHOUT_CSRF,
                                                  .database = &vestry_sqlite_application,
                                                  .database_options = &(vestry_sqlite_database){.pool = &file},
                                                  .forms = &(vestry_forms_options){0},
                                                  .jobs = &(vestry_jobs_options){0}};
  app.program = (struct program){.application = &application, .style = auction_css, .style_len = auction_css_len};
  program_read(&app.program, argc, argv, "auction", "Lots with pictures, and bids on them");
  create(&app);
  vestry_err err = begin(&app);
  if (err == VESTRY_BUSY)
    fprintf(stderr, "auction: another program already serves %s; use another file: --db FILE\n",
            app.program.is->database ? app.program.is->database : FILE_NAME);
  if (!err) program_wait(&app.program);
  end(&app);
  int status = program_finish(&app.program);
  return err ? 1 : status;
}
