/* SPDX-License-Identifier: MIT */
/* Which node holds which key: hashes of keys, each node's own and those that the others have told of. keys.c has the
 * essay. Any thread; its lock is innermost. */
#ifndef VSI_CLUSTER_KEYS_H
#define VSI_CLUSTER_KEYS_H

#include <stdatomic.h>

#include "base/mutex.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"
#include "vestry/store.h"

/* Other nodes have a number below this, and a bit in a mask. */
enum { VSI_NODES_MAX = 64 };

/* Set in the hashes of channels' names, which are keys here like others, but it is not asked whether they are
 * shared. */
#define VSI_KEYS_CHANNEL UINT64_C(1)

/* What is known of one key: 32 bytes. */
typedef struct vsi_key_entry {
  uint64_t hash;
  uint64_t others;         /* the nodes that hold it; a bit each */
  vestry_handle handle;    /* of the stream that was put here last to REPLACE all others; 0: none */
  uint64_t stamp : 40;     /* when it was, on the clock of the cluster */
  uint64_t count : 21;     /* streams here */
  uint64_t is_told : 1;    /* the others have been told that it is here */
  uint64_t is_waiting : 1; /* they are about to be told what has changed */
  uint64_t is_used : 1;
} vsi_key_entry;

/* One change, as it travels: a hash and a word. 16 bytes. */
typedef struct vsi_key_change {
  uint64_t hash;
  uint64_t stamp : 40; /* of one that REPLACEs; 0: it does not */
  bool is_gone;
} vsi_key_change;

enum { VSI_KEYS_WAITING = 4096, VSI_KEYS_LEFT = 1024, VSI_KEYS_HITS = 16384 };

typedef struct vsi_keys {
  const vestry_host *host;
  _Atomic(uint32_t) shared_count; /* keys that are here and elsewhere */
  /* Keys that were dispatched to here: half of the hash, or 0: several; and when, in ms. Each in a place of its own. */
  _Atomic(uint64_t) hits[VSI_KEYS_HITS];
  vsi_mutex lock;
  /* All below is guarded by the lock. */
  vsi_key_entry *entries; /* open addressing, linear probing */
  size_t capacity, used;
  uint64_t ahead_ms;   /* the clock of the cluster is so much ahead of this node's */
  uint64_t heard;      /* the highest stamp that others have told */
  uint64_t count, sum; /* of what is here and told: hashes, added up */
  uint64_t of_others[VSI_NODES_MAX], sum_of_others[VSI_NODES_MAX];
  uint64_t waiting[VSI_KEYS_WAITING]; /* hashes of changes that are to be told */
  size_t waiting_count;
  uint64_t waiting_ns;               /* since when the first of them has */
  vestry_handle left[VSI_KEYS_LEFT]; /* streams that have left of late, each in a place of its handle's */
  bool has_more_waiting;             /* they did not fit: everybody is told all */
} vsi_keys;

/* Streams here that a newer one elsewhere has replaced. */
typedef struct vsi_keys_replaced_here {
  vestry_handle handle; /* the one that had REPLACEd all others; 0: none */
  bool has_others;      /* there are others of the key: those that are older */
} vsi_keys_replaced_here;

/* OK | NO_MEMORY */
vestry_err vsi_keys_init(vsi_keys *keys, const vestry_host *host);
void vsi_keys_finish(vsi_keys *keys);

/* A stream comes. *ret_first: nothing waited to be told before. OK | NO_MEMORY */
vestry_err vsi_keys_come(vsi_keys *keys, uint64_t hash, bool *ret_first);
/* A stream has REPLACEd all others of its key, by this handle, unless it has left again. As above. */
void vsi_keys_replaced(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first);
/* A stream has left; handle 0: it has none. As above. */
void vsi_keys_leave(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first);

/* Whether streams are here, or about to be. */
bool vsi_keys_are_here(vsi_keys *keys, uint64_t hash);
/* Which other nodes hold a key; and how many nodes do, this one included. */
uint64_t vsi_keys_others(vsi_keys *keys, uint64_t hash);
size_t vsi_keys_holders(vsi_keys *keys, uint64_t hash);
size_t vsi_keys_memory_bytes(vsi_keys *keys);

/* Take changes that wait, at most room; all of them are taken together with `count` and `sum`. true: too many have
 * waited, everybody is to be told all; what was taken counts as told. ret_since_ns: since when the oldest has
 * waited. */
bool vsi_keys_take(vsi_keys *keys, vsi_key_change *changes, size_t room, size_t *ret_count, uint64_t *ret_since_ns);
/* All that is told, room at a time, under the lock: so that nothing moves meanwhile. */
typedef void (*vsi_keys_list_fn)(const vsi_key_change *changes, size_t count, bool is_last, void *ctx);
void vsi_keys_list(vsi_keys *keys, vsi_key_change *changes, size_t room, vsi_keys_list_fn fn, void *ctx);

/* A key is about to be asked for elsewhere too, if shared_count says so; now, or a little before. */
void vsi_keys_hit(vsi_keys *keys, uint64_t hash, uint64_t now_ns);
/* Whether that was so since then, as far as is known: it may say yes of a key that shares a place with another one. */
bool vsi_keys_was_hit(vsi_keys *keys, uint64_t hash, uint64_t since_ns, uint64_t now_ns);

/* What another node tells of its own. its_id_wins: if both stamps are the same. *ret_replaced: what is to be closed;
 * NULL: nothing can be closed now. *ret_is_new: it was not known to hold it; may be NULL. OK | NO_MEMORY (it is not
 * known) | FULL (something is to be closed, and cannot be now) */
vestry_err vsi_keys_told(vsi_keys *keys, unsigned node, vsi_key_change change, bool its_id_wins,
                         vsi_keys_replaced_here *ret_replaced, bool *ret_is_new);
/* The cluster's clock, in ms: of all nodes the one that is furthest. What another one says of it: it is not earlier
 * than that any more. What was on that clock when something was on this node's. */
uint64_t vsi_keys_clock(vsi_keys *keys);
void vsi_keys_hear_clock(vsi_keys *keys, uint64_t clock_ms);
uint64_t vsi_keys_clock_at(vsi_keys *keys, uint64_t own_ns);
/* A node holds no key, as far as is known. */
void vsi_keys_forget(vsi_keys *keys, unsigned node);

/* How many keys there are, and what their hashes add up to: of those here that are told, and of another node. */
void vsi_keys_told_sum(vsi_keys *keys, uint64_t *ret_count, uint64_t *ret_sum);
void vsi_keys_sum_of(vsi_keys *keys, unsigned node, uint64_t *ret_count, uint64_t *ret_sum);

/* Something waits to be told. */
bool vsi_keys_are_waiting(vsi_keys *keys);

/* Keys over all nodes. */

/* What a LIST of another node's is answered; page: what goes after the error and the count. OK | NOT_FOUND | errors */
vestry_err vsi_list_answer(vestry_cluster *cluster, const vsi_wire_list *list, uint32_t *ret_count, vsi_buffer *page);

#endif
