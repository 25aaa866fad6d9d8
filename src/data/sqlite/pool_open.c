/* SPDX-License-Identifier: MIT */
/* Creating a pool: the table of its functions, and opening. The file is created if it does not exist, its tables are
 * brought to their version, and each connection is set up. The first connection does everything that is done once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/options.h"
#include "base/wait.h"
#include "data/sqlite/pool.h"
#include "data/sqlite/schema.h"
#include "data/sqlite/sqlite.h"
#include "data/sqlite/tab.h"

enum {
  CONNECTIONS = 8,
  CONNECTIONS_MOST = 1024,
  ASIDE = 1,
  STATEMENTS = 64,
  WAIT_MS = 5000,
  BUSY_MS = 5000,
  MAX_WAL_BYTES = 16 << 20,
  FILE_MODE = 0600
};

static const char function[] = "vestry_sqlite_pool_create";

static int read_version(sqlite3 *db, int *ret_version) {
  return vsi_sqlite_ask(db, "PRAGMA user_version", NULL, ret_version);
}

/* Create the tables in one transaction. */
static int make_tables(sqlite3 *db, const vestry_sqlite_pool_options *given, int *ret_version) {
  char sql[64];
  int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!result) result = read_version(db, ret_version); /* another process may have been faster */
  if (!result && *ret_version < given->schema_version) {
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", given->schema_version);
    result = sqlite3_exec(db, given->schema, NULL, NULL, NULL);
    if (!result) result = sqlite3_exec(db, sql, NULL, NULL, NULL);
  }
  if (!result) result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  return result;
}

/* Set WAL mode. A connection that sets the mode reads and then writes. If two do this at the same time, SQLite rejects
 * one without waiting, because each would wait for the other. Therefore, try again for busy_ms. */
