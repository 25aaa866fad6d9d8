/* SPDX-License-Identifier: MIT */
/* essay: links between nodes, lives, and what is lost on the way */
/* A node's part of a cluster: the struct that all files of this module share, and no behaviour. From the bottom up:
 *
 * peer.h            another node                       members.c          which nodes live; news of them for on_member
 * heartbeat.c       handshakes and heartbeats          message.c          a message: sealed, counted, published
 * keys.c            which node holds which key         list.c             keys over all nodes, by pages
 * recent.c          what only some nodes were sent     reservations.c     a key that one stream has alone
 * remote_request.c  requests to other nodes            served_requests.c  requests of other nodes
 * announce.c        what all nodes are told            receiver.c         what comes in, and whose it is
 * renewals.c        answers to streams of other nodes  create.c           create and destroy, hooks, counters
 *
 * Links. Between two nodes all goes one way: numbered, by the receiver's subject, and so in order. What is lost shows
 * as a jump in the numbers, at the next message or, since each heartbeat says how many were given, at the next
 * heartbeat. What could not be sent is given a number too, unless its sender is told of it: so a broker that is full or
 * down, and a member that was dead for a while, need no message of their own.
 *
 * Lives. Each start of a node draws an epoch. A message says whose life it comes from and which one it is for. A life
 * counts from when it has proven that it goes on (heartbeat.c), and each of its messages once: they carry a turn that
 * only rises. So a message that was recorded and is played back counts for nothing: its life proves nothing, or it has
 * come.
 *
 * Locks. `lock` guards all but what is constant; messages are published under it, so that numbers and order agree, and
 * flushed when it is given back. The keys have a lock of their own, inside of it. Nothing of the application's is
 * called under either. */
#ifndef VSI_CLUSTER_CLUSTER_H
#define VSI_CLUSTER_CLUSTER_H

#include "app/presence/presences.h"
#include "app/stream/lease.h"
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
  VSI_CLOSING_MAX = 1024,
  VSI_RENEWALS_MAX = 1024,
  VSI_OLDER_MAX = 256,
  VSI_FLUSH_MS = 5,
  VSI_REFRESH_BYTES = 16384
};

/* A channel, or a key, that was sent to: nodes that it was not sent to may have come too late. */
typedef struct vsi_recent {
  uint64_t hash; /* 0: several */
  uint64_t sent; /* nodes that it went to, a bit each */
  uint64_t at_ns;
} vsi_recent;

/* A key that a stream elsewhere has replaced: its streams here that are older are to be closed. */
typedef struct vsi_older {
  uint64_t hash, stamp;
} vsi_older;

/* Answers to streams of other nodes, which wait to be told (renewals.c). */
typedef struct vsi_renewal {
  vsi_map_link in;
  uint64_t node;
  unsigned char lease[VSI_LEASE_BYTES];
} vsi_renewal;

typedef struct vsi_renewals {
  vsi_siphash_key key; /* of addresses; constant */
  vestry_timer *timer;
  /* guarded by the cluster's lock */
  vsi_map waiting;                   /* those of all that are on their way, by the first bytes of the lease */
  vsi_renewal all[VSI_RENEWALS_MAX]; /* as many as the map has */
} vsi_renewals;

/* Whether what other nodes may have done here is quickly done: see served_requests.c. */
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
  vsi_siphash_key challenge_key; /* of this life alone */
  uint64_t subject_hash;
  char all_subject[VESTRY_SUBJECT_MAX_BYTES + 1], own_subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  uint64_t heartbeat_ns, suspect_ns, dead_ns, answer_ns, begun_ns;
  char **allow;
  size_t allow_count;
  size_t max_remote_bytes, max_waiting_count;
  vsi_quickness quickness; /* guarded by the lock */
  bool is_strict, is_tied; /* is_tied: to the instance; another cluster may be */
  vsi_elsewhere elsewhere;
  vsi_store_watch store_watch;
  vsi_channels_watch channels_watch;
  vsi_presences *presences; /* the instance's */
  vsi_presence_watch presence_watch;
  vestry_timer *heartbeat, *flush, *deadline;
  vestry_actor *actor; /* does what others want, and calls the application */

  vsi_keys keys;
  _Atomic(size_t) remote_bytes;

  vsi_mutex lock;
  pthread_cond_t quiet;    /* the actor does not run */
  pthread_cond_t reserved; /* a reservation is sure, or there is none any more */
  /* All below is guarded by the lock. */
  vsi_peer peers[VSI_NODES_MAX];
  size_t peers_count;
  bool is_up;
  uint64_t up_ns; /* since when */
  bool has_ended, has_left, is_refused, is_running;
  bool has_own_news, has_own_gap;
  vsi_gaps own_gaps;      /* of senders that are not known */
  bool has_letters;       /* published since the last flush */
  size_t put_count;       /* messages for the actor, of which it was not told yet */
  size_t row_count;       /* dispatches that the broker's thread has done since it last had told all that had come */
  uint64_t turn;          /* of the last message that was sent */
  uint64_t proofs_before; /* of nodes that have no place: above those of all that had one */
  uint64_t twin_proofs;   /* of other nodes of this one's name */
  uint64_t placeless_ns;  /* when a life proved itself that has no place; 0: none did */
  uint64_t placeless_epoch;
  char placeless[VESTRY_NODE_MAX_BYTES + 1]; /* its name, to be logged; "": none */
  bool is_one_too_many;                      /* why it is refused: there are as many nodes as there may be */
  uint64_t twin_epoch;                       /* a life of such a node that is to give up; 0: none */
  uint8_t other_version; /* a node of the secret speaks another version of the wire: to be logged; 0: none does */
  uint64_t other_logged_ns;
  /* What is asked (remote_request.c), and reserved (reservations.c). */
  vsi_map asks;   /* by id */
  vsi_map lines;  /* by key */
  vsi_ring asked; /* the oldest first */
  uint64_t last_ask_id;
  struct vsi_reservation *reservations; /* of keys that threads of this node put streams under */
  vsi_renewals renewals;
  /* What is told (announce.c), and was sent (recent.c). */
  bool refreshes_all;
  vestry_trace refreshes_trace; /* of the first refresh that is to be told and has one; not sampled: there is none */
  vsi_buffer refreshes;         /* topics that are to be told: a length of two bytes and the topic */
  vsi_recent recent[VSI_RECENT_CHANNELS];
  uint64_t recent_bits[2][VSI_RECENT_BITS / 64]; /* by turns: of what was noted since recent_since_ns, and before */
  uint64_t recent_since_ns;
  vsi_key_change changes[VSI_KEYS_WAITING]; /* of the thread that tells */
  /* Streams that others have replaced (reservations.c): the actor closes them. */
  vestry_handle closing[VSI_CLOSING_MAX];
  size_t closing_count;
  vsi_older older[VSI_OLDER_MAX];
  size_t older_count;
  vsi_older sought[VSI_OLDER_MAX]; /* the actor's: of these it looks through the store */
  size_t sought_count;
  vestry_list_cursor sought_at;
  vestry_cluster_stats stats;
};

