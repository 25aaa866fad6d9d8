/* SPDX-License-Identifier: MIT */
#include "app/upload/receive.h"

#include <stdio.h>
#include <string.h>

#include "app/guard/person.h"
#include "app/guard/proof.h"
#include "app/upload/form.h"
#include "app/upload/resume.h"
#include "app/upload/tus.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "http/body.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "instance/instance.h"

/* A request. Its files go to the application's writer or to a folder. */
typedef struct vsi_upload {
  vestry_uploads *of;
  vsi_upload_place place;
  const vestry_request *req; /* during a call of the receiver, as is the next */
  vestry_reply *reply;
  bool is_form, is_guarded;             /* is_guarded: the guards have run */
  bool in_file;                         /* the next bytes belong to the last file */
  bool is_empty_file;                   /* the next bytes belong to a file field without a selected file */
  void *files[VESTRY_UPLOAD_FILES_MAX]; /* the writer's files; with a folder: vsi_stored */
  size_t files_count;                   /* files that have begun */
  size_t ended_count;                   /* how many of them have ended; these are the first, and are not aborted */
  uint64_t file_bytes, max_bytes;       /* of the last file: its bytes so far; its maximum */
  uint64_t written_bytes;               /* of all files */
  vsi_buffer fields;                    /* for each field: name, NUL, value, NUL */
  size_t counted_bytes;                 /* its capacity, as counted in the bytes of all requests */
  size_t fields_count, value_at;        /* number of complete fields; where the last value begins */
  vsi_upload_resume resume;             /* member `of` NULL: this upload cannot be resumed */
  vsi_form form;
} upload;

/* ------------------------------------------------------------------------------------------------- refusals ------- */

static vestry_err refuse_size(upload *u) {
  char sentence[128];
  snprintf(sentence, sizeof sentence, "This file is too large: at most %llu bytes are allowed. It was not stored.",
           (unsigned long long)u->of->options.max_file_bytes);
  return vsi_refuse_request(u->req, u->reply, 413, sentence);
}

static vestry_err refuse_type(upload *u) {
  return vsi_refuse_request(u->req, u->reply, 415,
                            "Files of this type are not accepted here. The file was not stored.");
}

static vestry_err refuse_text(upload *u) {
  char sentence[128];
  snprintf(sentence, sizeof sentence,
           "The text in this form is too long: at most %zu bytes are allowed. Nothing was stored.",
           u->of->options.max_fields_bytes);
  vestry_err error = vsi_refuse_request(u->req, u->reply, 413, sentence);
  return error == VESTRY_FAILED ? VESTRY_TOO_LARGE : error;
}

/* ---------------------------------------------------------------------------------------------------- files ------- */

static vestry_err guard(upload *u) {
  if (u->is_guarded) return VESTRY_OK;
  u->is_guarded = true;
  vestry_err error =
      vsi_request_set_values(u->req, VESTRY_IN_FORM, (vestry_slice){u->fields.data, u->fields.len}, u->fields_count);
  return error ? error : vsi_routes_guard(u->req->v->routes, u->req, u->reply);
}

static vestry_err open_file(upload *u, const vestry_incoming *file) {
  const vestry_uploads_options *o = &u->of->options;
  void **place = &u->files[u->files_count];
  if (!o->folder) return o->writer->begin(o->app, u->req, u->reply, file, place);
  vestry_err error = o->allow ? o->allow(o->app, u->req, u->reply, file) : VESTRY_OK;
  if (error) return error;
  vsi_stored *stored = NULL;
  error = vsi_stored_begin(o->folder, u->req, u->reply, file, !u->is_form && vsi_request_length(u->req) >= 0, &stored);
  *place = stored;
  return error;
}

static vestry_err begin_file(upload *u, const vestry_incoming *file) {
  const vestry_uploads_options *o = &u->of->options;
  vestry_err error = guard(u);
  if (error) return error;
  if (u->files_count == o->max_files_count)
    return vsi_refuse_request(u->req, u->reply, 413, "Too many files at once. None was stored.");
  if (o->types && !vsi_declared_type_is_in(o->types, file->type)) return refuse_type(u);
  error = open_file(u, file);
  if (error) return error;
  u->files_count++;
  u->file_bytes = 0;
  u->max_bytes = file->max_bytes;
  u->in_file = true;
  return VESTRY_OK;
}

