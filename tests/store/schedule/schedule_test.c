/* SPDX-License-Identifier: MIT */
/* Short histories under many schedules. Each schedule switches threads, as its seed determines, at each atomic
 * operation, lock and callback of the stores. Checked after each history:
 * - the history of each key is linearizable
 * - each entry left exactly once
 * - the invariants hold
 *
 *     test_store_schedule         the usual seeds
 *     test_store_schedule SEED    one of them */
#include "store/schedule/scheduler.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/random.h"
#include "store/history.h"
#include "store/store.h"
#include "support/test.h"

enum { STORES = 250, WINDOWS = 8, FILLERS_MOST = 40 };

static uint64_t only_seed, stores = STORES;
static char failing_text[64]; /* printed when a thread aborts */

/* A store with options chosen by its seed; in each window, a few threads perform a few operations. */
typedef struct plan {
  linear *under_test;
  uint64_t random;
  size_t threads_count, ops_count, keys_count;
  uint64_t ops[SCHEDULE_THREADS][8];
  bool expires, fails, closes;
} plan;

static void one_op(const plan *p, size_t thread, uint64_t r) {
  linear *l = p->under_test;
  size_t key = r % p->keys_count;
  switch ((r >> 8) % 20) {
  case 0:
  case 1:
  case 2: linear_remove(l, thread, key); break;
  case 3:
  case 4: linear_remove_if(l, thread, key, (r >> 16) % 2); break;
  case 5: linear_put(l, thread, key, VESTRY_KEEP_REJECT); break;
  case 6: linear_tick(l, thread); break;
  case 7:
    if (p->expires) test_host_advance_ms(linear_host(l), 1 + (r >> 16) % 6);
    break;
  case 8:
  case 9:
  case 10: linear_get(l, thread, key); break;
  case 11:
  case 12: linear_with(l, thread, key); break;
  case 13: /* besides the recorded ones, so that the store grows and shrinks */
    for (size_t i = 0; i < 1 + (r >> 32) % 12; i++) linear_fill(l, thread, ((r >> 16) + i) % FILLERS_MOST);
    break;
  case 14:
    for (size_t i = 0; i < 1 + (r >> 32) % 16; i++) linear_empty(l, thread, ((r >> 16) + i) % FILLERS_MOST);
    break;
  case 15: linear_list(l, thread); break;
  default: linear_put(l, thread, key, VESTRY_KEEP_REPLACE);
  }
}

static void run(size_t thread, void *ctx) {
  const plan *p = ctx;
  if (p->closes && thread == 0) linear_close(p->under_test, thread);
  for (size_t i = 0; i < p->ops_count; i++) one_op(p, thread, p->ops[thread][i]);
}

static size_t below(plan *p, size_t bound) {
  return (size_t)random_below(&p->random, bound);
}

static void set_up(plan *p, uint64_t seed) {
  p->random = seed;
  vestry_store_options options = {0};
  bool lru = below(p, 3) != 0;
  static const size_t bounds[] = {2, 3, 6, 100, 100};
  options.max_count = lru ? bounds[below(p, 5)] : 100; /* one shard, which all threads share */
  p->expires = lru && below(p, 2);
  if (p->expires) {
    options.idle_ms = below(p, 2) ? 4 : VESTRY_NEVER_MS;
    options.lifetime_ms = below(p, 2) ? 9 : 0;
  }
  if (below(p, 4) == 0) options.max_per_scope_count = lru ? 2 + below(p, 3) : 200;
  if (lru && below(p, 30) == 0) options.max_count = 1024; /* several shards, full */
  p->under_test = linear_open(lru ? "lru" : "hash", options);
  p->fails = below(p, 3) == 0;
  size_t fillers = below(p, 3) ? 18 + below(p, 5) : below(p, FILLERS_MOST); /* a table grows at 20 */
  if (options.max_count == 1024) fillers = 1024;
  for (size_t i = 0; i < fillers; i++) linear_fill(p->under_test, 0, i);
  if (!linear_check(p->under_test)) fail();
}

/* One thread lets the store grow and shrink, and the others look up keys that stay. */
static void change_sizes(plan *p) {
  for (size_t t = 0; t < p->threads_count; t++)
    for (size_t i = 0; i < p->ops_count; i++)
      p->ops[t][i] = (p->ops[t][i] & ~UINT64_C(0xff00)) | (t ? 8 + i % 5 : 13 + i % 2) << 8;
}

static void one_store(uint64_t seed) {
  static plan p;
  snprintf(failing_text, sizeof failing_text, "seed %llu\n", (unsigned long long)seed);
  set_up(&p, seed);
  size_t points = 300;
  for (size_t window = 0; window < WINDOWS; window++) {
    p.threads_count = 2 + below(&p, 2);
    p.ops_count = 2 + below(&p, 5);
    p.keys_count = 1 + below(&p, 3);
    p.closes = window + 1 == WINDOWS;
    if (below(&p, 3) == 0) change_sizes(&p);
    for (size_t t = 0; t < p.threads_count; t++)
      for (size_t i = 0; i < p.ops_count; i++) p.ops[t][i] = random_next(&p.random);
    test_host *host = linear_host(p.under_test);
    if (p.fails && below(&p, 2)) test_host_fail_in(host, (long)below(&p, 4));
    points = schedule_run_any(&p.random, points, p.threads_count, run, &p);
    test_host_fail_no_more(host);
    if (!points) {
      print_message("seed %llu, window %zu: nobody gets on\n", (unsigned long long)seed, window);
      _exit(1); /* the threads still exist */
    }
    if (!linear_check(p.under_test)) fail_msg("seed %llu, window %zu", (unsigned long long)seed, window);
  }
  linear_end(p.under_test);
}

