/* SPDX-License-Identifier: MIT */
/* SQLite as the database of an application (vestry/app/application.h). The follower is the pool, which has the followed
 * database. */
#include "data/sqlite/pool.h"

static vestry_sqlite_database options_of(const void *given) {
  return given ? *(const vestry_sqlite_database *)given : (vestry_sqlite_database){0};
}

static vestry_err open_pool(const void *given, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool) {
  const vestry_sqlite_database own = options_of(given);
  const vestry_sqlite_level level = own.follow ? own.follow->level : VESTRY_SQLITE_DEFAULT;
  vestry_sqlite_pool_options pool = own.pool ? *own.pool : (vestry_sqlite_pool_options){0};
  if (!pool.host) pool.host = host;
  if (place) pool.path = place;
  /* If it cannot be recorded, vestry_sqlite_create takes another level, or logs why it cannot. */
  if (level != VESTRY_SQLITE_TABLES) (void)vestry_sqlite_record_pages();
  return vestry_sqlite_pool_create(&pool, ret_pool);
}

static vestry_err follow_pool(const void *given, const char *place, vestry_sql_pool *pool, vestry_pages *pages,
                              void **ret_follower) {
  const vestry_sqlite_database own = options_of(given);
  vestry_sqlite_options follow = own.follow ? *own.follow : (vestry_sqlite_options){0};
  vestry_sqlite *database = NULL;
  (void)place; /* the pool has it */
  follow.path = pool->place;
  vestry_err error = vestry_sqlite_create(pages, &follow, &database);
  if (!error) error = vestry_sqlite_pool_follow(pool, database);
  if (error)
    vestry_sqlite_destroy(database);
  else
    *ret_follower = pool;
  return error;
}

static void *followed(void *pool) {
  return vsi_sqlite_pool_database(pool);
}

static vestry_err sync_pages(void *pool, uint64_t *ret_seq, uint64_t timeout_ms) {
  (void)timeout_ms; /* it waits for no other process, unless one is writing */
  return vestry_sqlite_sync(followed(pool), ret_seq);
}

/* The pages still exist here, as vestry_sqlite_destroy requires. */
static void detach(void *pool) {
  vestry_sqlite *database = followed(pool);
  (void)vestry_sqlite_pool_follow(pool, NULL); /* no connection is in use */
  vestry_sqlite_destroy(database);
}

static void destroy(void *pool) {
  (void)pool; /* the application destroys it */
}

static vestry_err add_metrics(void *follower, vestry_sql_pool *pool, vestry_metrics *to) {
  vestry_err error = vestry_sqlite_metrics(to, followed(follower));
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
