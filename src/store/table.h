/* SPDX-License-Identifier: MIT */
/* essay: one visit to one shard; entries of one cache line */
/* The data of the built-in stores: shards, a limit for all of them, and a clock.
 *
 * A shard: one lock, and the data that it guards. Every operation of the built-in stores is one visit to one shard
 * under its lock, lookups included. So nothing that the lock guards is read without it, an array that has grown is
 * freed at once, and there is nothing to reclaim later.
 *
 *   arrays  shard ──> groups ──number──> entries (one cache line each), cold, extra, many     shard.h, index.h
 *   order   which entry was least recently used, and which is due                             order.h, expiry.c
 *   many    the values of one key                                                             extra.h
 *   scopes  how many values each scope has                                                    extra.h
 *
 * What holds whenever a shard's lock is free:
 *
 * - An entry's number is in exactly one place: the index (or the ring of an entry that is) and the order of use; the
 *   free numbers; the leaving entries of one operation; or a put has claimed it.
 * - The sum of `live` is `count`, but for the places that puts hold. `count` never exceeds max_count.
 * - `oldest` of a shard is not later than the tick of any of its entries. A put evicts an entry only if its tick is not
 *   later than `floor`; else the shard publishes its tick, and the put looks again. So an entry that was used in an
 *   earlier tick leaves earlier, in whichever shard it is.
 *
 * No callback runs under a lock, but for ref, used_ns, has_ended and the function of a `with`. An entry that leaves is
 * copied to the stack of the operation that removes it; if there are too many, they keep their numbers until their
 * turn comes (vsi_store_visit). Each of them is in one such list and is taken from it once, so its callbacks run once.
 *
 * Atomics. A shard's lock is the only acquire and release; all members of the shard are plain data under it. The
 * others order nothing:
 *
 *   count                   a number, relaxed
 *   oldest, and its least   hints, relaxed: a put that read an old one looks again (put.c)
 *   closed                  relaxed, read under a shard's lock
 *   deadline_ns             seq_cst, with armed_ns of the driver (expiry.c, store.c)
 *   groups, groups_count    relaxed: read without the lock only to compute the address of a prefetch
 *
 * Locks. No operation holds two shards' locks. Under one it takes no other lock: ref, used_ns and has_ended of a value
 * may only read and count. The driver's lock is never held here.
 *
 * Memory. A shard with entries owns one allocation, its arrays, which growth replaces and the last removal frees
 * (vsi_table_shrink). Empty shards share arrays.
 * An entry owns its long key, which is freed after the callbacks of the entry (vsi_visit_end); a put owns it before.
 * A share of a scope is freed with the scope's last entry and the last put for it (extra.c).
 *
 * Growth. A shard's arrays are copied to larger ones under its lock; no key is read. A bounded store has one shard for
 * each 8,192 entries at least, therefore no put waits longer than a few milliseconds. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include "store/exit.h"
#include "store/extra.h"
#include "store/order.h"

/* Number of homes that a walk through a shard examines in one visit. */
enum { VSI_HOMES_A_LOCK = 256 };

typedef struct vsi_table {
  const vestry_host *host;
  vestry_store_exit *exit;
  bool evicts;                     /* a put into a full store evicts the least recently used; else it fails */
  size_t max_count, max_per_scope; /* 0: no limit */
  vsi_clock clock;
  vsi_placing placing;
  bool has_extra;
  vsi_shard *shards;
  vsi_arrays *arrays;   /* of each shard */
  _Atomic(bool) closed; /* puts are refused. Relaxed: it is written before a walk takes the shards' locks, and
                           read under one, so a put that does not see it comes before the walk */
  uint32_t shards_count;
  uint32_t groups_expected; /* of a shard of a full store; 0: unknown */
  void *memory;             /* of the table, its shards and `empty` */
  char *empty;              /* the arrays of all empty shards; never written: there is room for no entry */
  /* Number of places taken, if there is a limit: each entry holds one of max_count places, and a put takes one before
   * its entry is linked (put.c). Written only while the store is not full. Relaxed, because only the number matters;
   * the shards' locks publish the entries. */
  _Alignas(VSI_CACHE_LINE) _Atomic(size_t) count;
  _Alignas(VSI_CACHE_LINE) _Atomic(uint64_t) deadline_ns; /* see expiry.c */
  _Atomic(uint32_t) floor;    /* the smallest tick in `oldest` when a put last compared them all; see put.c */
  _Atomic(uint32_t) oldest[]; /* of each shard: vsi_order_bound. Written under the shard's lock when it changes, which
                                 is about once a tick. A hint for finding the oldest entry; relaxed */
} vsi_table;

