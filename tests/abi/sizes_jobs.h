/* SPDX-License-Identifier: MIT */
/* Read and fill the structs of jobs and rows, which need a database: SQLite, if it was built (HAS_SQLITE). */
#ifndef TESTS_ABI_SIZES_JOBS_H
#define TESTS_ABI_SIZES_JOBS_H

#include "vestry/data/jobs.h"

/* The folder contains the database. */
void sizes_open_jobs(const char *folder);
void sizes_close_jobs(void);

extern const vestry_job_order sizes_job_order;
vestry_err sizes_take_jobs(const void *given);
vestry_err sizes_take_job_order(const void *given);
void sizes_fill_jobs_stats(void *ret);

extern const vestry_sql_shape sizes_shape;
extern const vestry_sql_rows sizes_rows;
vestry_err sizes_take_shape(const void *given);
vestry_err sizes_take_rows(const void *given);

#endif
