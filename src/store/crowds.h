/* SPDX-License-Identifier: MIT */
/* Keys that have many values: how many, and which of them is this one, in a constant number of steps. The values of a
 * key are a ring in the order of their puts. Of VSI_CROWD_WALK values each is found by a walk. A value that comes to as
 * many gets a node, as do all that are put after it while the newest has one; so values without a node are among the
 * VSI_CROWD_WALK oldest of their key. All under the lock of the shard. */
#ifndef VSI_STORE_CROWDS_H
#define VSI_STORE_CROWDS_H

#include "base/map.h"
#include "store/entry.h"

enum { VSI_CROWD_WALK = 16 };

/* What the nodes of one key share. */
typedef struct vsi_crowd {
  size_t count, nodes_count; /* values of the key; nodes */
} vsi_crowd;

typedef struct vsi_crowd_node {
  vsi_map_link by_handle, by_value;
  vsi_entry *entry;
  vsi_crowd *crowd;
} vsi_crowd_node;

/* A shard's. Zeroes: no key has many values. */
typedef struct vsi_crowds {
  vsi_map by_handle, by_value;
} vsi_crowds;

/* What a value that is put may need. */
typedef struct vsi_crowd_room {
  vsi_crowd_node *node; /* NULL: none */
  vsi_crowd *crowd;
} vsi_crowd_room;

/* The values of a key. */
size_t vsi_crowds_count_ring(const vsi_crowds *crowds, const vsi_entry *newest);
vsi_entry *vsi_crowds_find_in_ring(const vsi_crowds *crowds, vsi_entry *newest, const void *value);
static inline size_t vsi_crowds_count(const vsi_crowds *crowds, const vsi_entry *newest) {
  if (__builtin_expect(!newest || newest->older == newest, 1)) return newest != NULL;
  return vsi_crowds_count_ring(crowds, newest);
}
/* The entry of a key that has this value; NULL: none. */
static inline vsi_entry *vsi_crowds_find(const vsi_crowds *crowds, vsi_entry *newest, const void *value) {
  if (__builtin_expect(!newest || newest->value == value, 0)) return newest;
  return __builtin_expect(newest->older == newest, 1) ? NULL : vsi_crowds_find_in_ring(crowds, newest, value);
}

/* The entry with this handle, if it has a node; NULL: none has. */
vsi_entry *vsi_crowds_with_handle(const vsi_crowds *crowds, vestry_handle handle);
/* One of a key's entries with this handle that have no node; NULL: none has. */
vsi_entry *vsi_crowds_walk(vsi_entry *newest, vestry_handle handle);

/* Get what one more value of a key may need. OK | NO_MEMORY. */
vestry_err vsi_crowds_prepare(vsi_crowds *crowds, const vestry_host *host, const vsi_entry *newest,
                              vsi_crowd_room *room);
/* An entry that has its handle joins a key, and is not linked yet. newest: the key's until now; NULL: none. */
void vsi_crowds_add(vsi_crowds *crowds, vsi_entry *newest, vsi_entry *entry, vsi_crowd_room *room);
static inline void vsi_crowd_room_free(vsi_crowd_room *room, const vestry_host *host) {
  vsi_free(host, room->node);
  vsi_free(host, room->crowd);
}

/* An entry leaves, and is still linked. */
void vsi_crowds_remove_from(vsi_crowds *crowds, const vestry_host *host, vsi_entry *entry);
static inline void vsi_crowds_remove(vsi_crowds *crowds, const vestry_host *host, vsi_entry *entry) {
  if (__builtin_expect(crowds->by_handle.count != 0, 0)) vsi_crowds_remove_from(crowds, host, entry);
}

#endif
