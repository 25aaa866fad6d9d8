/* SPDX-License-Identifier: MIT */
/* What a connection's transaction has changed, published or forgotten. All under the database's lock. */
#ifndef VSI_SQLITE_PUBLISH_H
#define VSI_SQLITE_PUBLISH_H

#include "sqlite/sqlite.h"

/* Publish what it announced: its commit can be seen. has_number: under the number that it announced. */
void vsi_sqlite_publish(vestry_sqlite_connection *connection, bool has_number);
/* The number that it announced is reached, by its commit or by another connection's: refresh what it would, and what
 * the other one would. */
void vsi_sqlite_publish_perhaps(vestry_sqlite_connection *connection);
/* What it announced was not committed. */
void vsi_sqlite_publish_nothing(vestry_sqlite_connection *connection);
/* Forget the transaction: another one begins. Once nothing is announced the connection's thread needs no lock. */
void vsi_sqlite_publish_forget(vestry_sqlite_connection *connection);

#endif
