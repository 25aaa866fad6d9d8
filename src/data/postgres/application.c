/* SPDX-License-Identifier: MIT */
/* PostgreSQL as the database of an application (vestry/app/application.h). */
#include "base/options.h"
#include "data/sql/sql.h"
#include "vestry/data/postgres.h"

static vestry_err read_options(const void *given, const vestry_host *host, vestry_postgres_database *ret_options) {
  if (!VSI_OPTIONS_TAKE(vestry_postgres_database, *ret_options, given)) return VESTRY_OK;
  return vsi_mistake_in_options(host, "vestry_postgres_application");
}

static vestry_err open_pool(const void *given, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool) {
  vestry_postgres_database own;
  vestry_postgres_pool_options pool;
  if (read_options(given, host, &own)) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(vestry_postgres_pool_options, pool, own.pool))
    return vsi_mistake_in_options(host, "vestry_postgres_application, pool");
  pool.size = sizeof pool;
  if (!pool.host) pool.host = host;
  if (place) pool.url = place;
  return vestry_postgres_pool_create(&pool, ret_pool);
}

static vestry_err follow_pool(const void *given, const char *place, vestry_sql_pool *pool, vestry_pages *pages,
                              void **ret_follower) {
  vestry_postgres_database own;
  vestry_postgres *made;
  (void)place; /* the pool has it */
  if (read_options(given, pool->host, &own)) return VESTRY_INVALID;
  vestry_err error = vestry_postgres_create(pages, pool, own.follow, &made);
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
    .size = sizeof vestry_postgres_application,
    .name = "PostgreSQL",
    .open = open_pool,
    .follow = follow_pool,
    .sync = sync_pages,
    .detach = detach,
    .destroy = destroy,
    .metrics = add_metrics,
};
