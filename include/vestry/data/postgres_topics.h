/* SPDX-License-Identifier: MIT */
/** Topics that a transaction refreshes at all nodes (libvestry-postgres): for servers whose commits cannot be followed
 *  (vestry/data/postgres.h, level TOPICS), and for data that are not followed, for example unlogged tables.
 *
 *      vestry_postgres_topics_create(pages, pool, NULL, &topics); // each node
 *
 *      // A handler's transaction. Its pages call vestry_render_topic(render, "room/7").
 *      static vestry_err post(vestry_sql_transaction *transaction, void *ctx) {
 *        vestry_err err = vestry_sql_run(transaction, "INSERT INTO message VALUES(7, 'a')", NULL, NULL, NULL);
 *        return err ? err : vestry_postgres_refresh(transaction, "room/7");
 *      }
 *
 *  Pages render again when the transaction is committed and its rows are visible, and not if it is rolled back. */
#ifndef VESTRY_POSTGRES_TOPICS_H
#define VESTRY_POSTGRES_TOPICS_H

#include "vestry/app/page.h"
#include "vestry/data/postgres.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A node's receiver of topics. It uses NOTIFY and LISTEN:
 *  - No privileges are needed except to connect.
 *  - Any client of the database can send a topic: SELECT pg_notify('vestry', 'room/7'), also in a trigger. An empty
 *    text refreshes every page.
 *  - A topic that is named twice in a transaction is refreshed once.
 *  - Each node has one more connection for the receiver. While this connection is lost, no topics are received;
 *    therefore, every page renders again when it is back.
 *  - Cost: in the whole database cluster, transactions with a NOTIFY commit one at a time. */
typedef struct vestry_postgres_topics vestry_postgres_topics;

/** Options of a receiver. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_postgres_topics_options {
  uint32_t silence_ms; /**< if no topic comes for this time, the node sends itself a notification by a connection of the
                            pool. If this notification does not arrive within five seconds, for example because a
                            network is cut, or a pooler in transaction mode is between, the receiver connects again, and
                            the log has the reason [10,000] */
} vestry_postgres_topics_options;

/** Create a receiver of topics.
 *  pages, pool  borrowed; must not be destroyed before the receiver. The receiver connects to the pool's server, and
 *               uses a connection of the pool briefly to check that notifications arrive
 *  options      copied; NULL: the defaults
 *  ret_topics   owned by the caller; untouched on failure
 *  Returns  OK, also while the server is away: the receiver connects later, and the log reports this | INVALID |
 *           NO_MEMORY | IO (no thread, or no randomness)
 *  Threads  any; starts a thread. Blocks on the network, at most five seconds */
VESTRY_API vestry_err vestry_postgres_topics_create(vestry_pages *pages, vestry_sql_pool *pool,
                                                    const vestry_postgres_topics_options *options,
                                                    vestry_postgres_topics **ret_topics);
/** Stop and free a receiver, before vestry_pages_destroy. NULL is accepted.
 *  Threads  one, not that of a render; waits for its own thread, which may wait five seconds for the network, and as
 *           long as vestry_sql_run_alone for a connection of the pool */
VESTRY_API void vestry_postgres_topics_destroy(vestry_postgres_topics *topics);

/** Refresh a topic at all nodes with a receiver, including this one, when the transaction is committed. This runs a
 *  statement in the transaction.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes. NULL: every page
 *  Returns  OK, also if there is no receiver | INVALID | TOO_LARGE | the errors of vestry_sql_run
 *  Threads  as vestry_sql_run */
VESTRY_API vestry_err vestry_postgres_refresh(vestry_sql_transaction *transaction, const char *topic);

#ifdef __cplusplus
}
#endif
#endif
