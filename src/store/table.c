/* SPDX-License-Identifier: MIT */
/* The steps of visits that are too long to be inline (table.h explains the words): arrays that grow, keys with several
 * values, entries that have expired, the search by handle, and the callbacks of entries that have left. Then the
 * operations of the built-in stores, except puts, listings and expiry: put.c, listing.c, expiry.c. */
#include "store/table.h"

#include "base/probe.h"
#include "base/thread.h"

/* ---------------------------------------------------------------------------------------------------- arrays ---- */

/* Return the number of bytes of a shard's arrays; and set pointers to their parts, if memory is not NULL. */
static size_t lay_out(char *memory, size_t groups_count, bool has_extra, vsi_arrays *arrays, vsi_extra **extra) {
  const size_t count = groups_count * VSI_GROUP_LOAD;
  const size_t groups_at = count * sizeof(vsi_entry), cold_at = groups_at + groups_count * sizeof(vsi_index_group);
  const size_t extra_at = cold_at + (VSI_HEADS + count) * sizeof(vsi_cold);
  const size_t end = extra_at + (has_extra ? count * sizeof(vsi_extra) : 0);
  if (!memory) return (end + VSI_CACHE_LINE - 1) / VSI_CACHE_LINE * VSI_CACHE_LINE;
  arrays->entries = (vsi_entry *)(void *)memory;
  arrays->cold = (vsi_cold *)(void *)(memory + cold_at);
  arrays->room = (uint32_t)(VSI_HEADS + count);
  *extra = has_extra ? (vsi_extra *)(void *)(memory + extra_at) : NULL;
  atomic_store_explicit(&arrays->groups, (vsi_index_group *)(void *)(memory + groups_at), memory_order_relaxed);
  atomic_store_explicit(&arrays->groups_count, (uint32_t)groups_count, memory_order_relaxed);
  return 0;
}

