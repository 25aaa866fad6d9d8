/* SPDX-License-Identifier: MIT */
/** Several nodes in one process, with a network between them that is as bad as a seed says: for tests, of vestry and of
 *  applications. Its functions are in libvestry-testing.
 *
 *      vestry_memory_network *network;
 *      vestry_broker first, second;
 *      vestry_memory_network_create(runtime, &(vestry_memory_network_options){.seed = 1, .drop = 100}, &network);
 *      vestry_memory_network_join(network, &first);  // for vestry_cluster_create of one instance
 *      vestry_memory_network_join(network, &second); // … and of another */
#ifndef VESTRY_MEMORY_NETWORK_H
#define VESTRY_MEMORY_NETWORK_H

#include "vestry/cluster/broker.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A network, and the brokers that its nodes have. */
typedef struct vestry_memory_network vestry_memory_network;

/** What goes wrong. Zero is a network without faults. Chances are of 10,000 messages, for each receiver by itself: what
 *  happens to one is not changed by what is sent to another. */
typedef struct vestry_memory_network_options {
  size_t size;           /**< sizeof(vestry_memory_network_options), or 0 */
  uint64_t seed;         /**< the same seed, the same calls, the same clock: the same faults */
  uint32_t drop;         /**< is lost without a word */
  uint32_t duplicate;    /**< arrives twice, the second time up to max_delay_ms later than the first */
  uint32_t delay;        /**< arrives up to max_delay_ms later, and so after messages of other senders, and of the same
                              one to other subjects */
  uint32_t tell;         /**< of those that are lost to a node which is up, so many are noticed (MAYBE_LOST) */
  uint32_t full;         /**< of calls of publish, so many are FULL and send nothing: chances of the sender */
  uint32_t max_delay_ms; /**< 0: 100 */
  size_t max_payload;    /**< in bytes; 0: 1 MiB */
} vestry_memory_network_options;

/** Make a network.
 *  runtime      on which messages are delivered, each node's by an actor of its own; stepped, if it is to be
 *               repeatable. Borrowed, must outlive the brokers
 *  options      copied; NULL: no faults
 *  ret_network  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a chance above 10,000) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_create(vestry_runtime *runtime,
                                                   const vestry_memory_network_options *options,
                                                   vestry_memory_network **ret_network);
/** Free it, after its brokers. NULL is accepted. Threads any. */
VESTRY_API void vestry_memory_network_destroy(vestry_memory_network *network);
/** Connect one more node: its broker. Its destroy is a death, as far as the others see; a node that comes back joins
 *  anew.
 *  ret_broker  owned by the caller, which calls its destroy; untouched on failure
 *  Returns  OK | NO_MEMORY | CLOSED (the runtime) | LIMIT (65,536 have joined)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_join(vestry_memory_network *network, vestry_broker *ret_broker);
/** Change what goes wrong from now on; the seed is not begun anew.
 *  Returns  OK | INVALID (as above)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_set(vestry_memory_network *network,
                                                const vestry_memory_network_options *options);

/** A part of a divided network for nodes that are cut off from the broker, and know it: DOWN. */
#define VESTRY_MEMORY_NETWORK_DOWN ((uint8_t)63)

/** Divide it: nodes hear each other only within one part, and do not know it. What is under way between parts is lost.
 *  Claims are answered in part 0, and time out in others.
 *  parts    by the order of joining, which part a node is in, 0 to 63; a node that joins later is in part 0
 *  count    how many parts are said, the first so many nodes; the others are in part 0. 0: whole again
 *  Returns  OK | INVALID (more than have joined, or a part above 63)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_divide(vestry_memory_network *network, const uint8_t *parts, size_t count);

/** What came of messages, one for each receiver and each duplicate:
 *  sent_count = delivered_count + dropped_count + cut_count + waiting_count. */
typedef struct vestry_memory_network_stats {
  size_t size; /**< sizeof(vestry_memory_network_stats), or 0 */
  uint64_t sent_count;
  uint64_t delivered_count;  /**< on_message was called, or is about to be */
  uint64_t dropped_count;    /**< by a fault */
  uint64_t cut_count;        /**< its receiver was cut off, or had stopped */
  uint64_t waiting_count;    /**< on its way */
  uint64_t duplicated_count; /**< of those sent, so many are the second of two */
} vestry_memory_network_stats;

/** A snapshot.
 *  Threads  any; takes a lock briefly */
VESTRY_API void vestry_memory_network_stats_get(vestry_memory_network *network, vestry_memory_network_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