/* Return the hash that places a key. */
static inline uint64_t vsi_table_hash(const vsi_table *table, const vestry_scoped_key *key) {
  if (__builtin_expect(!table->placing.scope_bits, 1)) return key->hash;
  return vsi_placing_by_scope(&table->placing, vsi_scoped_key_lens(key), vsi_scoped_key_words(key), key->hash);
}
static inline uint32_t vsi_table_shard_number(const vsi_table *table, uint64_t hash) {
  return (uint32_t)(hash >> 1 >> (63 - table->placing.shard_bits));
}
static inline vsi_shard *vsi_table_shard(const vsi_table *table, uint64_t hash) {
  return &table->shards[vsi_table_shard_number(table, hash)];
}

/* Give a new shard the arrays that empty shards share, and an empty shard, unless an operation uses some of its
 * numbers. The memory of its former arrays is freed. */
void vsi_table_shrink(vsi_table *table, vsi_shard *shard);

/* ---------------------------------------------------------------------------------------------------- visits ---- */

/* A visit: one operation under the lock of one shard. The functions vsi_visit_… are its steps; all of them run under
 * that lock, except vsi_visit_begin and vsi_visit_end.
 *
 * Words. The mark is the lowest bit of an entry's `use`: the entry was used again in the tick of its last use. An entry
 * is due when its idle time or its lifetime is over. Values of one key are evicted in the order of their uses, even if
 * all uses fall into one tick. Therefore each use of a key that has several values files them again; a mark of the
 * newest means that all of them were used in its tick and are filed in the right order.
 *
 * Leaving entries are removed under the lock; their callbacks run after the unlock. Those beyond the copies keep their
 * numbers, linked by `next`, and are copied when the others have left. So an entry can leave without an allocation. */
enum { VSI_LEAVING_COPIES = 16 };

/* A copy of an entry that has left. */
typedef struct vsi_left {
  vestry_handle handle;
  vsi_entry entry; /* its `use` is the cause */
} vsi_left;

typedef struct vsi_store_visit {
  vsi_table *table;
  vsi_shard *shard;
  uint32_t now;                          /* the shard's time */
  uint32_t first_leaving, last_leaving;  /* those without a copy; 0: none */
  uint32_t left_count;                   /* number of copies */
  vsi_left left[VSI_LEAVING_COPIES + 1]; /* the last one is of the entry that a put evicts */
} vsi_store_visit;

/* Publish the shard's part of `oldest`, after it may have changed. */
static inline void vsi_visit_publish(vsi_table *table, const vsi_shard *shard) {
  if (!table->evicts) return;
  _Atomic(uint32_t) *to = &table->oldest[shard->number];
  uint32_t tick = vsi_order_bound(shard);
  if (atomic_load_explicit(to, memory_order_relaxed) != tick) atomic_store_explicit(to, tick, memory_order_relaxed);
}

/* Take the lock. read: the tick that was read before.
 *
 * The clock is read before the lock is taken, so `read` may be outdated: another thread may have held the lock with a
 * later time. Therefore a shard has its own time, which does not go back while the shard has entries. */
