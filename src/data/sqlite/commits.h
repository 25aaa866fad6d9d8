/* SPDX-License-Identifier: MIT */
/* The commits to one database, in their order, and which renders they concern: renders are observed, commits are
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

/* A commit of an attached connection, until it is followed: what the connection knows of it. */
typedef struct vsi_sqlite_record vsi_sqlite_record;

typedef struct vsi_sqlite_commits {
  const vestry_host *host;
  vestry_pages *pages;
  bool records, records_pages; /* renders' reads; and pages too, in WAL mode */
  bool is_observing;
  uint32_t max_file_pages;
  vsi_sqlite_index *index;
  vsi_sqlite_tables tables;
  _Atomic(uint32_t) generation; /* of the schema */
  _Atomic(uint64_t) numbers;
  _Atomic(bool) has_frames;
  _Atomic(uint32_t) others; /* commits of others that were followed */
  vsi_sqlite_tab_pages tab_pages;
  _Atomic(bool) tabs_are_anywhere; /* the pages of some are not known */
  void (*settle)(void *writer);    /* what a connection has committed in a render is published before the render ends */
  bool (*look)(
      void *commits); /* all that was committed until now is followed; false: perhaps not. Both are set first */
  /* Guarded by the database's lock. */
  vsi_sqlite_frames frames;
  TAILQ_HEAD(, vsi_sqlite_record) made; /* of commits that are not followed yet */
} vsi_sqlite_commits;

/* What a connection's transaction has changed so far. The connection's thread's, and once its commit is announced
 * guarded by the database's lock. */
typedef struct vsi_sqlite_transaction {
  vsi_sqlite_changes changes;
  uint64_t changer; /* the render that has changed all so far, by its number; 0: not a render */
  bool has_changes;
  bool is_seen;       /* another render has read what is not committed */
  bool changes_tabs;  /* rows of VSI_SQLITE_TAB_TABLE are among the changes */
  vestry_trace trace; /* that its commit is in, whatever thread follows that; not sampled: none */
} vsi_sqlite_transaction;

/* A position in the sequence of commits. In WAL mode and otherwise they are different sequences. */
typedef struct vsi_sqlite_number {
  uint32_t value;
  bool is_wal;
} vsi_sqlite_number;

/* level: DEFAULT is PAGES where it can be had. OK | NO_MEMORY | UNSUPPORTED | LIMIT (too many observe the pages) */
vestry_err vsi_sqlite_commits_init(vsi_sqlite_commits *commits, vestry_pages *pages, const vestry_host *host,
                                   const vestry_sqlite_options *options);
/* NULL-safe for one that is zero. */
void vsi_sqlite_commits_finish(vsi_sqlite_commits *commits);
/* The database is in WAL mode from now on. Under the database's lock. OK | BUSY | IO */
vestry_err vsi_sqlite_commits_follow_wal(vsi_sqlite_commits *commits, sqlite3 *db, const _Atomic(uint32_t) *index);

/* Whether what is read past the cache is recorded, too. */
static inline bool vsi_sqlite_commits_watches_files(const vsi_sqlite_commits *commits) {
  return commits->records_pages && vsi_sqlite_file_is_read_past_cache();
}

/* A statement is about to read: another render may read what the transaction has changed. */
void vsi_sqlite_transaction_read(vsi_sqlite_transaction *transaction, const vsi_sqlite_commits *commits);
/* A row is being changed, by that connection. If a render makes the change, the connection is settled when the render
 * ends. Returns whether one does: then the change refreshes nothing. */
bool vsi_sqlite_transaction_row(vsi_sqlite_transaction *transaction, vsi_sqlite_commits *commits, void *writer,
                                const vsi_sqlite_row *row);
/* The connection ends: the render that it writes in need not settle it. */
void vsi_sqlite_commits_leaves(vsi_sqlite_commits *commits, const void *writer);

/* A render has read a tab's state, between these. Commits of others say which pages they wrote, and nothing of tabs: if
 * one of these pages may hold states, all tabs are refreshed, by VSI_SQLITE_TABS_TOPIC.
 *  Returns  whether one may have come between its beginning and its reading of a page that was not read before */
void vsi_sqlite_commits_tab_begins(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader);
bool vsi_sqlite_commits_tab_ends(vsi_sqlite_commits *commits, const vsi_sqlite_reader *reader);
#define VSI_SQLITE_TABS_TOPIC "vestry_tab"

/* All below: under the database's lock. */

/* QUIET     the commit refreshes nothing
 * WHOLE     it may have changed the schema
 * DOUBTFUL  its number is reached, by it or by another connection's commit: which of them is not known */
enum { VSI_SQLITE_QUIET = 1, VSI_SQLITE_WHOLE = 2, VSI_SQLITE_DOUBTFUL = 4 };
/* The transaction is committed, under that number. traits: of those above. Returns whether it is to be followed: there
 * is a WAL to read, which says better what was changed. */
bool vsi_sqlite_commits_add(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint32_t number,
                            unsigned traits, uint64_t *ret_seq);
/* The transaction was not committed. */
void vsi_sqlite_commits_forget(vsi_sqlite_commits *commits, vsi_sqlite_transaction *transaction, uint64_t *ret_seq);
/* Whether there is a WAL that is read: then commits of others need no more than that. */
static inline bool vsi_sqlite_commits_have_frames(const vsi_sqlite_commits *commits) {
  return atomic_load_explicit(&commits->has_frames, memory_order_relaxed);
}
/* Have the connections that have announced a number publish it. */
typedef void (*vsi_sqlite_publish_fn)(void *ctx, vsi_sqlite_number number);
/* Follow what is committed, if that is not done up to the last number. ret_whole: how often everything was refreshed.
 * OK | BUSY (again later) */
vestry_err vsi_sqlite_commits_follow(vsi_sqlite_commits *commits, uint32_t last, vsi_sqlite_publish_fn publish,
                                     void *ctx, uint64_t *ret_seq, uint64_t *ret_whole);
/* Anything may have changed. */
void vsi_sqlite_commits_whole(vsi_sqlite_commits *commits, uint64_t *ret_seq);

#endif
