/* SPDX-License-Identifier: MIT */
/* The interface that data/sqlite and data/postgres implement for their shared code. A pool, a transaction and a row are
 * the first members of the database's own structs. The shared code is compiled once, into libvestry-app, and calls the
 * databases through this table. Therefore, a program that links both databases has one copy, and neither library
 * exports it. */
#ifndef VSI_SQL_SQL_H
#define VSI_SQL_SQL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app/guard/tab_owner.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/sql/call.h"
#include "data/sql/syntax.h"
#include "data/sql/thread_line.h"
#include "vestry/data/sql.h"

/* The same statement for both databases; NULL: it does not exist for that one. */
typedef const char *const vsi_sql_texts[VSI_SQL_DIALECTS];
#define VSI_SQL_BOTH(text)                                                                                             \
  { text, text }

/* The tables of one part of this library in an application's database; their version is a row of vestry_schema. A new
 * version adds one step at the end. A step that was released must never change, because existing databases have
 * executed it. Each statement succeeds if its object exists (IF NOT EXISTS), because another client may have emptied
 * vestry_schema. */
typedef struct vsi_sql_schema {
  const char *part;         /* lower case; NULL: the application itself, with one step, from any version to this one */
  const char *const *steps; /* SQL from version n to n + 1; n = 0: nothing exists */
  int version;              /* number of steps */
  bool is_optional;         /* it has only indexes that are not unique: without them, statements are only slower */
} vsi_sql_schema;

/* Return the result of a part whose tables have this version now. `why`: why the steps could not be taken; NULL: they
 * were. OK also: the part is optional, and goes without its indexes, which is logged. IO also: the version is later
 * than that of this library. */
VESTRY_API vestry_err vsi_sql_schema_result(const vsi_call *call, const vsi_sql_schema *schema, int64_t version,
                                            vestry_err error, const char *why);

/* The kind of a value, as far as its conversion to a member needs it. */
typedef enum vsi_sql_value {
  VSI_SQL_NULL,
  VSI_SQL_INTEGER, /* ops.integer returns it */
  VSI_SQL_DECIMAL, /* an exact number; ops.text returns it */
  VSI_SQL_REAL,
  VSI_SQL_BOOLEAN,
  VSI_SQL_TEXT,
  VSI_SQL_BYTES
} vsi_sql_value;

/* How a statement runs by itself, or in the transaction of this thread if there is one. */
typedef enum vsi_sql_how {
  VSI_SQL_RUN_ONCE,  /* as vestry_sql_run_alone */
  VSI_SQL_RUN_AGAIN, /* it is safe to repeat: if the connection is lost meanwhile, it runs again */
  /* Same as RUN_AGAIN, for an update. NOT_FOUND: it has changed no row. PostgreSQL: it returns the rows that it
   * changes. SQLite: it returns none, because with them it takes a sixth longer. */
  VSI_SQL_RUN_CHANGE,
  /* Same as RUN_AGAIN, for a write whose loss in a crash would bring back something that has ended. Its commit waits
   * for the disk, even if the application has set its database so that commits do not. SQLite: unless `synchronous` is
   * OFF. PostgreSQL: the statement returns VSI_SQL_POSTGRES_FLUSHED. */
  VSI_SQL_RUN_FLUSHED,
  VSI_SQL_RUN_ASIDE, /* same as RUN_AGAIN, for a thread without a transaction that must not wait for those of others */
  VSI_SQL_RUN_FOLLOWED, /* as vestry_sql_read */
  /* Same as RUN_FOLLOWED, but the page does not depend on what is read from the statement's table, because another
   * mechanism refreshes the page when that changes. PostgreSQL: the last column is the table's oid; one such table in a
   * render. */
  VSI_SQL_RUN_UNFOLLOWED
} vsi_sql_how;

