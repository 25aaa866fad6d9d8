/* SPDX-License-Identifier: MIT */
/* essay: links between nodes, runs of a node, and detection of losses */
/* A node's part of a cluster: the struct that all files of this module share. From the bottom up:
 *
 *   peer.h            another node                        members.c          live nodes, reports to the application
 *   heartbeat.c       handshakes and heartbeats           message.c          sealing, numbering and publishing messages
 *   keys.c            which node holds which key          replaced.c         streams that other nodes have replaced
 *   recent.c          messages that some nodes got
 *   remote_request.c  requests to other nodes             served_requests.c  requests of other nodes
 *   announcements.c   changes, refreshes, events          receiver.c         received messages
 *   renewals.c        leases of other nodes' streams      create.c           create and destroy, hooks, counters
 *
 * Links. A message to one node is published to the receiver's subject, one to all nodes to a common subject. The
 * messages on each subject are numbered, so they arrive in order; those of two subjects have no common order. A loss is
 * a jump in the numbers. It is found at the next message or heartbeat, because a heartbeat contains the last number
 * that was assigned: one to all nodes that of the common subject, one to a node that of its subject. A message that
 * could not be sent also uses up a number, unless its sender got an error. So a full or disconnected broker, and a
 * member that was dead for a while, need no special message.
 *
 * Runs. Each start of a node draws a random epoch, which identifies this run. A message names the run of its sender and
 * that of its receiver. A run counts once it has proven that it is still alive (heartbeat.c). Each of its messages
 * counts once, because it has a turn, a number that only increases. So a recorded message has no effect when it is
 * replayed: its run proves nothing, or the message has arrived before.
 *
 * Locks. `lock` guards everything that is not constant. Messages are published under it, so that numbers and order
 * agree, and are flushed after it is released. The keys have their own lock, inside of it. No function of the
 * application is called under either. */
#ifndef VSI_CLUSTER_CLUSTER_H
#define VSI_CLUSTER_CLUSTER_H

#include "app/presence/presences.h"
#include "app/stream/lease.h"
#include "base/held_log.h"
#include "base/map.h"
#include "base/ring.h"
#include "channel/channels.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "instance/elsewhere.h"
#include "store/store.h"
#include "vestry/app/page.h"
#include "vestry/cluster/cluster.h"

enum {
  VSI_RECENT_CHANNELS = 4096,
  VSI_RECENT_BITS = 1 << 19,
  VSI_CHANGES_A_MESSAGE = 2048,
  VSI_CLOSING_MAX = 1024,
  VSI_RENEWALS_MAX = 1024,
  VSI_OLDER_MAX = 256,
  VSI_FLUSH_MS = 5,
  VSI_REFRESH_BYTES = 16384,
  VSI_PAYLOAD_LEAST = 1024 /* bytes of a message that a broker must accept */
};

/* Reasons for which a cluster does not work as a whole, for the log. */
typedef struct vsi_cluster_notices {
  uint8_t other_version; /* version of the format that another node with the secret uses; 0: none */
  size_t small_payload;  /* the broker's maximum, below VSI_PAYLOAD_LEAST; 0: it is not */
  bool is_full;          /* a node is ignored, because no slot is free */
} vsi_cluster_notices;

/* A channel or a key to which a message was sent. The nodes that did not get it may announce members or streams
 * late. */
typedef struct vsi_recent {
  uint64_t hash; /* 0: several keys */
  vsi_bits sent; /* nodes that got it */
  uint64_t at_ns;
} vsi_recent;

/* A key under which a stream of another node has replaced older streams of this node, which must be closed. */
typedef struct vsi_older {
  uint64_t hash, stamp;
} vsi_older;

/* Renewals of leases of other nodes' streams that wait to be sent (renewals.c). */
typedef struct vsi_renewal {
  uint64_t node;
  unsigned char lease[VSI_LEASE_BYTES];
} vsi_renewal;

typedef struct vsi_renewals {
  vsi_siphash_key key; /* for addresses; constant */
  /* Guarded by the cluster's lock. */
  size_t count;
  vsi_renewal all[VSI_RENEWALS_MAX];
} vsi_renewals;

/* Announcements on their way (announcements.c). */
typedef struct vsi_announcements {
  STAILQ_HEAD(, vsi_announcement) waiting; /* messages */
  bool has_failed;                         /* one could not be made, or is too large for the broker */
  bool is_sent_to_all;                     /* the first of them was sent to the subject of all nodes */
  size_t sent_to;                          /* and to those nodes of list_to that are before this one */
  bool is_listing;                         /* a full announcement is under way */
  bool is_list_over;                       /* its last message was made */
  vsi_bits list_to;                        /* the nodes that get it */
  uint64_t list_at;                        /* position in the list of keys */
  size_t list_bytes;                       /* maximum size of a run, and of a message */
} vsi_announcements;

