/* SPDX-License-Identifier: MIT */
/* bench-containers: vestry's containers compared with those of Concurrency Kit, in one run.
 *
 *   bench-containers [--rounds N] [--messages N] [--keys N]
 *
 * Each line is a task, each column a container. The containers alternate in each round, so that disturbances of the
 * machine affect all of them. The results are nanoseconds for a message or a lookup: the median of the rounds, and the
 * best.
 *
 *   jobs      a job to a worker: many producers, many consumers; or a message to an actor, which is one consumer
 *   map       a number is looked up, or removed and inserted again
 *   noted     numbers are recorded once each, although most occur repeatedly, like the file pages that a render reads:
 *             in a map, with a member allocated for each; or in an array (data/sqlite/recording.h)
 *
 * A message is a node that its producer reuses after a consumer has returned it, with WINDOW nodes for each producer.
 * As with actors, only a few messages are on their way at a time. A thread yields at a full ring or an empty queue. */
#include <ck_fifo.h>
#include <ck_ht.h>
#include <ck_ring.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/map.h"
#include "bench.h"
#include "runtime/pool.h"

enum { WINDOW = 256, PRODUCERS_MOST = 8, RING = 4096, ROUNDS_MOST = 101 };

#ifdef CK_F_FIFO_MPMC
#define HAS_FIFO 1
typedef ck_fifo_mpmc_entry_t fifo_entry;
#else
#define HAS_FIFO 0
typedef int fifo_entry;
#endif

/* A message, with the links of all containers. */
typedef struct node {
  vsi_job job;
  fifo_entry *entry; /* entry of the fifo; another one after the pop */
  _Atomic(bool) is_free;
} node;

typedef struct queue {
  const char *name;
  void (*init)(void);
  void (*push)(node *node);
  node *(*pop)(void); /* NULL: empty */
} queue;

#define NODE_OF(link, member) ((node *)(void *)((char *)(link)-offsetof(node, member)))

/* ------------------------------------------------------------------------------------------------- contenders ----- */

static vsi_job_queue jobs;
static void jobs_init(void) {
  vsi_job_queue_init(&jobs);
}
static void jobs_push(node *n) {
  vsi_job_queue_push_one(&jobs, &n->job);
}
static node *jobs_pop(void) {
  vsi_job *job = vsi_job_queue_pop(&jobs);
  return job ? NODE_OF(job, job) : NULL;
}

static ck_ring_t ring;
static ck_ring_buffer_t ring_buffer[RING];
static void ring_init(void) {
  ck_ring_init(&ring, RING);
}
static void ring_push_mpmc(node *n) {
  while (!ck_ring_enqueue_mpmc(&ring, ring_buffer, n)) sched_yield();
}
static node *ring_pop_mpmc(void) {
  node *n;
  return ck_ring_dequeue_mpmc(&ring, ring_buffer, &n) ? n : NULL;
}

#if HAS_FIFO
static ck_fifo_mpmc_t fifo;
static fifo_entry *fifo_stub;
static void fifo_init(void) {
  if (fifo_stub) ck_fifo_mpmc_deinit(&fifo, &fifo_stub);
  if (!fifo_stub) fifo_stub = aligned_alloc(16, sizeof *fifo_stub);
  ck_fifo_mpmc_init(&fifo, fifo_stub);
}
static void fifo_push(node *n) {
  ck_fifo_mpmc_enqueue(&fifo, n->entry, n);
}
static node *fifo_pop(void) {
  node *n;
  fifo_entry *garbage;
  if (!ck_fifo_mpmc_dequeue(&fifo, &n, &garbage)) return NULL;
  n->entry = garbage; /* never freed, because other threads may still read it */
  return n;
}
#endif

static const queue job_queues[] = {
    {"vsi_job_queue", jobs_init, jobs_push, jobs_pop},
    {"ck_ring mpmc", ring_init, ring_push_mpmc, ring_pop_mpmc},
#if HAS_FIFO
    {"ck_fifo mpmc", fifo_init, fifo_push, fifo_pop},
#endif
};
enum { JOB_QUEUES = sizeof job_queues / sizeof *job_queues };

/* ------------------------------------------------------------------------------------------------- messages ------- */

