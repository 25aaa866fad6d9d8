/* SPDX-License-Identifier: MIT */
/** Clusters: several processes (nodes), on one machine or on several, that reach each other's streams.
 *
 *      vestry_nats_create(&(vestry_nats_options){.servers = servers, .servers_count = 2}, &broker);
 *      vestry_cluster_create(v, &broker, &(vestry_cluster_options){.node = "web-1", .secret = secret,
 *                            .secret_len = 32, .pages = pages, .allow = allowed}, &cluster);
 *      vestry_dispatch(v, scope, VESTRY_KEY("job", id), effects);   // on whichever node holds the stream
 *
 *  Dispatches, broadcasts, refreshes, keys and presences with a name then span the nodes. A message of vestry_publish
 *  is a pointer and stays on its node; vestry_cluster_publish sends bytes to all. Sessions in memory, presences without
 *  a name, nonces (vestry/app/once.h), and channels without a key stay on their node, too; the nodes share sessions by
 *  their storage (vestry/app/session.h), without the broker. docs/guide/cluster.md has order,
 *  loss and liveness; docs/cluster-wire.md the format and the trust model. */
#ifndef VESTRY_CLUSTER_H
#define VESTRY_CLUSTER_H

#include "vestry/cluster/broker.h"
#include "vestry/dispatch.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Functions of an instance that a cluster extends:
 *  - vestry_dispatch and similar functions, by key: streams of this node first. If this node has none, or other nodes
 *    hold the key, too, the nodes that hold it get a remote request: a message to perform the dispatch there. The call
 *    waits up to answer_ms for their replies. A stepped runtime (vestry/runtime.h) is stepped meanwhile.
 *    options.results does not contain results of other nodes. Returns
 *    OK         the result counts all connections
 *    NOT_FOUND  every live node has replied that it has no stream
 *    TIMEOUT    a node did not reply in time, so the effects may have run there or not. With a stepped runtime: no step
 *               is left, and a reply is still missing. Or: not all nodes are known yet, and no known node has such a
 *               stream
 *    IO         the request could not be sent
 *    BUSY       nothing was sent, because this thread must not wait: it belongs to the instance's runtime or runs a
 *               function of the cluster. Call vestry_cluster_dispatch there
 *    FULL, …    errors of other nodes, returned like those of this node
 *  - vestry_broadcast and similar functions: the event is sent once to each node where the channel has members, and is
 *    encoded and conflated there. ret_sent_count counts this node; OK also if only other nodes have members. Does not
 *    wait.
 *  - vestry_refresh of the cluster's pages: on all nodes. Refreshes within 5 ms share a message. vestry_refresh_here
 *    stays on this node.
 *  - vestry_presence with a name (vestry/app/presence.h): members on any node.
 *  - Pages (vestry_cluster_options.pages): a tab that reconnects to another node receives the differences only. */

/** Key policies in a cluster:
 *  REPLACE  the stream closes the older streams of its key on other nodes, also those with another policy, within
 *           milliseconds, or when a partition heals. If two streams replace each other, the newer one stays. If they
 *           open almost at the same time, so that neither node has received the other's announcement, either of them
 *           may stay. If a node also has streams of the key with another policy, each such replacement costs it a walk
 *           through its store
 *  MANY     each node counts by itself
 *  REJECT   EXISTS if another node is known to hold the key. Two streams that open within milliseconds may both be
 *           accepted. For exactly one, use a row of a database (docs/guide/cluster.md)
 *  REUSE    only this node counts */

/** An instance's membership in a cluster. */
typedef struct vestry_cluster vestry_cluster;

/** Maximum length of a node's name in bytes; maximum number of nodes in a cluster, this one included. A node beyond it
 *  is ignored, which is logged. While it exists, and up to dead_ms after its last message, vestry_dispatch returns
 *  TIMEOUT instead of NOT_FOUND. */
#define VESTRY_NODE_MAX_BYTES    ((size_t)64)
#define VESTRY_CLUSTER_MAX_COUNT ((size_t)1025)

