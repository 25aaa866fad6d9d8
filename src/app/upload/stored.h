/* SPDX-License-Identifier: MIT */
/* A file that is being written into a folder. Used by one thread at a time. */
#ifndef VSI_UPLOAD_STORED_H
#define VSI_UPLOAD_STORED_H

#include "app/upload/form.h"
#include "app/upload/room.h"

typedef struct vsi_stored {
  vestry_upload_folder *folder;
  int fd;
  uint64_t len;      /* bytes in the file */
  uint64_t promised; /* room taken from the folder, at least len */
  uint64_t begun;    /* bytes that the system was requested to begin to write to the disk */
  bool is_renamed;   /* it has its final name */
  bool is_whole;  /* it had its final name when it was resumed, so it counts as a kept file, and nothing is written */
  bool is_unsure; /* a sync failed: bytes written since the last successful sync may be lost */
  char *id;       /* inside path */
  char field[VSI_DECLARED_NAME_BYTES], name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES];
  char path[];
} vsi_stored;

/* The file of an upload that is being resumed. */
typedef struct vsi_stored_plan {
  const char *id;
  uint64_t len, more; /* its bytes; the bytes that will arrive, 0 if unknown */
  bool is_whole;
  vestry_incoming file;
} vsi_stored_plan;

/* Open the file of an upload that is resumed. The room for plan->len is taken already. */
vestry_err vsi_stored_resume(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                             const vsi_stored_plan *plan, vsi_stored **ret_stored);
/* Sync the file. false: bytes written since the last successful sync count as lost. */
bool vsi_stored_sync(vsi_stored *stored);
/* Truncate the file to the bytes that are on the disk. */
void vsi_stored_cut(vsi_stored *stored, uint64_t len);
/* Close the file, because the upload continues in another request. If this request has renamed the file, the old name
 * is restored. Returns whether the file has its final name. */
bool vsi_stored_leave(vsi_stored *stored);

/* The errors of the functions below are answered like errors of a guard. */

/* Begin a file. announced: file->max_bytes is its length, so all its room is taken now; otherwise room is taken as
 * bytes arrive. */
vestry_err vsi_stored_begin(vestry_upload_folder *folder, const vestry_request *req, vestry_reply *reply,
                            const vestry_incoming *file, bool announced, vsi_stored **ret_stored);
vestry_err vsi_stored_write(vsi_stored *stored, const vestry_request *req, vestry_reply *reply, const void *bytes,
                            size_t len);
/* Keep all files of a request: sync them and rename them. OK: all are on the disk under their final names. */
vestry_err vsi_stored_keep(vsi_stored *const *all, size_t count, const vestry_request *req, vestry_reply *reply);
/* End all files of a request, after `done`. why OK: they stay. Any error: they are removed, and each is reported to the
 * application. */
void vsi_stored_end(vsi_stored *const *all, size_t count, vestry_err why);
/* Return the description of a file for the application. */
vestry_kept_file vsi_stored_describe(const vsi_stored *stored);

#endif