VSI_SELDOM vestry_err vsi_visit_resize(vsi_store_visit *visit, uint32_t groups_count, bool has_extra) {
  vsi_table *table = visit->table;
  vsi_shard *shard = visit->shard;
  const vsi_arrays in = {atomic_load_explicit(&shard->in->groups, memory_order_relaxed), vsi_index_count(shard->in), 0,
                         shard->in->entries, shard->in->cold};
  const size_t bytes = lay_out(NULL, groups_count, has_extra, NULL, NULL), used = shard->fresh - VSI_HEADS;
  const vsi_extra *extra = shard->extra;
  void *memory = vsi_alloc(table->host, bytes + VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  lay_out(vsi_cache_line_up(memory), groups_count, has_extra, shard->in, &shard->extra);
  memset(vsi_index_groups(shard->in), 0, groups_count * sizeof(vsi_index_group));
  memcpy(shard->in->entries, in.entries, used * sizeof(vsi_entry));
  memcpy(shard->in->cold, in.cold, (VSI_HEADS + used) * sizeof(vsi_cold));
  if (extra) memcpy(shard->extra, extra, used * sizeof(vsi_extra));
  shard->has_extra = has_extra;
  if (has_extra) vsi_many_renew(shard, extra != NULL);
  for (uint32_t i = 0; i < vsi_index_count(&in); i++) {
    const vsi_index_group *at = &vsi_index_groups(&in)[i];
    for (unsigned full = ~vsi_group_tagged(at, 0) & VSI_GROUP_MASK; full; full &= full - 1) {
      const unsigned place = (unsigned)__builtin_ctz(full);
      const uint32_t home = vsi_index_home(shard->in, &table->placing, in.cold[at->numbers[place]].handle);
      vsi_index_add(shard->in, home, at->tags[place], at->numbers[place]);
    }
  }
  vsi_free(table->host, shard->memory);
  shard->memory = memory;
  return VESTRY_OK;
}

/* The arrays grow by a quarter, so that few places are unused: an entry is copied four times on average. Those of a
 * bounded store stop at the size that a full store needs, unless more of its keys than expected are in the shard. */
VSI_SELDOM vestry_err vsi_visit_grow(vsi_store_visit *visit) {
  const vsi_table *table = visit->table;
  const vsi_shard *shard = visit->shard;
  const uint32_t count = (shard->in->room - VSI_HEADS) / VSI_GROUP_LOAD, expected = table->groups_expected;
  uint64_t wanted = UINT64_C(1) + count + count / 4;
  if (count < expected && wanted > expected) wanted = expected;
  if (wanted > (UINT32_MAX - VSI_HEADS) / VSI_GROUP_LOAD) return VESTRY_NO_MEMORY;
  return vsi_visit_resize(visit, (uint32_t)wanted, shard->has_extra || table->has_extra);
}

VSI_SELDOM void vsi_table_shrink(vsi_table *table, vsi_shard *shard) {
  if (shard->in->entries && (!shard->memory || shard->busy)) return; /* NULL: the shard is new */
  vsi_free(table->host, shard->memory);
  shard->memory = NULL;
  lay_out(table->empty, 1, false, shard->in, &shard->extra);
  shard->in->room = shard->fresh = VSI_HEADS;
  shard->lists = shard->free = 0;
  shard->has_extra = false;
}

/* ---------------------------------------------------------------------------------------------------- visits ---- */

static void file_again(const vsi_store_visit *visit, uint32_t number, uint32_t tick) {
  vsi_entry_at(visit->shard->in, number)->use = tick << 1;
  vsi_order_file_again(visit->shard, number, tick);
  if (visit->table->max_per_scope) vsi_scopes_use(visit->shard, number);
}

/* Count a use of all values of a key, the oldest first. */
static void use_all(const vsi_store_visit *visit, uint32_t newest) {
  vsi_entry *last = vsi_entry_at(visit->shard->in, newest);
  const bool in_order = last->use == (visit->now << 1 | 1);
  if (in_order && !visit->table->max_per_scope) return;
  for (uint32_t number = 0; (number = vsi_many_next(visit->shard, newest, number));)
    if (in_order)
      vsi_scopes_use(visit->shard, number);
    else
      file_again(visit, number, visit->now);
  last->use |= 1;
}

VSI_SELDOM void vsi_visit_use_one(const vsi_store_visit *visit, uint32_t newest, uint32_t used) {
  vsi_entry_at(visit->shard->in, newest)->use &= ~1u;
  file_again(visit, used, visit->now);
}

VSI_SELDOM vestry_cause vsi_visit_expire(vsi_store_visit *visit, uint32_t number) {
  const vsi_table *table = visit->table;
  vestry_cause cause = vsi_visit_due(visit, number);
  if (cause != VESTRY_CAUSE_IDLE) return cause;
  uint64_t used_ns = table->exit->value.used_ns(vsi_entry_at(visit->shard->in, number)->value);
  uint64_t now_ns = used_ns ? vsi_now_ns(table->host) : 0, used = vsi_clock_ticks(&table->clock, used_ns);
  if (!used_ns || vsi_clock_ticks(&table->clock, now_ns) > used + table->clock.idle_ticks) return cause;
  /* An earlier use than the first tick of the order counts as a use in that tick; a later one than now, as one now. */
  uint32_t tick = (uint32_t)used & VSI_TICK_MASK;
  if (vsi_tick_age(tick, visit->now)) tick = visit->now;
  if (vsi_tick_age(visit->shard->last, tick)) tick = visit->shard->last;
  file_again(visit, number, tick);
  vsi_visit_publish(visit->table, visit->shard);
  return vsi_visit_due(visit, number); /* that use may be too old as well */
}

vestry_cause vsi_shard_cause(const vsi_shard *shard, const vsi_clock *clock, uint32_t now, uint32_t number) {
  const uint32_t unused = vsi_tick_age(now, vsi_entry_tick(vsi_entry_at(shard->in, number)));
  const bool idle = clock->idle_ticks && unused > clock->idle_ticks;
  const uint32_t lived = clock->lifetime_ticks ? vsi_tick_age(now, vsi_extra_at(shard, number)->born) : 0;
  if (lived > clock->lifetime_ticks && !(idle && unused - clock->idle_ticks > lived - clock->lifetime_ticks))
    return VESTRY_CAUSE_EXPIRED;
  return idle ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_NONE;
}

/* Return whether any entry of the shard may be due. */
static bool may_have_due(const vsi_store_visit *visit) {
  const vsi_shard *shard = visit->shard;
  const vsi_clock *clock = &visit->table->clock;
  if (clock->idle_ticks && vsi_tick_age(visit->now, shard->last) > clock->idle_ticks) return true;
  return clock->lifetime_ticks && shard->born.next &&
         vsi_tick_age(visit->now, vsi_extra_at(shard, shard->born.next)->born) > clock->lifetime_ticks;
}

/* Remove values of a key, the oldest first: all with a cause, or, if the cause is NONE, those that are due. Returns the
 * newest of the others; 0: none is left. newest: 0: none. *count: increased by the number of removed values. */
static uint32_t take_values(vsi_store_visit *visit, uint32_t newest, vestry_cause cause, size_t *count) {
  uint32_t left = 0;
  for (uint32_t number = vsi_many_next(visit->shard, newest, 0), next; number; number = next) {
    next = vsi_many_next(visit->shard, newest, number);
    const vestry_cause of = cause ? cause : vsi_visit_expire(visit, number);
    if (of)
      vsi_visit_take(visit, number, of, false);
    else
      left = number;
    *count += of != VESTRY_CAUSE_NONE;
  }
  return left;
}

VSI_SELDOM uint32_t vsi_visit_drop_due(vsi_store_visit *visit, uint32_t newest) {
  size_t count = 0;
  return may_have_due(visit) ? take_values(visit, newest, VESTRY_CAUSE_NONE, &count) : newest;
}

/* Return the entry with that handle; 0: it has left. */
static uint32_t find_handle(const vsi_table *table, const vsi_shard *shard, vestry_handle handle) {
  uint32_t number, at = 0, home = vsi_index_home(shard->in, &table->placing, handle);
  while ((number = vsi_index_next_at_home(shard->in, &table->placing, home, &at)))
    if (shard->in->cold[number].handle == handle) return number;
  return vsi_many_with_handle(shard, handle);
}

/* Copy entries that have kept their numbers. */
static VSI_SELDOM void copy_more(vsi_store_visit *visit) {
  vsi_shard *shard = visit->shard;
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  visit->left_count = 0;
  for (uint32_t number; (number = visit->first_leaving) && visit->left_count < VSI_LEAVING_COPIES; shard->busy--) {
    visit->first_leaving = shard->in->cold[number].in.next;
    vsi_left_copy(&visit->left[visit->left_count++], shard->in, number, vsi_entry_at(shard->in, number)->use);
    vsi_number_free(shard, number);
  }
  if (!shard->live) vsi_table_shrink(visit->table, shard);
  vsi_spin_lock_give(&shard->lock);
}

void vestry_store_leave(vestry_store_exit *exit, const vestry_scoped_key *key, void *value, vestry_handle handle,
                        vestry_cause cause) {
  if (!vsi_store_is_cause(cause)) cause = VESTRY_CAUSE_ERROR; /* a bug of the implementation; the value still leaves */
  /* release: pairs with the acquire in vestry_store_stats_get, so a thread that counts this removal counts its put,
   * too */
  if (exit->counts) atomic_fetch_add_explicit(&exit->removed_by_cause[cause], 1, memory_order_release);
  VSI_PROBE3(leave, key->data + key->key_offset, key->len - key->key_offset, cause);
  if (exit->purge)
    exit->purge(
        &(vestry_purged){key->scope, key->data + key->key_offset, key->len - key->key_offset, value, handle, cause},
        exit->purge_ctx);
  const vsi_store_watch *watch = atomic_load_explicit(&exit->watch, memory_order_acquire);
  if (__builtin_expect(watch != NULL, 0)) watch->left(key, handle, watch->ctx);
  if (exit->value.left) exit->value.left(value, exit->store, handle);
  if (cause != VESTRY_CAUSE_DETACHED) exit->value.close(value, cause);
  exit->value.unref(value);
}

void vsi_visit_run(vsi_store_visit *visit) {
  for (;; copy_more(visit)) {
    for (uint32_t i = 0; i < visit->left_count; i++) vsi_left_run(visit->table, &visit->left[i]);
    if (__builtin_expect(!visit->first_leaving, 1)) return;
  }
}

/* ---------------------------------------------------------------------------------------- create and destroy ---- */

enum { MAX_COUNT_DEFAULT = 10000, IDLE_DEFAULT_MS = 10 * 60 * 1000 };
enum { SHARDS_A_PROCESSOR = 32, PROCESSORS_MOST = 8, SHARDS_MOST = 4096 };
enum { ENTRIES_A_SHARD = 64, ENTRIES_MOST = 8192 };

/* Return the number of bits that select a shard. There are enough shards that threads seldom contend, and that the
 * arrays of a bounded store do not grow for long; but a shard of it has several entries, so that a put finds a victim
 * in its own shard. */
static uint32_t bits_for(size_t max_count) {
  uint64_t wanted = vsi_processors(1, PROCESSORS_MOST) * (uint64_t)SHARDS_A_PROCESSOR;
  if (max_count / ENTRIES_MOST > wanted) wanted = max_count / ENTRIES_MOST;
  if (wanted > SHARDS_MOST) wanted = SHARDS_MOST;
  if (max_count && wanted > max_count / ENTRIES_A_SHARD) wanted = max_count / ENTRIES_A_SHARD;
  uint32_t bits = 0;
  while (UINT64_C(1) << bits < wanted) bits++;
  return bits;
}

/* Return the number of groups of a shard of a full store. The entries of one differ from the average by their standard
 * deviation, which is its square root. */
static uint32_t groups_expected(const vsi_table *table) {
  uint64_t share = table->max_count >> table->placing.shard_bits, root = 1;
  while (root * root < share) root++;
  return (uint32_t)((share + 3 * root) / VSI_GROUP_LOAD + 1);
}

void vsi_table_destroy(void *self) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_free(table->host, table->shards[i].memory);
    vsi_map_finish(&table->shards[i].scopes, table->host);
  }
  vsi_free(table->host, table->memory);
}

