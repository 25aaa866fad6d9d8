/* SPDX-License-Identifier: MIT */
/* The cost for a node of announcing its keys, and of knowing the keys of other nodes, compared with an instance without
 * a cluster, alternately in one process over the memory adapter. Two other nodes are separate processes, each with
 * streams under different keys.
 *
 *   memory  bytes for each key: from the digest while own streams are added one by one (the maximum), and from the
 *           allocator for the keys of the others
 *   life    opening a stream under a new key, and its end: CPU of this process until the keys are announced
 *   local   a dispatch to a stream of this node, on one thread: nanoseconds */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "broker.h"
#include "cluster.h"
#include "cluster_load.h"
#include "memory.h"
#include "nodes.h"

enum { HOLDERS = 2, SETTLE_MS = 60, PATIENCE_MS = 10000, ENOUGH = 1000, ROUNDS = 60, EACH = 3000, TURNS_MOST = 100 };

/* ---- an instance and its streams --------------------------------------------------------------------------------- */

typedef struct place {
  const char *name; /* prefix of its keys, and name of the node */
  vestry *v;
  bench_cluster *cluster; /* NULL: none */
  vestry_memory_exchange **streams;
  uint64_t next; /* number of the next key */
} place;

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  place *p = app;
  (void)req;
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY(p->name, p->next));
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static bool open_place(place *p, const char *name, const char *url, uint64_t streams, bool is_stepped,
                       bool is_counted) {
  *p = (place){.name = name, .streams = calloc(streams, sizeof *p->streams)};
  const vestry_options options = {.store = "hash",
                                  .host = is_counted ? bench_counting_host() : NULL,
                                  .threads_count = is_stepped ? VESTRY_THREADS_NONE : 0};
  return p->streams && !vestry_create(&options, &p->v) &&
         (!url || !bench_cluster_create(p->v, url, name, NULL, &p->cluster));
}

static void close_place(place *p, uint64_t streams) {
  for (uint64_t i = 0; p->streams && i < streams; i++) vestry_memory_destroy(p->streams[i]);
  if (p->v) (void)vestry_stop(p->v, PATIENCE_MS);
  bench_cluster_destroy(p->cluster);
  vestry_destroy(p->v);
  free(p->streams);
}

static bool open_stream(place *p, uint64_t i) {
  p->next = i;
  return vestry_memory_request(p->v, &(vestry_memory_call){.datastar = true}, keep, p, &p->streams[i]) == VESTRY_OK;
}

static uint64_t streams_of(const place *p) {
  vestry_store_stats stats = {0};
  vestry_store_stats_get(vestry_parts_of(p->v)->store, &stats);
  return stats.live_count;
}

static bool wait_streams(const place *p, uint64_t count) {
  for (int i = 0; i < PATIENCE_MS; i++, bench_sleep_ms(1))
    if (streams_of(p) == count) return true;
  return false;
}

static vestry_cluster_stats cluster_stats(const place *p) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(bench_cluster_of(p->cluster), &stats);
  return stats;
}

/* ---- the other nodes --------------------------------------------------------------------------------------------- */

typedef struct holder {
  sem_t begins;
  char url[64];
  const char *name;
  uint64_t streams;
} holder;

static void hold(void *ctx) {
  holder *h = ctx;
  place p;
  if (!open_place(&p, h->name, h->url, h->streams, false, false)) return;
  while (sem_wait(&h->begins)) continue;
  for (uint64_t i = 0; i < h->streams; i++)
    if (!open_stream(&p, i)) return;
  for (;;) pause();
}

