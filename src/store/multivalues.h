/* SPDX-License-Identifier: MIT */
/* Keys that have many values: count the values, and find one of them, in a constant number of steps. The values of a
 * key are a ring in the order of their puts. If a key has at most VSI_MULTIVALUE_WALK values, a walk along the ring
 * finds each of them. A value that is put when its key already has VSI_MULTIVALUE_WALK values gets a node, by which two
 * maps find it. Every later value gets a node, too, as long as the newest value of the key has one. Therefore values
 * without a node are among the VSI_MULTIVALUE_WALK oldest of their key. All functions run under the lock of the
 * shard. */
#ifndef VSI_STORE_MULTIVALUES_H
#define VSI_STORE_MULTIVALUES_H

#include "base/map.h"
#include "store/entry.h"

enum { VSI_MULTIVALUE_WALK = 16 };

/* Data shared by the nodes of one key. */
typedef struct vsi_multivalue {
  size_t count, nodes_count; /* number of values of the key; number of nodes */
  vsi_entry *middle;         /* about in the middle of the ring, unless many values near one end have left */
} vsi_multivalue;

typedef struct vsi_multivalue_node {
  vsi_map_link by_handle, by_value;
  vsi_entry *entry;
  vsi_multivalue *multivalue;
} vsi_multivalue_node;

/* The multivalues of a shard. Zeroes: no key has many values. */
typedef struct vsi_multivalues {
  vsi_map by_handle, by_value;
} vsi_multivalues;

/* Memory that a put may need for its value. */
typedef struct vsi_multivalue_room {
  vsi_multivalue_node *node; /* NULL: none */
  vsi_multivalue *multivalue;
} vsi_multivalue_room;

/* Return the number of values of a key. */
size_t vsi_multivalues_count_ring(const vsi_multivalues *multivalues, const vsi_entry *newest);
vsi_entry *vsi_multivalues_find_in_ring(const vsi_multivalues *multivalues, vsi_entry *newest, const void *value);
static inline size_t vsi_multivalues_count(const vsi_multivalues *multivalues, const vsi_entry *newest) {
  if (__builtin_expect(!newest || newest->older == newest, 1)) return newest != NULL;
  return vsi_multivalues_count_ring(multivalues, newest);
}
/* Return the entry of a key that has this value; NULL: none. */
static inline vsi_entry *vsi_multivalues_find(const vsi_multivalues *multivalues, vsi_entry *newest,
                                              const void *value) {
  if (__builtin_expect(!newest || newest->value == value, 0)) return newest;
  return __builtin_expect(newest->older == newest, 1) ? NULL : vsi_multivalues_find_in_ring(multivalues, newest, value);
}

/* Return an entry about in the middle of a ring, at which a further walk may begin; the newest of a key without
 * nodes. */
const vsi_entry *vsi_multivalues_middle(const vsi_multivalues *multivalues, const vsi_entry *newest);

/* Return the entry with this handle if it has a node; NULL: no entry with a node has this handle. */
vsi_entry *vsi_multivalues_with_handle(const vsi_multivalues *multivalues, vestry_handle handle);
/* Return the entry of a key that has this handle or this value, searching only the entries that need no node; NULL:
 * none. A handle of 0 and a value of NULL match no entry. */
vsi_entry *vsi_multivalues_walk(vsi_entry *newest, vestry_handle handle, const void *value);

/* Allocate the memory that one more value of a key may need. OK | NO_MEMORY. */
vestry_err vsi_multivalues_prepare(vsi_multivalues *multivalues, const vestry_host *host, const vsi_entry *newest,
                                   vsi_multivalue_room *room);
/* Add an entry to the multivalue of its key. The entry has its handle and is not linked yet. newest: the newest entry
 * of the key so far; NULL: none. */
void vsi_multivalues_add(vsi_multivalues *multivalues, vsi_entry *newest, vsi_entry *entry, vsi_multivalue_room *room);
static inline void vsi_multivalue_room_free(vsi_multivalue_room *room, const vestry_host *host) {
  vsi_free(host, room->node);
  vsi_free(host, room->multivalue);
}

/* Remove an entry that leaves and is still linked. */
void vsi_multivalues_remove_from(vsi_multivalues *multivalues, const vestry_host *host, vsi_entry *entry);
static inline void vsi_multivalues_remove(vsi_multivalues *multivalues, const vestry_host *host, vsi_entry *entry) {
  if (__builtin_expect(multivalues->by_handle.count != 0, 0)) vsi_multivalues_remove_from(multivalues, host, entry);
}

#endif
