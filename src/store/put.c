/* SPDX-License-Identifier: MIT */
/* essay: one bound over many shards, and the victim's memory */
/* Putting a value into a table.
 *
 * The bound is one for all shards: `count` is the number of places taken. A put that adds a value first takes a place,
 * or, when there is none, takes a victim out and keeps its place. So a full store stays full, the bound is never
 * exceeded, nothing leaves while there is room, and a put into a full store writes no word that all shards share.
 *
 * The victim is the oldest of the shard whose oldest is oldest, by tick; of shards that are alike, the put's own, so
 * that one lock does for both. Else the put lets its own lock go, takes the victim out under the other, keeps the
 * place, and looks at its own shard anew: never two locks at once, and no callback before the place has its newcomer.
 * (A hook that puts would look for a victim, and could find all places in the hands of those that wait for it.)
 *
 * What a put may need (memory for the entry, room in the index and in the scope's share) it gets before anything leaves
 * for it, so that nothing has left when memory runs out. What it does not need in the end it gives back.
 *
 * The victim's memory. A newcomer whose key has as many words as the victim's gets its entry, which is in the cache
 * already; what is gone is a copy on the stack. A full store in use asks for no memory. */
#include "store/put.h"

#include <sched.h>

#include "store/expiry.h"
#include "store/visit.h"

/* How many values of a full key are looked at for one that has ended. */
enum { VSI_KEY_LOOKS = 64 };

typedef struct putting {
  vsi_table *table;
  vsi_shard *shard;
  const vestry_scoped_key *key;
  uint64_t hash;
  void *value;
  vestry_keep_policy policy;
  size_t many_count;
  uint32_t now;
  bool has_place, may_reuse;
  vsi_entry *entry;       /* ours until it is linked; NULL: not yet there */
  vsi_crowd_room room;    /* if the key has many values */
  vsi_scope_share *share; /* in a store with a cap per scope: entered; NULL: not yet */
  vsi_leaving leaving;
} putting;

/* AGAIN: the lock was let go meanwhile, all is to be looked at anew. */
typedef enum step { STEP_DONE, STEP_AGAIN, STEP_FAILED } step;

static inline void visit_shard(putting *p, vsi_shard *shard) {
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  p->now = vsi_shard_now(shard, p->now);
}

/* ------------------------------------------------------------------------------------------------- the bound ---- */

static inline bool is_full(vsi_table *table) {
  return atomic_load_explicit(&table->count, memory_order_relaxed) >= table->rules.max_count;
}

static bool take_place(vsi_table *table) {
  size_t count = atomic_load_explicit(&table->count, memory_order_relaxed);
  while (count < table->rules.max_count)
    if (atomic_compare_exchange_weak_explicit(&table->count, &count, count + 1, memory_order_relaxed,
                                              memory_order_relaxed))
      return true;
  return false;
}

/* The shard whose oldest is oldest; of several, `mine`. NULL: all are empty. */
static vsi_shard *oldest_shard(vsi_table *table, vsi_shard *mine, uint32_t now) {
  uint32_t best = atomic_load_explicit(&table->oldest[mine->number], memory_order_relaxed);
  vsi_shard *found = best == VSI_TICK_NONE ? NULL : mine;
  /* Nothing is older than this tick, so a shard that has it need not look around. */
  if (found && best == atomic_load_explicit(&table->floor, memory_order_relaxed)) return mine;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    uint32_t tick = atomic_load_explicit(&table->oldest[i], memory_order_relaxed);
    if (tick == VSI_TICK_NONE || (found && vsi_tick_age(now, tick) <= vsi_tick_age(now, best))) continue;
    best = tick;
    found = &table->shards[i];
  }
  if (found) atomic_store_explicit(&table->floor, best, memory_order_relaxed);
  return found;
}

/* Of those that leave for SIZE one in 16 is noted, by the number in its handle: how long it was unused. A store without
 * a clock does not know. */
VSI_SELDOM static void note_eviction(const vsi_table *table, const vsi_entry *entry, uint32_t now) {
  if (!table->clock.now_ns) return;
  const uint64_t unused_ns = vsi_tick_age(now, vsi_entry_tick(entry)) * table->clock.tick_ns;
  vsi_histogram_add(&table->exit->evictions, &vsi_ages, unused_ns / 1000000);
}

static inline bool is_noted(const vsi_entry *entry) {
  return __builtin_expect(entry->handle % 16 == 0, 0);
}

