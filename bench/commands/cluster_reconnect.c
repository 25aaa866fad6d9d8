/* SPDX-License-Identifier: MIT */
/* Many streams of one node reconnect at once, while this node dispatches to a third one: the effect on uninvolved
 * nodes.
 *
 *   quiet    no client reconnects
 *   apart    the node whose streams reconnect is in no cluster: the cost of sockets and processors alone
 *   within   the node is in the cluster: two changes for each stream are announced to all nodes
 *
 * The phases alternate. Another process has the streams; it resets all of them, and connects them again. */
#include <inttypes.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "broker.h"
#include "client.h"
#include "cluster.h"
#include "cluster_load.h"
#include "histogram.h"
#include "nodes.h"
#include "stream.h"

enum { SOURCES = 8, QUIET_NS = 600000000, PAUSE_MS = 1, PATIENCE_MS = 10000 };
enum { QUIET, APART, WITHIN, PHASES };
static const char *const names[PHASES] = {"quiet", "apart", "within"};

/* Data shared with a process that has streams. */
typedef struct shared {
  sem_t begins; /* posted to make the streams reconnect */
  uint64_t streams;
  int port;
  _Atomic(bool) is_done, has_failed;
} shared;

static bool read_head(bench_stream *stream) {
  char data[4096];
  while (stream->at == STREAM_HEAD) {
    struct pollfd wait = {stream->fd, POLLIN, 0};
    if (poll(&wait, 1, PATIENCE_MS) != 1) return false;
    ssize_t got = recv(stream->fd, data, sizeof data, 0);
    if (got <= 0 || !bench_stream_feed(stream, data, (size_t)got, NULL, NULL)) return false;
  }
  return true;
}

static bool open_all(const shared *s, bench_stream *streams) {
  bool all = true;
  for (uint64_t i = 0; all && i < s->streams; i++) {
    char path[64];
    snprintf(path, sizeof path, "/sub?key=k%" PRIu64, i);
    all = bench_stream_open(&streams[i],
                            &(bench_subscription){.port = s->port, .path = path, .source = (unsigned)(i % SOURCES)});
  }
  for (uint64_t i = 0; all && i < s->streams; i++) all = read_head(&streams[i]);
  return all;
}

static void be_streams(void *ctx) {
  shared *s = ctx;
  bench_stream *streams = calloc(s->streams, sizeof *streams);
  for (uint64_t i = 0; streams && i < s->streams; i++) streams[i].fd = -1;
  for (;;) {
    while (sem_wait(&s->begins)) continue;
    for (uint64_t i = 0; streams && i < s->streams; i++) bench_stream_finish(&streams[i], true);
    if (!streams || !open_all(s, streams)) atomic_store(&s->has_failed, true);
    atomic_store(&s->is_done, true);
  }
}

typedef struct run {
  shared *shared[PHASES]; /* NULL: no client reconnects */
  broker_server broker;
  bench_process clients[PHASES], nodes[PHASES], third;
  vestry *v;
  bench_cluster *cluster;
  bench_stream watched;
  uint64_t number, unanswered, not_alive;
  histogram arrival[PHASES];
  double reconnect_ms[PHASES], known_ms;
} run;

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void take_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  static const char before[] = "data: signals {\"v\":";
  (void)stream;
  if (len > sizeof before && memcmp(line, before, sizeof before - 1) == 0)
    *(uint64_t *)ctx = strtoull(line + sizeof before - 1, NULL, 10);
}

static bool complain(const char *what) {
  fprintf(stderr, "vestry-bench: %s\n", what);
  return false;
}

/* Dispatch to the third node, and wait for the arrival. */
static bool notice(run *r, int phase) {
  uint64_t number = ++r->number, came = 0;
  char data[4096];
  json_t *effects = json_pack("[[s,{s:I}]]", "patch-signals", "v", (json_int_t)number);
  uint64_t began = bench_now_ns();
  vestry_err error = vestry_dispatch_with(
      r->v, effects, &(vestry_dispatch_options){.key = VESTRY_KEY("key", vestry_key_bytes("watched", 7))}, NULL);
  json_decref(effects);
  if (error) {
    fprintf(stderr, "vestry-bench: while %s: %s\n", names[phase], vestry_strerror(error));
    r->unanswered++;
    return error == VESTRY_TIMEOUT;
  }
  while (came != number) {
    struct pollfd wait = {r->watched.fd, POLLIN, 0};
    if (poll(&wait, 1, PATIENCE_MS) != 1) return complain("a dispatch did not arrive");
    ssize_t got = recv(r->watched.fd, data, sizeof data, 0);
    if (got <= 0 || !bench_stream_feed(&r->watched, data, (size_t)got, take_line, &came)) return false;
  }
  histogram_add(&r->arrival[phase], bench_now_ns() - began);
  static const char *const others[] = {"third", "within"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    r->not_alive += vestry_cluster_member(bench_cluster_of(r->cluster), others[i]) != VESTRY_MEMBER_ALIVE;
  bench_sleep_ms(PAUSE_MS);
  return true;
}

static bool keys_are_known(const run *r) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(bench_cluster_of(r->cluster), &stats);
  /* and the key of the measured stream */
  return !stats.unsynced_count && stats.others_keys_count == r->shared[WITHIN]->streams + 1;
}

