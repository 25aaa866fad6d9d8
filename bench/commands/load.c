/* SPDX-License-Identifier: MIT */
/* vestry-bench load: N streams, and R rounds of one broadcast each, or of one event to one of them. Every stream must
 * receive all its events in order, byte for byte. Optionally, further streams never read or are killed; with HTTP/2,
 * --unread N adds one that is never read to each of the first N connections. With --puts-off, data is read and timed at
 * once, but decoded and checked when no more arrives. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "h2.h"
#include "observed.h"
#include "payload.h"
#include "readers.h"

enum { STREAMS_MOST = 25000 /* as many connections of HTTP/1.1 */ };
enum { PIDS_MOST = 64, PORTS_MOST = 64, STALLED_BYTES = 2048, KILLED_EACH_ROUND = 10 /* one stream in 10 */ };

/* The known servers; each needs another POST for the same event. */
enum { SERVER_VESTRY, SERVER_NCHAN, SERVER_SOCKETIO, SERVERS };
static const char *const servers[SERVERS] = {"vestry", "nchan", "socketio"};

#define SOCKETIO_PATH "/socket.io/?EIO=4&transport=websocket"

typedef struct load {
  uint64_t port, streams, stalled, killed, rounds, warm, burst, threads, pause_ms, patience_ms, idle_ms, seed, random;
  uint64_t is_keyed, is_elsewhere, is_here, is_channel, is_own, is_apart, puts_off, drain_ms;
  uint64_t h2_streams, is_plain; /* streams of a connection of HTTP/2; 0: HTTP/1.1 */
  uint64_t unread;               /* further streams, one of a connection of HTTP/2 */
  int ports[PORTS_MOST];         /* of the nodes; the first receives the POSTs, or each if they are apart */
  size_t ports_count;
  payload payload;
  const char *encoding;
  int server;
  int pids[PIDS_MOST];
  size_t pids_count;
  observed observed; /* pairs: 0: only one turn */
  uint64_t next;     /* the next round */
  readers *readers;
  bench_client publisher, others_publishers[PORTS_MOST]; /* the latter: if nodes are apart, of those after the first */
  bench_h2 *h2_publisher;                                /* NULL: HTTP/1.1 */
  bench_stream *others;                                  /* stalled ones, then killed ones */
  uint64_t kills;
  char *post; /* body for nchan */
} load;

/* Sums over the server's processes. */
typedef struct usage {
  uint64_t cpu_ns, user_ns, memory_bytes;
  int64_t own_bytes; /* memory of vestry; -1: not requested */
} usage;

static int send_request(load *l, const char *method, const char *path, const char *name, const char *value,
                        const char *body, size_t len, char *answer, size_t capacity) {
#ifdef BENCH_H2
  for (int i = 0, status = -1; l->h2_streams && i < 2; i++) { /* the server may have ended a connection that was idle */
    if (!l->h2_publisher) l->h2_publisher = bench_h2_connect((int)l->port, 0, !l->is_plain, NULL);
    if (l->h2_publisher)
      status = bench_h2_request(l->h2_publisher, method, path, name, value, body, len, answer, capacity);
    if (status > 0 || i) return status;
    bench_h2_free(l->h2_publisher);
    l->h2_publisher = NULL;
  }
#endif
  char header[128] = "";
  if (answer) return bench_request((int)l->port, method, path, body, len, answer, capacity);
  if (name) snprintf(header, sizeof header, "%s: %s\r\n", name, value);
  return bench_post(&l->publisher, path, header, body, len);
}

static int64_t stat(load *l, const char *name) {
  char answer[4096];
  return send_request(l, "GET", "/stats", NULL, NULL, "", 0, answer, sizeof answer) == 200 ? bench_stat_of(answer, name)
                                                                                           : -1;
}

