/* SPDX-License-Identifier: MIT */
/** Clusters: several processes, on one machine or on several, that reach each other's streams.
 *
 *      vestry_nats_create(&(vestry_nats_options){.servers = servers, .servers_count = 2}, &broker);
 *      vestry_cluster_create(v, &broker, &(vestry_cluster_options){.node = "web-1", .secret = secret,
 *                            .secret_len = 32, .pages = pages, .allow = allowed}, &cluster);
 *      vestry_dispatch(v, scope, VESTRY_KEY("job", id), effects);   // whichever node holds the stream
 *
 *  With a cluster these functions reach further, and are called as ever:
 *  - vestry_dispatch and its like, by key: the streams of this node first. If there are none, or other nodes hold the
 *    key too, vestry asks the nodes that hold it, and waits for their answers for at most answer_ms. OK: the result
 *    counts all connections. NOT_FOUND: all nodes that live have said that they have none. TIMEOUT: a node has not
 *    answered, and may have performed it or not. IO: it could not be sent. FULL and other errors come from afar as from
 *    here.
 *    BUSY, and nothing was sent: this thread must not wait, because it is one of the instance's runtime, or inside of a
 *    function of the cluster's: call vestry_cluster_dispatch there. options.results stays without what others gave. A
 *    stepped runtime is stepped meanwhile; TIMEOUT, if nothing is ready any more.
 *  - vestry_broadcast and its like: the event's bytes go once to each node where the channel has members, and are
 *    encoded there, and conflate there as they do here. ret_sent_count is of this node; OK also if only others have
 *    members. Nothing is waited for.
 *  - vestry_refresh: of the cluster's pages, on all nodes; several within 5 ms travel together. (vestry_refresh_here
 *    stays here.)
 *  - Keys: a stream that REPLACEs closes the older streams that other nodes have under its key, however these were put:
 *    within milliseconds, or when a partition heals. Of two streams that REPLACE the newer one stays; if both open
 *    within the time that a message takes, one of them stays. (Older streams that did not REPLACE are found by a walk
 *    through the store: a key that is put in two ways costs that.) MANY counts on each node by itself. REJECT refuses
 *    if another node is known to hold the key; two that come within milliseconds may both be let in. REUSE looks at
 *    this node alone. With options.strict REJECT and REUSE let one stream in, on whatever node: the second stream gets
 *    EXISTS (409), with REUSE too if the first is on another node. The handler's thread asks all nodes and the broker
 *    for that, once for each stream that is kept so, and waits as vestry_dispatch does, and for the broker's
 *    reservation, which may take seconds if that is ill. Where a node that lives has not answered, where nothing can be
 *    reserved, on a thread that must not wait, and for dead_ms after this node has begun or has reached the broker
 *    again, no stream is let in: LIMIT (503). A stream's end frees its key at once, a node's death after dead_ms. In a
 *    partition only the side that reaches the reservations lets in more, once it takes the other side for dead. The
 *    other side keeps its streams, so that a key may have two until one ends. A strict key over time, with REJECT on
 *    nodes A, B and C:
 *        0 ms      A is asked for a stream: B and C say no, A sets the reservation: it opens
 *        5 ms      B is asked for one: A says yes: EXISTS
 *        9,000 ms  A's stream ends; B is asked again: it opens
 *        9,500 ms  B dies; C is asked: B does not answer: LIMIT
 *        12,500 ms B is taken for dead (dead_ms); C is asked again: it opens
 *  - A presence with a name (vestry/app/presence.h): who is at a place of any node.
 *  - Pages: a tab that comes to another node with what it has seen is sent what differs, and nothing where nothing does
 *    (vestry/app/page.h), if the cluster was given these pages.
 *  One rule says what crosses: data does, pointers do not. Effects, events and topics of pages are data: dispatches,
 *  broadcasts and refreshes reach all nodes. A message of vestry_publish is a pointer: it stays on its node, and
 *  vestry_cluster_publish takes bytes to all. Sessions, presences without a name, nonces, and channels without a key
 *  stay on their node, too.
 *
 *  Order: what one node sends for one key, or to one channel, arrives in order, and once. Loss is told: by an error to
 *  the sender, or as a gap to the node that should have received (on_gap), within a second while nodes hear each other;
 *  then all pages of that node render again. A node has a gap, too, if a stream opens there, or joins a channel, while
 *  a message is on its way to that key, and before the node has told of the stream. A gap can be told where nothing was
 *  lost. If a node dies that no other could hear, its last messages are lost, and no gap tells of them.
 *
 *  Nodes tell each other every heartbeat_ms that they live. A node that was not heard for suspect_ms is suspect, and is
 *  asked as ever; after dead_ms it is dead: no node asks it. A node that starts again before it was missed is known
 *  within three heartbeats. When nodes hear each other again, both have a gap. A node that begins to drain
 *  (vestry/drain.h) says so at once, and stays for what it holds; when its instance closes it says goodbye.
 *
 *  What nodes say is sealed with the secret: a node that has it is trusted, up to the allow-list. An attacker that
 *  reaches the broker without the secret can read and record messages, but to play them back has no effect: a node
 *  counts only after it has answered a challenge, and each message counts once. Keys and scopes are in messages, never
 *  in subjects: these are "vestry.<hash>.all" and "vestry.<hash>.n.<hash>". Nothing is encrypted: use TLS to the
 *  broker. docs/cluster-wire.md has the format, and what is believed of it. Nodes have one byte order, and one version
 *  of the format: one of another version is logged. */