static int set_mode(sqlite3 *db, uint32_t busy_ms) {
  const uint64_t due_ns = vsi_monotonic_in_ms(busy_ms);
  for (;;) {
    int result = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if ((result & 0xff) != SQLITE_BUSY || vsi_monotonic_ns() >= due_ns) return result;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

static vestry_err see_to_tables(const vsi_sqlite_pool *pool, sqlite3 *db, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sqlite_pool_call(pool, function);
  int version = 0;
  int result = read_version(db, &version);
  vestry_err error = vsi_sqlite_fail(&call, db, result, "cannot read the database");
  if (!error && given->schema && version > given->schema_version)
    return vsi_refuse(&call, VESTRY_IO,
                      "the tables have version %d, but this program supports at most version %d; nothing was changed; "
                      "use the program that wrote them, or another file",
                      version, given->schema_version);
  if (!error) {
    result = set_mode(db, pool->options.busy_ms);
    error = vsi_sqlite_fail(&call, db, result, "cannot write the database");
  }
  if (error || !given->schema || version == given->schema_version) return error;
  result = make_tables(db, given, &version);
  error = vsi_sqlite_fail(&call, db, result, "cannot create the tables");
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return error;
}

/* Create the file with its mode from the beginning, because the files of its WAL and of the WAL's index get the same
 * mode. */
static void make_file(const vsi_sqlite_pool *pool) {
  int file = open(pool->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, (mode_t)pool->options.file_mode);
  if (file >= 0) close(file); /* otherwise SQLite reports the reason */
}

/* Prepare the statements of transactions. A read opens the WAL and its index, so that the first use needs no descriptor
 * that may be missing then. */
static vestry_err prepare_controls(const vsi_call *call, vsi_sqlite_conn *conn) {
  static const char *const texts[VSI_SQLITE_CONTROLS] = {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};
  int result = sqlite3_exec(conn->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
  for (int i = 0; i < VSI_SQLITE_CONTROLS && !result; i++)
    result = sqlite3_prepare_v3(conn->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &conn->controls[i], NULL);
  return vsi_sqlite_fail(call, conn->db, result, "cannot read the database");
}

static vestry_err open_one(vsi_sqlite_pool *pool, vsi_sqlite_conn *conn, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sqlite_pool_call(pool, function);
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  bool is_first = conn == pool->conns;
  if (is_first) make_file(pool);
  int result = sqlite3_open_v2(pool->path, &conn->db, flags, NULL);
  if (!result) result = sqlite3_busy_timeout(conn->db, (int)pool->options.busy_ms);
  vestry_err error = vsi_sqlite_fail(&call, conn->db, result, "cannot open the database");
  if (!error && is_first) {
    const char *name = sqlite3_db_filename(conn->db, "main");
    if (!name || !*name)
      return vsi_refuse(&call, VESTRY_INVALID, "options.path must name a file, because several connections use it");
    if (sqlite3_db_readonly(conn->db, "main") == 1)
      return vsi_sqlite_fail(&call, conn->db, SQLITE_READONLY, "cannot write the database");
    error = see_to_tables(pool, conn->db, given);
  }
  if (!error && given->setup) {
    result = sqlite3_exec(conn->db, given->setup, NULL, NULL, NULL);
    error = vsi_sqlite_fail(&call, conn->db, result, "cannot run options.setup");
  }
  return error ? error : prepare_controls(&call, conn);
}

static vestry_err open_all(vsi_sqlite_pool *pool, const vestry_sqlite_pool_options *given) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < pool->conns_count && !error; i++) {
    vsi_sqlite_conn *conn = &pool->conns[i];
    conn->pool = pool;
    conn->is.pool = &pool->is;
    conn->is_aside = i >= pool->options.connections_count;
    error = vsi_sqlite_statements_init(&conn->statements, pool->is.host, pool->options.statements_count);
    if (!error) error = open_one(pool, conn, given);
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------ operations ------ */

static vestry_err bring(vestry_sql_pool *pool, const char *called, const vsi_sql_schema *schema) {
  const vsi_call call = vsi_sql_call(pool, called);
  vestry_sql_transaction *is;
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &is);
  if (error) return error;
  error = vsi_sqlite_pool_check_file((vsi_sqlite_conn *)is, called);
  if (!error) error = vsi_sqlite_schema_bring(&call, ((vsi_sqlite_conn *)is)->db, schema);
  return vsi_sqlite_end(is, error);
}

static bool is_recorded(vestry_sql_pool *is) {
  vsi_sqlite_pool *pool = (vsi_sqlite_pool *)is;
  vsi_mutex_lock(&pool->lock);
  const bool is_followed = pool->database != NULL;
  vsi_mutex_unlock(&pool->lock);
  return is_followed;
}

static vestry_err read_unfollowed(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *transaction = NULL;
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  vestry_sqlite_connection *connection = ((vsi_sqlite_conn *)transaction)->connection;
  const bool was_paused = connection && vsi_sqlite_reader_pause(&connection->reader, true);
  error = vsi_sqlite_run(transaction, sql, values, row, ctx);
  if (connection) vsi_sqlite_reader_pause(&connection->reader, was_paused);
  return vsi_sqlite_end(transaction, error);
}

/* Read the state of a tab. A write to the state refreshes its page by the hooks of the connection that writes
 * (connection.c), so the read is not recorded like other reads. */
static vestry_err read_followed(vestry_sql_transaction *transaction, vestry_render *render, const char *topic,
                                const char *sql, const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  vestry_sqlite_connection *connection = ((vsi_sqlite_conn *)transaction)->connection;
  vsi_sqlite_commits *commits = &connection->database->commits;
  vsi_sqlite_reader *reader = &connection->reader; /* topics cover its reads */
  const bool is_recorded = render && commits->records;
  vestry_err error = is_recorded ? vestry_render_topic(render, VSI_SQLITE_TABS_TOPIC) : VESTRY_OK;
  if (error) return error;
  const bool was_paused = vsi_sqlite_reader_pause(reader, true);
  if (is_recorded) vsi_sqlite_commits_tab_begins(commits, reader);
  error = vsi_sqlite_run(transaction, sql, values, row, ctx);
  const vestry_change change = {.kind = VESTRY_REFRESH_TABLE, .name = VSI_SQLITE_TAB_TABLE};
  if (is_recorded && vsi_sqlite_commits_tab_ends(commits, reader))
    (void)vestry_refresh_for(connection->database->pages, topic, &change, NULL);
  vsi_sqlite_reader_pause(reader, was_paused);
  return error;
}

static vestry_err read_tab(vestry_sql_pool *pool, vestry_render *render, const char *topic, const char *sql,
                           const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *transaction = NULL;
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  error = ((vsi_sqlite_conn *)transaction)->connection
              ? read_followed(transaction, render, topic, sql, values, row, ctx)
              : vsi_sqlite_run(transaction, sql, values, row, ctx);
  return vsi_sqlite_end(transaction, error);
}

static vestry_err act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  vestry_sql_transaction *transaction;
  vestry_err error = vsi_sqlite_begin(pool, kind, &transaction);
  return error ? error : vsi_sqlite_end(transaction, fn(transaction, ctx));
}

static const vsi_sql_ops ops = {.dialect = VSI_SQL_OF_SQLITE,
                                .destroy = vsi_sqlite_pool_destroy,
                                .begin = vsi_sqlite_begin,
                                .end = vsi_sqlite_end,
                                .act = act,
                                .run = vsi_sqlite_run,
                                .run_alone = vsi_sqlite_run_alone,
                                .read = vsi_sqlite_run_alone,
                                .columns_count = vsi_sqlite_columns_count,
                                .text = vsi_sqlite_text,
                                .integer = vsi_sqlite_integer,
                                .bytes = vsi_sqlite_bytes,
                                .run_again = vsi_sqlite_run_alone,
                                .run_flushed = vsi_sqlite_run_flushed,
                                .run_aside = vsi_sqlite_run_aside,
                                .own = vsi_sqlite_pool_own,
                                .is_recorded = is_recorded,
                                .read_unfollowed = read_unfollowed,
                                .read_tab = read_tab,
                                .touch_tab = vsi_sqlite_touch_tab,
                                .bring = bring};

/* --------------------------------------------------------------------------------------------------- making ------- */

static void set_defaults(vestry_sqlite_pool_options *options) {
  if (!options->file_mode) options->file_mode = FILE_MODE;
  if (!options->connections_count) options->connections_count = CONNECTIONS;
  if (!options->aside_count) options->aside_count = ASIDE;
  if (!options->statements_count) options->statements_count = STATEMENTS;
  if (!options->wait_ms) options->wait_ms = WAIT_MS;
  if (!options->busy_ms) options->busy_ms = BUSY_MS;
  if (!options->max_wal_bytes) options->max_wal_bytes = MAX_WAL_BYTES;
}

static vestry_err refuse_options(const vestry_host *host, const char *path, const char *why) {
  const vsi_call call = {host, "vestry_sqlite_pool_create", path};
  return vsi_refuse(&call, VESTRY_INVALID, "%s", why);
}

static vsi_sqlite_pool *allocate(const vestry_host *host, const vestry_sqlite_pool_options *options) {
  size_t count = options->connections_count + options->aside_count;
  vsi_sqlite_pool *pool = vsi_calloc(host, 1, sizeof *pool + count * sizeof *pool->conns);
  char *path = vsi_strdup(host, options->path, strlen(options->path));
  if (!pool || !path) {
    vsi_free(host, pool);
    vsi_free(host, path);
    return NULL;
  }
  pool->is = (vestry_sql_pool){&ops, host, path};
  pool->path = path;
  pool->options = *options;
  pool->conns_count = count;
  vsi_mutex_init(&pool->lock, VSI_LOCK_SQLITE_POOL);
  pthread_cond_init(&pool->returned, NULL);
  return pool;
}

vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *given, vestry_sql_pool **ret_pool) {
  vestry_sqlite_pool_options options;
  if (!given || !ret_pool || VSI_OPTIONS_TAKE(vestry_sqlite_pool_options, options, given)) return VESTRY_INVALID;
  const vestry_host *host = options.host ? options.host : vestry_host_default();
  set_defaults(&options);
  if (!options.path || !*options.path || strcmp(options.path, ":memory:") == 0)
    return refuse_options(host, options.path ? options.path : "",
                          "options.path must name a file, because several connections use it");
  if (options.schema && options.schema_version < 1)
    return refuse_options(host, options.path, "options.schema requires a schema_version of at least 1");
  if (options.connections_count > CONNECTIONS_MOST || options.aside_count > CONNECTIONS_MOST)
    return refuse_options(host, options.path, "connections_count or aside_count is more than 1,024");
  vsi_sqlite_pool *pool = allocate(host, &options);
  if (!pool) return VESTRY_NO_MEMORY;
  vestry_err error = open_all(pool, &options);
  if (error)
    vsi_sqlite_pool_destroy(&pool->is);
  else
    *ret_pool = &pool->is;
  return error;
}
