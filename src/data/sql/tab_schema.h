/* SPDX-License-Identifier: MIT */
/* The tables of the states of tabs. This is a header only, because vestry_sqlite_create makes them for a database that
 * pages follow, before there is a pool. */
#ifndef VSI_SQL_TAB_SCHEMA_H
#define VSI_SQL_TAB_SCHEMA_H

#include "data/sql/sql.h"

enum { VSI_SQL_TAB_PARTS = 2 };

#define VSI_SQL_TAB_STEP(bytes, integer, end)                                                                          \
  "CREATE TABLE IF NOT EXISTS vestry_tab(scope " bytes " NOT NULL, tab " bytes " NOT NULL, data " bytes                \
  " NOT NULL, expires " integer " NOT NULL, PRIMARY KEY(scope, tab))" end                                              \
  ";CREATE INDEX IF NOT EXISTS vestry_tab_expires ON vestry_tab(expires)"
/* A separate part, so that nodes with an earlier version keep running together with this one. A row without its state
 * has no meaning. */
#define VSI_SQL_TAB_VISITOR_STEP(bytes, end)                                                                           \
  "CREATE TABLE IF NOT EXISTS vestry_tab_visitor(scope " bytes " NOT NULL, tab " bytes                                 \
  " NOT NULL, PRIMARY KEY(scope, tab))" end

#define VSI_SQL_TAB_PERSON_STEP(unless, integer)                                                                       \
  "ALTER TABLE vestry_tab_visitor ADD COLUMN " unless "person " integer " NOT NULL DEFAULT 0"

static const char *const vsi_sql_tab_steps[VSI_SQL_DIALECTS][3] = {
    {VSI_SQL_TAB_STEP("BLOB", "INTEGER", " STRICT, WITHOUT ROWID"),
     VSI_SQL_TAB_VISITOR_STEP("BLOB", " STRICT, WITHOUT ROWID"), VSI_SQL_TAB_PERSON_STEP("", "INTEGER")},
    {VSI_SQL_TAB_STEP("bytea", "bigint", ""), VSI_SQL_TAB_VISITOR_STEP("bytea", ""),
     VSI_SQL_TAB_PERSON_STEP("IF NOT EXISTS ", "bigint")}};
static const vsi_sql_schema vsi_sql_tab_schemas[VSI_SQL_DIALECTS][VSI_SQL_TAB_PARTS] = {
    {{"tab", &vsi_sql_tab_steps[0][0], 1, false}, {"tab_visitor", &vsi_sql_tab_steps[0][1], 2, false}},
    {{"tab", &vsi_sql_tab_steps[1][0], 1, false}, {"tab_visitor", &vsi_sql_tab_steps[1][1], 2, false}}};

#endif
