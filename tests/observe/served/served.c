/* SPDX-License-Identifier: MIT */
/* A server with all modules that have metrics: pages, a cluster with a NATS broker that finds no server, a database and
 * its pool, and those of PostgreSQL if a URL is given. Its metrics have all existing names: served
 * PATH-OF-A-NEW-DATABASE [URL] */
#include <stdio.h>

#include "vestry/civetweb.h"
#include "vestry/cluster/cluster.h"
#include "vestry/cluster/nats.h"
#include "vestry/data/postgres.h"
#include "vestry/data/sqlite.h"
#include "vestry/ops/observe.h"
#include "vestry/server.h"
#include "vestry/vestry.h"

typedef struct all {
  vestry *v;
  vestry_pages *pages;
  vestry_broker broker;
  vestry_cluster *cluster;
  vestry_sqlite *database;
  vestry_sql_pool *pool;
  vestry_postgres *postgres; /* NULL without a server, like its pool */
  vestry_sql_pool *postgres_pool;
  vestry_observe *observe;
} all;

static vestry_err more(vestry_metrics *metrics, void *ctx) {
  all *a = ctx;
  vestry_err error = vestry_sqlite_metrics(metrics, a->database);
  if (!error) error = vestry_sqlite_pool_metrics(metrics, a->pool);
  if (!error && a->postgres) error = vestry_postgres_metrics(metrics, a->postgres);
  if (!error && a->postgres) error = vestry_postgres_pool_metrics(metrics, a->postgres_pool);
  return error ? error : vestry_nats_metrics(metrics, &a->broker);
}

static vestry_err follow(all *a, const char *url) {
  vestry_err error = vestry_postgres_pool_create(&(vestry_postgres_pool_options){.url = url}, &a->postgres_pool);
  return error ? error : vestry_postgres_create(a->pages, a->postgres_pool, NULL, &a->postgres);
}

static vestry_err create(all *a, const char *path, const char *url) {
  static const char *const servers[] = {"nats://127.0.0.1:1"};
  static const char secret[] = "none but this process has any use for it";
  const vestry_nats_options nats = {.servers = servers, .servers_count = 1};
  const vestry_sqlite_pool_options pool = {.path = path, .schema = "CREATE TABLE t(x)", .schema_version = 1};
  vestry_err error = vestry_create(NULL, &a->v);
  if (!error) error = vestry_pages_create(a->v, NULL, &a->pages);
  if (!error) error = vestry_sqlite_pool_create(&pool, &a->pool);
  if (!error) error = vestry_sqlite_create(a->pages, &(vestry_sqlite_options){.path = path}, &a->database);
  if (!error && url) error = follow(a, url);
  if (!error) error = vestry_nats_create(&nats, &a->broker);
  const vestry_cluster_options cluster = {
      .node = "served", .secret = secret, .secret_len = sizeof secret, .pages = a->pages};
  if (!error) error = vestry_cluster_create(a->v, &a->broker, &cluster, &a->cluster);
  const vestry_observe_options observe = {
      .trusts_loopback = true, .pages = a->pages, .cluster = a->cluster, .more = more, .more_ctx = a};
  if (!error) error = vestry_observe_create(a->v, &observe, &a->observe);
  return error ? error : vestry_observe_mount(a->observe, "");
}

static void say(vestry_server *server, void *ctx) {
  printf("http://127.0.0.1:%u\n", (unsigned)server->port);
  fflush(stdout);
}

int main(int argc, char **argv) {
  all a = {.v = NULL};
  if (argc != 2 && argc != 3) return 2;
  vestry_err error = create(&a, argv[1], argv[2]);
  if (!error) error = vestry_server_run(a.v, &vestry_server_civetweb, &(vestry_server_options){.on_ready = say});
  if (error) fprintf(stderr, "served: %s\n", vestry_strerror(error));
  vestry_observe_destroy(a.observe);
  vestry_cluster_destroy(a.cluster);
  if (a.broker.ops) a.broker.ops->destroy(a.broker.broker);
  vestry_postgres_destroy(a.postgres);
  vestry_sql_pool_destroy(a.postgres_pool);
  vestry_sqlite_destroy(a.database);
  vestry_sql_pool_destroy(a.pool);
  vestry_pages_destroy(a.pages);
  vestry_destroy(a.v);
  return error != VESTRY_OK;
}
