/* SPDX-License-Identifier: MIT */
/* Requests of tus 1.0.0: what is refused, what is answered, and the part of an upload that one of them brings. */
#ifndef VSI_UPLOAD_RESUME_H
#define VSI_UPLOAD_RESUME_H

#include "app/upload/stored.h"
#include "app/upload/unfinished.h"
#include "http/reply.h"

/* After the uploads' pattern; of the parameter, which is in VSI_RESUME_PATH. */
#define VSI_RESUME_PARAMETER "vestryUpload"
#define VSI_RESUME_PATH      "/resume/{" VSI_RESUME_PARAMETER "}"

/* The part that one request brings. Embedded in the request. */
typedef struct vsi_upload_resume {
  vsi_unfinished *of; /* a reference; NULL: none */
  const void *holder; /* the request */
  bool is_made;       /* by this very request */
  bool is_changed;    /* something was written */
  char secret[VSI_UNFINISHED_SECRET_LEN + 1];
} vsi_upload_resume;

/* What these return is answered as what a guard returns. */

/* The version, which all answers say: before anything else is looked at. */
vestry_err vsi_upload_resume_greet(const vestry_request *req, vestry_reply *reply);
/* An error, with that version: what is answered is in the reply. Returns what is to be returned; OK: OK */
vestry_err vsi_upload_resume_say_error(const vestry_request *req, vestry_reply *reply, vestry_err error);
/* Make an upload of which the client says what is in plan. */
vestry_err vsi_upload_resume_make(vsi_upload_resume *r, vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                  const vestry_request *req, vestry_reply *reply);
/* The upload that the request's path names, in r->of. */
vestry_err vsi_upload_resume_find(vsi_upload_resume *r, vestry_upload_folder *folder, const vestry_request *req,
                                  vestry_reply *reply);
/* Go on with it, if the request's head says so rightly. ret_stored: its file; held until one of those at the end; NULL
 * on OK: it was kept already. */
vestry_err vsi_upload_resume_hold(vsi_upload_resume *r, const void *holder, const vestry_request *req,
                                  vestry_reply *reply, vsi_stored **ret_stored);
vestry_err vsi_upload_resume_write(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                   vestry_reply *reply, const void *bytes, size_t len);
/* Its body is over: whether it is whole now, and on the disk; if not, it is as after a pause. */
vestry_err vsi_upload_resume_end(vsi_upload_resume *r, vsi_stored *stored, const vestry_request *req,
                                 vestry_reply *reply, bool *ret_is_whole);
/* The application has said what it says to one that is whole; the file is freed. */
void vsi_upload_resume_settle(vsi_upload_resume *r, vsi_stored *stored, vestry_err said);
/* It goes on later: what came stays, and is on the disk. The file is freed. */
void vsi_upload_resume_pause(vsi_upload_resume *r, vsi_stored *stored);
/* Answer, after one of those. */
vestry_err vsi_upload_resume_answer(vsi_upload_resume *r, const char *path, const vestry_request *req,
                                    vestry_reply *reply);
void vsi_upload_resume_finish(vsi_upload_resume *r);

/* A header of a reply: a number; the time when the upload expires. */
vestry_err vsi_upload_resume_say_number(vestry_reply *reply, const char *name, uint64_t number);
vestry_err vsi_upload_resume_say_expiry(vestry_reply *reply, int64_t expires_s);

#endif
