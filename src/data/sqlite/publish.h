/* SPDX-License-Identifier: MIT */
/* What a connection's transaction has changed, published or forgotten; and which commits are accounted for by that, by
 * their numbers. All under the database's lock. */
#ifndef VSI_SQLITE_PUBLISH_H
#define VSI_SQLITE_PUBLISH_H

#include "data/sqlite/sqlite.h"

/* What says that what a connection announced is committed.
 * COMMITTED  it is, under its number. STANDING  it is, and the number stands still.
 * REACHED    its number is reached, by its commit or by another connection's: what both would is refreshed */
typedef enum vsi_sqlite_evidence { VSI_SQLITE_COMMITTED, VSI_SQLITE_STANDING, VSI_SQLITE_REACHED } vsi_sqlite_evidence;

/* Refresh the topics of what it announced, and hand what it changed to those that follow commits. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence);
/* What it announced was not committed. */
void vsi_sqlite_publish_nothing(vestry_sqlite_connection *connection);
/* Forget the transaction: another one begins. Once nothing is announced the connection's thread needs no lock. */
void vsi_sqlite_publish_forget(vestry_sqlite_connection *connection);

/* Whether the commit of that number was accounted for. It is not any more: it passes. */
bool vsi_sqlite_account_take(vestry_sqlite *database, uint32_t number);
/* Anything may have changed, by any connection. */
void vsi_sqlite_refresh_all(vestry_sqlite *database);
/* The same, and all commits up to this one are accounted for by it. */
void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last);

#endif
