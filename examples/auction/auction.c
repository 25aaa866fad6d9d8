/* SPDX-License-Identifier: MIT */
#include "auction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "auction.db" /* where --db names no other; the pictures are in FILE.pictures */

/* Enqueue jobs for the initial lots of the database, which have none yet. */
static vestry_err enqueue_first(vestry_sql_transaction *transaction, void *ctx) {
  const vestry_application *parts = ctx;
  vestry_err err = VESTRY_OK;
  for (int64_t lot = 1, ends_ms; lot <= FIRST_LOTS && !err; lot++) {
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)lot);
    err = vestry_sql_run(transaction, "SELECT ends_ms FROM lot WHERE id = ?", VESTRY_LIST(lot), vestry_sql_row_integer,
                         &ends_ms);
    const vestry_job_order end = {.kind = "end", .key = key, .payload = {key, strlen(key)}, .not_before_ms = ends_ms};
    if (!err) err = vestry_jobs_enqueue(parts->jobs, transaction, &end, NULL);
    if (err == VESTRY_EXISTS) err = VESTRY_OK;
  }
  return err;
}

static vestry_err begin(vestry_application *parts, void *own) {
  struct app *app = own;
  vestry *v = parts->instance;
  static const vestry_input fields[] = {{.name = "title"}, {.name = "about"}, {.name = "price"}, {.name = "minutes"}};
  const vestry_rate_options rate = {.count = 5, .burst_count = 20, .by = VESTRY_RATE_SCOPE};
  vestry_err err = vestry_forms_add(parts->forms, "lot", fields, sizeof fields / sizeof *fields);
  if (!err) err = vestry_upload_folder_open(v, &(vestry_upload_folder_options){.path = app->pictures}, &app->folder);
  if (!err) err = vestry_files_create(&(vestry_files_options){.folder = app->pictures}, &app->files);
  const vestry_uploads_options pictures = {.pattern = "/lots",
                                           .folder = app->folder,
                                           .types = "image/png, image/jpeg, image/webp, image/gif",
                                           .max_file_bytes = 10 << 20,
                                           .done = action_offer,
                                           .app = app};
  if (!err) err = vestry_uploads_create(v, &pictures, &app->uploads);
  if (!err) err = vestry_rate_create(v, &rate, &app->rate);
  if (!err) err = vestry_guard(v, "/bid", vestry_rate_guard, app->rate);
  return err ? err : vestry_application_act(parts, enqueue_first, parts);
}

/* Destroy all objects that use the application. */
static void end(vestry_application *parts, void *own) {
  struct app *app = own;
  (void)parts;
  vestry_uploads_destroy(app->uploads);
  vestry_upload_folder_close(app->folder);
  vestry_files_destroy(app->files);
  vestry_rate_destroy(app->rate);
}

static const vestry_page_options page = {.allow = page_may_see, .layout = "auction"};
static const vestry_entry entries[] = {VESTRY_PAGE("/lot/{lot}", page_lot, .page = &page),
                                       VESTRY_PAGE("/offer", page_offer, .page = &page),
                                       VESTRY_PAGE("/", page_lots, .page = &page),
                                       VESTRY_DOCUMENT("/enter", page_login),
                                       VESTRY_FORM(&login_form, action_log_in, .has_reply = true),
                                       VESTRY_HANDLER("POST", "/logout", action_log_out),
                                       VESTRY_ACT("/bid/{lot}", action_bid),
                                       VESTRY_HANDLER("GET", "/lot/{lot}/bids.csv", action_report),
                                       VESTRY_HANDLER("GET", "/picture/{name}", action_picture),
                                       VESTRY_JOB("end", action_end_lot),
                                       VESTRY_GUARD("/{$}", action_admit_members),
                                       VESTRY_GUARD("/lot", action_admit_members),
                                       VESTRY_GUARD("/lots", action_admit_members),
                                       VESTRY_GUARD("/offer", action_admit_members),
                                       VESTRY_GUARD("/bid", action_admit_members),
                                       VESTRY_GUARD("/picture", action_admit_members),
                                       VESTRY_GUARD("/kept", action_admit_members),
                                       {0}};

int main(int argc, char **argv) {
  static struct app app;
  const vestry_application_options application = {.without = VESTRY_WITHOUT_CSRF,
                                                  VESTRY_SQLITE(.path = FILE_NAME, .schema = (const char *)schema_sql,
                                                                .schema_version = 1,
                                                                .setup = "PRAGMA synchronous = FULL"),
                                                  .forms = &(vestry_forms_options){0},
                                                  .jobs = &(vestry_jobs_options){0},
                                                  .entries = entries,
                                                  .own = &app,
                                                  .begin = begin,
                                                  .end = end};
  app.program = (struct program){.application = &application, .style = auction_css, .style_len = auction_css_len};
  program_read(&app.program, argc, argv, "auction", "Lots with pictures, and bids on them");
  const char *name = app.program.is->database ? app.program.is->database : FILE_NAME;
  snprintf(app.pictures, sizeof app.pictures, "%s.pictures", name);
  (void)mkdir(app.pictures, 0700); /* vestry_upload_folder_open reports errors */
  program_create(&app.program, &application);
  program_wait(&app.program);
  return program_finish(&app.program);
}
