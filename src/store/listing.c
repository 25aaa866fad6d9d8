/* SPDX-License-Identifier: MIT */
/* Listing a table: a page of keys is copied under a shard's lock, and passed to the caller without the lock.
 *
 * Keys are listed in the order of the hashes that place them, which is also the order of shards and of homes in a
 * shard. (The home of a key is the group in which the search for it begins: index.h.) The hash of a key never changes,
 * so puts, moves and resizes do not disturb a listing: a key that is present all the time is listed exactly once, and a
 * key that is added or removed meanwhile is listed at most once. The cursor is the hash at which the next page
 * starts. */
#include "store/table.h"

#include "base/buffer.h"

typedef struct listing {
  vsi_store_visit visit;
  const vestry_scope *only_scope;
  uint64_t position; /* the hash at which to continue */
  bool done;
  vsi_buffer items; /* each followed by a copy of its key */
  size_t count, page_count;
} listing;

typedef struct item {
  size_t len, values_count;
} item;

static size_t live_count(listing *l, uint32_t newest) {
  size_t count = 0;
  for (uint32_t number = 0; (number = vsi_many_next(l->visit.shard, newest, number));)
    count += !vsi_visit_expire(&l->visit, number);
  return count;
}

static void take_key(listing *l, uint32_t newest) {
  vestry_scoped_key key = vsi_entry_key(vsi_entry_at(l->visit.shard->in, newest));
  if (l->only_scope && !vsi_scoped_key_is_of(&key, l->only_scope)) return;
  item made = {key.len, live_count(l, newest)};
  if (!made.values_count) return;
  vsi_buffer_append(&l->items, &made, sizeof made);
  vsi_buffer_append(&l->items, key.data, key.len);
  l->count++;
}

/* Take the keys with the least hash in the home of the position that is not below the position: nearly always one key.
 * Move the position behind that hash, or behind the home if there are no such keys. */
static void take_next(listing *l) {
  const vsi_placing *placing = &l->visit.table->placing;
  const vsi_arrays *in = l->visit.shard->in;
  const size_t len = l->items.len, count = l->count;
  const uint32_t home = vsi_index_home(in, placing, l->position);
  uint64_t least = vsi_index_last_hash(in, placing, l->position);
  for (uint32_t at = 0, number; (number = vsi_index_next_at_home(in, placing, home, &at));) {
    uint64_t hash = vsi_placing_anew(placing, vsi_entry_at(in, number));
    if (hash < l->position || hash > least) continue;
    if (hash < least) { /* those taken before are for a later step */
      l->items.len = len;
      l->count = count;
    }
    least = hash;
    take_key(l, number);
  }
  l->position = least + 1;
  l->done = l->position == 0;
}

static bool is_over(const listing *l) {
  return l->done || l->count >= l->page_count || l->items.error;
}

/* Fill the page from the position on, from VSI_HOMES_A_LOCK homes of the position's shard or a few more. */
static void fill_page(listing *l, vsi_table *table) {
  vsi_shard *shard = vsi_table_shard(table, l->position);
  vsi_visit_begin(&l->visit, table, shard, vsi_clock_now(&table->clock));
  for (int i = 0; i < VSI_HOMES_A_LOCK && !is_over(l) && vsi_table_shard(table, l->position) == shard; i++)
    take_next(l);
  vsi_spin_lock_give(&shard->lock);
}

static void hand_out(const listing *l, vestry_list_fn fn, void *ctx) {
  const char *at = l->items.data;
  for (size_t i = 0; i < l->count; i++) {
    item next;
    memcpy(&next, at, sizeof next);
    vestry_scoped_key key = vestry_scoped_key_read(at + sizeof next, next.len);
    fn(&(vestry_listed){key.scope, key.data + key.key_offset, key.len - key.key_offset, next.values_count}, ctx);
    at += sizeof next + next.len;
  }
}

vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx) {
  vsi_table *table = self;
  listing l = {.only_scope = only_scope, .position = cursor->position, .page_count = page_count};
  vsi_buffer_init(&l.items, table->host);
  while (!is_over(&l)) fill_page(&l, table);
  vestry_err error = l.items.error;
  if (!error) {
    cursor->position = l.position;
    cursor->done = l.done;
    hand_out(&l, fn, ctx);
  }
  vsi_buffer_finish(&l.items);
  return error;
}
