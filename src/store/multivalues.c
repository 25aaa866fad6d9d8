/* SPDX-License-Identifier: MIT */
/* Crowds: the nodes of keys that have many values (crowds.h), and the two maps that find a node by its handle or by its
 * value. */
#include "store/crowds.h"

#include "base/assert.h"
#include "base/processor.h"

/* A plain multiplication is enough because clients choose neither number: handles are counted, and values are
 * addresses. */
static uint64_t spread(uint64_t number) {
  return number * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t hash_of_value(const vsi_crowd *crowd, const void *value) {
  return spread((uint64_t)(uintptr_t)value ^ spread((uint64_t)(uintptr_t)crowd));
}

static vsi_crowd_node *node_of(const vsi_crowds *crowds, vestry_handle handle) {
  if (!crowds->by_handle.count) return NULL;
  vsi_map_link *at = vsi_map_first(&crowds->by_handle, spread(handle));
  while (at && VSI_MAP_OWNER(at, vsi_crowd_node, by_handle)->entry->handle != handle) at = vsi_map_further(at);
  return VSI_MAP_OWNER(at, vsi_crowd_node, by_handle);
}

vsi_entry *vsi_crowds_with_handle(const vsi_crowds *crowds, vestry_handle handle) {
  const vsi_crowd_node *node = node_of(crowds, handle);
  return node ? node->entry : NULL;
}

vsi_entry *vsi_crowds_walk(vsi_entry *newest, vestry_handle handle) {
  vsi_entry *entry = newest;
  for (int i = 0; i < VSI_CROWD_WALK; i++) {
    entry = entry->newer; /* the oldest first */
    if (entry->handle == handle) return entry;
    if (entry == newest) break;
  }
  return NULL;
}

VSI_SELDOM size_t vsi_crowds_count_ring(const vsi_crowds *crowds, const vsi_entry *newest) {
  const vsi_crowd_node *node = node_of(crowds, newest->handle);
  if (node) return node->crowd->count;
  size_t count = 1;
  for (const vsi_entry *entry = newest->older; entry != newest; entry = entry->older) count++;
  return count;
}

VSI_SELDOM vsi_entry *vsi_crowds_find_in_ring(const vsi_crowds *crowds, vsi_entry *newest, const void *value) {
  const vsi_crowd_node *of_newest = node_of(crowds, newest->handle);
  if (of_newest) {
    const vsi_crowd *crowd = of_newest->crowd;
    for (vsi_map_link *at = vsi_map_first(&crowds->by_value, hash_of_value(crowd, value)); at;
         at = vsi_map_further(at)) {
      const vsi_crowd_node *node = VSI_MAP_OWNER(at, vsi_crowd_node, by_value);
      if (node->crowd == crowd && node->entry->value == value) return node->entry;
    }
  }
  vsi_entry *entry = newest;
  for (int i = 0; i < VSI_CROWD_WALK; i++) {
    entry = entry->newer;
    if (entry->value == value) return entry;
    if (entry == newest) break;
  }
  return NULL;
}

VSI_SELDOM vestry_err vsi_crowds_prepare(vsi_crowds *crowds, const vestry_host *host, const vsi_entry *newest,
                                         vsi_crowd_room *room) {
  if (vsi_crowds_count(crowds, newest) < VSI_CROWD_WALK && !node_of(crowds, newest->handle)) return VESTRY_OK;
  vestry_err error = vsi_map_reserve(&crowds->by_handle, host, crowds->by_handle.count + 1);
  if (!error) error = vsi_map_reserve(&crowds->by_value, host, crowds->by_value.count + 1);
  if (error) return error;
  if (!room->node) room->node = vsi_alloc(host, sizeof *room->node);
  /* Both are allocated, because the victims of this put may free the last node with its crowd. */
  if (!room->crowd) room->crowd = vsi_calloc(host, 1, sizeof *room->crowd);
  return room->node && room->crowd ? VESTRY_OK : VESTRY_NO_MEMORY;
}

VSI_SELDOM void vsi_crowds_add(vsi_crowds *crowds, vsi_entry *newest, vsi_entry *entry, vsi_crowd_room *room) {
  vsi_crowd_node *of_newest = newest ? node_of(crowds, newest->handle) : NULL, *node = room->node;
  size_t count = vsi_crowds_count(crowds, newest);
  vsi_crowd *crowd = of_newest ? of_newest->crowd : NULL;
  if (!crowd && count < VSI_CROWD_WALK) return; /* other values have left meanwhile */
  if (!crowd) {
    crowd = room->crowd;
    *crowd = (vsi_crowd){.count = count};
    room->crowd = NULL;
  }
  room->node = NULL;
  *node = (vsi_crowd_node){.entry = entry, .crowd = crowd};
  vsi_map_add(&crowds->by_handle, &node->by_handle, spread(entry->handle));
  vsi_map_add(&crowds->by_value, &node->by_value, hash_of_value(crowd, entry->value));
  crowd->count++;
  crowd->nodes_count++;
}

/* Return the newest entry of a key, given an entry of the key without a node. Such an entry is among the oldest of its
 * key, so a walk finds the oldest, and the newest is its neighbour in the ring. */
static vsi_entry *newest_of(vsi_entry *entry) {
  while (entry->older->handle < entry->handle) entry = entry->older;
  return entry->older;
}

VSI_SELDOM void vsi_crowds_remove_from(vsi_crowds *crowds, const vestry_host *host, vsi_entry *entry) {
  vsi_crowd_node *node = node_of(crowds, entry->handle), *of_newest = node;
  if (!node) of_newest = node_of(crowds, newest_of(entry)->handle);
  if (!of_newest) return; /* the key has few values */
  vsi_crowd *crowd = of_newest->crowd;
  VSI_ASSERT(crowd->count > 0);
  crowd->count--;
  if (!node) return;
  vsi_map_remove(&crowds->by_handle, &node->by_handle);
  vsi_map_remove(&crowds->by_value, &node->by_value);
  vsi_free(host, node);
  if (!--crowd->nodes_count) vsi_free(host, crowd);
}