static bool wait_others_keys(const place *p, uint64_t count) {
  for (int i = 0; i < PATIENCE_MS; i++, bench_sleep_ms(1)) {
    vestry_cluster_stats stats = cluster_stats(p);
    if (stats.others_keys_count == count && !stats.unsynced_count) return true;
  }
  return false;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool measure_memory(place *p, holder *holders, uint64_t streams) {
  double most = 0;
  int64_t before = bench_counted_bytes();
  for (int i = 0; i < HOLDERS; i++) sem_post(&holders[i].begins);
  if (!wait_others_keys(p, HOLDERS * streams)) return false;
  bench_sleep_ms(SETTLE_MS);
  double counted = (double)(bench_counted_bytes() - before) / (double)(HOLDERS * streams);
  double at_others = (double)cluster_stats(p).keys_bytes / (double)(HOLDERS * streams);
  for (uint64_t i = 0; i < streams; i++) {
    if (!open_stream(p, i)) return false;
    uint64_t keys = HOLDERS * streams + i + 1;
    double each = (double)cluster_stats(p).keys_bytes / (double)keys;
    if (keys >= ENOUGH && each > most) most = each;
  }
  bench_sleep_ms(SETTLE_MS);
  printf("vestry cluster way=digests what=memory keys=%" PRIu64
         " bytes_each=%.1f most_bytes_each=%.1f others_bytes_each=%.1f counted_bytes_each=%.1f\n",
         (HOLDERS + 1) * streams, (double)cluster_stats(p).keys_bytes / (double)((HOLDERS + 1) * streams), most,
         at_others, counted);
  for (uint64_t i = 0; i < streams; i++) {
    vestry_memory_destroy(p->streams[i]);
    p->streams[i] = NULL;
  }
  return wait_streams(p, 0);
}

/* ---- lives ------------------------------------------------------------------------------------------------------- */

/* Measure a turn: CPU for each stream, in microseconds. */
static bool live(place *p, uint64_t streams, double *ret_open_us, double *ret_close_us) {
  uint64_t at_ns[3];
  bool ok = true;
  bench_sleep_ms(SETTLE_MS);
  at_ns[0] = bench_cpu_ns(getpid());
  for (uint64_t i = 0; ok && i < streams; i++) ok = open_stream(p, i);
  ok = ok && wait_streams(p, streams);
  bench_sleep_ms(SETTLE_MS);
  at_ns[1] = bench_cpu_ns(getpid());
  for (uint64_t i = 0; i < streams; i++) {
    vestry_memory_destroy(p->streams[i]);
    p->streams[i] = NULL;
  }
  ok = ok && wait_streams(p, 0);
  bench_sleep_ms(SETTLE_MS);
  at_ns[2] = bench_cpu_ns(getpid());
  *ret_open_us = (double)(at_ns[1] - at_ns[0]) / 1e3 / (double)streams;
  *ret_close_us = (double)(at_ns[2] - at_ns[1]) / 1e3 / (double)streams;
  return ok;
}

static bool measure_lives(place *within, place *apart, const bench_process *others, const broker_server *broker,
                          uint64_t streams, uint64_t turns) {
  static double open_us[2][TURNS_MOST], close_us[2][TURNS_MOST];
  double open_more[TURNS_MOST], close_more[TURNS_MOST], unused;
  uint64_t others_ns[2] = {0, 0};
  if (!live(within, streams, &unused, &unused) || !live(apart, streams, &unused, &unused)) return false;
  for (uint64_t turn = 0; turn < turns; turn++)
    for (int i = 0; i < 2; i++) {
      bool is_within = (turn + (uint64_t)i) % 2;
      uint64_t before_ns = bench_cpu_ns(broker->pid);
      for (int at = 0; at < HOLDERS; at++) before_ns += bench_cpu_ns(others[at].pid);
      if (!live(is_within ? within : apart, streams, &open_us[is_within][turn], &close_us[is_within][turn]))
        return false;
      uint64_t after_ns = bench_cpu_ns(broker->pid);
      for (int at = 0; at < HOLDERS; at++) after_ns += bench_cpu_ns(others[at].pid);
      others_ns[is_within] += after_ns - before_ns;
    }
  for (uint64_t turn = 0; turn < turns; turn++) {
    open_more[turn] = open_us[1][turn] - open_us[0][turn];
    close_more[turn] = close_us[1][turn] - close_us[0][turn];
  }
  printf("vestry cluster way=digests what=life streams=%" PRIu64
         " open_us=%.2f open_apart_us=%.2f open_more_us=%.2f close_us=%.2f close_apart_us=%.2f close_more_us=%.2f "
         "others_us=%.2f\n",
         streams, bench_median(open_us[1], turns), bench_median(open_us[0], turns), bench_median(open_more, turns),
         bench_median(close_us[1], turns), bench_median(close_us[0], turns), bench_median(close_more, turns),
         ((double)others_ns[1] - (double)others_ns[0]) / 1e3 / (double)(streams * turns));
  return true;
}

/* ---- a local hit ------------------------------------------------------------------------------------------------- */

static bool hit(place *p, json_t *effects, double *ret_ns) {
  vestry_runtime *runtime = vestry_parts_of(p->v)->runtime;
  if (!open_stream(p, 0)) return false;
  while (vestry_runtime_step(runtime)) continue;
  vestry_err error = VESTRY_OK;
  uint64_t began = bench_now_ns();
  for (int i = 0; !error && i < EACH; i++) {
    error =
        vestry_dispatch_with(p->v, effects, &(vestry_dispatch_options){.key = VESTRY_KEY(p->name, UINT64_C(0))}, NULL);
    while (vestry_runtime_step(runtime)) continue;
  }
  *ret_ns = (double)(bench_now_ns() - began) / EACH;
  vestry_memory_destroy(p->streams[0]);
  p->streams[0] = NULL;
  while (vestry_runtime_step(runtime)) continue;
  return !error;
}

/* Step both instances on one thread; the cluster is connected to the other nodes, and knows their keys. */
static bool measure_local(const char *url, uint64_t others_keys) {
  static double within_ns[ROUNDS], apart_ns[ROUNDS], more_ns[ROUNDS];
  place within, apart = {.v = NULL};
  json_t *effects = json_pack("[[s,{s:i}]]", "patch-signals", "counter", 1234);
  bool ok =
      open_place(&within, "local", url, 1, true, false) && open_place(&apart, "local", NULL, 1, true, false) && effects;
  for (uint64_t until_ns = bench_now_ns() + PATIENCE_MS * UINT64_C(1000000); ok;) {
    while (vestry_runtime_step(vestry_parts_of(within.v)->runtime)) continue;
    vestry_cluster_stats stats = cluster_stats(&within);
    if (stats.others_keys_count == others_keys && !stats.unsynced_count) break;
    ok = bench_now_ns() < until_ns;
    bench_sleep_ms(1);
  }
  for (int i = 0; ok && i < ROUNDS; i++) {
    ok = i % 2 ? hit(&within, effects, &within_ns[i]) && hit(&apart, effects, &apart_ns[i])
               : hit(&apart, effects, &apart_ns[i]) && hit(&within, effects, &within_ns[i]);
    more_ns[i] = within_ns[i] - apart_ns[i];
  }
  if (ok)
    printf("vestry cluster way=digests what=local within_ns=%.1f apart_ns=%.1f more_ns=%.1f others_keys=%" PRIu64 "\n",
           bench_median(within_ns, ROUNDS), bench_median(apart_ns, ROUNDS), bench_median(more_ns, ROUNDS), others_keys);
  close_place(&within, 1);
  close_place(&apart, 1);
  json_decref(effects);
  return ok;
}

int bench_cluster_digests(uint64_t streams, uint64_t turns) {
  static const char *const names[HOLDERS] = {"holder-1", "holder-2"};
  bench_process processes[HOLDERS] = {{0}};
  broker_server broker = {0};
  place within = {.v = NULL}, apart = {.v = NULL};
  holder *holders = bench_shared_memory(HOLDERS * sizeof *holders);
  const char *url = broker_server_start(&broker);
  bool ok = holders && url;
  for (int i = 0; ok && i < HOLDERS; i++) {
    holders[i].name = names[i];
    holders[i].streams = streams;
    strcpy(holders[i].url, url);
    ok = !sem_init(&holders[i].begins, 1, 0) && bench_fork(&processes[i], hold, &holders[i]);
  }
  ok = ok && open_place(&within, "within", url, streams, false, true) &&
       bench_cluster_wait(bench_cluster_of(within.cluster), HOLDERS) && measure_memory(&within, holders, streams);
  ok = ok && open_place(&apart, "apart", NULL, streams, false, true) &&
       measure_lives(&within, &apart, processes, &broker, streams, turns);
  ok = ok && measure_local(url, HOLDERS * streams);
  if (!ok) fprintf(stderr, "vestry-bench: keys or streams were not added or removed as expected\n");
  close_place(&within, streams);
  close_place(&apart, streams);
  for (int i = 0; i < HOLDERS; i++) bench_process_end(&processes[i]);
  broker_server_stop(&broker);
  return ok ? 0 : 1;
}
