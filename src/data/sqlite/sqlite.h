/* SPDX-License-Identifier: MIT */
/* Databases and their connections, as the files of this folder see them.
 *
 * Every commit to the file has a number: the one that SQLite itself counts commits with, so that a process need not ask
 * others. A connection that commits knows its number beforehand, since no other can commit then: it announces it in the
 * commit hook, together with what the transaction changed, and once it is committed, it is published. A number that was
 * not announced is another connection's commit; one that was announced, and whose connection has not said yet whether
 * it has committed, may be either.
 *
 * One lock guards what is announced and which numbers are accounted for. Under it pages are refreshed; no SQL runs but
 * that of the database's own connection, which does not wait.
 *
 * What belongs where: a hook notes, and publishes what was committed; it makes no SQL and renders nothing. */
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
  VSI_SQLITE_WINDOW = 4096,    /* numbers that can be told apart beyond the last one accounted for */
  VSI_SQLITE_TOUCHES_MAX = 256 /* states of tabs that wait for being noted as read */
};

/* The state of a tab was read: its end is to be put off. */
typedef struct vsi_sqlite_touch {
  struct vsi_sqlite_touch *next;
  vsi_tab_owner whose; /* the bytes of its scope follow */
  unsigned char scope[];
} vsi_sqlite_touch;

struct vestry_sqlite {
  vestry_pages *pages;
  const vestry_host *host;
  char *path;
  vestry_sqlite_options options; /* defaults filled in; path is not to be used */
  sqlite3_vfs *vfs;              /* whose clock states of tabs end by */
  sqlite3 *db;                   /* its own connection, which only reads; used under the lock */
  sqlite3_file *file;            /* of that */
  vsi_mutex writer_lock;         /* taken before the lock; guards what follows */
  sqlite3 *writer_db;            /* its own connection, which notes that states of tabs were read */
  vestry_sqlite_connection *writer;
  sqlite3_stmt *touch; /* of writer_db; NULL: it was not needed yet */
  pthread_t thread;
  bool has_thread;
  vsi_mutex lock; /* guards all below */
  pthread_cond_t end;
  bool is_open; /* it can be looked at */
  bool is_over;
  bool is_roused; /* the thread is to look, or has just done so and will again */
  vsi_sqlite_commits commits;
  const _Atomic(uint32_t) *wal_index; /* the head of the WAL's index, which all processes share; NULL: not in WAL mode.
                                         Once it is, it stays so, because db is open */
  LIST_HEAD(, vestry_sqlite_connection) connections;
  vsi_sqlite_number seen;                     /* up to this all commits are accounted for */
  bool is_lost;                               /* something was committed whose number cannot be told */
  bool has_moved;                             /* the path leads to another file; the log was told */
  bool is_failing;                            /* the file could not be read the last time; the log was told */
  bool is_coarse;                             /* a connection's pages are not known; the log was told */
  uint64_t accounted[VSI_SQLITE_WINDOW / 64]; /* of those after it; bit n % WINDOW */
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
  /* The transaction that runs, or that was announced: the connection's thread's, and once it is announced guarded by
   * the database's lock. */
  vsi_sqlite_topics topics;
  vsi_sqlite_transaction transaction;
  bool is_sure;                /* so that a byte of the file is another one */
  bool has_deleted;            /* a row went, or is said to have gone */
  bool has_others;             /* … and one came, or was updated */
  bool is_mixed;               /* another file's, too */
  _Atomic(bool) is_announced;  /* its commit was begun, and not published yet */
  vsi_sqlite_number announced; /* the number that it has, if it comes to be one */
  bool is_shared;              /* its cache is another one's, too */
  /* The connection's thread's. */
  vsi_sqlite_reader reader;
  int written;        /* pages that SQLite had written when a commit that is not sure was announced, or settled */
  bool is_committing; /* after its commit hook, and before any other */
  bool is_quiet;      /* what is changed now refreshes nothing */
};

struct vestry_sqlite_change {
  vestry_sqlite_connection *connection;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
};

/* What a result of SQLite's is here, once the database is followed; what is not to be expected gets a line in the log.
 *  doing  what was tried: "the state of a tab cannot be read" */
static inline vestry_err vsi_sqlite_fault(const vestry_sqlite *database, sqlite3 *db, int result, const char *doing) {
  const vsi_call call = {database->host, "SQLite", database->path};
  return vsi_sqlite_note(&call, db, result, doing);
}

#endif