#ifndef VESTRY_CLUSTER_H
#define VESTRY_CLUSTER_H

#include "vestry/cluster/broker.h"
#include "vestry/dispatch.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An instance's part in a cluster. */
typedef struct vestry_cluster vestry_cluster;

/** A node's name has at most so many bytes. A cluster has at most so many nodes, this one included. */
#define VESTRY_NODE_MAX_BYTES    ((size_t)64)
#define VESTRY_CLUSTER_MAX_COUNT ((size_t)65)

/** How another node is, or this one. */
typedef enum vestry_member_state {
  VESTRY_MEMBER_NONE,    /**< there is none of that name */
  VESTRY_MEMBER_ALIVE,   /**< heard of */
  VESTRY_MEMBER_SUSPECT, /**< not heard of for suspect_ms */
  VESTRY_MEMBER_DEAD,    /**< not for dead_ms */
  VESTRY_MEMBER_LEFT,    /**< it has said goodbye */
  VESTRY_MEMBER_REFUSED, /**< of this node only: another one of its name was there before, or as many nodes as a cluster
                              has. It hears and says nothing, all others are DEAD to it, and
                              what is asked of them is IO */
  VESTRY_MEMBER_DRAINING /**< it drains (vestry/drain.h): it takes no new streams, and is asked for those it has.
                              After it comes SUSPECT, DEAD or LEFT */
} vestry_member_state;

/** Something may have been lost on its way here. */
typedef struct vestry_gap {
  size_t size;         /**< sizeof(vestry_gap) of this library */
  const char *node;    /**< the sender; "": not known. Valid during the call */
  uint64_t lost_count; /**< messages; 0: not known. A refresh, an event or what is dispatched is one */
} vestry_gap;

/** Told of a gap: channels' members, say, are brought up to date here; pages are, by the cluster itself. Also called
 *  once when two nodes have met: from then on nothing is lost without a word. On a thread of the instance's runtime, no
 *  lock held, never two at once; effects from afar wait meanwhile. */
typedef void (*vestry_gap_fn)(const vestry_gap *gap, void *ctx);
/** Told how a member is now; what has changed more often meanwhile is told once. node: terminated. Threads as
 *  vestry_gap_fn. */
typedef void (*vestry_member_fn)(const char *node, vestry_member_state state, void *ctx);

/** Zero is the default, in brackets. */
typedef struct vestry_cluster_options {
  size_t size;                /**< sizeof(vestry_cluster_options), or 0 */
  const char *node;           /**< its name, of its own: 1 to VESTRY_NODE_MAX_BYTES bytes. Mandatory; copied */
  const void *secret;         /**< the same on all nodes, at least 32 bytes. Mandatory; copied */
  size_t secret_len;          /**< of the secret */
  struct vestry_pages *pages; /**< whose refreshes are told, and whose tags are hashed with the secret, unless they have
                                   one; borrowed, must outlive the cluster. NULL: none */
  uint32_t heartbeat_ms;      /**< [250] */
  uint32_t suspect_ms;        /**< [1,000] */
  uint32_t dead_ms;           /**< [3,000]; heartbeat_ms < suspect_ms < dead_ms, at most 60,000 */
  uint32_t answer_ms;         /**< how long answers are waited for [1,000]; at most 60,000 */
  const char *const *allow;   /**< names of effects and actions that other nodes may have performed here, up to a NULL;
                                    all others are INVALID. NULL: none. Copied */
  size_t max_remote_bytes;    /**< of what has arrived and is not done yet [16 MiB]: beyond it dispatches are FULL, and
                                    all else is a gap */
  vestry_gap_fn on_gap;       /**< NULL: gaps are not told */
  vestry_member_fn on_member; /**< NULL: likewise */
  void *ctx;                  /**< handed to both */
  bool strict; /**< REJECT and REUSE are exact (see above); the broker must be able to reserve. The same on
                                    all nodes */
  size_t
      max_waiting_count; /**< dispatches, counts and pages that wait for answers at once [65,536]: one more is FULL */
} vestry_cluster_options;