/* Take an entry out and keep its place. Under its shard's lock. */
static void evict(putting *p, vsi_shard *shard, vsi_entry *entry) {
  vestry_cause due = vsi_visit_end(p->table, shard, entry, p->now);
  if (is_noted(entry) && !due) note_eviction(p->table, entry, p->now);
  vsi_visit_take(p->table, shard, entry, due ? due : VESTRY_CAUSE_SIZE, true, &p->leaving);
  p->leaving.displaced_count += !due;
  p->has_place = true;
}

/* Take the oldest of another shard out. The own lock is let go meanwhile. */
VSI_SELDOM static step evict_elsewhere(putting *p, vsi_shard *from) {
  vsi_spin_lock_give(&p->shard->lock);
  if (from) {
    visit_shard(p, from);
    vsi_entry *oldest = vsi_visit_oldest(from, p->now);
    if (oldest) evict(p, from, oldest);
    vsi_spin_lock_give(&from->lock);
  } else {
    sched_yield(); /* all places are in the hands of puts that have not linked their entries yet */
  }
  visit_shard(p, p->shard);
  return STEP_AGAIN;
}

static step get_place(putting *p, vestry_err *ret_error) {
  if (take_place(p->table)) {
    p->has_place = true;
    return STEP_DONE;
  }
  *ret_error = VESTRY_FULL;
  if (!p->table->rules.evicts) return STEP_FAILED;
  vsi_shard *from = oldest_shard(p->table, p->shard, p->now);
  vsi_entry *oldest = from == p->shard ? vsi_visit_oldest(from, p->now) : NULL;
  if (!oldest) return evict_elsewhere(p, from);
  evict(p, from, oldest);
  return STEP_DONE;
}

/* --------------------------------------------------------------------------------------------------- memory ---- */

/* The memory and the place of the entry that has to go, if both will do, and nothing else has to be looked after. */
static inline void reuse_oldest(putting *p) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  vsi_entry *oldest = vsi_visit_oldest(shard, p->now);
  uint32_t lens = vsi_scoped_key_lens(p->key);
  if (!oldest || oldest->older != oldest || !is_full(table) || vsi_visit_due(table, oldest, p->now) ||
      vsi_entry_tick(oldest) != atomic_load_explicit(&table->floor, memory_order_relaxed) ||
      (oldest->lens != lens && vsi_lens_words(oldest->lens) != vsi_lens_words(lens)))
    return;
  if (is_noted(oldest)) note_eviction(table, oldest, p->now);
  vsi_visit_unlink(table, shard, oldest);
  vsi_leaving_part(&p->leaving, oldest);
  p->leaving.displaced_count++;
  p->has_place = true;
  p->entry = vsi_entry_fill(oldest, p->key, p->value);
}

VSI_SELDOM static step make_entry(putting *p) {
  vsi_spin_lock_give(&p->shard->lock);
  p->entry = vsi_entry_create(p->table->host, p->table->extra_bytes, p->key, p->value);
  visit_shard(p, p->shard);
  return p->entry ? STEP_AGAIN : STEP_FAILED;
}

/* ---------------------------------------------------------------------------------------------- caps per scope ---- */

/* Room in the scope: of one that is full another entry goes, and that place is the newcomer's. */
VSI_SELDOM static step get_share(putting *p, bool grows, vestry_err *ret_error) {
  vsi_table *table = p->table;
  if (!p->share)
    p->share = vsi_scopes_enter(&p->shard->scopes, table->host, table->placing.hash->siphash, &p->key->scope);
  if (!p->share) return STEP_FAILED;
  if (!grows || !table->rules.evicts || p->share->count < table->rules.max_per_scope) return STEP_DONE;
  vsi_entry *victim = vsi_scopes_first(p->share, table->exit, p->value);
  if (!victim) {
    *ret_error = VESTRY_LIMIT; /* the scope has nothing but this very value */
    return STEP_FAILED;
  }
  if (p->has_place) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed); /* it gets another one */
  evict(p, p->shard, victim);
  return STEP_DONE;
}

/* ---------------------------------------------------------------------------------------------------- the put ---- */

