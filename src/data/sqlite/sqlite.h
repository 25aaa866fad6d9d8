/* SPDX-License-Identifier: MIT */
/* Databases and their connections, as the files of this folder see them.
 *
 * Every commit to the file has a number, by which SQLite itself counts commits, so a process does not depend on others
 * for it. A connection that commits knows its number in advance, because no other connection can commit then. It
 * announces the number in the commit hook, together with the changes of the transaction, and the changes are published
 * when the commit is visible. A number that was not announced belongs to a commit of another connection. A number that
 * was announced, and whose connection has not yet determined whether it has committed, may belong to either.
 *
 * One lock guards the announcements and the accounted numbers. Pages are refreshed under it. No SQL runs under it
 * except that of the database's own connection, which does not wait.
 *
 * A hook notes changes, and publishes commits; it runs no SQL and renders nothing. */
#ifndef VSI_SQLITE_SQLITE_H
#define VSI_SQLITE_SQLITE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "app/guard/tab_owner.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "data/sqlite/commits.h"
#include "data/sqlite/fault.h"
#include "data/sqlite/schema.h"
#include "data/sqlite/topics.h"
#include "vestry/app/tab.h"
#include "vestry/data/sqlite.h"
#include "vestry/registry.h"

enum {
  VSI_SQLITE_WINDOW = 4096,    /* how many numbers after the last accounted one can be distinguished */
  VSI_SQLITE_TOUCHES_MAX = 256 /* states of tabs that wait for being recorded as read */
};

/* A tab's state was read, so its expiry must be postponed. */
typedef struct vsi_sqlite_touch {
  struct vsi_sqlite_touch *next;
  vsi_tab_owner whose; /* followed by the bytes of its scope */
  unsigned char scope[];
} vsi_sqlite_touch;

struct vestry_sqlite {
  vestry_pages *pages;
  const vestry_host *host;
  char *path;
  vestry_sqlite_options options; /* defaults filled in; do not use path */
  sqlite3_vfs *vfs;              /* provides the clock by which states of tabs expire */
  sqlite3 *db;                   /* own connection, which only reads; used under lock */
  sqlite3_file *file;            /* of db */
  vsi_mutex writer_lock;         /* locked before lock; guards the next three */
  sqlite3 *writer_db;            /* own connection, which records that states were read */
  vestry_sqlite_connection *writer;
  sqlite3_stmt *touch; /* of writer_db; NULL: not needed yet */
  pthread_t thread;
  bool has_thread;
  vsi_mutex lock; /* guards all below */
  pthread_cond_t end;
  bool is_open; /* it can be read */
  bool is_over;
  bool is_roused; /* the thread must check, or has just checked and will check again */
  vsi_sqlite_commits commits;
  const _Atomic(uint32_t) *wal_index; /* header of the WAL's index; NULL: not in WAL mode, which db then keeps */
  LIST_HEAD(, vestry_sqlite_connection) connections;
  vsi_sqlite_number seen;                     /* all commits up to this one are accounted for */
  bool is_lost;                               /* there was a commit with an unknown number */
  bool has_moved;                             /* the path leads to another file; this was logged */
  bool is_failing;                            /* the last read of the file failed; this was logged */
  bool is_coarse;                             /* a connection's file pages are unknown; this was logged */
  uint64_t accounted[VSI_SQLITE_WINDOW / 64]; /* of later numbers; bit n % WINDOW */
  uint64_t seq;                               /* of the last refresh */
  vsi_sqlite_touch *touches;
  size_t touches_count;
  vestry_sqlite_stats stats;
};

struct vestry_sqlite_connection {
  vestry_sqlite *database;
  sqlite3 *db;
  sqlite3_file *file;
  LIST_ENTRY(vestry_sqlite_connection) in; /* of the database; guarded by its lock */
  /* The running or announced transaction. It belongs to the connection's thread; once it is announced, it is guarded by
   * the database's lock. */
  vsi_sqlite_topics topics;
  vsi_sqlite_transaction transaction;
  bool is_sure;                /* it certainly changes a byte of the file */
  bool has_deleted;            /* a row was deleted, or reported as deleted */
  bool has_others;             /* a row was inserted or updated, or reported so */
  bool is_mixed;               /* it writes another file, too */
  _Atomic(bool) is_announced;  /* its commit has begun, and is not published yet */
  vsi_sqlite_number announced; /* its number, if it takes place */
  bool is_shared;              /* another connection has the same cache */
  /* Belongs to the connection's thread. */
  vsi_sqlite_reader reader;
  int written;        /* count_written when a commit that is not sure was announced or settled */
  bool is_committing; /* after its commit hook, before any other hook */
  bool is_quiet;      /* current changes refresh nothing */
};

struct vestry_sqlite_change {
  vestry_sqlite_connection *connection;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
};

/* Return the error for a result of SQLite while the database is followed; unexpected results are logged.
 *  doing  the operation: "the state of a tab cannot be read" */
static inline vestry_err vsi_sqlite_fault(const vestry_sqlite *database, sqlite3 *db, int result, const char *doing) {
  const vsi_call call = {database->host, "SQLite", database->path};
  return vsi_sqlite_note(&call, db, result, doing);
}

#endif
