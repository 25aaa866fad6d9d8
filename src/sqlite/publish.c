/* SPDX-License-Identifier: MIT */
#include "sqlite/publish.h"

#include "sqlite/account.h"

void vsi_sqlite_publish_forget(vestry_sqlite_connection *connection) {
  vsi_sqlite_topics_clear(&connection->topics);
  connection->has_changes = connection->is_sure = connection->is_mixed = false;
  connection->has_deleted = connection->has_others = false;
  atomic_store_explicit(&connection->is_announced, false, memory_order_release); /* settle: it is the thread's again */
}

static void refresh_topics(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  /* No hook has told what was changed: it is the schema. */
  if (!connection->has_changes) connection->topics.are_all = true;
  if (connection->topics.are_all) database->stats.whole_count++;
  if (vsi_sqlite_topics_refresh(&connection->topics, database->pages, &database->seq)) /* a name that is none */
    (void)vestry_refresh(database->pages, NULL, &database->seq);
}

void vsi_sqlite_publish(vestry_sqlite_connection *connection, bool has_number) {
  vestry_sqlite *database = connection->database;
  refresh_topics(connection);
  if (vsi_sqlite_exact_publish(&database->exact, &connection->actor, connection->announced.value, connection->is_quiet,
                               connection->topics.are_all, &database->seq))
    vsi_sqlite_rouse(database);
  if (has_number) vsi_sqlite_account(database, connection->announced);
  database->stats.commits_count++;
  vsi_sqlite_publish_forget(connection);
}

void vsi_sqlite_publish_perhaps(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  refresh_topics(connection);
  if (vsi_sqlite_exact_doubt(&database->exact, &connection->actor, connection->announced.value, &database->seq))
    vsi_sqlite_rouse(database);
  vsi_sqlite_publish_forget(connection);
}

void vsi_sqlite_publish_nothing(vestry_sqlite_connection *connection) {
  vsi_sqlite_exact_forget(&connection->database->exact, &connection->actor, &connection->database->seq);
  vsi_sqlite_publish_forget(connection);
}
