/* SPDX-License-Identifier: MIT */
/* Nodes in this process that add and run jobs of one database. */
#ifndef BENCH_COMMANDS_JOBS_H
#define BENCH_COMMANDS_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/data/jobs.h"

/* Options of the command. */
typedef struct jobs_options {
  const char *folder, *url;
  uint64_t jobs, delays, poll_ms;
} jobs_options;

/* A node. Zero: closed. */
typedef struct jobs_node {
  void *pool; /* of the database */
  vestry_jobs *jobs;
} jobs_node;

/* Functions of a database. They return false after one line on stderr with the reason. */
typedef struct jobs_database {
  const char *name;
  bool (*make)(const jobs_options *is);   /* creates an empty database */
  void (*remove)(const jobs_options *is); /* also after a failure */
  bool (*open)(jobs_node *n, const jobs_options *is, const vestry_jobs_options *how);
  void (*close)(jobs_node *n);               /* also after a failure */
  bool (*add)(jobs_node *n, int64_t number); /* writes a row and adds a job with this payload in one transaction */
} jobs_database;

extern const jobs_database jobs_sqlite;   /* if BENCH_SQLITE is defined */
extern const jobs_database jobs_postgres; /* if BENCH_POSTGRES is defined */

/* Return whether there is no error; prints a message otherwise. */
bool jobs_is_well(vestry_err error, const char *what);

#endif
