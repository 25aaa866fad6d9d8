/* SPDX-License-Identifier: MIT */
/* A file on its way into a folder. Used by one thread at a time. */
#ifndef VSI_UPLOAD_STORED_H
#define VSI_UPLOAD_STORED_H

#include "app/upload/form.h"
#include "app/upload/room.h"

typedef struct vsi_stored {
  vestry_upload_folder *folder;
  int fd;
  uint64_t len;      /* written */
  uint64_t promised; /* of the folder's room: len at least */
  uint64_t begun;    /* of len, what the disk was told to begin to write */
  bool is_renamed;   /* it has its final name */
  bool is_whole;     /* it had that name when it was resumed: nothing is written to it */
  bool is_counted;   /* among the folder's kept files, since an earlier process */
  bool is_unsure;    /* a sync has failed: what was written since the one before may be lost */
  char *id;          /* in path */
  char field[VSI_SAID_NAME_BYTES], name[VSI_SAID_NAME_BYTES], type[VSI_SAID_TYPE_BYTES];
  char path[];
} vsi_stored;

/* The file of an upload that is resumed. */
typedef struct vsi_stored_plan {
  const char *id;
  uint64_t len, more; /* what it has, and how many bytes come, as far as is known; else 0 */
  bool is_whole, is_counted;
  vestry_incoming file;
} vsi_stored_plan;

/* Room for len is taken from the folder already. */
vestry_err vsi_stored_resume(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                             const vsi_stored_plan *plan, vsi_stored **ret_stored);
/* What came is on the disk. false: it is not; what was written since the last sync is not counted on any more. */
bool vsi_stored_sync(vsi_stored *stored);
/* Go back to what is on the disk. */
void vsi_stored_cut(vsi_stored *stored, uint64_t len);
/* It goes on later, or elsewhere. Returns whether it has its final name; it loses one that it got by this request. */
bool vsi_stored_leave(vsi_stored *stored);

/* What these return is answered as what a guard returns. */

/* announced: most_bytes is the length. Room for it is taken now; otherwise as it comes. */
vestry_err vsi_stored_begin(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                            const vestry_incoming *file, bool announced, vsi_stored **ret_stored);
vestry_err vsi_stored_write(vsi_stored *stored, const vestry_request *req, vestry_reply *reply, const void *bytes,
                            size_t len);
/* All files of a request: they are on the disk under their names, or an error. */
vestry_err vsi_stored_keep(vsi_stored *const *all, size_t count, const vestry_request *req, vestry_reply *reply);
/* The end of all files of a request. OK: they stay as they were kept | anything else: nothing is left of them, and the
 * application is told of each. */
void vsi_stored_end(vsi_stored *const *all, size_t count, vestry_err why);
/* Take a file's final name away: it is removed, or else the next start removes it. false: it has that name. */
bool vsi_stored_unname(const vestry_upload_folder *folder, const char *id);
/* What the application is told of it. */
vestry_kept_file vsi_stored_told(const vsi_stored *stored);

/* Files that go together, whatever ends the process: their list is in the folder while some of them may have their
 * final names and others not. */

/* Of a folder that is opened: remove the files of a list, and then the list. OK | IO */
vestry_err vsi_upload_group_drop(const vestry_upload_folder *folder, const char *list_name);

#endif