static usage look(load *l) {
  usage all = {.own_bytes = l->is_own ? stat(l, "memory") : -1};
  for (size_t i = 0; i < l->pids_count; i++) {
    all.cpu_ns += bench_cpu_ns(l->pids[i]);
    all.user_ns += bench_user_ns(l->pids[i]);
    all.memory_bytes += bench_memory_bytes(l->pids[i]);
  }
  return all;
}

/* Wait until previous streams have ended and released their memory, so that it is not counted. */
static void wait_until_quiet(load *l) {
  int64_t before = -1;
  for (uint64_t end_ns = bench_now_ns() + l->patience_ms * 1000000; bench_now_ns() < end_ns; bench_sleep_ms(20)) {
    int64_t now = stat(l, "open") ? -1 : stat(l, "memory");
    if (now >= 0 && now == before) return;
    before = now;
  }
}

/* ---- other streams ----------------------------------------------------------------------------------------------- */

static bool open_other(load *l, uint64_t i) {
  bench_subscription how = {.port = (int)l->port,
                            .path = "/sub",
                            .source = (unsigned)(i % READERS_SOURCES),
                            .encoding = l->encoding,
                            .receive_bytes = i < l->stalled ? STALLED_BYTES : 0}; /* so that it stalls earlier */
  if (bench_stream_open(&l->others[i], &how)) return true;
  fprintf(stderr, "vestry-bench: cannot open another stream: %s\n", strerror(errno));
  return false;
}

static bool open_others(load *l) {
  l->others = calloc(l->stalled + l->killed + 1, sizeof *l->others);
  if (!l->others) return false;
  for (uint64_t i = 0; i < l->stalled + l->killed; i++) l->others[i].fd = -1;
  for (uint64_t i = 0; i < l->stalled + l->killed; i++)
    if (!open_other(l, i)) return false;
  return true;
}

/* Kill some streams in each round, alternately by a close and a reset, and open others. */
static bool kill_some(load *l) {
  uint64_t count = (l->killed + KILLED_EACH_ROUND - 1) / KILLED_EACH_ROUND;
  for (uint64_t i = 0; i < count; i++, l->kills++) {
    uint64_t victim = l->stalled + l->kills % l->killed;
    bench_stream_finish(&l->others[victim], l->kills % 2);
    if (!open_other(l, victim)) return false;
  }
  return true;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static bool post(load *l, const char *path) {
  const char *name = NULL, *body = l->payload.body;
  size_t len = l->payload.len;
  if (l->server == SERVER_NCHAN) { /* it makes an event of any text; vestry's POST makes one of signals */
    name = "x-eventsource-event";
    len = (size_t)sprintf(l->post, "signals {\"v\":%.*s}", (int)len, body);
    body = l->post;
  }
  int status = send_request(l, "POST", path, name, "datastar-patch-signals", body, len, NULL, 0);
  for (size_t i = 1; l->is_apart && i < l->ports_count && status >= 200 && status < 300; i++)
    status = bench_post(&l->others_publishers[i], path, "", body, len);
  if (status >= 200 && status < 300) return true;
  fprintf(stderr, "vestry-bench: POST %s got status %d\n", path, status);
  return false;
}

static bool publish(load *l, uint64_t n) {
  char path[64] = "/pub";
  readers_round *round = readers_next_round(l->readers);
  if (!payload_make(&l->payload, n, round)) return false;
  if (l->payload.change_bytes) strcpy(path, "/html");
  if (l->is_channel) strcat(path, "?channel");
  if (l->is_keyed) {
    round->target = (size_t)(bench_random(&l->random) % l->streams);
    if (l->is_here) round->target -= round->target % l->ports_count;
    if (l->is_elsewhere && round->target % l->ports_count == 0)
      round->target += round->target + 1 < l->streams ? 1 : UINT64_MAX;
    snprintf(path, sizeof path, "/pub?key=k%zu", round->target);
  }
  round->sent_ns = bench_now_ns();
  readers_publish(l->readers);
  return post(l, path);
}

static uint64_t each_round(const load *l) {
  return l->is_keyed ? 1 : l->streams;
}

static uint64_t rss_bytes(const load *l) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < l->pids_count; i++) bytes += bench_rss_bytes(l->pids[i]);
  return bytes;
}

