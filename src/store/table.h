/* SPDX-License-Identifier: MIT */
/* essay: one visit to one shard; recency and expiry by one order */
/* The data of the built-in stores: shards, a limit for all of them, and a clock.
 *
 * A shard: one lock, and the data that it guards, which is an index and the entries in the order of use.
 *
 * Every operation of the built-in stores is one visit to one shard under its lock, lookups included. Therefore no
 * thread looks at an entry that another has removed: the entry's callbacks run after the unlock, and it is freed at
 * once.
 *
 * The order of use. A use moves its entry to the end of the list, but only once a tick; another use in that tick sets a
 * mark, which is the lowest bit of `touched`. So the list is in the order of ticks, and its head is both the next
 * victim and the first entry to fall due. Between ticks the order is exact. Within a tick it is the order of first
 * uses, and a marked entry is passed over once (vsi_visit_oldest). If several values have one key, each use moves all
 * of them, so that they are evicted in the order of their uses, even if all uses fall into one tick. The list of a
 * scope (scopes.h), which determines the victim when the scope is full, is in the order of all uses. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include "base/assert.h"
#include "base/spin_lock.h"
#include "store/clock.h"
#include "store/entry.h"
#include "store/exit.h"
#include "store/index.h"
#include "store/multivalues.h"
#include "store/scopes.h"

/* ------------------------------------------------------------------------------------------- leaving entries ---- */

/* Leaving entries: removed under a lock; their callbacks run after the unlock. The list uses the links of the entries,
 * so that an entry can leave without an allocation. */
enum { VSI_PARTED_WORDS = 16 };

/* A copy of a victim whose memory the new entry reuses. `unused` is padding. */
typedef struct vsi_parted {
  void *value; /* NULL: there is none */
  vestry_handle handle;
  uint32_t unused, lens;
  uint64_t words[VSI_PARTED_WORDS];
} vsi_parted;

typedef struct vsi_leaving {
  vsi_ring *first, **last; /* entries, linked by used.next */
  size_t displaced_count;  /* number of entries that left because of a put */
  vsi_parted parted;       /* left with cause SIZE, before the others */
} vsi_leaving;

static inline void vsi_leaving_init(vsi_leaving *leaving) {
  leaving->first = NULL;
  leaving->last = &leaving->first;
  leaving->displaced_count = 0;
  leaving->parted.value = NULL;
}
static inline bool vsi_leaving_is_empty(const vsi_leaving *leaving) {
  return !leaving->first && !leaving->parted.value;
}

/* Add an entry that is in no list any more. */
static inline void vsi_leaving_add(vsi_leaving *leaving, vsi_entry *entry, vestry_cause cause) {
  entry->touched = (uint32_t)cause;
  entry->used.next = NULL;
  *leaving->last = &entry->used;
  leaving->last = &entry->used.next;
}

/* Copy an entry whose memory is about to be reused. The entry has at most VSI_PARTED_WORDS words. */
static inline void vsi_leaving_part(vsi_leaving *leaving, const vsi_entry *entry) {
  vsi_parted *parted = &leaving->parted;
  parted->value = entry->value;
  parted->handle = entry->handle;
  parted->lens = entry->lens;
  vsi_words_copy(parted->words, entry->words, vsi_lens_words(entry->lens) * sizeof(uint64_t));
}

/* Run the callbacks, then free the memory. No lock held. Call once. */
void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit);

/* ---------------------------------------------------------------------------------------------------- shards ---- */

/* The order of use: a ring without a head. last->used.next is the first entry; first->used.prev is not set. So the
 * first entry becomes the last one by writes to the shard and to that entry only. A put into a full store, which reuses
 * the memory of the first entry, would otherwise write to two further entries, which another processor may have. */
typedef struct vsi_uses {
  vsi_entry *first, *last; /* NULL: no entry */
} vsi_uses;

/* The entries of a shard:
 *
 *   index  key ──> the newest entry of the key ──older──> … ──older──> the oldest ──older──> the newest
 *   used   first, the least recently used entry ──next──> … ──> last, the most recently used ──next──> first
 *   born   head ──next──> the entry that was created first ──> … ──> the last ──> head */
