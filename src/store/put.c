/* SPDX-License-Identifier: MIT */
/* essay: one limit for many shards, and reuse of the victim's memory */
/* Putting a value into a table.
 *
 * Words:
 * - A tick is the store's unit of time (clock.h). An entry is due when its idle time or its lifetime is over (table.h).
 *   A value has ended when it is of no use any more although it is still stored: for example, a closed connection.
 * - A handle is the number of one entry: its upper bits are from the hash of the key, and its lower bits count the puts
 *   of the shard.
 * - Each removed entry leaves with a cause (vestry/cause.h), for example SIZE: it was evicted to make room for another.
 *   The purge hook is a function of the application that is called for each removed value. `leaving` collects removed
 *   entries, whose callbacks run after the unlock (table.h).
 * - A multivalue is the shared record of a key that has many values (multivalues.h). The policy (REPLACE, REUSE,
 *   REJECT, MANY) determines what the put does if its key has values already (vestry/store.h).
 * - A scope is the owner of a set of keys, such as a session. In a store with a limit per scope (max_per_scope), a
 *   share counts the values of one scope (scopes.h). If the store has such a limit or a lifetime, each entry has an
 *   extra, with its birth and its share (entry.h).
 *
 * The limit (max_count) holds for all shards together: `count` is the number of places taken. A put that adds a value
 * first takes a place. If none is free, the put evicts a victim and takes over its place. So the limit is never
 * exceeded, and no entry is evicted for it while there is room. A put into a full store leaves `count` alone, so puts
 * to different shards do not contend for its cache line.
 *
 * The victim. Each shard publishes the tick in which its least recently used entry was last used (`oldest` in table.h).
 * The victim is that entry of the shard with the earliest tick. If several shards have the earliest tick, the put
 * prefers its own, because then one lock is enough. Otherwise the put releases its own lock, evicts the victim under
 * the other lock, keeps the place, and looks at its own shard again. It never holds two locks at once, and no callback
 * runs before the new entry is linked. (Otherwise a purge hook could itself call put while the outer put holds a place
 * and has no entry yet. If every place were held in this way, no entry would be left to evict, and all puts would wait
 * for each other.)
 *
 * Of the data that all shards share, a put into a full store writes only ticks in `oldest`, and `floor`, a lower bound
 * of all ticks there. Neither has to be exact: an outdated value only means that the victim is not exactly the least
 * recently used entry.
 *
 * A put allocates everything that it may need before it evicts anything: memory for the entry, room in the index and in
 * the scope's share. So if memory runs out, the put fails and no entry has been evicted. The put frees the unused
 * memory at its end.
 *
 *   visit ──┬─> the policy refuses the put, or the value is there already ──────────────> end
 *     ^     └─> memory, share of the scope, place (get_room) ──┬─> link the new entry ──> end
 *     │                                                        │   and remove surplus values of the key
 *     └────── STEP_AGAIN: the lock was released meanwhile <────┘
 *
 * The victim's memory. If the new key has as many words as the victim's key, the put reuses the memory of the victim's
 * entry, which is in the CPU cache already. The purge hook still needs the victim's key and value, so they are copied
 * to the stack first (vsi_leaving_part). Such a put allocates nothing. (reuse_oldest lists the other conditions, for
 * example that the victim is in the put's own shard.) */
#include "store/table.h"

#include <sched.h>

/* If a key already has its maximum number of values, the put removes one of them (first_to_go). It prefers a value that
 * has ended, but examines only this many of the oldest values for that. */
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
  bool has_place, may_reuse; /* has_place: one of max_count is taken for the entry */
  vsi_entry *entry;          /* owned until it is linked; NULL: not yet created */
  vsi_multivalue_room room;  /* if the key has many values */
  vsi_scope_share *share;    /* entered, in a store with a limit per scope; NULL: not yet */
  vsi_leaving leaving;
} putting;

/* AGAIN: the lock was released meanwhile, so the shard must be examined again. */
typedef enum step { STEP_DONE, STEP_AGAIN, STEP_FAILED } step;

/* ------------------------------------------------------------------------------------------------- the bound ---- */

static inline bool is_full(vsi_table *table) {
  return atomic_load_explicit(&table->count, memory_order_relaxed) >= table->max_count;
}

static bool take_place(vsi_table *table) {
  size_t count = atomic_load_explicit(&table->count, memory_order_relaxed);
  while (count < table->max_count)
    if (atomic_compare_exchange_weak_explicit(&table->count, &count, count + 1, memory_order_relaxed,
                                              memory_order_relaxed))
      return true;
  return false;
}

/* Return the shard with the earliest tick in `oldest`; if several have it, prefer `mine`. NULL: all shards are
 * empty. */