static bool be_quiet(run *r) {
  bool ok = true;
  for (uint64_t until_ns = bench_now_ns() + QUIET_NS; ok && bench_now_ns() < until_ns;) ok = notice(r, QUIET);
  return ok;
}

/* Reconnect all streams, and wait until they are connected and known. */
static bool reconnect(run *r, int phase, bool counts) {
  bool ok = true;
  shared *s = r->shared[phase];
  atomic_store(&s->is_done, false);
  uint64_t began = bench_now_ns();
  sem_post(&s->begins);
  while (ok && !atomic_load(&s->is_done))
    if (counts)
      ok = notice(r, phase);
    else
      bench_sleep_ms(PAUSE_MS);
  uint64_t opened = bench_now_ns(), until_ns = opened + PATIENCE_MS * UINT64_C(1000000);
  while (ok && phase == WITHIN && !keys_are_known(r) && bench_now_ns() < until_ns)
    if (counts)
      ok = notice(r, phase);
    else
      bench_sleep_ms(PAUSE_MS);
  if (counts) r->reconnect_ms[phase] += (double)(opened - began) / 1e6;
  if (counts && phase == WITHIN) r->known_ms += (double)(bench_now_ns() - opened) / 1e6;
  if (atomic_load(&s->has_failed)) return complain("not all streams reconnected");
  if (phase == WITHIN && !keys_are_known(r)) return complain("not all keys are known");
  return ok;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Start the nodes of a phase, with 1.5 times the number of streams, because the ends of old streams may be detected
 * after new ones have opened. */
static bool begin_phase(run *r, int phase, const char *url, uint64_t streams) {
  shared *s = r->shared[phase] = bench_shared_memory(sizeof *s);
  if (!s || sem_init(&s->begins, 1, 0)) return false;
  if (!bench_node_start(&r->nodes[phase], url, names[phase], streams * 3 / 2)) return false;
  s->streams = streams;
  s->port = r->nodes[phase].port;
  return bench_fork(&r->clients[phase], be_streams, s);
}

static bool begin(run *r, uint64_t streams) {
  const char *url = broker_server_start(&r->broker);
  if (!url || !bench_node_start(&r->third, url, "third", 64)) return false;
  if (!begin_phase(r, APART, NULL, streams) || !begin_phase(r, WITHIN, url, streams)) return false;
  vestry_err error = vestry_create(&(vestry_options){.store = "hash"}, &r->v);
  if (!error) error = bench_cluster_create(r->v, url, "here", NULL, &r->cluster);
  if (error || !bench_cluster_wait(bench_cluster_of(r->cluster), 2)) return false;
  if (!bench_stream_open(&r->watched, &(bench_subscription){.port = r->third.port, .path = "/sub?key=watched"}) ||
      !read_head(&r->watched))
    return false;
  return reconnect(r, APART, false) && reconnect(r, WITHIN, false);
}

static void finish(run *r) {
  for (int i = 0; i < PHASES; i++) bench_process_end(&r->clients[i]);
  if (r->watched.decoder) bench_stream_finish(&r->watched, false);
  if (r->v) (void)vestry_stop(r->v, VESTRY_NEVER_MS);
  bench_cluster_destroy(r->cluster);
  vestry_destroy(r->v);
  bench_process_end(&r->third);
  for (int i = 0; i < PHASES; i++) bench_process_end(&r->nodes[i]);
  broker_server_stop(&r->broker);
}

int bench_cluster_reconnect(uint64_t streams, uint64_t turns) {
  static run r;
  bool ran = begin(&r, streams);
  for (uint64_t turn = 0; ran && turn < turns; turn++)
    ran = be_quiet(&r) && reconnect(&r, APART, true) && be_quiet(&r) && reconnect(&r, WITHIN, true);
  for (int i = 0; ran && i < PHASES; i++)
    printf("vestry cluster way=reconnect what=%s streams=%" PRIu64 " dispatches=%" PRIu64
           " p50_us=%.1f p99_us=%.1f max_us=%.1f reconnect_ms=%.1f known_ms=%.1f unanswered=%" PRIu64
           " not_alive=%" PRIu64 "\n",
           names[i], streams, r.arrival[i].total, histogram_percentile_ns(&r.arrival[i], 0.5) / 1e3,
           histogram_percentile_ns(&r.arrival[i], 0.99) / 1e3, (double)r.arrival[i].max_ns / 1e3,
           r.reconnect_ms[i] / (double)turns, i == WITHIN ? r.known_ms / (double)turns : 0.0, r.unanswered,
           r.not_alive);
  finish(&r);
  return ran ? 0 : 1;
}