/** Join a cluster: start the broker, and tell the nodes that are there.
 *  v            borrowed; nothing has been stored yet, no stream has joined a channel. Its threads do the work
 *  broker       copied; its self is borrowed, not started yet, and must outlive the cluster
 *  ret_cluster  owned by the caller; untouched on failure. After a failure the broker has been stopped
 *  Returns  OK, also while the broker is down | INVALID (an option; streams are there) | EXISTS (v has one) |
 *           UNSUPPORTED (strict, and the broker cannot reserve) | NO_MEMORY | IO (no randomness, no thread) | CLOSED
 *  Threads  one, before the first request */
VESTRY_API vestry_err vestry_cluster_create(vestry *v, const vestry_broker *broker,
                                            const vestry_cluster_options *options, vestry_cluster **ret_cluster);

/** Say goodbye, stop the broker, and free. What still waits for answers is CLOSED. After vestry_stop, while no thread
 *  is inside a function of the instance's; before vestry_pages_destroy and vestry_destroy. NULL is accepted.
 *  Threads  one; not from a callback of the cluster's; waits for those */
VESTRY_API void vestry_cluster_destroy(vestry_cluster *cluster);

/** Told what came of a dispatch: see vestry_dispatch above; CLOSED: the cluster has ended. count: connections. Once, on
 *  any thread, perhaps before vestry_cluster_dispatch returns; no lock held. Must not block. */
typedef void (*vestry_answer_fn)(vestry_err error, uint32_t connections_count, void *ctx);

/** vestry_dispatch_with, by key, for threads that must not wait.
 *  options    key is mandatory; results is not used
 *  on_answer  NULL: the answer is not told
 *  Returns  OK: on_answer is called, once | INVALID, TOO_LARGE (effects, key, options) | CLOSED (the instance) |
 *           NO_MEMORY. What fails otherwise is told to on_answer
 *  Threads  any; performs the effects for the streams that are here, on this thread */
VESTRY_API vestry_err vestry_cluster_dispatch(vestry_cluster *cluster, json_t *effects,
                                              const vestry_dispatch_options *options, vestry_answer_fn on_answer,
                                              void *ctx);

/** vestry_publish, here and on all nodes that live: bytes, and never a pointer to something.
 *  data     copied
 *  Returns  OK (taken for them) | INVALID, TOO_LARGE (key, the broker's max_payload) | FULL, IO (some do not get it,
 *           and are told so as soon as they are heard) | CLOSED | NO_MEMORY
 *  Threads  as vestry_publish; does not wait */
VESTRY_API vestry_err vestry_cluster_publish(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                             const void *data, size_t len);

/** How a node of that name is; one's own too.
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_member_state vestry_cluster_member(vestry_cluster *cluster, const char *node);

/** On how many nodes a key has streams, this one included, as far as they have told: a stream that opens or ends is
 *  told after 5 ms.
 *  Returns  OK | INVALID, TOO_LARGE (key) | NO_MEMORY
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_err vestry_cluster_holders(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                             size_t *ret_count);

/** How many streams a key has on all nodes. */
typedef struct vestry_cluster_count {
  size_t size;          /**< sizeof(vestry_cluster_count), or 0 */
  size_t streams_count; /**< that are open */
  size_t nodes_count;   /**< that hold it, this one included, as far as they have told */
  bool is_partial; /**< there may be more: a node that lives has not answered, or has not told its keys yet, or it is
                             not known yet which nodes live */
} vestry_cluster_count;

/** Count them: those here, and those of the nodes that hold the key, which are asked, if there are any.
 *  Returns  OK, also if there are none | INVALID, TOO_LARGE (key) | BUSY (as vestry_dispatch above: from a thread that
 *           must not wait) | NO_MEMORY | CLOSED
 *  Threads  any; waits for answers, at most answer_ms. A stepped runtime is stepped meanwhile */
VESTRY_API vestry_err vestry_cluster_count_get(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                               vestry_cluster_count *ret_count);

/** Where the next page of a listing begins. All zero starts. */
typedef struct vestry_cluster_cursor {
  size_t size;             /**< sizeof(vestry_cluster_cursor), or 0 */
  uint64_t node, epoch;    /**< opaque */
  vestry_list_cursor keys; /**< opaque */
  /** Some may be missing: a node has not answered, or was lost on the way, or it is not known yet which nodes live. */
  bool is_partial;
  bool done; /**< set when the last page was handed out */
} vestry_cluster_cursor;

