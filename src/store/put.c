/* Putting a value into a table. */
#include <sched.h>
#include <string.h>

#include "base/memory.h"
#include "store/find.h"
#include "store/table.h"

/* A put is one visit to the key's shard, when all it needs is there. What it may need from elsewhere — a place, from
 * another shard's victim; a share of its scope, from the scope's least recently used — it gets with the shard's lock
 * released, keeps, and looks at the shard anew. What it takes first (memory for the key, a slot, room in the index and
 * in the scope's record), so that nothing has left when memory runs out, it gives back if in the end it is not needed.
  */

typedef struct putting {
  vsi_table *table;
  vsi_shard *shard;
  const vestry_scoped_key *key;
  vsi_probe probe;
  void *value;
  vestry_put_policy policy;
  size_t many_count;
  uint32_t now;
  vsi_outside *outside; /* ours until the slot has it */
  vsi_slot *slot;       /* TAKEN, ours until it is linked */
  bool has_place, has_share, has_pin;
  size_t displaced_count;
  vsi_leaving leaving;
} putting;

typedef enum step { STEP_DONE, STEP_AGAIN, STEP_FAILED } step;

static vestry_handle handle_for_scopes(const void *ctx, const vsi_slot *slot) {
  const vsi_table *table = ctx;
  return vsi_table_handle(table, &table->shards[slot->hash & (table->shards_count - 1)], slot);
}

/* ------------------------------------------------------------------------------------------------- the bound ---- */

/* relaxed all through: the number alone matters, entries travel under the shards' locks */
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
  uint32_t best = mine->number, best_age = 0;
  bool any = false;
  uint32_t tick = atomic_load_explicit(&table->oldest[best], memory_order_relaxed);
  /* Nothing is older than this tick, so a shard that has it need not look around. */
  if (tick != VSI_TICK_NONE && tick == atomic_load_explicit(&table->floor, memory_order_relaxed)) return mine;
  if (tick != VSI_TICK_NONE) {
    any = true;
    best_age = vsi_tick_age(now, tick);
  }
  for (uint32_t i = 0; i < table->shards_count; i++) {
    tick = atomic_load_explicit(&table->oldest[i], memory_order_relaxed);
    if (tick == VSI_TICK_NONE) continue;
    uint32_t age = vsi_tick_age(now, tick);
    if (any && age <= best_age) continue;
    any = true;
    best = i;
    best_age = age;
  }
  if (any)
    atomic_store_explicit(&table->floor, atomic_load_explicit(&table->oldest[best], memory_order_relaxed),
                          memory_order_relaxed);
  return any ? &table->shards[best] : NULL;
}

/* Take a shard's oldest out, keeping its place. Those that were used since they were filed are filed anew; false: after
 * that another shard's oldest is older, or there is none here. Under the shard's lock. */
static bool evict_from(putting *p, vsi_shard *shard) {
  vsi_table *table = p->table;
  for (size_t tries = shard->ages.count + 1; tries; tries--) {
    uint32_t tick;
    vsi_slot *slot = vsi_ages_oldest(&shard->ages, &shard->slab, &tick);
    if (!slot) return false;
    vestry_cause due = vsi_table_due(table, shard, slot, p->now);
    uint32_t touch = atomic_load_explicit(&slot->touch, memory_order_relaxed);
    if (due || !(touch & 1) || tries == 1) {
      vsi_shard_take(table, shard, slot, due ? due : VESTRY_CAUSE_SIZE, true, false, &p->leaving);
      if (!due) p->displaced_count++; /* what was due has not left because of this put */
      return true;
    }
    vsi_ages_refile(&shard->ages, &shard->slab, slot, p->now);
    vsi_shard_publish(table, shard);
    if (oldest_shard(table, shard, p->now) != shard) return false;
  }
  return false;
}

