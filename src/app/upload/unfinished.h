/* SPDX-License-Identifier: MIT */
/* Uploads that can be resumed: what is known of each, in memory and beside its file. */
#ifndef VSI_UPLOAD_UNFINISHED_H
#define VSI_UPLOAD_UNFINISHED_H

#include "app/upload/form.h"
#include "app/upload/room.h"
#include "base/refs.h"

/* MOST: unfinished ones of a folder, and as many records of finished ones. IDLE_S: one without a request for so long
 * may make room for others. */
enum {
  VSI_UNFINISHED_SECRET_LEN = 32,
  VSI_UNFINISHED_OWNER_BYTES = 16,
  VSI_UNFINISHED_MOST = 10000,
  VSI_UNFINISHED_IDLE_S = 60
};

/* The person of an upload that an earlier process began; no person's hash is even. */
enum { VSI_PERSON_EARLIER = 2 };

/* Of a record. */
enum {
  VSI_RECORD_COMES,  /* if its file has its final name, `done` may have been called */
  VSI_RECORD_DONE,   /* `done` has accepted it */
  VSI_RECORD_UNTOLD, /* its file has its final name, and `done` was not called */
};

/* The file of an upload that is not done. */
typedef enum vsi_unfinished_file {
  VSI_FILE_PART,
  VSI_FILE_UNTOLD, /* it has its final name, and `done` was not called */
  /* It has its final name since before this process, and `done` may have accepted it: it is one of the kept files, and
   * stays unless `done` refuses it. */
  VSI_FILE_DOUBTFUL
} vsi_unfinished_file;

/* What is written of one. */
typedef struct vsi_unfinished_record {
  char mark[16];
  char boot[VSI_BOOT_BYTES]; /* the machine's, when it was written */
  uint64_t length;           /* of the whole */
  uint64_t synced;           /* so much was on the disk */
  int64_t expires_s;
  unsigned char owner[VSI_UNFINISHED_OWNER_BYTES]; /* a hash of its secret and its scope */
  char name[VSI_SAID_NAME_BYTES], type[VSI_SAID_TYPE_BYTES];
  uint32_t state;
  uint32_t metadata_len;
} vsi_unfinished_record;

typedef struct vsi_unfinished {
  vsi_map_link in;    /* the folder's; guarded by its lock, like all up to refs */
  const void *holder; /* the request that writes, or was last to; NULL: none */
  bool is_busy;       /* a call of the holder's runs */
  bool is_gone;       /* not in the folder's map any more */
  uint64_t offset;    /* so much is in the file */
  vsi_unfinished_file file;
  uint64_t person; /* 0: not known */
  vsi_unfinished_record record;
  vsi_refs refs;
  vestry_upload_folder *folder; /* constant, like the next two */
  char id[VSI_STORED_LEN + 1];
  char metadata[]; /* as it was sent */
} vsi_unfinished;

/* What a new one is to be. */
typedef struct vsi_unfinished_plan {
  uint64_t length;
  const char *name, *type, *metadata; /* metadata: NULL: none */
  vestry_scope scope;
  uint64_t person;               /* 0: not known */
  uint32_t max_per_person_count; /* of a known one */
} vsi_unfinished_plan;

/* Make one, with its files. Unfinished ones whose person is not known are at most half of all. Where there are too
 * many, the one goes that came least far, of those without a request for IDLE_S: of those whose person is not known,
 * and for a known person also of the others. secret: terminated. ret: a reference
 * OK | LIMIT (too many) | BUSY (of this person) | NO_MEMORY | IO (no randomness; or the disk: errno) */
vestry_err vsi_unfinished_create(vestry_upload_folder *folder, const vsi_unfinished_plan *plan,
                                 char secret[VSI_UNFINISHED_SECRET_LEN + 1], vsi_unfinished **ret);
/* A reference; NULL: there is none, or it is of another scope. */
vsi_unfinished *vsi_unfinished_find(vestry_upload_folder *folder, const char *secret, vestry_scope scope);
void vsi_unfinished_unref(vsi_unfinished *u);

/* How much of it is there, as its client is told: of one that has all but was not kept, one byte less, so that one that
 * goes on keeps it. */
uint64_t vsi_unfinished_offset(vsi_unfinished *u, int64_t *ret_expires_s);
/* It is kept, and the application has been told. */
bool vsi_unfinished_is_done(vsi_unfinished *u);
/* A request goes on with it, at an offset that its client says: whichever did so before is not the holder any more.
 * OK: it is busy | BUSY: another request's call runs | EXISTS: another offset | NOT_FOUND: it has gone */
vestry_err vsi_unfinished_hold(vsi_unfinished *u, const void *holder, uint64_t offset);
/* The holder's call begins: it is busy. false: it is not the holder any more. */
bool vsi_unfinished_enter(vsi_unfinished *u, const void *holder);
/* It ends; so much is in the file. lets_go: there is no holder */
void vsi_unfinished_leave(vsi_unfinished *u, uint64_t offset, bool lets_go);
/* Write its record: what is in the file is on the disk; it expires from now on. While it is busy. OK | IO (errno) */
vestry_err vsi_unfinished_note(vsi_unfinished *u, uint64_t offset, uint32_t state);
/* `done` has accepted the file. While it is busy. If the record cannot say so, there is none any more: a start takes no
 * file back that has no record. */
void vsi_unfinished_accept(vsi_unfinished *u);
/* `done` has refused the file, which is removed before the record is. While it is busy, by its holder. */
void vsi_unfinished_refuse(vsi_unfinished *u, const void *holder);
void vsi_unfinished_drop_record(vsi_unfinished *u);
/* Take it away: record and file, but not a file that was kept, or may have been. false: it is busy, or gone already. */
bool vsi_unfinished_remove(vsi_unfinished *u, vestry_err why);

/* Of a folder that is opened, by its record's name: OK, also if it is none, which goes | NO_MEMORY | IO */
vestry_err vsi_unfinished_load(vestry_upload_folder *folder, const char *record_name);
/* Whether there is one of that name, whatever stands after the name's digits, whose file is not among the kept ones. */
bool vsi_unfinished_has(vestry_upload_folder *folder, const char *name);
/* A kept file has been removed: no client goes on with it. */
void vsi_unfinished_lost(vestry_upload_folder *folder, const char *name);
/* Take away what has expired. */
void vsi_unfinished_sweep(vestry_upload_folder *folder);
/* Free all, no request has one. */
void vsi_unfinished_forget(vestry_upload_folder *folder);

#endif