static inline uint32_t vsi_shard_enter(vsi_table *table, vsi_shard *shard, uint32_t read) {
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  if (__builtin_expect(shard->now == read, 1)) return read;
  if (!shard->live) {
    shard->last = read;
    shard->lists = 0;
  } else if (vsi_tick_age(shard->now, read)) {
    return shard->now;
  } else if (__builtin_expect(vsi_tick_age(read, shard->last) > VSI_ORDER_SPAN, 0)) {
    vsi_order_rebase(shard, read);
    vsi_visit_publish(table, shard);
  }
  return shard->now = read;
}
static inline void vsi_visit_init(vsi_store_visit *visit, vsi_table *table, vsi_shard *shard) {
  visit->table = table;
  visit->shard = shard;
  visit->first_leaving = visit->left_count = 0;
}
static inline void vsi_visit_begin(vsi_store_visit *visit, vsi_table *table, vsi_shard *shard, uint32_t read) {
  vsi_visit_init(visit, table, shard);
  visit->now = vsi_shard_enter(table, shard, read);
}

/* Run the callbacks of an entry that has left, without a lock. */
static inline void vsi_left_run(const vsi_table *table, const vsi_left *left) {
  vestry_scoped_key key = vsi_entry_key(&left->entry);
  vestry_store_leave(table->exit, &key, left->entry.value, left->handle, (vestry_cause)left->entry.use);
  vsi_free(table->host, vsi_entry_long_key(&left->entry));
}
/* Unlock the shard, and run the callbacks of the entries that have left. Call once. */
void vsi_visit_run(vsi_store_visit *visit);
static inline void vsi_visit_end(vsi_store_visit *visit) {
  if (__builtin_expect(!visit->shard->live, 0)) vsi_table_shrink(visit->table, visit->shard);
  vsi_spin_lock_give(&visit->shard->lock);
  if (visit->left_count) vsi_visit_run(visit);
}

/* The cause is noted in the copy, because a wide load of an entry would wait for a narrow store to it. */
static inline void vsi_left_copy(vsi_left *copy, const vsi_arrays *in, uint32_t number, uint32_t cause) {
  copy->handle = in->cold[number].handle;
  copy->entry = *vsi_entry_at(in, number);
  copy->entry.use = cause;
}
static inline void vsi_number_free(vsi_shard *shard, uint32_t number) {
  shard->in->cold[number].in.next = shard->free;
  shard->free = number;
}
/* Let an entry leave that is in no list any more. Its number is freed now, or when it is copied. */
static inline void vsi_visit_leave(vsi_store_visit *visit, uint32_t number, vestry_cause cause) {
  vsi_shard *shard = visit->shard;
  if (__builtin_expect(visit->left_count < VSI_LEAVING_COPIES && !visit->first_leaving, 1)) {
    vsi_left_copy(&visit->left[visit->left_count++], shard->in, number, (uint32_t)cause);
    vsi_number_free(shard, number);
    return;
  }
  vsi_entry_at(shard->in, number)->use = (uint32_t)cause;
  *(visit->first_leaving ? &shard->in->cold[visit->last_leaving].in.next : &visit->first_leaving) = number;
  visit->last_leaving = number;
  shard->in->cold[number].in.next = 0;
  shard->busy++;
}

/* Return the cause with which an entry must leave: idle time or lifetime, whichever ended first. NONE: the entry
 * stays. Nearly always one comparison is enough; `cause` makes all of them. */
vestry_cause vsi_shard_cause(const vsi_shard *shard, const vsi_clock *clock, uint32_t now, uint32_t number);
static inline vestry_cause vsi_shard_due(const vsi_shard *shard, const vsi_clock *clock, uint32_t now,
                                         uint32_t number) {
  const uint32_t unused = vsi_tick_age(now, vsi_entry_tick(vsi_entry_at(shard->in, number)));
  if (__builtin_expect(unused < clock->sure_ticks, 1)) return VESTRY_CAUSE_NONE;
  return vsi_shard_cause(shard, clock, now, number);
}
static inline vestry_cause vsi_visit_due(const vsi_store_visit *visit, uint32_t number) {
  return vsi_shard_due(visit->shard, &visit->table->clock, visit->now, number);
}

