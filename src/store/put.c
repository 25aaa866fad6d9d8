/* SPDX-License-Identifier: MIT */
/* essay: one limit for many shards, and reuse of the victim's place */
/* Putting a value into a table.
 *
 * Words:
 * - A tick is the store's unit of time (clock.h). An entry is due when its idle time or its lifetime is over (table.h).
 *   A value has ended when it is of no use any more although it is still stored: for example, a closed connection.
 * - An entry's number names its place in the arrays of its shard (shard.h). A handle is never used again: its upper
 *   bits are from the hash of the key, and its lower bits count the puts of the shard.
 * - Each removed entry leaves with a cause (vestry/cause.h), for example SIZE: it was evicted to make room for another.
 *   The purge hook is a function of the application that is called for each removed value. A visit collects removed
 *   entries, whose callbacks run after the unlock (table.h).
 * - The policy (REPLACE, REUSE, REJECT, MANY) determines what the put does if its key has values already
 *   (vestry/store.h).
 * - A scope is the owner of a set of keys, such as a session. In a store with a limit per scope (max_per_scope), a
 *   share counts the values of one scope (extra.h).
 *
 * The limit (max_count) holds for all shards together: `count` is the number of places taken. A put that adds a value
 * first takes a place. If none is free, the put evicts a victim and takes over its place. So the limit is never
 * exceeded, and no entry is evicted for it while there is room. A put into a full store leaves `count` alone, so puts
 * to different shards do not contend for its cache line.
 *
 * The victim. Each shard publishes a tick that none of its entries was last used before (`oldest` in table.h). The
 * victim is the least recently used entry of the shard with the earliest tick. If several shards have the earliest
 * tick, the put prefers its own, because then one lock is enough, and the new entry takes the victim's number, whose
 * cache lines the processor has already. Otherwise the put releases its own lock, evicts the victim under the other
 * lock, keeps the place, and looks at its own shard again. It never holds two locks at once, and no callback runs
 * before the new entry is linked. (Otherwise a purge hook could itself call put while the outer put holds a place
 * and has no entry yet. If every place were held in this way, no entry would be left to evict, and all puts would
 * wait for each other.)
 *
 * Of the data that all shards share, a put into a full store writes only ticks in `oldest`, and `floor`, a lower
 * bound of all ticks there. A shard's tick in `oldest` may be too early, because uses do not write it. So an entry
 * is evicted only if its own tick is not later than `floor`. (Two threads may still evict in another order than that
 * of ticks, if one of them has read `floor` before the other raises it.)
 *
 * A put gets everything that it may need before it evicts anything: memory for a long key, a number for its entry,
 * the scope's share. A victim in its own shard gives it a number. So if memory runs out, the put fails and no entry
 * has been evicted.
 *
 *   examine ─┬─> the policy refuses the put, or the value is there already ──────────────> end
 *     ^      └─> share of the scope, place, number (get_room) ──┬─> remove surplus values of the key, ──> end
 *     │                                                         │   and link the new entry
 *     └────── AGAIN: the shard must be examined again <─────────┘ */
#include "store/table.h"

#include <sched.h>

/* If a key or a scope already has its maximum number of values, the put removes one of them (first_to_go). It prefers a
 * value that has ended, but examines only this many for that. */
enum { LOOKS = 64 };

/* A value, its key, and the struct of the result. */
typedef struct put_what {
  const vestry_scoped_key *key;
  uint64_t hash;
  void *value;
  vestry_keep_policy policy;
  size_t many_count;
  vestry_put_result *result;
} put_what;

typedef struct putting {
  vsi_store_visit visit;
  put_what is;
  uint32_t number;             /* claimed for the entry; 0: not yet */
  bool has_place;              /* one of max_count is taken for the entry */
  vestry_scoped_key *long_key; /* owned until the entry is linked; NULL: it is short */
  vsi_scope_share *share;      /* entered, in a store with a limit per scope; NULL: not yet */
} putting;

/* Of a step: the shard must be examined again. */
#define AGAIN VESTRY_BUSY

/* ------------------------------------------------------------------------------------------------ the number ---- */

