/* SPDX-License-Identifier: MIT */
/* SQLite as the database of an application (vestry/app/application.h). */
#include "base/memory.h"
#include "data/sql/sql.h"
#include "vestry/data/sqlite.h"

typedef struct follower {
  vestry_sql_pool *pool;
  vestry_sqlite *database;
} follower;

/* Read the options of the pool and of the followed database, which is the same file. */
static void read_options(const void *given, const char *place, const vestry_host *host,
                         vestry_sqlite_pool_options *ret_pool, vestry_sqlite_options *ret_follow) {
  const vestry_sqlite_database own = given ? *(const vestry_sqlite_database *)given : (vestry_sqlite_database){0};
  *ret_pool = own.pool ? *own.pool : (vestry_sqlite_pool_options){0};
  *ret_follow = own.follow ? *own.follow : (vestry_sqlite_options){0};
  if (!ret_pool->host) ret_pool->host = host;
  if (place) ret_pool->path = place;
  ret_follow->path = ret_pool->path;
}

static vestry_err open_pool(const void *given, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool) {
  vestry_sqlite_pool_options pool;
  vestry_sqlite_options follow;
  read_options(given, place, host, &pool, &follow);
  /* If it cannot be recorded, vestry_sqlite_create takes another level, or logs why it cannot. */
  if (follow.level == VESTRY_SQLITE_DEFAULT || follow.level == VESTRY_SQLITE_FILE_PAGES)
    (void)vestry_sqlite_record_pages();
  return vestry_sqlite_pool_create(&pool, ret_pool);
}

static vestry_err follow_pool(const void *given, const char *place, vestry_sql_pool *pool, vestry_pages *pages,
                              void **ret_follower) {
  vestry_sqlite_pool_options ignored;
  vestry_sqlite_options follow;
  read_options(given, place, pool->host, &ignored, &follow);
  follower *made = vsi_calloc(pool->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->pool = pool;
  vestry_err error = vestry_sqlite_create(pages, &follow, &made->database);
  if (!error) error = vestry_sqlite_pool_follow(pool, made->database);
  if (!error) {
    *ret_follower = made;
    return VESTRY_OK;
  }
  vestry_sqlite_destroy(made->database);
  vsi_free(pool->host, made);
  return error;
}

static vestry_err sync_pages(void *ctx, uint64_t *ret_seq, uint64_t timeout_ms) {
  (void)timeout_ms; /* it waits for no other process, unless one is writing */
  return vestry_sqlite_sync(((follower *)ctx)->database, ret_seq);
}

/* The pages still exist here, as vestry_sqlite_destroy requires. */
static void detach(void *ctx) {
  follower *of = ctx;
  (void)vestry_sqlite_pool_follow(of->pool, NULL); /* no connection is in use */
  vestry_sqlite_destroy(of->database);
}

static void destroy(void *ctx) {
  follower *of = ctx;
  vsi_free(of->pool->host, of);
}

static void *followed(void *ctx) {
  return ((follower *)ctx)->database;
}

static vestry_err add_metrics(void *ctx, vestry_sql_pool *pool, vestry_metrics *to) {
  vestry_err error = vestry_sqlite_metrics(to, ((follower *)ctx)->database);
  return error ? error : vestry_sqlite_pool_metrics(to, pool);
}

const vestry_application_database vestry_sqlite_application = {
    .name = "SQLite",
    .open = open_pool,
    .follow = follow_pool,
    .sync = sync_pages,
    .detach = detach,
    .destroy = destroy,
    .followed = followed,
    .metrics = add_metrics,
};
