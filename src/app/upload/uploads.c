/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/guard/proof.h"
#include "app/upload/receive.h"
#include "app/upload/resume.h"
#include "app/upload/tus.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "vestry/app/upload.h"
#include "vestry/request.h"

/* Requests about uploads that contain no bytes of a file: HEAD returns the offset, DELETE drops the upload, and OPTIONS
 * returns the features of the server. */

static vestry_err find(vsi_upload_resume *r, const vestry_request *req, vestry_reply *reply,
                       const vestry_uploads *uploads) {
  vestry_err error = vsi_upload_resume_greet(req, reply);
  return error ? error : vsi_upload_resume_find(r, uploads->options.folder, req, reply);
}

/* Answer HEAD. app: a vestry_uploads with a folder. */
static vestry_err answer_head(const vestry_request *req, vestry_reply *reply, void *app) {
  vsi_upload_resume r = {0};
  int64_t expires_s;
  vestry_err error = find(&r, req, reply, app);
  if (error) return error;
  error = vsi_upload_resume_add_number(reply, "Upload-Offset", vsi_unfinished_offset(r.of, &expires_s));
  if (!error) error = vsi_upload_resume_add_number(reply, "Upload-Length", r.of->record.length);
  if (!error && *r.of->metadata) error = vestry_reply_header(reply, "Upload-Metadata", r.of->metadata);
  if (!error) error = vsi_upload_resume_add_expiry(reply, expires_s);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  vsi_unfinished_unref(r.of);
  return error ? error : vestry_reply_status(reply, 200);
}

static vestry_err answer_delete(const vestry_request *req, vestry_reply *reply, void *app) {
  vsi_upload_resume r = {0};
  vestry_err error = find(&r, req, reply, app);
  if (error) return error;
  const bool is_dropped = vsi_unfinished_remove(r.of, VESTRY_CLOSED);
  vsi_unfinished_unref(r.of);
  return is_dropped ? vestry_reply_status(reply, 204)
                    : vsi_refuse_request(req, reply, 423, "A request continues this upload.");
}

static vestry_err answer_options(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_uploads *uploads = app;
  (void)req;
  vestry_err error = vestry_reply_header(reply, "Tus-Resumable", VSI_TUS_VERSION);
  if (!error) error = vestry_reply_header(reply, "Tus-Version", VSI_TUS_VERSION);
  if (!error) error = vestry_reply_header(reply, "Tus-Extension", VSI_TUS_EXTENSIONS);
  if (!error) error = vsi_upload_resume_add_number(reply, "Tus-Max-Size", uploads->options.max_file_bytes);
  return error ? error : vestry_reply_status(reply, 204);
}

enum { DEFAULT_FILE_BYTES = 64 << 20, DEFAULT_COUNT = 1000, DEFAULT_PERSON_COUNT = 16 };
enum { HEADS_BYTES = 1 << 18, LEAST_FIELDS_BYTES = 1 << 16 }; /* HEADS_BYTES: of the parts of a form */
#define MOST_FIELDS_BYTES (VESTRY_BODY_BYTES_MAX / 4)

/* Return the default for the text fields of a form with files: as much as any other body may have, within bounds. */
static size_t default_fields_bytes(const vestry *v) {
  if (v->max_body_bytes < LEAST_FIELDS_BYTES) return LEAST_FIELDS_BYTES;
  return v->max_body_bytes > MOST_FIELDS_BYTES ? MOST_FIELDS_BYTES : v->max_body_bytes;
}

static const char *mistake_of(const vestry_uploads_options *o) {
  if (!o->pattern) return "options.pattern is missing";
  if (!o->writer == !o->folder) return "exactly one of writer and folder must be set";
  if (o->allow && !o->folder) return "allow needs a folder; a writer checks requests in its begin";
  if (o->writer && (!o->writer->begin || !o->writer->write || !o->writer->end || !o->writer->abort))
    return "the writer lacks a function";
  if (o->max_files_count > VESTRY_UPLOAD_FILES_MAX) return "max_files_count is above VESTRY_UPLOAD_FILES_MAX";
  if (o->max_file_bytes > VESTRY_BODY_BYTES_MAX / VESTRY_UPLOAD_FILES_MAX / 2) return "max_file_bytes is too large";
  if (o->max_fields_bytes > MOST_FIELDS_BYTES) return "max_fields_bytes is too large";
  return NULL;
}

/* Return the path of resumed uploads. NULL: no memory */
static char *resume_pattern(const vestry_uploads *uploads) {
  const char *pattern = uploads->options.pattern;
  const size_t len = strlen(pattern), kept = len && pattern[len - 1] == '/' ? len - 1 : len;
  const size_t room = len + sizeof VSI_RESUME_PATH;
  char *text = vsi_alloc(uploads->v->host, room);
  if (text) snprintf(text, room, "%.*s%s", (int)kept, pattern, VSI_RESUME_PATH);
  return text;
}

