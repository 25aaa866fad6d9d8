/* SPDX-License-Identifier: MIT */
/* The steps of visits that are too long to be inline (table.h explains the words): keys with several values, entries
 * that have expired, the search by handle, and the callbacks of entries that have left. Then the operations of the
 * built-in stores, except puts, listings and expiry: put.c, listing.c, expiry.c. */
#include "store/table.h"

#include "base/thread.h"

/* ---------------------------------------------------------------------------------------------------- visits ---- */

/* Publish the birth tick of the oldest entry of the shard in table->eldest, after it has changed. (vsi_visit_publish
 * does the same for the order of use and table->oldest.) */
static void publish_born(vsi_table *table, vsi_shard *shard) {
  uint32_t tick = VSI_TICK_NONE;
  if (!vsi_ring_is_empty(&shard->born)) tick = vsi_entry_extra(vsi_entry_of_born(shard->born.next))->born;
  vsi_visit_publish_tick(&table->eldest[shard->number], tick);
}

VSI_SELDOM void vsi_visit_add_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vsi_scope_share *share) {
  vsi_extra *extra = vsi_entry_extra(entry);
  extra->born = vsi_entry_tick(entry);
  vsi_ring_add_last(&shard->born, &extra->born_in);
  publish_born(table, shard);
  if (share) vsi_scopes_add(share, entry);
}

VSI_SELDOM void vsi_visit_take_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  vsi_ring_remove(&vsi_entry_extra(entry)->born_in);
  publish_born(table, shard);
  if (table->max_per_scope) vsi_scopes_remove(&shard->scopes, table->host, entry);
}

/* Count a use of all values of a key. Values of one key are evicted in the order of their uses, even if all uses fall
 * into one tick. Therefore each use of a key with several values moves the used values to the end of the list again. To
 * save this work, the newest value, which stands after all other values of its key in the list, may have a mark (the
 * lowest bit of `touched`). The mark means that all values of the key were used in the tick that `touched` contains,
 * and that they stand in the right order in the list. */
static VSI_SELDOM void use_all(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now) {
  bool in_order = newest->touched == (now << 1 | 1);
  bool capped = table->max_per_scope != 0;
  if (in_order && !capped) return;
  vsi_entry *entry = newest;
  do {
    entry = entry->newer; /* the oldest first */
    if (capped) vsi_scopes_use(entry);
    if (!in_order) vsi_visit_file_again(table, shard, entry, now);
  } while (entry != newest);
  newest->touched |= 1;
}

VSI_SELDOM void vsi_visit_use_one(vsi_table *table, vsi_shard *shard, vsi_entry *newest, vsi_entry *used,
                                  uint32_t now) {
  if (table->max_per_scope) vsi_scopes_use(used);
  newest->touched &= ~1u;
  vsi_visit_file_again(table, shard, used, now);
}

/* Clear a mark. If the first entry in the list has a mark of the current tick, vsi_visit_oldest does not evict it, but
 * moves it to the end of the list. Without the mark, the entry would be evicted, although it was used again in this
 * tick. So if its mark is of the current tick, it moves to the end of the list now. */
VSI_SELDOM void vsi_visit_settle(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now) {
  newest->touched &= ~1u;
  if (vsi_entry_tick(newest) == now) vsi_visit_file_again(table, shard, newest, now);
}

/* Set the last use of an entry to the tick `used`, which may be long past, and move the entry to the corresponding
 * place in the order of use. If `used` is later than shard->now, shard->now is taken instead. After FILE_STEPS steps
 * the search ends, and the entry counts as used somewhat later. */
enum { FILE_STEPS = 64 };
static void file_at(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t used) {
  if (vsi_tick_age(used, shard->now)) used = shard->now;
  vsi_visit_unfile(table, shard, entry);
  vsi_entry *before = shard->used.last, *next = NULL;
  for (int i = 0; before && vsi_tick_age(vsi_entry_tick(before), used); i++) {
    if (i == FILE_STEPS) {
      used = vsi_entry_tick(before);
      break;
    }
    next = before;
    before = next == shard->used.first ? NULL : vsi_entry_of_used(next->used.prev);
  }
  entry->touched = used << 1;
  vsi_uses_add(&shard->used, next, entry);
  vsi_visit_publish(table, shard);
  if (table->max_per_scope) vsi_scopes_use(entry);
}