static vsi_shard *oldest_shard(vsi_table *table, vsi_shard *mine, uint32_t now) {
  uint32_t best = atomic_load_explicit(&table->oldest[mine->number], memory_order_relaxed);
  vsi_shard *found = best == VSI_TICK_NONE ? NULL : mine;
  /* `floor` is a lower bound of all ticks in `oldest`. If the tick of `mine` equals it, no other shard has an earlier
   * tick, and the comparison is not needed. */
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

/* Record for how long an evicted entry was unused. Of the entries evicted with cause SIZE, one of 16 is sampled: those
 * whose handle is a multiple of 16 (is_noted). A store without a clock records nothing. */
VSI_SELDOM static void note_eviction(const vsi_table *table, const vsi_entry *entry, uint32_t now) {
  if (!table->clock.now_ns) return;
  const uint64_t unused_ns = vsi_tick_age(now, vsi_entry_tick(entry)) * table->clock.tick_ns;
  vsi_histogram_add(&table->exit->evictions, &vsi_ages, unused_ns / 1000000);
}

static inline bool is_noted(const vsi_entry *entry) {
  return __builtin_expect(entry->handle % 16 == 0, 0);
}

/* Evict an entry and keep its place. Under the lock of the entry's shard. */
static void evict(putting *p, vsi_shard *shard, vsi_entry *entry) {
  vestry_cause due = vsi_visit_end(p->table, shard, entry, p->now);
  if (is_noted(entry) && !due) note_eviction(p->table, entry, p->now);
  vsi_visit_take(p->table, shard, entry, due ? due : VESTRY_CAUSE_SIZE, true, &p->leaving);
  p->leaving.displaced_count += !due;
  p->has_place = true;
}

/* Evict the oldest entry of another shard. The lock of the put's own shard is released meanwhile. */
VSI_SELDOM static step evict_elsewhere(putting *p, vsi_shard *from) {
  vsi_spin_lock_give(&p->shard->lock);
  if (from) {
    p->now = vsi_shard_enter(from, p->now);
    vsi_entry *oldest = vsi_visit_oldest(from, p->now);
    if (oldest) evict(p, from, oldest);
    vsi_spin_lock_give(&from->lock);
  } else {
    sched_yield(); /* all places are held by puts that have not linked their entries yet */
  }
  p->now = vsi_shard_enter(p->shard, p->now);
  return STEP_AGAIN;
}

static step get_place(putting *p, vestry_err *ret_error) {
  if (take_place(p->table)) {
    p->has_place = true;
    return STEP_DONE;
  }
  *ret_error = VESTRY_FULL;
  if (!p->table->evicts) return STEP_FAILED;
  vsi_shard *from = oldest_shard(p->table, p->shard, p->now);
  vsi_entry *oldest = from == p->shard ? vsi_visit_oldest(from, p->now) : NULL;
  if (!oldest) return evict_elsewhere(p, from);
  evict(p, from, oldest);
  return STEP_DONE;
}

/* --------------------------------------------------------------------------------------------------- memory ---- */

static inline vestry_handle new_handle(putting *p) {
  return (p->hash & ~VSI_HANDLE_NUMBER_MASK) | (++p->shard->puts & VSI_HANDLE_NUMBER_MASK);
}

/* Put a new key into the memory and the place of the oldest entry, if that is the next victim, has the right size, is
 * the only value of its key, and is not due. Returns the entry; NULL: it is not. */
static inline vsi_entry *reuse_oldest(putting *p) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  vsi_entry *oldest = vsi_visit_oldest(shard, p->now);
  uint32_t lens = vsi_scoped_key_lens(p->key);
  if (!oldest || oldest->older != oldest || !is_full(table) || vsi_visit_due(table, oldest, p->now) ||
      vsi_entry_tick(oldest) != atomic_load_explicit(&table->floor, memory_order_relaxed) ||
      (oldest->lens != lens && vsi_lens_words(oldest->lens) != vsi_lens_words(lens)))
    return NULL;
  if (is_noted(oldest)) note_eviction(table, oldest, p->now);
  vsi_multivalues_remove(&shard->multivalues, table->host, oldest);
  vsi_index_remove(&shard->index, oldest);
  vsi_leaving_part(&p->leaving, oldest);
  p->leaving.displaced_count++;
  vsi_entry_fill(oldest, p->key, p->value);
  oldest->handle = new_handle(p);
  vsi_index_add(&shard->index, p->hash, vsi_index_tag(p->hash), oldest);
  vsi_visit_file_again(table, shard, oldest, p->now);
  return oldest;
}