static vestry_err write_file(upload *u, const void *bytes, size_t len) {
  const vestry_uploads_options *o = &u->of->options;
  /* A resumed upload that was kept before has no file here, and takes no bytes. */
  if (!u->files_count || len > u->max_bytes - u->file_bytes) return refuse_size(u);
  void *file = u->files[u->files_count - 1];
  u->file_bytes += len;
  u->written_bytes += len;
  if (u->resume.of) return vsi_upload_resume_write(&u->resume, file, u->req, u->reply, bytes, len);
  return o->folder ? vsi_stored_write(file, u->req, u->reply, bytes, len)
                   : o->writer->write(file, u->req, u->reply, bytes, len);
}

static void abort_files(upload *u, vestry_err why) {
  const vestry_uploads_options *o = &u->of->options;
  if (o->folder && !u->resume.of) vsi_stored_end((vsi_stored *const *)u->files, u->files_count, why);
  for (size_t i = u->ended_count; i < u->files_count; i++) {
    if (u->resume.of)
      vsi_upload_resume_pause(&u->resume, u->files[i]);
    else if (!o->folder)
      o->writer->abort(u->files[i], why);
  }
  u->files_count = u->ended_count = 0;
}

static vestry_err end_files(upload *u) {
  const vestry_uploads_options *o = &u->of->options;
  vestry_err error = VESTRY_OK;
  if (o->folder) error = vsi_stored_keep((vsi_stored *const *)u->files, u->files_count, u->req, u->reply);
  while (!o->folder && !error && u->ended_count < u->files_count)
    error = o->writer->end(u->files[u->ended_count++], u->req, u->reply);
  if (error) abort_files(u, error);
  return error;
}

vestry_err vestry_uploads_kept(const vestry_request *req, size_t index, vestry_kept_file *ret_file) {
  if (!req || !req->own) return VESTRY_INVALID;
  if (!ret_file) return vsi_mistake(req->v->host, "vestry_uploads_kept", "ret_file is NULL");
  const upload *u = req->own->lent;
  if (!u || index >= u->files_count) return VESTRY_NOT_FOUND;
  const vestry_kept_file file = vsi_stored_describe(u->files[index]);
  if (ret_file) *ret_file = file;
  return VESTRY_OK;
}

/* Confirm to the script of a page that the files are kept. XMLHttpRequest follows a redirect and reports only the
 * response of its target, so a redirect of `done` would look like the redirect of a guard to the log-in page. Therefore
 * a redirect of `done` becomes a 200 with the same Location, which the script follows. */
static vestry_err confirm(upload *u) {
  const int status = u->reply->status ? u->reply->status : 204;
  if (status >= 400 || !vestry_request_header(u->req, VSI_UPLOAD_HEADER)) return VESTRY_OK;
  vestry_err error = vsi_upload_resume_add_number(u->reply, VSI_KEPT_HEADER, (uint64_t)status);
  if (!error && status >= 300) u->reply->status = 200;
  return error;
}