vestry_err vsi_table_create(const vestry_store_options *options, vestry_store_exit *exit, void *evicts,
                            void **ret_self) {
  const vestry_host *host = options->host;
  const size_t max_count = options->max_count || !evicts ? options->max_count : MAX_COUNT_DEFAULT;
  const uint32_t bits = bits_for(max_count);
  const size_t count = (size_t)1 << bits, of_shard = sizeof(uint32_t) + sizeof(vsi_shard) + sizeof(vsi_arrays);
  const size_t empty = lay_out(NULL, 1, false, NULL, NULL);
  void *memory = vsi_calloc(host, 1, sizeof(vsi_table) + count * of_shard + empty + (size_t)2 * VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  vsi_table *table = vsi_cache_line_up(memory);
  table->memory = memory;
  table->host = host;
  table->exit = exit;
  table->evicts = evicts;
  table->max_count = max_count;
  table->max_per_scope = options->max_per_scope_count;
  uint64_t idle_ns = vsi_ms_to_ns(options->idle_ms ? options->idle_ms : IDLE_DEFAULT_MS);
  uint64_t lifetime_ns = options->lifetime_ms ? vsi_ms_to_ns(options->lifetime_ms) : UINT64_MAX;
  table->clock.sure_ticks = UINT32_MAX;
  if (evicts) vsi_clock_init(&table->clock, host, idle_ns, lifetime_ns);
  atomic_init(&table->deadline_ns, UINT64_MAX);
  table->placing = (vsi_placing){&exit->hash, bits, table->max_per_scope ? bits : 0};
  table->has_extra = table->clock.lifetime_ticks || table->max_per_scope;
  table->groups_expected = max_count && !table->max_per_scope ? groups_expected(table) : 0;
  table->shards = vsi_cache_line_up(&table->oldest[count]);
  table->empty = (char *)(table->shards + count);
  table->arrays = (vsi_arrays *)(void *)(table->empty + empty);
  for (; table->shards_count < count; table->shards_count++) {
    vsi_shard *shard = &table->shards[table->shards_count];
    shard->number = table->shards_count;
    shard->in = &table->arrays[table->shards_count];
    vsi_table_shrink(table, shard);
    atomic_init(&table->oldest[shard->number], VSI_TICK_NONE);
  }
  for (uint32_t i = 0; i < VSI_HEADS; i++) table->arrays->cold[i].in = (vsi_links){i, i};
  *ret_self = table;
  return VESTRY_OK;
}

void vsi_table_stats(void *self, vestry_store_stats *ret_stats) {
  vsi_table *table = self;
  vestry_store_stats stats = {0};
  for (vsi_shard *shard = table->shards; shard < table->shards + table->shards_count; shard++) {
    vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
    stats.put_count += shard->puts;
    stats.live_count += shard->live;
    stats.hits_count += shard->hits;
    stats.misses_count += shard->misses;
    for (size_t cause = 0; cause < VESTRY_CAUSE_COUNT; cause++)
      stats.removed_by_cause[cause] += shard->removed_by_cause[cause];
    vsi_spin_lock_give(&shard->lock);
  }
  uint64_t for_size = stats.removed_count = stats.put_count - stats.live_count; /* those without another cause */
  for (size_t cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) for_size -= stats.removed_by_cause[cause];
  stats.removed_by_cause[VESTRY_CAUSE_SIZE] = for_size;
  *ret_stats = stats;
}

/* --------------------------------------------------------------------------------------------------- lookups ---- */

/* Look up a key that has several values, or values that are due: remove the due ones, call fn for each of the others,
 * and unlock. A broadcast visits many values that no cache has, so some are fetched side by side: first their entries,
 * whose numbers are in the ring, then what a visit of the value uses (of a connection, the references and its
 * state). */
static VSI_SELDOM vestry_err look_at_all(vsi_table *table, vsi_shard *shard, uint32_t newest, uint32_t now,
                                         vestry_with_fn fn, void *ctx) {
  enum { AT_ONCE = 16 };
  void *values[AT_ONCE];
  vsi_store_visit visit;
  vsi_visit_init(&visit, table, shard);
  visit.now = now;
  newest = vsi_visit_drop_due(&visit, newest);
  *(newest ? &shard->hits : &shard->misses) += 1;
  if (newest && vsi_many_has(shard, newest))
    use_all(&visit, newest);
  else if (newest)
    vsi_visit_use(&visit, newest);
  for (uint32_t number = newest, ahead = newest; number;) {
    size_t count = 0;
    for (size_t i = 0; i < AT_ONCE; i++, ahead = vsi_many_older(shard, ahead))
      __builtin_prefetch(vsi_entry_at(shard->in, ahead));
    do {
      values[count++] = vsi_entry_at(shard->in, number)->value;
      vsi_prefetch_lines_to_write(values[count - 1], 1, 1);
      number = vsi_many_older(shard, number);
      if (number == newest) number = 0;
    } while (number && count < AT_ONCE);
    for (size_t i = 0; i < count; i++) fn(values[i], ctx);
  }
  vsi_visit_end(&visit);
  return newest ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  vsi_table *table = self;
  uint64_t hash = vsi_table_hash(table, key);
  uint32_t shard_number = vsi_table_shard_number(table, hash);
  vsi_shard *shard = &table->shards[shard_number];
  vsi_prefetch_to_write(&shard->lock); /* prefetch this and the key's home while the clock is read */
  vsi_arrays *in = &table->arrays[shard_number];
  vsi_index_fetch(in, &table->placing, hash, false);
  vsi_store_visit visit; /* stays in registers, because no function gets its address */
  vsi_visit_begin(&visit, table, shard, vsi_clock_now(&table->clock));
  uint32_t number = vsi_index_find(in, &table->placing, key, hash);
  if (number && __builtin_expect(vsi_many_has(shard, number) || vsi_visit_due(&visit, number), 0))
    return look_at_all(table, shard, number, visit.now, fn, ctx);
  if (number) {
    shard->hits++;
    vsi_visit_use(&visit, number);
    fn(vsi_entry_at(in, number)->value, ctx);
  } else {
    shard->misses++;
  }
  vsi_spin_lock_give(&shard->lock);
  return number ? VESTRY_OK : VESTRY_NOT_FOUND;
}

bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx) {
  vsi_table *table = self;
  vsi_shard *shard = vsi_table_shard(table, handle);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  uint32_t number = find_handle(table, shard, handle);
  if (number) {
    const vestry_scoped_key key = vsi_entry_key(vsi_entry_at(shard->in, number));
    fn(&key, ctx);
  }
  vsi_spin_lock_give(&shard->lock);
  return number;
}