VSI_SELDOM static step make_entry(putting *p) {
  vsi_spin_lock_give(&p->shard->lock);
  p->entry = vsi_entry_create(p->table->host, p->table->extra_bytes, p->key, p->value);
  p->now = vsi_shard_enter(p->shard, p->now);
  return p->entry ? STEP_AGAIN : STEP_FAILED;
}

/* --------------------------------------------------------------------------------------------- limit per scope ---- */

/* Get room in the scope: if the scope is full, evict another entry of it, whose place goes to the new entry. */
VSI_SELDOM static step get_share(putting *p, bool grows, vestry_err *ret_error) {
  vsi_table *table = p->table;
  if (!p->share)
    p->share = vsi_scopes_enter(&p->shard->scopes, table->host, table->placing.hash->siphash, &p->key->scope);
  if (!p->share) return STEP_FAILED;
  if (!grows || !table->evicts || p->share->count < table->max_per_scope) return STEP_DONE;
  vsi_entry *victim = vsi_scopes_first(p->share, table->exit, p->value);
  if (!victim) {
    *ret_error = VESTRY_LIMIT; /* all entries of the scope hold the value that is being put, under other keys */
    return STEP_FAILED;
  }
  /* The new entry gets the victim's place instead of the one that it has taken. */
  if (p->has_place) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  evict(p, p->shard, victim);
  return STEP_DONE;
}

/* ---------------------------------------------------------------------------------------------------- the put ---- */

/* Get memory, a share of the scope, and a place. grows: the key will have one value more. */
static inline step get_room(putting *p, bool is_new, bool grows, vestry_err *ret_error) {
  *ret_error = VESTRY_NO_MEMORY;
  if (is_new && vsi_index_grow(&p->shard->index, p->shard->live)) return STEP_FAILED;
  if (__builtin_expect(!p->entry, 0)) return make_entry(p);
  bool capped = p->table->max_per_scope != 0;
  step got = __builtin_expect(capped, 0) ? get_share(p, grows, ret_error) : STEP_DONE;
  if (got == STEP_DONE && grows && !p->has_place && p->table->max_count) got = get_place(p, ret_error);
  if (__builtin_expect(capped && got == STEP_DONE && grows, 0) && p->share->count >= p->table->max_per_scope) {
    *ret_error = VESTRY_LIMIT;
    return STEP_FAILED;
  }
  return got;
}

/* Link the entry as the newest of its key. */
static inline void link_entry(putting *p, vsi_entry *newest) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  vsi_entry *entry = p->entry;
  entry->handle = new_handle(p);
  if (__builtin_expect(newest != NULL, 0) && (newest->touched & 1)) vsi_visit_settle(table, shard, newest, p->now);
  vsi_visit_file_last(table, shard, entry, p->now);
  if (__builtin_expect(table->extra_bytes != 0, 0)) vsi_visit_add_extra(table, shard, entry, p->share);
  if (__builtin_expect(p->room.node != NULL, 0)) vsi_multivalues_add(&shard->multivalues, newest, entry, &p->room);
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

/* Return the value of a key that is to be removed next, never `stays`. The function returns the oldest ended value
 * among the VSI_KEY_LOOKS oldest values of the key, or the oldest value if none of them has ended. NULL: the key has no
 * other value. */
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

/* Remove values of the key until `keep` are left, but never `stays`. count: number of values that the key has now.
 * needs_place: the place of the first removed value goes to the new entry. */
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

/* Put a value that is there already: mark it as used, and under REPLACE remove the other values. */
VSI_SELDOM static step refresh(putting *p, vsi_entry *newest, vsi_entry *same, size_t count,
                               vestry_put_result *result) {
  vsi_visit_use_one(p->table, p->shard, newest, same, p->now);
  if (p->policy == VESTRY_KEEP_REPLACE) displace(p, same, count, 1, false);
  result->handle = same->handle;
  result->displaced_count = 0;
  result->refreshed = true;
  return STEP_DONE;
}

/* Conclude a put whose entry, with this handle, is linked. */
static inline step conclude(const putting *p, vestry_handle handle, vestry_put_result *result) {
  vsi_table *table = p->table;
  result->handle = handle;
  if (table->clock.expires && vsi_table_next_deadline_ns(table) == UINT64_MAX) vsi_table_expect(table, p->now);
  return STEP_DONE;
}

