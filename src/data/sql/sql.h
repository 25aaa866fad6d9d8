/* SPDX-License-Identifier: MIT */
/* The interface that data/sqlite and data/postgres implement for the code that both share. A pool, a transaction and a
 * row are the first members of the database's own structs. The shared code is compiled once, into libvestry-app, and
 * calls the databases through this table: so a program that links both has one copy, and neither library exports it. */
#ifndef VSI_SQL_SQL_H
#define VSI_SQL_SQL_H

#include <stdbool.h>

#include "app/guard/tab_owner.h"
#include "base/after.h"
#include "base/call.h"
#include "base/memory.h"
#include "vestry/data/sql.h"

/* By which a text is chosen where statements differ. */
typedef enum vsi_sql_dialect { VSI_SQL_OF_SQLITE, VSI_SQL_OF_POSTGRES, VSI_SQL_DIALECTS } vsi_sql_dialect;
/* The same statement in both; NULL: there is none in that one. */
typedef const char *const vsi_sql_texts[VSI_SQL_DIALECTS];

/* The tables of one part of this library, in an application's database; their version is a row of vestry_schema. A new
 * version is one step more at the end; a step that was released is never changed. */
typedef struct vsi_sql_schema {
  const char *part;         /* lower case */
  const char *const *steps; /* SQL that brings version n to n + 1, from 0, where there is nothing */
  int version;              /* how many there are */
} vsi_sql_schema;

/* An ear hears that a commit which can be seen by now may have written to its table, if pages of the pool follow
 * commits. */
typedef struct vsi_sql_ear_ops {
  size_t bytes; /* of one, which is its owner's memory; zeroes are closed. A second open or close does nothing */
  void (*open)(vestry_sql_pool *pool, void *ear);
  void (*close)(vestry_sql_pool *pool, void *ear);
  /* Listen, before the table is read, to the next commit that the reader may not see. false: nothing will be heard, as
   * no commits are followed, or the table is not known, or the ear is closed. */
  bool (*listen)(vestry_sql_pool *pool, void *ear);
  /* That is the table, by its oid and the number of its file. Returns whether it was that one before. */
  bool (*know)(vestry_sql_pool *pool, void *ear, uint32_t table, uint32_t file);
  /* Wait until it hears something, is roused, which may have come before, or until that time. Returns whether it has
   * heard something since the last wait. */
  bool (*wait)(vestry_sql_pool *pool, void *ear, uint64_t until_ns);
  void (*rouse)(vestry_sql_pool *pool, void *ear);
} vsi_sql_ear_ops;

typedef struct vsi_sql_ops {
  vsi_sql_dialect dialect;
  bool has_snapshots; /* one to read with sees what was committed when it began, and can write nothing */
  /* As the public functions, which have looked at their arguments. */
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
  /* run_alone of a statement that may be done twice: it is, if the connection was lost meanwhile. */
  vestry_err (*run_again)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                          void *ctx);
  /* The same for a thread that has no transaction and must not wait for those of the application. */
  vestry_err (*run_aside)(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                          void *ctx);
  /* Of this thread, one that is not aside; NULL: it has none. */
  vestry_sql_transaction *(*own)(vestry_sql_pool *pool);
  /* Whether this thread renders a page, and what it reads by this pool is recorded. */
  bool (*is_recorded)(vestry_sql_pool *pool);
  /* read, but a page does not depend on what is read of that table: something else tells when that changes.
   * PostgreSQL: the last column is the table's oid; one such table a render */
  vestry_err (*read_unfollowed)(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                vestry_sql_row_fn row, void *ctx);
  /* Read the state of a tab, in a render (NULL: none), which has named the topic that tells of its writes.
   * run_again. */
  vestry_err (*read_tab)(vestry_sql_pool *pool, vestry_render *render, const char *topic, const char *sql,
                         const vestry_value *values, vestry_sql_row_fn row, void *ctx);
  /* Note that a state was read, later. NULL: tabs.c does both, and tells of writes. */
  void (*touch_tab)(vestry_sql_pool *pool, const vsi_tab_owner *whose);
  /* Make the tables of a part, or bring them to this version, in one transaction. It is one look where they are of this
   * version. Processes may do it at once. IO also: they are of a later version; nothing was changed */
  vestry_err (*bring)(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema);
  const vsi_sql_ear_ops *ears; /* NULL: it has none */
} vsi_sql_ops;

struct vestry_sql_pool {
  const vsi_sql_ops *ops;
  const vestry_host *host;
  const char *name; /* for the log */
};

struct vestry_sql_transaction {
  vestry_sql_pool *pool;
  vestry_sql_kind kind; /* 0: each statement has its own */
  vsi_after *after;     /* what comes after it, if it writes */
};

struct vestry_sql_row {
  const vsi_sql_ops *ops;
};

/* For what is logged. */
static inline vsi_call vsi_sql_call(const vestry_sql_pool *pool, const char *function) {
  return (vsi_call){pool->host, function, pool->name};
}

/* That of this pool's. */
static inline const char *vsi_sql_text_of(const vestry_sql_pool *pool, vsi_sql_texts texts) {
  return texts[pool->ops->dialect];
}

/* The time in a statement: the parameter, milliseconds since 1970, or the database's own clock if it is 0: SQLite's,
 * or the server's, when the transaction began. */
#define VSI_SQL_SQLITE_NOW(parameter)                                                                                  \
  "(CASE " parameter " WHEN 0 THEN CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) ELSE " parameter  \
  " END)"
#define VSI_SQL_POSTGRES_NOW(parameter)                                                                                \
  "(CASE " parameter "::bigint WHEN 0 THEN (extract(epoch FROM now()) * 1000)::bigint ELSE " parameter "::bigint END)"

/* Counts rows, in the int64_t that ctx points to. */
static inline void vsi_sql_count_row(const vestry_sql_row *row, void *ctx) {
  (void)row;
  ++*(int64_t *)ctx;
}

/* Of a statement that may find nothing. */
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