/* -------------------------------------------------------------------------------------------------- removals ---- */

size_t vsi_table_remove(void *self, const vestry_scoped_key *key, const void *value, vestry_cause cause) {
  vsi_table *table = self;
  uint64_t hash = vsi_table_hash(table, key);
  vsi_store_visit visit;
  vsi_visit_begin(&visit, table, vsi_table_shard(table, hash), vsi_clock_now(&table->clock));
  uint32_t newest = vsi_visit_find(&visit, key, hash);
  uint32_t only = value ? vsi_many_find(visit.shard, key, newest, value) : 0;
  size_t count = only != 0;
  if (only) vsi_visit_take(&visit, only, cause, false);
  if (!value) take_values(&visit, newest, cause, &count);
  vsi_visit_end(&visit);
  return count;
}

bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  vsi_table *table = self;
  vestry_cause due = VESTRY_CAUSE_NONE;
  vsi_store_visit visit;
  vsi_visit_begin(&visit, table, vsi_table_shard(table, handle), vsi_clock_now(&table->clock));
  uint32_t number = find_handle(table, visit.shard, handle);
  if (number) due = vsi_visit_expire(&visit, number);
  if (number) vsi_visit_take(&visit, number, due ? due : cause, false);
  vsi_visit_end(&visit);
  return number && !due;
}