static node *nodes; /* WINDOW for each producer */
static struct {
  const queue *of;
  uint64_t each; /* messages of each producer */
  uint64_t all;
  _Atomic(uint64_t) taken;
} run;

static void *produce(void *ctx) {
  node *own = ctx;
  for (uint64_t i = 0; i < run.each; i++) {
    node *n = &own[i % WINDOW];
    while (!atomic_load_explicit(&n->is_free, memory_order_acquire)) sched_yield();
    atomic_store_explicit(&n->is_free, false, memory_order_relaxed);
    run.of->push(n);
  }
  return NULL;
}

static void *consume(void *ctx) {
  (void)ctx;
  while (atomic_load_explicit(&run.taken, memory_order_relaxed) < run.all) {
    uint64_t count = 0;
    for (node *n; count < 64 && (n = run.of->pop()) != NULL; count++)
      atomic_store_explicit(&n->is_free, true, memory_order_release);
    if (count)
      atomic_fetch_add_explicit(&run.taken, count, memory_order_relaxed);
    else
      sched_yield();
  }
  return NULL;
}

/* One thread, one message at a time: the cost without contention. */
static double alone(const queue *of, uint64_t messages) {
  of->init();
  uint64_t begun = bench_now_ns();
  for (uint64_t i = 0; i < messages; i++) {
    of->push(&nodes[i % WINDOW]);
    if (!of->pop()) abort();
  }
  return (double)(bench_now_ns() - begun) / (double)messages;
}

static double together(const queue *of, uint64_t messages, unsigned producers, unsigned consumers) {
  pthread_t threads[2 * PRODUCERS_MOST];
  of->init();
  run.of = of;
  run.each = messages / producers;
  run.all = run.each * producers;
  atomic_store(&run.taken, 0);
  uint64_t begun = bench_now_ns();
  for (unsigned i = 0; i < producers + consumers; i++) {
    void *(*body)(void *) = i < producers ? produce : consume;
    if (pthread_create(&threads[i], NULL, body, i < producers ? &nodes[i * WINDOW] : NULL)) abort();
  }
  for (unsigned i = 0; i < producers + consumers; i++) pthread_join(threads[i], NULL);
  return (double)(bench_now_ns() - begun) / (double)run.all;
}

/* -------------------------------------------------------------------------------------------------- the map ------- */

typedef struct number {
  vsi_map_link in; /* first */
  uint64_t is;
} number;

static number *numbers;
static vsi_map map;
static ck_ht_t table;

static void *ht_malloc(size_t size) {
  return malloc(size);
}
static void ht_free(void *memory, size_t size, bool later) {
  (void)size, (void)later;
  free(memory);
}
static struct ck_malloc ht_memory = {.malloc = ht_malloc, .free = ht_free};

/* ck_ht's keys are neither 0 nor ~0. */
static void map_fill(uint64_t keys) {
  if (vsi_map_reserve(&map, vestry_host_default(), keys) ||
      !ck_ht_init(&table, CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE, NULL, &ht_memory, (uint32_t)keys, 1))
    abort();
  for (uint64_t i = 0; i < keys; i++) {
    ck_ht_hash_t hash;
    ck_ht_entry_t entry;
    numbers[i].is = i + 1;
    vsi_map_add(&map, &numbers[i].in, vsi_hash_number(i + 1));
    ck_ht_hash_direct(&hash, &table, i + 1);
    ck_ht_entry_set_direct(&entry, hash, i + 1, (uintptr_t)&numbers[i]);
    if (!ck_ht_put_spmc(&table, hash, &entry)) abort();
  }
}

static number *map_find(uint64_t is) {
  for (vsi_map_link *at = vsi_map_first(&map, vsi_hash_number(is)); at; at = vsi_map_further(at))
    if (((number *)at)->is == is) return (number *)at;
  return NULL;
}

static number *table_find(uint64_t is) {
  ck_ht_hash_t hash;
  ck_ht_entry_t entry;
  ck_ht_hash_direct(&hash, &table, is);
  ck_ht_entry_key_set_direct(&entry, is);
  return ck_ht_get_spmc(&table, hash, &entry) ? (number *)ck_ht_entry_value_direct(&entry) : NULL;
}

