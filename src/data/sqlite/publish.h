/* SPDX-License-Identifier: MIT */
/* Publishing or discarding the changes of a connection's transaction, and accounting for the numbers of commits. All
 * functions are called under the database's lock. */
#ifndef VSI_SQLITE_PUBLISH_H
#define VSI_SQLITE_PUBLISH_H

#include "data/sqlite/sqlite.h"

/* How certain it is that an announced commit took place.
 * COMMITTED  it took place, under its number
 * STANDING   it took place, and the number does not change
 * REACHED    its number is reached, by this commit or by that of another connection; both are assumed */
typedef enum vsi_sqlite_evidence { VSI_SQLITE_COMMITTED, VSI_SQLITE_STANDING, VSI_SQLITE_REACHED } vsi_sqlite_evidence;

/* Refresh the topics of an announced commit, and pass its changes to the followers of commits. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence);
/* Discard an announced commit that did not take place. */
void vsi_sqlite_publish_nothing(vestry_sqlite_connection *connection);
/* Discard the data of a transaction, before another one begins. When nothing is announced, the connection's thread
 * needs no lock. */
void vsi_sqlite_publish_forget(vestry_sqlite_connection *connection);

/* Return whether the commit of this number was accounted for, and clear that, because the number passes. */
bool vsi_sqlite_account_take(vestry_sqlite *database, uint32_t number);
/* Refresh everything, because any connection may have changed anything. */
void vsi_sqlite_refresh_all(vestry_sqlite *database);
/* The same, and account for all commits up to this one. */
void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last);

#endif