/* Remove the values of a scope, or all values if scope is NULL, from the homes of one shard, from the home of *position
 * on. As for a listing, positions are hashes, which order shards and homes, so that the walk can continue after the
 * arrays were resized. *position: the next one; UINT64_MAX: the walk is over. Returns the number of removed values. */
static size_t clear_some(vsi_table *table, const vestry_scope *scope, vestry_cause cause, uint64_t last,
                         uint64_t *position) {
  vsi_shard *shard = vsi_table_shard(table, *position);
  vsi_store_visit visit;
  size_t count = 0;
  vsi_visit_begin(&visit, table, shard, vsi_clock_now(&table->clock));
  for (int i = 0; i < VSI_HOMES_A_LOCK && visit.left_count < VSI_LEAVING_COPIES; i++) {
    uint32_t home = vsi_index_home(shard->in, &table->placing, *position);
    for (uint32_t at = 0, newest; (newest = vsi_index_next_at_home(shard->in, &table->placing, home, &at));) {
      const vestry_scoped_key key = vsi_entry_key(vsi_entry_at(shard->in, newest));
      if (scope && !vsi_scoped_key_is_of(&key, scope)) continue;
      if (scope) newest = vsi_visit_drop_due(&visit, newest);
      take_values(&visit, newest, cause, &count);
    }
    *position = vsi_index_last_hash(shard->in, &table->placing, *position);
    if (*position >= last) {
      *position = UINT64_MAX;
      break;
    }
    if (vsi_table_shard(table, ++*position) != shard) break;
  }
  vsi_visit_end(&visit);
  return count;
}

size_t vsi_table_clear(void *self, const vestry_scope *scope, vestry_cause cause) {
  vsi_table *table = self;
  const vsi_placing *placing = &table->placing;
  uint64_t position = 0, last = UINT64_MAX;
  if (!scope) {
    atomic_store_explicit(&table->closed, true, memory_order_relaxed);
  } else if (placing->scope_bits) { /* all keys of the scope are in one shard */
    last = vsi_placing_of_scope(placing, scope->data, scope->len) | UINT64_MAX >> placing->scope_bits;
    position = last & ~(UINT64_MAX >> placing->scope_bits);
  }
  size_t count = 0;
  do count += clear_some(table, scope, cause, last, &position);
  while (position != UINT64_MAX);
  return count;
}
