/* SPDX-License-Identifier: MIT */
#include "upload/receive.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "guard/proof.h"
#include "http/request.h"
#include "instance/instance.h"
#include "upload/form.h"
#include "upload/said.h"

enum { FIELDS_BYTES = 65536 };

/* One request. */
typedef struct upload {
  vestry_uploads *of;
  vsi_upload_place place;
  const vestry_request *req; /* while one of its calls runs, like the next */
  vestry_reply *reply;
  bool is_form, is_guarded;             /* the guards have looked */
  bool in_file;                         /* what comes is of the last file */
  bool is_empty_file;                   /* what comes is of a field for files that none was chosen for */
  void *files[VESTRY_UPLOAD_FILES_MAX]; /* the writer's */
  size_t files_count;                   /* that were begun and not ended */
  size_t ended_count;                   /* of these, the first ones: they are not aborted any more */
  uint64_t file_bytes, most_bytes;      /* of the last file: so far; at most */
  uint64_t written_bytes;               /* of all */
  vsi_buffer fields;                    /* a name, a NUL, a value, a NUL, and so on */
  size_t fields_count, value_at;        /* those that are whole; where the last one's value begins */
  vsi_form form;
} upload;

/* ------------------------------------------------------------------------------------------------- refusals ------- */

static vestry_err refuse_size(upload *u) {
  char sentence[128];
  snprintf(sentence, sizeof sentence, "This file is too large: it may have %llu bytes at most. It was not kept.",
           (unsigned long long)u->of->options.max_file_bytes);
  return vsi_refuse(u->req, u->reply, 413, sentence);
}

static vestry_err refuse_type(upload *u) {
  return vsi_refuse(u->req, u->reply, 415, "Files of this type are not taken here. It was not kept.");
}

static vestry_err refuse_count(upload *u) {
  return vsi_refuse(u->req, u->reply, 413, "These are too many files at once. None was kept.");
}

/* ---------------------------------------------------------------------------------------------------- files ------- */

static vestry_err guard(upload *u) {
  if (u->is_guarded) return VESTRY_OK;
  u->is_guarded = true;
  vestry_err error = vsi_request_set_form(u->req, (vestry_slice){u->fields.data, u->fields.len}, u->fields_count);
  return error ? error : vsi_request_guard(u->req, u->reply);
}

static vestry_err begin_file(upload *u, const vestry_incoming *file) {
  const vestry_uploads_options *o = &u->of->options;
  vestry_err error = guard(u);
  if (error) return error;
  if (u->files_count == o->max_files_count) return refuse_count(u);
  if (o->types && !vsi_said_type_is_in(o->types, file->type)) return refuse_type(u);
  error = o->writer->begin(o->app, u->req, u->reply, file, &u->files[u->files_count]);
  if (error) return error;
  u->files_count++;
  u->file_bytes = 0;
  u->most_bytes = file->most_bytes;
  u->in_file = true;
  return VESTRY_OK;
}

static vestry_err write_file(upload *u, const void *bytes, size_t len) {
  if (len > u->most_bytes - u->file_bytes) return refuse_size(u);
  u->file_bytes += len;
  u->written_bytes += len;
  return u->of->options.writer->write(u->files[u->files_count - 1], u->req, u->reply, bytes, len);
}

static void abort_files(upload *u, vestry_err why) {
  for (size_t i = u->ended_count; i < u->files_count; i++) u->of->options.writer->abort(u->files[i], why);
  u->files_count = u->ended_count = 0;
}

