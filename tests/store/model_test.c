/* SPDX-License-Identifier: MIT */
/* Operation fuzzing: the same random operations run on a built-in store and on the naive store, and are compared one by
 * one. A failure prints the seed and the step; with a seed as its argument, the program runs this seed only. */
#include <stdlib.h>

#include "runtime/random.h"
#include "store/model.h"
#include "store/store.h"

enum { ROUNDS = 200, STEPS = 600, KEYS = 12, VALUES = 40, STAYS = 4096 };

/* [0] is the store under test, [1] the reference. */
static world worlds[2];
/* The handle of a stay in the store under test, by the naive store's handle of it, which counts from 1. */
static vestry_handle handles[STAYS];
static uint64_t seed, state_of_random;
static size_t step;
static uint64_t tally[VESTRY_CAUSE_COUNT], refused[16]; /* over all rounds: how often each case occurred */

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) fail_msg("seed %llu, step %zu: %s", (unsigned long long)seed, step, #condition);                 \
  } while (0)

static size_t below(size_t bound) {
  return (size_t)random_below(&state_of_random, bound);
}

/* --------------------------------------------------------------------------------------------------- comparing ---- */

static void compare_exits(void) {
  world *a = &worlds[0], *b = &worlds[1];
  size_t count = world_left(a);
  CHECK(count == world_left(b));
  CHECK(count < sizeof a->exits / sizeof *a->exits);
  for (size_t i = 0; i < count; i++) {
    const world_exit *one = &a->exits[i], *other = &b->exits[i];
    CHECK(one->value->number == other->value->number);
    CHECK(one->cause == other->cause);
    CHECK(strcmp(one->key, other->key) == 0 && strcmp(one->scope, other->scope) == 0);
    CHECK(other->handle < STAYS && one->handle == handles[other->handle]);
  }
}

static void compare_stats(void) {
  vestry_store_stats a = world_stats(&worlds[0]), b = world_stats(&worlds[1]);
  CHECK(memcmp(&a, &b, sizeof a) == 0);
}

typedef struct names {
  char text[256][80];
  size_t count;
} names;

static void add_name(const vestry_listed *listed, void *ctx) {
  names *n = ctx;
  char key[48];
  assert_int_equal(vestry_key_format(listed->key, listed->key_len, key, sizeof key, NULL), VESTRY_OK);
  assert_true(n->count < 256);
  snprintf(n->text[n->count++], sizeof n->text[0], "%.*s/%s x %zu", (int)listed->scope.len,
           (const char *)listed->scope.data, key, listed->values_count);
}

static int by_text(const void *a, const void *b) {
  return strcmp(a, b);
}

static void compare_lists(void) {
  static names lists[2];
  vestry_scope scope = world_scope("t");
  size_t page_count = 1 + below(20);
  const vestry_scope *only_scope = below(2) ? &scope : NULL;
  for (size_t i = 0; i < 2; i++) {
    lists[i].count = 0;
    for (vestry_list_cursor cursor = {0}; !cursor.done;)
      CHECK(!vestry_store_list(worlds[i].store, only_scope, page_count, &cursor, add_name, &lists[i]));
    qsort(lists[i].text, lists[i].count, sizeof lists[i].text[0], by_text);
  }
  CHECK(lists[0].count == lists[1].count);
  for (size_t i = 0; i < lists[0].count; i++) CHECK(strcmp(lists[0].text[i], lists[1].text[i]) == 0);
}

/* -------------------------------------------------------------------------------------------------- operations ---- */

static const char *random_scope(void) {
  return (const char *[]){"s", "t", ""}[below(3)];
}

static void both_put(void) {
  const char *scope = random_scope();
  size_t key = below(KEYS), v = below(VALUES), many_count = 1 + below(4);
  vestry_keep_policy policy = (vestry_keep_policy)below(4);
  vestry_put_result results[2] = {{0}, {0}};
  vestry_err errors[2];
  for (size_t i = 0; i < 2; i++)
    errors[i] =
        world_put(&worlds[i], scope, VESTRY_KEY("k", key), &worlds[i].values[v], policy, many_count, &results[i]);
  CHECK(errors[0] == errors[1]);
  CHECK(results[0].displaced_count == results[1].displaced_count);
  CHECK(results[0].refreshed == results[1].refreshed);
  refused[errors[0]]++;
  if (errors[0]) return;
  CHECK(results[1].handle < STAYS);
  if (results[0].refreshed) CHECK(handles[results[1].handle] == results[0].handle);
  handles[results[1].handle] = results[0].handle;
}