/* QUICK: requests of other nodes run no function of the application here (served_requests.c). */
typedef enum vsi_quickness { VSI_QUICKNESS_UNKNOWN, VSI_SLOW, VSI_QUICK } vsi_quickness;

struct vestry_cluster {
  vestry *v;
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_broker broker;
  struct vestry_pages *pages;
  vestry_gap_fn on_gap;
  vestry_member_fn on_member;
  void *ctx;
  char name[VESTRY_NODE_MAX_BYTES + 1];
  uint64_t id, epoch;
  vsi_siphash_key seal_key, hash_key, name_key;
  vsi_siphash_key challenge_key; /* drawn for this run */
  uint64_t subject_hash;
  char all_subject[VESTRY_SUBJECT_MAX_BYTES + 1], own_subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  uint64_t heartbeat_ns, suspect_ns, dead_ns, answer_ns, begun_ns;
  char **allow;
  size_t allow_count;
  size_t max_remote_bytes, max_waiting_count;
  vsi_quickness quickness; /* guarded by the lock */
  bool has_hooks;          /* it has set its hooks in the instance */
  vsi_elsewhere elsewhere;
  vsi_store_watch store_watch;
  vsi_channels_watch channels_watch;
  vsi_presences *presences; /* of the instance */
  vsi_presence_watch presence_watch;
  vestry_timer *heartbeat, *flush, *keys_flush, *deadline, *question_timer;
  vestry_actor *actor; /* performs requests of other nodes, and calls the application */

  vsi_keys keys;
  _Atomic(size_t) remote_bytes;
  _Atomic(uint64_t) last_request_id; /* relaxed: a number */

  vsi_mutex lock;
  pthread_cond_t quiet; /* the actor is not running */
  /* All below is guarded by the lock. */
  vsi_peer *peers[VSI_NODES_MAX];
  size_t peers_count, peers_most; /* their number, and its maximum */
  vsi_bits alive;                 /* those that are ALIVE, DRAINING or SUSPECT. Only they have copies of keys here */
  bool is_up;
  uint64_t up_ns;   /* time of the last change of is_up, or when this node last went on after it had stood still */
  uint64_t beat_ns; /* time of the last heartbeat of this node */
  bool has_ended, has_left, is_refused, is_running;
  bool has_own_change, has_own_gap;
  vsi_gaps own_gaps;         /* in messages of unknown senders */
  bool has_unflushed;        /* messages were published after the last flush */
  size_t put_count;          /* messages for the actor since its last notification */
  size_t row_count;          /* dispatches that the broker's thread has performed in the current row of messages */
  uint64_t turn;             /* of the last message sent */
  uint64_t all_seq;          /* last number assigned to a message to all nodes */
  uint64_t announced_ns;     /* time of the last announcement of keys */
  size_t beat_at;            /* node that gets the next heartbeat to it alone */
  _Atomic(uint32_t) keys_ms; /* time for which changes of keys, and questions, wait. relaxed: a time */
  uint64_t proofs_before; /* number of proofs assumed for nodes without a slot: above those of all nodes that had one */
  uint64_t twin_proofs;   /* proofs of other nodes with this node's name */
  uint64_t placeless_ns;  /* last proof of a run without a slot; 0: none */
  uint64_t twin_epoch;    /* run of a node with this node's name that must give up; 0: none */
  vsi_cluster_notices notices; /* to be logged */
  vsi_repeated_log repeated;   /* used by the actor */
  /* Remote requests (remote_request.c). */
  vsi_map requests;                                        /* by id */
  vsi_map lines;                                           /* by key */
  vsi_ring questions;                                      /* lines whose question was not sent yet */
  uint64_t last_question, asked_ns;                        /* number and time of the last question */
  vsi_ring remote_requests;                                /* oldest first */
  void *finished;                                          /* the requests that this thread has ended */
  void (*finish)(vestry_cluster *cluster, void *finished); /* reports them. Constant */
  vsi_renewals renewals;
  /* Announcements, and messages sent recently (recent.c). */
  bool refreshes_all;
  vestry_trace refreshes_trace; /* of the first waiting refresh that has one; not sampled: none */
  vsi_buffer refreshes;         /* topics of the waiting refreshes: length in two bytes, topic */
  vsi_recent recent[VSI_RECENT_CHANNELS];
  uint64_t recent_bits[2][VSI_RECENT_BITS / 64]; /* two filters, used in turns: since recent_since_ns, and before */
  uint64_t recent_since_ns;
  vsi_announcements announcements;
  vsi_key_change changes[VSI_CHANGES_A_MESSAGE]; /* buffer of the announcing thread */
  /* Streams that other nodes have replaced (replaced.c). The actor closes them. */
  vestry_handle closing[VSI_CLOSING_MAX];
  size_t closing_count;
  vsi_older older[VSI_OLDER_MAX];
  size_t older_count;
  vsi_older sought[VSI_OLDER_MAX]; /* keys for which the actor is searching the store */
  size_t sought_count;
  vestry_list_cursor sought_at;
  vestry_cluster_stats stats;
};

