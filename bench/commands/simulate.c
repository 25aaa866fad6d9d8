/* SPDX-License-Identifier: MIT */
/* vestry-bench simulate: what a cluster costs by the number of its nodes, and whether it keeps its promises, in virtual
 * time (simulation.h). Each way prints lines of names and numbers. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "simulation.h"

static simulation sim;
static uint64_t streams = 1000, changes = 1000, asks = 100, seconds = 10, seeds = 10, steps = 150;

/* What a phase has counted. */
typedef struct mark {
  uint64_t now_ns, published, deliveries, bytes, gaps, deaths;
} mark;

static mark begin_phase(void) {
  mark m = {sim.now_ns, sim.published, sim.deliveries, sim.bytes, 0, 0};
  for (int i = 0; i < sim.count; i++) m.gaps += sim.all[i].gaps, m.deaths += sim.all[i].deaths;
  sim.longest_ns = 0;
  return m;
}

static void report(const char *phase, const mark *from) {
  const uint64_t longest_ns = sim.longest_ns;
  const mark to = begin_phase();
  const double nodes = sim.count, s = (double)(to.now_ns - from->now_ns) / 1e9;
  const double deliveries = (double)(to.deliveries - from->deliveries);
  printf("%-9s nodes %d virtual_s %.2f published %.0f deliveries %.0f bytes %.0f (a second and node: %.1f %.1f %.0f) "
         "longest_step_ms %.2f gaps_a_node %.2f deaths_a_node %.2f",
         phase, sim.count, s, (double)(to.published - from->published), deliveries, (double)(to.bytes - from->bytes),
         (double)(to.published - from->published) / nodes / s, deliveries / nodes / s,
         (double)(to.bytes - from->bytes) / nodes / s, (double)longest_ns / 1e6, (double)(to.gaps - from->gaps) / nodes,
         (double)(to.deaths - from->deaths) / nodes);
}

