/* SPDX-License-Identifier: MIT */
/* Keys by node: hashes of this node's keys, and of the keys that other nodes have announced. keys.c has the essay. Any
 * thread; the lock is innermost. */
#ifndef VSI_CLUSTER_KEYS_H
#define VSI_CLUSTER_KEYS_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "app/presence/bits.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vestry/store.h"

/* Maximum number of other nodes. Each has an index below it. */
enum { VSI_NODES_MAX = VSI_BITS_MAX, VSI_KEYS_OWN = VSI_NODES_MAX };

/* Bits of a key's hash. The lowest one is set in the hashes of channels' names, which are stored like keys of streams,
 * but are not counted as shared. */
enum { VSI_KEYS_HASH_BITS = 52 };
#define VSI_KEYS_CHANNEL UINT64_C(1)
#define VSI_KEYS_HASH    ((UINT64_C(1) << VSI_KEYS_HASH_BITS) - 1)

/* A key of this node. */
typedef struct vsi_own_key {
  vsi_map_link in;                   /* first member; by the key's hash, in its upper bits */
  STAILQ_ENTRY(vsi_own_key) waiting; /* a change is waiting to be announced */
  vestry_handle handle;              /* of the stream that last replaced all others (REPLACE); 0: none */
  uint64_t stamp : 40;               /* time of that REPLACE, on the cluster clock without its jumps, in ms; 0: none */
  uint64_t count : 21;               /* number of streams */
  uint64_t is_announced : 1;         /* the other nodes have it in their copies */
  uint64_t is_waiting : 1;
  uint64_t is_shared : 1; /* other nodes hold it, too; false for channels */
} vsi_own_key;

/* Keys of other nodes. An entry is a hash and, in its lower bits, the tag of the copy that has it: 8 bytes; 0: none.
 * The copies are in segments, so that a segment grows, and is swept, in a short time. */
enum { VSI_KEYS_TAGS = 1 << (64 - VSI_KEYS_HASH_BITS), VSI_KEYS_SEGMENTS = 1024 };
typedef struct vsi_key_segment {
  uint64_t *entries; /* open addressing, linear probing */
  uint32_t capacity, used;
} vsi_key_segment;

/* The copy of another node's keys. */
typedef struct vsi_key_copy {
  uint64_t count, sum; /* its digest: number of keys, sum of their hashes */
  uint16_t tag;        /* 0: none yet */
} vsi_key_copy;

/* One change, as it is announced: a hash and a word, 16 bytes. */
typedef struct vsi_key_change {
  uint64_t hash;
  uint64_t stamp : 40; /* stamp of a REPLACE; 0: none */
  bool is_gone;
} vsi_key_change;

enum { VSI_KEYS_LEFT = 1024, VSI_KEYS_HITS = 16384, VSI_KEYS_MAPS = 16 };

typedef struct vsi_keys {
  const vestry_host *host;
  _Atomic(uint32_t) shared_count; /* number of keys held here and elsewhere */
  /* Recent dispatches (performances of effects for all streams of a key) to keys of this node. vsi_keys_hit writes them
   * into the slot of the key's hash: half of the hash (0: several keys share the slot), and the time in ms. */
  _Atomic(uint64_t) hits[VSI_KEYS_HITS];
  vsi_mutex lock;
  /* All below is guarded by the lock. */
  vsi_map own[VSI_KEYS_MAPS]; /* vsi_own_key; several, so that each grows in a short time */
  STAILQ_HEAD(, vsi_own_key) waiting;
  bool has_waiting_channel;          /* one of them is a channel */
  uint64_t waiting_ns;               /* time since the first of them has been waiting */
  vestry_handle left[VSI_KEYS_LEFT]; /* streams that have left recently, each in the slot of its handle */
  uint64_t ahead_ms;                 /* cluster clock minus this node's clock */
  uint64_t jumps_ms;                 /* by how much it has jumped; all stamps of this node move with it */
  uint64_t highest_stamp;            /* highest stamp that another node has announced (REPLACE, keys.c) */
  vsi_key_segment segments[VSI_KEYS_SEGMENTS];
  vsi_key_copy copies[VSI_NODES_MAX + 1]; /* VSI_KEYS_OWN: the digest of this node's announced keys */
  uint16_t node_of[VSI_KEYS_TAGS];        /* of a tag: an index of a node, or VSI_KEYS_… below */
  unsigned last_tag;                      /* that was given to a copy */
  unsigned unswept_count;                 /* segments that the current sweep has not passed yet */
  bool has_dropped;                       /* a copy was dropped since the last sweep began */
} vsi_keys;