/** State of a node, as this node sees it. */
typedef enum vestry_member_state {
  VESTRY_MEMBER_NONE,    /**< no node has that name */
  VESTRY_MEMBER_ALIVE,   /**< its heartbeats arrive */
  VESTRY_MEMBER_SUSPECT, /**< no heartbeat for a third of dead_ms; it still gets remote requests */
  VESTRY_MEMBER_DEAD,    /**< no heartbeat for dead_ms; it gets none */
  VESTRY_MEMBER_LEFT,    /**< it has announced that it leaves */
  VESTRY_MEMBER_REFUSED, /**< of this node only: its name was in use. It neither sends nor
                              receives; all other nodes are DEAD to it, and remote requests return IO */
  VESTRY_MEMBER_DRAINING /**< it drains (vestry/drain.h): it accepts no new streams, and still gets remote requests for
                              those that it has. SUSPECT, DEAD or LEFT follows */
} vestry_member_state;

/** A gap: messages to this node may have been lost. */
typedef struct vestry_gap {
  const char *node;    /**< the sender; "": unknown. Valid during the call */
  uint64_t lost_count; /**< number of lost messages; 0: unknown. A refresh, an event or a dispatch is one message */
} vestry_gap;

/** Called for each gap. In this function, update data that depends on messages of other nodes and that pages do not
 *  show, for example the members of channels. Pages need no code, because the cluster renders all of them again. Also
 *  called once when this node has discovered another node; from then on every loss is reported. Runs on a thread of the
 *  instance's runtime, no lock held, one call at a time; remote effects wait meanwhile. */
typedef void (*vestry_gap_fn)(const vestry_gap *gap, void *ctx);
/** Called with a member's new state; several changes before the call are reported as one. node is terminated. Threads
 *  as vestry_gap_fn. */
typedef void (*vestry_member_fn)(const char *node, vestry_member_state state, void *ctx);

/** Options of a cluster. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_cluster_options {
  const char *node;           /**< this node's name, unique in the cluster: 1 to VESTRY_NODE_MAX_BYTES bytes. Mandatory;
                                   copied */
  const void *secret;         /**< the same on all nodes, at least 32 bytes. Copied [derived from the secret of the
                                   instance (vestry/app/secret.h); mandatory if it has none] */
  size_t secret_len;          /**< length of the secret */
  struct vestry_pages *pages; /**< the pages whose refreshes reach all nodes. If vestry_pages_options.secret is
                                   not set, the secret of the pages is derived from this secret. Borrowed, must outlive
                                   the cluster. NULL: none */
  uint32_t heartbeat_ms;      /**< time between two heartbeats [250]. This member and the next one must be the same on
                                   all nodes */
  uint32_t dead_ms;           /**< time without a heartbeat until a node is DEAD [3,000]; more than 3 * heartbeat_ms, at
                                   most 60,000. After a third of it the node is SUSPECT. Time for which this node itself
                                   stands still does not count */
  uint32_t answer_ms;         /**< maximum time that a remote request waits for replies [1,000]; at most 60,000 */
  const char *const *allow;   /**< names of the effects and actions that other nodes may run here, ending with NULL; all
                                   others return INVALID. NULL: none. Copied */
  size_t max_remote_bytes;    /**< maximum size of received messages that are not processed yet [16 MiB]. Beyond it
                                   dispatches return FULL, and other messages are lost, which is a gap */
  vestry_gap_fn on_gap;       /**< NULL: gaps are not reported */
  vestry_member_fn on_member; /**< NULL: changes of state are not reported */
  void *ctx;                  /**< passed to both */
  size_t max_waiting_count;   /**< maximum number of remote requests that wait for replies [65,536]; beyond it
                                   FULL */
} vestry_cluster_options;

/** Join a cluster: start the broker, and announce this node.
 *  v            borrowed; no stream may have been stored or have joined a channel yet. The cluster runs on the threads
 *               of its runtime
 *  broker       copied; the object in its member `broker` is borrowed, not started yet, and must outlive the cluster
 *  ret_cluster  owned by the caller; untouched on failure. After a failure the broker may have been stopped, so that it
 *               cannot be started again
 *  Returns  OK, also while the broker is down | INVALID (an option; v has streams) | EXISTS (v is in a cluster;
 *           logged) | NO_MEMORY | IO (no randomness, no
 *           thread) | CLOSED
 *  Threads  one, before the first request */
VESTRY_API vestry_err vestry_cluster_create(vestry *v, const vestry_broker *broker,
                                            const vestry_cluster_options *options, vestry_cluster **ret_cluster);

/** Leave a cluster: announce that this node leaves, stop the broker, and free the cluster. Remote requests that wait
 *  for replies return CLOSED. Until this returns, on_gap, on_member, subscribers and effects (options.allow) may be
 *  called for other nodes. Call it after vestry_stop, while no thread is inside a function of the instance, and
 *  before vestry_pages_destroy and vestry_destroy. NULL is accepted.
 *  Threads  one; not from a callback of the cluster; waits for running callbacks */
