/* SPDX-License-Identifier: MIT */
/* The file pages that a commit wrote, read from the WAL. */
#ifndef VSI_SQLITE_FRAMES_H
#define VSI_SQLITE_FRAMES_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/memory.h"
#include "vestry/error.h"

/* Where a commit is in the WAL. The salts and the frame identify it among all commits of a running database: numbers
 * begin anew if the index is recovered after a crash, and then the WAL continues, or has other salts. */
typedef struct vsi_sqlite_position {
  uint32_t number;   /* by which SQLite counts it */
  uint32_t salts[2]; /* of the WAL that contains it */
  uint32_t before;   /* the last frame before it; 0: none, in this WAL */
  uint32_t frame;    /* its last frame */
} vsi_sqlite_position;

/* One commit; or several that were lost: overwritten before they were read. */
typedef struct vsi_sqlite_written {
  TAILQ_ENTRY(vsi_sqlite_written) in;
  uint32_t number;          /* by which SQLite counts it */
  uint32_t salts[2], frame; /* of lost ones: those of the commit before them */
  uint32_t lost_count;      /* 0: it was read */
  uint32_t *pages;          /* a page may occur several times */
  size_t pages_count, pages_room;
  bool has_schema;  /* the schema has changed, or may have */
  bool has_inner;   /* it wrote a file page of an index that is no leaf */
  bool moves_pages; /* it may have moved file pages of any table (auto_vacuum) */
} vsi_sqlite_written;

static inline uint32_t vsi_sqlite_big_endian(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The position up to which the WAL was read, and the commits that were read and are not followed yet. One thread at a
 * time. */
typedef struct vsi_sqlite_frames {
  const vestry_host *host;
  sqlite3 *db;                    /* the library's own connection; no other thread uses it meanwhile */
  const _Atomic(uint32_t) *index; /* the header of the WAL's index */
  uint32_t number;                /* of the last commit that was read */
  uint32_t frame;                 /* the last frame that was read */
  uint32_t salts[2];              /* of the WAL that contains that frame */
  uint32_t schema;                /* the schema version, if it is known */
  bool knows_schema, moves_pages;
  TAILQ_HEAD(vsi_sqlite_written_list, vsi_sqlite_written) commits;
} vsi_sqlite_frames;

/* Map the header of the WAL's index, through the file of a connection that has read in WAL mode. It is valid as long as
 * this process has such a connection. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_frames_map(sqlite3_file *file, const _Atomic(uint32_t) **ret_index);

/* Return the number of the last commit that every connection can read. */
uint32_t vsi_sqlite_frames_number(const _Atomic(uint32_t) *index);
/* Return the place of the next commit up to `before`, for a connection that has the lock for writing. */
vsi_sqlite_position vsi_sqlite_frames_next(const _Atomic(uint32_t) *index);
/* Complete a place after its commit. */
void vsi_sqlite_frames_reach(const _Atomic(uint32_t) *index, uint32_t frame, vsi_sqlite_position *place);

/* The WAL up to the last commit. */
typedef struct vsi_sqlite_extent {
  uint32_t number; /* of that commit */
  uint64_t bytes;
} vsi_sqlite_extent;
/* While a commit is being written, its number and size may be those of before or after it, independently: its frames
 * are in the WAL by then. */
vsi_sqlite_extent vsi_sqlite_frames_extent(const _Atomic(uint32_t) *index);
/* Return the number of frames that no checkpoint has copied into the database. */
uint32_t vsi_sqlite_frames_uncopied(const _Atomic(uint32_t) *index);

/* Begin after the last commit. OK | BUSY (it is being written all the time) | IO */
vestry_err vsi_sqlite_frames_init(vsi_sqlite_frames *frames, const vestry_host *host, sqlite3 *db,
                                  const _Atomic(uint32_t) *index);
/* Remove all commits. */
void vsi_sqlite_frames_clear(vsi_sqlite_frames *frames);
/* Read the commits since the last call, in their order, up to the last one that all connections can see now. If the WAL
 * was restarted before some commits were read, these are lost.
 *  Returns  OK | BUSY (nothing was read, try again) | NOT_FOUND (an unknown number of commits is lost: reading
 *           continues after them, and no commit is left that was read before) */
vestry_err vsi_sqlite_frames_read(vsi_sqlite_frames *frames);
/* Remove the first commit. place: of one that was lost, for the next one if it is lost, too */
void vsi_sqlite_frames_remove(vsi_sqlite_frames *frames, const vsi_sqlite_position *place);
/* Return whether a commit that was read is at a place. A lost one follows the commit before it in the same WAL, or is
 * the first one of another WAL. */
bool vsi_sqlite_frames_is_at(const vsi_sqlite_written *written, const vsi_sqlite_position *place);

#endif