/* Consecutive keys that are far from each other. */
static uint64_t key_at(uint64_t i, uint64_t keys) {
  return i * UINT64_C(2654435761) % keys + 1;
}

static double look_up(number *(*find)(uint64_t is), uint64_t count, uint64_t keys) {
  uint64_t begun = bench_now_ns(), sum = 0;
  for (uint64_t i = 0; i < count; i++) sum += find(key_at(i, keys))->is;
  double ns = (double)(bench_now_ns() - begun) / (double)count;
  if (!sum) abort();
  return ns;
}

static double replace_map(uint64_t count, uint64_t keys) {
  uint64_t begun = bench_now_ns();
  for (uint64_t i = 0; i < count; i++) {
    number *one = map_find(key_at(i, keys));
    vsi_map_remove(&map, &one->in);
    vsi_map_add(&map, &one->in, vsi_hash_number(one->is));
  }
  return (double)(bench_now_ns() - begun) / (double)count;
}

static double replace_table(uint64_t count, uint64_t keys) {
  uint64_t begun = bench_now_ns();
  for (uint64_t i = 0; i < count; i++) {
    ck_ht_hash_t hash;
    ck_ht_entry_t entry;
    uint64_t is = key_at(i, keys);
    ck_ht_hash_direct(&hash, &table, is);
    ck_ht_entry_key_set_direct(&entry, is);
    if (!ck_ht_remove_spmc(&table, hash, &entry)) abort();
    ck_ht_entry_set_direct(&entry, hash, is, (uintptr_t)&numbers[is - 1]);
    if (!ck_ht_put_spmc(&table, hash, &entry)) abort();
  }
  return (double)(bench_now_ns() - begun) / (double)count;
}

/* ----------------------------------------------------------------------------------------------- noted numbers ---- */

/* Numbers of different keys, and of repetitions of each. */
enum { FEW = 40, MANY = 4000, TIMES = 8, FIRST_SLOTS = 128 };

static double note_in_map(uint32_t distinct) {
  const vestry_host *host = vestry_host_default();
  uint64_t begun = bench_now_ns();
  map = (vsi_map){.buckets = NULL};
  for (uint32_t i = 0; i < distinct * TIMES; i++) {
    const uint64_t is = i * UINT32_C(7919) % distinct + 1, hash = vsi_hash_number(is);
    if (vsi_map_first(&map, hash)) continue; /* different numbers have different hashes */
    number *made = vsi_alloc(host, sizeof *made);
    if (!made || vsi_map_reserve(&map, host, map.count + 1)) abort();
    made->is = is;
    vsi_map_add(&map, &made->in, hash);
  }
  if (map.count != distinct) abort();
  vsi_map_free_all(&map, host, offsetof(number, in));
  return (double)(bench_now_ns() - begun) / (distinct * TIMES);
}

static uint32_t *slot_of(uint32_t *slots, uint32_t slots_count, uint32_t is) {
  uint32_t at = (is * UINT32_C(2654435769)) >> 7 & (slots_count - 1);
  while (slots[at] && slots[at] != is) at = (at + 1) & (slots_count - 1);
  return &slots[at];
}

static double note_in_array(uint32_t distinct) {
  uint64_t begun = bench_now_ns();
  uint32_t first[FIRST_SLOTS] = {0}, *slots = first, slots_count = FIRST_SLOTS, count = 0;
  for (uint32_t i = 0; i < distinct * TIMES; i++) {
    const uint32_t is = i * UINT32_C(7919) % distinct + 1;
    if (*slot_of(slots, slots_count, is)) continue;
    if (count++ >= slots_count / 2) {
      uint32_t *grown = calloc(slots_count * 4, sizeof *grown);
      if (!grown) abort();
      for (uint32_t old = 0; old < slots_count; old++)
        if (slots[old]) *slot_of(grown, slots_count * 4, slots[old]) = slots[old];
      if (slots != first) free(slots);
      slots = grown;
      slots_count *= 4;
    }
    *slot_of(slots, slots_count, is) = is;
  }
  if (count != distinct) abort();
  if (slots != first) free(slots);
  return (double)(bench_now_ns() - begun) / (distinct * TIMES);
}

/* ---------------------------------------------------------------------------------------------------- figures ----- */