/* Let the application answer. If `done` fails, the files of a folder are removed. */
static vestry_err answer(upload *u) {
  const vestry_uploads_options *o = &u->of->options;
  if (o->folder) u->req->own->lent = u;
  vestry_err error = o->done ? o->done(u->req, u->reply, o->app) : VESTRY_OK;
  u->req->own->lent = NULL;
  if (!error && !u->resume.of) error = confirm(u);
  if (error && u->reply->status < 400) u->reply->status = 0; /* `done` set it before it failed */
  if (u->resume.of)
    vsi_upload_resume_settle(&u->resume, u->files[0], error);
  else if (o->folder)
    vsi_stored_end((vsi_stored *const *)u->files, u->files_count, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- forms ------- */

/* Reserve room in `fields` for len bytes and the NUL after them. */
static vestry_err make_room(upload *u, size_t len) {
  const size_t most = u->of->options.max_fields_bytes;
  if (u->fields.len >= most || len >= most - u->fields.len) return refuse_text(u);
  if (!vsi_buffer_reserve(&u->fields, len + 1)) return VESTRY_NO_MEMORY;
  const size_t grown = u->fields.capacity - u->counted_bytes;
  if (grown && !vsi_request_bytes_take_within(u->of->v, grown, 2)) {
    vestry_reject(u->of->v, VESTRY_REFUSAL_BUDGET);
    return VESTRY_LIMIT;
  }
  u->counted_bytes += grown;
  return VESTRY_OK;
}

static vestry_err begin_field(upload *u, const vsi_part *part) {
  vestry_err error = make_room(u, part->name.len);
  if (error) return error;
  char *name = u->fields.data + u->fields.len;
  size_t len = vsi_part_decode(part->name, name);
  u->fields.len += len;
  u->fields.data[u->fields.len++] = '\0';
  u->value_at = u->fields.len;
  return vsi_is_utf8(name, len) && !memchr(name, '\0', len) ? VESTRY_OK : VESTRY_MALFORMED;
}

/* Begin a part of a form. A file field without a selected file arrives as a part with an empty file name and no
 * bytes. */
static vestry_err part_begins(void *ctx, const vsi_part *part) {
  upload *u = ctx;
  char field[VSI_DECLARED_NAME_BYTES], name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES],
      decoded[VSI_FORM_HEAD_BYTES];
  u->in_file = false;
  u->is_empty_file = part->filename.data && !part->filename.len && !part->encoded.len;
  if (u->is_empty_file) return VESTRY_OK;
  if (!vsi_part_is_file(part)) return begin_field(u, part);
  if (part->encoded.len) {
    memcpy(decoded, part->encoded.data, part->encoded.len);
    decoded[part->encoded.len] = '\0'; /* there is room, because the head contains more than the name */
    vsi_declared_encoded_name(decoded, name);
  } else {
    vsi_declared_name((vestry_slice){decoded, vsi_part_decode(part->filename, decoded)}, name);
  }
  vsi_declared_name((vestry_slice){decoded, vsi_part_decode(part->name, decoded)}, field);
  vsi_declared_type(part->type, type);
  return begin_file(
      u, &(vestry_incoming){.field = field, .name = name, .type = type, .max_bytes = u->of->options.max_file_bytes});
}

static vestry_err part_goes_on(void *ctx, const char *bytes, size_t len) {
  upload *u = ctx;
  if (u->in_file) return write_file(u, bytes, len);
  if (u->is_empty_file) return VESTRY_MALFORMED;
  vestry_err error = make_room(u, len);
  if (error) return error;
  memcpy(u->fields.data + u->fields.len, bytes, len);
  u->fields.len += len;
  return VESTRY_OK;
}

/* End a part. The value of a field gets its NUL, and must be text. */
static vestry_err part_ends(void *ctx) {
  upload *u = ctx;
  if (u->in_file || u->is_empty_file) return VESTRY_OK;
  vestry_err error = make_room(u, 0);
  if (error) return error;
  const char *value = u->fields.data + u->value_at;
  size_t len = u->fields.len - u->value_at;
  u->fields.data[u->fields.len++] = '\0';
  u->fields_count++;
  return vsi_is_utf8(value, len) && !memchr(value, '\0', len) ? VESTRY_OK : VESTRY_MALFORMED;
}

static const vsi_form_sink sink = {part_begins, part_goes_on, part_ends};

/* ---------------------------------------------------------------------------------------------------- bodies ------ */

static vestry_err begin_body(upload *u, const char *declared_type) {
  char name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES];
  if (u->is_form) {
    vestry_err error = vsi_form_init(&u->form, declared_type, &sink, u);
    u->form.max_count = u->of->v->max_values_count + VESTRY_UPLOAD_FILES_MAX;
    return error;
  }
  int64_t announced = vsi_request_length(u->req);
  uint64_t most = u->of->options.max_file_bytes;
  if (announced > 0 && (uint64_t)announced > most) return refuse_size(u);
  vsi_declared_encoded_name(vestry_request_header(u->req, "Upload-Name"), name);
  vsi_declared_type((vestry_slice){declared_type, strlen(declared_type)}, type);
  return begin_file(
      u, &(vestry_incoming){
             .field = "", .name = name, .type = type, .max_bytes = announced >= 0 ? (uint64_t)announced : most});
}

