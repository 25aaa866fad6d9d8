/* SPDX-License-Identifier: MIT */
/* Databases and their connections, as the files of this folder see them.
 *
 * Every commit to the file has a number, by which SQLite itself counts commits, so a process does not depend on others
 * for it. A connection that commits knows its number in advance, because no other connection can commit then. It
 * announces the number in the commit hook, together with the changes of the transaction, and the changes are published
 * when the commit is visible. A number that was not announced belongs to a commit of another connection. A number that
 * was announced, and whose connection has not yet determined whether it has committed, may belong to either.
 *
 * One lock guards the announcements and the accounted numbers. Topics are refreshed under it; the index follows commits
 * without it. No SQL runs under it except that of the database's own connection, which does not wait.
 *
 * A hook notes changes, and publishes commits; it runs no SQL and renders nothing. */
#ifndef VSI_SQLITE_SQLITE_H
#define VSI_SQLITE_SQLITE_H

#include <pthread.h>

#include "app/guard/tab_owner.h"
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
#include "vestry/app/tab.h"
#include "vestry/registry.h"

#define VSI_SQLITE_TAB_TABLE  "vestry_tab"
#define VSI_SQLITE_TABS_TOPIC "vestry_tab"
enum {
  VSI_SQLITE_WINDOW = 4096, /* how many numbers after the last accounted one can be distinguished */
  VSI_SQLITE_TAB_COLUMN = 1,
  VSI_SQLITE_PLACES = 64
};

/* Memory for a commit of `made` that changes few rows. */
typedef union vsi_sqlite_commit_place {
  max_align_t align;
  unsigned char bytes[384];
} vsi_sqlite_commit_place;

/* A tab's state was read, so its expiry must be postponed. */
typedef struct vsi_sqlite_touch {
  struct vsi_sqlite_touch *next;
  vsi_tab_owner whose; /* followed by the bytes of its scope */
  unsigned char scope[];
} vsi_sqlite_touch;

/* A position in the sequence of commits. WAL mode and the other modes have different sequences. */
typedef struct vsi_sqlite_number {
  uint32_t value;
  bool is_wal;
} vsi_sqlite_number;

