#include "store/table.h"

#include <string.h>

#include "base/memory.h"

vestry_err vsi_table_hash_key(const vestry_host *host, vsi_siphash_key *ret_key) {
  unsigned char bytes[16];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) *ret_key = vsi_siphash_key_load(bytes);
  return error;
}

vestry_err vsi_table_init(vsi_table *table, const vestry_host *host, vsi_siphash_key hash_key, size_t entry_size,
                          uint32_t shard, uint32_t shard_bits) {
  *table = (vsi_table){
      .host = host, .hash_key = hash_key, .entry_size = entry_size, .shard = shard, .shard_bits = shard_bits};
  vsi_slots_init(&table->nodes, host, UINT32_MAX);
  vsi_slots_init(&table->handles, host, UINT32_MAX >> shard_bits);
  return vsi_index_init(&table->index, host);
}

void vsi_table_finish(vsi_table *table) {
  vsi_index_finish(&table->index);
  vsi_slots_finish(&table->nodes);
  vsi_slots_finish(&table->handles);
}

/* ----------------------------------------------------------------------------------------------------- finding ---- */

uint64_t vsi_table_hash(vsi_siphash_key hash_key, const vestry_scoped_key *key) {
  return vsi_siphash_1_3(hash_key, key->data, key->len);
}

vsi_node *vsi_table_find(vsi_table *table, uint64_t hash, const vestry_scoped_key *key) {
  return vsi_index_find(&table->index, &(vsi_index_key){hash, key->data, key->len});
}

/* A handle is generation (32 bits), slot, shard (shard_bits): a slot's number with the slot moved up. */
static vestry_handle handle_of(const vsi_table *table, vsi_slot_number number) {
  uint32_t slot = (uint32_t)number;
  return (number & ~(uint64_t)UINT32_MAX) | slot << table->shard_bits | table->shard;
}

static vsi_slot_number number_of(const vsi_table *table, vestry_handle handle) {
  return (handle & ~(uint64_t)UINT32_MAX) | (uint32_t)handle >> table->shard_bits;
}

vsi_entry *vsi_table_entry(const vsi_table *table, vestry_handle handle) {
  return vsi_slots_find(&table->handles, number_of(table, handle));
}

/* ------------------------------------------------------------------------------------------------------ adding ---- */

vestry_err vsi_node_admit(const vsi_node *node, const void *value, vestry_put_policy policy, vsi_entry **ret_same) {
  *ret_same = NULL;
  if (!node) return VESTRY_OK;
  for (vsi_entry *entry = node->oldest; entry; entry = entry->newer) {
    if (entry->value != value) continue;
    *ret_same = entry;
    return VESTRY_OK;
  }
  return policy == VESTRY_PUT_REUSE || policy == VESTRY_PUT_REJECT ? VESTRY_EXISTS : VESTRY_OK;
}

bool vsi_node_grows(const vsi_node *node, vestry_put_policy policy, size_t many_count) {
  return !node || (policy == VESTRY_PUT_MANY && node->count < many_count);
}

vsi_entry *vsi_node_displaced(const vsi_node *node, const vsi_entry *put, vestry_put_policy policy, size_t many_count) {
  size_t stay_count = policy == VESTRY_PUT_REPLACE ? 1 : policy == VESTRY_PUT_MANY ? many_count : SIZE_MAX;
  if (node->count <= stay_count) return NULL;
  return node->oldest == put ? put->newer : node->oldest;
}

/* A node with its key behind it, in the index and in the order of listings, with no entry yet. */
static vsi_node *make_node(vsi_table *table, uint64_t hash, const vestry_scoped_key *key) {
  vsi_node *node = vsi_alloc(table->host, offsetof(vsi_node, bytes) + key->len);
  if (!node) return NULL;
  memcpy(node->bytes, key->data, key->len);
  node->key = (vsi_index_key){hash, node->bytes, key->len};
  node->key_offset = (uint32_t)key->key_offset;
  node->scope_offset = (uint32_t)(key->key_offset - key->scope.len);
  node->oldest = node->newest = NULL;
  node->count = 0;
  atomic_init(&node->users_count, 0);
  if (vsi_slots_take(&table->nodes, node, &node->place)) {
    vsi_free(table->host, node);
    return NULL;
  }
  if (vsi_index_add(&table->index, &node->key)) {
    vsi_slots_give(&table->nodes, node->place);
    vsi_free(table->host, node);
    return NULL;
  }
  node->created = ++table->created_count;
  return node;
}

