/* SPDX-License-Identifier: MIT */
/* vestry-bench pages: N pages of one topic over sockets, and R changes of their data. Every page must show each change
 * in order, byte for byte. At a fixed rate, a page may skip changes, but must end with the last one.
 *
 * With --server floor, streams of vestry-bench floor receive the text alone, unencoded: the same delivery without
 * pages, so that its times are those of the generator and of the kernel. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "client.h"
#include "observed.h"
#include "page_alone.h"
#include "page_sleeper.h"
#include "readers.h"

enum { ROW_BYTES = 128, FRAME_BYTES = 256, TEXT_MOST = 1 << 16, PATH_BYTES = 96 };

/* The first server has counters. */
enum { SERVER_VESTRY, SERVER_NODE, SERVER_FLOOR, SERVERS };
static const char *const servers[SERVERS] = {"vestry", "node", "floor"};

typedef struct page_load {
  uint64_t port, pages, rounds, warm, bytes, change_bytes, a_second, threads, patience_ms, seed, random, pid,
      is_private;
  const char *encoding;
  int server;
  observed observed; /* pairs: 0: only one turn */
  uint64_t next;     /* the next round */
  readers *readers;
  bench_client publisher;
  char *rows; /* HTML after the text */
  size_t rows_len;
  char text[TEXT_MOST];
} page_load;

typedef struct usage {
  uint64_t cpu_ns;
  int64_t renders, changed, postponed, encodes; /* -1: not reported */
} usage;

