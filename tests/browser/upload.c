/* SPDX-License-Identifier: MIT */
/* A server for upload.test.js: a page with two forms that send files, which it counts and discards.
 *   GET /        the page
 *   GET /thanks  the target of the second form
 *   GET /kept    a line for each file that was stored, and for each that was dropped
 *   POST /out    uploads are redirected to GET /login, or to the address ?to=, from now on; POST /in: no more
 * With UPLOAD_FOLDER a third form, whose files go to that folder, and are resumable. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/upload.h"
#include "vestry/app/upload_view.h"

enum { KEPT_BYTES = 8192, NAME_BYTES = 256, FILE_BYTES = 64 << 20 };

struct app {
  struct program program;
  vestry_uploads *photos, *notes, *videos;
  vestry_upload_folder *folder; /* NULL: UPLOAD_FOLDER is not set */
  pthread_mutex_t lock;
  char kept[KEPT_BYTES]; /* guarded by lock, like the next */
  char out[NAME_BYTES];  /* target of the redirect; "": none */
};

struct coming {
  struct app *app;
  unsigned long long bytes;
  char name[NAME_BYTES];
};

static void note(struct app *app, const char *what, const char *name, unsigned long long bytes) {
  pthread_mutex_lock(&app->lock);
  size_t len = strlen(app->kept);
  snprintf(app->kept + len, sizeof app->kept - len, "%s %s %llu\n", what, name, bytes);
  pthread_mutex_unlock(&app->lock);
}

static vestry_err begin(void *ctx, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                        void **ret_file) {
  struct coming *coming = calloc(1, sizeof *coming);
  if (!coming) return VESTRY_NO_MEMORY;
  coming->app = ctx;
  snprintf(coming->name, sizeof coming->name, "%s", file->name);
  *ret_file = coming;
  return VESTRY_OK;
}

static vestry_err take(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len) {
  ((struct coming *)file)->bytes += len;
  return VESTRY_OK;
}

static vestry_err keep(void *file, const vestry_request *req, vestry_reply *reply) {
  struct coming *coming = file;
  note(coming->app, "kept", coming->name, coming->bytes);
  free(coming);
  return VESTRY_OK;
}

static void drop(void *file, vestry_err why) {
  struct coming *coming = file;
  note(coming->app, "dropped", coming->name, 0);
  free(coming);
}

static vestry_err photos_done(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *title = vestry_request_value(req, VESTRY_IN_FORM, "title");
  note(ctx, "title", title ? title : "", 0);
  return vestry_reply_redirect(reply, 303, "/");
}

static vestry_err notes_done(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_redirect(reply, 303, "/thanks");
}

static void add_form(vestry_html *html, const char *name, const vestry_upload_view_options *view) {
  vestry_html_add(html, "<form id=\"%s\" method=\"post\" action=\"/%s\" enctype=\"multipart/form-data\">", name, name);
  vestry_html_add(html, "<input name=\"title\" aria-label=\"Title\"><input type=\"hidden\" name=\"elements\">"
                        "<input type=\"hidden\" name=\"reset\"><input type=\"file\" name=\"file\" multiple>"
                        "<button class=\"send\">Send</button>");
  vestry_html_upload(html, view);
  vestry_html_add(html, "</form>");
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_html html;
  program_page_begin(&app->program, reply, &html, "Uploads");
  add_form(&html, "photos", &(vestry_upload_view_options){.signal = "_photos"});
  add_form(&html, "notes", NULL);
  if (app->folder) add_form(&html, "videos", &(vestry_upload_view_options){.signal = "_videos", .resumes = true});
  return program_page_end(reply, &html);
}

static vestry_err thanks(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  return program_page(&app->program, reply, "Thanks", "<p>Thanks</p>");
}

static vestry_err kept(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  vestry_err err = vestry_reply_body(reply, "text/plain", app->kept, strlen(app->kept));
  pthread_mutex_unlock(&app->lock);
  return err;
}

static vestry_err for_users(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char out[NAME_BYTES];
  pthread_mutex_lock(&app->lock);
  memcpy(out, app->out, sizeof out);
  pthread_mutex_unlock(&app->lock);
  if (!*out) return VESTRY_OK;
  vestry_err err = vestry_reply_redirect(reply, 303, out);
  return err ? err : VESTRY_FAILED;
}

static vestry_err set_out(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *to = vestry_request_value(req, VESTRY_IN_QUERY, "to");
  pthread_mutex_lock(&app->lock);
  snprintf(app->out, sizeof app->out, "%s", strcmp(req->path, "/in") == 0 ? "" : to ? to : "/login");
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  return program_page(&app->program, reply, "Log in", "<p>Log in</p>");
}

static bool open_folder(struct app *app) {
  const char *path = getenv("UPLOAD_FOLDER");
  const vestry_upload_folder_options folder = {.path = path};
  if (!path) return true;
  if (vestry_upload_folder_open(app->program.v, &folder, &app->folder)) return false;
  const vestry_uploads_options options = {
      .pattern = "/videos", .folder = app->folder, .max_file_bytes = FILE_BYTES, .types = "image/*"};
  return !vestry_uploads_create(app->program.v, &options, &app->videos);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  static const vestry_upload_writer writer = {.begin = begin, .write = take, .end = keep, .abort = drop};
  vestry_uploads_options options = {.writer = &writer,
                                    .app = &app,
                                    .max_file_bytes = FILE_BYTES,
                                    .max_files_count = 4,
                                    .types = "image/*, text/plain",
                                    .pattern = "/photos",
                                    .done = photos_done};
  program_start(&app.program, argc, argv, "test_browser_upload", "Uploads", &(vestry_options){0});
  vestry *v = app.program.v;
  if (vestry_uploads_create(v, &options, &app.photos)) return 1;
  options.pattern = "/notes";
  options.done = notes_done;
  if (vestry_uploads_create(v, &options, &app.notes)) return 1;
  if (!open_folder(&app)) return 1;
  vestry_route(v, "GET", "/", page, &app);
  vestry_route(v, "GET", "/thanks", thanks, &app);
  vestry_route(v, "GET", "/kept", kept, &app);
  vestry_route(v, "GET", "/login", login, &app);
  vestry_route(v, "POST", "/out", set_out, &app);
  vestry_route(v, "POST", "/in", set_out, &app);
  vestry_guard(v, "/photos", for_users, &app);
  vestry_guard(v, "/videos", for_users, &app);
  program_wait(&app.program);
  vestry_uploads_destroy(app.photos);
  vestry_uploads_destroy(app.notes);
  vestry_uploads_destroy(app.videos);
  vestry_upload_folder_close(app.folder);
  return program_finish(&app.program);
}
