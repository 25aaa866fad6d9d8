/* SPDX-License-Identifier: MIT */
/* The handler of one page sleeps. Meanwhile clients send POSTs that change their private pages, and streams without
 * changes get heartbeats. The time of a POST, and the time between two heartbeats of a stream, are measured. Rounds
 * with and without the sleeper alternate, on the same server and the same streams. In a round with the sleeper, it
 * sleeps from the first POST to the last. If a busy machine took longer, the round is repeated, and its POSTs do not
 * count. A round with the sleeper and one without are a pair, whose percentiles are compared. The ratios of all pairs
 * are reported, so that those of several runs can be taken together. */
#include "page_sleeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "client.h"
#include "readers.h"

enum { AWAKE, ASLEEP, BETWEEN, PATH_BYTES = 128 };
enum { PAUSE_MS = 300, FALLS_ASLEEP_MS = 20000, TRIES = 8 };

typedef enum round_end { ROUND_DONE, ROUND_TOO_LONG, ROUND_FAILED } round_end;

typedef struct sleeper_load {
  const page_sleeper *options;
  readers *busy, *quiet, *sleeper;
  bench_client client;
  histogram posts[2];
  double last_p99[2]; /* of the POSTs of the last round of each kind */
  double *ratios;     /* of the pairs */
  uint64_t posted;
} sleeper_load;

static readers *open_pages(const page_sleeper *s, const char *path, uint64_t count) {
  readers *all = readers_create(&(readers_options){.count = count,
                                                   .threads = 1,
                                                   .window = 1,
                                                   .other = "data: signals ", /* heartbeats */
                                                   .times_others = true,
                                                   .path = path,
                                                   .port = s->port});
  if (all && readers_open(all)) return all;
  readers_destroy(all);
  return NULL;
}

static bool open_all(sleeper_load *l) {
  const page_sleeper *s = l->options;
  char busy[PATH_BYTES], sleeper[PATH_BYTES];
  snprintf(busy, sizeof busy, "/page?topic=busy&private=1&bytes=%" PRIu64, s->bytes);
  snprintf(sleeper, sizeof sleeper, "/page?topic=sleeper&private=1&sleep_ms=%" PRIu64, s->sleep_ms);
  l->busy = open_pages(s, busy, s->pages);
  l->quiet = l->busy ? open_pages(s, "/page?topic=quiet&private=1", s->pages) : NULL;
  l->sleeper = l->quiet ? open_pages(s, sleeper, 1) : NULL;
  return l->sleeper;
}

static bool post(sleeper_load *l, const char *path, uint64_t *ret_ns) {
  char text[64];
  snprintf(text, sizeof text, "%" PRIu64 " changes", l->posted++);
  uint64_t began = bench_now_ns();
  int status = bench_post(&l->client, path, "", text, strlen(text));
  *ret_ns = bench_now_ns() - began;
  return status == 204;
}

static bool is_asleep(const sleeper_load *l) {
  return bench_server_stat(l->options->port, "pages.sleeping") == 1;
}

static bool fall_asleep(sleeper_load *l) {
  uint64_t ns;
  if (!post(l, "/state?topic=sleeper", &ns)) return false;
  for (int i = 0; i < FALLS_ASLEEP_MS; i++) {
    if (is_asleep(l)) return true;
    bench_sleep_ms(1);
  }
  return false;
}

/* Run a round: POSTs at their due times, all within the sleep. */
static round_end run_round(sleeper_load *l, int lane) {
  static histogram posts;
  const page_sleeper *s = l->options;
  uint64_t lasts_ms = s->sleep_ms - s->sleep_ms / 5, count = lasts_ms * s->a_second / 1000, ns;
  memset(&posts, 0, sizeof posts);
  bench_client_finish(&l->client); /* the server may have closed it while no POST was sent */
  if (lane == ASLEEP && !fall_asleep(l)) return ROUND_FAILED;
  if (!post(l, "/state?topic=busy", &ns)) return ROUND_FAILED; /* opens another connection, which is not timed */
  readers_lane_set(l->quiet, (unsigned)lane);
  uint64_t began = bench_now_ns();
  for (uint64_t i = 0; i < count; i++) {
    bench_sleep_until_ns(began + i * UINT64_C(1000000000) / s->a_second);
    if (!post(l, "/state?topic=busy", &ns)) return ROUND_FAILED;
    histogram_add(&posts, ns);
  }
  readers_lane_set(l->quiet, BETWEEN);
  bool is_whole = lane == AWAKE || is_asleep(l);
  if (is_whole) histogram_merge(&l->posts[lane], &posts);
  l->last_p99[lane] = histogram_percentile_ns(&posts, 0.99);
  while (lane == ASLEEP && is_asleep(l)) bench_sleep_ms(10);
  bench_sleep_ms(PAUSE_MS);
  return is_whole ? ROUND_DONE : ROUND_TOO_LONG;
}