static void print(const char *job, const char *name, double *ns, uint64_t rounds) {
  const double median_ns = bench_median(ns, rounds);
  printf("%-28s %-18s %9.1f %9.1f\n", job, name, median_ns, ns[0]);
}

static void measure_queues(const char *job, const queue *queues, size_t count, uint64_t messages, uint64_t rounds,
                           unsigned producers, unsigned consumers) {
  static double ns[4][ROUNDS_MOST];
  for (uint64_t round = 0; round < rounds; round++)
    for (size_t i = 0; i < count; i++)
      ns[i][round] = producers ? together(&queues[i], messages, producers, consumers) : alone(&queues[i], messages);
  for (size_t i = 0; i < count; i++) print(job, queues[i].name, ns[i], rounds);
}

static void measure_maps(uint64_t count, uint64_t keys, uint64_t rounds) {
  static double ns[4][ROUNDS_MOST];
  numbers = calloc(keys, sizeof *numbers);
  if (!numbers) abort();
  map_fill(keys);
  for (uint64_t round = 0; round < rounds; round++) {
    ns[0][round] = look_up(map_find, count, keys);
    ns[1][round] = look_up(table_find, count, keys);
    ns[2][round] = replace_map(count, keys);
    ns[3][round] = replace_table(count, keys);
  }
  print("map: look up", "vsi_map", ns[0], rounds);
  print("map: look up", "ck_ht", ns[1], rounds);
  print("map: out and in again", "vsi_map", ns[2], rounds);
  print("map: out and in again", "ck_ht", ns[3], rounds);
  vsi_map_finish(&map, vestry_host_default());
  ck_ht_destroy(&table);
  free(numbers);
}

static void measure_noted(const char *job, uint32_t distinct, uint64_t rounds) {
  static double ns[2][ROUNDS_MOST];
  for (uint64_t round = 0; round < rounds; round++) {
    ns[0][round] = note_in_map(distinct);
    ns[1][round] = note_in_array(distinct);
  }
  print(job, "vsi_map", ns[0], rounds);
  print(job, "an array", ns[1], rounds);
}

static void make_nodes(void) {
  nodes = calloc(PRODUCERS_MOST * WINDOW, sizeof *nodes);
  if (!nodes) abort();
  for (size_t i = 0; i < PRODUCERS_MOST * WINDOW; i++) {
    atomic_init(&nodes[i].is_free, true);
    nodes[i].entry = aligned_alloc(16, (sizeof *nodes[i].entry + 15) / 16 * 16);
    if (!nodes[i].entry) abort();
  }
}

int main(int argc, char **argv) {
  uint64_t rounds = 11, messages = 20000, keys = 10000;
  const bench_option options[] = {{"--rounds", NULL, &rounds, 1, ROUNDS_MOST},
                                  {"--messages", NULL, &messages, 1000, 100000000},
                                  {"--keys", NULL, &keys, 16, 10000000}};
  int failure = bench_options(argc - 1, argv + 1, options, sizeof options / sizeof *options);
  if (failure) return failure;
  printf("%" PRIu64 " rounds of %" PRIu64 " messages, %" PRIu64 " keys; sizeof: vsi_job_queue %zu, "
         "vsi_map_link %zu, ck_ring %zu and %zu a place\n",
         rounds, messages, keys, sizeof(vsi_job_queue), sizeof(vsi_map_link), sizeof(ck_ring_t),
         sizeof(ck_ring_buffer_t));
  printf("%-28s %-18s %9s %9s\n", "nanoseconds each", "", "median", "best");
  make_nodes();
  measure_queues("jobs: alone", job_queues, JOB_QUEUES, messages, rounds, 0, 0);
  measure_queues("jobs: 1 to 1", job_queues, JOB_QUEUES, messages, rounds, 1, 1);
  measure_queues("jobs: 4 to 1", job_queues, JOB_QUEUES, messages, rounds, 4, 1);
  measure_queues("jobs: 4 to 4", job_queues, JOB_QUEUES, messages, rounds, 4, 4);
  measure_maps(messages, keys, rounds);
  measure_noted("noted: 40 numbers", FEW, rounds);
  measure_noted("noted: 4000 numbers", MANY, rounds);
  return 0;
}