/* Memory, a share of the scope, a place. grows: the key will have one value more. */
static inline step get_room(putting *p, bool is_new, bool grows, vestry_err *ret_error) {
  *ret_error = VESTRY_NO_MEMORY;
  if (is_new && vsi_index_grow(&p->shard->index, p->shard->live)) return STEP_FAILED;
  if (p->may_reuse && is_new && !p->has_place) reuse_oldest(p);
  p->may_reuse = false;
  if (__builtin_expect(!p->entry, 0)) return make_entry(p);
  bool capped = p->table->rules.max_per_scope != 0;
  step got = __builtin_expect(capped, 0) ? get_share(p, grows, ret_error) : STEP_DONE;
  if (got == STEP_DONE && grows && !p->has_place && p->table->rules.max_count) got = get_place(p, ret_error);
  if (__builtin_expect(capped && got == STEP_DONE && grows, 0) && p->share->count >= p->table->rules.max_per_scope) {
    *ret_error = VESTRY_LIMIT;
    return STEP_FAILED;
  }
  return got;
}

/* The entry becomes the newest of its key. */
static inline void link_entry(putting *p, vsi_entry *newest) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  vsi_entry *entry = p->entry;
  entry->handle = (p->hash & ~VSI_HANDLE_NUMBER_MASK) | (++shard->puts & VSI_HANDLE_NUMBER_MASK);
  if (__builtin_expect(newest != NULL, 0) && (newest->touched & 1)) vsi_visit_settle(table, shard, newest, p->now);
  vsi_visit_file_last(table, shard, entry, p->now);
  if (__builtin_expect(table->extra_bytes != 0, 0)) vsi_visit_add_extra(table, shard, entry, p->share);
  if (__builtin_expect(p->room.node != NULL, 0)) vsi_crowds_add(&shard->crowds, newest, entry, &p->room);
  if (__builtin_expect(!newest, 1)) {
    entry->older = entry->newer = entry;
    vsi_index_add(&shard->index, p->hash, vsi_index_tag(p->hash), entry);
  } else {
    entry->older = newest;
    entry->newer = newest->newer;
    entry->newer->older = entry;
    newest->newer = entry;
    vsi_index_replace(&shard->index, newest, entry);
  }
  shard->live++;
  p->entry = NULL;
}

/* Which value of a key goes first: the oldest of those that have ended, if one is among the VSI_KEY_LOOKS that were put
 * longest ago; else the oldest. NULL: there is none but `stays`. */
static vsi_entry *first_to_go(const vsi_table *table, vsi_entry *newest, const vsi_entry *stays) {
  vsi_entry *first = NULL, *entry = newest;
  for (int looked = 0; looked < VSI_KEY_LOOKS; looked++) {
    entry = entry->newer;
    if (entry != stays && table->exit->value.has_ended(entry->value)) return entry;
    if (entry != stays && !first) first = entry;
    if (entry == newest) break;
  }
  return first;
}

/* Of the values of a key, count of them, values leave until `keep` are left; `stays` is none of them. The first that
 * leaves has a place for the newcomer, if it has none. */
VSI_SELDOM static void displace(putting *p, const vsi_entry *stays, size_t count, size_t keep, bool needs_place) {
  for (; count > keep; count--) {
    vsi_entry *newest = vsi_index_find(&p->shard->index, p->key, p->hash);
    vsi_entry *entry = keep > 1 ? first_to_go(p->table, newest, stays) : newest->newer;
    if (entry == stays) entry = entry->newer;
    if (!entry || entry == stays) return;
    vsi_visit_take(p->table, p->shard, entry, VESTRY_CAUSE_REPLACED, needs_place, &p->leaving);
    needs_place = false;
    p->leaving.displaced_count++;
  }
}

/* A value that is there already: used, and under REPLACE left alone. */
VSI_SELDOM static step refresh(putting *p, vsi_entry *newest, vsi_entry *same, size_t count,
                               vestry_put_result *result) {
  vsi_visit_use_one(p->table, p->shard, newest, same, p->now);
  if (p->policy == VESTRY_KEEP_REPLACE) displace(p, same, count, 1, false);
  result->handle = same->handle;
  result->displaced_count = 0;
  result->refreshed = true;
  return STEP_DONE;
}

