/* SPDX-License-Identifier: MIT */
#include "app/upload/resume.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/guard/person.h"
#include "app/guard/proof.h"
#include "app/upload/tus.h"
#include "base/ascii.h"
#include "base/field.h"
#include "base/held_log.h"
#include "base/memory.h"
#include "http/answer.h"
#include "http/request.h"
#include "instance/instance.h"

enum { NUMBER_BYTES = 24, SECRET = VSI_UNFINISHED_SECRET_LEN };

/* ------------------------------------------------------------------------------------------------- refusals ------- */

vestry_err vsi_upload_resume_greet(const vestry_request *req, vestry_reply *reply) {
  const char *version = vestry_request_header(req, "Tus-Resumable");
  vestry_err error = vestry_reply_header(reply, "Tus-Resumable", VSI_TUS_VERSION);
  if (error || (version && strcmp(version, VSI_TUS_VERSION) == 0)) return error;
  error = vestry_reply_header(reply, "Tus-Version", VSI_TUS_VERSION);
  return error ? error : vsi_refuse_request(req, reply, 412, "Unsupported version: resumable uploads use tus 1.0.0.");
}

/* Remove the application's Location: it is for browsers that submitted a form. */
static void drop_location(vestry_reply *reply) {
  size_t kept = 0;
  for (size_t i = 0; i < reply->headers_count; i++) {
    if (vsi_strcasecmp(reply->headers[i].name, "Location") == 0)
      vsi_free(reply->host, (char *)(uintptr_t)reply->headers[i].name);
    else
      reply->headers[kept++] = reply->headers[i];
  }
  reply->headers_count = kept;
}

vestry_err vsi_upload_resume_fill_error(const vestry_request *req, vestry_reply *reply, vestry_err error) {
  if (!error || reply->status) return error;
  drop_location(reply);
  return vsi_reply_error(req, reply, error);
}

static vestry_err refuse_taken(const vestry_request *req, vestry_reply *reply) {
  return vsi_refuse_request(req, reply, 423, "Another request continues this upload.");
}

static vestry_err refuse_gone(const vestry_request *req, vestry_reply *reply) {
  return vsi_refuse_request(req, reply, 404, "This upload does not exist, or has ended or expired.");
}

/* ---------------------------------------------------------------------------------------------------- begin ------- */

vestry_err vsi_upload_resume_make(vsi_upload_resume *r, vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                  const vestry_request *req, vestry_reply *reply) {
  vestry_err error = vsi_unfinished_create(folder, plan, r->secret, &r->of);
  r->is_made = !error;
  switch (error) {
  case VESTRY_BUSY: return vsi_refuse_request(req, reply, 429, "You have reached the limit of unfinished uploads.");
  case VESTRY_IO: return errno ? vsi_upload_folder_failed(folder, "cannot create an upload", req, reply) : error;
  default: return error;
  }
}

/* Return whether an address names another node. Addresses of earlier releases name none. */
static bool is_elsewhere(const vestry_upload_folder *folder, const char *address) {
  return address && strlen(address) == SECRET + VSI_NODE_LEN && strcmp(address + SECRET, folder->node) != 0;
}

vestry_err vsi_upload_resume_find(vsi_upload_resume *r, vestry_upload_folder *folder, const vestry_request *req,
                                  vestry_reply *reply) {
  const char *address = vestry_request_value(req, VESTRY_IN_PATH, VSI_RESUME_PARAMETER);
  r->of = vsi_unfinished_find(folder, address, vsi_person_scope(req));
  if (r->of) return VESTRY_OK;
  if (!is_elsewhere(folder, address)) return refuse_gone(req, reply);
  vsi_log_repeated(
      req->v->host, &folder->failures, 0, VESTRY_LOG_INFO,
      "uploads: a request for an upload of another node was answered 503, so that the proxy tries the next "
      "node; docs/guide/uploads.md, Several nodes, has the proxy's settings");
  return vsi_refuse_request(req, reply, 503, "This upload is at another node. Send the request again.");
}

static bool is_part(const vestry_request *req) {
  const char *type = vestry_request_header(req, "Content-Type");
  return type && vsi_strcasecmp(type, VSI_TUS_TYPE) == 0;
}

vestry_err vsi_upload_resume_hold(vsi_upload_resume *r, const void *holder, const vestry_request *req,
                                  vestry_reply *reply, vsi_stored **ret_stored) {
  const vsi_unfinished_record *record = &r->of->record;
  const int64_t announced = vsi_request_length(req);
  uint64_t offset = 0;
  if (announced && !is_part(req))
    return vsi_refuse_request(req, reply, 415, "The content type of a part of an upload must be " VSI_TUS_TYPE ".");
  if (!r->is_made && !vsi_tus_number(vestry_request_header(req, "Upload-Offset"), &offset))
    return vsi_refuse_request(req, reply, 400, "Upload-Offset is missing, or not a number.");
  if (offset > record->length || (announced > 0 && (uint64_t)announced > record->length - offset))
    return vsi_refuse_request(req, reply, 413, "The part exceeds the length of the upload.");
  switch (vsi_unfinished_hold(r->of, holder, offset)) {
  case VESTRY_OK: break;
  case VESTRY_BUSY: return refuse_taken(req, reply);
  case VESTRY_EXISTS:
    return vsi_refuse_request(req, reply, 409, "Upload-Offset differs from the offset of the upload.");
  default: return refuse_gone(req, reply);
  }
  if (vsi_unfinished_is_done(r->of)) {
    vsi_unfinished_leave(r->of, offset, true);
    return VESTRY_OK;
  }
  const vsi_stored_plan plan = {.id = r->of->id,
                                .len = offset,
                                .more = announced > 0 ? (uint64_t)announced : 0,
                                .is_whole = r->of->is_whole,
                                .file = {.field = "", .name = record->name, .type = record->type}};
  vestry_err error = vsi_stored_resume(r->of->folder, req, reply, &plan, ret_stored);
  vsi_unfinished_leave(r->of, offset, error != VESTRY_OK);
  r->holder = error ? NULL : holder;
  return error;
}

