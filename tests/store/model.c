/* SPDX-License-Identifier: MIT */
#include "store/model.h"
#include "store/store.h"

#include <stdlib.h>

enum { SCOPES = 3, VALUES = 40, LIVE_MOST = 4096, HANDLES_MOST = 1 << 16, KEY_BYTES = 128, WINDOW_TICKS = 4096 };
#define MS UINT64_C(1000000)

/* One stay of a value in the store. */
typedef struct stay {
  vestry_handle handle;
  size_t scope, key;
  value *value;
  uint64_t born_ns, used_ns, used_tick;
  uint64_t use_number; /* increases with each use of any stay */
} stay;

typedef struct gone {
  vestry_handle handle;
  value *value;
  vestry_cause cause;
} gone;

struct model {
  world world;
  model_setting setting;
  uint64_t idle_ns, lifetime_ns, tick_ns, origin_ns, late_ns;
  uint64_t (*clock_ns)(void *ctx); /* the clock that uses are recorded with */
  vestry_store_stats stats;        /* the expected counters */
  size_t step;
  uint64_t uses;
  bool failing; /* an allocation may fail in this operation */
  size_t live_count, gone_count, handles_count;
  /* the members up to here are zero at first */
  stay live[LIVE_MOST];                /* in the order of their puts */
  gone gone[LIVE_MOST];                /* in this operation, in order */
  vestry_handle handles[HANDLES_MOST]; /* all handles that ever existed */
};

model_tally model_tallied;
uint64_t model_seed;
static model the_model;

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) fail_msg("seed %llu, step %zu: %s", (unsigned long long)model_seed, m->step, #condition);        \
  } while (0)

/* ------------------------------------------------------------------------------------------------------- keys ---- */

static const char *const scope_names[SCOPES] = {"s", "t", ""};

typedef struct key_space {
  char text[KEY_BYTES];
  vestry_key parts[2];
} key_space;

/* All kinds: a tuple, a string of the length that has fast paths, one too long for a slot, a number. */
static vestry_key make_key(size_t number, key_space *space) {
  switch (number % 4) {
  case 0:
    space->parts[0] = vestry_key_string("k");
    space->parts[1] = vestry_key_integer((int64_t)number);
    return vestry_key_tuple(space->parts, 2);
  case 1: snprintf(space->text, sizeof space->text, "key %08zu", number); return vestry_key_string(space->text);
  case 2:
    snprintf(space->text, sizeof space->text, "a key that does not fit into a slot %zu", number);
    return vestry_key_bytes(space->text, strlen(space->text));
  default: return vestry_key_integer((int64_t)number);
  }
}

static bool is_key(const model *m, const stay *s, const void *encoded, size_t len) {
  key_space space;
  vestry_key key = make_key(s->key, &space);
  unsigned char bytes[2 * KEY_BYTES];
  size_t bytes_len = 0;
  assert_int_equal(vestry_key_encode(&key, bytes, sizeof bytes, &bytes_len), VESTRY_OK);
  return bytes_len == len && memcmp(bytes, encoded, len) == 0;
}

/* --------------------------------------------------------------------------------------------------- the state ---- */

static uint64_t coarse_lag_ns;
/* Behind by a lag that grows and shrinks, as the kernel's does; it never runs back. */
static uint64_t coarse_ns(void *ctx) {
  uint64_t now = atomic_load(&((test_host *)ctx)->now_ns);
  return now - now % coarse_lag_ns;
}

static uint64_t now_ns(const model *m) {
  return atomic_load(&m->world.th->now_ns);
}

static uint64_t now_tick(const model *m) {
  return (m->clock_ns(m->world.th) - m->origin_ns) / m->tick_ns;
}

static void use(model *m, stay *s) {
  s->use_number = ++m->uses;
  s->used_ns = now_ns(m);
  s->used_tick = now_tick(m);
}

static bool lasted(uint64_t now, uint64_t since, uint64_t span, uint64_t late) {
  return span != UINT64_MAX && now - since >= span && now - since - span >= late;
}

/* Whether the stay may leave for this cause now. */
static bool may_leave(const model *m, const stay *s, vestry_cause cause) {
  uint64_t now = now_ns(m);
  return (cause == VESTRY_CAUSE_IDLE && lasted(now, s->used_ns, m->idle_ns, 0)) ||
         (cause == VESTRY_CAUSE_EXPIRED && lasted(now, s->born_ns, m->lifetime_ns, 0));
}