/* Get a place for p, which holds its shard's lock: from the shard itself, or from another one. */
static step get_place(putting *p) {
  vsi_table *table = p->table;
  if (take_place(table)) {
    p->has_place = true;
    return STEP_DONE;
  }
  if (!table->rules.evicts) return STEP_FAILED;
  vsi_shard *from = oldest_shard(table, p->shard, p->now);
  if (from == p->shard) {
    p->has_place = evict_from(p, from);
    if (p->has_place) return STEP_DONE;
    from = oldest_shard(table, p->shard, p->now);
  }
  /* No share is held over callbacks: a put of theirs into the same scope would wait for it, and so for itself. */
  if (p->has_share) vsi_scopes_cancel(&table->scopes, p->key);
  p->has_share = false;
  vsi_shard_release(table, p->shard, &p->leaving);
  if (from && from != p->shard) {
    vsi_shard_lock(from);
    vsi_shard_settle(table, from, false, &p->leaving);
    p->has_place = evict_from(p, from);
    vsi_shard_release(table, from, &p->leaving);
  } else if (!from) {
    sched_yield(); /* all places are in the hands of puts that run their callbacks */
  }
  vsi_shard_lock(p->shard);
  return STEP_AGAIN;
}

/* Get a share of the scope, of which there are so many. */
static step get_share(putting *p, size_t max, vestry_err *ret_error) {
  vsi_table *table = p->table;
  vestry_handle oldest = 0;
  vestry_err error = vsi_scopes_reserve(&table->scopes, p->key, max, &p->has_pin, &oldest, handle_for_scopes, table);
  if (!error) {
    p->has_share = true;
    return STEP_DONE;
  }
  *ret_error = error;
  if (error != VESTRY_LIMIT || !table->rules.evicts) return STEP_FAILED;
  vsi_shard_release(table, p->shard, &p->leaving);
  if (!oldest)
    sched_yield(); /* all shares are those of puts that are about to enter their slots */
  else if (vsi_table_remove_if(table, oldest, VESTRY_CAUSE_SIZE))
    p->displaced_count++;
  vsi_shard_lock(p->shard);
  return STEP_AGAIN;
}

/* --------------------------------------------------------------------------------------------------- a visit ---- */

static vsi_slot *find(const putting *p) {
  return vsi_buckets_find(&p->shard->buckets, &p->probe);
}

static vsi_slot *next_older(const putting *p, const vsi_slot *slot) {
  uint32_t older = atomic_load_explicit(&slot->older, memory_order_relaxed);
  return older ? vsi_slab_at(&p->shard->slab, older) : NULL;
}

/* What is due of the key leaves. Returns the newest of the rest, or NULL. */
static vsi_slot *without_due(putting *p, vsi_slot *newest) {
  if (!p->table->rules.evicts) return newest;
  bool any = false;
  for (vsi_slot *slot = newest, *older; slot && p->leaving.count + 2 < p->leaving.room; slot = older) {
    older = next_older(p, slot);
    vestry_cause cause = vsi_table_due(p->table, p->shard, slot, p->now);
    if (!cause) continue;
    any = true;
    vsi_shard_take(p->table, p->shard, slot, cause, false, false, &p->leaving);
  }
  return any ? find(p) : newest;
}

static vsi_slot *same_value(const putting *p, vsi_slot *newest) {
  vsi_slot *slot = newest;
  while (slot && slot->value != p->value) slot = next_older(p, slot);
  return slot;
}

/* All of a chain but one leave for REPLACED, the one put longest ago first; there is room. keeps_place: the first's
 * place goes to the new value. */
static void displace_all(putting *p, vsi_slot *newest, const vsi_slot *but, bool unchained, bool keeps_place) {
  vsi_slot *slot = vsi_slab_at(&p->shard->slab, newest->newer), *next;
  for (bool last = false; !last; slot = next) {
    last = slot == newest;
    next = last ? NULL : vsi_slab_at(&p->shard->slab, slot->newer);
    if (slot == but) continue;
    vsi_shard_take(p->table, p->shard, slot, VESTRY_CAUSE_REPLACED, keeps_place, unchained, &p->leaving);
    keeps_place = false;
    p->displaced_count++;
  }
}