struct vestry_sqlite {
  vestry_pages *pages;
  const vestry_host *host;
  char *path;
  vsi_siphash_key secret;        /* for hashes of topics and keys, which users may choose */
  vestry_sqlite_options options; /* defaults filled in; do not use path */
  bool records, records_pages;   /* reads of renders are recorded; in WAL mode also file pages */
  bool is_observing;
  _Atomic(bool) has_index;          /* wal_index is set */
  _Atomic(bool) has_frames;         /* the WAL is read; commits of other connections then need nothing else */
  vestry_sqlite_connection *writer; /* of writer_db; set once, before the thread starts; its changes refresh nothing */
  vsi_sqlite_index *index;          /* observes renders and follows commits; both need no lock of the database */
  vsi_sqlite_tables tables;
  _Atomic(uint64_t) renders;       /* the last number given to one */
  _Atomic(uint32_t) others;        /* followed commits of other connections */
  vsi_sqlite_tab_pages tab_pages;  /* file pages of states of tabs */
  _Atomic(bool) tabs_are_anywhere; /* the file pages of some states are not known */
  sqlite3 *db;                     /* own connection, which only reads; used under lock */
  sqlite3_file *file;              /* of db */
  vsi_mutex writer_lock;           /* locked before lock; guards the use of writer_db and touch */
  sqlite3 *writer_db;              /* own connection, which records that states were read */
  sqlite3_stmt *touch;             /* of writer_db; NULL: not needed yet */
  pthread_t thread;
  bool has_thread;
  vsi_mutex lock; /* guards all below */
  /* What each commit uses, in few cache lines. */
  bool is_roused;              /* the thread must check, or has just checked and will check again */
  bool is_signal_due;          /* the release of the lock signals `end` */
  bool is_lost;                /* there was a commit with an unknown number */
  vsi_sqlite_number seen;      /* all commits up to this one are accounted for */
  uint32_t accounted_count;    /* of later numbers */
  vsi_sqlite_commit_list made; /* commits of attached connections that are not followed yet */
  /* The first free place. Places have no link to the one before, because a commit would write it into memory that the
   * thread has used on another processor. Written under the lock. Relaxed: without it, it is only a hint. */
  _Atomic(vsi_sqlite_commit *) spare;
  const _Atomic(uint32_t) *wal_index; /* header of the WAL's index; NULL: not in WAL mode, which db then keeps */
  uint64_t seq;                       /* of the last refresh */
  vestry_sqlite_stats stats;
  pthread_cond_t end;
  bool is_open; /* it can be read */
  bool is_over;
  vsi_sqlite_frames frames;
  size_t shared_count;     /* commits of frames whose changes peers can read */
  vsi_sqlite_peers *peers; /* NULL: not in WAL mode, or no memory */
  uint64_t yielded_ns;     /* since when checks leave commits to the threads of their connections; 0: they do not */
  uint64_t looked_ns;      /* start of the last check, as the time of other connections' commits */
  LIST_HEAD(, vestry_sqlite_connection) connections;
  vsi_sqlite_files files;                     /* of db; noted with wal_index */
  bool has_moved;                             /* a path leads to another file; this was logged */
  bool has_links;                             /* the file has several names; this was logged */
  bool is_failing;                            /* the last read of the file failed; this was logged */
  vsi_repeated_log failures;                  /* what follows commits, or attaches connections, has logged */
  bool is_table_level;                        /* a connection's file pages are unknown; this was logged */
  uint64_t accounted[VSI_SQLITE_WINDOW / 64]; /* of later numbers; bit n % WINDOW */
  vsi_sqlite_touch *touches;
  size_t touches_count;
  vsi_sqlite_commit_place places[VSI_SQLITE_PLACES]; /* side by side, so that they take few entries of the TLB */
};

struct vestry_sqlite_connection {
  vestry_sqlite *database;
  sqlite3 *db;
  sqlite3_file *file;
  LIST_ENTRY(vestry_sqlite_connection) in; /* of the database; guarded by its lock */
  /* The running or announced transaction. It belongs to the connection's thread; once it is announced, it is guarded by
   * the database's lock. */
  vsi_sqlite_topics topics;
  vsi_sqlite_changes changes;
  uint64_t changer; /* number of the render that made all changes so far; 0: not a render */
  bool has_changes;
  bool is_seen;       /* another render has read uncommitted changes */
  bool changes_tabs;  /* the changes include rows of VSI_SQLITE_TAB_TABLE */
  bool is_sure;       /* it certainly changes a byte of the file */
  bool has_deleted;   /* a row was deleted, or reported as deleted */
  bool has_others;    /* a row was inserted or updated, or reported so */
  bool has_removed;   /* a row was deleted or updated */
  bool is_mixed;      /* it writes another file, too */
  vestry_trace trace; /* of the commit, for any thread that follows it; not sampled: none */
  /* Does the same as vsi_sqlite_settle on another thread, under the database's lock, for a commit in WAL mode whose
   * number is reached. Returns whether no call of SQLite was running on the connection; otherwise it does
   * nothing. */
  bool (*settle_idle)(vestry_sqlite_connection *connection);
  _Atomic(bool) is_announced;  /* its commit has begun, and is not published yet */
  vsi_sqlite_number announced; /* its number, if it takes place */
  bool is_shared;              /* another connection has the same cache */
  /* Belongs to the connection's thread. */
  bool is_committing; /* after its commit hook, before any other hook */
  vsi_sqlite_reader reader;
  vsi_sqlite_left *left;   /* of the pool's connection to which it belongs; NULL: it belongs to none */
  int written;             /* count_written when a commit that is not sure was announced or settled */
  const void *changed_tab; /* the running statement updates the state of this tab, if it differs; NULL: another one */
};