VSI_SELDOM vestry_cause vsi_visit_end(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  vestry_cause cause = vsi_visit_due(table, entry, now);
  if (cause != VESTRY_CAUSE_IDLE) return cause;
  uint64_t used_ns = table->exit->value.used_ns(entry->value), now_ns = used_ns ? vsi_now_ns(table->host) : 0;
  uint64_t used = vsi_clock_ticks(&table->clock, used_ns);
  if (!used_ns || vsi_clock_ticks(&table->clock, now_ns) > used + table->clock.idle_ticks) return cause;
  file_at(table, shard, entry, (uint32_t)used & VSI_TICK_MASK);
  return vsi_visit_due(table, entry, now); /* that use may be too old as well */
}

/* Return whether any entry of the shard may be due: whether the first entry in the order of use, or in the order of
 * birth, is. */
static bool has_due(const vsi_table *table, const vsi_shard *shard, uint32_t now) {
  const vsi_clock *clock = &table->clock;
  if (clock->idle_ticks && shard->used.first &&
      vsi_tick_age(now, vsi_entry_tick(shard->used.first)) > clock->idle_ticks)
    return true;
  return clock->lifetime_ticks && !vsi_ring_is_empty(&shard->born) &&
         vsi_tick_age(now, vsi_entry_extra(vsi_entry_of_born(shard->born.next))->born) > clock->lifetime_ticks;
}

VSI_SELDOM vsi_entry *vsi_visit_drop_due(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                                         vsi_leaving *leaving) {
  if (!has_due(table, shard, now)) return newest;
  vsi_entry *left = NULL, *entry = newest->newer, *next; /* the oldest first */
  for (bool more = true; more; entry = next) {
    next = entry->newer;
    more = entry != newest;
    vestry_cause cause = vsi_visit_end(table, shard, entry, now);
    if (cause)
      vsi_visit_take(table, shard, entry, cause, false, leaving);
    else
      left = entry;
  }
  return left;
}

/* Return the entry with that handle; NULL: it has left. A handle contains only the upper bits of the hash. So in a very
 * large index it does not determine the bucket in which the search for its key begins (its home), and several homes are
 * searched. */
static vsi_entry *find_handle(const vsi_shard *shard, vestry_handle handle) {
  const vsi_index *index = &shard->index;
  vsi_entry *of_many = vsi_multivalues_with_handle(&shard->multivalues, handle);
  if (of_many) return of_many;
  uint32_t last = vsi_index_home(index, handle | VSI_HANDLE_NUMBER_MASK);
  for (uint32_t home = vsi_index_home(index, handle & ~VSI_HANDLE_NUMBER_MASK); home <= last; home++) {
    uint32_t at = 0;
    for (vsi_entry *newest; (newest = vsi_index_next_at_home(index, home, &at)) != NULL;) {
      if ((newest->handle ^ handle) & ~VSI_HANDLE_NUMBER_MASK) continue;
      vsi_entry *found = vsi_multivalues_walk(newest, handle, NULL);
      if (found) return found;
    }
  }
  return NULL;
}

void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit) {
  vsi_parted *parted = &leaving->parted;
  if (parted->value) {
    vestry_scoped_key key = vsi_scoped_key_at(&parted->lens, parted->lens, 0);
    vestry_store_leave(exit, &key, parted->value, parted->handle, VESTRY_CAUSE_SIZE);
  }
  for (vsi_ring *node = leaving->first, *next; node; node = next) {
    next = node->next;
    vsi_entry *entry = vsi_entry_of_used(node);
    vestry_scoped_key key = vsi_entry_key(entry);
    vestry_store_leave(exit, &key, entry->value, entry->handle, (vestry_cause)entry->touched);
    vsi_entry_destroy(host, extra_bytes, entry);
  }
}

/* ---------------------------------------------------------------------------------------- create and destroy ---- */

enum { MAX_COUNT_DEFAULT = 10000, IDLE_DEFAULT_MS = 10 * 60 * 1000 };
enum { SHARDS_A_PROCESSOR = 32, ENTRIES_A_SHARD = 64, CLEAR_BATCH = 64, HOMES_AHEAD = 4 };

/* Return the number of bits that select a shard. There are enough shards that threads seldom contend, but a shard of a
 * bounded store has several entries, so that a put finds a victim in its own shard. */
static uint32_t bits_for(size_t max_count) {
  uint64_t wanted = vsi_processors(1, VSI_SHARDS_MOST / SHARDS_A_PROCESSOR) * (uint64_t)SHARDS_A_PROCESSOR;
  if (max_count && wanted > max_count / ENTRIES_A_SHARD) wanted = max_count / ENTRIES_A_SHARD;
  uint32_t bits = 0;
  while (UINT64_C(1) << bits < wanted) bits++;
  return bits;
}