static inline void vsi_cluster_lock(vestry_cluster *cluster) {
  vsi_mutex_lock(&cluster->lock);
}
/* Release the lock, flush what this thread has published, and report the remote requests that it has ended. If nothing
 * follows and at most one remote request waits, this thread writes to the socket itself, because waking another thread
 * takes longer. Otherwise the broker's thread writes, so that requests made meanwhile share a write. */
static inline void vsi_cluster_unlock_for(vestry_cluster *cluster, bool has_more) {
  bool has_unflushed = cluster->has_unflushed, at_once = !has_more && cluster->stats.waiting_count <= 1;
  void *finished = cluster->finished;
  cluster->has_unflushed = false;
  cluster->finished = NULL;
  vsi_mutex_unlock(&cluster->lock);
  if (has_unflushed) cluster->broker.ops->flush(cluster->broker.broker, at_once);
  if (finished) cluster->finish(cluster, finished);
}
static inline void vsi_cluster_unlock(vestry_cluster *cluster) {
  vsi_cluster_unlock_for(cluster, false);
}

/* Wake the actor, to report to the application or to perform requests of other nodes. */
static inline void vsi_cluster_notify(vestry_cluster *cluster) {
  vestry_actor_notify(cluster->actor);
}

/* Announce what is waiting within VSI_FLUSH_MS. */
static inline void vsi_cluster_announce_soon(vestry_cluster *cluster) {
  (void)vestry_timer_set(cluster->flush, VSI_FLUSH_MS, 0); /* CLOSED: the runtime is ending */
}
/* Announce changes of keys with those of the next time. */
static inline void vsi_cluster_announce_keys(vestry_cluster *cluster) {
  (void)vestry_timer_set(cluster->keys_flush, atomic_load_explicit(&cluster->keys_ms, memory_order_relaxed), 0);
}

/* Hash a key, or a channel's name, in the store's form. All nodes get the same hash. One bit separates the two
 * kinds. */
static inline uint64_t vsi_cluster_hash_key(const vestry_cluster *cluster, const vestry_scoped_key *key) {
  return vsi_siphash_1_3(cluster->hash_key, key->data, key->len) & VSI_KEYS_HASH & ~VSI_KEYS_CHANNEL;
}
static inline uint64_t vsi_cluster_hash_channel(const vestry_cluster *cluster, const void *name, size_t len) {
  return (vsi_siphash_1_3(cluster->hash_key, name, len) & VSI_KEYS_HASH) | VSI_KEYS_CHANNEL;
}

/* Convert a key to its name in messages: the scope and the encoded key; and back. Returns as
 * vsi_scoped_key_init_encoded. */
static inline vsi_wire_name vsi_cluster_name_of(const vestry_scoped_key *key) {
  return (vsi_wire_name){{key->scope.data, key->scope.len}, {key->data + key->key_offset, key->len - key->key_offset}};
}
static inline vestry_err vsi_cluster_pack(const vestry_cluster *cluster, vsi_wire_name name, vsi_scoped_key *ret_key) {
  const vestry_scope scope = {name.scope.data, name.scope.len};
  return vsi_scoped_key_init_encoded(ret_key, &vestry_parts_of(cluster->v)->store->exit.hash, cluster->host, scope,
                                     name.key);
}

/* Information for the console, besides vestry/cluster/cluster.h. */

typedef struct vsi_cluster_member {
  char node[VESTRY_NODE_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t gaps_count, lost_count; /* in its messages; of this node: in messages of unknown senders */
  uint64_t gap_ago_ms;             /* since the last reported gap; VESTRY_NEVER_MS: none */
} vsi_cluster_member;
typedef void (*vsi_cluster_member_fn)(const vsi_cluster_member *member, void *ctx);

/* Call fn for each member, this node first, on this thread, without a lock. A node whose slot was given to another node
 * is missing, so the sum of the gaps can be less than vestry_cluster_stats has. OK | NO_MEMORY. Any thread; takes a
 * lock briefly. */
VESTRY_API vestry_err vsi_cluster_members(vestry_cluster *cluster, vsi_cluster_member_fn fn, void *ctx);

/* ---- received messages (receiver.c) ---- */

/* Functions of vestry_broker_events. */
void vsi_cluster_received(const char *subject, const void *data, size_t len, void *cluster);
void vsi_cluster_state(vestry_broker_state state, void *cluster);

/* ---- messages sent recently (recent.c) ---- */

/* Channels and keys to which messages were recently sent, but not to all nodes. They are kept while another node may
 * announce late that it has members or streams of them. The caller holds the lock. */

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, const vsi_bits *sent);
/* Return whether, since since_ns, a message was sent that a node did not get. */
bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns);
/* Check a node that announces now that it has members of a channel. true: it has missed a message. Reported once. */
bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node);

#endif
