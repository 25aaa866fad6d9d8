/* A cluster, as its rooms see it: meet.c (who is who), members.c (who lives, and what they have sent), tell.c (what is
 * told to all), ask.c (what is asked and answered), list.c (which keys there are), claims.c (who may hold one alone),
 * inward.c (what others want done here), guests.c (who is present), cluster.c (its life, and its ties to the instance).
 *
 * Links. Between two nodes all goes one way: numbered, by the receiver's subject, and so in order. What is lost shows
 * as a jump in the numbers, at the next message or, since each heartbeat says how many were given, at the next
 * heartbeat. What could not be sent is given a number too, unless its sender is told of it: so a broker that is full or
 * down, and a member that was dead for a while, need no message of their own.
 *
 * Lives. Each start of a node draws an epoch. A message says whose life it comes from and which one it is for. A life
 * counts from when it has proven that it goes on (meet.c), and each of its messages once: they carry a turn that only
 * rises. So what somebody has recorded and plays back is nothing: it is of a life that proves nothing, or has come.
 *
 * Locks. `lock` guards all but what is constant; messages are handed to the broker under it, so that numbers and order
 * agree. The keys have a lock of their own, inside of it. Nothing of the application's is called under either. */
#ifndef VSI_CLUSTER_CLUSTER_H
#define VSI_CLUSTER_CLUSTER_H

#include "channel/channels.h"
#include "cluster/keys.h"
#include "cluster/wire.h"
#include "instance/elsewhere.h"
#include "presence/presences.h"
#include "store/store.h"
#include "vestry/cluster.h"
#include "vestry/page.h"

enum {
  VSI_ASK_BUCKETS = 16384,
  VSI_LINE_BUCKETS = 4096,
  VSI_RECENT_CHANNELS = 4096,
  VSI_CLOSING_MAX = 1024,
  VSI_OLDER_MAX = 256,
  VSI_FLUSH_MS = 5,
  VSI_REFRESH_BYTES = 16384
};

/* Another node, in one of its lives. */
typedef struct vsi_peer {
  uint64_t id, epoch;                   /* epoch 0: the place has never been taken */
  char name[VESTRY_NODE_MAX_BYTES + 1]; /* told with the proof */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t heard_ns;
  uint64_t proofs;      /* how often it, or a former life of it, has proven itself: a challenge is good for one proof */
  uint64_t out_seq;     /* the last number that was given */
  uint64_t in_seq;      /* the last one that has come, or is known to be lost */
  uint64_t in_turn;     /* of the last message that has come */
  uint64_t told_ns;     /* when it was told of keys */
  uint64_t verified_ns; /* when its keys were last known to be known in full */
  bool drains;          /* it has said so: for good */
  bool has_met;         /* it has sent something in the knowledge of this life of this node */
  bool is_synced;       /* its keys are known */
  bool is_syncing;      /* they are coming, and none is missing so far */
  bool must_sync;       /* what was lost may have been of them: they are to be told anew, whatever their sum says */
  bool wants_all;       /* it is to be told all keys */
  bool is_telling_all;  /* what is told is part of all that there is */
  struct vsi_digest *digests, *last_digest; /* what waits to be told it */
  size_t digests_bytes, digests_most;       /* how much that is; how much it may be */
  uint64_t guests_count, guests_sum;        /* who is present there, as far as it has told; their hashes added up */
  /* What the application is to be told. */
  bool has_gap, has_news;
  uint64_t lost_count;
} vsi_peer;

struct vsi_line;

/* A dispatch that waits for answers. */
typedef struct vsi_ask {
  struct vsi_ask *next; /* in its bucket; then among those that are done */
  struct vsi_ask *newer, *older;
  struct vsi_line *line;                   /* its key's; NULL: it waits for none */
  struct vsi_ask *line_newer, *line_older; /* of the line's list that it is in */
  uint64_t id, hash, due_ns;               /* hash: of the key */
  uint64_t asked, awaited;                 /* nodes, a bit each */
  bool has_begun;                          /* those who are known to hold it have been asked */
  bool is_held;                            /* behind an older one of its key: nobody is awaited */
  bool is_in_line;                         /* in a list of the line's: held, or begun and not asked of all */
  bool was_sent;
  bool is_found;     /* here: nobody but those who are known to hold it is asked */
  bool is_fail_fast; /* nothing more is to be performed once something has failed */
  bool asks_all;     /* nobody is left to be asked */
  uint8_t kind;      /* ASK or LIST */
  uint64_t only;     /* of a LIST: whom to ask */
  vsi_buffer *page;  /* where what a LIST is answered goes; NULL: nowhere */
  uint32_t count;    /* connections so far */
  vestry_err error;
  vestry_answer_fn on_answer;
  void *ctx;
  vsi_buffer message; /* to be sealed for each receiver */
} vsi_ask;