struct vestry_sqlite_change {
  vestry_sqlite_connection *connection;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
};

/* ---------------------------------------------------------------------------- connections (connection.c) ---------- */

/* Same as vestry_sqlite_attach without its checks. NO_MEMORY | BUSY | EXISTS | IO */
vestry_err vsi_sqlite_connect(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection);
/* Publish what a connection has committed. It belongs to this thread. */
void vsi_sqlite_settle(vestry_sqlite_connection *connection);

/* ------------------------------------------------------------- commits (commits.c), under the database's lock ----- */

/* Get the number of the last commit.
 *  file      of any connection to the database
 *  Returns  whether it could be read */
bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number);
/* Find the WAL's index, if it exists by now, and read the WAL from now on. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_counter_open(vestry_sqlite *database);

/* Create and free the list of commits that are not followed yet. */
void vsi_sqlite_commits_init(vestry_sqlite *database);
void vsi_sqlite_commits_finish(vestry_sqlite *database);
/* Release the lock, and wake the thread if that is due: after the release, so that it does not wait for the lock. */
void vsi_sqlite_unlock(vestry_sqlite *database);
/* Wake the thread when the lock is released. */
void vsi_sqlite_rouse(vestry_sqlite *database);

/* How certain it is that an announced commit took place.
 * COMMITTED  it took place, under its number
 * FOUND      the same, but found by another thread than that of its connection
 * STANDING   it took place, and the number does not change
 * REACHED    its number is reached, by this commit or by that of another connection; both are assumed */
typedef enum vsi_sqlite_evidence {
  VSI_SQLITE_COMMITTED,
  VSI_SQLITE_FOUND,
  VSI_SQLITE_STANDING,
  VSI_SQLITE_REACHED
} vsi_sqlite_evidence;
/* Fetch the memory in which vsi_sqlite_publish will keep the changes: the thread has used it on another processor. The
 * lock need not be held. */
void vsi_sqlite_prepare_to_keep(const vestry_sqlite *database);
/* Refresh the topics of an announced commit, and follow its changes, or let the thread follow them. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence);
/* Discard a transaction that did not take place, before another one begins. */
void vsi_sqlite_forget(vestry_sqlite_connection *connection);

/* Refresh everything, because any connection may have changed anything. */
void vsi_sqlite_refresh_all(vestry_sqlite *database);
/* The same, and account for all commits up to this one. */
void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last);
/* Refresh for commits that are not accounted for, and queue them in the index, to be followed without the lock. OK |
 * BUSY (try again after a moment) | IO */
vestry_err vsi_sqlite_look(vestry_sqlite *database);
/* Log once that a path of the database's files leads to another file now, or to none; or that the file has several
 * names. */
void vsi_sqlite_miss_file(vestry_sqlite *database);
void *vsi_sqlite_follow(void *database); /* the thread; takes the lock */

/* --------------------------------------------------------------------------------- states of tabs (tab.c) --------- */

/* Postpone the expiry of a state, because it was read. The database's thread does this. */
void vsi_sqlite_tab_touch(vestry_sqlite *database, const vsi_tab_owner *whose);
/* Record the reads. On the database's own thread, or in vestry_sqlite_sync; no lock is held. Does not wait. */
void vsi_sqlite_tab_touch_all(vestry_sqlite *database);
void vsi_sqlite_tab_forget_touches(vestry_sqlite *database);
/* Begin and end the read of a state in a render. A commit of another connection has known file pages, but unknown
 * tabs. Therefore, if one of its file pages may contain states, all tabs are refreshed, by VSI_SQLITE_TABS_TOPIC.
 *  Returns  whether such a commit may have come between the start of the render and the read of a file page that was
 *           not read before */
void vsi_sqlite_tab_begins(vestry_sqlite *database, const vsi_sqlite_reader *reader);
bool vsi_sqlite_tab_ends(vestry_sqlite *database, const vsi_sqlite_reader *reader);

#endif
