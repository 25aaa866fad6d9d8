/* SPDX-License-Identifier: MIT */
#include "auction.h"
#include "vestry/app/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPTION_DB = OPTION_OWN };

static int read_option(int option, const char *value, void *ctx) {
  if (option == OPTION_DB) ((struct app *)ctx)->file = value;
  return 0;
}

/* Open the database before the instance is created, because it stores the instance's secret. */
static bool prepare(void *ctx) {
  struct app *app = ctx;
  const vestry_sqlite_pool_options file = {
      .path = app->file, .schema = (const char *)schema_sql, .schema_version = 1, .setup = "PRAGMA synchronous = FULL"};
  if (vestry_sqlite_pool_create(&file, &app->db)) return false;
  if (vestry_sql_sessions_create(app->db, NULL, &app->stored) || secret_read(app->db, app->secret)) {
    vestry_sql_sessions_destroy(app->stored);
    vestry_sql_pool_destroy(app->db);
    return false;
  }
  /* it fits, because SQLite could open the file */
  snprintf(app->pictures, sizeof app->pictures, "%s.pictures", app->file);
  (void)mkdir(app->pictures, 0700); /* vestry_upload_folder_open reports errors */
  app->sessions =
      (vestry_session_options){.insecure = true, .storage = &vestry_sql_sessions_ops, .storage_ctx = app->stored};
  return true;
}

/* End a lot. The job runs in one process at a time; a repetition has no further effect. */
static vestry_err end_lot(vestry_job *job, void *ctx) {
  return vestry_sql_run_alone(((struct app *)ctx)->db, "UPDATE lot SET is_over = 1 WHERE id = ?",
                              VESTRY_LIST((int64_t)atoll(job->payload.data)), NULL, NULL);
}

/* Enqueue jobs for the initial lots of the database, which have none yet. */
static vestry_err begin_jobs(struct app *app) {
  vestry_sql_transaction *transaction;
  vestry_err err = vestry_jobs_create(app->db, NULL, &app->jobs);
  if (!err) err = vestry_jobs_on(app->jobs, "end", end_lot, app);
  if (!err) err = vestry_sql_begin(app->db, VESTRY_SQL_WRITE, &transaction);
  if (err) return err;
  for (int64_t lot = 1, ends_ms; lot <= FIRST_LOTS && !err; lot++) {
    err = vestry_sql_run(transaction, "SELECT ends_ms FROM lot WHERE id = ?", VESTRY_LIST(lot), vestry_sql_row_integer,
                         &ends_ms);
    if (!err) err = actions_end_later(app, transaction, lot, ends_ms);
  }
  err = vestry_sql_end(transaction, err);
  return err ? err : vestry_jobs_start(app->jobs);
}

static vestry_err begin(struct app *app) {
  static const char *const fields[] = {"title", "about", "price", "minutes"};
  vestry *v = app->program.v;
  const vestry_pages_options pages = {.secret = app->secret, .secret_len = sizeof app->secret};
  const vestry_page_options lots = {.render = page_lots, .allow = page_may_see, .layout = "auction", .app = app};
  const vestry_rate_options rate = {.count = 5, .burst_count = 20, .by = VESTRY_RATE_SCOPE};
  const vestry_secret secret = {.secret = app->secret, .secret_len = sizeof app->secret};
  vestry_err err = vestry_secret_set(v, &secret);
  if (!err) err = vestry_sessions_create(v, &app->sessions);
  if (!err) err = vestry_pages_create(v, &pages, &app->pages);
  if (!err) err = vestry_page_create(app->pages, &lots, &app->lots);
  if (!err) err = vestry_sqlite_create(app->pages, &(vestry_sqlite_options){.path = app->file}, &app->followed);
  if (!err) err = vestry_sqlite_pool_follow(app->db, app->followed);
  if (!err) err = begin_jobs(app);
  if (!err) err = vestry_sql_forms_create(app->db, NULL, &app->typed);
  if (!err)
    err = vestry_forms_create(v, &(vestry_forms_options){.pages = app->pages, .storage = app->typed}, &app->forms);
  if (!err) err = vestry_forms_add(app->forms, "lot", fields, sizeof fields / sizeof *fields);
  if (!err) err = vestry_upload_folder_open(v, &(vestry_upload_folder_options){.path = app->pictures}, &app->folder);
  if (!err) err = vestry_files_create(&(vestry_files_options){.folder = app->pictures}, &app->files);
  if (!err) err = vestry_once_create(v, NULL, &app->once);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  return err ? err : actions_mount(app);
}

/* Destroy all objects, each before the objects that it depends on. */
static void end(struct app *app) {
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  vestry_jobs_destroy(app->jobs);
  vestry_uploads_destroy(app->uploads);
  vestry_upload_folder_close(app->folder);
  vestry_rate_destroy(app->rate);
  vestry_once_destroy(app->once);
  vestry_forms_destroy(app->forms);
  vestry_sql_forms_destroy(app->typed);
  (void)vestry_sqlite_pool_follow(app->db, NULL);
  vestry_sqlite_destroy(app->followed);
  vestry_pages_destroy(app->pages);
}

int main(int argc, char **argv) {
  static const struct option names[] = {OPTIONS_OF_ALL, {"db", required_argument, NULL, OPTION_DB}, {0}};
  static struct app app = {.file = "auction.db"};
  app.program = (struct program){
      .names = names,
      .read_own = read_option,
      .own = &app,
      .prepare = prepare,
      .style = auction_css,
      .style_len = auction_css_len,
      .own_help = "  --db FILE             database file; pictures are stored in FILE.pictures [auction.db]\n"};
  vestry_sqlite_record_pages();
  program_start(&app.program, argc, argv, "auction", "Lots with pictures, and bids on them", &(vestry_options){0});
  vestry_err err = begin(&app);
  if (err == VESTRY_BUSY)
    fprintf(stderr, "auction: another program already serves %s; use another file: --db FILE\n", app.file);
  app.program.options.shown.pages = app.pages;
  console_metrics_of(&app.program.options.metrics, vestry_sqlite_metrics, app.followed);
  console_metrics_of(&app.program.options.metrics, vestry_sqlite_pool_metrics, app.db);
  if (!err) program_wait(&app.program);
  end(&app);
  int status = program_finish(&app.program);
  vestry_files_destroy(app.files);
  vestry_sql_sessions_destroy(app.stored);
  vestry_sql_pool_destroy(app.db);
  return err ? 1 : status;
}
