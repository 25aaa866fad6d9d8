/* SPDX-License-Identifier: MIT */
/* The cost of live pages compared with polled pages: the same pages and the same rate of messages. Pages are rendered
 * for the commits that concern them, or once per second; or by topics: the program that writes names the pages that it
 * concerns, nothing follows the commits, and no reads are recorded. The floor is by topics, too, and the program itself
 * reads a channel once for each message, by one statement, and keeps its HTML for all pages of the channel. The
 * processor time of this process and of the database server is measured one way after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"
#include "postgres.h"

enum { A_SECOND = 20, SECOND_NS = 1000000000, WAIT_MS = 60000 };

typedef struct usage {
  uint64_t own_ns, database_ns, renders;
  vestry_postgres_stats stats; /* if the pages are followed */
} usage;

typedef enum way { POLLED, FOLLOWED, TOPICS, KEPT, WAYS } way;

static usage look(const channels *c) {
  usage now = {bench_cpu_ns(getpid()),
               bench_family_cpu_ns((int)c->is->database_pid),
               atomic_load_explicit(&c->renders, memory_order_relaxed),
               {0}};
  if (c->database) vestry_postgres_stats_get(c->database, &now.stats);
  return now;
}

/* Send messages for some seconds. If polled, render all pages each second. */
static bool pass(channels *c, way is) {
  const uint64_t began_ns = bench_now_ns();
  for (uint64_t i = 0; i < c->is->seconds * A_SECOND; i++) {
    const uint64_t at_ns = began_ns + i * SECOND_NS / A_SECOND, now_ns = bench_now_ns();
    if (at_ns > now_ns) bench_sleep_ms((at_ns - now_ns) / 1000000);
    if (is == POLLED && i % A_SECOND == 0 && vestry_refresh(c->pages, NULL, NULL)) return false;
    if (!channels_insert(c)) return false;
    char topic[32];
    snprintf(topic, sizeof topic, "channel/%" PRIu64, c->channel);
    if (is >= TOPICS && vestry_refresh(c->pages, topic, NULL)) return false;
  }
  const uint64_t passed_ms = (bench_now_ns() - began_ns) / 1000000;
  if (passed_ms < c->is->seconds * 1000) bench_sleep_ms(c->is->seconds * 1000 - passed_ms);
  return channels_settle(c);
}

static bool measure(const channels_options *options, way is, double *ret_cores) {
  static const char *const names[] = {"polled", "followed", "topics", "kept"};
  const channels_way of = {
      .threads_count = 2, .is_followed = is == FOLLOWED, .has_topics = is >= TOPICS, .keeps_reads = is == KEPT};
  channels c;
  bool is_done = channels_open(&c, options, &of) && channels_show(&c, options->pages);
  if (is_done) {
    const usage before = look(&c);
    is_done = pass(&c, is);
    const usage after = look(&c);
    const double seconds = (double)options->seconds, own = (double)(after.own_ns - before.own_ns) / 1e9 / seconds,
                 database = (double)(after.database_ns - before.database_ns) / 1e9 / seconds;
    *ret_cores = own + database;
    printf("polling way=%s pages=%" PRIu64 " renders_a_second=%.1f recorded_a_second=%.1f own_cores=%.4f "
           "database_cores=%.4f cores=%.4f\n",
           names[is], c.tabs_count, (double)(after.renders - before.renders) / seconds,
           (double)(after.stats.recorded_count - before.stats.recorded_count) / seconds, own, database, own + database);
  }
  channels_close(&c);
  return is_done;
}

bool channels_polling(const channels_options *options) {
  double cores[WAYS];
  if (!options->database_pid) return channels_complain("polling: --database-pid is required");
  for (way is = POLLED; is < WAYS; is++)
    if (!measure(options, is, &cores[is])) return false;
  printf("beside-polling ratio=%.3f topics=%.3f floor=%.3f\n", cores[FOLLOWED] / cores[POLLED],
         cores[TOPICS] / cores[POLLED], cores[KEPT] / cores[POLLED]);
  return true;
}