typedef struct vsi_sql_ops {
  vsi_sql_dialect dialect;
  bool has_snapshots; /* transactions for reading have one snapshot, and cannot write */
  /* Same as the public functions, which have checked the arguments. */
  void (*destroy)(vestry_sql_pool *pool);
  vestry_err (*begin)(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction);
  vestry_err (*end)(vestry_sql_transaction *transaction, vestry_err error);
  vestry_err (*act)(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx);
  vestry_err (*run)(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                    vestry_sql_row_fn row, void *ctx);
  vestry_err (*run_by)(vestry_sql_pool *pool, vsi_sql_how how, const char *sql, const vestry_value *values,
                       vestry_sql_row_fn row, void *ctx);
  size_t (*columns_count)(const vestry_sql_row *row);
  const char *(*text)(const vestry_sql_row *row, size_t column);
  int64_t (*integer)(const vestry_sql_row *row, size_t column);
  size_t (*bytes)(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity);
  /* Return the time by the database's clock, in milliseconds since 1970. NULL: only statements know it. */
  int64_t (*now_ms)(vestry_sql_pool *pool);
  /* Return a connection that a thread may have now, under pool->lock; NULL: there is none. which: see pool.h */
  vestry_sql_transaction *(*find_free)(vestry_sql_pool *pool, unsigned which);
  /* Return whether this thread renders a page, and its reads through this pool are recorded. */
  bool (*is_recorded)(vestry_sql_pool *pool);
  /* Create the tables of a part, or bring them to this version, in one transaction; if they have this version, only a
   * read is necessary. Processes may do this concurrently. Returns vsi_sql_schema_result. */
  vestry_err (*bring)(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema);
  /* A column of a row. name: that of the result. real: the value of a number of any kind. */
  const char *(*name)(const vestry_sql_row *row, size_t column);
  vsi_sql_value (*kind)(const vestry_sql_row *row, size_t column);
  double (*real)(const vestry_sql_row *row, size_t column);
  /* Return whether the server has refused the last statement of a transaction that has failed, so that the same
   * transaction would fail again; false: the connection was lost. NULL: there is no connection to lose. */
  bool (*is_refused)(vestry_sql_transaction *transaction);
} vsi_sql_ops;

/* The resources for which threads wait. */
typedef enum vsi_sql_line { VSI_SQL_LINE_MAIN, VSI_SQL_LINE_ASIDE, VSI_SQL_LINE_TURN, VSI_SQL_LINES } vsi_sql_line;

struct vestry_sql_pool {
  const vsi_sql_ops *ops;
  const vestry_host *host;
  const char *name;             /* for the log */
  char *place, *setup;          /* the file or URL; SQL for new connections, NULL: none */
  vsi_repeated_log failures;    /* of statements, and of other calls that a request or a row can repeat */
  int64_t (*now_ms)(void *ctx); /* clock of tests, for all storages of the pool; NULL: the database's */
  /* The connections (data/sql/pool.h). */
  vsi_mutex lock;
  vsi_thread_line lines[VSI_SQL_LINES];       /* guarded by lock */
  bool is_written;                            /* guarded by lock: a thread has the turn to write */
  vestry_sql_pool_stats stats;                /* guarded by lock */
  uint32_t wait_ms;                           /* maximum time to wait for a connection */
  const uint64_t *look_ns;                    /* as for vsi_line_wait_locked */
  char *conns;                                /* the database's structs, of conn_bytes each */
  size_t conn_bytes, conns_count, main_count; /* main_count: the ordinary ones, which are first */
};

/* Functions that are called after a transaction: a list whose members embed a vsi_after as their first member. Used
 * only by the thread that has the transaction. */
typedef struct vsi_after {
  struct vsi_after *next;
  /* Called once, in no particular order; frees the member. No lock is held, and the connection has been released. */
  void (*fn)(struct vsi_after *self, bool is_committed);
} vsi_after;

static inline void vsi_after_add(vsi_after **list, vsi_after *after) {
  after->next = *list;
  *list = after;
}

/* Take the list, before another thread can get the connection to the database. */
static inline vsi_after *vsi_after_take(vsi_after **list) {
  vsi_after *after = *list;
  *list = NULL;
  return after;
}

static inline void vsi_after_run(vsi_after *after, bool is_committed) {
  for (vsi_after *next; after; after = next) {
    next = after->next;
    after->fn(after, is_committed);
  }
}

struct vestry_sql_transaction {
  vestry_sql_pool *pool;
  vestry_sql_kind kind; /* 0: each statement is a separate transaction */
  vsi_after *after;     /* functions to call after the end, if it writes, or is that of a recorded render */
  unsigned depth;       /* how often its thread has begun; guarded by pool->lock; 0: the connection is free */
  pthread_t owner;      /* guarded by pool->lock, while depth is not 0 */
};

struct vestry_sql_row {
  const vsi_sql_ops *ops;
};

/* Return the time for a statement: the database's, if it is known here; otherwise 0, and the statement computes it. */
static inline int64_t vsi_sql_now_ms(vestry_sql_pool *pool) {
  if (pool->now_ms) return pool->now_ms(NULL);
  return pool->ops->now_ms ? pool->ops->now_ms(pool) : 0;
}

/* Return the call for a log message. */
static inline vsi_call vsi_sql_call(vestry_sql_pool *pool, const char *function) {
  return (vsi_call){pool->host, function, pool->name, &pool->failures};
}

/* Return the text for this pool's database. */
static inline const char *vsi_sql_text_of(const vestry_sql_pool *pool, vsi_sql_texts texts) {
  return texts[pool->ops->dialect];
}

/* Run the statement for this pool's database, as ops.run_by, or in a transaction. */
static inline vestry_err vsi_sql_by(vestry_sql_pool *pool, vsi_sql_how how, vsi_sql_texts texts,
                                    const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  return pool->ops->run_by(pool, how, vsi_sql_text_of(pool, texts), values, row, ctx);
}
static inline vestry_err vsi_sql_in(vestry_sql_transaction *transaction, vsi_sql_texts texts,
                                    const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  return transaction->pool->ops->run(transaction, vsi_sql_text_of(transaction->pool, texts), values, row, ctx);
}