static void finish(upload *u, bool is_done) {
  vestry_uploads *of = u->of;
  vsi_unfinished_unref(u->resume.of);
  vsi_buffer_finish(&u->fields);
  vestry_request_bytes_give(of->v, u->counted_bytes);
  vsi_upload_place_give(&of->places, &u->place, is_done, u->written_bytes);
  vsi_free(of->v->host, u);
}

/* ---------------------------------------------------------------------------------------------------- resuming ---- */

/* Create the upload that the head of a request describes. */
static vestry_err make_resumable(upload *u) {
  const vestry_uploads_options *o = &u->of->options;
  char name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES];
  vsi_unfinished_plan plan = {.name = name,
                              .type = type,
                              .metadata = vestry_request_header(u->req, "Upload-Metadata"),
                              .scope = vsi_person_scope(u->req),
                              .person = u->place.person,
                              .max_per_person_count = o->max_per_person_count};
  if (!vsi_tus_number(vestry_request_header(u->req, "Upload-Length"), &plan.length) ||
      vsi_tus_metadata(plan.metadata, name, type))
    return vsi_refuse_request(u->req, u->reply, 400,
                              "Upload-Length or Upload-Metadata is missing, or not well formed.");
  if (plan.length > o->max_file_bytes) return refuse_size(u);
  if (o->types && !vsi_declared_type_is_in(o->types, type)) return refuse_type(u);
  const vestry_incoming file = {.field = "", .name = name, .type = type, .max_bytes = plan.length};
  vestry_err error = o->allow ? o->allow(o->app, u->req, u->reply, &file) : VESTRY_OK;
  return error ? error : vsi_upload_resume_make(&u->resume, o->folder, &plan, u->req, u->reply);
}

static vestry_err begin_resumable(upload *u, bool is_new) {
  const vestry_uploads_options *o = &u->of->options;
  vsi_stored *stored = NULL;
  if (!o->folder) return vsi_refuse_request(u->req, u->reply, 501, "Uploads to this address cannot be resumed.");
  vestry_err error = guard(u);
  if (!error) error = is_new ? make_resumable(u) : vsi_upload_resume_find(&u->resume, o->folder, u->req, u->reply);
  if (!error) error = vsi_upload_resume_hold(&u->resume, u, u->req, u->reply, &stored);
  if (error && u->resume.is_made) (void)vsi_unfinished_remove(u->resume.of, error);
  if (error || !stored) return error;
  u->files[u->files_count++] = stored;
  u->file_bytes = stored->len;
  u->max_bytes = u->resume.of->record.length;
  u->in_file = true;
  return VESTRY_OK;
}

static vestry_err end_resumable(upload *u) {
  bool is_whole = false;
  vestry_err error =
      u->files_count ? vsi_upload_resume_end(&u->resume, u->files[0], u->req, u->reply, &is_whole) : VESTRY_OK;
  if (!error && is_whole) error = answer(u);
  return error ? error : vsi_upload_resume_answer(&u->resume, u->req->path, u->reply);
}

/* ------------------------------------------------------------------------------------------------ the request ----- */

/* Create the state of a request, if there is a place for it. */
static vestry_err begin_upload(vestry_uploads *of, const vestry_request *req, vestry_reply *reply,
                               upload **ret_upload) {
  upload *u = vsi_alloc(of->v->host, sizeof *u);
  if (!u) return VESTRY_NO_MEMORY;
  memset(u, 0, offsetof(upload, form));
  u->of = of;
  u->req = req;
  u->reply = reply;
  vestry_err error = vsi_upload_place_take(&of->places, req, &u->place);
  if (error) {
    vsi_free(of->v->host, u);
    return error == VESTRY_BUSY
               ? vsi_refuse_request(req, reply, 429, "You have reached the limit of simultaneous uploads.")
               : error;
  }
  vsi_buffer_init(&u->fields, of->v->host);
  *ret_upload = u;
  return VESTRY_OK;
}

