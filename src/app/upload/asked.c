/* SPDX-License-Identifier: MIT */
#include "app/upload/asked.h"

#include "app/guard/proof.h"
#include "app/upload/receive.h"
#include "app/upload/resume.h"
#include "app/upload/tus.h"

static vestry_err find(vsi_upload_resume *r, const vestry_request *req, vestry_reply *reply,
                       const vestry_uploads *uploads) {
  vestry_err error = vsi_upload_resume_greet(req, reply);
  return error ? error : vsi_upload_resume_find(r, uploads->options.folder, req, reply);
}

vestry_err vsi_asked_offset(const vestry_request *req, vestry_reply *reply, void *app) {
  vsi_upload_resume r = {0};
  int64_t expires_s;
  vestry_err error = find(&r, req, reply, app);
  if (error) return error;
  error = vsi_upload_resume_say_number(reply, "Upload-Offset", vsi_unfinished_offset(r.of, &expires_s));
  if (!error) error = vsi_upload_resume_say_number(reply, "Upload-Length", r.of->record.length);
  if (!error && *r.of->metadata) error = vestry_reply_header(reply, "Upload-Metadata", r.of->metadata);
  if (!error) error = vsi_upload_resume_say_expiry(reply, expires_s);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  vsi_upload_resume_finish(&r);
  return error ? error : vestry_reply_status(reply, 200);
}

vestry_err vsi_asked_to_drop(const vestry_request *req, vestry_reply *reply, void *app) {
  vsi_upload_resume r = {0};
  vestry_err error = find(&r, req, reply, app);
  if (error) return error;
  const bool is_dropped = vsi_unfinished_remove(r.of, VESTRY_CLOSED);
  vsi_upload_resume_finish(&r);
  return is_dropped ? vestry_reply_status(reply, 204)
                    : vsi_refuse(req, reply, 423, "A request goes on with this upload.");
}

vestry_err vsi_asked_options(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_uploads *uploads = app;
  (void)req;
  vestry_err error = vestry_reply_header(reply, "Tus-Resumable", VSI_TUS_VERSION);
  if (!error) error = vestry_reply_header(reply, "Tus-Version", VSI_TUS_VERSION);
  if (!error) error = vestry_reply_header(reply, "Tus-Extension", VSI_TUS_EXTENSIONS);
  if (!error) error = vsi_upload_resume_say_number(reply, "Tus-Max-Size", uploads->options.max_file_bytes);
  return error ? error : vestry_reply_status(reply, 204);
}