/* Statements for PostgreSQL run with the search_path of the application. If pg_catalog has no operator or function for
 * exactly the types of the arguments, a role with CREATE in a schema of the path can define one. The server then calls
 * that one, with the rights of the role that runs the statement. Therefore, the arguments have exact types, or the
 * function's name is qualified. tests/postgres/settings.py checks this with a schema that has all such operators. */

/* The current time in a statement: the parameter in milliseconds since 1970, or if it is 0 the clock of the server at
 * the start of the transaction. With SQLite, whose clock is known here, it is the parameter. */
#define VSI_SQL_POSTGRES_BY(clock, parameter)                                                                          \
  "(CASE " parameter "::bigint WHEN 0 THEN (extract(epoch FROM " clock                                                 \
  ")::float8 * 1000::float8)::bigint ELSE " parameter "::bigint END)"
#define VSI_SQL_POSTGRES_NOW(parameter) VSI_SQL_POSTGRES_BY("now()", parameter)
/* The same in seconds. */
#define VSI_SQL_SQLITE_NOW_S(parameter)   "(" parameter " / 1000)"
#define VSI_SQL_POSTGRES_NOW_S(parameter) "(" VSI_SQL_POSTGRES_NOW(parameter) " / 1000)"

/* In the RETURNING of a statement for VSI_SQL_RUN_FLUSHED: the commit waits for the disk. */
#define VSI_SQL_POSTGRES_FLUSHED                                                                                       \
  "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'local', true) END"

/* Counts the rows of a result in the int64_t to which ctx points. */
static inline void vsi_sql_count_row(const vestry_sql_row *row, void *ctx) {
  (void)row;
  ++*(int64_t *)ctx;
}

/* Return OK instead of NOT_FOUND, for a statement that may find nothing. */
static inline vestry_err vsi_sql_if_any(vestry_err error) {
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

/* The statement that removes some rows whose time has passed. Each storage runs it when it writes anyway, so its table
 * does not grow with rows that are never used again. Nodes that do this at the same time skip rows that others have
 * locked, so none waits. is_over: the condition for each database, with an index. */
#define VSI_SQL_EXPIRE(table, keys, is_over_of_sqlite, is_over_of_postgres)                                            \
  {                                                                                                                    \
    VSI_SQL_EXPIRE_IN(table, keys, is_over_of_sqlite, ""),                                                             \
        VSI_SQL_EXPIRE_IN(table, keys, is_over_of_postgres, " FOR UPDATE SKIP LOCKED")                                 \
  }
#define VSI_SQL_EXPIRE_IN(table, keys, is_over, locked)                                                                \
  "DELETE FROM " table " WHERE (" keys ") IN (SELECT " keys " FROM " table " WHERE " is_over " LIMIT 64" locked        \
  ") RETURNING 1"

/* Run such a statement, in the transaction of this thread if there is one. Adds the number of removed rows to *count.
 * NULL: they are not counted */
static inline vestry_err vsi_sql_remove(vestry_sql_pool *pool, vsi_sql_texts texts, const vestry_value *values,
                                        int64_t *count) {
  const vestry_sql_row_fn row = count ? vsi_sql_count_row : NULL;
  return vsi_sql_if_any(vsi_sql_by(pool, VSI_SQL_RUN_AGAIN, texts, values, row, count));
}

/* Return the error of a statement that must write a row of a table of this library, and returns that row. If it has
 * returned none, a trigger or a rule of others has dropped the row without an error: IO, which is logged. */
static inline vestry_err vsi_sql_if_written(vestry_sql_pool *pool, const char *function, const char *table,
                                            vestry_err error) {
  const vsi_call call = vsi_sql_call(pool, function);
  if (error != VESTRY_NOT_FOUND) return error;
  return vsi_refuse(&call, VESTRY_IO,
                    "the database has written no row of %s, and reported no error; look for a trigger, a rule or a "
                    "policy of this table",
                    table);
}

/* Mark a stored submission as done by its run, in the transaction of the run: a vsi_once_mark_fn (app/guard).
 * OK | LIMIT (the run does not hold it any more, or it is marked: roll back) | as vestry_sql_run */
vestry_err vsi_sql_once_mark(void *transaction, const vestry_once_submission *submission, const void *response,
                             size_t len);

static inline vestry_value vsi_sql_text_or_null(const char *text) {
  return text ? vestry_value_string(text) : vestry_value_null();
}

static inline bool vsi_sql_is_writing(const vestry_sql_transaction *transaction) {
  return transaction && transaction->kind > VESTRY_SQL_READ_ASIDE;
}

#endif