static usage look(const page_load *l) {
  usage all = {l->pid ? bench_cpu_ns((int)l->pid) : 0, -1, -1, -1, -1};
  if (l->server != SERVER_VESTRY) return all;
  all.renders = bench_server_stat((int)l->port, "pages.renders");
  all.changed = bench_server_stat((int)l->port, "pages.changed");
  all.postponed = bench_server_stat((int)l->port, "pages.postponed");
  all.encodes = bench_server_stat((int)l->port, "encodes");
  return all;
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

/* Make the rows of a page of the given size. */
static bool make_rows(page_load *l) {
  size_t count = (size_t)((l->bytes + 63) / 64);
  l->rows = malloc(FRAME_BYTES + count * ROW_BYTES);
  if (!l->rows) return false;
  l->rows_len = (size_t)sprintf(l->rows, "</span></p><ol>");
  for (size_t row = 0; row < count; row++)
    l->rows_len +=
        (size_t)sprintf(l->rows + l->rows_len, "<li id=\"row-%06zu\">Row %06zu of these, as pages have them.</li>", row,
                        row * 7919 % 999983);
  l->rows_len += (size_t)sprintf(l->rows + l->rows_len, "</ol></main>");
  return true;
}

/* Make the text of a round: words and numbers, all of them new. */
static void make_text(page_load *l, uint64_t round) {
  static const char *const words[] = {"open", "closed", "waiting", "shipped", "paid", "overdue", "new", "draft"};
  size_t len = (size_t)sprintf(l->text, "%" PRIu64, round);
  while (len < l->change_bytes) {
    const unsigned number = (unsigned)bench_random(&l->random);
    len += (size_t)snprintf(l->text + len, sizeof l->text - len, " %s %u", words[number % 8], number / 8 % 10000);
  }
  l->text[l->change_bytes > 8 ? l->change_bytes : 8] = '\0';
}

/* Announce the next round, with the resulting line. */
static bool announce(page_load *l, uint64_t round) {
  readers_round *next = readers_next_round(l->readers);
  make_text(l, round);
  size_t wanted = FRAME_BYTES + strlen(l->text) + l->rows_len;
  if (next->capacity < wanted) {
    char *line = realloc(next->line, wanted);
    if (!line) return false;
    next->line = line;
    next->capacity = wanted;
  }
  if (l->server == SERVER_FLOOR)
    next->len = (size_t)sprintf(next->line, "data: signals {\"v\":%s}", l->text);
  else
    next->len = (size_t)sprintf(next->line, "data: elements <main id=\"content\"><p>Now: <span id=\"state\">%s%s",
                                l->text, l->rows);
  next->sent_ns = bench_now_ns();
  readers_publish(l->readers);
  return true;
}

static bool change(page_load *l, uint64_t round) {
  if (!announce(l, round)) return false;
  const char *path = l->server == SERVER_FLOOR ? "/pub" : "/state?topic=t";
  int status = bench_post(&l->publisher, path, "", l->text, strlen(l->text));
  if (status >= 200 && status < 300) return true;
  fprintf(stderr, "vestry-bench: POST %s got status %d\n", path, status);
  return false;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* Run rounds. Round 0 is the initial content of pages. */
static bool run_rounds(page_load *l, uint64_t from, uint64_t to) {
  bench_client_finish(&l->publisher); /* the server may have closed it while no POST was sent */
  uint64_t began = bench_now_ns();
  for (uint64_t n = from; n < to; n++) {
    if (l->a_second) bench_sleep_until_ns(began + (n - from) * UINT64_C(1000000000) / l->a_second);
    if (!change(l, n)) return false;
    if (!l->a_second && !readers_wait(l->readers, (n + 1) * l->pages, l->patience_ms)) return false;
  }
  return readers_wait(l->readers, to * l->pages, l->patience_ms);
}

static bool run_turn(void *of) {
  page_load *l = of;
  l->next += l->rounds;
  return run_rounds(l, l->next - l->rounds, l->next);
}

/* Run pairs of turns; the rounds of all turns are counted at the end. */
static bool run_observed(page_load *l) {
  l->next = 1 + l->warm;
  l->observed.looker.port = (int)l->port;
  l->observed.looker.pid = (int)l->pid;
  l->observed.turn = run_turn;
  l->observed.ctx = l;
  const bool is_well = observed_run(&l->observed);
  l->rounds = l->next - 1 - l->warm;
  return is_well;
}

typedef struct outcome {
  usage before, after;
  readers_counts counts_before, counts;
  histogram latency;
  double seconds, opening_seconds;
} outcome;

static void report_server(const page_load *l, const outcome *o, double events) {
  double changes = (double)(l->rounds * l->pages), cpu_us = (double)(o->after.cpu_ns - o->before.cpu_ns) / 1e3;
  if (l->pid) printf(" cpu_us_per_page_and_change=%.3f cpu_us_per_event=%.3f", cpu_us / changes, cpu_us / events);
  if (l->server != SERVER_VESTRY) return;
  double rounds = (double)l->rounds;
  printf(" renders_per_change=%.2f encodes_per_change=%.2f postponed_per_change=%.2f",
         (double)(o->after.renders - o->before.renders) / rounds,
         (double)(o->after.encodes - o->before.encodes) / rounds,
         (double)(o->after.postponed - o->before.postponed) / rounds);
}

static int report(const page_load *l, const outcome *o) {
  uint64_t wanted = (1 + l->warm + l->rounds) * l->pages, came = o->counts.deliveries;
  uint64_t lost = wanted > came ? wanted - came : 0, skipped = o->counts.skipped - o->counts_before.skipped;
  uint64_t events = came - o->counts_before.deliveries - skipped;
  double each = events ? (double)events : 1;
  printf("vestry pages server=%s mode=%s encoding=%s pages=%" PRIu64 " rounds=%" PRIu64 " warm=%" PRIu64
         " a_second=%" PRIu64 " bytes=%zu change_bytes=%" PRIu64 " seed=%" PRIu64,
         servers[l->server], l->is_private ? "private" : "shared", l->encoding ? l->encoding : "identity", l->pages,
         l->rounds, l->warm, l->a_second, l->rows_len + l->change_bytes, l->change_bytes, l->seed);
  printf(" events=%" PRIu64 " skipped=%" PRIu64 " lost=%" PRIu64 " disorders=%" PRIu64 " broken=%" PRIu64
         " seconds=%.2f events_per_s=%.0f latency_p50_ms=%.3f p99_ms=%.3f max_ms=%.3f wire_bytes_per_event=%.1f",
         events, skipped, lost, o->counts.disorders, o->counts.broken, o->seconds, each / o->seconds,
         histogram_percentile_ns(&o->latency, 0.5) / 1e6, histogram_percentile_ns(&o->latency, 0.99) / 1e6,
         (double)o->latency.max_ns / 1e6, (double)(o->counts.body_bytes - o->counts_before.body_bytes) / each);
  report_server(l, o, each);
  if (l->observed.pairs) observed_print(&l->observed);
  printf(" opened_per_s=%.0f\n", (double)l->pages / o->opening_seconds);
  if (!lost && !o->counts.disorders && !o->counts.broken) return 0;
  fprintf(stderr, "vestry-bench: %" PRIu64 " lost, %" PRIu64 " out of order, %" PRIu64 " streams broken\n", lost,
          o->counts.disorders, o->counts.broken);
  return 1;
}

static int run(page_load *l) {
  static outcome o;
  const bool is_floor = l->server == SERVER_FLOOR; /* its streams have no initial content */
  if (!is_floor && !change(l, 0)) return 1;
  uint64_t opening = bench_now_ns();
  if (!readers_open(l->readers) || (is_floor && !change(l, 0))) return 1;
  bool goes_on = readers_wait(l->readers, l->pages, l->patience_ms);
  o.opening_seconds = (double)(bench_now_ns() - opening) / 1e9;
  if (goes_on) goes_on = run_rounds(l, 1, 1 + l->warm);
  readers_count(l->readers, &o.counts_before);
  if (goes_on) readers_latency(l->readers, &o.latency); /* drop the latencies of the warm-up */
  o.before = look(l);
  uint64_t began = bench_now_ns();
  if (goes_on && l->observed.pairs)
    goes_on = run_observed(l);
  else if (goes_on)
    goes_on = run_rounds(l, 1 + l->warm, 1 + l->warm + l->rounds);
  o.seconds = (double)(bench_now_ns() - began) / 1e9;
  o.after = look(l);
  readers_stop(l->readers);
  readers_count(l->readers, &o.counts);
  readers_latency(l->readers, &o.latency);
  return report(l, &o) || !goes_on;
}

static int complain(const char *what) {
  fprintf(stderr, "vestry-bench: pages: %s\n", what);
  return 2;
}

static int load(page_load *l) {
  char path[PATH_BYTES];
  const bool is_floor = l->server == SERVER_FLOOR;
  bench_raise_descriptors();
  if (is_floor)
    snprintf(path, sizeof path, "/sub");
  else
    snprintf(path, sizeof path, "/page?topic=t&bytes=%" PRIu64 "%s", l->bytes, l->is_private ? "&private=1" : "");
  l->random = l->seed;
  l->publisher = (bench_client){(int)l->port, -1};
  l->readers = readers_create(&(readers_options){.count = l->pages,
                                                 .threads = l->threads,
                                                 .window = l->a_second ? l->warm + l->rounds + 1 : 1,
                                                 .skips = l->a_second > 0,
                                                 .puts_off = (l->encoding || is_floor) && !l->a_second,
                                                 .other = is_floor ? NULL : "data: signals ", /* heartbeats */
                                                 .path = path,
                                                 .encoding = l->encoding,
                                                 .port = (int)l->port});
  int status = l->readers && (is_floor || make_rows(l)) ? run(l) : 1;
  readers_destroy(l->readers);
  bench_client_finish(&l->publisher);
  free(l->rows);
  return status;
}

int bench_page_load(int argc, char **argv) {
  static page_load l = {
      .pages = 1000, .rounds = 100, .bytes = 10000, .change_bytes = 100, .threads = 1, .patience_ms = 20000, .seed = 1};
  const char *server = "vestry", *alone = NULL;
  uint64_t is_sleeper = 0, sleep_ms = 5000, has_console = 0;
  const bench_option options[] = {{"--port", NULL, &l.port, 1, 65535},
                                  {"--pages", NULL, &l.pages, 1, 25000},
                                  {"--rounds", NULL, &l.rounds, 1, 100000},
                                  {"--warm", NULL, &l.warm, 0, 100000},
                                  {"--bytes", NULL, &l.bytes, 0, 1 << 20},
                                  {"--change-bytes", NULL, &l.change_bytes, 8, TEXT_MOST / 2},
                                  {"--private", NULL, &l.is_private, 0, 0},
                                  {"--a-second", NULL, &l.a_second, 1, 1000},
                                  {"--encoding", &l.encoding, NULL, 0, 0},
                                  {"--threads", NULL, &l.threads, 1, 64},
                                  {"--patience-ms", NULL, &l.patience_ms, 1, 600000},
                                  {"--seed", NULL, &l.seed, 0, UINT64_MAX},
                                  {"--server", &server, NULL, 0, 0},
                                  {"--pid", NULL, &l.pid, 1, INT32_MAX},
                                  {"--observed", NULL, &l.observed.pairs, 1, OBSERVED_PAIRS_MOST},
                                  {"--console", NULL, &has_console, 0, 0},
                                  {"--sleeper", NULL, &is_sleeper, 0, 0},
                                  {"--sleep-ms", NULL, &sleep_ms, 10, 60000},
                                  {"--alone", &alone, NULL, 0, 0}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  l.observed.looker.has_console = has_console;
  if (l.observed.pairs && (!l.pid || l.a_second)) return complain("--observed requires --pid, and excludes --a-second");
  while (l.server < SERVERS && strcmp(servers[l.server], server) != 0) l.server++;
  if (l.server == SERVERS) return complain("--server: expected vestry, node or floor");
  if (l.encoding && !bench_decoder_knows(l.encoding)) return complain("--encoding: expected identity, gzip or br");
  if (l.server == SERVER_FLOOR && l.encoding) return complain("--server floor excludes --encoding");
  if (alone && l.port) return complain("--alone excludes --port");
  if (alone) return bench_pages_alone(alone, l.pages, l.rounds, l.bytes);
  if (is_sleeper && l.port)
    return bench_page_sleeper(&(page_sleeper){.port = (int)l.port,
                                              .pages = l.pages,
                                              .rounds = l.rounds,
                                              .bytes = l.bytes,
                                              .a_second = l.a_second ? l.a_second : 500,
                                              .sleep_ms = sleep_ms});
  return l.port ? load(&l) : complain("requires --port or --alone");
}
