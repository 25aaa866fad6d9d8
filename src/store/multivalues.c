/* SPDX-License-Identifier: MIT */
/* Multivalues: the nodes of keys that have many values (multivalues.h), and the two maps that find a node by its handle
 * or by its value. */
#include "store/multivalues.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/processor.h"

/* A multiplication is enough because clients choose neither number: handles are counted, and values are addresses. */
static uint64_t hash_of_value(const vsi_multivalue *multivalue, const void *value) {
  return vsi_hash_number((uint64_t)(uintptr_t)value ^ vsi_hash_number((uint64_t)(uintptr_t)multivalue));
}

static vsi_multivalue_node *node_of(const vsi_multivalues *multivalues, vestry_handle handle) {
  if (!multivalues->by_handle.count) return NULL;
  vsi_map_link *at = vsi_map_first(&multivalues->by_handle, vsi_hash_number(handle));
  while (at && VSI_MAP_OWNER(at, vsi_multivalue_node, by_handle)->entry->handle != handle) at = vsi_map_further(at);
  return VSI_MAP_OWNER(at, vsi_multivalue_node, by_handle);
}

vsi_entry *vsi_multivalues_with_handle(const vsi_multivalues *multivalues, vestry_handle handle) {
  const vsi_multivalue_node *node = node_of(multivalues, handle);
  return node ? node->entry : NULL;
}

const vsi_entry *vsi_multivalues_middle(const vsi_multivalues *multivalues, const vsi_entry *newest) {
  const vsi_multivalue_node *node = node_of(multivalues, newest->handle);
  return node ? node->multivalue->middle : newest;
}

vsi_entry *vsi_multivalues_walk(vsi_entry *newest, vestry_handle handle, const void *value) {
  vsi_entry *entry = newest;
  for (int i = 0; i < VSI_MULTIVALUE_WALK; i++) {
    entry = entry->newer; /* the oldest first */
    if (entry->handle == handle || entry->value == value) return entry;
    if (entry == newest) break;
  }
  return NULL;
}

VSI_SELDOM size_t vsi_multivalues_count_ring(const vsi_multivalues *multivalues, const vsi_entry *newest) {
  const vsi_multivalue_node *node = node_of(multivalues, newest->handle);
  if (node) return node->multivalue->count;
  size_t count = 1;
  for (const vsi_entry *entry = newest->older; entry != newest; entry = entry->older) count++;
  return count;
}

VSI_SELDOM vsi_entry *vsi_multivalues_find_in_ring(const vsi_multivalues *multivalues, vsi_entry *newest,
                                                   const void *value) {
  const vsi_multivalue_node *of_newest = node_of(multivalues, newest->handle);
  if (of_newest) {
    const vsi_multivalue *multivalue = of_newest->multivalue;
    for (vsi_map_link *at = vsi_map_first(&multivalues->by_value, hash_of_value(multivalue, value)); at;
         at = vsi_map_further(at)) {
      const vsi_multivalue_node *node = VSI_MAP_OWNER(at, vsi_multivalue_node, by_value);
      if (node->multivalue == multivalue && node->entry->value == value) return node->entry;
    }
  }
  return vsi_multivalues_walk(newest, 0, value);
}

VSI_SELDOM vestry_err vsi_multivalues_prepare(vsi_multivalues *multivalues, const vestry_host *host,
                                              const vsi_entry *newest, vsi_multivalue_room *room) {
  if (vsi_multivalues_count(multivalues, newest) < VSI_MULTIVALUE_WALK && !node_of(multivalues, newest->handle))
    return VESTRY_OK;
  vestry_err error = vsi_map_reserve(&multivalues->by_handle, host, multivalues->by_handle.count + 1);
  if (!error) error = vsi_map_reserve(&multivalues->by_value, host, multivalues->by_value.count + 1);
  if (error) return error;
  if (!room->node) room->node = vsi_alloc(host, sizeof *room->node);
  /* Both are allocated, because the victims of this put may free the last node with its multivalue. */
  if (!room->multivalue) room->multivalue = vsi_calloc(host, 1, sizeof *room->multivalue);
  return room->node && room->multivalue ? VESTRY_OK : VESTRY_NO_MEMORY;
}

VSI_SELDOM void vsi_multivalues_add(vsi_multivalues *multivalues, vsi_entry *newest, vsi_entry *entry,
                                    vsi_multivalue_room *room) {
  vsi_multivalue_node *of_newest = newest ? node_of(multivalues, newest->handle) : NULL, *node = room->node;
  size_t count = vsi_multivalues_count(multivalues, newest);
  vsi_multivalue *multivalue = of_newest ? of_newest->multivalue : NULL;
  if (!multivalue && count < VSI_MULTIVALUE_WALK) return; /* other values have left meanwhile */
  if (!multivalue) {
    multivalue = room->multivalue;
    *multivalue = (vsi_multivalue){.count = count, .middle = newest};
    room->multivalue = NULL;
  }
  room->node = NULL;
  *node = (vsi_multivalue_node){.entry = entry, .multivalue = multivalue};
  vsi_map_add(&multivalues->by_handle, &node->by_handle, vsi_hash_number(entry->handle));
  vsi_map_add(&multivalues->by_value, &node->by_value, hash_of_value(multivalue, entry->value));
  multivalue->count++;
  multivalue->nodes_count++;
  if (multivalue->count % 2 == 0 && multivalue->middle != newest) multivalue->middle = multivalue->middle->newer;
}

/* Return the newest entry of a key, given an entry of the key without a node. An entry without a node is among the
 * oldest of its key, so a short walk finds the oldest entry. The newest is its neighbour in the ring. */
static vsi_entry *newest_of(vsi_entry *entry) {
  while (entry->older->handle < entry->handle) entry = entry->older;
  return entry->older;
}

VSI_SELDOM void vsi_multivalues_remove_from(vsi_multivalues *multivalues, const vestry_host *host, vsi_entry *entry) {
  vsi_multivalue_node *node = node_of(multivalues, entry->handle), *of_newest = node;
  if (!node) of_newest = node_of(multivalues, newest_of(entry)->handle);
  if (!of_newest) return; /* the key has few values */
  vsi_multivalue *multivalue = of_newest->multivalue;
  VSI_ASSERT(multivalue->count > 0);
  multivalue->count--;
  if (multivalue->middle == entry) multivalue->middle = entry->older; /* itself, if it is the last one */
  if (!node) return;
  vsi_map_remove(&multivalues->by_handle, &node->by_handle);
  vsi_map_remove(&multivalues->by_value, &node->by_value);
  vsi_free(host, node);
  if (!--multivalue->nodes_count) vsi_free(host, multivalue);
}
