/* SPDX-License-Identifier: MIT */
/* Which commits are accounted for, by their numbers. All under the database's lock. */
#ifndef VSI_SQLITE_ACCOUNT_H
#define VSI_SQLITE_ACCOUNT_H

#include "sqlite/sqlite.h"

/* A number is accounted for. */
void vsi_sqlite_account(vestry_sqlite *database, vsi_sqlite_number number);
/* Whether it was accounted for. It is not any more: it passes. */
bool vsi_sqlite_account_take(vestry_sqlite *database, uint32_t number);
/* Anything may have changed, by any connection. */
void vsi_sqlite_refresh_all(vestry_sqlite *database);
/* The same, and all commits up to this one are accounted for by it. */
void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last);
/* Have the thread that follows commits look soon. */
void vsi_sqlite_rouse(vestry_sqlite *database);

#endif