static vestry_err begun(upload *u, vestry_err error, void **ret_state) {
  if (error)
    finish(u, false);
  else
    *ret_state = u;
  return error;
}

/* Begin a request of tus. Every response contains the version. */
static vestry_err begin_tus(vestry_uploads *of, const vestry_request *req, vestry_reply *reply, bool is_new,
                            void **ret_state) {
  upload *u;
  vestry_err error = vsi_upload_resume_greet(req, reply);
  if (!error) error = begin_upload(of, req, reply, &u);
  if (!error) error = begun(u, begin_resumable(u, is_new), ret_state);
  return vsi_upload_resume_fill_error(req, reply, error);
}

static vestry_err begin(void *app, const vestry_request *req, vestry_reply *reply, void **ret_state) {
  const char *type = vestry_request_header(req, "Content-Type");
  upload *u;
  if (vestry_request_header(req, "Tus-Resumable")) return begin_tus(app, req, reply, true, ret_state);
  vestry_err error = begin_upload(app, req, reply, &u);
  if (error) return error;
  u->is_form = type && vsi_is_media_type(type, "multipart/form-data");
  return begun(u, begin_body(u, type ? type : ""), ret_state);
}

/* Begin a PATCH, or a POST of a client that cannot send PATCH and names PATCH in X-HTTP-Method-Override. */
static vestry_err begin_again(void *app, const vestry_request *req, vestry_reply *reply, void **ret_state) {
  const char *method = vestry_request_header(req, "X-HTTP-Method-Override");
  if (strcmp(req->method, "POST") == 0 && (!method || strcmp(method, "PATCH") != 0)) {
    vestry_err error = vsi_upload_resume_greet(req, reply);
    return error ? error : vsi_refuse_request(req, reply, 405, "An upload is continued with PATCH.");
  }
  return begin_tus(app, req, reply, false, ret_state);
}

static vestry_err write_body(void *state, const vestry_request *req, vestry_reply *reply, const void *bytes,
                             size_t len) {
  upload *u = state;
  u->req = req;
  u->reply = reply;
  if (u->is_form) return vsi_form_take(&u->form, bytes, len);
  vestry_err error = write_file(u, bytes, len);
  return u->resume.of ? vsi_upload_resume_fill_error(req, reply, error) : error;
}

static vestry_err end_body(upload *u) {
  vestry_err error = u->is_form && !vsi_form_is_whole(&u->form) ? VESTRY_MALFORMED : VESTRY_OK;
  if (!error) error = guard(u);
  if (!error && u->is_form)
    error =
        vsi_request_set_values(u->req, VESTRY_IN_FORM, (vestry_slice){u->fields.data, u->fields.len}, u->fields_count);
  if (error) abort_files(u, error);
  return error ? error : end_files(u);
}

static vestry_err end(void *state, const vestry_request *req, vestry_reply *reply) {
  upload *u = state;
  u->req = req;
  u->reply = reply;
  vestry_err error = u->resume.of ? vsi_upload_resume_fill_error(req, reply, end_resumable(u)) : end_body(u);
  bool is_done = !error;
  if (!error && !u->resume.of) error = answer(u);
  finish(u, is_done && !(error && u->of->options.folder));
  return error;
}

/* Write the bytes that arrived before the client broke off, if the upload can be resumed. The request is gone, and
 * there is no response. */
static void keep_last(void *state, const void *bytes, size_t len) {
  upload *u = state;
  u->req = NULL;
  u->reply = NULL;
  if (u->resume.of) (void)write_file(u, bytes, len);
}

static void abort_body(void *state, vestry_err why) {
  upload *u = state;
  abort_files(u, why);
  finish(u, false);
}

const vsi_receiver vsi_upload_receiver = {begin, write_body, end, abort_body, keep_last},
                   vsi_upload_resume_receiver = {begin_again, write_body, end, abort_body, keep_last};
