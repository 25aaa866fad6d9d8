/* SPDX-License-Identifier: MIT */
/* essay: checked-out connections, one writer, and the threads that wait */
/* The connections of a pool, which threads check out and release, for both databases. A connection is used by one
 * thread at a time. A thread that has one gets the same one again: otherwise it could wait for itself, when a part of a
 * page reads inside the page's render, and it would not see its own writes.
 *
 * The last connection of a pool is aside: a thread may have it and an ordinary one. Waiting threads form a
 * queue (data/sql/thread_line.h) for each kind, and one for the turn to write, if the database has one writer. A writer
 * waits for the turn first, and then for a connection, so that threads that wait for the turn hold no connection. */
#ifndef VSI_SQL_POOL_H
#define VSI_SQL_POOL_H

#include "data/sql/sql.h"

enum {
  VSI_SQL_ASIDE = VSI_SQL_LINE_ASIDE, /* in `which`: a connection that is aside. Other bits are those of the database */
  VSI_SQL_STATEMENTS = 64,            /* prepared statements that a connection keeps */
  VSI_SQL_FROM_NOW = 1                /* a time to wait until: wait_ms from the first time that this thread must wait */
};

static inline vestry_sql_transaction *vsi_sql_conn_at(const vestry_sql_pool *pool, size_t number) {
  return (vestry_sql_transaction *)(pool->conns + number * pool->conn_bytes);
}
static inline bool vsi_sql_is_aside(const vestry_sql_transaction *conn) {
  return (const char *)conn >= conn->pool->conns + conn->pool->main_count * conn->pool->conn_bytes;
}

/* A pool that is to be made. Numbers that are 0 select the defaults of both databases. */
typedef struct vsi_sql_pool_plan {
  const vsi_sql_ops *ops;
  const char *place, *setup; /* copied; setup: NULL: none */
  const char *schema;        /* options.schema; NULL: none */
  int schema_version;
  size_t pool_bytes, conn_bytes; /* of the database's structs, which begin with those of sql.h */
  uint32_t connections_count, wait_ms;
} vsi_sql_pool_plan;

/* Make a pool whose connections, with one that is aside, follow it in memory; its other members are zero. OK | INVALID
 * (an option, which is logged) | NO_MEMORY */
VESTRY_API vestry_err vsi_sql_pool_make(const vsi_call *call, const vsi_sql_pool_plan *plan,
                                        vestry_sql_pool **ret_pool);
/* Free a pool whose own members have been freed. */
VESTRY_API void vsi_sql_pool_free(vestry_sql_pool *pool);

/* Return the connection of one kind that this thread has; NULL: none. */
VESTRY_API vestry_sql_transaction *vsi_sql_own_locked(const vestry_sql_pool *pool, bool is_aside);
/* Take a free connection for this thread, which may have others; NULL: none became free in time. */
VESTRY_API vestry_sql_transaction *vsi_sql_take_locked(vestry_sql_pool *pool, unsigned which,
                                                       uint64_t *in_out_until_ns);
/* Take the turn to write; false: it did not become free in time. A transaction for writing has it until its connection
 * is released. */
VESTRY_API bool vsi_sql_take_turn_locked(vestry_sql_pool *pool, uint64_t *in_out_until_ns);
VESTRY_API void vsi_sql_give_turn_locked(vestry_sql_pool *pool);
/* Release a connection: this thread no longer has it, nor the turn. */
VESTRY_API void vsi_sql_give_back_locked(vestry_sql_transaction *conn);

/* Return the connection that this thread has, whose depth grows, or take a free one; NULL: none became free in time. */
VESTRY_API vestry_sql_transaction *vsi_sql_take(vestry_sql_pool *pool, unsigned which, uint64_t until_ns);
VESTRY_API void vsi_sql_give_back(vestry_sql_transaction *conn);
/* Return whether the connection must be released, because its thread has begun once. Otherwise its depth is
 * decreased. */
VESTRY_API bool vsi_sql_is_last(vestry_sql_transaction *conn);
/* A function of vsi_sql_ops. */
VESTRY_API vestry_sql_transaction *vsi_sql_own(vestry_sql_pool *pool);
/* Refuse a call because no connection became free. why: more about this; "": nothing. Returns LIMIT */
VESTRY_API vestry_err vsi_sql_refuse(vestry_sql_pool *pool, const char *function, const char *why);
/* Count one more of pool->stats. */
VESTRY_API void vsi_sql_count(vestry_sql_pool *pool, uint64_t *counter);

#endif