typedef struct vsi_asks {
  vsi_ask *first, *last;
} vsi_asks;

/* Those of one key: ask.c has the essay. */
typedef struct vsi_line {
  struct vsi_line *next;
  uint64_t hash;
  size_t count;       /* asks of the key */
  vsi_asks begun;     /* that may still be asked of others; the oldest first */
  vsi_asks held;      /* that have not begun; likewise */
  size_t again_count; /* of begun: those that have to be asked of others, and are held */
  uint64_t common;    /* nodes that all of begun were asked, at least */
} vsi_line;

/* A channel, or a key, that was sent to: who may have come too late to get it. */
typedef struct vsi_recent {
  uint64_t hash; /* 0: several */
  uint64_t sent; /* nodes that it went to, a bit each */
  uint64_t at_ns;
} vsi_recent;

/* A key that a stream elsewhere has replaced: its streams here that are older are to be closed. */
typedef struct vsi_older {
  uint64_t hash, stamp;
} vsi_older;

typedef struct vsi_claim vsi_claim;

struct vestry_cluster {
  vestry *v;
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_broker broker;
  vestry_pages *pages;
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
  size_t max_inward_bytes, max_waiting_count;
  bool is_strict, is_tied; /* is_tied: to the instance; another cluster may be */
  vsi_elsewhere elsewhere;
  vsi_store_watch store_watch;
  vsi_channels_watch channels_watch;
  vsi_presence_watch presence_watch;
  vestry_timer *heartbeat, *flush, *deadline;
  vestry_actor *actor; /* does what others want, and calls the application */

  vsi_keys keys;
  _Atomic(size_t) inward_bytes;

  pthread_mutex_t lock;
  pthread_cond_t quiet;   /* the actor does not run */
  pthread_cond_t claimed; /* a claim is sure, or there is none any more */
  /* All below is guarded by the lock. */
  vsi_peer peers[VSI_NODES_MAX];
  size_t peers_count;
  bool is_up;
  uint64_t up_ns; /* since when */
  bool has_ended, has_left, is_refused, is_running;
  bool has_own_news, has_own_gap;
  uint64_t turn;          /* of the last message that was sent */
  uint64_t proofs_before; /* of nodes that have no place: above those of all that had one */
  uint64_t twin_proofs;   /* of other nodes of this one's name */
  uint64_t twin_epoch;    /* a life of such a node that is to give up; 0: none */
  uint8_t other_version;  /* a node of the secret speaks another version of the wire: to be logged; 0: none does */
  uint64_t other_logged_ns;
  vsi_ask *asks[VSI_ASK_BUCKETS];
  vsi_line *lines[VSI_LINE_BUCKETS];
  vsi_ask *oldest, *newest;
  uint64_t last_ask_id;
  vsi_claim *claims; /* of keys that threads of this node put streams under */
  bool refreshes_all;
  vsi_buffer refreshes; /* topics that are to be told: a length of two bytes and the topic */
  vsi_recent recent[VSI_RECENT_CHANNELS];
  vsi_key_change changes[VSI_KEYS_WAITING]; /* of who flushes */
  vestry_handle closing[VSI_CLOSING_MAX];   /* streams that others have replaced: the actor closes them */
  size_t closing_count;
  vsi_older older[VSI_OLDER_MAX];
  size_t older_count;
  vsi_older sought[VSI_OLDER_MAX]; /* the actor's: of these it looks through the store (older.c) */
  size_t sought_count;
  vestry_list_cursor sought_at;
  vestry_cluster_stats stats;
};

static inline void vsi_cluster_lock(vestry_cluster *cluster) {
  pthread_mutex_lock(&cluster->lock);
}
static inline void vsi_cluster_unlock(vestry_cluster *cluster) {
  pthread_mutex_unlock(&cluster->lock);
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
  return vsi_scoped_key_init_encoded(ret_key, &vestry_store_of(cluster->v)->exit.hash, cluster->host, scope, name.key);
}