static const struct {
  const char *method;
  const vsi_receiver *receiver; /* NULL: `handler` is set */
  vestry_handler_fn handler;
  bool is_of_all; /* the route is at the path of the uploads themselves */
} resume_routes[] = {
    {"POST", &vsi_upload_resume_receiver, NULL, false},
    {"PATCH", &vsi_upload_resume_receiver, NULL, false},
    {"HEAD", NULL, answer_head, false},
    {"DELETE", NULL, answer_delete, false},
    {"OPTIONS", NULL, answer_options, true},
};

static vestry_err mount_resume(vestry_uploads *uploads) {
  vestry_err error = VESTRY_OK;
  uploads->resume_pattern = resume_pattern(uploads);
  if (!uploads->resume_pattern) return VESTRY_NO_MEMORY;
  for (size_t i = 0; !error && i < sizeof resume_routes / sizeof *resume_routes; i++) {
    const char *path = resume_routes[i].is_of_all ? uploads->options.pattern : uploads->resume_pattern;
    error = resume_routes[i].receiver
                ? vsi_route_receiver(uploads->v, resume_routes[i].method, path, resume_routes[i].receiver, uploads)
                : vestry_route(uploads->v, resume_routes[i].method, path, resume_routes[i].handler, uploads);
  }
  return error;
}

static void unmount(vestry_uploads *uploads) {
  vsi_routes_end(uploads->v, uploads);
  vsi_free(uploads->v->host, uploads->resume_pattern);
  (void)vsi_body_limit(uploads->v, uploads->options.pattern, 0);
}

static vestry_err mount(vestry_uploads *uploads) {
  const vestry_uploads_options *o = &uploads->options;
  vestry_err error = vsi_route_receiver(uploads->v, "POST", o->pattern, &vsi_upload_receiver, uploads);
  if (error) return error;
  const size_t form_bytes = o->max_fields_bytes + HEADS_BYTES;
  error = vsi_body_limit(uploads->v, o->pattern, (size_t)(o->max_file_bytes * o->max_files_count) + form_bytes);
  if (!error && o->folder) error = mount_resume(uploads);
  if (error) unmount(uploads);
  return error;
}

vestry_err vestry_uploads_create(vestry *v, const vestry_uploads_options *given, vestry_uploads **ret_uploads) {
  if (!v) return VESTRY_INVALID;
  if (!ret_uploads) return vsi_mistake(v->host, "vestry_uploads_create", "ret_uploads is NULL");
  vestry_uploads_options o = given ? *given : (vestry_uploads_options){0};
  const char *mistake = mistake_of(&o);
  if (mistake) return vsi_mistake(v->host, "vestry_uploads_create", mistake);
  if (!o.max_file_bytes) o.max_file_bytes = DEFAULT_FILE_BYTES;
  if (!o.max_files_count) o.max_files_count = 1;
  if (!o.max_count) o.max_count = DEFAULT_COUNT;
  if (!o.max_per_person_count) o.max_per_person_count = DEFAULT_PERSON_COUNT;
  if (!o.max_fields_bytes) o.max_fields_bytes = default_fields_bytes(v);
  size_t pattern_len = strlen(o.pattern) + 1, types_len = o.types ? strlen(o.types) + 1 : 0;
  vestry_uploads *uploads = vsi_calloc(v->host, 1, sizeof *uploads + pattern_len + types_len);
  if (!uploads) return VESTRY_NO_MEMORY;
  o.pattern = memcpy(uploads->text, o.pattern, pattern_len);
  if (o.types) o.types = memcpy(uploads->text + pattern_len, o.types, types_len);
  uploads->v = v;
  uploads->options = o;
  uploads->places.max_count = o.max_count;
  uploads->places.max_per_person_count = o.max_per_person_count;
  vestry_err error = vsi_upload_places_init(&uploads->places, v->host);
  if (!error && (error = mount(uploads))) vsi_mutex_finish(&uploads->places.lock);
  if (error) {
    vsi_free(v->host, uploads);
    return error;
  }
  *ret_uploads = uploads;
  return VESTRY_OK;
}

void vestry_uploads_destroy(vestry_uploads *uploads) {
  if (!uploads) return;
  unmount(uploads);
  vsi_mutex_finish(&uploads->places.lock);
  vsi_free(uploads->v->host, uploads);
}

void vestry_uploads_stats_get(vestry_uploads *uploads, vestry_uploads_stats *ret_stats) {
  vsi_mutex_lock(&uploads->places.lock);
  const vestry_uploads_stats stats = uploads->places.stats;
  vsi_mutex_unlock(&uploads->places.lock);
  if (ret_stats) *ret_stats = stats;
}