static bool may_be_gone(const model *m, const stay *s) {
  return may_leave(m, s, VESTRY_CAUSE_IDLE) || may_leave(m, s, VESTRY_CAUSE_EXPIRED);
}

/* Whether no operation may find the stay any more. */
static bool must_be_gone(const model *m, const stay *s) {
  uint64_t now = now_ns(m);
  return lasted(now, s->used_ns, m->idle_ns, m->late_ns) || lasted(now, s->born_ns, m->lifetime_ns, m->late_ns);
}

static stay *by_handle(model *m, vestry_handle handle) {
  for (size_t i = 0; i < m->live_count; i++)
    if (m->live[i].handle == handle) return &m->live[i];
  return NULL;
}

static bool is_of(const stay *s, size_t scope, size_t key) {
  return s->scope == scope && s->key == key;
}

/* The stays of a key in the order of their puts. */
static size_t chain_of(model *m, size_t scope, size_t key, stay **chain) {
  size_t count = 0;
  for (size_t i = 0; i < m->live_count; i++)
    if (is_of(&m->live[i], scope, key)) chain[count++] = &m->live[i];
  assert_true(count <= 32);
  return count;
}

static size_t count_in(const model *m, size_t scope) {
  size_t count = 0;
  for (size_t i = 0; i < m->live_count; i++) count += m->live[i].scope == scope;
  return count;
}

static void forget(model *m, stay *s, vestry_cause cause) {
  m->stats.live_count--;
  m->stats.removed_count++;
  m->stats.removed_by_cause[cause]++;
  model_tallied.left[cause]++;
  size_t at = (size_t)(s - m->live);
  memmove(s, s + 1, (m->live_count - at - 1) * sizeof *s);
  m->live_count--;
}

/* ---------------------------------------------------------------------------------------------------- removals ---- */

static void on_purge(world *w, const vestry_purged *purged) {
  model *m = (model *)(void *)w; /* it is its first member */
  CHECK(m->gone_count < LIVE_MOST);
  m->gone[m->gone_count++] = (gone){purged->handle, purged->value, purged->cause};
  stay *s = by_handle(m, purged->handle);
  if (!s) return; /* reported below */
  CHECK(purged->scope.len == strlen(scope_names[s->scope]));
  CHECK(memcmp(purged->scope.data, scope_names[s->scope], purged->scope.len) == 0);
  CHECK(is_key(m, s, purged->key, purged->key_len));
}

/* Remove the stays that were due. Each may have left now; the other exits remain in the list. */
static void take_due(model *m) {
  size_t rest = 0;
  for (size_t i = 0; i < m->gone_count; i++) {
    const gone *g = &m->gone[i];
    if (g->cause != VESTRY_CAUSE_IDLE && g->cause != VESTRY_CAUSE_EXPIRED) {
      m->gone[rest++] = *g;
      continue;
    }
    stay *s = by_handle(m, g->handle);
    CHECK(s != NULL);
    CHECK(s->value == g->value);
    CHECK(may_leave(m, s, g->cause));
    forget(m, s, g->cause);
  }
  m->gone_count = rest;
}

/* Check that the next exit is this one, for this cause. */
static void take_next(model *m, size_t *at, stay *s, vestry_cause cause) {
  CHECK(*at < m->gone_count);
  const gone *g = &m->gone[(*at)++];
  CHECK(g->handle == s->handle);
  CHECK(g->value == s->value);
  CHECK(g->cause == cause);
  forget(m, s, cause);
}

/* Return the stay that a full scope evicts next, except the newcomer: the least recently used one among the ended stays
 * or, if there are none, among all, in the order of all uses. NULL: there is no other. */
static stay *first_of_scope(model *m, size_t scope, const value *newcomer) {
  stay *first = NULL, *ended = NULL;
  for (size_t i = 0; i < m->live_count; i++) {
    stay *s = &m->live[i];
    if (s->scope != scope || s->value == newcomer) continue;
    if (!first || s->use_number < first->use_number) first = s;
    if (s->value->ended && (!ended || s->use_number < ended->use_number)) ended = s;
  }
  return ended ? ended : first;
}

