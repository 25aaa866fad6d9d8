/* SPDX-License-Identifier: MIT */
/* Which pages of the file a commit wrote, read in the WAL. */
#ifndef VSI_SQLITE_FRAMES_H
#define VSI_SQLITE_FRAMES_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "vestry/error.h"

/* One commit. */
typedef struct vsi_sqlite_written {
  uint32_t number;       /* that SQLite counts it with */
  const uint32_t *pages; /* valid during the call; some perhaps several times */
  size_t pages_count;
  bool has_schema; /* the schema is another one, or may be */
} vsi_sqlite_written;

typedef void (*vsi_sqlite_written_fn)(const vsi_sqlite_written *written, void *ctx);

/* How far the WAL was read. One thread at a time. */
typedef struct vsi_sqlite_frames {
  const vestry_host *host;
  sqlite3 *db;                    /* the library's own connection, which no other thread uses meanwhile */
  const _Atomic(uint32_t) *index; /* the head of the WAL's index */
  uint32_t number;                /* of the last commit that was read */
  uint32_t frame;                 /* the last frame that was */
  uint32_t salts[2];              /* of the WAL it was in */
  uint32_t schema;                /* the schema's number, if it is known */
  bool knows_schema;
  uint32_t *pages;
  size_t pages_room;
} vsi_sqlite_frames;

/* Begin after what is committed now. OK | BUSY (it is being written all the time) | IO */
vestry_err vsi_sqlite_frames_init(vsi_sqlite_frames *frames, const vestry_host *host, sqlite3 *db,
                                  const _Atomic(uint32_t) *index);
void vsi_sqlite_frames_finish(vsi_sqlite_frames *frames);
/* Read what was committed since, in its order, up to what everybody can see now.
 *  ret_number  up to which commit
 *  Returns  OK | BUSY (nothing was read, try again) | NOT_FOUND (some commits are lost; it goes on after them, and
 *           nothing is to be relied on that fn was told of in this call) */
vestry_err vsi_sqlite_frames_read(vsi_sqlite_frames *frames, vsi_sqlite_written_fn fn, void *ctx, uint32_t *ret_number);

#endif