/* Run rounds; *peak_bytes receives the maximum of the memory. false: an event is missing. */
static bool run_rounds(load *l, uint64_t from, uint64_t to, uint64_t *peak_bytes) {
  for (uint64_t n = from; n < to;) {
    for (uint64_t until = n + l->burst; n < until && n < to; n++)
      if ((l->killed && !kill_some(l)) || !publish(l, n)) return false;
    if (!readers_wait(l->readers, n * each_round(l), l->patience_ms)) return false;
    if (!l->is_keyed) { /* a round is long enough to read the memory */
      uint64_t bytes = rss_bytes(l);
      if (bytes > *peak_bytes) *peak_bytes = bytes;
    }
    if (l->pause_ms) bench_sleep_ms(l->pause_ms);
  }
  return true;
}

static bool run_turn(void *of) {
  load *l = of;
  uint64_t peak_bytes = 0;
  l->next += l->rounds;
  return run_rounds(l, l->next - l->rounds, l->next, &peak_bytes);
}

/* Run pairs of turns; the rounds of all turns are counted at the end. */
static bool run_observed(load *l) {
  l->next = l->warm;
  l->observed.looker.port = (int)l->port;
  l->observed.looker.pid = l->pids[0];
  l->observed.turn = run_turn;
  l->observed.ctx = l;
  const bool is_well = observed_run(&l->observed);
  l->rounds = l->next - l->warm;
  return is_well;
}

/* This process, which is not measured: what a run of this size costs its clients. */
typedef struct self {
  uint64_t cpu_ns, memory_bytes;
} self;

static self look_at_self(void) {
  return (self){bench_cpu_ns(getpid()), bench_own_memory_bytes()};
}

/* Usage without connections, with idle streams, and before and after the measured rounds. */
typedef struct outcome {
  usage empty, idle, before, after;
  self self_empty, self_idle, self_before, self_after;
  readers_counts counts_before, counts;
  histogram latency;
  double seconds;
  uint64_t busiest_second; /* of a drain: the number of streams that ended within it */
  double drain_seconds;
  uint64_t idle_rss_bytes, peak_rss_bytes;
  double opening_seconds;
} outcome;