/* Take an exit for SIZE because the store was full: no other stay may have been used last in an earlier tick, and no
 * stay of its own key before it. Beyond the window of ages, the order is kept only among stays that were not used
 * again. With a coarse clock, uses may be recorded a tick late: after vsi_store_tick, which reads the exact clock,
 * the store's time does not go back. */
static void take_victim(model *m, size_t *at) {
  CHECK(*at < m->gone_count);
  const gone *g = &m->gone[(*at)++];
  stay *victim = by_handle(m, g->handle);
  CHECK(victim != NULL);
  CHECK(g->cause == VESTRY_CAUSE_SIZE);
  uint64_t tick = victim->used_tick;
  bool behind = now_tick(m) - tick >= WINDOW_TICKS;
  const uint64_t late_ticks = m->setting.coarse_lag_ms != 0;
  for (size_t i = 0; i < m->live_count; i++) {
    const stay *other = &m->live[i];
    CHECK(tick <= other->used_tick + late_ticks || behind);
    if (is_of(other, victim->scope, victim->key)) CHECK(victim->use_number <= other->use_number);
  }
  forget(m, victim, VESTRY_CAUSE_SIZE);
}

static void check_stats(model *m) {
  vestry_store_stats stats = world_stats(&m->world);
  CHECK(memcmp(&stats, &m->stats, sizeof stats) == 0);
  CHECK(m->live_count == m->stats.live_count);
  if (m->setting.options.max_count) CHECK(m->live_count <= m->setting.options.max_count);
}

/* ------------------------------------------------------------------------------------------------- operations ---- */

static void add_stay(model *m, size_t scope, size_t key, value *v, vestry_handle handle) {
  CHECK(handle != 0);
  for (size_t i = 0; i < m->handles_count; i++) CHECK(m->handles[i] != handle);
  CHECK(m->handles_count < HANDLES_MOST && m->live_count < LIVE_MOST);
  m->handles[m->handles_count++] = handle;
  m->live[m->live_count++] = (stay){handle, scope, key, v, now_ns(m), now_ns(m), now_tick(m), ++m->uses};
  m->stats.put_count++;
  m->stats.live_count++;
}

/* The oldest of the ended stays or, if there are none, of all. */
static stay *first_of_chain(stay *const *chain, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (atomic_load(&chain[i]->value->ended)) return chain[i];
  return chain[0];
}

/* Return the result that a put must have with enough memory, and take the required exits from the list. */
static vestry_err expect_put(model *m, size_t scope, size_t key, value *v, vestry_keep_policy policy, size_t many_count,
                             const vestry_put_result *result) {
  stay *chain[32];
  size_t count = chain_of(m, scope, key, chain), at = 0;
  const vestry_store_options *options = &m->setting.options;
  for (size_t i = 0; i < count; i++) CHECK(!must_be_gone(m, chain[i]));
  stay *same = NULL;
  for (size_t i = 0; i < count; i++)
    if (chain[i]->value == v) same = chain[i];
  if (same) {
    use(m, same);
    vestry_handle handle = same->handle;
    CHECK(result->refreshed && result->handle == handle);
    model_tallied.refreshed++;
    while (policy == VESTRY_KEEP_REPLACE && (count = chain_of(m, scope, key, chain)) > 1)
      take_next(m, &at, chain[chain[0]->handle == handle], VESTRY_CAUSE_REPLACED);
  } else {
    if (count && (policy == VESTRY_KEEP_REUSE || policy == VESTRY_KEEP_REJECT)) return VESTRY_EXISTS;
    bool grows = count == 0 || (policy == VESTRY_KEEP_MANY && count < many_count);
    bool evicts = m->setting.kind->evicts;
    bool full = options->max_count && m->live_count >= options->max_count;
    bool scope_full = options->max_per_scope_count && count_in(m, scope) >= options->max_per_scope_count;
    if (grows && !evicts && full) return VESTRY_FULL;
    if (grows && !evicts && scope_full) return VESTRY_LIMIT;
    stay *first = grows && scope_full ? first_of_scope(m, scope, v) : NULL;
    if (grows && scope_full && !first) return VESTRY_LIMIT;
    if (first)
      take_next(m, &at, first, VESTRY_CAUSE_SIZE);
    else if (grows && full)
      take_victim(m, &at);
    count = chain_of(m, scope, key, chain);
    while (count && (policy == VESTRY_KEEP_REPLACE || count >= many_count)) {
      take_next(m, &at, policy == VESTRY_KEEP_REPLACE || many_count == 1 ? chain[0] : first_of_chain(chain, count),
                VESTRY_CAUSE_REPLACED);
      count = chain_of(m, scope, key, chain);
    }
    add_stay(m, scope, key, v, result->handle);
  }
  CHECK(at == m->gone_count); /* no other exits */
  CHECK(result->displaced_count == at);
  return VESTRY_OK;
}