/* Examine the shard once. */
static inline step visit(putting *p, vestry_put_result *result, vestry_err *ret_error) {
  vsi_table *table = p->table;
  *ret_error = VESTRY_CLOSED;
  if (__builtin_expect(p->shard->closed, 0)) return STEP_FAILED;
  vsi_entry *newest = vsi_visit_find(table, p->shard, p->key, p->hash, p->now, &p->leaving);
  vsi_entry *same = vsi_multivalues_find(&p->shard->multivalues, newest, p->value);
  size_t count = vsi_multivalues_count(&p->shard->multivalues, newest);
  if (__builtin_expect(same != NULL, 0)) return refresh(p, newest, same, count, result);
  *ret_error = VESTRY_EXISTS;
  if (newest && (p->policy == VESTRY_KEEP_REUSE || p->policy == VESTRY_KEEP_REJECT)) return STEP_FAILED;
  const vsi_entry *reused = p->may_reuse && !newest ? reuse_oldest(p) : NULL;
  if (__builtin_expect(reused != NULL, 1)) return conclude(p, reused->handle, result);
  p->may_reuse = false;
  bool joins = p->policy == VESTRY_KEEP_MANY, grows = !newest || (joins && count < p->many_count);
  if (__builtin_expect(joins && newest != NULL, 0) &&
      vsi_multivalues_prepare(&p->shard->multivalues, table->host, newest, &p->room)) {
    *ret_error = VESTRY_NO_MEMORY;
    return STEP_FAILED;
  }
  step got = get_room(p, !newest, grows, ret_error);
  if (__builtin_expect(got != STEP_DONE, 0)) return got;
  if (newest) { /* a victim may have been a value of this key */
    newest = vsi_index_find(&p->shard->index, p->key, p->hash);
    count = vsi_multivalues_count(&p->shard->multivalues, newest);
  }
  vsi_entry *entry = p->entry;
  link_entry(p, newest);
  const vestry_handle handle = entry->handle;
  if (newest) displace(p, entry, count + 1, joins ? p->many_count : 1, !p->has_place);
  p->has_place = false; /* the entry has it now */
  return conclude(p, handle, result);
}

/* Begin to fetch an entry with a key of up to eight words; or the bucket and the value of an entry. */
static inline void fetch_entry(const vsi_entry *entry) {
  vsi_prefetch_to_write(entry);
  vsi_prefetch_to_write((const char *)entry + sizeof *entry - 8);
  vsi_prefetch_to_write((const char *)entry + sizeof *entry + 40);
}
static inline void fetch_related(const vsi_shard *shard, const vsi_entry *entry) {
  vsi_prefetch_to_write(&vsi_index_buckets(&shard->index)[vsi_index_home(&shard->index, entry->handle)]);
  vsi_prefetch_to_write(entry->value);
}

/* Fetch memory for evictions, because the oldest entry will probably be evicted. It is fetched for writing before it is
 * read: the read alone would fetch a shared copy of a line that another processor has written, and the write would
 * fetch the line again. The later entries are needed by the next puts. */
static inline void fetch_ahead(const vsi_shard *shard) {
  const vsi_entry *first = shard->used.first;
  if (!first) return;
  fetch_entry(first);
  fetch_related(shard, first);
  const vsi_entry *second = vsi_entry_of_used(first->used.next);
  fetch_related(shard, second);
  fetch_entry(vsi_entry_of_used(second->used.next));
}

/* End the put after the last visit, with the lock still held. */
static inline void end_put(putting *p) {
  if (__builtin_expect(p->share != NULL, 0)) vsi_scopes_leave(&p->shard->scopes, p->table->host, p->share);
  vsi_table_release(p->table, p->shard, &p->leaving);
  if (__builtin_expect(p->has_place && p->table->max_count, 0))
    atomic_fetch_sub_explicit(&p->table->count, 1, memory_order_relaxed);
  if (__builtin_expect(p->entry != NULL, 0)) vsi_entry_destroy(p->table->host, p->table->extra_bytes, p->entry);
  if (__builtin_expect(p->room.node || p->room.multivalue, 0)) vsi_multivalue_room_free(&p->room, p->table->host);
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
  p.may_reuse = table->evicts && !table->extra_bytes && is_full(table) &&
                vsi_scoped_key_bytes(key) <= VSI_PARTED_WORDS * sizeof(uint64_t);
  p.entry = NULL;
  p.share = NULL;
  p.room = (vsi_multivalue_room){NULL, NULL};
  if (!p.may_reuse && !(p.entry = vsi_entry_create(table->host, table->extra_bytes, key, value)))
    return VESTRY_NO_MEMORY;
  vsi_leaving_init(&p.leaving);
  p.now = vsi_shard_enter(p.shard, vsi_clock_now(&table->clock));
  if (p.may_reuse) fetch_ahead(p.shard);
  vestry_err error;
  step at;
  do at = visit(&p, ret_result, &error);
  while (__builtin_expect(at == STEP_AGAIN, 0));
  ret_result->displaced_count = p.leaving.displaced_count;
  end_put(&p);
  return at == STEP_DONE ? VESTRY_OK : error;
}
