/* SPDX-License-Identifier: MIT */
/* The delay of writers during queries: a thread sends events, and periodically opens and ends streams, alternately with
 * and without continuous queries by another thread. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "histogram.h"
#include "observe.h"

enum { TURN_MS = 100, OPENED_EACH = 16, LOOKS_EACH = 3 };

typedef struct writer {
  looked_into *l;
  pthread_t thread;
  uint64_t random;
  histogram sends, streams; /* of all turns: an event; opening and ending a stream */
  uint64_t longest_ns;
  bool failed;
  atomic_bool is_over;
} writer;

static bool send_one(writer *w) {
  /* these streams are never blocked */
  const uint64_t number = bench_random(&w->random) % (w->l->streams_count / 10) * 10;
  const bool is_sent = !vestry_connection_send(vestry_memory_look(w->l->streams[number]).connection, w->l->event);
  looked_into_step(w->l);
  return is_sent;
}

static bool come_and_go(writer *w) {
  vestry_memory_exchange *stream = looked_into_add(w->l);
  looked_into_drop(w->l, stream);
  return stream != NULL;
}

static void *write_on(void *of) {
  writer *w = of;
  for (uint64_t n = 0; !atomic_load(&w->is_over) && !w->failed; n++) {
    const uint64_t since_ns = bench_now_ns();
    const bool is_send = n % OPENED_EACH;
    w->failed = !(is_send ? send_one(w) : come_and_go(w));
    const uint64_t took_ns = bench_now_ns() - since_ns;
    histogram_add(is_send ? &w->sends : &w->streams, took_ns);
    if (took_ns > w->longest_ns) w->longest_ns = took_ns;
  }
  return NULL;
}

static bool ask(looked_into *l, const char *path, const char *query) {
  vestry_memory_exchange *answer = looked_into_ask(l, path, query);
  const bool is_well = answer && vestry_memory_look(answer).status == 200;
  vestry_memory_destroy(answer);
  return is_well;
}

/* Perform one query of each kind: a page of a listing, the explanation of a stream, a scrape. */
static bool look(looked_into *l, uint64_t number) {
  static const char *const queries[] = {"sort=newest", "sort=oldest", "sort=queued", "sort=bytes"};
  char path[64];
  snprintf(path, sizeof path, "/observe/streams/%" PRIu64,
           vestry_connection_look(vestry_memory_look(l->streams[l->streams_count - 1]).connection).id);
  return ask(l, "/observe/streams", queries[number % 4]) && ask(l, path, NULL) && ask(l, "/observe/metrics", NULL);
}

/* Run a turn. looks: incremented for each query; NULL: without queries. */
static bool take_turn(writer *w, uint64_t *looks) {
  const uint64_t until_ns = bench_now_ns() + TURN_MS * UINT64_C(1000000);
  bool is_well = true;
  w->longest_ns = 0;
  atomic_store(&w->is_over, false);
  if (pthread_create(&w->thread, NULL, write_on, w)) return false;
  if (looks)
    while (is_well && bench_now_ns() < until_ns) is_well = look(w->l, (*looks)++);
  else
    bench_sleep_ms(TURN_MS);
  atomic_store(&w->is_over, true);
  pthread_join(w->thread, NULL);
  return is_well && !w->failed;
}

static void print_of(const char *name, const histogram *plain, const histogram *looked) {
  printf(" %s_p50_us=%.2f looked_%s_p50_us=%.2f %s_p999_us=%.2f looked_%s_p999_us=%.2f", name,
         histogram_percentile_ns(plain, 0.5) / 1e3, name, histogram_percentile_ns(looked, 0.5) / 1e3, name,
         histogram_percentile_ns(plain, 0.999) / 1e3, name, histogram_percentile_ns(looked, 0.999) / 1e3);
}

bool observe_writers(looked_into *l) {
  static double plain_us[OBSERVE_TURNS_MOST], looked_us[OBSERVE_TURNS_MOST];
  static writer plain, looked;
  uint64_t looks = 0;
  plain = (writer){.l = l, .random = 1};
  looked = (writer){.l = l, .random = 1};
  if (!looked_into_observe(l)) return false;
  for (uint64_t turn = 0; turn < l->turns; turn++) {
    for (uint64_t i = 0; i < 2; i++)
      if (!((turn + i) % 2 ? take_turn(&looked, &looks) : take_turn(&plain, NULL))) return false;
    plain_us[turn] = (double)plain.longest_ns / 1e3;
    looked_us[turn] = (double)looked.longest_ns / 1e3;
  }
  printf("writers turns=%" PRIu64 " looks=%" PRIu64 " longest_us=%.1f looked_longest_us=%.1f", l->turns,
         looks * LOOKS_EACH, bench_share(plain_us, l->turns, 0.5), bench_share(looked_us, l->turns, 0.5));
  print_of("send", &plain.sends, &looked.sends);
  print_of("stream", &plain.streams, &looked.streams);
  printf("\n");
  return true;
}