static void put(model *m, size_t scope, size_t key_number, value *v, vestry_keep_policy policy, size_t many_count) {
  key_space space;
  vestry_put_result result = {0};
  vestry_err error = world_put(&m->world, scope_names[scope], (const vestry_key[]){make_key(key_number, &space)}, v,
                               policy, many_count, &result);
  model_tallied.answered[error]++;
  take_due(m);
  if (error == VESTRY_NO_MEMORY) {
    CHECK(m->failing);
    CHECK(m->gone_count == 0); /* unchanged */
    return;
  }
  CHECK(expect_put(m, scope, key_number, v, policy, many_count, &result) == error);
}

static void put_any(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), key = (size_t)source->below(source, m->setting.keys_count);
  value *v = &m->world.values[source->below(source, VALUES)];
  vestry_keep_policy policy = (vestry_keep_policy)source->below(source, 4);
  put(m, scope, key, v, policy, 1 + (size_t)source->below(source, 4));
}

/* Check a lookup's values: the most recent ones of the key, or none (0). The lookup counts as a use of all. */
static void check_found(model *m, size_t scope, size_t key, value *const *found, size_t found_count, size_t room) {
  stay *chain[32];
  size_t count = chain_of(m, scope, key, chain);
  CHECK(found_count == (count < room ? count : room));
  for (size_t i = 0; i < found_count; i++) CHECK(found[i] == chain[count - found_count + i]->value);
  for (size_t i = 0; i < count; i++) {
    CHECK(!must_be_gone(m, chain[i]));
    use(m, chain[i]);
  }
  if (count)
    m->stats.hits_count++;
  else
    m->stats.misses_count++;
  model_tallied.answered[count ? VESTRY_OK : VESTRY_NOT_FOUND]++;
}

static void get_any(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), key = (size_t)source->below(source, m->setting.keys_count);
  size_t room = (size_t)source->below(source, 6);
  key_space space;
  value *found[8] = {NULL};
  size_t count = world_get(&m->world, scope_names[scope], (const vestry_key[]){make_key(key, &space)}, found, room);
  take_due(m);
  CHECK(m->gone_count == 0);
  check_found(m, scope, key, found, count, room);
}

typedef struct seen {
  value *values[32];
  size_t count;
} seen;

static void see(void *v, void *ctx) {
  seen *s = ctx;
  assert_true(s->count < 32);
  assert_true(atomic_load(&((value *)v)->refs) > 1); /* the store's reference */
  s->values[s->count++] = v;
}

static void with_any(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), number = (size_t)source->below(source, m->setting.keys_count);
  key_space space;
  vestry_key key = make_key(number, &space);
  seen s = {.count = 0};
  vestry_err error = vestry_store_with(m->world.store, world_scope(scope_names[scope]), &key, see, &s);
  CHECK(error == (s.count ? VESTRY_OK : VESTRY_NOT_FOUND));
  take_due(m);
  CHECK(m->gone_count == 0);
  value *found[32];
  for (size_t i = 0; i < s.count; i++) found[i] = s.values[s.count - 1 - i]; /* the most recent came first */
  check_found(m, scope, number, found, s.count, 32);
}

static vestry_cause any_cause(model_source *source) {
  return (vestry_cause)(1 + source->below(source, VESTRY_CAUSE_COUNT - 1));
}

/* IDLE and EXPIRED are reserved for the store: the model could not distinguish them from expiry. */
static vestry_cause foreign_cause(model_source *source) {
  vestry_cause cause = any_cause(source);
  return cause == VESTRY_CAUSE_IDLE || cause == VESTRY_CAUSE_EXPIRED ? VESTRY_CAUSE_LOST : cause;
}

