/* SPDX-License-Identifier: MIT */
/* Versions of the tables that vestry has in an application's database.
 *
 * Each part of this library that has tables there has a name and a version, in the table vestry_schema. So a program
 * gets the tables of the parts that it uses, independently of the others. The first part creates its tables, and
 * vestry_schema, in the first schema of the connection's search_path; later ones use the schema of vestry_schema. A new
 * part is a list of steps next to the code that uses its tables:
 *
 *      static const char *const steps[] = {"CREATE TABLE vestry_x(…)"}; // a new version: one more at the end
 *      static const vsi_sql_schema schema = {"x", steps, sizeof steps / sizeof *steps};
 *      error = pool->ops->bring(pool, "vestry_postgres_x_create", &schema);
 *
 * A step that was released must never change. */
#ifndef VSI_POSTGRES_SCHEMA_H
#define VSI_POSTGRES_SCHEMA_H

#include "data/sql/sql.h"

/* Create the tables of a part, or bring them to this version, in one transaction, under an advisory lock, so that nodes
 * may do this concurrently. If they have this version, only reads are necessary, which need no privilege to create
 * tables.
 *  function  called by the application, for the log
 *  Returns   OK | the errors of vestry/data/postgres.h (IO also: the tables are of a later version; nothing was
 *           changed) */
vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema);

#endif