typedef struct vsi_shard {
  /* Cache lines that change when the index grows, or with rare causes. */
  _Alignas(VSI_CACHE_LINE) vsi_index index;
  bool closed; /* puts are refused */
  uint32_t number;
  vsi_map scopes; /* if there is a limit per scope */
  vsi_multivalues multivalues;
  vsi_ring born;                                 /* if entries have extras */
  uint64_t removed_by_cause[VESTRY_CAUSE_COUNT]; /* without SIZE, which is computed as the rest of the sum */
  /* The cache line that every operation changes. */
  _Alignas(VSI_CACHE_LINE) vsi_spin_lock lock;
  uint32_t live; /* number of entries */
  uint32_t now;  /* the latest tick in which the shard was visited */
  vsi_uses used;
  uint64_t puts, hits, misses;
} vsi_shard;

/* Take the lock for a visit. read: the tick that was read before. Returns the time of the visit, which all operations
 * under the lock use.
 *
 * The clock is read before the lock is taken, so `read` may be outdated: another thread may have held the lock with a
 * later time. Therefore a shard has its own time, which does not go back while the shard has entries. */
static inline uint32_t vsi_shard_enter(vsi_shard *shard, uint32_t read) {
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  if (__builtin_expect(shard->now == read, 1)) return read;
  if (shard->live && vsi_tick_age(shard->now, read)) return shard->now;
  return shard->now = read;
}

/* ------------------------------------------------------------------------------------------------- the table ---- */

/* Maximum number of shards; number of homes that a walk through a shard examines in one visit. */
enum { VSI_SHARDS_MOST = 256, VSI_HOMES_A_LOCK = 256 };

typedef struct vsi_table {
  const vestry_host *host;
  vestry_store_exit *exit;
  bool evicts;                     /* a put into a full store evicts the least recently used; else it fails */
  size_t max_count, max_per_scope; /* 0: no limit */
  vsi_clock clock;
  vsi_placing placing;
  size_t extra_bytes; /* before each entry */
  vsi_shard *shards;
  uint32_t shards_count;
  void *memory, *shards_memory;
  /* Number of places taken, if there is a limit: each entry holds one of max_count places, and a put takes one before
   * its entry is linked (put.c). Written only while the store is not full. Relaxed, because only the number matters;
   * the shards' locks publish the entries. */
  _Alignas(VSI_CACHE_LINE) _Atomic(size_t) count;
  /* The tick of the first entry of each shard in the order of use (oldest) and in the order of birth (eldest);
   * VSI_TICK_NONE: no entry. Written under the shard's lock when it changes, which is about once a tick. A hint for
   * finding the oldest entry; relaxed. */
  _Alignas(VSI_CACHE_LINE) _Atomic(uint32_t) oldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) eldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) floor;       /* the smallest tick in `oldest` when a put last compared them all; see put.c */
  _Atomic(uint64_t) deadline_ns; /* see expiry.c */
} vsi_table;

/* Return the hash that places a key. */
static inline uint64_t vsi_table_hash(const vsi_table *table, const vestry_scoped_key *key) {
  if (__builtin_expect(!table->placing.scope_bits, 1)) return key->hash;
  return vsi_placing_by_scope(&table->placing, vsi_scoped_key_lens(key), vsi_scoped_key_words(key), key->hash);
}
static inline vsi_shard *vsi_table_shard(const vsi_table *table, uint64_t hash) {
  return &table->shards[hash >> 1 >> (63 - table->placing.shard_bits)];
}

/* Unlock the shard, and run the callbacks of the entries that have left. */
static inline void vsi_table_release(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving) {
  vsi_spin_lock_give(&shard->lock);
  if (!vsi_leaving_is_empty(leaving)) vsi_leaving_run(leaving, table->host, table->extra_bytes, table->exit);
}

/* ---------------------------------------------------------------------------------------------------- visits ---- */

/* The steps of operations on a shard. A visit is one operation under the shard's lock. All functions here run
 * under that lock. now: the shard's time (vsi_shard_enter).
 *
 * Words. `used` is the list of entries in the order of use, `born` the list in the order of their creation. To file an
 * entry is to put it into `used`. The mark is the lowest bit of `touched`: the entry was used again in the tick of its
 * last move. An entry is due when its idle time or its lifetime is over. In a store with a lifetime or a limit per
 * scope, each entry has an extra, which links it into further lists (entry.h). */

/* ---------------------------------------------------------------------------------------------- order and time ---- */

/* Return the cause with which an entry must leave: idle time or lifetime, whichever ended first. NONE: the entry
 * stays. */
static inline vestry_cause vsi_visit_due(const vsi_table *table, vsi_entry *entry, uint32_t now) {
  const vsi_clock *clock = &table->clock;
  uint32_t unused = vsi_tick_age(now, vsi_entry_tick(entry));
  bool idle = unused > clock->idle_ticks && clock->idle_ticks;
  if (__builtin_expect(clock->lifetime_ticks != 0, 0)) {
    uint32_t lived = vsi_tick_age(now, vsi_entry_extra(entry)->born);
    if (lived > clock->lifetime_ticks && !(idle && unused - clock->idle_ticks > lived - clock->lifetime_ticks))
      return VESTRY_CAUSE_EXPIRED;
  }
  return __builtin_expect(idle, 0) ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_NONE;
}