static void remove_any(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), number = (size_t)source->below(source, m->setting.keys_count);
  key_space space;
  vestry_key key = make_key(number, &space);
  vestry_cause cause = foreign_cause(source);
  size_t removed = 0, at = 0;
  vestry_err error = vestry_store_remove(m->world.store, world_scope(scope_names[scope]), &key, cause, &removed);
  take_due(m);
  CHECK(error == (m->gone_count ? VESTRY_OK : VESTRY_NOT_FOUND));
  CHECK(removed == m->gone_count);
  stay *chain[32];
  while (chain_of(m, scope, number, chain)) {
    CHECK(!must_be_gone(m, chain[0]));
    take_next(m, &at, chain[0], cause);
  }
  CHECK(at == m->gone_count);
}

/* The values of a key leave in the order of their puts, the keys of a scope in any order. */
static void remove_scope(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), removed = 0;
  vestry_cause cause = foreign_cause(source);
  vestry_err error =
      vestry_store_remove(m->world.store, world_scope(scope_names[scope]), VESTRY_EVERY_KEY, cause, &removed);
  take_due(m);
  CHECK(error == (removed ? VESTRY_OK : VESTRY_NOT_FOUND));
  CHECK(removed == m->gone_count);
  for (size_t at = 0; at < removed;) {
    const stay *s = by_handle(m, m->gone[at].handle);
    CHECK(s && s->scope == scope);
    stay *chain[32];
    const size_t key = s->key;
    while (chain_of(m, scope, key, chain)) {
      CHECK(!must_be_gone(m, chain[0]));
      take_next(m, &at, chain[0], cause);
    }
  }
  CHECK(count_in(m, scope) == 0);
}

static void remove_value(model *m, model_source *source) {
  size_t scope = (size_t)source->below(source, SCOPES), number = (size_t)source->below(source, m->setting.keys_count);
  value *v = &m->world.values[source->below(source, VALUES)];
  key_space space;
  vestry_key key = make_key(number, &space);
  vestry_cause cause = foreign_cause(source);
  stay *chain[32], *s = NULL;
  size_t at = 0;
  vestry_err error = vestry_store_remove_value(m->world.store, world_scope(scope_names[scope]), &key, v, cause);
  take_due(m);
  for (size_t i = 0, count = chain_of(m, scope, number, chain); i < count; i++)
    if (chain[i]->value == v) s = chain[i];
  CHECK(error == (s ? VESTRY_OK : VESTRY_NOT_FOUND));
  if (s) take_next(m, &at, s, cause);
  CHECK(at == m->gone_count);
}

static void remove_one(model *m, model_source *source) {
  if (!m->handles_count) return;
  /* most of the live handles are among the last */
  size_t last = m->handles_count < 60 ? m->handles_count : 60;
  vestry_handle handle = m->handles[m->handles_count - 1 - source->below(source, last)];
  vestry_cause cause = foreign_cause(source);
  size_t at = 0;
  bool removed = vestry_store_remove_if(m->world.store, handle, cause);
  take_due(m);
  stay *s = by_handle(m, handle);
  CHECK(removed == (s != NULL));
  if (s) {
    CHECK(!must_be_gone(m, s));
    take_next(m, &at, s, cause);
  }
  CHECK(at == m->gone_count);
}

static void tick(model *m) {
  uint64_t deadline = vsi_store_tick(m->world.store), now = now_ns(m);
  take_due(m);
  CHECK(m->gone_count == 0);
  CHECK(deadline > now);
  for (size_t i = 0; i < m->live_count; i++) {
    const stay *s = &m->live[i];
    CHECK(!must_be_gone(m, s));
    /* no stay expires before the next tick */
    if (deadline == UINT64_MAX) CHECK(m->idle_ns == UINT64_MAX && m->lifetime_ns == UINT64_MAX);
    if (m->idle_ns != UINT64_MAX) CHECK(deadline <= s->used_ns + m->idle_ns + m->late_ns);
    if (m->lifetime_ns != UINT64_MAX) CHECK(deadline <= s->born_ns + m->lifetime_ns + m->late_ns);
  }
  if (!m->live_count) CHECK(deadline == UINT64_MAX);
}

