/* SPDX-License-Identifier: MIT */
/* The commits to one database, in their order, and the renders that they concern. Renders are observed, commits are
 * followed. */
#ifndef VSI_SQLITE_COMMITS_H
#define VSI_SQLITE_COMMITS_H

#include <sys/queue.h>

#include "data/sqlite/changes.h"
#include "data/sqlite/frames.h"
#include "data/sqlite/index.h"
#include "data/sqlite/reader.h"
#include "vestry/data/sqlite.h"
#include "vestry/trace.h"

/* The data that an attached connection has about its commit, kept until the commit is followed. */
typedef struct vsi_sqlite_record vsi_sqlite_record;

typedef struct vsi_sqlite_commits {
  const vestry_host *host;
  vestry_pages *pages;
  bool records, records_pages; /* reads of renders are recorded; in WAL mode also file pages */
  bool is_observing;
  uint32_t max_file_pages;
  vsi_sqlite_index *index;
  vsi_sqlite_tables tables;
  _Atomic(uint32_t) generation; /* of the schema */
  _Atomic(uint64_t) numbers;
  _Atomic(bool) has_frames;
  _Atomic(uint32_t) others; /* followed commits of other connections */
  vsi_sqlite_tab_pages tab_pages;
  _Atomic(bool) tabs_are_anywhere; /* the file pages of some states are not known */
  void (*settle)(void *writer);    /* publishes what a connection committed in a render, before that ends */
  bool (*look)(
      void *commits); /* follows all that was committed until now; false: perhaps not all. Both are set first */
  /* Guarded by the database's lock. */
  vsi_sqlite_frames frames;
  TAILQ_HEAD(, vsi_sqlite_record) made; /* of commits that are not followed yet */
} vsi_sqlite_commits;

/* The changes of a connection's transaction so far. It belongs to the connection's thread; once its commit is
 * announced, it is guarded by the database's lock. */
typedef struct vsi_sqlite_transaction {
  vsi_sqlite_changes changes;
  uint64_t changer; /* number of the render that made all changes so far; 0: not a render */
  bool has_changes;
  bool is_seen;       /* another render has read uncommitted changes */
  bool changes_tabs;  /* the changes include rows of VSI_SQLITE_TAB_TABLE */
  vestry_trace trace; /* trace of the commit, for any thread that follows it; not sampled: none */
} vsi_sqlite_transaction;

/* A position in the sequence of commits. WAL mode and the other modes have different sequences. */
typedef struct vsi_sqlite_number {
  uint32_t value;
  bool is_wal;
} vsi_sqlite_number;

/* Begin to follow commits. level: DEFAULT is FILE_PAGES if possible. OK | NO_MEMORY | UNSUPPORTED | LIMIT (too many
 * observers of the pages) */
vestry_err vsi_sqlite_commits_init(vsi_sqlite_commits *commits, vestry_pages *pages, const vestry_host *host,
                                   const vestry_sqlite_options *options);
/* Stop following commits. A zeroed struct is accepted. */
void vsi_sqlite_commits_finish(vsi_sqlite_commits *commits);
/* Read the WAL from now on, because the database is in WAL mode. Under the database's lock. OK | BUSY | IO */
vestry_err vsi_sqlite_commits_follow_wal(vsi_sqlite_commits *commits, sqlite3 *db, const _Atomic(uint32_t) *index);

/* Return whether reads past the cache are recorded, too. */
static inline bool vsi_sqlite_commits_watches_files(const vsi_sqlite_commits *commits) {
  return commits->records_pages && vsi_sqlite_file_is_read_past_cache();
}

/* Note that a statement will read: another render may read the transaction's changes. */
void vsi_sqlite_transaction_read(vsi_sqlite_transaction *transaction, const vsi_sqlite_commits *commits);
/* Note that the connection changes a row. If a render makes the change, the connection is settled when the render ends.
 * Returns whether a render does; the change then refreshes nothing. */
bool vsi_sqlite_transaction_row(vsi_sqlite_transaction *transaction, vsi_sqlite_commits *commits, void *writer,
                                const vsi_sqlite_row *row);
/* Note that the connection is detached: the render in which it wrote need not settle it. */
void vsi_sqlite_commits_leaves(vsi_sqlite_commits *commits, const void *writer);

/* Begin and end the read of a tab's state in a render. A commit of another connection has known file pages, but unknown
 * tabs. Therefore, if one of its file pages may contain states, all tabs are refreshed, by VSI_SQLITE_TABS_TOPIC.
 *  Returns  whether such a commit may have come between the start of the render and the read of a file page that was
 *           not read before */
void vsi_sqlite_commits_tab_begins(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader);
bool vsi_sqlite_commits_tab_ends(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader);
#define VSI_SQLITE_TABS_TOPIC "vestry_tab"

/* All functions below are called under the database's lock. */

/* QUIET     the commit refreshes nothing
 * WHOLE     it may have changed the schema
 * DOUBTFUL  its number is reached by it or by the commit of another connection; it is unknown by which */
enum { VSI_SQLITE_QUIET = 1, VSI_SQLITE_WHOLE = 2, VSI_SQLITE_DOUBTFUL = 4 };
/* Add a commit with its number. traits: flags as above. Returns whether it must be followed, because there is a WAL,
 * which is more precise about the changes. */
bool vsi_sqlite_commits_add(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint32_t number,
                            unsigned traits, uint64_t *ret_seq);
/* Discard a transaction that was not committed. */
void vsi_sqlite_commits_forget(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint64_t *ret_seq);
/* Return whether the WAL is read. Commits of other connections then need nothing else. */
static inline bool vsi_sqlite_commits_have_frames(const vsi_sqlite_commits *commits) {
  return atomic_load_explicit(&commits->has_frames, memory_order_relaxed);
}
/* Lets the connections that have announced a number publish it. */
typedef void (*vsi_sqlite_publish_fn)(void *ctx, vsi_sqlite_number number);
/* Follow the commits up to the last number. ret_whole: counts how often everything was refreshed. OK | BUSY (try again
 * later) */
vestry_err vsi_sqlite_commits_follow(vsi_sqlite_commits *commits, uint32_t last, vsi_sqlite_publish_fn publish,
                                     void *ctx, uint64_t *ret_seq, uint64_t *ret_whole);
/* Refresh everything that was read, because anything may have changed. */
void vsi_sqlite_commits_whole(vsi_sqlite_commits *commits, uint64_t *ret_seq);

#endif
