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
#include "base/after.h"
#include "base/call.h"
#include "base/log.h"
#include "base/memory.h"
#include "vestry/data/sql.h"

/* Selects the text of a statement that differs between the databases. */
typedef enum vsi_sql_dialect { VSI_SQL_OF_SQLITE, VSI_SQL_OF_POSTGRES, VSI_SQL_DIALECTS } vsi_sql_dialect;
/* The same statement for both databases; NULL: it does not exist for that one. */
typedef const char *const vsi_sql_texts[VSI_SQL_DIALECTS];

/* The tables of one part of this library in an application's database; their version is a row of vestry_schema. A new
 * version adds one step at the end. A step that was released must never change, because existing databases have
 * executed it. */
typedef struct vsi_sql_schema {
  const char *part;         /* lower case */
  const char *const *steps; /* SQL from version n to n + 1; n = 0: nothing exists. steps[0]: "CREATE KIND name…" */
  int version;              /* number of steps */
} vsi_sql_schema;

enum { VSI_SQL_NAME_BYTES = 64 };

/* Write the name of the table or index that the first step of a part creates first. */
static inline void vsi_sql_first_name(const vsi_sql_schema *schema, char ret_name[VSI_SQL_NAME_BYTES]) {
  const char *name = schema->steps[0];
  for (int words = 0; words < 2; words++) name += strcspn(name, " ") + 1;
  snprintf(ret_name, VSI_SQL_NAME_BYTES, "%.*s", (int)strcspn(name, " ("), name);
}

/* Another client has emptied vestry_schema, so the tables of a part exist, but seem to have no version. Then each step
 * is tried, and one that fails because its objects exist has been taken before. */
static inline void vsi_sql_log_lost_version(const vsi_call *call, const vsi_sql_schema *schema) {
  vsi_log(call->host, VESTRY_LOG_WARN,
          "%s, %s: vestry_schema had no version of vestry's tables (%s), although they exist; it was written again",
          call->function, call->name, schema->part);
}

/* A receiver is notified that a visible commit may have written to its table, if pages of the pool follow
 * commits. */
typedef struct vsi_sql_receiver_ops {
  size_t bytes; /* of a receiver, in its owner's memory. Zeroes: closed. Opening or closing twice does nothing */
  void (*open)(vestry_sql_pool *pool, void *receiver);
  void (*close)(vestry_sql_pool *pool, void *receiver);
  /* Begin to receive, before the table is read, so that the next commit that the reader may not see is reported. false:
   * nothing will be reported, because no commits are followed, the table is not known, or the receiver is closed. */
  bool (*listen)(vestry_sql_pool *pool, void *receiver);
  /* Set the table, by its oid and the number of its file. Returns whether these are unchanged. */
  bool (*know)(vestry_sql_pool *pool, void *receiver, uint32_t table, uint32_t file);
  /* Wait until a commit is reported, until rouse is called, which may have been before the wait, or until that time.
   * Returns whether a commit was reported since the last wait. */
  bool (*wait)(vestry_sql_pool *pool, void *receiver, uint64_t until_ns);
  void (*rouse)(vestry_sql_pool *pool, void *receiver);
} vsi_sql_receiver_ops;

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
  vestry_err (*run_alone)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                          void *ctx);
  vestry_err (*read)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                     void *ctx);
  size_t (*columns_count)(const vestry_sql_row *row);
  const char *(*text)(const vestry_sql_row *row, size_t column);
  int64_t (*integer)(const vestry_sql_row *row, size_t column);
  size_t (*bytes)(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity);
  /* Same as run_alone, for a statement that is safe to repeat: if the connection is lost meanwhile, it runs again. */
  vestry_err (*run_again)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                          void *ctx);
  /* Same as run_again, for a write whose loss in a crash would bring back something that has ended. Its commit waits
   * for the disk, even if the application has set its database so that commits do not. SQLite: unless `synchronous` is
   * OFF. PostgreSQL: the statement returns VSI_SQL_POSTGRES_FLUSHED. */
  vestry_err (*run_flushed)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx);
  /* Same as run_again, for a thread that has no transaction, and must not wait for transactions of the application. */
  vestry_err (*run_aside)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                          void *ctx);
  /* Return the transaction of this thread that is not READ_ASIDE; NULL: none. */
  vestry_sql_transaction *(*own)(vestry_sql_pool *pool);
  /* Return whether this thread renders a page, and its reads through this pool are recorded. */
  bool (*is_recorded)(vestry_sql_pool *pool);
  /* Same as read, but the page does not depend on what is read from the statement's table, because another mechanism
   * refreshes the page when that changes. PostgreSQL: the last column is the table's oid; one such table in a
   * render. */
  vestry_err (*read_unfollowed)(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                vestry_sql_row_fn row, void *ctx);
  /* Read the state of a tab, in a render (NULL: none) that depends on the topic that a write refreshes. Otherwise as
   * run_again; in the transaction of a recorded render as read. */
  vestry_err (*read_tab)(vestry_sql_pool *pool, vestry_render *render, const char *topic, const char *sql,
                         const vestry_value *values, vestry_sql_row_fn row, void *ctx);
  /* Record later that a state was read. NULL: tabs.c does this at once, or after the transaction of a recorded render,
   * and refreshes the pages after writes. */
  void (*touch_tab)(vestry_sql_pool *pool, const vsi_tab_owner *whose);
  /* Create the tables of a part, or bring them to this version, in one transaction; if they have this version, only
   * reads are necessary. Processes may do this concurrently. IO also: the tables are of a later version; nothing was
   * changed. */
  vestry_err (*bring)(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema);
  const vsi_sql_receiver_ops *receivers; /* NULL: no receivers */
} vsi_sql_ops;