typedef struct listing {
  model *m;
  const size_t *only_scope;
  uint8_t named[LIVE_MOST]; /* by the position of the first stay of the key */
} listing;

static void on_listed(const vestry_listed *listed, void *ctx) {
  listing *l = ctx;
  model *m = l->m;
  for (size_t i = 0; i < m->live_count; i++) {
    stay *s = &m->live[i];
    const char *scope = scope_names[s->scope];
    if (listed->scope.len != strlen(scope) || memcmp(listed->scope.data, scope, listed->scope.len) != 0) continue;
    if (!is_key(m, s, listed->key, listed->key_len)) continue;
    CHECK(!l->named[i]);
    CHECK(!l->only_scope || s->scope == *l->only_scope);
    l->named[i] = 1;
    stay *chain[32];
    size_t count = chain_of(m, s->scope, s->key, chain), certain = 0, possible = 0;
    for (size_t k = 0; k < count; k++) {
      certain += !may_be_gone(m, chain[k]);
      possible += !must_be_gone(m, chain[k]);
    }
    CHECK(listed->values_count >= certain && listed->values_count <= possible && listed->values_count > 0);
    return;
  }
  CHECK(!"a key is named that is not there");
}

static void list(model *m, model_source *source) {
  static listing l;
  size_t scope = (size_t)source->below(source, SCOPES), page_count = 1 + (size_t)source->below(source, 30);
  l = (listing){.m = m, .only_scope = source->below(source, 2) ? &scope : NULL};
  vestry_scope only = world_scope(scope_names[scope]);
  for (vestry_list_cursor cursor = {0}; !cursor.done;)
    CHECK(!vestry_store_list(m->world.store, l.only_scope ? &only : NULL, page_count, &cursor, on_listed, &l));
  take_due(m);
  CHECK(m->gone_count == 0);
  for (size_t i = 0; i < m->live_count; i++) {
    stay *chain[32];
    chain_of(m, m->live[i].scope, m->live[i].key, chain);
    bool expected = chain[0] == &m->live[i] && (!l.only_scope || m->live[i].scope == scope);
    bool certain = false;
    for (size_t k = 0; k < chain_of(m, m->live[i].scope, m->live[i].key, chain); k++)
      certain |= !may_be_gone(m, chain[k]);
    if (expected && certain) CHECK(l.named[i]);
  }
}

/* Streams that have ended stay in the store until an operation removes them. */
static void end_one(model *m, model_source *source) {
  value *v = &m->world.values[source->below(source, VALUES)];
  v->ended = source->below(source, 2) != 0;
}

static void advance(model *m, model_source *source) {
  uint64_t ns = source->below(source, 3) ? source->below(source, 5 * MS)
                                         : source->below(source, m->setting.jump_most_ms + 1) * MS;
  atomic_fetch_add(&m->world.th->now_ns, ns);
}

void model_step(model *m, model_source *source) {
  m->step++;
  model_tallied.steps++;
  m->gone_count = 0;
  uint64_t what = source->below(source, 32);
  m->failing = m->setting.memory_fails && what >= 18 && source->below(source, 4) == 0;
  if (m->failing) {
    test_host_fail_in(m->world.th, (long)source->below(source, 3));
    atomic_store(&m->world.th->fail_after, source->below(source, 2));
  }
  switch (what) {
  case 0:
    if (source->below(source, 16) == 0)
      remove_scope(m, source);
    else
      remove_value(m, source);
    break;
  case 1: remove_any(m, source); break;
  case 2:
  case 3: remove_one(m, source); break;
  case 4:
  case 5: tick(m); break;
  case 6:
    if (source->below(source, 8) == 0)
      list(m, source);
    else
      end_one(m, source);
    break;
  case 7:
  case 8:
  case 9:
  case 10: advance(m, source); break;
  case 11:
  case 12:
  case 13:
  case 14: get_any(m, source); break;
  case 15:
  case 16:
  case 17: with_any(m, source); break;
  default: put_any(m, source);
  }
  test_host_fail_no_more(m->world.th);
  check_stats(m);
  if (m->step % 64 == 0) world_check(&m->world);
}

/* -------------------------------------------------------------------------------------------------- its life ---- */