static void unlink_node(vsi_table *table, vsi_node *node) {
  vsi_index_remove(&table->index, &node->key);
  vsi_slots_give(&table->nodes, node->place);
}

static void link_entry(vsi_node *node, vsi_entry *entry) {
  entry->older = node->newest;
  if (node->newest)
    node->newest->newer = entry;
  else
    node->oldest = entry;
  node->newest = entry;
  node->count++;
  vsi_node_hold(node);
}

vestry_err vsi_table_add(vsi_table *table, vsi_node *node, uint64_t hash, const vestry_scoped_key *key, void *value,
                         vsi_entry **ret_entry) {
  vsi_entry *entry = vsi_calloc(table->host, 1, table->entry_size);
  vsi_slot_number number;
  if (!entry || vsi_slots_take(&table->handles, entry, &number)) {
    vsi_free(table->host, entry);
    return VESTRY_NO_MEMORY;
  }
  if (!node) node = make_node(table, hash, key);
  if (!node) {
    vsi_slots_give(&table->handles, number);
    vsi_free(table->host, entry);
    return VESTRY_NO_MEMORY;
  }
  entry->node = node;
  entry->value = value;
  entry->handle = handle_of(table, number);
  link_entry(node, entry);
  *ret_entry = entry;
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------------- leaving ---- */

void vsi_node_hold(vsi_node *node) {
  /* relaxed: made under the lock by whoever finds the node there, so it has users or is not to be dropped yet */
  atomic_fetch_add_explicit(&node->users_count, 1, memory_order_relaxed);
}

void vsi_node_drop(vsi_node *node, const vestry_host *host) {
  /* acq_rel: every user's reads of the key come before the free, which is the last user's */
  if (atomic_fetch_sub_explicit(&node->users_count, 1, memory_order_acq_rel) == 1) vsi_free(host, node);
}

void vsi_table_take(vsi_table *table, vsi_entry *entry, vestry_cause cause, vsi_leaving *leaving) {
  vsi_node *node = entry->node;
  *(entry->older ? &entry->older->newer : &node->oldest) = entry->newer;
  *(entry->newer ? &entry->newer->older : &node->newest) = entry->older;
  if (--node->count == 0) unlink_node(table, node);
  vsi_slots_give(&table->handles, number_of(table, entry->handle));
  entry->cause = cause;
  entry->newer = NULL;
  *(leaving->last ? &leaving->last->newer : &leaving->first) = entry;
  leaving->last = entry;
  leaving->count++;
}

vestry_scoped_key vsi_node_scoped_key(const vsi_node *node) {
  return (vestry_scoped_key){node->bytes,
                             node->key.len,
                             node->key_offset,
                             {node->bytes + node->scope_offset, node->key_offset - node->scope_offset}};
}

void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, vestry_store_exit *exit) {
  vsi_entry *entry = leaving->first;
  *leaving = (vsi_leaving){0};
  while (entry) {
    vsi_entry *next = entry->newer;
    vestry_scoped_key key = vsi_node_scoped_key(entry->node);
    vestry_store_leave(exit, &key, entry->value, entry->handle, entry->cause);
    vsi_node_drop(entry->node, host);
    vsi_free(host, entry);
    entry = next;
  }
}

void vsi_node_get(const vsi_node *node, vestry_store_exit *exit, void **values, size_t *count) {
  size_t room = *count < node->count ? *count : node->count;
  const vsi_entry *entry = node->newest;
  for (size_t at = room; at > 0; at--, entry = entry->older) {
    vestry_store_hold(exit, entry->value);
    values[at - 1] = entry->value;
  }
  *count = room;
}