/* ---- meet.c: all under the lock ---- */

/* Somebody is there: ask for a proof that it goes on, unless that is known. */
void vsi_meet_prompt(vestry_cluster *cluster, const vsi_wire_message *message);
/* MEET. false: nothing came of it. */
bool vsi_meet_take(vestry_cluster *cluster, const vsi_wire_message *message);
/* HELLO or MEET of another node of this one's name. */
void vsi_meet_twin(vestry_cluster *cluster, const vsi_wire_message *message);

/* ---- members.c: all under the lock, but for the first ---- */

/* The seam's events. */
void vsi_cluster_heard(const char *subject, const void *data, size_t len, void *cluster);
void vsi_cluster_state(vestry_broker_state state, void *cluster);
/* The heartbeat. */
void vsi_cluster_beat(vestry_timer *timer, void *cluster);
void vsi_members_say_goodbye(vestry_cluster *cluster);
/* This node takes no part any more: there was another one of its name before. */
void vsi_members_give_up(vestry_cluster *cluster);
vsi_peer *vsi_peer_of(vestry_cluster *cluster, uint64_t id);
/* The subject that a node hears. */
void vsi_members_subject_of(const vestry_cluster *cluster, uint64_t id, char ret_subject[VESTRY_SUBJECT_MAX_BYTES + 1]);
/* DRAINS if this node does. */
uint8_t vsi_members_own_flags(const vestry_cluster *cluster);
/* A life has proven itself: it lives, again or from now on. It has this name. NULL: there is no place for it, or
 * another life of the node is well. */
vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name);
/* It was heard of late: no other life of it counts. */
bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer);

static inline unsigned vsi_peer_index(const vestry_cluster *cluster, const vsi_peer *peer) {
  return (unsigned)(peer - cluster->peers);
}
/* It is reckoned with: alive, draining or suspect. */
static inline bool vsi_peer_lives(const vsi_peer *peer) {
  return peer->state == VESTRY_MEMBER_ALIVE || peer->state == VESTRY_MEMBER_DRAINING ||
         peer->state == VESTRY_MEMBER_SUSPECT;
}
/* Those that live; and of these, those whose keys are not known in full. */
uint64_t vsi_members_alive(const vestry_cluster *cluster);
uint64_t vsi_members_unsynced(const vestry_cluster *cluster);
/* Whoever lives is known: it has been up for long enough to have heard of all. */
bool vsi_members_are_known(const vestry_cluster *cluster);
/* The same, and who is silent is dead: nobody holds a key who could not be asked. */
bool vsi_members_are_sure(const vestry_cluster *cluster);
/* The application is to be told of a gap; lost_count 0: it is not known how much. */
void vsi_peer_lose(vsi_peer *peer, uint64_t lost_count);

/* Send a message that was begun and ended. is_told: if it fails, the receiver will know of a gap; but not for what is
 * TOO_LARGE, which no receiver could have had: who sends it is told. */
vestry_err vsi_peer_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags,
                         bool is_told);
/* The same to all of a mask: the first failure. */
vestry_err vsi_peers_send(vestry_cluster *cluster, uint64_t mask, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags,
                          bool is_told);

/* ---- tell.c ---- */

/* Tell the others what waits to be told. Under the lock. */
void vsi_tell_locked(vestry_cluster *cluster);
/* The timer for it; and set it. */
void vsi_tell_due(vestry_timer *timer, void *cluster);
void vsi_tell_soon(vestry_cluster *cluster);
/* KEYS from another node. Under the lock. */
void vsi_tell_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Something was sent to a channel or a key, to some nodes alone. Under the lock. */
void vsi_tell_remember(vestry_cluster *cluster, uint64_t hash, uint64_t sent);
vestry_err vsi_tell_event(vestry_cluster *cluster, const vestry_scoped_key *name, vestry_event *event);
void vsi_tell_refresh(const char *topic, size_t len, void *cluster);

/* ---- digest.c: all under the lock ---- */

typedef struct vsi_digest vsi_digest;
/* Tell a node of keys or guests, behind what it is still to be told of them. false: it wants all. */
bool vsi_digest_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags);
/* Tell some more of what waits. */
void vsi_digests_go_on(vestry_cluster *cluster);
void vsi_digests_drop(vestry_cluster *cluster, vsi_peer *peer);

