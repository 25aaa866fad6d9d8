/* SPDX-License-Identifier: MIT */
/* PostgreSQL as the database of an application (vestry/app/application.h). */
#include "data/sql/sql.h"
#include "vestry/data/postgres.h"

static vestry_postgres_database options_of(const void *given) {
  return given ? *(const vestry_postgres_database *)given : (vestry_postgres_database){0};
}

static vestry_err open_pool(const void *given, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool) {
  const vestry_postgres_database own = options_of(given);
  vestry_postgres_pool_options pool = own.pool ? *own.pool : (vestry_postgres_pool_options){0};
  if (!pool.host) pool.host = host;
  if (place) pool.url = place;
  return vestry_postgres_pool_create(&pool, ret_pool);
}

static vestry_err follow_pool(const void *given, const char *place, vestry_sql_pool *pool, vestry_pages *pages,
                              void **ret_follower) {
  vestry_postgres *made;
  (void)place; /* the pool has it */
  vestry_err error = vestry_postgres_create(pages, pool, options_of(given).follow, &made);
  if (!error) *ret_follower = made;
  return error;
}

/* Where commits cannot be followed, the settling is that of the pages alone. */
static vestry_err sync_pages(void *ctx, uint64_t *ret_seq, uint64_t timeout_ms) {
  if (vestry_postgres_level_get(ctx) == VESTRY_POSTGRES_TOPICS) return VESTRY_OK;
  return vestry_postgres_settle(ctx, timeout_ms, ret_seq);
}

static void detach(void *ctx) {
  vestry_postgres_detach(ctx);
}

static void destroy(void *ctx) {
  vestry_postgres_destroy(ctx);
}

static vestry_err add_metrics(void *database, vestry_sql_pool *pool, vestry_metrics *to) {
  vestry_err error = vestry_postgres_metrics(to, database);
  return error ? error : vestry_postgres_pool_metrics(to, pool);
}

const vestry_application_database vestry_postgres_application = {
    .name = "PostgreSQL",
    .open = open_pool,
    .follow = follow_pool,
    .sync = sync_pages,
    .detach = detach,
    .destroy = destroy,
    .metrics = add_metrics,
};