static void init_shard(vsi_table *table, uint32_t number, vsi_bucket *buckets) {
  vsi_shard *shard = &table->shards[number];
  shard->number = number;
  vsi_ring_init(&shard->born);
  atomic_init(&table->oldest[number], VSI_TICK_NONE);
  atomic_init(&table->eldest[number], VSI_TICK_NONE);
  vsi_index_init(&shard->index, table->host, &table->placing, buckets);
}

static vestry_err make_shards(vsi_table *table) {
  size_t count = (size_t)1 << table->placing.shard_bits;
  const size_t bytes = sizeof(vsi_shard) + VSI_INDEX_FIRST_BUCKETS * sizeof(vsi_bucket);
  table->shards_memory = vsi_calloc(table->host, 1, count * bytes + VSI_CACHE_LINE);
  if (!table->shards_memory) return VESTRY_NO_MEMORY;
  table->shards = vsi_cache_line_up(table->shards_memory);
  vsi_bucket *buckets = (vsi_bucket *)(void *)(table->shards + count);
  for (; table->shards_count < count; table->shards_count++, buckets += VSI_INDEX_FIRST_BUCKETS)
    init_shard(table, table->shards_count, buckets);
  return VESTRY_OK;
}

void vsi_table_destroy(void *self) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_index_finish(&table->shards[i].index);
    vsi_map_finish(&table->shards[i].scopes, table->host);
    vsi_map_finish(&table->shards[i].multivalues.by_handle, table->host);
    vsi_map_finish(&table->shards[i].multivalues.by_value, table->host);
  }
  vsi_free(table->host, table->shards_memory);
  vsi_free(table->host, table->memory);
}