static void fill_slot(putting *p, vsi_slot *slot) {
  slot->value = p->value;
  slot->hash = (uint32_t)(p->probe.hash >> 32);
  slot->len = p->probe.slot_len;
  if (slot->len == VSI_SLOT_OUTSIDE)
    memcpy(slot->key, &p->outside, sizeof p->outside);
  else
    memcpy(slot->key, p->probe.words, sizeof slot->key);
  p->outside = NULL;
  atomic_store_explicit(&slot->touch, p->now << 1, memory_order_relaxed);
  /* readers look at it as soon as the slot is linked */
  if (p->table->lifetime_ticks) vsi_slab_extra(&p->shard->slab, slot)->born = p->now;
}

static void file(putting *p, vsi_slot *slot) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  if (shard->ages.at) vsi_ages_file(&shard->ages, &shard->slab, slot, p->now, p->now);
  if (table->lifetime_ticks) {
    vsi_extra *extra = vsi_slab_extra(&shard->slab, slot);
    extra->born_next = 0;
    extra->born_prev = shard->born_last;
    if (shard->born_last)
      vsi_slab_extra(&shard->slab, vsi_slab_at(&shard->slab, shard->born_last))->born_next = slot->number;
    else
      shard->born_first = slot->number;
    shard->born_last = slot->number;
  }
  if (table->rules.max_per_scope) vsi_scopes_enter(&table->scopes, p->key, slot, vsi_slab_extra(&shard->slab, slot));
  shard->put++;
  shard->live++;
}

/* Link the slot, as the key's only one or as the newest of several. */
static void link_slot(putting *p, vsi_slot *slot, vsi_slot *newest, bool joins) {
  vsi_buckets *buckets = &p->shard->buckets;
  uint32_t count = 1;
  if (joins) {
    count = vsi_slot_count(newest) + 1;
    slot->newer = newest->newer; /* the oldest */
    newest->newer = slot->number;
  } else {
    slot->newer = slot->number;
  }
  atomic_store_explicit(&slot->older, joins ? newest->number : 0, memory_order_relaxed);
  slot->state_count = (uint32_t)VSI_SLOT_LIVE | count << 8;
  if (newest)
    vsi_buckets_swap(buckets, newest, slot);
  else
    vsi_buckets_add(buckets, slot, p->probe.hash);
}

/* A place and a share, as far as they are needed. A store that evicts takes the share first, for memory can run out
 * there and nothing may have left then; one that refuses says FULL before LIMIT. */
static step get_room(putting *p, bool grows, vestry_err *ret_error) {
  vsi_table *table = p->table;
  bool needs_place = grows && table->rules.max_count && !p->has_place;
  step got = STEP_DONE;
  *ret_error = VESTRY_FULL;
  if (needs_place && !table->rules.evicts) got = get_place(p);
  if (got == STEP_DONE && table->rules.max_per_scope && !p->has_share)
    got = get_share(p, grows ? table->rules.max_per_scope : SIZE_MAX, ret_error);
  if (got == STEP_DONE && needs_place && table->rules.evicts) got = get_place(p);
  return got;
}

