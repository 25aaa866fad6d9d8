/* SPDX-License-Identifier: MIT */
/* Commits that no attached connection made. */
#ifndef VSI_SQLITE_OTHERS_H
#define VSI_SQLITE_OTHERS_H

#include "data/sqlite/sqlite.h"

/* Refresh for commits that are not accounted for. Under the database's lock. OK | BUSY | IO */
vestry_err vsi_sqlite_look(vestry_sqlite *database);
/* Log once that the path leads to another file now, or to none. Under the database's lock. */
void vsi_sqlite_miss_file(vestry_sqlite *database);
void *vsi_sqlite_follow(void *database); /* the thread */

#endif