/* States of a tag without a node: it is free; its copy was dropped, and entries are left; a sweep removes them. */
enum { VSI_KEYS_FREE = VSI_NODES_MAX, VSI_KEYS_DROPPED, VSI_KEYS_SWEPT };

/* Streams of this node that a newer stream on another node replaces. */
typedef struct vsi_keys_replaced_here {
  vestry_handle handle; /* of the stream that had replaced all others here; 0: none */
  bool has_others;      /* the key has other streams here: the older ones are replaced, too */
} vsi_keys_replaced_here;

/* Create an empty table. OK | NO_MEMORY */
vestry_err vsi_keys_init(vsi_keys *keys, const vestry_host *host);
void vsi_keys_finish(vsi_keys *keys);

/* Count a stream before it is put under a key. *ret_first: this is the first change that waits, or the first one of a
 * channel. OK | NO_MEMORY */
vestry_err vsi_keys_come(vsi_keys *keys, uint64_t hash, bool *ret_first);
/* Record that a stream has replaced all others of its key (REPLACE), unless it has left again. *ret_first as above. */
void vsi_keys_replaced(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first);
/* Count a stream that has left; handle 0: unknown. *ret_first as above. */
void vsi_keys_leave(vsi_keys *keys, uint64_t hash, vestry_handle handle, bool *ret_first);

/* Return whether streams are here, or about to be put. */
bool vsi_keys_are_here(vsi_keys *keys, uint64_t hash);
/* Return the other nodes that hold a key. */
vsi_bits vsi_keys_others(vsi_keys *keys, uint64_t hash);
size_t vsi_keys_memory_bytes(vsi_keys *keys);

/* Take waiting changes, at most room of them, together with the `count` and `sum` that include them; they count as
 * announced. ret_since_ns: time since the oldest has been waiting; untouched if none waits. Returns their number;
 * *more: others are left. */
size_t vsi_keys_take(vsi_keys *keys, vsi_key_change *changes, size_t room, bool *more, uint64_t *ret_since_ns);
/* List announced keys, at most room of them, from *at on, which begins with 0 and is moved along; 0 again: the list is
 * over. Keys that come or leave between two calls are listed or not. Returns their number. */
size_t vsi_keys_list(vsi_keys *keys, vsi_key_change *changes, size_t room, uint64_t *at);

/* Record a dispatch to a key of this node, now or a few ms ago. Call it before reading shared_count, which decides
 * whether other nodes are queried. */
void vsi_keys_hit(vsi_keys *keys, uint64_t hash, uint64_t now_ns);
/* Return whether a dispatch was recorded for a key since since_ns. May return true for a key that shares a slot with
 * another one. */
bool vsi_keys_was_hit(vsi_keys *keys, uint64_t hash, uint64_t since_ns, uint64_t now_ns);

/* Begin to load what vsi_keys_apply reads for these changes, so that it waits for the memory of all of them
 * together. */
void vsi_keys_prefetch(vsi_keys *keys, const vsi_key_change *changes, size_t count);
/* Apply a change that another node has announced.
 * - its_id_wins: its stream is the newer one if both stamps are equal
 * - ret_replaced: the streams to close here; NULL: none can be closed now
 * - ret_is_new: the node was not known to hold the key; may be NULL
 *
 * Returns OK | NO_MEMORY (the change is not applied) | FULL (streams must be closed, and ret_replaced is NULL) */
vestry_err vsi_keys_apply(vsi_keys *keys, unsigned node, vsi_key_change change, bool its_id_wins,
                          vsi_keys_replaced_here *ret_replaced, bool *ret_is_new);
/* Advance the cluster clock to the time of another node, if that is later. The cluster clock is the clock of the node
 * that is furthest ahead. */
void vsi_keys_advance_clock(vsi_keys *keys, uint64_t clock_ms);
/* Convert a time of this node's clock to the cluster clock, in ms. */
uint64_t vsi_keys_clock_at(vsi_keys *keys, uint64_t own_ns);
/* Drop all keys of a node, in constant time. vsi_keys_sweep then frees their memory; each call takes a short time.
 * Returns whether more is left; false also without memory, so it is called again later. */
void vsi_keys_forget(vsi_keys *keys, unsigned node);
bool vsi_keys_sweep(vsi_keys *keys);

/* Get the digest of another node's announced keys, or of this node's (VSI_KEYS_OWN): number of keys, sum of their
 * hashes. */
void vsi_keys_sum_of(vsi_keys *keys, unsigned node, uint64_t *ret_count, uint64_t *ret_sum);

/* Return whether changes are waiting to be announced. */
bool vsi_keys_are_waiting(vsi_keys *keys);

#endif