/* As vsi_visit_due, for a caller that is about to remove the entry. A value may have been used without the store's
 * knowledge: for example, a stream is used when an event is written to it. So if the entry seems idle, the store gets
 * the time of the last use from the value (vestry_value_ops.used_ns). If that was not too long ago, the entry's place
 * in the order of use is corrected, and it stays. */
vestry_cause vsi_visit_expire(vsi_store_visit *visit, uint32_t number);

/* Count a use of an entry that is the only one of its key. */
static inline void vsi_visit_use(const vsi_store_visit *visit, uint32_t number) {
  if (__builtin_expect(visit->shard->has_extra, 0) && visit->table->max_per_scope) vsi_scopes_use(visit->shard, number);
  vsi_entry *entry = vsi_entry_at(visit->shard->in, number);
  if (__builtin_expect(entry->use == (visit->now << 1 | 1), 1)) return;
  entry->use = vsi_entry_tick(entry) == visit->now ? entry->use | 1 : visit->now << 1;
}
/* Count a use of one value of a key that has several. */
void vsi_visit_use_one(const vsi_store_visit *visit, uint32_t newest, uint32_t used);

/* Set the number of groups, and the arrays with it; has_extra: with the extras. OK |
 * NO_MEMORY: nothing has changed. */
vestry_err vsi_visit_resize(vsi_store_visit *visit, uint32_t groups_count, bool has_extra);
/* Make room for one more entry. OK | NO_MEMORY. */
vestry_err vsi_visit_grow(vsi_store_visit *visit);

/* Remove an entry with a cause. keeps_place: its place under the limit (max_count) is not freed, but goes to the
 * caller. */
static inline void vsi_visit_take(vsi_store_visit *visit, uint32_t number, vestry_cause cause, bool keeps_place) {
  vsi_table *table = visit->table;
  vsi_shard *shard = visit->shard;
  if (vsi_many_has(shard, number))
    vsi_many_leave(shard, &table->placing, number);
  else
    vsi_index_remove(shard->in, &table->placing, number);
  vsi_order_take(shard->in->cold, number);
  if (__builtin_expect(table->has_extra, 0)) vsi_extra_take(shard, table->host, number);
  VSI_ASSERT(shard->live > 0);
  shard->live--;
  if (cause != VESTRY_CAUSE_SIZE) shard->removed_by_cause[cause]++;
  vsi_visit_leave(visit, number, cause);
  vsi_visit_publish(table, shard);
  if (keeps_place) return;
  if (table->max_count) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
}

/* Remove the due entries of a key. Returns the newest of the others; 0: none is left. */
uint32_t vsi_visit_drop_due(vsi_store_visit *visit, uint32_t newest);

/* Return the newest entry of a key, after its due entries were removed; 0: none. */
static inline uint32_t vsi_visit_find(vsi_store_visit *visit, const vestry_scoped_key *key, uint64_t hash) {
  uint32_t newest = vsi_index_find(visit->shard->in, &visit->table->placing, key, hash);
  if (!newest || (!vsi_many_has(visit->shard, newest) && !vsi_visit_due(visit, newest))) return newest;
  return vsi_visit_drop_due(visit, newest);
}

/* ------------------------------------------------------------------------------------------------ operations ---- */

/* The members of vestry_store_ops (store.c). put.c, listing.c and expiry.c contain one subject each. evicts: the
 * context of the type; NULL: a put into a full store fails. */
vestry_err vsi_table_create(const vestry_store_options *options, vestry_store_exit *exit, void *evicts,
                            void **ret_self);
void vsi_table_destroy(void *self);
vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);
size_t vsi_table_remove(void *self, const vestry_scoped_key *key, const void *value, vestry_cause cause);
bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause);
size_t vsi_table_clear(void *self, const vestry_scope *scope, vestry_cause cause);
vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx);
void vsi_table_tick(void *self);
uint64_t vsi_table_next_deadline_ns(void *self);
void vsi_table_stats(void *self, vestry_store_stats *ret_stats);
bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx);

/* Set the deadline after a put in the tick `now`, if there was none. */
void vsi_table_expect(vsi_table *table, uint32_t now);

#endif