VESTRY_API void vestry_cluster_destroy(vestry_cluster *cluster);

/** Receives the result of vestry_cluster_dispatch: an error as for vestry_dispatch above, or CLOSED if the cluster has
 *  ended; and the number of connections. Called once, on any thread, possibly before vestry_cluster_dispatch returns;
 *  no lock held. Must not block. */
typedef void (*vestry_answer_fn)(vestry_err error, uint32_t connections_count, void *ctx);

/** Dispatch by key without waiting: vestry_dispatch_with for threads that must not wait.
 *  effects    borrowed
 *  options    key is mandatory; results is ignored
 *  on_answer  NULL: the result is dropped
 *  Returns  OK: on_answer is called once | INVALID, TOO_LARGE (effects, key, options) | CLOSED (the instance) |
 *           NO_MEMORY. on_answer receives other errors
 *  Threads  any; runs the effects for the streams of this node on this thread */
VESTRY_API vestry_err vestry_cluster_dispatch(vestry_cluster *cluster, json_t *effects,
                                              const vestry_dispatch_options *options, vestry_answer_fn on_answer,
                                              void *ctx);

/** Publish bytes on this node and on all live nodes: vestry_publish across nodes. Do not put pointers into data.
 *  data  copied
 *  Returns  OK (queued for all nodes) | INVALID, TOO_LARGE (key, the broker's max_payload) | FULL, IO (some nodes do
 *           not get it; they see a gap once they are reachable) | LIMIT (as vestry_publish, for the subscribers of this
 *           node; the other nodes get the message) | CLOSED | NO_MEMORY
 *  Threads  as vestry_publish; does not wait */
VESTRY_API vestry_err vestry_cluster_publish(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                             const void *data, size_t len);

/** Get the state of a node, this one included.
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_member_state vestry_cluster_member(vestry_cluster *cluster, const char *node);

/** Counters since vestry_cluster_create, and current values.
 *  remote_requests_count = ok_count + not_found_count + timeout_count + unsent_count + refused_count + waiting_count.
 *  received_count = taken_count + duplicates_count + malformed_count + stale_count. */
typedef struct vestry_cluster_stats {
  size_t alive_count;             /**< other nodes that are ALIVE, DRAINING or SUSPECT now */
  size_t unsynced_count;          /**< nodes among them whose keys are not known in full now */
  uint64_t keys_count;            /**< keys and channels of this node that it has announced, now */
  uint64_t others_keys_count;     /**< keys and channels of all other nodes, as announced, now */
  size_t keys_bytes;              /**< memory for the announced keys and channels, now */
  uint64_t remote_requests_count; /**< dispatches that went to other nodes, or caused a question */
  uint64_t ok_count, not_found_count, timeout_count;
  uint64_t unsent_count;      /**< ended with IO, FULL of the broker, TOO_LARGE or NO_MEMORY */
  uint64_t refused_count;     /**< ended with another error of the other node, or with CLOSED */
  uint64_t waiting_count;     /**< waiting for a reply now */
  uint64_t answered_count;    /**< remote requests of other nodes that ran here or found no stream */
  uint64_t sent_count;        /**< messages that the broker has accepted */
  uint64_t send_failed_count; /**< messages that the broker has not accepted */
  uint64_t received_count, taken_count, duplicates_count;
  uint64_t malformed_count;        /**< with a wrong seal or format */
  uint64_t stale_count;            /**< from or for an earlier process of a node, or from a node that has not answered
                                            its challenge (docs/cluster-wire.md) */
  uint64_t gaps_count, lost_count; /**< reported gaps; messages in them */
  uint64_t over_budget_count;      /**< refused because of max_remote_bytes */
  uint64_t remote_bytes;           /**< size of received messages that are not processed yet, now */
  uint64_t replaced_count;         /**< streams of this node that a newer one on another node has closed */
  uint64_t over_waiting_count;     /**< refused because of max_waiting_count; also in unsent_count or
                                            refused_count */
  uint64_t other_version_count;    /**< malformed messages of nodes with this secret and another version of the
                                            format */
} vestry_cluster_stats;

/** Get a snapshot of the counters. Threads any; takes locks briefly. */
VESTRY_API void vestry_cluster_stats_get(vestry_cluster *cluster, vestry_cluster_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