static inline void vsi_cluster_lock(vestry_cluster *cluster) {
  vsi_mutex_lock(&cluster->lock);
}
/* What this thread has published goes on its way. A thread that is alone in waiting for other nodes writes by itself:
 * to wake another one costs more. Once several ask at once, or more is to come, the broker's thread writes, and what is
 * asked meanwhile goes together. */
static inline void vsi_cluster_unlock_for(vestry_cluster *cluster, bool has_more) {
  bool has_letters = cluster->has_letters, at_once = !has_more && cluster->stats.waiting_count <= 1;
  cluster->has_letters = false;
  vsi_mutex_unlock(&cluster->lock);
  if (has_letters) cluster->broker.ops->flush(cluster->broker.broker, at_once);
}
/* This thread is about to publish more, and to flush it. */
static inline void vsi_cluster_unlock_unflushed(vestry_cluster *cluster) {
  vsi_mutex_unlock(&cluster->lock);
}
static inline void vsi_cluster_unlock(vestry_cluster *cluster) {
  vsi_cluster_unlock_for(cluster, false);
}

/* What others told of, or lost, is to be told to the application; what others want is to be done. */
static inline void vsi_cluster_notify(vestry_cluster *cluster) {
  vestry_actor_notify(cluster->actor);
}

/* The others are told within some ms what waits to be told. */
static inline void vsi_cluster_tell_soon(vestry_cluster *cluster) {
  (void)vestry_timer_set(cluster->flush, VSI_FLUSH_MS, 0); /* CLOSED: the end */
}

static inline unsigned vsi_peer_index(const vestry_cluster *cluster, const vsi_peer *peer) {
  return (unsigned)(peer - cluster->peers);
}
static inline uint64_t vsi_peer_bit(const vestry_cluster *cluster, const vsi_peer *peer) {
  return UINT64_C(1) << vsi_peer_index(cluster, peer);
}

/* Hashes of keys and of channels' names, in the store's form; all nodes hash alike. One bit tells them apart. */
static inline uint64_t vsi_cluster_hash_key(const vestry_cluster *cluster, const vestry_scoped_key *key) {
  return vsi_siphash_1_3(cluster->hash_key, key->data, key->len) & ~VSI_KEYS_CHANNEL;
}
static inline uint64_t vsi_cluster_hash_channel(const vestry_cluster *cluster, const void *name, size_t len) {
  return vsi_siphash_1_3(cluster->hash_key, name, len) | VSI_KEYS_CHANNEL;
}

/* What is said of a key, and back: the scope and the key's own bytes. Returns as vsi_scoped_key_init_encoded. */
static inline vsi_wire_name vsi_cluster_name_of(const vestry_scoped_key *key) {
  return (vsi_wire_name){{key->scope.data, key->scope.len}, {key->data + key->key_offset, key->len - key->key_offset}};
}
static inline vestry_err vsi_cluster_pack(const vestry_cluster *cluster, vsi_wire_name name, vsi_scoped_key *ret_key) {
  const vestry_scope scope = {name.scope.data, name.scope.len};
  return vsi_scoped_key_init_encoded(ret_key, &vestry_parts_of(cluster->v)->store->exit.hash, cluster->host, scope,
                                     name.key);
}

/* What people who look at a cluster are shown, beside what vestry/cluster/cluster.h says. */

typedef struct vsi_cluster_member {
  char node[VESTRY_NODE_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t gaps_count, lost_count; /* in what it has sent; of this node: in what senders did that are not known */
  uint64_t gap_ago_ms;             /* since the last gap was told; VESTRY_NEVER_MS: there was none */
} vsi_cluster_member;
typedef void (*vsi_cluster_member_fn)(const vsi_cluster_member *member, void *ctx);

/* Tell of each member, this node first: on this thread, no lock held. A node that has lost its place to another one
 * is not told of, so gaps of all may be fewer than vestry_cluster_stats counts. OK | NO_MEMORY. Any thread; takes a
 * lock briefly. */
VESTRY_API vestry_err vsi_cluster_members(vestry_cluster *cluster, vsi_cluster_member_fn fn, void *ctx);

#endif