vestry_err vsi_table_create(const vestry_store_options *options, vestry_store_exit *exit, void *evicts,
                            void **ret_self) {
  void *memory = vsi_calloc(options->host, 1, sizeof(vsi_table) + VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  vsi_table *table = vsi_cache_line_up(memory);
  table->memory = memory;
  table->host = options->host;
  table->exit = exit;
  table->evicts = evicts;
  table->max_count = options->max_count || !evicts ? options->max_count : MAX_COUNT_DEFAULT;
  table->max_per_scope = options->max_per_scope_count;
  uint64_t idle_ns = vsi_ms_to_ns(options->idle_ms ? options->idle_ms : IDLE_DEFAULT_MS);
  uint64_t lifetime_ns = options->lifetime_ms ? vsi_ms_to_ns(options->lifetime_ms) : UINT64_MAX;
  if (evicts) vsi_clock_init(&table->clock, options->host, idle_ns, lifetime_ns);
  atomic_init(&table->deadline_ns, UINT64_MAX);
  const unsigned bits = bits_for(table->max_count);
  table->placing =
      (vsi_placing){.hash = &exit->hash, .shard_bits = bits, .scope_bits = table->max_per_scope ? bits : 0};
  table->extra_bytes = table->clock.lifetime_ticks || table->max_per_scope ? sizeof(vsi_extra) : 0;
  vestry_err error = make_shards(table);
  if (error)
    vsi_table_destroy(table);
  else
    *ret_self = table;
  return error;
}

static void add_stats(vsi_shard *shard, vestry_store_stats *stats) {
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  stats->put_count += shard->puts;
  stats->live_count += shard->live;
  stats->hits_count += shard->hits;
  stats->misses_count += shard->misses;
  /* All values that left; those that left with another cause are subtracted below. */
  uint64_t for_size = shard->puts - shard->live;
  for (size_t cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
    stats->removed_by_cause[cause] += shard->removed_by_cause[cause];
    for_size -= shard->removed_by_cause[cause];
  }
  stats->removed_by_cause[VESTRY_CAUSE_SIZE] += for_size;
  stats->removed_count += shard->puts - shard->live;
  vsi_spin_lock_give(&shard->lock);
}

void vsi_table_stats(void *self, vestry_store_stats *ret_stats) {
  vsi_table *table = self;
  *ret_stats = (vestry_store_stats){0};
  for (uint32_t i = 0; i < table->shards_count; i++) add_stats(&table->shards[i], ret_stats);
}

/* --------------------------------------------------------------------------------------------------- lookups ---- */

/* Begin to fetch what a visit of an entry's value uses: of a connection, the references and the state. */
static const vsi_entry *fetch(const vsi_entry *entry) {
  vsi_prefetch_lines_to_write(entry->value, 1, 1);
  return entry;
}

/* Look up a key that has several values, or values that are due: remove the due ones, call fn for each of the others,
 * and unlock. A broadcast visits many values that no cache has, so some are fetched side by side. An entry must have
 * arrived before the next entry is known. So three other walks, which begin at the other end and in the middle, only
 * fetch: after a quarter of the way, the first walk finds the entries in the cache. */
static VSI_SELDOM vestry_err look_at_all(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                                         vestry_with_fn fn, void *ctx) {
  enum { AT_ONCE = 16 };
  void *values[AT_ONCE];
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  newest = vsi_visit_drop_due(table, shard, newest, now, &leaving);
  *(newest ? &shard->hits : &shard->misses) += 1;
  if (newest) use_all(table, shard, newest, now);
  const vsi_entry *from_oldest = newest, *middle = newest ? vsi_multivalues_middle(&shard->multivalues, newest) : NULL;
  const vsi_entry *to_newest = middle, *to_oldest = middle;
  for (vsi_entry *entry = newest; entry;) {
    size_t count = 0;
    for (; entry && count < AT_ONCE; entry = entry->older == newest ? NULL : entry->older) {
      values[count++] = fetch(entry)->value;
      from_oldest = fetch(from_oldest->newer);
      to_newest = fetch(to_newest->newer);
      to_oldest = fetch(to_oldest->older);
    }
    for (size_t i = 0; i < count; i++) fn(values[i], ctx);
  }
  vsi_table_release(table, shard, &leaving);
  return newest ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* Call fn for each value of a key under the lock, the newest first. */
static inline __attribute__((always_inline)) vestry_err look(vsi_table *table, const vestry_scoped_key *key,
                                                             vestry_with_fn fn, void *ctx) {
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  vsi_prefetch_to_write(&shard->lock); /* prefetch this and the key's home while the clock is read */
  vsi_index_fetch(&shard->index, hash, false);
  uint32_t now = vsi_shard_enter(shard, vsi_clock_now(&table->clock));
  vsi_entry *entry = vsi_index_find(&shard->index, key, hash);
  if (entry && !vsi_visit_is_sole(table, entry, now)) return look_at_all(table, shard, entry, now, fn, ctx);
  if (entry) {
    shard->hits++;
    vsi_visit_use(table, shard, entry, now);
    fn(entry->value, ctx);
  } else {
    shard->misses++;
  }
  vsi_spin_lock_give(&shard->lock);
  return entry ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  return look(self, key, fn, ctx);
}

typedef struct held {
  vestry_store_exit *exit;
  void **values;
  size_t room, count;
} held;

static inline void hold_value(void *value, void *ctx) {
  held *h = ctx;
  if (h->count == h->room) return;
  h->values[h->count++] = value;
  h->exit->value.ref(value);
}

vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  held h = {((vsi_table *)self)->exit, values, *count, 0};
  if (look(self, key, hold_value, &h)) return VESTRY_NOT_FOUND;
  for (size_t i = 0; i < h.count / 2; i++) { /* reverse the order: the newest last */
    void *other = values[h.count - 1 - i];
    values[h.count - 1 - i] = values[i];
    values[i] = other;
  }
  *count = h.count;
  return VESTRY_OK;
}

bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx) {
  vsi_table *table = self;
  vsi_shard *shard = vsi_table_shard(table, handle);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  const vsi_entry *entry = find_handle(shard, handle);
  if (entry) {
    const vestry_scoped_key key = vsi_entry_key(entry);
    fn(&key, ctx);
  }
  vsi_spin_lock_give(&shard->lock);
  return entry;
}

/* -------------------------------------------------------------------------------------------------- removals ---- */

size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause) {
  vsi_table *table = self;
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  size_t count = 0;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  uint32_t now = vsi_shard_enter(shard, vsi_clock_now(&table->clock));
  vsi_entry *newest = vsi_visit_find(table, shard, key, hash, now, &leaving);
  for (vsi_entry *entry = newest ? newest->newer : NULL, *next; entry; entry = next) { /* the oldest first */
    next = entry == newest ? NULL : entry->newer;
    vsi_visit_take(table, shard, entry, cause, false, &leaving);
    count++;
  }
  vsi_table_release(table, shard, &leaving);
  return count;
}

bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  vsi_table *table = self;
  vsi_shard *shard = vsi_table_shard(table, handle);
  vestry_cause due = VESTRY_CAUSE_NONE;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  uint32_t now = vsi_shard_enter(shard, vsi_clock_now(&table->clock));
  vsi_entry *entry = find_handle(shard, handle);
  if (entry && table->evicts) due = vsi_visit_end(table, shard, entry, now);
  if (entry) vsi_visit_take(table, shard, entry, due ? due : cause, false, &leaving);
  vsi_table_release(table, shard, &leaving);
  return entry && !due;
}

bool vsi_table_remove_value(void *self, const vestry_scoped_key *key, void *value, vestry_cause cause) {
  vsi_table *table = self;
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  uint32_t now = vsi_shard_enter(shard, vsi_clock_now(&table->clock));
  vsi_entry *newest = vsi_visit_find(table, shard, key, hash, now, &leaving);
  vsi_entry *entry = vsi_multivalues_find(&shard->multivalues, newest, value);
  if (entry) vsi_visit_take(table, shard, entry, cause, false, &leaving);
  vsi_table_release(table, shard, &leaving);
  return entry != NULL;
}

/* Return an entry of a scope in the home of a hash, the newest of its key; NULL: none. */
static vsi_entry *first_in_home(const vsi_index *index, uint64_t hash, const vestry_scope *scope) {
  uint32_t at = 0;
  for (vsi_entry *entry; (entry = vsi_index_next_at_home(index, vsi_index_home(index, hash), &at)) != NULL;) {
    const vestry_scoped_key key = vsi_entry_key(entry);
    if (vsi_scoped_key_is_of(&key, scope)) return entry;
  }
  return NULL;
}

/* Remove the values of a scope from the homes of one shard, from the home of *position on. As for a listing, positions
 * are hashes, which order shards and homes, so that the walk can continue after the index was resized; a removal may
 * shrink it, too. *position: the next one; UINT64_MAX: the walk is over. Returns the number of removed values. */
static size_t remove_some_of_scope(vsi_table *table, const vestry_scope *scope, vestry_cause cause, uint64_t last,
                                   uint64_t *position) {
  vsi_shard *shard = vsi_table_shard(table, *position);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  size_t count = 0;
  uint32_t now = vsi_shard_enter(shard, vsi_clock_now(&table->clock));
  for (int i = 0; i < VSI_HOMES_A_LOCK && count < CLEAR_BATCH; i++) {
    vsi_index_fetch_entries(&shard->index, vsi_index_home(&shard->index, *position) + HOMES_AHEAD);
    for (vsi_entry *newest; (newest = first_in_home(&shard->index, *position, scope)) != NULL;) {
      for (vsi_entry *entry = newest->newer, *next; entry; entry = next) { /* the oldest first */
        next = entry == newest ? NULL : entry->newer;
        vestry_cause due = table->evicts ? vsi_visit_end(table, shard, entry, now) : VESTRY_CAUSE_NONE;
        vsi_visit_take(table, shard, entry, due ? due : cause, false, &leaving);
        count += !due;
      }
    }
    *position |= ~(UINT64_MAX << vsi_index_shift(&shard->index)); /* the last hash of the home */
    if (*position >= last) {
      *position = UINT64_MAX;
      break;
    }
    if (vsi_table_shard(table, ++*position) != shard) break;
  }
  vsi_table_release(table, shard, &leaving);
  return count;
}

size_t vsi_table_remove_scope(void *self, const vestry_scope *scope, vestry_cause cause) {
  vsi_table *table = self;
  const vsi_placing *placing = &table->placing;
  uint64_t position = 0, last = UINT64_MAX;
  if (placing->scope_bits) { /* all keys of the scope are in one shard */
    last = vsi_placing_of_scope(placing, scope->data, scope->len) | UINT64_MAX >> placing->scope_bits;
    position = last & ~(UINT64_MAX >> placing->scope_bits);
  }
  size_t count = 0;
  do count += remove_some_of_scope(table, scope, cause, last, &position);
  while (position != UINT64_MAX);
  return count;
}

/* Close a shard and remove a batch of its entries. Returns whether there are more. */
static bool clear_some(vsi_table *table, vsi_shard *shard, vestry_cause cause) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  shard->closed = true;
  for (int i = 0; i < CLEAR_BATCH && shard->used.first; i++)
    vsi_visit_take(table, shard, shard->used.first, cause, false, &leaving);
  bool more = shard->used.first;
  vsi_table_release(table, shard, &leaving);
  return more;
}

void vsi_table_clear(void *self, vestry_cause cause) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++)
    while (clear_some(table, &table->shards[i], cause)) continue;
}
