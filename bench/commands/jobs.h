/* SPDX-License-Identifier: MIT */
/* Nodes that add and run jobs of one database, in this process. */
#ifndef BENCH_COMMANDS_JOBS_H
#define BENCH_COMMANDS_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/data/jobs.h"

/* What the command was told. */
typedef struct jobs_options {
  const char *folder, *url;
  uint64_t jobs, delays, poll_ms;
} jobs_options;

/* A node. Zero is one that is closed. */
typedef struct jobs_node {
  void *pool;     /* the database's */
  void *followed; /* by its pages; NULL: it is not */
  vestry_jobs *jobs;
} jobs_node;

/* What a database does. Functions return false after one line on stderr that says why. */
typedef struct jobs_database {
  const char *name;
  bool can_follow;                        /* a node may read what others commit */
  bool (*make)(const jobs_options *is);   /* an empty one */
  void (*remove)(const jobs_options *is); /* also after a failure */
  bool (*open)(jobs_node *n, const jobs_options *is, const vestry_jobs_options *how, bool is_followed);
  void (*close)(jobs_node *n);               /* also after a failure */
  bool (*add)(jobs_node *n, int64_t number); /* a transaction writes a row, and adds a job with this payload */
} jobs_database;

extern const jobs_database jobs_sqlite;   /* if BENCH_SQLITE is defined */
extern const jobs_database jobs_postgres; /* if BENCH_POSTGRES is defined */

/* Whether it is OK; else it is said. */
bool jobs_is_well(vestry_err error, const char *what);

#endif