model_setting model_choose(model_source *from, const store_kind *kind) {
  model_setting setting = {.kind = kind, .keys_count = from->below(from, 3) ? 12 : 3, .jump_most_ms = 200};
  vestry_store_options *options = &setting.options;
  options->max_count = 1 + from->below(from, 30);
  if (from->below(from, 2)) options->max_per_scope_count = 1 + from->below(from, 12);
  options->idle_ms = from->below(from, 4) ? 20 + from->below(from, 100) : VESTRY_NEVER_MS;
  options->lifetime_ms = from->below(from, 2) ? 50 + from->below(from, 200) : 0;
  if (from->below(from, 4) == 0) { /* long times: by the coarse clock, and beyond the window of ages */
    setting.coarse_lag_ms = 10;
    setting.jump_most_ms = 1500000;
    if (options->idle_ms != VESTRY_NEVER_MS) options->idle_ms *= 10000;
    options->lifetime_ms *= 10000;
  }
  if (kind->evicts && from->below(from, 40) == 1) { /* several shards */
    options->max_count = 2048 + from->below(from, 100);
    options->max_per_scope_count = 0;
    setting.prefill_count = options->max_count;
    setting.keys_count = 900;
  }
  return setting;
}

static uint64_t span_ns(uint64_t ms) {
  return ms == VESTRY_NEVER_MS ? UINT64_MAX : ms * MS;
}

/* Put a new key into a store with room, without the checks, because they visit all other stays. */
static void prefill(model *m, size_t i) {
  key_space space;
  vestry_put_result result = {0};
  size_t scope = i % SCOPES, key = i / SCOPES;
  value *v = &m->world.values[i % VALUES];
  CHECK(!world_put(&m->world, scope_names[scope], (const vestry_key[]){make_key(key, &space)}, v, VESTRY_KEEP_REJECT, 1,
                   &result));
  m->handles[m->handles_count++] = result.handle;
  m->live[m->live_count++] = (stay){result.handle, scope, key, v, now_ns(m), now_ns(m), now_tick(m), ++m->uses};
  m->stats.put_count++;
  m->stats.live_count++;
  if (i % 50 == 0) atomic_fetch_add(&m->world.th->now_ns, m->tick_ns / 3);
}

model *model_open(const model_setting *setting) {
  model *m = &the_model;
  memset((char *)m + sizeof m->world, 0, offsetof(model, live) - sizeof m->world);
  m->setting = *setting;
  const vestry_store_options *options = &m->setting.options;
  bool evicts = setting->kind->evicts;
  m->idle_ns = evicts ? span_ns(options->idle_ms) : UINT64_MAX;
  m->lifetime_ns = evicts && options->lifetime_ms ? span_ns(options->lifetime_ms) : UINT64_MAX;
  uint64_t shorter = m->idle_ns < m->lifetime_ns ? m->idle_ns : m->lifetime_ns;
  m->tick_ns = shorter == UINT64_MAX ? 150 * MS : (shorter / 4080 / MS + 1) * MS;
  m->late_ns = 2 * m->tick_ns + setting->coarse_lag_ms * MS;
  test_host_init(&m->world.own_host);
  coarse_lag_ns = setting->coarse_lag_ms * MS;
  if (coarse_lag_ns) m->world.own_host.host.coarse_ns = coarse_ns;
  assert_int_equal(world_try_open(&m->world, &m->world.own_host, setting->kind, options), VESTRY_OK);
  m->world.on_purge = on_purge;
  m->clock_ns = coarse_lag_ns && m->tick_ns >= 20 * MS ? coarse_ns : m->world.own_host.host.now_ns;
  m->origin_ns = now_ns(m) / MS * MS;
  for (size_t v = 0; v < VALUES; v++) world_value(&m->world);
  for (size_t i = 0; i < setting->prefill_count; i++) prefill(m, i);
  check_stats(m);
  return m;
}

void model_end(model *m) {
  m->gone_count = 0;
  vsi_store_close(m->world.store);
  CHECK(m->gone_count == m->live_count); /* the order in which a closing store removes entries is not specified */
  for (size_t i = 0; i < m->gone_count; i++) {
    stay *s = by_handle(m, m->gone[i].handle);
    CHECK(s && m->gone[i].cause == VESTRY_CAUSE_SHUTDOWN);
    forget(m, s, VESTRY_CAUSE_SHUTDOWN);
  }
  check_stats(m);
  world_end(&m->world);
}
