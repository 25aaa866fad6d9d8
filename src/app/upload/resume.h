/* SPDX-License-Identifier: MIT */
/* Requests of tus 1.0.0: their checks, their responses, and the part of an upload that a request contains. */
#ifndef VSI_UPLOAD_RESUME_H
#define VSI_UPLOAD_RESUME_H

#include "app/upload/stored.h"
#include "app/upload/unfinished.h"
#include "http/reply.h"

/* The path after the pattern of the uploads, and its parameter. */
#define VSI_RESUME_PARAMETER "vestryUpload"
#define VSI_RESUME_PATH      "/resume/{" VSI_RESUME_PARAMETER "}"

/* The part of an upload in one request. Embedded in the request. */
typedef struct vsi_upload_resume {
  vsi_unfinished *of; /* a reference, which the owner of this struct drops at the end; NULL: none */
  const void *holder; /* the request */
  bool is_made;       /* the upload was created by this request */
  bool is_changed;    /* bytes were written */
  char secret[VSI_UNFINISHED_SECRET_LEN + 1];
} vsi_upload_resume;

/* The errors of the functions below are answered like errors of a guard. */

/* Check the protocol version of a request, and add that of the server to the reply. Call it before all other checks,
 * because every response contains the version. */
vestry_err vsi_upload_resume_greet(const vestry_request *req, vestry_reply *reply);
/* Fill the reply of a failed request, and keep the version in it. Returns the result of the guard; OK if error is
 * OK. */
vestry_err vsi_upload_resume_fill_error(const vestry_request *req, vestry_reply *reply, vestry_err error);
/* Create an upload as described by the client in plan. */
vestry_err vsi_upload_resume_make(vsi_upload_resume *r, vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                  const vestry_request *req, vestry_reply *reply);
/* Find the upload of the request's path, and store it in r->of. */
vestry_err vsi_upload_resume_find(vsi_upload_resume *r, vestry_upload_folder *folder, const vestry_request *req,
                                  vestry_reply *reply);
/* Begin to receive a part, if the head of the request is valid. ret_stored: the file, held until vsi_upload_resume_end,
 * _settle or _pause frees it; NULL on OK: the upload was kept before. */
vestry_err vsi_upload_resume_hold(vsi_upload_resume *r, const void *holder, const vestry_request *req,
                                  vestry_reply *reply, vsi_stored **ret_stored);
vestry_err vsi_upload_resume_write(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                   vestry_reply *reply, const void *bytes, size_t len);
/* End a part. *ret_is_whole: the file is complete and on the disk. Otherwise the upload is paused. */
vestry_err vsi_upload_resume_end(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                 vestry_reply *reply, bool *ret_is_whole);
/* Record the result of `done` for a complete upload. Frees the file. */
void vsi_upload_resume_settle(vsi_upload_resume *r, vsi_stored *stored, vestry_err result);
/* Pause an upload: the bytes so far are synced, and stay. Frees the file. */
void vsi_upload_resume_pause(vsi_upload_resume *r, vsi_stored *stored);
/* Fill the response, after end, settle or pause. path: of the request */
vestry_err vsi_upload_resume_answer(const vsi_upload_resume *r, const char *path, vestry_reply *reply);

/* Add a header to a reply: a number; the time when the upload expires. */
vestry_err vsi_upload_resume_add_number(vestry_reply *reply, const char *name, uint64_t number);
vestry_err vsi_upload_resume_add_expiry(vestry_reply *reply, int64_t expires_s);

#endif