/* Add an entry before `next`; NULL: as the last one. */
static inline void vsi_uses_add(vsi_uses *used, vsi_entry *next, vsi_entry *entry) {
  if (__builtin_expect(!used->first, 0)) used->first = used->last = entry;
  vsi_ring *prev = next && next != used->first ? next->used.prev : &used->last->used;
  entry->used = (vsi_ring){next ? &next->used : &used->first->used, prev};
  prev->next = &entry->used;
  if (next)
    next->used.prev = &entry->used;
  else
    used->last = entry;
  if (next == used->first) used->first = entry;
}
/* Remove an entry. */
static inline void vsi_uses_remove(vsi_uses *used, vsi_entry *entry) {
  bool is_first = entry == used->first, is_last = entry == used->last;
  vsi_ring *next = entry->used.next, *prev = is_first ? &used->last->used : entry->used.prev;
  VSI_ASSERT(prev->next == &entry->used && (is_first || is_last || next->prev == &entry->used));
  prev->next = next;
  if (!is_first && !is_last) next->prev = prev;
  if (is_last) used->last = is_first ? NULL : vsi_entry_of_used(prev);
  if (is_first) used->first = is_last ? NULL : vsi_entry_of_used(next);
}
/* Make the first entry the last one. */
static inline void vsi_uses_turn(vsi_uses *used) {
  vsi_entry *entry = used->first;
  entry->used.prev = &used->last->used;
  used->last = entry;
  used->first = vsi_entry_of_used(entry->used.next);
}

static inline void vsi_visit_publish_tick(_Atomic(uint32_t) *to, uint32_t tick) {
  if (atomic_load_explicit(to, memory_order_relaxed) != tick) atomic_store_explicit(to, tick, memory_order_relaxed);
}
/* Publish the tick of the first entry in the list of uses, after it has changed. */
static inline void vsi_visit_publish(vsi_table *table, const vsi_shard *shard) {
  if (!table->evicts) return;
  uint32_t tick = VSI_TICK_NONE;
  if (shard->used.first) tick = vsi_entry_tick(shard->used.first);
  vsi_visit_publish_tick(&table->oldest[shard->number], tick);
}
static inline void vsi_visit_file_last(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  entry->touched = now << 1;
  vsi_uses_add(&shard->used, NULL, entry);
  if (__builtin_expect(shard->used.first == entry, 0)) vsi_visit_publish(table, shard);
}
static inline void vsi_visit_unfile(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  bool was_first = shard->used.first == entry;
  vsi_uses_remove(&shard->used, entry);
  if (was_first) vsi_visit_publish(table, shard);
}

/* File an entry again, as the last one. */
static inline void vsi_visit_file_again(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  vsi_uses *used = &shard->used;
  entry->touched = now << 1;
  if (entry == used->first) {
    vsi_uses_turn(used);
    vsi_visit_publish(table, shard);
  } else if (entry != used->last) {
    vsi_ring_remove(&entry->used);
    entry->used = (vsi_ring){&used->first->used, &used->last->used};
    used->last->used.next = &entry->used;
    used->last = entry;
  }
}

/* Count a use of an entry that is the only one of its key. */
static inline void vsi_visit_use(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  if (__builtin_expect(table->max_per_scope != 0, 0)) vsi_scopes_use(entry);
  if (__builtin_expect(entry->touched == (now << 1 | 1), 1)) return;
  if (vsi_entry_tick(entry) == now) { /* used in this tick already */
    entry->touched |= 1;
    return;
  }
  vsi_visit_file_again(table, shard, entry, now);
}

/* Count a use of one value of a key that has several. */
void vsi_visit_use_one(vsi_table *table, vsi_shard *shard, vsi_entry *newest, vsi_entry *used, uint32_t now);
/* Clear the mark of the newest value of a key, before a second value joins the key. */
void vsi_visit_settle(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now);

/* As vsi_visit_due, for a caller that is about to remove the entry. A value may have been used without the store's
 * knowledge: for example, a stream is used when an event is written to it. So if the entry seems idle, the store gets
 * the time of the last use from the value (vestry_value_ops.used_ns). If that was not too long ago, the entry's place
 * in the order of use is corrected, and it stays. */
