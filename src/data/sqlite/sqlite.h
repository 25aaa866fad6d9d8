/* SPDX-License-Identifier: MIT */
/* Databases and their connections, as the files of this folder see them.
 *
 * The file is in WAL mode. Every commit to it has a number, by which SQLite itself counts commits, so a process does
 * not depend on others for it. A connection that commits knows its number in the commit hook, because no other
 * connection can commit then. SQLite calls the WAL hook exactly for commits of the connection that wrote something,
 * when they are visible; there the changes of the transaction are published under the number.
 *
 * A thread follows each number once: by the changes that were published under it, or else by the written file pages
 * alone. So a late, lost or missing publication makes a refresh less precise, and never prevents it.
 *
 * One lock guards the published changes; the index follows commits without it. No SQL runs under it except that of the
 * database's own connection, which does not wait.
 *
 * A hook notes changes, and publishes commits; it runs no SQL and renders nothing. */
#ifndef VSI_SQLITE_SQLITE_H
#define VSI_SQLITE_SQLITE_H

#include <pthread.h>

#include "base/siphash.h"
#include "data/sqlite/changes.h"
#include "data/sqlite/fault.h"
#include "data/sqlite/files.h"
#include "data/sqlite/frames.h"
#include "data/sqlite/index.h"
#include "data/sqlite/peers.h"
#include "data/sqlite/reader.h"
#include "data/sqlite/schema.h"
#include "data/sqlite/statements.h"
#include "vestry/registry.h"

enum { VSI_SQLITE_RING = 1024 /* published commits that are not followed yet */ };

struct vestry_sqlite {
  vestry_pages *pages;
  const vestry_host *host;
  char *path;
  vsi_siphash_key secret;        /* for hashes of keys, which users may choose */
  vestry_sqlite_options options; /* defaults filled in; do not use path */
  bool records_pages;            /* file pages that renders read are recorded */
  bool is_observing;
  const _Atomic(uint32_t) *wal_index; /* header of the WAL's index */
  vsi_sqlite_index *index;            /* observes renders and follows commits; both need no lock of the database */
  vsi_sqlite_tables tables;
  _Atomic(uint64_t) renders; /* the last number given to one */
  sqlite3 *db;               /* own connection, which only reads, and keeps the file in WAL mode; used under lock */
  pthread_t thread;
  bool has_thread;
  vsi_mutex lock; /* guards all below */
  /* What each commit uses, in few cache lines. */
  bool is_roused;            /* the thread must check, or has just checked and will check again */
  bool is_signal_due;        /* the release of the lock signals `end` */
  uint32_t seen;             /* number of the last commit that was followed */
  vestry_sqlite_stats stats; /* the index counts renders, under its own lock */
  pthread_cond_t end;
  bool is_open; /* it can be read */
  bool is_over;
  vsi_sqlite_frames frames;
  vsi_sqlite_peers *peers;
  uint32_t awaited;         /* the number of a commit whose changes may come */
  uint64_t awaited_from_ns; /* 0: none */
  uint64_t looked_ns;       /* start of the last check, as the time of other connections' commits */
  LIST_HEAD(, vestry_sqlite_connection) connections;
  vsi_sqlite_files files;                   /* of db */
  bool has_moved;                           /* a path leads to another file; this was logged */
  bool has_links;                           /* the file has several names; this was logged */
  vsi_repeated_log failures;                /* what follows commits, or attaches connections, has logged */
  bool is_table_level;                      /* a connection's file pages are unknown; this was logged */
  vsi_sqlite_commit *made[VSI_SQLITE_RING]; /* published commits that are not followed yet, by number */
};

struct vestry_sqlite_connection {
  vestry_sqlite *database;
  sqlite3 *db;
  sqlite3_file *file;
  LIST_ENTRY(vestry_sqlite_connection) in; /* of the database; guarded by its lock */
  _Atomic(uint64_t) announced; /* the number of a commit that has begun and is not published yet, + 1; 0: none */
  /* All below belongs to the connection's thread: the changes since the last commit that was published, and where the
   * announced one is, if it takes place. */
  vsi_sqlite_changes changes;
  uint64_t changer; /* number of the render that made all changes so far; 0: not a render */
  bool has_changes;
  bool is_seen;       /* another render has read uncommitted changes */
  bool has_removed;   /* a row was deleted or updated */
  bool is_rough;      /* a statement has changed something other than rows */
  vestry_trace trace; /* of the commit, for any thread that follows it; not sampled: none */
  vsi_sqlite_position at;
  bool is_late;   /* the next call of the WAL hook may be for an earlier commit */
  bool is_shared; /* another connection has the same cache, so its WAL hook may be called instead */
  vsi_sqlite_reader reader;
  bool *left;      /* of the pool's connection to which it belongs; NULL: it belongs to none */
  int copied_each; /* frames after which a commit copies the WAL, as SQLite's own WAL hook did; 0: never */
};

/* ---------------------------------------------------------------------------- connections (connection.c) ---------- */

/* Outside of a transaction: decide about a commit that was announced and not published, because it has written nothing,
 * or because its statement was reset before its end. The connection belongs to this thread. Runs SQL. */
void vsi_sqlite_settle(vestry_sqlite_connection *connection);

/* ------------------------------------------------------------------------------------- commits (commits.c) -------- */

/* Publish the changes of a commit, which has taken place at connection->at. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection);
/* Discard the changes of a transaction that did not take place, or of one that is followed by its file pages. */
void vsi_sqlite_forget(vestry_sqlite_connection *connection);

/* All below: under the database's lock. */

/* Forget all commits that are not followed yet. */
void vsi_sqlite_commits_forget(vestry_sqlite *database);
/* Release the lock, and wake the thread if that is due: after the release, so that it does not wait for the lock. */
void vsi_sqlite_unlock(vestry_sqlite *database);
/* Wake the thread when the lock is released. */
void vsi_sqlite_rouse(vestry_sqlite *database);

/* Follow the commits since the last look: queue them in the index, which follows them without the lock. OK | BUSY (try
 * again after a moment) */
vestry_err vsi_sqlite_look(vestry_sqlite *database);
/* Log once that a path of the database's files leads to another file now, or to none; or that the file has several
 * names. */
void vsi_sqlite_miss_file(vestry_sqlite *database);
void *vsi_sqlite_follow(void *database); /* the thread; takes the lock */

#endif
