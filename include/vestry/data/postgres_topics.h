/* SPDX-License-Identifier: MIT */
/** Topics that a transaction refreshes, at all nodes (libvestry-postgres): where commits cannot be followed
 *  (vestry/data/postgres.h, level TOPICS), and for what is not seen there, as unlogged tables.
 *
 *      vestry_postgres_topics_create(pages, pool, NULL, &topics); // each node
 *
 *      // A handler's transaction. Its pages call vestry_render_topic(render, "room/7").
 *      static vestry_err post(vestry_sql_transaction *transaction, void *ctx) {
 *        vestry_err err = vestry_sql_run(transaction, "INSERT INTO message VALUES(7, 'a')", NULL, NULL, NULL);
 *        return err ? err : vestry_postgres_refresh(transaction, "room/7");
 *      }
 *
 *  It is NOTIFY and LISTEN, so no rights are needed but to connect, and each client of the database can do the same:
 *  SELECT pg_notify('vestry', 'room/7'), by a trigger too; an empty text refreshes every page. Pages render again when
 *  the transaction is committed, and its rows can be read; one that is rolled back refreshes nothing. A topic that is
 *  named twice in a transaction is refreshed once. Each node has one more connection for it. While that is lost nothing
 *  is heard: so every page is rendered again once it is back.
 *
 *  What it costs: the server lets transactions with a NOTIFY commit one at a time, in the whole database cluster. */
#ifndef VESTRY_POSTGRES_TOPICS_H
#define VESTRY_POSTGRES_TOPICS_H

#include "vestry/app/page.h"
#include "vestry/data/postgres.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A node's ear. */
typedef struct vestry_postgres_topics vestry_postgres_topics;

/** How it listens. Zero is the default, in brackets. */
typedef struct vestry_postgres_topics_options {
  size_t size;         /**< sizeof(vestry_postgres_topics_options), or 0 */
  uint32_t silence_ms; /**< after so long without a topic the node notifies itself, by a connection of the pool; if that
                            is not heard within five seconds, as when a network is cut, or through a pooler in
                            transaction mode, it begins to listen anew, and the log says why [10,000] */
} vestry_postgres_topics_options;

/** Listen.
 *  pages       borrowed, and so is pool, whose server it is: it must not be destroyed before. A connection of the pool
 *              is used for a moment, to see whether what is notified is heard
 *  options     copied; NULL: the defaults
 *  ret_topics  owned by the caller; untouched on failure
 *  Returns  OK, also while the server is away: it is tried again, and the log says so | INVALID | NO_MEMORY | IO (no
 *           thread)
 *  Threads  any; starts one of its own. Blocks on the network, for five seconds at most */
VESTRY_API vestry_err vestry_postgres_topics_create(vestry_pages *pages, vestry_sql_pool *pool,
                                                    const vestry_postgres_topics_options *options,
                                                    vestry_postgres_topics **ret_topics);
/** Listen no more. Before vestry_pages_destroy. NULL is accepted.
 *  Threads  one, not from a render; waits for its own thread, which may wait five seconds for the network, and as long
 *           as vestry_sql_run_alone does for a connection of the pool */
VESTRY_API void vestry_postgres_topics_destroy(vestry_postgres_topics *topics);

/** Refresh a topic at all nodes that listen, this one too, when the transaction is committed. It is a statement of the
 *  transaction.
 *  topic    1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes. NULL: every page
 *  Returns  OK, also if no node listens | INVALID | TOO_LARGE | the errors of vestry_sql_run
 *  Threads  as vestry_sql_run */
VESTRY_API vestry_err vestry_postgres_refresh(vestry_sql_transaction *transaction, const char *topic);

/** Refresh pages for all that was committed until now. For tests: vestry_pages_settle after it.
 *  ret_seq  for that; NULL: not wanted
 *  Returns  OK | TIMEOUT | INVALID (also: this thread has a transaction of the pool) | the errors of
 *           vestry_sql_run_alone
 *  Threads  any, not from a render; blocks on the network */
VESTRY_API vestry_err vestry_postgres_topics_settle(vestry_postgres_topics *topics, uint64_t timeout_ms,
                                                    uint64_t *ret_seq);

/** Counters, since it was created, and how things are now. heard_count = refreshed_count + refused_count. */
typedef struct vestry_postgres_topics_stats {
  size_t size;              /**< sizeof(vestry_postgres_topics_stats), or 0 */
  bool is_listening;        /**< now */
  uint64_t starts_count;    /**< times that listening began; each renders every page */
  uint64_t heard_count;     /**< topics that came */
  uint64_t refreshed_count; /**< of these, that were refreshed */
  uint64_t refused_count;   /**< that cannot be topics: longer than VESTRY_PAGE_TOPIC_MAX_BYTES */
} vestry_postgres_topics_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_postgres_topics_stats_get(vestry_postgres_topics *topics,
                                                 vestry_postgres_topics_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