/** One key of one node that a page names. Valid during the call. */
typedef struct vestry_cluster_listed {
  size_t size;      /**< sizeof(vestry_cluster_listed) of this library */
  const char *node; /**< whose */
  vestry_scope scope;
  const void *key; /**< encoded: vestry_key_format shows it */
  size_t key_len;
  size_t streams_count; /**< on that node */
} vestry_cluster_listed;
/** Takes one key of a page. On the thread that lists, no lock held. */
typedef void (*vestry_cluster_list_fn)(const vestry_cluster_listed *listed, void *ctx);

/** Hand out keys of streams on all nodes, a bounded page of one node's a call:
 *  while (!cursor.done && !error) error = vestry_cluster_list(…, &cursor, fn, ctx). What vestry_store_list says of keys
 *  that come and go is so for each node; a key of several nodes is named once for each. A page can be empty. Nodes that
 *  join meanwhile need not be named.
 *  only_scope  NULL: all scopes
 *  page_count  keys a page at most, fewer if they take much room; 0: 256; at most 4,096
 *  Returns  OK, also if a node has not answered (is_partial, and it goes on with the next one) | INVALID | TOO_LARGE
 *           (scope) | BUSY (as vestry_cluster_count_get) | NO_MEMORY (the page is not handed out, the cursor stays) |
 *           CLOSED
 *  Threads  any; waits for one node's answer, at most answer_ms */
VESTRY_API vestry_err vestry_cluster_list(vestry_cluster *cluster, const vestry_scope *only_scope, size_t page_count,
                                          vestry_cluster_cursor *cursor, vestry_cluster_list_fn fn, void *ctx);

/** Everything since it was created.
 *  remote_requests_count = ok_count + not_found_count + timeout_count + unsent_count + refused_count + waiting_count.
 *  received_count = taken_count + duplicates_count + malformed_count + stale_count. */
typedef struct vestry_cluster_stats {
  size_t size;                    /**< sizeof(vestry_cluster_stats), or 0 */
  size_t alive_count;             /**< other nodes that are alive, draining or suspect, now */
  size_t unsynced_count;          /**< of these, whose keys are not known in full, now */
  uint64_t keys_count;            /**< keys and channels of this node that others have been told of, now */
  uint64_t others_keys_count;     /**< those of all others, now */
  size_t keys_bytes;              /**< what they take, now */
  uint64_t remote_requests_count; /**< dispatches, counts and pages of keys that were requested from other nodes */
  uint64_t ok_count, not_found_count, timeout_count;
  uint64_t unsent_count;      /**< IO, FULL of the broker, TOO_LARGE, NO_MEMORY */
  uint64_t refused_count;     /**< another error, from afar; CLOSED */
  uint64_t waiting_count;     /**< now */
  uint64_t answered_count;    /**< of those of others, what was performed or answered here, or found no stream */
  uint64_t sent_count;        /**< messages that the broker has taken */
  uint64_t send_failed_count; /**< that it has not */
  uint64_t received_count, taken_count, duplicates_count;
  uint64_t malformed_count;        /**< not of this cluster's secret, or not well formed */
  uint64_t stale_count;            /**< from or for a former life of a node, or one that has not proven that it lives */
  uint64_t gaps_count, lost_count; /**< gaps that were told; messages in them */
  uint64_t over_budget_count;      /**< refused for max_remote_bytes */
  uint64_t remote_bytes;           /**< now */
  uint64_t replaced_count;         /**< streams here that a newer one elsewhere has closed */
  uint64_t present_count;          /**< who and place of presences with a name, that others have been told of, now */
  uint64_t others_present_count;   /**< those of all others, as far as they have told, now */
  uint64_t reservations_count;     /**< key reservations, granted or refused */
  uint64_t reservations_refused_count; /**< of these, refused: another node had the key */
  uint64_t reservations_unknown_count; /**< of these, with an unknown outcome */
  uint64_t over_waiting_count;         /**< refused for max_waiting_count: in unsent_count or refused_count */
  uint64_t other_version_count;        /**< of malformed_count: of a node with this secret that is of another version */
  uint64_t placeless_count; /**< lives of nodes that had no place here, since there were as many as there may be:
                                        the youngest is refused. Until it has gone, for dead_ms at most after its last
                                        word, what was NOT_FOUND is TIMEOUT */
} vestry_cluster_stats;

/** A snapshot. Threads any; takes locks briefly. */
VESTRY_API void vestry_cluster_stats_get(vestry_cluster *cluster, vestry_cluster_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
