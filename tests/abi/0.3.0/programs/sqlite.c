/* SPDX-License-Identifier: MIT */
/* Pages over SQLite, followed for a moment. */
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <vestry/data/jobs.h>
#include <vestry/data/sqlite.h>
#include <vestry/vestry.h>

int main(void) {
  char path[] = "/tmp/vestry-outside-XXXXXX";
  vestry *instance;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *connection;
  vestry_sql_pool *pool;
  vestry_sql_sessions *sessions;
  vestry_jobs *jobs;
  sqlite3 *db;
  if (mkstemp(path) < 0 || vestry_create(NULL, &instance) || vestry_pages_create(instance, NULL, &pages)) return 1;
  if (vestry_sqlite_create(pages, &(vestry_sqlite_options){.path = path}, &database)) return 1;
  if (sqlite3_open(path, &db) || vestry_sqlite_attach(database, db, &connection)) return 1;
  if (sqlite3_exec(db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)", NULL, NULL, NULL)) return 1;
  if (vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.path = path}, &pool)) return 1;
  if (vestry_sql_sessions_create(pool, NULL, &sessions) || vestry_sqlite_pool_follow(pool, database)) return 1;
  if (vestry_sql_run_alone(pool, "INSERT INTO t VALUES(?)", VESTRY_LIST(2), NULL, NULL)) return 1;
  if (vestry_jobs_create(pool, NULL, &jobs) || vestry_jobs_step(jobs, NULL)) return 1;
  vestry_jobs_destroy(jobs);
  vestry_sqlite_pool_follow(pool, NULL);
  vestry_sql_sessions_destroy(sessions);
  vestry_sql_pool_destroy(pool);
  vestry_sqlite_detach(connection);
  sqlite3_close(db);
  vestry_sqlite_destroy(database);
  vestry_pages_destroy(pages);
  vestry_destroy(instance);
  unlink(path);
  printf("vestry %s\n", vestry_version());
  return 0;
}