static step visit(putting *p, vestry_put_result *ret_result, vestry_err *ret_error) {
  vsi_table *table = p->table;
  vsi_shard *shard = p->shard;
  if (shard->closed) {
    *ret_error = VESTRY_CLOSED;
    return STEP_FAILED;
  }
  vsi_slot *newest = without_due(p, find(p));
  vsi_slot *same = same_value(p, newest);
  if (newest && !same && (p->policy == VESTRY_PUT_REUSE || p->policy == VESTRY_PUT_REJECT)) {
    *ret_error = VESTRY_EXISTS;
    return STEP_FAILED;
  }
  bool replaces = newest && p->policy == VESTRY_PUT_REPLACE;
  *ret_error = VESTRY_NO_MEMORY;
  if (replaces && vsi_leaving_reserve(&p->leaving, p->leaving.count + vsi_slot_count(newest) + 1)) return STEP_FAILED;
  if (same) {
    if (table->rules.evicts) vsi_slot_use(same, p->now);
    if (replaces) displace_all(p, newest, same, false, false);
    *ret_result = (vestry_put_result){vsi_table_handle(table, shard, same), p->displaced_count, true};
    return STEP_DONE;
  }

  bool joins = newest && !replaces;
  bool grows = !newest || (joins && vsi_slot_count(newest) < p->many_count);
  if (!newest && vsi_buckets_prepare(&shard->buckets, &table->sections)) return STEP_FAILED;
  if (!p->slot) p->slot = vsi_slab_take(&shard->slab);
  if (!p->slot) return STEP_FAILED;
  step got = get_room(p, grows, ret_error);
  if (got != STEP_DONE) return got;
  if (newest && grows) newest = find(p); /* the victim may have been of this very key */
  joins = newest && !replaces;

  vsi_slot *slot = p->slot;
  fill_slot(p, slot);
  link_slot(p, slot, newest, joins);
  if (replaces) displace_all(p, newest, NULL, true, !p->has_place);
  file(p, slot);
  while (joins && vsi_slot_count(slot) > p->many_count && p->leaving.count < p->leaving.room) {
    /* Over by one, unless an earlier put allowed more: then as many go as there is room for. */
    vsi_shard_take(table, shard, vsi_slab_at(&shard->slab, slot->newer), VESTRY_CAUSE_REPLACED, !p->has_place, false,
                   &p->leaving);
    p->has_place = true;
    p->displaced_count++;
  }
  p->slot = NULL;
  p->has_place = p->has_share = p->has_pin = false; /* the slot's now */
  *ret_result = (vestry_put_result){vsi_table_handle(table, shard, slot), p->displaced_count, false};
  return STEP_DONE;
}

/* The most usual put into a full store: a new short key in, the oldest out, one visit to one shard and nothing else to
 * look after. What visit() would do, written out, with all that it would find not to be the case looked at first; if
 * nobody can be looking, the victim's slot is the newcomer's. false: something is otherwise, and nothing has been done.
 * true: done, and the lock released. */
static bool turn_over(vsi_table *table, vsi_shard *shard, const vsi_probe *probe, void *value, uint32_t now,
                      vestry_put_result *ret_result) {
  vsi_buckets *buckets = &shard->buckets;
  vsi_ages *ages = &shard->ages;
  vsi_slab *slab = &shard->slab;
  uint32_t tick = ages->oldest;
  struct vsi_age *age = &ages->at[tick % VSI_AGES];
  if (shard->closed || !vsi_shard_is_settled(table, shard) || !slab->shelf_count || !vsi_buckets_is_calm(buckets) ||
      ages->newest != now || !age->first || tick != atomic_load_explicit(&table->floor, memory_order_relaxed) ||
      atomic_load_explicit(&table->count, memory_order_relaxed) < table->rules.max_count)
    return false;
  vsi_slot *victim = vsi_slab_at(slab, age->first);
  vsi_prefetch_to_write(vsi_slab_at(slab, age->last)); /* what comes from other processors comes while we go on */
  vsi_buckets_prefetch(buckets, victim->hash);
  vsi_prefetch_to_write(victim->value);
  if (vsi_find(buckets, probe) || (atomic_load_explicit(&victim->touch, memory_order_relaxed) & 1) ||
      victim->newer != victim->number || victim->generation >= UINT32_MAX - 1 ||
      vsi_table_due(table, shard, victim, now))
    return false;

  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  vsi_leaving_add(&leaving, victim, vsi_table_handle(table, shard, victim), VESTRY_CAUSE_SIZE);
  vsi_buckets_unlink(buckets, victim); /* and a link below: the count stays */
  vsi_ages_remove(ages, slab, victim);
  vsi_slot *slot = victim;
  if (__builtin_expect(vsi_sections_are_mine(&table->sections), 0)) {
    slot->generation++;
  } else {
    leaving.taken = victim->number;
    victim->state_count = VSI_SLOT_LEAVING;
    victim->next = 0;
    vsi_shard_part(table, shard, &leaving);
    slot = vsi_slab_take(slab);
  }
  slot->value = value;
  slot->hash = (uint32_t)(probe->hash >> 32);
  slot->len = probe->slot_len;
  memcpy(slot->key, probe->words, sizeof slot->key);
  atomic_store_explicit(&slot->touch, now << 1, memory_order_relaxed);
  atomic_store_explicit(&slot->older, 0, memory_order_relaxed);
  slot->newer = slot->number;
  slot->state_count = (uint32_t)VSI_SLOT_LIVE | 1 << 8;
  vsi_buckets_link(buckets, slot, probe->hash);
  vsi_ages_file(ages, slab, slot, now, now);
  shard->turned_over++;
  *ret_result = (vestry_put_result){vsi_table_handle(table, shard, slot), 1, false};
  if (__builtin_expect(!age->first, 0)) vsi_shard_publish(table, shard);
  vsi_shard_unlock(shard);
  vsi_leaving_run(&leaving, table->exit);
  if (__builtin_expect(leaving.counted, 0)) vsi_shard_uncount(shard);
  return true;
}

