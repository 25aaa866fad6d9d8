/* SPDX-License-Identifier: MIT */
/* The file pages that a commit wrote, read from the WAL. */
#ifndef VSI_SQLITE_FRAMES_H
#define VSI_SQLITE_FRAMES_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "vestry/error.h"

/* One commit. */
typedef struct vsi_sqlite_written {
  uint32_t number;       /* by which SQLite counts it */
  const uint32_t *pages; /* valid during the call; a page may occur several times */
  size_t pages_count;
  bool has_schema; /* the schema has changed, or may have */
} vsi_sqlite_written;

static inline uint32_t vsi_sqlite_big_endian(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

typedef void (*vsi_sqlite_written_fn)(const vsi_sqlite_written *written, void *ctx);

/* The position up to which the WAL was read. One thread at a time. */
typedef struct vsi_sqlite_frames {
  const vestry_host *host;
  sqlite3 *db;                    /* the library's own connection; no other thread uses it meanwhile */
  const _Atomic(uint32_t) *index; /* the header of the WAL's index */
  uint32_t number;                /* of the last commit that was read */
  uint32_t frame;                 /* the last frame that was read */
  uint32_t salts[2];              /* of the WAL that contains that frame */
  uint32_t schema;                /* the schema version, if it is known */
  bool knows_schema;
  uint32_t *pages;
  size_t pages_room;
} vsi_sqlite_frames;

/* Map the header of the WAL's index, through the file of a connection that has read in WAL mode. It is valid as long as
 * this process has such a connection. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_frames_map(sqlite3_file *file, const _Atomic(uint32_t) **ret_index);

/* The WAL up to the last commit. */
typedef struct vsi_sqlite_extent {
  uint32_t number; /* of that commit */
  uint64_t bytes;
} vsi_sqlite_extent;
/* OK | BUSY (a commit is being written) */
vestry_err vsi_sqlite_frames_extent(const _Atomic(uint32_t) *index, vsi_sqlite_extent *ret_extent);

/* Begin after the last commit. OK | BUSY (it is being written all the time) | IO */
vestry_err vsi_sqlite_frames_init(vsi_sqlite_frames *frames, const vestry_host *host, sqlite3 *db,
                                  const _Atomic(uint32_t) *index);
void vsi_sqlite_frames_finish(vsi_sqlite_frames *frames);
/* Read the commits since the last call, in their order, up to the last one that all connections can see now.
 *  Returns  OK | BUSY (nothing was read, try again) | NOT_FOUND (some commits are lost: reading continues after them,
 *           and the calls of fn during this call are not reliable) */
vestry_err vsi_sqlite_frames_read(vsi_sqlite_frames *frames, vsi_sqlite_written_fn fn, void *ctx);

#endif