struct vestry_sql_pool {
  const vsi_sql_ops *ops;
  const vestry_host *host;
  const char *name; /* for the log */
};

struct vestry_sql_transaction {
  vestry_sql_pool *pool;
  vestry_sql_kind kind; /* 0: each statement is a separate transaction */
  vsi_after *after;     /* functions to call after the end, if it writes, or is that of a recorded render */
};

struct vestry_sql_row {
  const vsi_sql_ops *ops;
};

/* Return the call for a log message. */
static inline vsi_call vsi_sql_call(const vestry_sql_pool *pool, const char *function) {
  return (vsi_call){pool->host, function, pool->name};
}

/* Return the text for this pool's database. */
static inline const char *vsi_sql_text_of(const vestry_sql_pool *pool, vsi_sql_texts texts) {
  return texts[pool->ops->dialect];
}

/* Statements for PostgreSQL run with the search_path of the application. If pg_catalog has no operator or function for
 * exactly the types of the arguments, a role with CREATE in a schema of the path can define one, and the server calls
 * it with the rights of the role that runs the statement. Therefore, the arguments have exact types, or the function's
 * name is qualified. tests/postgres/settings.py checks this with a schema that has all such operators. */

/* The current time in a statement: the parameter in milliseconds since 1970, or the database's own clock if it is 0:
 * that of SQLite, or that of the server at the start of the transaction. */
#define VSI_SQL_SQLITE_NOW(parameter)                                                                                  \
  "(CASE " parameter " WHEN 0 THEN CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) ELSE " parameter  \
  " END)"
#define VSI_SQL_POSTGRES_BY(clock, parameter)                                                                          \
  "(CASE " parameter "::bigint WHEN 0 THEN (extract(epoch FROM " clock                                                 \
  ")::float8 * 1000::float8)::bigint ELSE " parameter "::bigint END)"
#define VSI_SQL_POSTGRES_NOW(parameter) VSI_SQL_POSTGRES_BY("now()", parameter)
/* The same in seconds. */
#define VSI_SQL_SQLITE_NOW_S(parameter)   "(" VSI_SQL_SQLITE_NOW(parameter) " / 1000)"
#define VSI_SQL_POSTGRES_NOW_S(parameter) "(" VSI_SQL_POSTGRES_NOW(parameter) " / 1000)"

/* In the RETURNING of a statement for run_flushed: the commit waits for the disk. */
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

static inline vestry_value vsi_sql_text_or_null(const char *text) {
  return text ? vestry_value_string(text) : vestry_value_null();
}

static inline bool vsi_sql_is_writing(const vestry_sql_transaction *transaction) {
  return transaction && transaction->kind > VESTRY_SQL_READ_ASIDE;
}

#endif