/* ---- guests.c: all under the lock, but for what presences call ---- */

/* Tell those of a mask what waits to be told. It counts as told; to whom it does not get wants all. */
void vsi_guests_tell(vestry_cluster *cluster, uint64_t mask);
/* Tell one all. */
void vsi_guests_tell_all(vestry_cluster *cluster, vsi_peer *peer);
/* PRESENT from another node. */
void vsi_guests_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_guests_forget(vestry_cluster *cluster, vsi_peer *peer);
/* vsi_presence_watch */
void vsi_guests_soon(void *cluster);
void vsi_guests_begin(void *cluster);
bool vsi_guests_are_known(void *cluster);

/* ---- ask.c ---- */

typedef struct vsi_asking {
  const vestry_scoped_key *key;
  json_t *effects, *data; /* data NULL: none */
  bool is_found;          /* as vsi_elsewhere.dispatch */
  bool is_fail_fast;
  uint32_t count; /* what came of it here */
  vestry_err error;
  vestry_answer_fn on_answer; /* NULL: nobody wants to know */
  void *ctx;
  /* Or, instead of the key and the effects: */
  const vsi_wire_list *list; /* its id does not count */
  uint64_t only;             /* nodes, a bit each */
  vsi_buffer *page;          /* takes what comes; NULL: nothing but counts is wanted. Valid until on_answer */
} vsi_asking;
/* Ask; on_answer is called, unless it fails. ret_id: for vsi_ask_give_up; may be NULL. OK | NO_MEMORY | CLOSED */
vestry_err vsi_ask_begin(vestry_cluster *cluster, const vsi_asking *asking, uint64_t *ret_id);
/* Whether one of a key is under way that a node was not asked. */
bool vsi_asks_pass_by(const vestry_cluster *cluster, uint64_t hash, unsigned node);
/* ANSWER from another node: *done takes what is done with. Under the lock. */
void vsi_ask_take(vestry_cluster *cluster, const vsi_peer *peer, const vsi_wire_message *message, vsi_ask **done);
/* Call them, without the lock. */
void vsi_asks_finish(vestry_cluster *cluster, vsi_ask *done);
void vsi_asks_due(vestry_timer *timer, void *cluster);
/* All that wait, for this; one of them. */
void vsi_asks_end(vestry_cluster *cluster, vestry_err error);
void vsi_ask_give_up(vestry_cluster *cluster, uint64_t id, vestry_err error);
/* Ask, and wait; on_answer and ctx do not count. OK | BUSY (this thread must not wait) | as on_answer is told */
vestry_err vsi_ask_wait(vestry_cluster *cluster, const vsi_asking *asking, uint32_t *ret_count);
/* vsi_elsewhere.dispatch */
vestry_err vsi_ask_and_wait(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                            bool is_found, uint32_t *ret_count, void *cluster);

/* ---- list.c ---- */

/* What a LIST of another node's is answered; page: what goes behind the error and the count. OK | NOT_FOUND | errors */
vestry_err vsi_list_answer(vestry_cluster *cluster, const vsi_wire_list *list, uint32_t *ret_count, vsi_buffer *page);

/* ---- claims.c ---- */

/* vsi_elsewhere.claim and claimed */
vestry_err vsi_claims_begin(const vestry_scoped_key *key, void *cluster);
void vsi_claims_end(const vestry_scoped_key *key, void *cluster);
/* Whether this node holds a key. Under the lock. */
bool vsi_claims_hold(vestry_cluster *cluster, uint64_t hash);

/* ---- older.c: the actor's ---- */

/* Look on for streams that are to be closed. false: there is nothing to look for. */
bool vsi_older_go_on(vestry_cluster *cluster);

/* ---- inward.c ---- */

/* ASK, LIST, EVENT, REFRESH, PUBLISH from another node: to be done by the actor. Under the lock. */
void vsi_inward_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_inward_run(vestry_actor *actor, void *cluster);
void vsi_inward_drop(vestry_message *message, void *cluster);
/* The application may be to be told something. */
static inline void vsi_inward_notify(vestry_cluster *cluster) {
  vestry_actor_notify(cluster->actor);
}

/* Whether this thread is inside of a function of the application's that the cluster calls: it must not wait. */
extern _Thread_local unsigned vsi_cluster_inside;

#endif
