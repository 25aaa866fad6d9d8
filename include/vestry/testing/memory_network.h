/* SPDX-License-Identifier: MIT */
/** A simulated network between several nodes of a cluster in one process, with faults that a seed determines. For tests
 *  of vestry and of applications; in libvestry-testing.
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

/** A network, and the brokers of its nodes. */
typedef struct vestry_memory_network vestry_memory_network;

/** Faults of a network. Zero is a network without faults. A chance is a number of 10,000 messages. Each receiver has
 *  its own random sequence, so messages to one receiver do not change the faults of another. */
typedef struct vestry_memory_network_options {
  uint64_t seed;         /**< the same seed, calls and clock produce the same faults */
  uint32_t drop;         /**< chance that a message is lost */
  uint32_t duplicate;    /**< chance that it is delivered twice, the second time up to max_delay_ms after the first */
  uint32_t delay;        /**< chance that it is delivered up to max_delay_ms later, and so after later messages of other
                              senders, or of the same sender to other subjects */
  uint32_t tell;         /**< chance that the broker of a connected receiver notices a lost message (MAYBE_LOST) */
  uint32_t full;         /**< chance that a call of publish returns FULL and sends nothing, for each sender by itself */
  uint32_t max_delay_ms; /**< 0: 100 */
  size_t max_payload;    /**< in bytes; 0: 1 MiB */
} vestry_memory_network_options;

/** Create a network.
 *  runtime      delivers messages, those of each node by a separate actor; stepped, for repeatable tests. Borrowed,
 *               must outlive the brokers
 *  options      copied; NULL: no faults
 *  ret_network  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a chance above 10,000) | NO_MEMORY
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_create(vestry_runtime *runtime,
                                                   const vestry_memory_network_options *options,
                                                   vestry_memory_network **ret_network);
/** Destroy a network, after its brokers. NULL is accepted. Threads any. */
VESTRY_API void vestry_memory_network_destroy(vestry_memory_network *network);
/** Add a node, and create its broker. If the broker is destroyed, the node is dead for the other nodes; to come back,
 *  it joins again.
 *  ret_broker  owned by the caller, which calls its destroy; untouched on failure
 *  Returns  OK | NO_MEMORY | CLOSED (the runtime) | LIMIT (65,536 have joined)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_join(vestry_memory_network *network, vestry_broker *ret_broker);
/** Change the faults from now on. The sequence of the seed continues.
 *  Returns  OK | INVALID (a chance above 10,000)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_set(vestry_memory_network *network,
                                                const vestry_memory_network_options *options);

/** The part of nodes that are disconnected from the network and notice it: their brokers report DOWN. */
#define VESTRY_MEMORY_NETWORK_DOWN ((uint8_t)63)

/** Divide a network into parts. Nodes reach each other only within one part, and do not notice the division. Messages
 *  in transit between parts are lost.
 *  parts  the part of each node in the order of joining, 0 to 63; a node that joins later is in part 0
 *  count  number of elements of parts; nodes beyond it are in part 0. 0: the network is whole again
 *  Returns  OK | INVALID (more than have joined, or a part above 63)
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_network_divide(vestry_memory_network *network, const uint8_t *parts, size_t count);

/** Counters of messages, one for each receiver and each duplicate:
 *  sent_count = delivered_count + dropped_count + cut_count + waiting_count. */
typedef struct vestry_memory_network_stats {
  uint64_t sent_count;
  uint64_t delivered_count;  /**< on_message was called, or is about to be */
  uint64_t dropped_count;    /**< lost by a fault */
  uint64_t cut_count;        /**< the receiver was in another part, or had stopped */
  uint64_t waiting_count;    /**< in transit */
  uint64_t duplicated_count; /**< sent messages that are the second of two */
} vestry_memory_network_stats;

/** Get a snapshot of the counters.
 *  Threads  any; takes a lock briefly */
VESTRY_API void vestry_memory_network_stats_get(vestry_memory_network *network, vestry_memory_network_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
