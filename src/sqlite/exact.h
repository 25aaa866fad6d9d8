/* SPDX-License-Identifier: MIT */
/* Exact refresh of one database: renders are observed, commits are followed. The rest of the library calls this. */
#ifndef VSI_SQLITE_EXACT_H
#define VSI_SQLITE_EXACT_H

#include "sqlite/changes.h"
#include "sqlite/frames.h"
#include "sqlite/index.h"
#include "sqlite/reader.h"
#include "vestry/sqlite.h"

/* A commit of an attached connection, until it is followed. */
typedef struct vsi_sqlite_record vsi_sqlite_record;

typedef struct vsi_sqlite_exact {
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
  /* Guarded by the database's lock. */
  vsi_sqlite_frames frames;
  vsi_sqlite_record *first, **last;
} vsi_sqlite_exact;

/* What exact refresh has of a connection. The connection's thread's, and while its commit is announced under the
 * database's lock. */
typedef struct vsi_sqlite_actor {
  vsi_sqlite_reader reader;
  vsi_sqlite_changes changes;
  uint64_t changer; /* the render that has changed all so far, by its number; 0: not a render */
  bool has_changes;
  bool is_seen;      /* another render has read what is not committed */
  bool changes_tabs; /* rows of VSI_SQLITE_TAB_TABLE are among the changes */
} vsi_sqlite_actor;

/* level: DEFAULT is PAGES where it can be had. OK | NO_MEMORY | UNSUPPORTED | LIMIT (too many observe the pages) */
vestry_err vsi_sqlite_exact_init(vsi_sqlite_exact *exact, vestry_pages *pages, const vestry_host *host,
                                 const vestry_sqlite_options *options);
/* NULL-safe for one that is zero. */
void vsi_sqlite_exact_finish(vsi_sqlite_exact *exact);
/* The database is in WAL mode from now on. Under the database's lock. OK | BUSY | IO */
vestry_err vsi_sqlite_exact_follow_wal(vsi_sqlite_exact *exact, sqlite3 *db, const _Atomic(uint32_t) *index);

/* Whether what is read past the cache is recorded, too. */
static inline bool vsi_sqlite_exact_watches_files(const vsi_sqlite_exact *exact) {
  return exact->records_pages && vsi_sqlite_file_is_read_past_cache();
}

void vsi_sqlite_actor_init(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, sqlite3 *db);
void vsi_sqlite_actor_finish(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor);
/* Hooks. */
void vsi_sqlite_actor_statement(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, sqlite3_stmt *statement,
                                const char *text);
/* Returns whether a render makes the change: it refreshes nothing. */
bool vsi_sqlite_actor_row(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, int operation, const char *table,
                          int64_t old_rowid, int64_t new_rowid);

/* writes: a connection changes rows. leaves: it does so no more. If a render makes the change, that is settled when the
 * render ends. */
void vsi_sqlite_exact_writes(vsi_sqlite_exact *exact, void *writer);
void vsi_sqlite_exact_leaves(vsi_sqlite_exact *exact, const void *writer);

/* A render has read a tab's state, between these. Commits of others say which pages they wrote, and nothing of tabs: if
 * one of these pages may hold states, all tabs are refreshed, by VSI_SQLITE_TABS_TOPIC.
 *  Returns  whether one may have come between its beginning and its reading of a page that was not read before */
void vsi_sqlite_actor_tab_begins(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor);
bool vsi_sqlite_actor_tab_ends(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor);
#define VSI_SQLITE_TABS_TOPIC "vestry_tab"

/* All below: under the database's lock. */

/* The actor's transaction was committed, under that number.
 *  is_quiet  it refreshes nothing
 *  is_whole  it may have changed the schema
 *  Returns   whether it is to be followed: there is a WAL to read, which says better what was changed */
bool vsi_sqlite_exact_publish(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint32_t number, bool is_quiet,
                              bool is_whole, uint64_t *ret_seq);
/* The actor's transaction was committed under that number, or another connection's was: which of them is not known.
 * Returns as above. */
bool vsi_sqlite_exact_doubt(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint32_t number, uint64_t *ret_seq);
/* The actor's transaction was not committed. */
void vsi_sqlite_exact_forget(vsi_sqlite_exact *exact, vsi_sqlite_actor *actor, uint64_t *ret_seq);
/* Whether there is a WAL that is read: then commits of others need no more than that. */
static inline bool vsi_sqlite_exact_has_frames(const vsi_sqlite_exact *exact) {
  return atomic_load_explicit(&exact->has_frames, memory_order_relaxed);
}
/* Whether commits up to that number were not followed yet. */
bool vsi_sqlite_exact_is_behind(const vsi_sqlite_exact *exact, uint32_t number);
/* Have the connection that has announced a number publish it, if there is one. */
typedef void (*vsi_sqlite_publish_fn)(uint32_t number, void *ctx);
/* Follow what is committed. ret_whole: how often everything was refreshed. OK | BUSY (again later) */
vestry_err vsi_sqlite_exact_follow(vsi_sqlite_exact *exact, vsi_sqlite_publish_fn publish, void *ctx, uint64_t *ret_seq,
                                   uint64_t *ret_whole);
/* Anything may have changed. */
void vsi_sqlite_exact_whole(vsi_sqlite_exact *exact, uint64_t *ret_seq);

#endif