static vestry_err end_files(upload *u) {
  vestry_err error = VESTRY_OK;
  while (!error && u->ended_count < u->files_count)
    error = u->of->options.writer->end(u->files[u->ended_count++], u->req, u->reply);
  if (error) abort_files(u, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- forms ------- */

/* Room for so much more, and the NUL after it, which is there whatever came before. */
static vestry_err make_room(upload *u, size_t len) {
  if (u->fields.len >= FIELDS_BYTES || len >= FIELDS_BYTES - u->fields.len) return VESTRY_TOO_LARGE;
  return vsi_buffer_reserve(&u->fields, len + 1) ? VESTRY_OK : VESTRY_NO_MEMORY;
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

/* A part of a form begins. A file field that nothing was chosen for comes as a part without a name and bytes. */
static vestry_err part_begins(void *ctx, const vsi_part *part) {
  upload *u = ctx;
  char field[VSI_SAID_NAME_BYTES], name[VSI_SAID_NAME_BYTES], type[VSI_SAID_TYPE_BYTES], decoded[VSI_FORM_HEAD_BYTES];
  u->in_file = false;
  u->is_empty_file = part->filename.data && !part->filename.len;
  if (u->is_empty_file) return VESTRY_OK;
  if (!part->filename.data) return begin_field(u, part);
  vsi_said_name((vestry_slice){decoded, vsi_part_decode(part->filename, decoded)}, name);
  vsi_said_name((vestry_slice){decoded, vsi_part_decode(part->name, decoded)}, field);
  vsi_said_type(part->type, type);
  return begin_file(u, &(vestry_incoming){.size = sizeof(vestry_incoming),
                                          .field = field,
                                          .name = name,
                                          .type = type,
                                          .most_bytes = u->of->options.max_file_bytes});
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

/* A part is whole: a field's value has its NUL, and is a text. */
static vestry_err part_ends(void *ctx) {
  upload *u = ctx;
  if (u->in_file || u->is_empty_file) return VESTRY_OK;
  if (!vsi_buffer_reserve(&u->fields, 1)) return VESTRY_NO_MEMORY;
  const char *value = u->fields.data + u->value_at;
  size_t len = u->fields.len - u->value_at;
  u->fields.data[u->fields.len++] = '\0';
  u->fields_count++;
  return vsi_is_utf8(value, len) && !memchr(value, '\0', len) ? VESTRY_OK : VESTRY_MALFORMED;
}

static const vsi_form_told told = {part_begins, part_goes_on, part_ends};

/* ------------------------------------------------------------------------------------------------ the request ----- */

static vestry_err begin_body(upload *u, const char *said_type) {
  char name[VSI_SAID_NAME_BYTES], type[VSI_SAID_TYPE_BYTES];
  if (u->is_form) return vsi_form_init(&u->form, said_type, &told, u);
  int64_t announced = vsi_request_length(u->req);
  uint64_t most = u->of->options.max_file_bytes;
  if (announced > 0 && (uint64_t)announced > most) return refuse_size(u);
  vsi_said_encoded_name(vestry_request_header(u->req, "Upload-Name"), name);
  vsi_said_type((vestry_slice){said_type, strlen(said_type)}, type);
  return begin_file(u, &(vestry_incoming){.size = sizeof(vestry_incoming),
                                          .field = "",
                                          .name = name,
                                          .type = type,
                                          .most_bytes = announced >= 0 ? (uint64_t)announced : most});
}

static void finish(upload *u, bool is_done) {
  vestry_uploads *of = u->of;
  vsi_buffer_finish(&u->fields);
  vsi_upload_place_give(&of->places, &u->place, is_done, u->written_bytes);
  vsi_free(of->v->host, u);
}

static vestry_err begin(void *app, const vestry_request *req, vestry_reply *reply, void **ret_state) {
  vestry_uploads *of = app;
  const char *type = vestry_request_header(req, "Content-Type");
  upload *u = vsi_alloc(of->v->host, sizeof *u);
  if (!u) return VESTRY_NO_MEMORY;
  memset(u, 0, offsetof(upload, form));
  u->of = of;
  u->req = req;
  u->reply = reply;
  u->is_form = type && vsi_is_media_type(type, "multipart/form-data");
  vestry_err error = vsi_upload_place_take(&of->places, req, &u->place);
  if (error) {
    vsi_free(of->v->host, u);
    return error == VESTRY_BUSY ? vsi_refuse(req, reply, 429, "You are sending as many files as you may at once.")
                                : error;
  }
  vsi_buffer_init(&u->fields, of->v->host);
  error = begin_body(u, type ? type : "");
  if (error) {
    finish(u, false);
    return error;
  }
  *ret_state = u;
  return VESTRY_OK;
}

static vestry_err write_body(void *state, const vestry_request *req, vestry_reply *reply, const void *bytes,
                             size_t len) {
  upload *u = state;
  u->req = req;
  u->reply = reply;
  return u->is_form ? vsi_form_take(&u->form, bytes, len) : write_file(u, bytes, len);
}

static vestry_err end_body(upload *u) {
  vestry_err error = u->is_form && !vsi_form_is_whole(&u->form) ? VESTRY_MALFORMED : VESTRY_OK;
  if (!error) error = guard(u);
  if (!error && u->is_form)
    error = vsi_request_set_form(u->req, (vestry_slice){u->fields.data, u->fields.len}, u->fields_count);
  if (error) abort_files(u, error);
  return error ? error : end_files(u);
}

static vestry_err end(void *state, const vestry_request *req, vestry_reply *reply) {
  upload *u = state;
  const vestry_uploads_options *o = &u->of->options;
  u->req = req;
  u->reply = reply;
  vestry_err error = end_body(u);
  finish(u, !error);
  if (error || !o->done) return error;
  return o->done(req, reply, o->app);
}

static void abort_body(void *state, vestry_err why) {
  upload *u = state;
  abort_files(u, why);
  finish(u, false);
}

const vsi_receiver vsi_upload_receiver = {begin, write_body, end, abort_body};