/* Claim a number. OK | NO_MEMORY. */
static inline vestry_err claim(putting *p) {
  vsi_shard *shard = p->visit.shard;
  if (p->number) return VESTRY_OK;
  if (!shard->free && shard->fresh == shard->in->room && vsi_visit_grow(&p->visit)) return VESTRY_NO_MEMORY;
  p->number = shard->free ? shard->free : shard->fresh++;
  if (shard->free) shard->free = shard->in->cold[p->number].in.next;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- the bound ---- */

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
 * whose handle is a multiple of 16. A store without a clock records nothing. */
static inline void note_eviction(const vsi_table *table, const vsi_arrays *in, uint32_t number, uint32_t now) {
  if (__builtin_expect(in->cold[number].handle % 16 != 0, 1) || !table->clock.now_ns) return;
  uint32_t unused = vsi_tick_age(now, vsi_entry_tick(vsi_entry_at(in, number)));
  vsi_histogram_add(&table->exit->evictions, &vsi_ages, table->clock.tick_ns * unused / 1000000);
}

/* Evict an entry and keep its place. visit: of the entry's shard. */
static void evict(putting *p, vsi_store_visit *visit, uint32_t number) {
  vestry_cause due = vsi_visit_expire(visit, number);
  if (!due) note_eviction(visit->table, visit->shard->in, number, visit->now);
  vsi_visit_take(visit, number, due ? due : VESTRY_CAUSE_SIZE, true);
  p->is.result->displaced_count += !due;
  p->has_place = true;
}

/* Evict the least recently used entry of a shard, if it was not used later than `floor`. Returns whether it was. */
static bool evict_first(putting *p, vsi_store_visit *visit) {
  uint32_t number = vsi_order_victim(visit->shard, visit->now);
  uint32_t floor = atomic_load_explicit(&visit->table->floor, memory_order_relaxed);
  bool is_first = number && vsi_tick_age(visit->now, visit->shard->last) >= vsi_tick_age(visit->now, floor);
  if (is_first)
    evict(p, visit, number);
  else
    vsi_visit_publish(visit->table, visit->shard);
  return is_first;
}

/* Evict the oldest entry of another shard. The lock of the put's own shard is released meanwhile. */
VSI_SELDOM static vestry_err evict_elsewhere(putting *p, vsi_shard *from) {
  vsi_store_visit *own = &p->visit, other;
  own->shard->busy++;
  vsi_spin_lock_give(&own->shard->lock);
  if (from) {
    vsi_visit_begin(&other, own->table, from, own->now);
    if (evict_first(p, &other)) own->left[own->left_count++] = other.left[0];
    vsi_spin_lock_give(&from->lock);
  } else {
    sched_yield(); /* all places are held by puts that have not linked their entries yet */
  }
  own->now = vsi_shard_enter(own->table, own->shard, own->now);
  own->shard->busy--;
  return AGAIN;
}

/* Get a place, and a number with it. */
static vestry_err get_place(putting *p) {
  vsi_table *table = p->visit.table;
  vsi_shard *own = p->visit.shard;
  if (!table->max_count || p->has_place || (p->has_place = take_place(table))) return claim(p);
  if (!table->evicts) return VESTRY_FULL;
  vsi_shard *from = oldest_shard(table, own, p->visit.now);
  if (from == own) return evict_first(p, &p->visit) ? claim(p) : AGAIN;
  vestry_err error = claim(p);
  return error ? error : evict_elsewhere(p, from);
}

/* ----------------------------------------------------------------------------------- limits per key and scope ---- */

/* Return the value that is to be removed first, never the one that is being put: of the values of a key, the oldest
 * first, or of a scope (share), the least recently used first. newest: of the key; not with a share. That is the first
 * one that has ended, among as many as LOOKS; if none has, the very first. 0: there is none. */
static uint32_t first_to_go(const putting *p, uint32_t newest, const vsi_scope_share *share) {
  const vsi_shard *shard = p->visit.shard;
  uint32_t first = 0, number = share ? share->used.next : vsi_many_next(shard, newest, 0);
  for (int looked = 0; number && looked < LOOKS;) {
    void *value = vsi_entry_at(shard->in, number)->value;
    const bool may_go = value != p->is.value;
    if (may_go && p->visit.table->exit->value.has_ended(value)) return number;
    if (may_go && !first) first = number;
    looked += may_go;
    number = share ? vsi_extra_at(shard, number)->in[VSI_IN_SCOPE].next : vsi_many_next(shard, newest, number);
  }
  return first;
}

/* Get room in the scope: if the scope is full, evict another entry of it, whose place goes to the new entry. */
VSI_SELDOM static vestry_err get_share(putting *p, bool grows) {
  vsi_table *table = p->visit.table;
  vsi_shard *shard = p->visit.shard;
  if (!p->share) p->share = vsi_scopes_enter(shard, table->host, table->placing.hash->siphash, &p->is.key->scope);
  if (!p->share) return VESTRY_NO_MEMORY;
  if (!grows || !table->evicts || p->share->count < table->max_per_scope) return VESTRY_OK;
  uint32_t victim = first_to_go(p, 0, p->share);
  if (!victim) return VESTRY_LIMIT; /* all entries of the scope hold the value that is put, under other keys */
  /* The new entry gets the victim's place instead of the one that it has taken. */
  if (p->has_place) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  evict(p, &p->visit, victim);
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------------- the put ---- */

/* Get a share of the scope, a place and a number. grows: the key will have one value more; else the put displaces one,
 * and takes its place, and its number unless too many entries leave. */
static vestry_err get_room(putting *p, bool grows) {
  const size_t max_per_scope = p->visit.table->max_per_scope;
  vestry_err error = max_per_scope ? get_share(p, grows) : VESTRY_OK;
  if (error) return error;
  if (!grows) return p->visit.left_count < VSI_LEAVING_COPIES ? VESTRY_OK : claim(p);
  error = get_place(p);
  return !error && max_per_scope && p->share->count >= max_per_scope ? VESTRY_LIMIT : error;
}

/* Write an entry, whose key may be long. Returns its handle. */
static inline vestry_handle write_entry(vsi_shard *shard, const vsi_arrays *in, uint32_t number, uint32_t now,
                                        const put_what *is, const vestry_scoped_key *long_key) {
  vsi_entry *entry = vsi_entry_at(in, number);
  const vestry_handle handle = (is->hash & ~VSI_HANDLE_NUMBER_MASK) | (++shard->puts & VSI_HANDLE_NUMBER_MASK);
  entry->value = is->value;
  entry->use = now << 1;
  entry->lens = vsi_scoped_key_lens(is->key);
  if (long_key)
    entry->words[0] = (uintptr_t)long_key;
  else
    vsi_words_copy(entry->words, vsi_scoped_key_words(is->key), vsi_scoped_key_bytes(is->key));
  return in->cold[number].handle = handle;
}

/* Link the entry as the newest of its key. newest: the newest one so far; 0: none. Returns its handle. */
static vestry_handle link_entry(putting *p, uint32_t newest) {
  vsi_table *table = p->visit.table;
  vsi_shard *shard = p->visit.shard;
  const uint32_t number = p->number, now = p->visit.now;
  const vestry_handle handle = write_entry(shard, shard->in, number, now, &p->is, p->long_key);
  if (newest) { /* its last use must come before the new entry's, even in one tick */
    vsi_entry *before = vsi_entry_at(shard->in, newest);
    before->use &= ~1u;
    if (vsi_entry_tick(before) == now && !vsi_many_has(shard, newest)) vsi_order_file_again(shard, newest, now);
  }
  vsi_order_file(shard, shard->in->cold, number, now);
  if (shard->live++ == 0) vsi_visit_publish(table, shard);
  if (table->has_extra) vsi_extra_add(shard, number, p->share);
  if (shard->has_extra) vsi_many_begin(shard, number);
  if (newest)
    vsi_many_join(shard, &table->placing, newest, number);
  else
    vsi_index_add(shard->in, vsi_index_home(shard->in, &table->placing, p->is.hash), vsi_index_tag(p->is.hash), number);
  p->long_key = NULL;
  p->number = 0;
  p->has_place = false; /* the entry has it now */
  return handle;
}

static inline uint32_t find_newest(const putting *p) {
  return vsi_index_find(p->visit.shard->in, &p->visit.table->placing, p->is.key, p->is.hash);
}

/* Remove values of the key until `keep` are left, but never `stays`. The place of the first one goes to the new entry,
 * unless that has one. */
VSI_SELDOM static void displace(putting *p, uint32_t stays, size_t keep) {
  const vsi_shard *shard = p->visit.shard;
  bool needs_place = !stays && !p->has_place;
  for (uint32_t newest; (newest = find_newest(p)) && vsi_many_count(shard, newest) > keep;) {
    uint32_t number = keep > 0 && !stays ? first_to_go(p, newest, NULL) : vsi_many_next(shard, newest, 0);
    if (number == stays) number = vsi_many_next(shard, newest, number);
    vsi_visit_take(&p->visit, number, VESTRY_CAUSE_REPLACED, needs_place);
    p->has_place |= needs_place;
    needs_place = false;
    p->is.result->displaced_count++;
  }
}

/* Put a value that is there already: mark it as used, and under REPLACE remove the other values. */
VSI_SELDOM static vestry_err refresh(putting *p, uint32_t newest, uint32_t same) {
  if (vsi_many_has(p->visit.shard, newest))
    vsi_visit_use_one(&p->visit, newest, same);
  else
    vsi_visit_use(&p->visit, same);
  if (p->is.policy == VESTRY_KEEP_REPLACE) displace(p, same, 1);
  p->is.result->handle = p->visit.shard->in->cold[same].handle;
  p->is.result->refreshed = true;
  return VESTRY_OK;
}

/* Examine the shard once. */
static vestry_err examine(putting *p) {
  const vsi_shard *shard = p->visit.shard;
  size_t keep = p->is.policy == VESTRY_KEEP_MANY ? p->is.many_count - 1 : 0;
  if (atomic_load_explicit(&p->visit.table->closed, memory_order_relaxed)) return VESTRY_CLOSED;
  uint32_t newest = vsi_visit_find(&p->visit, p->is.key, p->is.hash);
  uint32_t same = vsi_many_find(shard, p->is.key, newest, p->is.value);
  if (same) return refresh(p, newest, same);
  if (newest && (p->is.policy == VESTRY_KEEP_REUSE || p->is.policy == VESTRY_KEEP_REJECT)) return VESTRY_EXISTS;
  if (newest && keep && !shard->has_extra && vsi_visit_resize(&p->visit, vsi_index_count(shard->in), true))
    return VESTRY_NO_MEMORY;
  vestry_err error = get_room(p, vsi_many_count(shard, newest) <= keep);
  if (error) return error;
  if (newest) {
    displace(p, 0, keep);
    newest = find_newest(p); /* the victim of the put may have been a value of this key, too */
    (void)claim(p);          /* the number of the displaced value */
  }
  p->is.result->handle = link_entry(p, newest);
  return VESTRY_OK;
}

/* Begin to fetch the lines that this put and the next ones into the shard write when they evict: of the first two
 * victims the values and the groups, and the entries of the first and of the third one. With 10,000
 * entries and two threads a put takes 405 ns of processor time, 470 without any, and 530 without those of the first
 * victim, which other threads have written. Lines are fetched for writing before they are read: the read
 * alone would fetch a shared copy of a line that another processor has written, and the write would fetch it again. */
static inline void fetch_ahead(const vsi_table *table, const vsi_arrays *in) {
  const vsi_cold *cold = in->cold;
  uint32_t first = cold[0].in.next, second = cold[first].in.next, third = cold[second].in.next;
  if (!first || !second || !third) return;
  vsi_prefetch_to_write(vsi_entry_at(in, first));
  vsi_index_fetch(in, &table->placing, cold[first].handle, true);
  vsi_prefetch_to_write(vsi_entry_at(in, first)->value);
  vsi_prefetch_to_write(vsi_entry_at(in, second)->value);
  vsi_index_fetch(in, &table->placing, cold[second].handle, true);
  vsi_prefetch_to_write(vsi_entry_at(in, third));
  vsi_prefetch_to_write(&cold[third]);
}

/* Put a new key in the place and the number of the next victim, if the store is full, and that is in the put's own
 * shard, is the only value of its key, and is not due. This is the usual put into a full store; put_any does the same
 * in twice the time. The lock is held. The arrays are read into a copy that no other function sees, because as far as
 * the compiler knows, the write of a tag may change all that others see. ret_left: the victim. Returns the handle; 0:
 * the case is another one. */
static inline __attribute__((always_inline)) vestry_handle
replace_victim(vsi_table *table, vsi_shard *shard, uint32_t now, const put_what *is, vsi_left *ret_left) {
  const vsi_arrays *from = shard->in, *in = &(vsi_arrays){vsi_index_groups(from), vsi_index_count(from), from->room,
                                                          from->entries, from->cold};
  fetch_ahead(table, in);
  if (atomic_load_explicit(&table->closed, memory_order_relaxed) ||
      atomic_load_explicit(&table->count, memory_order_relaxed) < table->max_count ||
      vsi_index_find(in, &table->placing, is->key, is->hash))
    return 0;
  const uint32_t number = vsi_order_victim(shard, now);
  if (!number || shard->last != atomic_load_explicit(&table->floor, memory_order_relaxed) ||
      vsi_many_has(shard, number) || vsi_shard_due(shard, &table->clock, now, number))
    return 0;
  note_eviction(table, in, number, now);
  vsi_index_remove(in, &table->placing, number);
  vsi_order_take(in->cold, number);
  vsi_left_copy(ret_left, in, number, VESTRY_CAUSE_SIZE);
  const vestry_handle handle = write_entry(shard, in, number, now, is, NULL);
  vsi_order_file(shard, in->cold, number, now);
  if (__builtin_expect(shard->has_extra, 0)) vsi_many_begin(shard, number);
  vsi_index_add(in, vsi_index_home(in, &table->placing, is->hash), vsi_index_tag(is->hash), number);
  if (__builtin_expect(vsi_order_is_empty(in->cold, 0), 0)) vsi_visit_publish(table, shard);
  return handle;
}

/* Put in any case. The lock is held, and is given back. long_key: owned. */
static __attribute__((noinline)) vestry_err put_any(vsi_table *table, vsi_shard *shard, uint32_t now,
                                                    const put_what *is, vestry_scoped_key *long_key) {
  putting p; /* the copies of its visit are not initialized */
  p.is = *is;
  p.number = 0;
  p.has_place = false;
  p.long_key = long_key;
  p.share = NULL;
  vsi_visit_init(&p.visit, table, shard);
  p.visit.now = now;
  vestry_err error = AGAIN;
  while (error == AGAIN) error = examine(&p);
  if (p.share) vsi_scopes_leave(shard, table->host, p.share);
  if (p.number) vsi_number_free(shard, p.number);
  vsi_visit_end(&p.visit);
  if (p.has_place && table->max_count) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  vsi_free(table->host, p.long_key);
  return error;
}

vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result) {
  vsi_table *table = self;
  const put_what is = {key, vsi_table_hash(table, key), value, policy, many_count, ret_result};
  const uint32_t shard_number = vsi_table_shard_number(table, is.hash);
  vsi_shard *shard = &table->shards[shard_number];
  const vsi_arrays *in = &table->arrays[shard_number];
  vestry_scoped_key *long_key = NULL;
  vsi_left left;
  vsi_prefetch_to_write(&shard->lock);
  vsi_index_fetch(in, &table->placing, is.hash, true);
  if (table->evicts) vsi_prefetch_to_write(vsi_index_groups(in) + vsi_index_count(in)); /* the heads of the lists */
  if (__builtin_expect(vsi_lens_words(vsi_scoped_key_lens(key)) > VSI_ENTRY_WORDS, 0) &&
      !(long_key = vsi_scoped_key_keep(table->host, key, NULL, 0)))
    return VESTRY_NO_MEMORY;
  const uint32_t now = vsi_shard_enter(table, shard, vsi_clock_now(&table->clock));
  vestry_err error = VESTRY_OK;
  const bool may_replace = table->evicts && !table->has_extra && !long_key;
  if (__builtin_expect(may_replace && (ret_result->handle = replace_victim(table, shard, now, &is, &left)) != 0, 1)) {
    ret_result->displaced_count++;
    vsi_spin_lock_give(&shard->lock);
    vsi_left_run(table, &left);
  } else {
    error = put_any(table, shard, now, &is, long_key);
  }
  if (!error && table->clock.sure_ticks != UINT32_MAX && vsi_table_next_deadline_ns(table) == UINT64_MAX)
    vsi_table_expect(table, now);
  return error;
}