/* --------------------------------------------------------------------------------------- bytes, end and pause ---- */

vestry_err vsi_upload_resume_write(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                   vestry_reply *reply, const void *bytes, size_t len) {
  if (!vsi_unfinished_enter(r->of, r->holder)) return refuse_taken(req, reply);
  vestry_err error = vsi_stored_write(stored, req, reply, bytes, len);
  r->is_changed = true;
  vsi_unfinished_leave(r->of, stored->len, false);
  return error;
}

/* Pause the upload when its holder's request has ended: sync the file, and write the record. The upload is busy. */
static void pause_held(vsi_upload_resume *r, vsi_stored *stored) {
  vsi_unfinished *u = r->of;
  if (r->is_changed && !vsi_stored_sync(stored) && !stored->is_whole && stored->len > u->record.synced)
    vsi_stored_cut(stored, u->record.synced);
  const uint64_t len = stored->len;
  const bool is_unsure = stored->is_unsure, is_named = vsi_stored_leave(stored);
  if (is_named) u->is_whole = true;
  if (r->is_changed && !is_unsure) (void)vsi_unfinished_note(u, len, VSI_RECORD_COMES);
  vsi_unfinished_leave(u, len, true);
}

void vsi_upload_resume_pause(vsi_upload_resume *r, vsi_stored *stored) {
  if (vsi_unfinished_enter(r->of, r->holder))
    pause_held(r, stored);
  else
    vsi_stored_leave(stored);
}

vestry_err vsi_upload_resume_end(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                 vestry_reply *reply, bool *ret_is_whole) {
  *ret_is_whole = false;
  if (!vsi_unfinished_enter(r->of, r->holder)) {
    vsi_stored_leave(stored);
    return refuse_taken(req, reply);
  }
  if (stored->len < r->of->record.length) {
    pause_held(r, stored);
    return VESTRY_OK;
  }
  vestry_err error = vsi_stored_keep(&stored, 1, req, reply);
  *ret_is_whole = !error;
  if (error) pause_held(r, stored);
  return error;
}

void vsi_upload_resume_settle(vsi_upload_resume *r, vsi_stored *stored, vestry_err result) {
  const uint64_t len = stored->len;
  if (result)
    vsi_unfinished_refuse(r->of, r->holder);
  else
    vsi_unfinished_accept(r->of);
  vsi_stored_end(&stored, 1, result);
  if (result) (void)vsi_unfinished_drop_record(r->of);
  vsi_unfinished_leave(r->of, len, true);
}

/* ---------------------------------------------------------------------------------------------------- responses --- */

vestry_err vsi_upload_resume_add_number(vestry_reply *reply, const char *name, uint64_t number) {
  char text[NUMBER_BYTES];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  return vestry_reply_header(reply, name, text);
}

vestry_err vsi_upload_resume_add_expiry(vestry_reply *reply, int64_t expires_s) {
  char text[VSI_HTTP_DATE_BYTES];
  return vsi_http_date_write(expires_s, text) ? vestry_reply_header(reply, "Upload-Expires", text) : VESTRY_OK;
}

/* Add the address of the upload. The path is decoded, so it is encoded again. */
static vestry_err add_location(const vsi_upload_resume *r, const char *path, vestry_reply *reply) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  const size_t len = strlen(path), room = 3 * len + sizeof VSI_RESUME_PATH + SECRET + VSI_NODE_LEN;
  char *text = vsi_alloc(reply->host, room), *at = text;
  if (!text) return VESTRY_NO_MEMORY;
  for (const char *c = path; *c; c++) at += sprintf(at, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
  sprintf(at, "%sresume/%s%s", len && path[len - 1] == '/' ? "" : "/", r->secret, r->of->folder->node);
  vestry_err error = vestry_reply_header(reply, "Location", text);
  vsi_free(reply->host, text);
  return error;
}

vestry_err vsi_upload_resume_answer(const vsi_upload_resume *r, const char *path, vestry_reply *reply) {
  int64_t expires_s;
  drop_location(reply);
  vsi_reply_drop_body(reply);
  vestry_err error = vsi_upload_resume_add_number(reply, "Upload-Offset", vsi_unfinished_offset(r->of, &expires_s));
  if (!error) error = vsi_upload_resume_add_expiry(reply, expires_s);
  if (!error && r->is_made) error = add_location(r, path, reply);
  return error ? error : vestry_reply_status(reply, r->is_made ? 201 : 204);
}