/* capability: F8 */
static void histories_are_linearizable_under_schedules(void **state) {
  if (only_seed) {
    one_store(only_seed);
    return;
  }
  for (uint64_t seed = 1; seed <= stores; seed++) one_store(seed);
  print_message("%llu schedules\n", (unsigned long long)stores * WINDOWS);
}

/* Two threads: one lets the store change its size, and the other looks up a key that stays. The second interrupts the
 * first at each of its points in turn, and is itself interrupted at another point. */
enum { PLACES_MOST = 500 };

typedef struct sizes {
  linear *under_test;
  size_t from, to; /* fillers */
} sizes;

static void change_or_look(size_t thread, void *ctx) {
  const sizes *z = ctx;
  if (thread) {
    linear_get(z->under_test, thread, 0);
    linear_with(z->under_test, thread, 0);
    return;
  }
  for (size_t i = z->from; i < z->to; i++) linear_fill(z->under_test, thread, i);
  for (size_t i = z->from; i-- > z->to;) linear_empty(z->under_test, thread, i);
}

static size_t one_change(sizes z, uint64_t first, uint64_t second) {
  z.under_test = linear_open("hash", (vestry_store_options){.max_count = 100});
  for (size_t i = 0; i < z.from; i++) {
    linear_fill(z.under_test, 0, i);
    if (i == 3) linear_put(z.under_test, 0, 0, VESTRY_KEEP_REPLACE);
  }
  size_t points = schedule_run(1, SCHEDULE_GIVEN, first, second, 2, change_or_look, &z);
  snprintf(failing_text, sizeof failing_text, "%zu to %zu at %llu and %llu\n", z.from, z.to, (unsigned long long)first,
           (unsigned long long)second);
  if (!points || !linear_check(z.under_test)) fail_msg("%s", failing_text);
  linear_end(z.under_test);
  return points;
}

static void lookup_during_resize_finds_a_stable_key(void **state) {
  static const sizes changes[] = {{NULL, 18, 24}, {NULL, 28, 32}, {NULL, 32, 3}};
  uint64_t random = 1;
  for (size_t i = 0; i < sizeof changes / sizeof *changes && !only_seed; i++) {
    size_t points = one_change(changes[i], UINT64_MAX, UINT64_MAX);
    uint64_t step = 1 + points / PLACES_MOST;
    for (uint64_t at = 1 + random_below(&random, step); at < points; at += step) {
      one_change(changes[i], at, UINT64_MAX);
      one_change(changes[i], at, at + 1 + random_below(&random, 60));
    }
  }
}

/* A use that is recorded while the entry is refiled by its previous use must not be lost. */
enum { REFILINGS = 150 };

static void tick_or_use(size_t thread, void *ctx) {
  linear *l = ctx;
  if (thread)
    linear_get(l, thread, 0);
  else
    linear_tick(l, thread);
}

static void use_during_refiling_is_not_lost(void **state) {
  for (uint64_t seed = 1; seed <= REFILINGS && !only_seed; seed++) {
    snprintf(failing_text, sizeof failing_text, "refiling, seed %llu\n", (unsigned long long)seed);
    linear *l = linear_open("lru", (vestry_store_options){.max_count = 10, .idle_ms = 10});
    linear_put(l, 0, 0, VESTRY_KEEP_REPLACE);
    test_host_advance_ms(linear_host(l), 5);
    linear_get(l, 0, 0);
    test_host_advance_ms(linear_host(l), 7); /* filed at 0, used at 5, now 12 */
    if (!schedule_run(seed, SCHEDULE_RANDOM, 2 + seed % 8, 1, 2, tick_or_use, l)) fail();
    test_host_advance_ms(linear_host(l), 9); /* 21: used 9 ago */
    vsi_store_tick(linear_store(l));
    vestry_store_stats stats = {0};
    vestry_store_stats_get(linear_store(l), &stats);
    if (stats.live_count != 1) fail_msg("seed %llu: the use was lost", (unsigned long long)seed);
    linear_end(l);
  }
}

static void name_the_seed(int signal_number) {
  (void)!write(2, failing_text, strlen(failing_text));
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

int main(int argc, char **argv) {
  if (argc == 2) only_seed = strtoull(argv[1], NULL, 10);
  if (argc == 3) stores = strtoull(argv[2], NULL, 10); /* any, and their number */
  signal(SIGABRT, name_the_seed);
  linear_set_point(schedule_point);
  const struct CMUnitTest tests[] = {cmocka_unit_test(histories_are_linearizable_under_schedules),
                                     cmocka_unit_test(lookup_during_resize_finds_a_stable_key),
                                     cmocka_unit_test(use_during_refiling_is_not_lost)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