static int report(const load *l, const outcome *o) {
  uint64_t wanted = (l->warm + l->rounds) * each_round(l), came = o->counts.deliveries;
  uint64_t lost = wanted > came ? wanted - came : 0, deliveries = came - o->counts_before.deliveries;
  double each = deliveries ? (double)deliveries : 1,
         streams = (double)(l->streams + l->stalled + l->killed + l->unread);
  printf("vestry load server=%s mode=%s encoding=%s streams=%" PRIu64 " stalled=%" PRIu64 " killed=%" PRIu64
         " rounds=%" PRIu64 " warm=%" PRIu64 " burst=%" PRIu64 " payload_bytes=%zu threads=%" PRIu64 " seed=%" PRIu64,
         servers[l->server],
         l->is_keyed               ? "keyed"
         : l->payload.change_bytes ? "page"
                                   : "broadcast",
         l->encoding ? l->encoding : "identity", l->streams, l->stalled, l->killed, l->rounds, l->warm, l->burst,
         l->payload.bytes, l->threads, l->seed);
  printf(" deliveries=%" PRIu64 " lost=%" PRIu64 " disorders=%" PRIu64 " broken=%" PRIu64 " kills=%" PRIu64
         " deliveries_per_s=%.0f latency_p50_ms=%.3f p99_ms=%.3f max_ms=%.3f wire_bytes_per_delivery=%.1f",
         deliveries, lost, o->counts.disorders, o->counts.broken, l->kills, each / o->seconds,
         histogram_percentile_ns(&o->latency, 0.5) / 1e6, histogram_percentile_ns(&o->latency, 0.99) / 1e6,
         (double)o->latency.max_ns / 1e6, (double)(o->counts.body_bytes - o->counts_before.body_bytes) / each);
  if (l->pids_count)
    printf(" server_cpu_us_per_delivery=%.3f server_user_us_per_delivery=%.3f rss_per_stream_bytes=%.0f "
           "rss_growth_bytes=%" PRId64,
           (double)(o->after.cpu_ns - o->before.cpu_ns) / 1e3 / each,
           (double)(o->after.user_ns - o->before.user_ns) / 1e3 / each,
           ((double)o->idle.memory_bytes - (double)o->empty.memory_bytes) / streams,
           (int64_t)o->peak_rss_bytes - (int64_t)o->idle_rss_bytes);
  if (l->h2_streams)
    printf(" h2_streams=%" PRIu64 " unread=%" PRIu64
           " tls=%d client_cpu_us_per_delivery=%.3f client_per_stream_bytes=%.0f",
           l->h2_streams, l->unread, !l->is_plain, (double)(o->self_after.cpu_ns - o->self_before.cpu_ns) / 1e3 / each,
           ((double)o->self_idle.memory_bytes - (double)o->self_empty.memory_bytes) / streams);
  if (l->observed.pairs) observed_print(&l->observed);
  printf(" opened_per_s=%.0f", streams / o->opening_seconds);
  if (l->is_own) printf(" own_per_stream_bytes=%.0f", (double)(o->idle.own_bytes - o->empty.own_bytes) / streams);
  bool drained = !l->drain_ms || (o->busiest_second && o->counts.hints == l->streams);
  if (l->drain_ms)
    printf(" drain_s=%.2f drain_busiest_second=%" PRIu64 " drain_peak_ratio=%.3f hints=%" PRIu64, o->drain_seconds,
           o->busiest_second, (double)o->busiest_second / (streams * 1e3 / (double)l->drain_ms), o->counts.hints);
  printf("\n");
  if (!drained) {
    fprintf(stderr, "vestry-bench: not all drained streams got a reconnect delay\n");
    return 1;
  }
  if (!lost && !o->counts.disorders && !o->counts.broken) return 0;
  fprintf(stderr, "vestry-bench: %" PRIu64 " lost, %" PRIu64 " out of order, %" PRIu64 " streams broken\n", lost,
          o->counts.disorders, o->counts.broken);
  return 1;
}

static void drain(load *l, outcome *o) {
  char path[64];
  snprintf(path, sizeof path, "/drain?ms=%" PRIu64, l->drain_ms);
  readers_expect_ends(l->readers);
  uint64_t began = bench_now_ns();
  if (send_request(l, "POST", path, NULL, NULL, "", 0, NULL, 0) == 204)
    readers_wait_ends(l->readers, l->patience_ms, &o->busiest_second);
  o->drain_seconds = (double)(bench_now_ns() - began) / 1e9;
}

static int run(load *l) {
  static outcome o;
  if (l->is_own) wait_until_quiet(l);
  o.empty = look(l);
  o.self_empty = look_at_self();
  if (!open_others(l)) return 1;
  uint64_t opening = bench_now_ns();
  if (!readers_open(l->readers)) return 1;
  o.opening_seconds = (double)(bench_now_ns() - opening) / 1e9;
  bench_sleep_ms(l->idle_ms);
  o.idle = look(l);
  o.self_idle = look_at_self();
  o.idle_rss_bytes = o.peak_rss_bytes = rss_bytes(l);
  bool goes_on = run_rounds(l, 0, l->warm, &o.peak_rss_bytes);
  readers_count(l->readers, &o.counts_before);
  if (goes_on) readers_latency(l->readers, &o.latency); /* drop the latencies of the warm-up */
  o.before = look(l);
  o.self_before = look_at_self();
  uint64_t began = bench_now_ns();
  if (goes_on && l->observed.pairs)
    goes_on = run_observed(l);
  else if (goes_on)
    goes_on = run_rounds(l, l->warm, l->warm + l->rounds, &o.peak_rss_bytes);
  o.seconds = (double)(bench_now_ns() - began) / 1e9;
  o.after = look(l);
  o.self_after = look_at_self();
  if (goes_on && l->drain_ms) drain(l, &o);
  readers_stop(l->readers);
  readers_count(l->readers, &o.counts);
  readers_latency(l->readers, &o.latency);
  return report(l, &o) || !goes_on;
}