static void both_get(void) {
  const char *scope = random_scope();
  size_t key = below(KEYS), room = 1 + below(5), counts[2];
  value *found[2][8];
  for (size_t i = 0; i < 2; i++) counts[i] = world_get(&worlds[i], scope, VESTRY_KEY("k", key), found[i], room);
  CHECK(counts[0] == counts[1]);
  for (size_t i = 0; i < counts[0]; i++) CHECK(found[0][i]->number == found[1][i]->number);
}

static void both_remove(void) {
  const char *scope = random_scope();
  const vestry_key *key = VESTRY_KEY("k", below(KEYS));
  vestry_cause cause = (vestry_cause)(1 + below(VESTRY_CAUSE_COUNT - 1));
  size_t counts[2] = {0};
  vestry_err errors[2];
  for (size_t i = 0; i < 2; i++)
    errors[i] = vestry_store_remove(worlds[i].store, world_scope(scope), key, cause, &counts[i]);
  CHECK(errors[0] == errors[1]);
  CHECK(counts[0] == counts[1]);
}

static void both_remove_if(void) {
  vestry_handle handle = 1 + below(world_stats(&worlds[1]).put_count + 1);
  if (handle >= STAYS || !handles[handle]) return;
  bool one = vestry_store_remove_if(worlds[0].store, handles[handle], VESTRY_CAUSE_HANGUP);
  CHECK(one == vestry_store_remove_if(worlds[1].store, handle, VESTRY_CAUSE_HANGUP));
}

static void both_tick(void) {
  uint64_t deadline = vsi_store_tick(worlds[0].store);
  CHECK(deadline == vsi_store_tick(worlds[1].store));
  CHECK(deadline > atomic_load(&worlds[1].th->now_ns));
}

/* A hook that changes the store that calls it, in the same way in both worlds. */
static void meddle(world *w, const vestry_purged *purged) {
  value *v = purged->value;
  if (w->ctx || v->number % 4) return;
  w->ctx = w; /* not recursively */
  const vestry_key *key = VESTRY_KEY("k", v->number % KEYS);
  if (purged->cause == VESTRY_CAUSE_REPLACED || purged->cause == VESTRY_CAUSE_SIZE)
    vestry_store_remove(w->store, world_scope("s"), key, VESTRY_CAUSE_CLOSED, NULL);
  else
    world_get(w, "t", key, NULL, 2);
  w->ctx = NULL;
}

static void one_step(uint64_t idle_ms) {
  switch (below(16)) {
  case 0: both_remove(); break;
  case 1: both_remove_if(); break;
  case 2: both_tick(); break;
  case 3:
  case 4: {
    uint64_t ms = below(3) ? below(5) : below((size_t)idle_ms * 2);
    for (size_t i = 0; i < 2; i++) test_host_advance_ms(worlds[i].th, ms);
    break;
  }
  case 5:
    if (below(8) == 0) compare_lists();
    break;
  case 6:
  case 7:
  case 8:
  case 9: both_get(); break;
  default: both_put();
  }
  compare_exits();
  compare_stats();
}

static void one_round(const store_kind *kind, const store_kind *truth) {
  state_of_random = seed;
  vestry_store_options options = {.max_count = 1 + below(40),
                                  .max_per_scope_count = below(2) ? 1 + below(15) : 0,
                                  .idle_ms = below(4) ? 20 + below(100) : VESTRY_NEVER_MS,
                                  .lifetime_ms = below(2) ? 50 + below(200) : 0};
  world_open(&worlds[0], kind, &options);
  world_open(&worlds[1], truth, &options);
  memset(handles, 0, sizeof handles);
  bool meddles = below(2);
  for (size_t i = 0; i < 2; i++) {
    for (size_t v = 0; v < VALUES; v++) world_value(&worlds[i]);
    if (meddles) worlds[i].on_purge = meddle;
  }
  for (step = 0; step < STEPS; step++) one_step(options.idle_ms == VESTRY_NEVER_MS ? 100 : options.idle_ms);
  for (size_t i = 0; i < 2; i++) {
    worlds[i].on_purge = NULL;
    vsi_store_close(worlds[i].store);
  }
  compare_stats(); /* the order in which a closing store removes entries is not specified */
  for (size_t i = 0; i < VESTRY_CAUSE_COUNT; i++) tally[i] += world_stats(&worlds[0]).removed_by_cause[i];
  for (size_t i = 0; i < 2; i++) world_end(&worlds[i]);
}

