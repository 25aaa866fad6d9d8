/* SPDX-License-Identifier: MIT */
#include "data/sqlite/publish.h"

/* ---------------------------------------------------------------------------------------------- accounting -------- */

static uint64_t *word_of(vestry_sqlite *database, uint32_t number, uint64_t *ret_bit) {
  number %= VSI_SQLITE_WINDOW;
  *ret_bit = UINT64_C(1) << number % 64;
  return &database->accounted[number / 64];
}

bool vsi_sqlite_account_take(vestry_sqlite *database, uint32_t number) {
  uint64_t bit, *word = word_of(database, number, &bit);
  bool was = *word & bit;
  *word &= ~bit;
  return was;
}

/* Account for a number. */
static void account(vestry_sqlite *database, vsi_sqlite_number number) {
  uint32_t ahead = number.value - database->seen.value;
  if (number.is_wal != database->seen.is_wal) return; /* the next check finds that out */
  if (ahead == 1) {                                   /* nearly always */
    do database->seen.value++, ahead++;
    while (ahead <= VSI_SQLITE_WINDOW && vsi_sqlite_account_take(database, database->seen.value + 1));
    return;
  }
  if (ahead - 1 >= VSI_SQLITE_WINDOW) { /* far ahead, or far behind: the numbers restarted */
    if ((int32_t)ahead > 0 || (int32_t)ahead < -VSI_SQLITE_WINDOW) database->is_lost = true;
    return;
  }
  uint64_t bit, *word = word_of(database, number.value, &bit);
  *word |= bit;
}

void vsi_sqlite_refresh_all(vestry_sqlite *database) {
  vsi_sqlite_commits_whole(&database->commits, NULL);
  /* other nodes check for themselves */
  (void)vestry_refresh_for(database->pages, NULL, &(vestry_change){.kind = VESTRY_REFRESH_DATABASE}, &database->seq);
  database->stats.whole_count++;
}

void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last) {
  memset(database->accounted, 0, sizeof database->accounted);
  database->seen = last;
  database->is_lost = false;
  vsi_sqlite_refresh_all(database);
}

/* ----------------------------------------------------------------------------------------------- publishing ------- */

void vsi_sqlite_publish_forget(vestry_sqlite_connection *connection) {
  vsi_sqlite_topics_clear(&connection->topics);
  connection->is_sure = connection->is_mixed = false;
  connection->has_deleted = connection->has_others = false;
  atomic_store_explicit(&connection->is_announced, false, memory_order_release); /* pairs with settle */
}

/* Wake the thread that follows commits. Waking it costs a committing thread as much as a commit, so once is enough. */
static void rouse(vestry_sqlite *database) {
  if (database->is_roused) return;
  database->is_roused = true;
  pthread_cond_signal(&database->end);
}

void vsi_sqlite_publish(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_topics *topics = &connection->topics;
  if (!connection->transaction.has_changes) topics->are_all = true; /* no hook was called for a row: it is the schema */
  if (topics->are_all) database->stats.whole_count++;
  const vestry_trace committed_in = connection->transaction.trace, *former = vestry_trace_enter(&committed_in);
  if (vsi_sqlite_topics_refresh(topics, database->pages, &database->seq)) /* a name that cannot be a topic */
    (void)vestry_refresh(database->pages, NULL, &database->seq);
  unsigned traits = (connection->is_quiet ? VSI_SQLITE_QUIET : 0) | (topics->are_all ? VSI_SQLITE_WHOLE : 0) |
                    (evidence == VSI_SQLITE_REACHED ? VSI_SQLITE_DOUBTFUL : 0);
  if (vsi_sqlite_commits_add(&database->commits, &connection->transaction, connection->announced.value, traits,
                             &database->seq))
    rouse(database);
  (void)vestry_trace_enter(former);
  if (evidence == VSI_SQLITE_COMMITTED) account(database, connection->announced);
  if (evidence != VSI_SQLITE_REACHED) database->stats.commits_count++;
  vsi_sqlite_publish_forget(connection);
}

void vsi_sqlite_publish_nothing(vestry_sqlite_connection *connection) {
  vsi_sqlite_commits_forget(&connection->database->commits, &connection->transaction, &connection->database->seq);
  vsi_sqlite_publish_forget(connection);
}