/* Parse "123" or "123,124", each at most `most`: processes of the server, or ports. */
static bool read_numbers(const char *text, long most, int *numbers, size_t room, size_t *ret_count) {
  while (text && *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (number <= 0 || number > most || *ret_count == room || (*end && *end != ',')) return false;
    numbers[(*ret_count)++] = (int)number;
    text = *end ? end + 1 : end;
  }
  return true;
}

static int complain(const char *what) {
  fprintf(stderr, "vestry-bench: load: %s\n", what);
  return 2;
}

/* Check the options: 0 or 2. */
static int check(load *l, const char *server, const char *pids, const char *ports) {
  while (l->server < SERVERS && strcmp(servers[l->server], server) != 0) l->server++;
  if (!read_numbers(ports, 65535, l->ports, PORTS_MOST, &l->ports_count) || !l->ports_count)
    return complain("--port: expected numbers separated by commas");
  l->port = (uint64_t)l->ports[0];
  if (l->server == SERVERS) return complain("--server: expected vestry, nchan or socketio");
  if (l->encoding && !bench_decoder_knows(l->encoding)) return complain("--encoding: expected identity, gzip or br");
  if (!read_numbers(pids, INT32_MAX, l->pids, PIDS_MOST, &l->pids_count))
    return complain("--pid: expected numbers of processes separated by commas");
  if (l->is_keyed && (l->burst > 1 || l->stalled || l->killed || l->payload.change_bytes))
    return complain("--keyed excludes --burst, --stalled, --killed and --change-bytes");
  if ((l->is_here || l->is_elsewhere) && (!l->is_keyed || l->ports_count < 2 || l->streams < l->ports_count))
    return complain("--here and --elsewhere require --keyed, several ports, and a stream at each");
  if (l->is_apart && (l->is_keyed || l->h2_streams || l->server != SERVER_VESTRY))
    return complain("--apart is only for broadcasts of servers of vestry, without --h2");
#ifndef BENCH_H2
  if (l->h2_streams) return complain("--h2: this build has no HTTP/2");
#endif
  if (l->h2_streams && (l->stalled || l->killed || l->observed.pairs || l->server == SERVER_SOCKETIO))
    return complain("--h2 excludes --stalled, --killed, --observed and --server socketio");
  if (l->unread && (!l->h2_streams || l->is_keyed || l->unread > l->streams / l->h2_streams))
    return complain("--unread requires --h2 and as many connections, and excludes --keyed");
  if (l->streams > STREAMS_MOST && !l->h2_streams) return complain("more than 25000 streams require --h2");
  if (l->observed.pairs && l->pids_count != 1) return complain("--observed requires one --pid");
  if (l->server != SERVER_VESTRY && l->payload.change_bytes)
    return complain("--change-bytes is only for servers of vestry");
  return 0;
}