static uint64_t only_seed;

static void all_rounds(const store_kind *kind, const store_kind *truth) {
  uint64_t first = only_seed ? only_seed : 1, rounds = only_seed ? 1 : ROUNDS;
  print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + rounds - 1));
  memset(tally, 0, sizeof tally);
  memset(refused, 0, sizeof refused);
  for (seed = first; seed < first + rounds; seed++) one_round(kind, truth);
}

/* A fuzzer that never reaches the interesting cases proves nothing. */
static void assert_often(uint64_t times) {
  if (!only_seed) assert_true(times > 250);
}

/* capability: A2 */
static void hash_store_agrees_with_the_naive_store(void **state) {
  all_rounds(&world_hash, &world_naive_hash);
  assert_often(tally[VESTRY_CAUSE_REPLACED]);
  assert_often(refused[VESTRY_FULL]);
  assert_often(refused[VESTRY_LIMIT]);
  assert_often(refused[VESTRY_EXISTS]);
}

/* ------------------------------------------------------------------------------------- against the model ---- */

enum { MODEL_ROUNDS = 300, MODEL_STEPS = 500 };

typedef struct generator {
  model_source source; /* first */
  uint64_t state;
} generator;

static uint64_t generate(model_source *source, uint64_t bound) {
  return random_below(&((generator *)(void *)source)->state, bound);
}

static void model_round(const store_kind *kind, bool memory_fails) {
  generator g = {{generate}, seed};
  model_setting setting = model_choose(&g.source, kind);
  setting.memory_fails = memory_fails;
  model *m = model_open(&setting);
  for (step = 0; step < MODEL_STEPS; step++) model_step(m, &g.source);
  model_end(m);
}

static void follow_the_model(const store_kind *kind, bool memory_fails) {
  uint64_t first = only_seed ? only_seed : 1, rounds = only_seed ? 1 : MODEL_ROUNDS;
  memset(&model_tallied, 0, sizeof model_tallied);
  for (seed = first; seed < first + rounds; seed++) {
    model_seed = seed;
    model_round(kind, memory_fails);
  }
  if (only_seed) return;
  print_message("seeds %llu to %llu, %llu steps:", (unsigned long long)first, (unsigned long long)(seed - 1),
                (unsigned long long)model_tallied.steps);
  for (int cause = 1; cause < VESTRY_CAUSE_COUNT; cause++)
    print_message(" %s %llu", vestry_cause_name((vestry_cause)cause), (unsigned long long)model_tallied.left[cause]);
  print_message("\n");
}

static void hash_store_follows_the_model(void **state) {
  follow_the_model(&world_hash, false);
  assert_often(model_tallied.left[VESTRY_CAUSE_REPLACED]);
  assert_often(model_tallied.answered[VESTRY_FULL]);
  assert_often(model_tallied.answered[VESTRY_LIMIT]);
  assert_often(model_tallied.answered[VESTRY_EXISTS]);
  assert_often(model_tallied.refreshed);
}

static void lru_store_follows_the_model(void **state) {
  follow_the_model(&world_lru, false);
  assert_often(model_tallied.left[VESTRY_CAUSE_REPLACED]);
  assert_often(model_tallied.left[VESTRY_CAUSE_SIZE]);
  assert_often(model_tallied.left[VESTRY_CAUSE_IDLE]);
  assert_often(model_tallied.left[VESTRY_CAUSE_EXPIRED]);
  assert_often(model_tallied.left[VESTRY_CAUSE_LOST]);
  assert_often(model_tallied.answered[VESTRY_EXISTS]);
  assert_often(model_tallied.refreshed);
}

static void stores_follow_the_model_without_memory(void **state) {
  follow_the_model(&world_hash, true);
  assert_often(model_tallied.answered[VESTRY_NO_MEMORY]);
  follow_the_model(&world_lru, true);
  assert_often(model_tallied.answered[VESTRY_NO_MEMORY]);
}

int main(int argc, char **argv) {
  if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hash_store_agrees_with_the_naive_store),
      cmocka_unit_test(hash_store_follows_the_model),
      cmocka_unit_test(lru_store_follows_the_model),
      cmocka_unit_test(stores_follow_the_model_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