vestry_cause vsi_visit_end(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now);

/* Return the next entry to evict; NULL: there is none. An entry of the current tick that has a mark moves to the end of
 * the list. At most VSI_VISIT_CHANCES entries move, because otherwise one put could walk through a whole shard. */
enum { VSI_VISIT_CHANCES = 64 };
static inline vsi_entry *vsi_visit_oldest(vsi_shard *shard, uint32_t now) {
  vsi_entry *entry = shard->used.first;
  for (int i = 0; i < VSI_VISIT_CHANCES && entry && entry->touched == (now << 1 | 1); i++) {
    entry->touched ^= 1;
    vsi_uses_turn(&shard->used);
    entry = shard->used.first;
  }
  return entry;
}

/* ---------------------------------------------------------------------------------------------- add and remove ---- */

/* Add the extra of an entry to the order of birth and to the share of its scope, or remove it from both. share: NULL in
 * a store without a limit per scope. */
void vsi_visit_add_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vsi_scope_share *share);
void vsi_visit_take_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry);

/* Remove an entry from the lists and the index. */
static inline void vsi_visit_unlink(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  vsi_multivalues_remove(&shard->multivalues, table->host, entry);
  if (__builtin_expect(entry->older == entry, 1)) {
    vsi_index_remove(&shard->index, entry);
  } else {
    bool is_newest = entry->newer->handle < entry->handle; /* the oldest follows it in the ring; handles grow */
    if (is_newest) vsi_index_replace(&shard->index, entry, entry->older);
    entry->older->newer = entry->newer;
    entry->newer->older = entry->older;
  }
  vsi_visit_unfile(table, shard, entry);
  if (__builtin_expect(table->extra_bytes != 0, 0)) vsi_visit_take_extra(table, shard, entry);
  VSI_ASSERT(shard->live > 0);
  shard->live--;
}

/* Remove an entry with a cause. keeps_place: its place under the limit (max_count) is not freed, but goes to the
 * caller. */
static inline void vsi_visit_take(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vestry_cause cause,
                                  bool keeps_place, vsi_leaving *leaving) {
  vsi_visit_unlink(table, shard, entry);
  if (cause != VESTRY_CAUSE_SIZE) shard->removed_by_cause[cause]++;
  vsi_leaving_add(leaving, entry, cause);
  if (keeps_place) return;
  if (table->max_count) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  if (__builtin_expect(shard->live <= vsi_index_mask(&shard->index), 0)) vsi_index_shrink(&shard->index, shard->live);
}

/* Return whether an entry is the only one of its key, and not due. */
static inline bool vsi_visit_is_sole(const vsi_table *table, vsi_entry *entry, uint32_t now) {
  return __builtin_expect(entry->older == entry && !vsi_visit_due(table, entry, now), 1);
}

/* Remove the due entries of a key. Returns the newest of the others; NULL: none is left. */
vsi_entry *vsi_visit_drop_due(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                              vsi_leaving *leaving);

/* Return the newest entry of a key, after its due entries were removed; NULL: none. */
static inline vsi_entry *vsi_visit_find(vsi_table *table, vsi_shard *shard, const vestry_scoped_key *key, uint64_t hash,
                                        uint32_t now, vsi_leaving *leaving) {
  vsi_entry *newest = vsi_index_find(&shard->index, key, hash);
  if (!newest || vsi_visit_is_sole(table, newest, now)) return newest;
  return vsi_visit_drop_due(table, shard, newest, now, leaving);
}

/* ------------------------------------------------------------------------------------------------ operations ---- */

/* The members of vestry_store_ops (store.c). put.c, listing.c and expiry.c contain one subject each. evicts: the
 * context of the type; NULL: a put into a full store fails. */
vestry_err vsi_table_create(const vestry_store_options *options, vestry_store_exit *exit, void *evicts,
                            void **ret_self);
void vsi_table_destroy(void *self);
vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count);
vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);
size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause);
bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause);
void vsi_table_clear(void *self, vestry_cause cause);
vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx);
void vsi_table_tick(void *self);
uint64_t vsi_table_next_deadline_ns(void *self);
void vsi_table_stats(void *self, vestry_store_stats *ret_stats);
bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx);
bool vsi_table_remove_value(void *self, const vestry_scoped_key *key, void *value, vestry_cause cause);
size_t vsi_table_remove_scope(void *self, const vestry_scope *scope, vestry_cause cause);

/* Set the deadline after a put in the tick `now`, if there was none. */
void vsi_table_expect(vsi_table *table, uint32_t now);

#endif
