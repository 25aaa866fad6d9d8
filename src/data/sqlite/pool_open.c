/* SPDX-License-Identifier: MIT */
/* Creating a pool. The file is created if it does not exist, its tables are brought to their version, and each
 * connection is set up. The first connection does everything that is done once. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "data/sqlite/pool.h"
#include "data/sqlite/schema.h"

enum { BUSY_MS = 5000, MAX_WAL_BYTES = 16 << 20, FILE_MODE = 0600 };

static const char function[] = "vestry_sqlite_pool_create";
#define NO_FILE "options.path must name a file, because several connections use it"

/* Check the version of the application's tables, set WAL mode, and run options.schema if the version is lower than
 * options.schema_version. A later version is rejected, and its tables are not changed. */
static vestry_err see_to_tables(vsi_sqlite_pool *pool, sqlite3 *db, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sql_call(&pool->is, function);
  const vsi_sql_schema schema = {.steps = &given->schema, .version = given->schema ? given->schema_version : INT_MAX};
  int version;
  vestry_err error = vsi_sqlite_schema_check(&call, db, &schema, &version);
  if (error) return error;
  error = vsi_sqlite_fail(&call, db, vsi_sqlite_files_set_wal(db, pool->options.busy_ms), "cannot write the database");
  return error || !given->schema ? error : vsi_sqlite_schema_bring(&call, db, &schema);
}

/* Create the file with its mode from the beginning, because the files of its WAL and of the WAL's index get the same
 * mode. */
static void make_file(const vsi_sqlite_pool *pool) {
  int file = open(pool->is.place, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, (mode_t)pool->options.file_mode);
  if (file >= 0) close(file); /* otherwise SQLite reports the reason */
}

/* Check the file that was opened, and see to its tables. */
static vestry_err see_to_file(vsi_sqlite_pool *pool, const vsi_call *call, sqlite3 *db,
                              const vestry_sqlite_pool_options *given) {
  const char *name = sqlite3_db_filename(db, "main");
  if (!name || !*name) return vsi_refuse(call, VESTRY_INVALID, NO_FILE);
  if (sqlite3_db_readonly(db, "main") == 1)
    return vsi_sqlite_fail(call, db, SQLITE_READONLY, "cannot write the database");
  return see_to_tables(pool, db, given);
}

/* Join the processes that use the file. If its file system does not share memory among all of them, there is only
 * one. */
static vestry_err join(vsi_sqlite_pool *pool, const vsi_call *call) {
  const char *system = vsi_sqlite_files_far(pool->conns[0].db);
  if (system)
    vsi_log(pool->is.host, VESTRY_LOG_WARN,
            "%s, %s: the file is on %s, where processes of several machines or mounts have no shared memory, which WAL "
            "mode requires; use a local file system, or let only one process use the file: otherwise commits are lost",
            call->function, pool->is.place, system);
  if (vsi_sqlite_turn_open(&pool->turn, pool->conns[0].db, system)) return VESTRY_OK;
  return vsi_refuse(call, VESTRY_BUSY,
                    "another process uses the file, which is on a network file system or a similar one; end that "
                    "process first, or use a local file system");
}

static vestry_err open_all(vsi_sqlite_pool *pool, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sql_call(&pool->is, function);
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < pool->is.conns_count && !error; i++) {
    vsi_sqlite_conn *conn = &pool->conns[i];
    conn->pool = pool;
    if (i == 0) make_file(pool);
    error = vsi_sqlite_conn_open(conn, &call, i == 0);
    if (!error && i == 0) error = see_to_file(pool, &call, conn->db, given);
    if (!error) error = vsi_sqlite_conn_set_up(conn, &call);
  }
  if (error) return error;
  const int result = vsi_sqlite_copier_open(&pool->copier, pool->is.place);
  if (result) return vsi_sqlite_fail(&call, pool->copier.db, result, "cannot open the connection for checkpoints");
  error = join(pool, &call);
  if (error) return error;
  vsi_sqlite_files_note(&pool->files, pool->conns[0].db);
  (void)sqlite3_file_control(pool->conns[0].db, "main", SQLITE_FCNTL_VFS_POINTER, &pool->vfs);
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *given, vestry_sql_pool **ret_pool) {
  const vestry_sqlite_pool_options options = given ? *given : (vestry_sqlite_pool_options){0};
  const vsi_call call = {vsi_host(options.host), function, options.path ? options.path : "", NULL};
  if (!ret_pool) return vsi_mistake(call.host, function, "ret_pool is NULL");
  if (!*call.name || strcmp(call.name, ":memory:") == 0) return vsi_refuse(&call, VESTRY_INVALID, NO_FILE);
  const vsi_sql_pool_plan plan = {.ops = vsi_sqlite_pool_ops(),
                                  .place = options.path,
                                  .setup = options.setup,
                                  .schema = options.schema,
                                  .schema_version = options.schema_version,
                                  .pool_bytes = sizeof(vsi_sqlite_pool),
                                  .conn_bytes = sizeof(vsi_sqlite_conn),
                                  .connections_count = options.connections_count,
                                  .wait_ms = options.wait_ms};
  vestry_sql_pool *made;
  vestry_err error = vsi_sql_pool_make(&call, &plan, &made);
  if (error) return error;
  vsi_sqlite_pool *pool = (vsi_sqlite_pool *)made;
  pool->options = options;
  if (!options.file_mode) pool->options.file_mode = FILE_MODE;
  if (!options.max_wal_bytes) pool->options.max_wal_bytes = MAX_WAL_BYTES;
  if (!options.busy_ms) pool->options.busy_ms = BUSY_MS;
  pool->turn.most_ms = pool->options.busy_ms;
  error = open_all(pool, &options);
  if (error)
    vsi_sqlite_pool_destroy(made);
  else
    *ret_pool = made;
  return error;
}
