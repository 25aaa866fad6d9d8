/* Taking values out of a table: by key, by handle, all of them. */
#include "store/table.h"

/* Up to `left` values of a key, a batch of them. Returns how many are gone, and counts those that this removed. */
static size_t remove_some(vsi_table *table, vsi_shard *shard, const vsi_probe *probe, size_t left, vestry_cause cause,
                          size_t *count) {
  uint32_t now = table->rules.evicts ? vsi_table_now(table) : 0;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  vsi_shard_lock(shard);
  vsi_shard_settle(table, shard, false, &leaving);
  size_t gone = 0;
  for (; gone < left && leaving.count < leaving.room; gone++) {
    vsi_slot *newest = vsi_buckets_find(&shard->buckets, probe);
    if (!newest) break;
    vsi_slot *oldest = vsi_slab_at(&shard->slab, newest->newer);
    vestry_cause due = table->rules.evicts ? vsi_table_due(table, shard, oldest, now) : VESTRY_CAUSE_NONE;
    if (!due) ++*count; /* what was due is not removed by this call: it had ended */
    vsi_shard_take(table, shard, oldest, due ? due : cause, false, false, &leaving);
  }
  vsi_shard_release(table, shard, &leaving);
  return gone;
}

size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause) {
  vsi_table *table = self;
  vsi_probe probe;
  vsi_probe_init(&probe, &table->hash, key->data, key->len);
  vsi_shard *shard = vsi_table_shard(table, &probe);
  vsi_shard_lock(shard);
  vsi_slot *newest = vsi_buckets_find(&shard->buckets, &probe);
  size_t wanted = newest ? vsi_slot_count(newest) : 0; /* not what is put while the callbacks run */
  vsi_shard_unlock(shard);
  size_t count = 0, gone = 0, some;
  while (gone < wanted && (some = remove_some(table, shard, &probe, wanted - gone, cause, &count)) != 0) gone += some;
  return count;
}

bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  vsi_table *table = self;
  uint32_t place = (uint32_t)handle;
  vsi_shard *shard = &table->shards[place & (table->shards_count - 1)];
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  vsi_shard_lock(shard);
  vsi_shard_settle(table, shard, false, &leaving);
  vsi_slot *slot = vsi_slab_find(&shard->slab, place / table->shards_count, (uint32_t)(handle >> 32));
  vestry_cause due = VESTRY_CAUSE_NONE;
  if (slot && table->rules.evicts) due = vsi_table_due(table, shard, slot, vsi_table_now(table));
  if (slot) vsi_shard_take(table, shard, slot, due ? due : cause, false, false, &leaving);
  vsi_shard_release(table, shard, &leaving);
  return slot && !due;
}

typedef struct gathering {
  vsi_slot *slots[VSI_LEAVING_BATCH];
  size_t count;
} gathering;

static void gather(vsi_slot *slot, void *ctx) {
  gathering *g = ctx;
  if (g->count < VSI_LEAVING_BATCH) g->slots[g->count++] = slot;
}

/* Of a shard that is closed, a batch. Returns whether there are more. */
static bool clear_some(vsi_table *table, vsi_shard *shard, vestry_cause cause) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  vsi_shard_lock(shard);
  shard->closed = true;
  vsi_shard_settle(table, shard, false, &leaving);
  uint32_t from = shard->cleared, to = from + vsi_buckets_stride(&shard->buckets);
  if (to < from) to = UINT32_MAX;
  gathering g = {.count = 0};
  vsi_buckets_range(&shard->buckets, from, to, gather, &g);
  for (size_t i = 0; i < g.count; i++)
    while (leaving.count < leaving.room) {
      vsi_slot *oldest = vsi_slab_at(&shard->slab, g.slots[i]->newer);
      bool last = oldest == g.slots[i];
      vsi_shard_take(table, shard, oldest, cause, false, false, &leaving);
      if (last) break;
    }
  if (g.count == 0) shard->cleared = to;
  bool more = shard->live > 0;
  vsi_shard_release(table, shard, &leaving);
  return more;
}

void vsi_table_clear(void *self, vestry_cause cause) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    while (clear_some(table, &table->shards[i], cause)) continue;
    vsi_shard_tidy(table, &table->shards[i]);
  }
}
