/* SPDX-License-Identifier: MIT */
/* Uploads that can be resumed: the state of each in memory, and its record beside its file. */
#ifndef VSI_UPLOAD_UNFINISHED_H
#define VSI_UPLOAD_UNFINISHED_H

#include "app/upload/form.h"
#include "app/upload/room.h"
#include "base/refs.h"

/* VSI_UNFINISHED_MOST is the maximum number of unfinished uploads of a folder, and also of records of finished ones. An
 * upload that had no request for VSI_UNFINISHED_IDLE_S may be removed to make room for another. */
enum {
  VSI_UNFINISHED_SECRET_LEN = 32,
  VSI_UNFINISHED_OWNER_BYTES = 16,
  VSI_UNFINISHED_MOST = 10000,
  VSI_UNFINISHED_IDLE_S = 60
};

/* The person of an upload that an earlier process created. Hashes of persons are odd, so none equals it. */
enum { VSI_PERSON_EARLIER = 2 };

/* State in a record. Any other number, as of earlier releases, counts as COMES. */
enum {
  VSI_RECORD_COMES, /* if the file has its final name, `done` may have been called */
  VSI_RECORD_DONE   /* `done` has accepted it */
};

/* A record, as it is written to the disk. */
typedef struct vsi_unfinished_record {
  char mark[16];
  char boot[VSI_BOOT_BYTES];                       /* id of the machine's boot at the time of writing */
  uint64_t length;                                 /* of the complete file */
  uint64_t synced;                                 /* bytes that were on the disk */
  int64_t expires_s;                               /* on the system's clock */
  unsigned char owner[VSI_UNFINISHED_OWNER_BYTES]; /* a hash of the secret and the scope */
  char name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES];
  uint32_t state;
  uint32_t metadata_len;
} vsi_unfinished_record;

typedef struct vsi_unfinished {
  vsi_map_link in;    /* in the folder's map; guarded by the folder's lock, as are all members up to refs */
  const void *holder; /* the request that writes it, or wrote last; NULL: none */
  bool is_busy;       /* a call of the holder is running */
  bool is_gone;       /* removed from the folder's map */
  uint64_t offset;    /* bytes in the file */
  int64_t expires_s;  /* on the host's clock; record.expires_s counts only while no process runs */
  bool is_whole;   /* the file has its final name, and `done` may have accepted it. It counts as a kept file, and stays
                         unless `done` refuses it */
  uint64_t person; /* 0: unknown */
  vsi_unfinished_record record;
  vsi_refs refs;
  vestry_upload_folder *folder; /* constant, as are the next two */
  char id[VSI_STORED_LEN + 1];
  char metadata[]; /* Upload-Metadata, as the client sent it */
} vsi_unfinished;

/* Description of a new upload. */
typedef struct vsi_unfinished_plan {
  uint64_t length;
  const char *name, *type, *metadata; /* metadata: NULL: none */
  vestry_scope scope;
  uint64_t person;               /* 0: unknown */
  uint32_t max_per_person_count; /* applies to known persons */
} vsi_unfinished_plan;

/* Create an upload with its files. Unknown persons have at most half of the unfinished uploads. If there are too many,
 * the one that has been idle for the longest time is removed, if it had no request for VSI_UNFINISHED_IDLE_S:
 * - if this person has too many, the person's own upload;
 * - otherwise of the uploads of unknown persons;
 * - if there is none, and this person is known, of all uploads.
 * secret  receives a terminated text
 * ret     receives a reference
 * OK | LIMIT (too many) | BUSY (this person has too many) | NO_MEMORY | IO (errno 0: no randomness; otherwise the
 * disk) */
vestry_err vsi_unfinished_create(vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                 char secret[VSI_UNFINISHED_SECRET_LEN + 1], vsi_unfinished **ret);
/* Find an upload by the beginning of a text. Returns a reference; NULL: there is none, or it belongs to another
 * scope. */
vsi_unfinished *vsi_unfinished_find(vestry_upload_folder *folder, const char *secret, vestry_scope scope);
void vsi_unfinished_unref(vsi_unfinished *u);

/* Return the offset for the client. If all bytes are there but the file was not kept, it is one byte less, so that a
 * client that continues completes the upload. */
uint64_t vsi_unfinished_offset(vsi_unfinished *u, int64_t *ret_expires_s);
/* Return whether the file was kept and `done` has accepted it. */
bool vsi_unfinished_is_done(vsi_unfinished *u);
/* Make a request the holder, if its offset is right. An earlier holder loses the upload.
 * OK (it is busy) | BUSY (a call of another request is running) | EXISTS (the offset is wrong) | NOT_FOUND (it was
 * removed) */
vestry_err vsi_unfinished_hold(vsi_unfinished *u, const void *holder, uint64_t offset);
/* Begin a call of the holder: the upload is busy. false: another request is the holder now. */
bool vsi_unfinished_enter(vsi_unfinished *u, const void *holder);
/* End a call. offset: bytes in the file. lets_go: remove the holder, too */
void vsi_unfinished_leave(vsi_unfinished *u, uint64_t offset, bool lets_go);
/* Write the record, after `offset` bytes were synced, and restart the time to expiry. Only while the upload is busy. OK
 * | IO (errno) */
vestry_err vsi_unfinished_note(vsi_unfinished *u, uint64_t offset, uint32_t state);
/* Record that `done` has accepted the file. Only while the upload is busy. If the record cannot be written, it is
 * removed, because a file without a record is never resumed. */
void vsi_unfinished_accept(vsi_unfinished *u);
/* Remove the upload from memory, because `done` has refused the file. The caller then removes the file, and the record
 * last. Only for the holder, while the upload is busy. */
void vsi_unfinished_refuse(vsi_unfinished *u, const void *holder);
/* Remove the record. Returns whether it is gone; otherwise the next start removes it if there is no file. */
bool vsi_unfinished_drop_record(const vsi_unfinished *u);
/* Remove an upload: the record, and the file unless it was kept or may have been. false: it is busy, or removed
 * already. */
bool vsi_unfinished_remove(vsi_unfinished *u, vestry_err why);

/* Load the upload of a record when a folder is opened. An invalid record is removed. OK | NO_MEMORY | IO */
vestry_err vsi_unfinished_load(vestry_upload_folder *folder, const char *record_name);
/* Return whether there is an upload with this id whose file does not count as kept. The name may have an ending. */
bool vsi_unfinished_has(vestry_upload_folder *folder, const char *name);
/* Remove the upload of a kept file that was removed, so that no client continues it. */
void vsi_unfinished_lost(vestry_upload_folder *folder, const char *name);
/* Remove the uploads that have expired. */
void vsi_unfinished_sweep(vestry_upload_folder *folder);
/* Free all uploads. No request may use one. */
void vsi_unfinished_forget(vestry_upload_folder *folder);

#endif