static void end_report(const char *format, ...) VESTRY_PRINTF(1, 2);
static void end_report(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

static uint64_t next_key;

static void open_next(simulation_node *of, size_t at) {
  simulation_open(of, at, of->index, next_key++, VESTRY_KEEP_MANY, false);
}

static void fill_all(void) {
  simulation_begin(&sim);
  mark m = begin_phase();
  uint64_t ms = simulation_settle(&sim, 20000);
  report("start", &m);
  end_report(" known_ms %" PRIu64, ms);
  simulation_pass_ms(&sim, 2000);
  m = begin_phase();
  for (size_t at = 0; at < streams; at++)
    for (int i = 0; i < sim.count; i++) open_next(&sim.all[i], at);
  ms = simulation_settle(&sim, 60000);
  report("fill", &m);
  const vestry_cluster_stats stats = simulation_stats(&sim.all[0]);
  end_report(" known_ms %" PRIu64 " directory_MB_a_node %.2f", ms, (double)stats.keys_bytes / 1e6);
  simulation_pass_ms(&sim, 2000);
}

/* Change keys on all nodes, evenly within the time: `a_second` streams of each close, and as many open. */
static void change_all(uint64_t ms, uint64_t a_second) {
  for (uint64_t at = 0, done = 0; at < ms; at++) {
    for (; done < (at + 1) * a_second / 1000; done++)
      for (int i = 0; i < sim.count; i++) {
        simulation_close(&sim.all[i], done % streams);
        open_next(&sim.all[i], done % streams);
      }
    simulation_pass_ms(&sim, 1);
  }
}

/* ---- costs --------------------------------------------------------------------------------------------------------*/

typedef struct asked {
  uint64_t at_ns, took_ns;
  vestry_err error;
  uint32_t count;
  bool is_answered;
} asked;

static void take_answer(vestry_err error, uint32_t count, void *ctx) {
  asked *a = ctx;
  a->is_answered = true;
  a->error = error;
  a->count = count;
  a->took_ns = sim.now_ns - a->at_ns;
}

static void ask(simulation_node *from, int place, uint64_t key, const char *text, asked *a) {
  json_t *effects = json_pack("[[s,{s:s}]]", "patch-signals", "s", text);
  const vestry_dispatch_options options = {.key = VESTRY_KEY("k", place, key)};
  *a = (asked){.at_ns = sim.now_ns};
  if (vestry_cluster_dispatch(from->cluster, effects, &options, take_answer, a)) exit(1);
  json_decref(effects);
}

static void ask_for_absent(double idle_deliveries_ms) {
  const uint64_t each = asks, all = each * (uint64_t)sim.count;
  asked *answers = calloc(all, sizeof *answers);
  const mark m = begin_phase();
  uint64_t done = 0, not_found = 0, took_ns = 0;
  for (uint64_t ms = 0; ms < 1000; ms++) {
    /* The nodes do not ask at the same time. */
    for (; done < (ms + 1) * all / 1000; done++)
      ask(&sim.all[done % (uint64_t)sim.count], 0, UINT64_C(1) << 40 | done, "x", &answers[done]);
    simulation_pass_ms(&sim, 1);
  }
  simulation_pass_ms(&sim, 200);
  const double deliveries = (double)(sim.deliveries - m.deliveries) - 1200 * idle_deliveries_ms;
  for (uint64_t i = 0; i < all; i++) not_found += answers[i].error == VESTRY_NOT_FOUND, took_ns += answers[i].took_ns;
  report("absent", &m);
  end_report(" asks_a_second_and_node %" PRIu64 " not_found %" PRIu64 " of %" PRIu64
             " deliveries_each %.1f took_ms %.1f",
             each, not_found, all, deliveries / (double)all, (double)took_ns / 1e6 / (double)all);
  free(answers);
}

/* Each node broadcasts to 10 channels a second, and opens a member of another channel each second. */
static void broadcast_all(void) {
  const mark m = begin_phase();
  uint64_t channel = UINT64_C(1) << 41, joined = 0;
  vestry_event *event;
  if (vestry_event_signals(NULL, VESTRY_OBJECT("s", "x"), NULL, &event)) exit(1);
  for (uint64_t ms = 0; ms < seconds * 1000; ms++) {
    for (int i = 0; i < sim.count; i++) {
      const uint64_t turn = ms + (uint64_t)i;
      if (turn % 100 == 0)
        (void)vestry_broadcast(sim.all[i].v, (vestry_scope){0}, VESTRY_KEY("c", channel++), event, NULL);
      if (turn % 1000 == 0)
        simulation_open(&sim.all[i], streams + joined / (uint64_t)sim.count, 0, channel++, VESTRY_KEEP_MANY, true),
            joined++;
    }
    simulation_pass_ms(&sim, 1);
  }
  vestry_event_unref(event);
  report("channels", &m);
  end_report(" joined %" PRIu64, joined);
}

static void show_costs(void) {
  mark m = begin_phase();
  simulation_pass_ms(&sim, 5000);
  const double idle_deliveries_ms = (double)(sim.deliveries - m.deliveries) / 5000;
  report("idle", &m);
  putchar('\n');
  m = begin_phase();
  change_all(1000, changes);
  report("changes", &m);
  end_report(" opened_and_closed_a_second_and_node %" PRIu64, changes);
  simulation_pass_ms(&sim, 1000);
  ask_for_absent(idle_deliveries_ms);
  broadcast_all();
  m = begin_phase();
  for (size_t at = 0; at < 5000; at++) open_next(&sim.all[0], streams + 1000 + at);
  const uint64_t ms = simulation_settle(&sim, 20000);
  report("burst", &m);
  end_report(" opened_at_once 5000 known_ms %" PRIu64, ms);
}

/* ---- the broker is away; nodes restart --------------------------------------------------------------------------- */

static void be_away(void) {
  sim.has_costs = true;
  mark m = begin_phase();
  for (int i = 0; i < sim.count; i++) simulation_connect(&sim, i, false);
  change_all(seconds * 1000, streams / 1000);
  report("away", &m);
  putchar('\n');
  m = begin_phase();
  for (int i = 0; i < sim.count; i++) simulation_connect(&sim, i, true);
  const uint64_t ms = simulation_settle(&sim, 60000);
  report("back", &m);
  end_report(" known_ms %" PRIu64, ms);
  m = begin_phase();
  simulation_pass_ms(&sim, 5000);
  report("after", &m);
  putchar('\n');
}

/* Each node restarts in turn; its streams go to the others. */
static void restart_each(bool is_kill) {
  uint64_t most = 0, all = 0, longest_ms = 0;
  mark m = begin_phase();
  for (int i = 0; i < sim.count; i++) {
    uint64_t before[SIMULATION_NODES_MAX];
    simulation_stop(&sim, i, is_kill);
    for (int j = 0; j < sim.count; j++) before[j] = sim.all[j].gaps;
    for (size_t at = 0; at < streams; at++) {
      simulation_node *other = &sim.all[((size_t)i + 1 + at % ((size_t)sim.count - 1)) % (size_t)sim.count];
      open_next(other, other->streams_count);
    }
    simulation_pass_ms(&sim, is_kill ? 4000 : 500);
    simulation_start(&sim, i);
    const uint64_t ms = simulation_settle(&sim, 20000);
    simulation_pass_ms(&sim, 1000);
    if (ms > longest_ms) longest_ms = ms;
    for (int j = 0; j < sim.count; j++) {
      const uint64_t gaps = j == i ? 0 : sim.all[j].gaps - before[j];
      if (gaps > most) most = gaps;
      all += gaps;
    }
  }
  report(is_kill ? "killed" : "restarted", &m);
  const double each = (double)all / sim.count / (sim.count - 1);
  end_report(" gaps_a_restart %.2f most %" PRIu64 " known_ms %" PRIu64, each, most, longest_ms);
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

/* As tests/cluster/schedule_test.c with three nodes: streams come and go, nodes restart, die, stand still and are
 * divided, messages are lost, all nodes send. A member that has missed an event has had a gap since, unless its sender
 * was cut off and ended; a dispatch that is OK has reached all streams of its key, or their nodes have had a gap; the
 * numbers of a sender increase; in the end all nodes know all keys. */
enum { KEYS = 8, SENT_MAX = 4096, OPEN_MAX = 1024 };

typedef struct sent {
  asked is; /* of a dispatch */
  int key, sender;
  uint64_t life;
  bool is_event;
  bool was_alone; /* the sender's part did not have all nodes, or messages may have been lost */
  size_t got;
} sent;

typedef struct member {
  simulation_node *of;
  size_t at, first; /* first: earlier messages need not have reached it */
  int key;
  bool is_channel;
} member;

static sent all_sent[SENT_MAX];
static size_t sent_count, open_count, number_at, missed;
static member all_open[OPEN_MAX];
static uint64_t lives[SIMULATION_NODES_MAX], seed;
static bool has_failed;

static void fail(const char *what, size_t number) {
  printf("seed %" PRIu64 ": %s (%zu)\n", seed, what, number);
  has_failed = true;
}

/* Read what a stream has received; has: the numbers found. */
static void read_stream(const member *m, bool *has) {
  static long last[SIMULATION_NODES_MAX];
  memset(last, -1, sizeof last);
  vestry_slice all = vestry_memory_look(m->of->streams[m->at]).received;
  for (const char *at = all.data; at && (at = strchr(at, '#')) != NULL; at++) {
    const size_t number = strtoull(at + 1, NULL, 10);
    if (number >= sent_count) continue;
    sent *s = &all_sent[number];
    if ((long)number <= last[s->sender]) fail("out of order, or twice", number);
    last[s->sender] = (long)number;
    has[number] = true;
    s->got++;
  }
}

/* Check a stream that ends, or all at the end: is_end. */
static void check_stream(const member *m, bool is_end) {
  static bool has[SENT_MAX];
  memset(has, 0, sizeof has);
  read_stream(m, has);
  for (size_t i = m->first; is_end && i < sent_count; i++) {
    const sent *s = &all_sent[i];
    if (s->key != m->key || s->is_event != m->is_channel || has[i]) continue;
    if (!s->is_event && s->is.error) continue;
    if (m->of->gap_ns >= s->is.at_ns || (s->was_alone && lives[s->sender] != s->life))
      missed++;
    else
      fail(s->is_event ? "an event is lost without a gap" : "a dispatch has not reached all, without a gap", i);
  }
}

static void forget_streams(const simulation_node *of) {
  for (size_t i = open_count; i-- > 0;)
    if (all_open[i].of == of) {
      check_stream(&all_open[i], false);
      all_open[i] = all_open[--open_count];
    }
}

static void send_one(simulation_node *from, bool is_event, bool was_alone) {
  if (sent_count == SENT_MAX) return;
  char text[32];
  sent *s = &all_sent[sent_count];
  *s = (sent){.key = (int)simulation_chance(&sim, KEYS),
              .sender = from->index,
              .life = lives[from->index],
              .is_event = is_event,
              .was_alone = was_alone};
  snprintf(text, sizeof text, "#%zu", sent_count++);
  if (!is_event) {
    ask(from, 0, (uint64_t)s->key, text, &s->is);
    return;
  }
  vestry_event *event;
  s->is.at_ns = sim.now_ns;
  if (vestry_event_signals(NULL, VESTRY_OBJECT("s", (const char *)text), NULL, &event)) exit(1);
  (void)vestry_broadcast(from->v, (vestry_scope){0}, VESTRY_KEY("c", (uint64_t)s->key), event, NULL);
  vestry_event_unref(event);
}

static void open_one(simulation_node *of) {
  if (open_count == OPEN_MAX) return;
  member *m = &all_open[open_count++];
  *m = (member){of, number_at++, sent_count, (int)simulation_chance(&sim, KEYS), simulation_chance(&sim, 2)};
  simulation_open(of, m->at, 0, (uint64_t)m->key, VESTRY_KEEP_MANY, m->is_channel);
}

static void close_one(void) {
  if (!open_count) return;
  member *m = &all_open[simulation_chance(&sim, open_count)];
  check_stream(m, false);
  simulation_close(m->of, m->at);
  *m = all_open[--open_count];
}

static void step(void) {
  static bool is_divided;
  simulation_node *of = &sim.all[simulation_chance(&sim, (uint64_t)sim.count)];
  const bool was_alone = is_divided || sim.drop || of->is_paused;
  switch (simulation_chance(&sim, 16)) {
  case 0: /* divide the network, or join it */
    is_divided = simulation_chance(&sim, 3) == 0;
    for (int i = 0; i < sim.count; i++) sim.all[i].part = is_divided ? (unsigned)simulation_chance(&sim, 2) : 0;
    break;
  case 1: sim.drop = simulation_chance(&sim, 3) ? 0 : simulation_chance(&sim, 3000); break;
  case 2: /* end a node, or start it again */
    if (!of->cluster) {
      simulation_start(&sim, of->index);
    } else if (simulation_chance(&sim, 2)) {
      forget_streams(of);
      lives[of->index]++;
      of->is_paused = false;
      simulation_stop(&sim, of->index, simulation_chance(&sim, 2));
    }
    break;
  case 3: of->is_paused = of->cluster && !of->is_paused && simulation_chance(&sim, 2); break;
  case 4: simulation_connect(&sim, of->index, !of->is_up); break;
  case 5: simulation_pass_ms(&sim, 1 + simulation_chance(&sim, 2000)); break;
  case 6: close_one(); break;
  case 7:
  case 8: simulation_pass_ms(&sim, simulation_chance(&sim, 20)); break;
  case 9:
  case 10:
    if (of->cluster && !of->is_paused) open_one(of);
    break;
  default:
    if (of->cluster && !of->is_paused) send_one(of, simulation_chance(&sim, 2), was_alone || !of->is_up);
    break;
  }
}

static void run_schedule(const simulation *given) {
  sim = *given;
  sim.random = seed;
  sent_count = open_count = number_at = 0;
  memset(lives, 0, sizeof lives);
  simulation_begin(&sim);
  simulation_pass_ms(&sim, 1000);
  for (uint64_t i = 0; i < steps; i++) step();
  sim.drop = 0;
  for (int i = 0; i < sim.count; i++) {
    sim.all[i].part = 0;
    sim.all[i].is_paused = false;
    simulation_connect(&sim, i, true);
  }
  simulation_pass_ms(&sim, 8000); /* dead nodes are known to be dead */
  if (!simulation_is_known(&sim)) fail("not all keys are known", 0);
  for (size_t i = 0; i < open_count; i++) check_stream(&all_open[i], true);
  for (size_t i = 0; i < sent_count; i++) {
    const sent *s = &all_sent[i];
    if (s->is_event) continue;
    if (!s->is.is_answered) fail("not answered", i);
    if (s->is.error == VESTRY_OK && s->got > s->is.count) fail("more have it than is told", i);
    if (s->is.error == VESTRY_NOT_FOUND && s->got) fail("nobody has it, is told, and somebody has", i);
  }
  simulation_end(&sim);
}

static void keep_promises(const simulation *given) {
  size_t all = 0;
  const uint64_t first = given->random;
  for (uint64_t i = 0; i < seeds && !has_failed; i++) {
    seed = first + i;
    run_schedule(given);
    all += sent_count;
  }
  printf("promises  nodes %d seeds %" PRIu64 " sent %zu missed_with_a_gap %zu %s\n", given->count, seeds, all, missed,
         has_failed ? "FAILED" : "kept");
}

int bench_simulate(int argc, char **argv) {
  uint64_t nodes = 100, latency_us = 750;
  const char *way = "costs";
  sim.random = 1;
  const bench_option options[] = {{"--way", &way, NULL, 0, 0},
                                  {"--nodes", NULL, &nodes, 2, SIMULATION_NODES_MAX},
                                  {"--streams", NULL, &streams, 1, 1000000},
                                  {"--changes", NULL, &changes, 0, 1000000},
                                  {"--asks", NULL, &asks, 1, 100000},
                                  {"--seconds", NULL, &seconds, 1, 3600},
                                  {"--latency-us", NULL, &latency_us, 0, 1000000},
                                  {"--seed", NULL, &sim.random, 0, UINT64_MAX},
                                  {"--seeds", NULL, &seeds, 1, UINT64_MAX},
                                  {"--steps", NULL, &steps, 1, UINT64_MAX}};
  const int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  sim.count = (int)nodes;
  sim.latency_ns = latency_us * 1000;
  static simulation given;
  given = sim;
  if (!strcmp(way, "promises")) {
    keep_promises(&given);
    return has_failed;
  }
  fill_all();
  if (!strcmp(way, "away"))
    be_away();
  else if (!strcmp(way, "restarts"))
    restart_each(false), restart_each(true);
  else
    show_costs();
  simulation_end(&sim);
  return 0;
}