/* Every other put. Under the lock, which it releases. */
VSI_SELDOM static vestry_err put_slowly(vsi_table *table, vsi_shard *shard, const vsi_probe *probe,
                                        const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                                        size_t many_count, uint32_t now, vestry_put_result *ret_result) {
  putting p;
  p.table = table;
  p.shard = shard;
  p.key = key;
  p.probe = *probe;
  p.value = value;
  p.policy = policy;
  p.many_count = many_count;
  p.now = now;
  p.outside = NULL;
  p.slot = NULL;
  p.has_place = p.has_share = p.has_pin = false;
  p.displaced_count = 0;
  vsi_leaving_init(&p.leaving, table->host);
  vsi_shard_settle(table, shard, false, &p.leaving);
  vestry_err error = VESTRY_OK;
  step at = STEP_AGAIN;
  if (probe->slot_len == VSI_SLOT_OUTSIDE) {
    p.outside = vsi_alloc(table->host, sizeof *p.outside + probe->len);
    if (p.outside) {
      p.outside->len = (uint32_t)probe->len;
      memcpy(p.outside->bytes, probe->data, probe->len);
    } else {
      error = VESTRY_NO_MEMORY;
      at = STEP_FAILED;
    }
  }
  while (at == STEP_AGAIN) at = visit(&p, ret_result, &error);
  if (p.slot) vsi_slab_give(&shard->slab, p.slot);
  vsi_shard_release(table, shard, &p.leaving);
  if (p.has_place) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  if (p.has_share) vsi_scopes_cancel(&table->scopes, key);
  if (p.has_pin) vsi_scopes_unpin(&table->scopes, key);
  if (p.outside) vsi_free(table->host, p.outside);
  return at == STEP_DONE ? VESTRY_OK : error;
}

vestry_err vsi_table_put_probed(vsi_table *table, const vsi_probe *probe, const vestry_scoped_key *key, void *value,
                                vestry_put_policy policy, size_t many_count, vestry_put_result *ret_result) {
  uint32_t number = vsi_table_shard_number(table, probe);
  vsi_shard *shard = &table->shards[number];
  /* Three lines that another processor may have changed last, asked for at once, and by what nobody changes. */
  vsi_prefetch_to_write(&shard->lock);
  vsi_buckets_prefetch(&shard->buckets, (uint32_t)(probe->hash >> 32));
  uint32_t oldest = atomic_load_explicit(&table->oldest[number], memory_order_relaxed);
  if (table->turns_over) vsi_prefetch_to_write(&table->ages_at[number][oldest % VSI_AGES]);
  uint32_t now = table->rules.evicts ? vsi_table_now(table) : 0;
  vsi_shard_lock(shard);
  if (table->turns_over && probe->slot_len != VSI_SLOT_OUTSIDE &&
      turn_over(table, shard, probe, value, now, ret_result))
    return VESTRY_OK;
  return put_slowly(table, shard, probe, key, value, policy, many_count, now, ret_result);
}

vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                         size_t many_count, vestry_put_result *ret_result) {
  vsi_table *table = self;
  vsi_probe probe;
  vsi_probe_init(&probe, &table->hash, key->data, key->len);
  return vsi_table_put_probed(table, &probe, key, value, policy, many_count, ret_result);
}
