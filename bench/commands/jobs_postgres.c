/* SPDX-License-Identifier: MIT */
/* Tables that are created again in a separate schema, in the database of a URL. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs.h"
#include "postgres.h"
#include "vestry/data/jobs.h"
#include "vestry/data/postgres.h"
#include "vestry/vestry.h"

enum { CONNECTIONS = 16, WAIT_MS = 60000 };

static bool make(const jobs_options *is) {
  if (!channels_own_schema(is->url)) return false;
  PGconn *connection = PQconnectdb(is->url);
  PGresult *result = PQexec(connection, "SET client_min_messages = error; DROP TABLE IF EXISTS message, vestry_job,"
                                        " vestry_schema;"
                                        " CREATE TABLE message(number bigint)");
  const bool is_made = PQresultStatus(result) == PGRES_COMMAND_OK;
  if (!is_made) fprintf(stderr, "vestry-bench: jobs: %s\n", PQerrorMessage(connection));
  PQclear(result);
  PQfinish(connection);
  return is_made;
}

static void leave_all(const jobs_options *is) {
  (void)is;
}

static bool open_node(jobs_node *n, const jobs_options *is, const vestry_jobs_options *how) {
  vestry_sql_pool *pool = NULL;
  const vestry_postgres_pool_options options = {.url = is->url, .connections_count = CONNECTIONS, .wait_ms = WAIT_MS};
  if (!jobs_is_well(vestry_postgres_pool_create(&options, &pool), "vestry_postgres_pool_create")) return false;
  n->pool = pool;
  return jobs_is_well(vestry_jobs_create(pool, how, &n->jobs), "vestry_jobs_create");
}

static void close_node(jobs_node *n) {
  vestry_jobs_destroy(n->jobs);
  vestry_sql_pool_destroy(n->pool);
}

static vestry_err add_one(vestry_sql_transaction *transaction, jobs_node *n, int64_t number) {
  const vestry_job_order order = {.kind = "work", .payload = {&number, sizeof number}};
  vestry_err error = vestry_sql_run(transaction, "INSERT INTO message VALUES($1)", VESTRY_LIST(number), NULL, NULL);
  return error ? error : vestry_jobs_enqueue(n->jobs, transaction, &order, NULL);
}

static bool add(jobs_node *n, int64_t number) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction);
  if (!error) error = vestry_sql_end(transaction, add_one(transaction, n, number));
  return jobs_is_well(error, "a job is not added");
}

const jobs_database jobs_postgres = {
    .name = "postgres", .make = make, .remove = leave_all, .open = open_node, .close = close_node, .add = add};
