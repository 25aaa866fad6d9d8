/* SPDX-License-Identifier: MIT */
#ifndef VSI_SQLITE_COMMIT_H
#define VSI_SQLITE_COMMIT_H

#include <string.h>
#include <sys/queue.h>

#include "data/sqlite/frames.h"
#include "data/sqlite/tables.h"
#include "vestry/trace.h"

/* The changes of a commit. */
typedef struct vsi_sqlite_commit {
  bool is_whole;     /* everything, including the schema */
  bool is_of_render; /* made by a render: it refreshes nothing */
  bool knows_tables, knows_pages;
  bool has_removed; /* rows were removed or updated; meaningful if the tables are known */
  bool has_inner;   /* it wrote a file page of an index that is no leaf */
  bool is_rough;    /* it may have written file pages of tables that it did not change */
  /* The data that an attached connection has about its commit, kept until the commit is followed (commits.c); also
   * at and trace. */
  vsi_sqlite_position at;
  const vsi_sqlite_use *uses; /* sorted */
  size_t uses_count;
  const vsi_sqlite_key *keys; /* sorted */
  size_t keys_count;
  const uint32_t *pages;
  size_t pages_count;
  uint64_t at_ns; /* when it was seen (vestry_change_now_ns); 0: unknown */
  /* Of a copy, in its owner's list. */
  TAILQ_ENTRY(vsi_sqlite_commit) in;
  vestry_trace trace; /* the trace of the transaction */
} vsi_sqlite_commit;

typedef TAILQ_HEAD(vsi_sqlite_commit_list, vsi_sqlite_commit) vsi_sqlite_commit_list;

/* Return the size of a commit with its arrays. */
static inline size_t vsi_sqlite_commit_bytes_of(size_t uses_count, size_t keys_count, size_t pages_count) {
  return sizeof(vsi_sqlite_commit) + uses_count * sizeof(vsi_sqlite_use) + keys_count * sizeof(vsi_sqlite_key) +
         pages_count * sizeof(uint32_t);
}
/* Copy the arrays of a commit into the memory behind it. */
static inline void vsi_sqlite_commit_take_arrays(vsi_sqlite_commit *commit) {
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(commit + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(uses + commit->uses_count);
  uint32_t *pages = (uint32_t *)(keys + commit->keys_count);
  if (commit->uses_count) commit->uses = memcpy(uses, commit->uses, commit->uses_count * sizeof *uses);
  if (commit->keys_count) commit->keys = memcpy(keys, commit->keys, commit->keys_count * sizeof *keys);
  if (commit->pages_count) commit->pages = memcpy(pages, commit->pages, commit->pages_count * sizeof *pages);
}

#endif
