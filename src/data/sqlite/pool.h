/* SPDX-License-Identifier: MIT */
/* A pool, and its connections, which threads check out and release. */
#ifndef VSI_SQLITE_POOL_H
#define VSI_SQLITE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "data/sql/pool.h"
#include "data/sqlite/copier.h"
#include "data/sqlite/fault.h"
#include "data/sqlite/files.h"
#include "data/sqlite/statements.h"
#include "data/sqlite/turn.h"
#include "vestry/data/sqlite.h"

/* Statements that begin and end a transaction. They are prepared when the connection is opened, so that its end needs
 * no memory for them. */
typedef enum vsi_sqlite_control {
  VSI_SQLITE_BEGIN,
  VSI_SQLITE_COMMIT,
  VSI_SQLITE_ROLLBACK,
  VSI_SQLITE_CONTROLS
} vsi_sqlite_control;

typedef struct vsi_sqlite_pool vsi_sqlite_pool;

typedef struct vsi_sqlite_conn {
  vestry_sql_transaction is;            /* the part that the caller sees; the first member */
  sqlite3 *db;                          /* NULL: closed; the next transaction opens it */
  vestry_sqlite_connection *connection; /* NULL: no pages follow it */
  vsi_sqlite_pool *pool;
  vsi_sqlite_statements statements;
  sqlite3_stmt *controls[VSI_SQLITE_CONTROLS];
  bool left;           /* a statement may have left something, so it is closed when it is released */
  bool is_alone;       /* its one statement is a transaction by itself (VSI_SQLITE_ALONE) */
  vestry_err ended_by; /* the failure of a statement that ended its transaction early; OK: none that is known */
  bool was_normal;     /* PRAGMA synchronous was NORMAL, and is FULL until the end of this transaction */
  vsi_sqlite_wal wal;  /* before its transaction for writing */
  int copied_each;     /* frames after which the WAL is copied; 0: options.setup has turned this off */
  unsigned reads;      /* transactions for reading */
} vsi_sqlite_conn;

struct vsi_sqlite_pool {
  vestry_sql_pool is;                 /* the part that the application sees; the first member */
  vestry_sqlite_pool_options options; /* its own defaults filled in; do not use its texts */
  vestry_sqlite_commit_fn on_commit;  /* guarded by is.lock; NULL: none */
  void *on_commit_ctx;
  vsi_sqlite_turn turn;     /* of the writer */
  vsi_sqlite_copier copier; /* of the writer */
  vsi_sqlite_files files;   /* of all connections */
  sqlite3_vfs *vfs;         /* of the file; its clock is that of statements */
  /* Relaxed: two threads may check at the same time. */
  _Atomic(uint64_t) names_checked_ns; /* when the names of the files were checked */
  _Atomic(bool) has_moved;            /* a path leads to another file; this was logged */
  uint64_t wal_next_bytes;            /* of the writer: size at which to try again to empty the WAL; 0: no failure */
  vestry_sqlite *database;            /* guarded by is.lock: its pages follow; NULL: none */
  vsi_sqlite_conn conns[];            /* that for READ_ASIDE is aside */
};

const vsi_sql_ops *vsi_sqlite_pool_ops(void); /* run.c */

/* Functions of vsi_sql_ops. */
void vsi_sqlite_pool_destroy(vestry_sql_pool *pool);
vestry_sql_transaction *vsi_sqlite_pool_find_free(vestry_sql_pool *pool, unsigned which);
vestry_err vsi_sqlite_begin(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction);
vestry_err vsi_sqlite_end(vestry_sql_transaction *transaction, vestry_err error);
/* The same as vsi_sqlite_begin; how: bits of vsi_sqlite_how */
typedef enum vsi_sqlite_how {
  VSI_SQLITE_ALONE = 1,   /* for writing: its one statement is a transaction by itself, without BEGIN and COMMIT. It
                             saves the journal of 64 KiB that SQLite keeps for a statement in a transaction */
  VSI_SQLITE_FLUSHED = 2, /* for writing: the commit waits for the disk */
  VSI_SQLITE_ASIDE = 4    /* on a connection for READ_ASIDE */
} vsi_sqlite_how;
vestry_err vsi_sqlite_begin_by(vestry_sql_pool *pool, vestry_sql_kind kind, unsigned how,
                               vestry_sql_transaction **ret_transaction);

/* Return the pool, or the connection; NULL: of another database. */
static inline vsi_sqlite_pool *vsi_sqlite_pool_of(vestry_sql_pool *pool) {
  return pool && pool->ops->dialect == VSI_SQL_SQLITE ? (vsi_sqlite_pool *)pool : NULL;
}
static inline vsi_sqlite_conn *vsi_sqlite_conn_of(vestry_sql_transaction *transaction) {
  return transaction && vsi_sqlite_pool_of(transaction->pool) ? (vsi_sqlite_conn *)transaction : NULL;
}
/* Open a connection, which is closed, to the pool's file. creates: if the file is missing, create
 * it. Failures, here and below, are logged, and the connection must be closed. */
vestry_err vsi_sqlite_conn_open(vsi_sqlite_conn *conn, const vsi_call *call, bool creates);
/* Run options.setup, let the authorizer note what statements leave on the connection, and prepare its controls. */
vestry_err vsi_sqlite_conn_set_up(vsi_sqlite_conn *conn, const vsi_call *call);
/* Return the database whose pages follow the pool; NULL: none. */
vestry_sqlite *vsi_sqlite_pool_database(vsi_sqlite_pool *pool);
/* Return whether a connection is free that is not for READ_ASIDE. */
bool vsi_sqlite_pool_has_free(vestry_sql_pool *pool);
/* Check that the paths still lead to the files of this connection, which belongs to this thread. OK | IO (a file was
 * removed, replaced or cut, so writes would be lost, and reads are outdated; this is logged once) */
vestry_err vsi_sqlite_pool_check_file(vsi_sqlite_conn *conn, const char *function);
/* Note that an operation of this pool has failed on this thread. If the thread renders a page that follows, the page
 * depends on every commit from then on, unless it reads aside; and it renders again later if that may help. */
void vsi_sqlite_pool_note(vsi_sqlite_pool *pool, bool is_aside, vestry_err error);

#endif
