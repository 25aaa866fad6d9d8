/* SPDX-License-Identifier: MIT */
/* A file on its way into a folder. Used by one thread at a time. */
#ifndef VSI_UPLOAD_STORED_H
#define VSI_UPLOAD_STORED_H

#include "upload/room.h"
#include "upload/said.h"

typedef struct vsi_stored {
  vestry_upload_folder *folder;
  int fd;
  uint64_t len;      /* written */
  uint64_t promised; /* of the folder's room: len at least */
  uint64_t begun;    /* of len, what the disk was told to begin to write */
  bool is_renamed;
  char *id; /* in path */
  char field[VSI_SAID_NAME_BYTES], name[VSI_SAID_NAME_BYTES], type[VSI_SAID_TYPE_BYTES];
  char path[];
} vsi_stored;

/* What was written of one that can be resumed, for so many bytes more: as far as is known, 0. room: taken from the
 * folder for what it has already. */
vestry_err vsi_stored_resume(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                             const char *id, uint64_t len, uint64_t more, const vestry_incoming *file,
                             vsi_stored **ret_stored);
/* It goes on later, or elsewhere: nothing of it changes. */
void vsi_stored_leave(vsi_stored *stored);

/* What these return is answered as what a guard returns. */

/* announced: most_bytes is the length. Room for it is taken now; otherwise as it comes. */
vestry_err vsi_stored_begin(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                            const vestry_incoming *file, bool announced, vsi_stored **ret_stored);
vestry_err vsi_stored_write(vsi_stored *stored, const vestry_request *req, vestry_reply *reply, const void *bytes,
                            size_t len);
/* All files of a request: they are on the disk under their names, or an error. */
vestry_err vsi_stored_keep(vsi_stored *const *all, size_t count, const vestry_request *req, vestry_reply *reply);
/* The end of each. OK: it stays as it was kept | anything else: nothing is left of it, and the application is told. */
void vsi_stored_end(vsi_stored *stored, vestry_err why);
/* What the application is told of it. */
vestry_kept_file vsi_stored_told(const vsi_stored *stored);

#endif