/* One look at the shard. */
static inline step visit(putting *p, vestry_put_result *result, vestry_err *ret_error) {
  vsi_table *table = p->table;
  *ret_error = VESTRY_CLOSED;
  if (__builtin_expect(p->shard->closed, 0)) return STEP_FAILED;
  vsi_entry *newest = vsi_visit_find(table, p->shard, p->key, p->hash, p->now, &p->leaving);
  vsi_entry *same = vsi_crowds_find(&p->shard->crowds, newest, p->value);
  size_t count = vsi_crowds_count(&p->shard->crowds, newest);
  if (__builtin_expect(same != NULL, 0)) return refresh(p, newest, same, count, result);
  *ret_error = VESTRY_EXISTS;
  if (newest && (p->policy == VESTRY_KEEP_REUSE || p->policy == VESTRY_KEEP_REJECT)) return STEP_FAILED;
  bool joins = p->policy == VESTRY_KEEP_MANY, grows = !newest || (joins && count < p->many_count);
  if (__builtin_expect(joins && newest != NULL, 0) &&
      vsi_crowds_prepare(&p->shard->crowds, table->host, newest, &p->room)) {
    *ret_error = VESTRY_NO_MEMORY;
    return STEP_FAILED;
  }
  step got = get_room(p, !newest, grows, ret_error);
  if (__builtin_expect(got != STEP_DONE, 0)) return got;
  if (newest) { /* a victim may have been of this key */
    newest = vsi_index_find(&p->shard->index, p->key, p->hash);
    count = vsi_crowds_count(&p->shard->crowds, newest);
  }
  vsi_entry *entry = p->entry;
  link_entry(p, newest);
  result->handle = entry->handle;
  if (newest) displace(p, entry, count + 1, joins ? p->many_count : 1, !p->has_place);
  p->has_place = false; /* the entry's now */
  if (table->clock.expires && vsi_table_next_deadline_ns(table) == UINT64_MAX) vsi_table_expect(table, p->now);
  return STEP_DONE;
}

/* The oldest will probably have to go. What its going takes is fetched a put or two before: its neighbours, and of the
 * one after it the bucket and the value. */
static inline void fetch_ahead(const vsi_shard *shard) {
  vsi_prefetch_to_write(shard->used.prev);
  const vsi_ring *second = shard->used.next->next;
  if (second == &shard->used || shard->used.next == &shard->used) return;
  const vsi_entry *entry = (const vsi_entry *)(const void *)second;
  vsi_prefetch_to_write(&vsi_index_buckets(&shard->index)[vsi_index_home(&shard->index, entry->handle)]);
  vsi_prefetch_to_write(entry->value);
  vsi_prefetch_to_write(second->next);
  vsi_prefetch_to_write((const char *)second->next + sizeof(vsi_entry) - 8);
}

/* After the last visit, the lock still held. */
static inline void end_put(putting *p) {
  if (__builtin_expect(p->share != NULL, 0)) vsi_scopes_leave(&p->shard->scopes, p->table->host, p->share);
  vsi_table_release(p->table, p->shard, &p->leaving);
  if (__builtin_expect(p->has_place && p->table->rules.max_count, 0))
    atomic_fetch_sub_explicit(&p->table->count, 1, memory_order_relaxed);
  if (__builtin_expect(p->entry != NULL, 0)) vsi_entry_destroy(p->table->host, p->table->extra_bytes, p->entry);
  if (__builtin_expect(p->room.node || p->room.crowd, 0)) vsi_crowd_room_free(&p->room, p->table->host);
}

vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result) {
  vsi_table *table = self;
  putting p;
  p.table = table;
  p.key = key;
  p.hash = vsi_table_hash(table, key);
  p.shard = vsi_table_shard(table, p.hash);
  vsi_prefetch_to_write(&p.shard->lock);
  vsi_index_fetch(&p.shard->index, p.hash, true);
  p.value = value;
  p.policy = policy;
  p.many_count = many_count;
  p.has_place = false;
  p.may_reuse = table->rules.evicts && !table->extra_bytes && is_full(table) &&
                vsi_scoped_key_bytes(key) <= VSI_PARTED_WORDS * sizeof(uint64_t);
  p.entry = NULL;
  p.share = NULL;
  p.room = (vsi_crowd_room){NULL, NULL};
  if (!p.may_reuse && !(p.entry = vsi_entry_create(table->host, table->extra_bytes, key, value)))
    return VESTRY_NO_MEMORY;
  vsi_leaving_init(&p.leaving);
  p.now = vsi_clock_now(&table->clock);
  visit_shard(&p, p.shard);
  if (p.may_reuse) fetch_ahead(p.shard);
  vestry_err error;
  step at;
  do at = visit(&p, ret_result, &error);
  while (__builtin_expect(at == STEP_AGAIN, 0));
  ret_result->displaced_count = p.leaving.displaced_count;
  end_put(&p);
  return at == STEP_DONE ? VESTRY_OK : error;
}