static bool run_until_whole(sleeper_load *l, int lane) {
  for (int i = 0; i < TRIES; i++) {
    round_end end = run_round(l, lane);
    if (end == ROUND_DONE) return true;
    if (end == ROUND_FAILED) break;
    fprintf(stderr, "vestry-bench: pages: the POSTs took longer than the sleeper slept; repeating the round\n");
  }
  fprintf(stderr, "vestry-bench: pages: a POST failed, or a sleeper did not sleep\n");
  return false;
}

static double ratio(double asleep, double awake) {
  return awake ? asleep / awake : 0;
}

static int report(sleeper_load *l) {
  const page_sleeper *s = l->options;
  static histogram beats[2];
  readers_counts busy, quiet;
  readers_stop(l->busy);
  readers_stop(l->quiet);
  readers_count(l->busy, &busy);
  readers_count(l->quiet, &quiet);
  for (unsigned lane = AWAKE; lane <= ASLEEP; lane++) readers_beats(l->quiet, lane, &beats[lane]);
  double post_p99[2], beat_p99[2];
  for (unsigned lane = AWAKE; lane <= ASLEEP; lane++) {
    post_p99[lane] = histogram_percentile_ns(&l->posts[lane], 0.99) / 1e6;
    beat_p99[lane] = histogram_percentile_ns(&beats[lane], 0.99) / 1e6;
  }
  printf("vestry pages sleeper pages=%" PRIu64 " rounds=%" PRIu64 " sleep_ms=%" PRIu64 " a_second=%" PRIu64
         " bytes=%" PRIu64 " posts=%" PRIu64 " heartbeats=%" PRIu64 " broken=%" PRIu64,
         s->pages, s->rounds, s->sleep_ms, s->a_second, s->bytes, l->posts[ASLEEP].total, beats[ASLEEP].total,
         busy.broken + quiet.broken);
  printf(" post_p50_ms=%.3f post_asleep_p50_ms=%.3f post_p99_ms=%.3f post_asleep_p99_ms=%.3f post_ratios=",
         histogram_percentile_ns(&l->posts[AWAKE], 0.5) / 1e6, histogram_percentile_ns(&l->posts[ASLEEP], 0.5) / 1e6,
         post_p99[AWAKE], post_p99[ASLEEP]);
  for (uint64_t pair = 0; pair < s->rounds; pair++) printf("%s%.3f", pair ? "," : "", l->ratios[pair]);
  printf(" beat_p99_ms=%.3f beat_asleep_p99_ms=%.3f beat_ratio=%.3f\n", beat_p99[AWAKE], beat_p99[ASLEEP],
         ratio(beat_p99[ASLEEP], beat_p99[AWAKE]));
  if (!busy.broken && !quiet.broken && beats[AWAKE].total && beats[ASLEEP].total) return 0;
  fprintf(stderr, "vestry-bench: streams broke, or got no heartbeats\n");
  return 1;
}

int bench_page_sleeper(const page_sleeper *s) {
  static sleeper_load l;
  l = (sleeper_load){.options = s, .client = {s->port, -1}};
  bench_raise_descriptors();
  l.ratios = calloc(s->rounds, sizeof *l.ratios);
  bool ok = l.ratios && open_all(&l);
  if (ok) readers_lane_set(l.quiet, BETWEEN);
  for (uint64_t round = 0; ok && round < 2 * s->rounds; round++) {
    int lane = (int)((round + round / 2) % 2); /* each kind is first in half of the pairs */
    ok = run_until_whole(&l, lane);
    if (round % 2) l.ratios[round / 2] = ratio(l.last_p99[ASLEEP], l.last_p99[AWAKE]);
  }
  int status = ok ? report(&l) : 1;
  readers_destroy(l.busy);
  readers_destroy(l.quiet);
  readers_destroy(l.sleeper);
  bench_client_finish(&l.client);
  free(l.ratios);
  return status;
}