int bench_load(int argc, char **argv) {
  load l = {.streams = 1000,
            .rounds = 100,
            .burst = 1,
            .threads = 1,
            .patience_ms = 10000,
            .idle_ms = 200,
            .seed = 1,
            .publisher.fd = -1};
  uint64_t payload_bytes = 100, change_bytes = 0, has_console = 0;
  const char *server = "vestry", *pids = NULL, *ports = NULL;
  const bench_option options[] = {{"--port", &ports, NULL, 0, 0},
                                  {"--streams", NULL, &l.streams, 1, 1000000},
                                  {"--h2", NULL, &l.h2_streams, 1, 10000},
                                  {"--no-tls", NULL, &l.is_plain, 0, 0},
                                  {"--unread", NULL, &l.unread, 1, 10000},
                                  {"--rounds", NULL, &l.rounds, 1, 1000000},
                                  {"--warm", NULL, &l.warm, 0, 1000000},
                                  {"--burst", NULL, &l.burst, 1, 1000},
                                  {"--payload-bytes", NULL, &payload_bytes, 1, 1 << 20},
                                  {"--change-bytes", NULL, &change_bytes, 10, 1 << 18},
                                  {"--keyed", NULL, &l.is_keyed, 0, 0},
                                  {"--here", NULL, &l.is_here, 0, 0},
                                  {"--elsewhere", NULL, &l.is_elsewhere, 0, 0},
                                  {"--channel", NULL, &l.is_channel, 0, 0},
                                  {"--apart", NULL, &l.is_apart, 0, 0},
                                  {"--stalled", NULL, &l.stalled, 0, 10000},
                                  {"--killed", NULL, &l.killed, 0, 10000},
                                  {"--encoding", &l.encoding, NULL, 0, 0},
                                  {"--threads", NULL, &l.threads, 1, 64},
                                  {"--pause-ms", NULL, &l.pause_ms, 0, 60000},
                                  {"--idle-ms", NULL, &l.idle_ms, 0, 60000},
                                  {"--patience-ms", NULL, &l.patience_ms, 1, 600000},
                                  {"--seed", NULL, &l.seed, 0, UINT64_MAX},
                                  {"--server", &server, NULL, 0, 0},
                                  {"--pid", &pids, NULL, 0, 0},
                                  {"--drain-ms", NULL, &l.drain_ms, 1000, 3600000},
                                  {"--observed", NULL, &l.observed.pairs, 1, OBSERVED_PAIRS_MOST},
                                  {"--console", NULL, &has_console, 0, 0},
                                  {"--puts-off", NULL, &l.puts_off, 0, 0},
                                  {"--own", NULL, &l.is_own, 0, 0}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  l.random = l.seed;
  l.observed.looker.has_console = has_console;
  l.payload = (payload){.bytes = payload_bytes, .change_bytes = change_bytes, .random = l.seed};
  if (!status) status = check(&l, server, pids, ports);
  if (status) return status;
  bench_raise_descriptors();
  l.publisher.port = (int)l.port;
  for (size_t i = 0; i < l.ports_count; i++) l.others_publishers[i] = (bench_client){.port = l.ports[i], .fd = -1};
  l.readers = readers_create(&(readers_options){.count = l.streams,
                                                .threads = l.threads,
                                                .window = l.burst,
                                                .keyed = l.is_keyed,
                                                .puts_off = l.puts_off,
                                                .path = l.server == SERVER_SOCKETIO ? SOCKETIO_PATH
                                                        : l.is_channel              ? "/sub?channel"
                                                                                    : "/sub",
                                                .encoding = l.encoding,
                                                .ports = l.ports,
                                                .ports_count = l.ports_count,
                                                .h2_streams = l.h2_streams,
                                                .h2_plain = l.is_plain,
                                                .h2_unread = l.unread,
                                                .websockets = l.server == SERVER_SOCKETIO});
  l.payload.is_socketio = l.server == SERVER_SOCKETIO;
  l.post = malloc(payload_bytes + 256);
  status = 1;
  if (payload_create(&l.payload) && l.readers && l.post) status = run(&l);
  for (uint64_t i = 0; l.others && i < l.stalled + l.killed; i++) bench_stream_finish(&l.others[i], true);
  free(l.others);
  readers_destroy(l.readers);
  bench_client_finish(&l.publisher);
#ifdef BENCH_H2
  bench_h2_free(l.h2_publisher);
#endif
  payload_destroy(&l.payload);
  free(l.post);
  return status;
}
