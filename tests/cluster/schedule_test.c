/* SPDX-License-Identifier: MIT */
/* capability: G4 */
/* A cluster under a schedule that a seed determines: streams come and go, nodes die and restart, the network is
 * divided, loses, repeats and delays, and all nodes send. Always:
 * - no loss without a report: a member that missed an event gets a gap, unless the sender was cut off and died before
 *   it was heard again;
 * - a dispatch reported as OK has reached that many streams, and all open ones except those that get a gap;
 * - no event of one sender, for one key or channel, is out of order or duplicated.
 * At the end, two seconds after the network is whole: all tables of keys are right, and of streams that REPLACE one is
 * left.
 *
 * CLUSTER_SEED=7 CLUSTER_SEEDS=100000 CLUSTER_STEPS=60 test_cluster schedule */
#include <stdlib.h>

#include "cluster/nodes.h"
#include "runtime/random.h"
#include "vestry/testing/memory_network.h"

enum { PLACES = 3, KEYS = 3, EVENTS_MOST = 512, ASKS_MOST = 512, SEEN_MOST = 256 };

static const char *const names[PLACES] = {"a", "b", "c"};
static const char *const keys[KEYS] = {"k0", "k1", "k2"};

/* An open stream. */
typedef struct seen {
  vestry_memory_exchange *stream;
  size_t place, life;
  int kept, joined;              /* number of a key; -1: none */
  size_t first_event, first_ask; /* earlier events and requests need not have reached it */
} seen;

/* The state of all nodes when something is sent. */
typedef struct moment {
  size_t sender;
  size_t gaps[PLACES], lives[PLACES];
  bool hears[PLACES]; /* nodes that recently received messages of the sender */
} moment;

typedef struct event {
  int channel;
  moment when;
} event;

typedef struct asked {
  answer is;
  int key;
  moment when;
  size_t got; /* by streams that have ended since */
} asked;

typedef struct run {
  nodes n;
  uint64_t seed, state;
  size_t lives[PLACES];
  event events[EVENTS_MOST];
  size_t events_count;
  asked asks[ASKS_MOST];
  size_t asks_count;
  seen open[SEEN_MOST];
  size_t open_count;
  bool talks;
  uint64_t killed_ns; /* the last time that a node died without a goodbye */
} run;

static run r;
static size_t all_events, all_asks, all_ok, all_unknown, all_gaps, all_gone, all_missed;

static uint64_t chance(uint64_t below) {
  return random_below(&r.state, below);
}

/* Log an operation, for debugging a seed. */
static void trace_step(const char *format, ...) VESTRY_PRINTF(1, 2);
static void trace_step(const char *format, ...) {
  if (!r.talks) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

static unsigned long long now_ms(void) {
  return r.n.th.now_ns / 1000000;
}

static void fail_at(const char *what, long number) {
  fprintf(stderr, "seed %llu: %s (%ld)\n", (unsigned long long)r.seed, what, number);
  fail();
}

/* Check the numbers after a mark, "D12;": those of one sender only increase. has: the numbers found; may be NULL. */
static void check_order(const seen *s, char mark, bool *has, size_t room) {
  vestry_slice all = vestry_memory_look(s->stream).received;
  long last[PLACES][16];
  memset(last, -1, sizeof last);
  for (const char *at = all.data; (at = strchr(at, mark)) != NULL; at++) {
    int sender, life;
    long number;
    if (sscanf(at + 1, "%d.%d.%ld;", &sender, &life, &number) != 3) continue;
    if (number <= last[sender][life % 16]) {
      trace_step("%s: %s", names[s->place], (const char *)all.data);
      fail_at("out of order, or twice", number);
    }
    last[sender][life % 16] = number;
    if (has && (size_t)number < room) has[number] = true;
  }
}

static void count_got(const seen *s) {
  static bool has[ASKS_MOST];
  memset(has, 0, sizeof has);
  check_order(s, 'D', has, ASKS_MOST);
  for (size_t i = 0; i < r.asks_count; i++) r.asks[i].got += has[i];
}

/* The stream is about to end. */
static void forget(size_t at) {
  count_got(&r.open[at]);
  check_order(&r.open[at], 'B', NULL, 0);
  all_gone++;
  r.open[at] = r.open[--r.open_count];
}

static void forget_ended(void) {
  for (size_t i = r.open_count; i-- > 0;)
    if (vestry_memory_look(r.open[i].stream).ended) forget(i);
}

static node *some_node(void) {
  node *of = &r.n.all[chance(PLACES)];
  return of->cluster ? of : NULL;
}

static void open_one(node *of) {
  if (of->streams_count >= STREAMS_MOST - 1 || r.open_count == SEEN_MOST) return;
  seen s = {.place = (size_t)(of - r.n.all),
            .kept = -1,
            .joined = -1,
            .first_event = r.events_count,
            .first_ask = r.asks_count};
  s.life = r.lives[s.place];
  if (chance(2)) {
    s.kept = (int)chance(KEYS);
    s.stream = node_open(of, keys[s.kept], s.kept == 0 ? VESTRY_KEEP_REPLACE : VESTRY_KEEP_MANY);
  } else {
    s.joined = (int)chance(KEYS);
    s.stream = node_join(of, keys[s.joined]);
  }
  r.open[r.open_count++] = s;
  trace_step("%llu: %s opens %s%s", now_ms(), of->name, s.kept < 0 ? "member of " : "",
             keys[s.kept < 0 ? s.joined : s.kept]);
  forget_ended();
}

static void close_one(void) {
  if (!r.open_count) return;
  size_t at = chance(r.open_count);
  seen s = r.open[at];
  forget(at);
  node_close(&r.n.all[s.place], s.stream);
  trace_step("%llu: %s closes %s%s", now_ms(), names[s.place], s.kept < 0 ? "member of " : "",
             keys[s.kept < 0 ? s.joined : s.kept]);
}

static moment now(const node *of) {
  moment m = {.sender = (size_t)(of - r.n.all)};
  for (size_t i = 0; i < PLACES; i++) {
    vestry_member_state sees = vestry_cluster_member(r.n.all[i].cluster, of->name);
    m.hears[i] = sees == VESTRY_MEMBER_ALIVE || sees == VESTRY_MEMBER_SUSPECT;
    m.gaps[i] = r.n.all[i].gaps;
    m.lives[i] = r.lives[i];
  }
  return m;
}

static void broadcast_one(node *of) {
  if (r.events_count == EVENTS_MOST) return;
  char text[64];
  size_t number = r.events_count++, place = (size_t)(of - r.n.all);
  event *e = &r.events[number];
  e->channel = (int)chance(KEYS);
  e->when = now(of);
  snprintf(text, sizeof text, "B%zu.%zu.%zu;", place, r.lives[place], number);
  vestry_err error = node_broadcast(of, keys[e->channel], text);
  trace_step("%llu: event %zu of %s.%zu to %s: %s", now_ms(), number, of->name, r.lives[place], keys[e->channel],
             vestry_err_name(error));
}

static void take_answer(vestry_err error, uint32_t count, void *ctx) {
  answer *to = ctx;
  trace_step("%llu: answer %s %u", now_ms(), vestry_err_name(error), count);
  to->times++;
  to->error = error;
  to->count = count;
}

static void dispatch_one(node *of) {
  if (r.asks_count == ASKS_MOST) return;
  size_t number = r.asks_count++, place = (size_t)(of - r.n.all);
  asked *a = &r.asks[number];
  *a = (asked){.key = (int)chance(KEYS), .when = now(of)};
  char text[64];
  snprintf(text, sizeof text, "D%zu.%zu.%zu;", place, r.lives[place], number);
  json_t *list = json_pack("[[s,{s:s}]]", "patch-signals", "s", text);
  const vestry_key *room = VESTRY_KEY("room", keys[a->key]);
  assert_int_equal(
      vestry_cluster_dispatch(of->cluster, list, &(vestry_dispatch_options){.key = room}, take_answer, &a->is),
      VESTRY_OK);
  json_decref(list);
  trace_step("%llu: %s.%zu asks %zu of %s", now_ms(), of->name, r.lives[place], number, keys[a->key]);
}

static void end_node(size_t place) {
  for (size_t i = r.open_count; i-- > 0;)
    if (r.open[i].place == place) forget(i);
  /* A goodbye can be lost, too. */
  r.killed_ns = r.n.th.now_ns;
  bool is_kill = chance(2);
  trace_step("%llu: %s %s", now_ms(), names[place], is_kill ? "dies" : "stops");
  if (is_kill)
    node_kill(&r.n.all[place]);
  else
    node_stop(&r.n.all[place]);
  r.lives[place]++;
}

static void divide(void) {
  static const char *const ways[] = {"aab", "aba", "baa", "abc", "-aa", "a-a", "aa-"};
  const char *way = chance(3) ? NULL : ways[chance(sizeof ways / sizeof *ways)];
  trace_step("%llu: divided %s", now_ms(), way ? way : "no more");
  nodes_divide(&r.n, way);
}

static void faults(void) {
  vestry_memory_network_options options = {.max_delay_ms = 1 + (uint32_t)chance(100)};
  if (chance(2)) options.delay = (uint32_t)chance(8000);
  if (chance(2)) options.duplicate = (uint32_t)chance(4000);
  if (chance(3) == 0) options.drop = (uint32_t)chance(3000);
  if (chance(4) == 0) options.tell = (uint32_t)chance(10000);
  if (chance(4) == 0) options.full = (uint32_t)chance(3000);
  trace_step("%llu: delay %u of %u, twice %u, drop %u, tell %u, full %u", now_ms(), options.delay, options.max_delay_ms,
             options.duplicate, options.drop, options.tell, options.full);
  assert_int_equal(vestry_memory_network_set(r.n.network, &options), VESTRY_OK);
}

static void pass(uint64_t ms) {
  nodes_skip_ms(&r.n, ms);
  forget_ended();
}

static void step(void) {
  node *of = some_node();
  size_t place = chance(PLACES);
  switch (chance(20)) {
  case 0: divide(); break;
  case 1: faults(); break;
  case 2:
    if (chance(3) == 0 && r.n.all[place].cluster) end_node(place);
    break;
  case 3:
    if (!r.n.all[place].cluster && r.n.joined < 200) {
      trace_step("%llu: %s.%zu starts", now_ms(), names[place], r.lives[place]);
      node_start(&r.n, place, names[place], NULL);
    }
    break;
  case 4: pass(1 + chance(1500)); break;
  case 5:
  case 6: close_one(); break;
  case 7:
  case 8:
  case 9:
  case 10: pass(chance(12)); break;
  case 11:
  case 12:
  case 13:
    if (of) open_one(of);
    break;
  case 14:
  case 15:
  case 16:
    if (of) dispatch_one(of);
    break;
  default:
    if (of) broadcast_one(of);
    break;
  }
}

/* ---------------------------------------------------------------------------------------- checks at the end ------- */

/* Return whether it did not arrive at that node, without a gap. The case that its sender was cut off and died before it
 * was heard again cannot be detected by any node. */
static bool is_missed(const moment *m, size_t place) {
  if (!m->hears[place] && m->lives[m->sender] != r.lives[m->sender]) return false;
  return r.n.all[place].gaps == m->gaps[place];
}

static void check_members(void) {
  static bool has[EVENTS_MOST];
  for (size_t i = 0; i < r.open_count; i++) {
    const seen *s = &r.open[i];
    memset(has, 0, sizeof has);
    check_order(s, 'B', has, EVENTS_MOST);
    for (size_t k = s->first_event; k < r.events_count; k++) {
      const event *e = &r.events[k];
      if (e->channel != s->joined || has[k]) continue;
      if (is_missed(&e->when, s->place)) fail_at("an event is lost without a word", (long)k);
      all_gaps++;
    }
  }
}

/* Check that a dispatch reported as OK has reached all open streams, or that they got a gap. */
static void check_reached(const seen *s) {
  static bool has[ASKS_MOST];
  memset(has, 0, sizeof has);
  check_order(s, 'D', has, ASKS_MOST);
  for (size_t i = s->first_ask; i < r.asks_count; i++) {
    const asked *a = &r.asks[i];
    if (a->key != s->kept || has[i] || a->is.error) continue;
    if (is_missed(&a->when, s->place)) trace_step("it was of %s, and at %s", names[a->when.sender], names[s->place]);
    if (is_missed(&a->when, s->place)) fail_at("a dispatch has not reached all, without a word", (long)i);
    all_missed++;
  }
}

static void check_asks(void) {
  for (size_t i = 0; i < r.open_count; i++) check_reached(&r.open[i]);
  for (size_t i = 0; i < r.open_count; i++) count_got(&r.open[i]);
  for (size_t i = 0; i < r.asks_count; i++) {
    const asked *a = &r.asks[i];
    if (a->is.times != 1) fail_at("not answered once", (long)i);
    all_ok += a->is.error == VESTRY_OK;
    all_unknown += a->is.error == VESTRY_TIMEOUT;
    if (a->is.error == VESTRY_OK && a->got > a->is.count) fail_at("more have it than is told", (long)i);
    if (a->is.error == VESTRY_NOT_FOUND && a->got) fail_at("nobody has it, is told, and somebody has", (long)i);
  }
}

static void check_digests(void) {
  uint64_t sum = 0;
  size_t there = 0;
  for (size_t i = 0; i < PLACES; i++)
    if (r.n.all[i].cluster) {
      vestry_cluster_stats stats = node_stats(&r.n.all[i]);
      sum += stats.keys_count;
      there++;
      trace_step("%llu: %zu: alive %zu unsynced %zu own %llu others %llu", now_ms(), i, stats.alive_count,
                 stats.unsynced_count, (unsigned long long)stats.keys_count,
                 (unsigned long long)stats.others_keys_count);
    }
  for (size_t i = 0; i < PLACES; i++) {
    if (!r.n.all[i].cluster) continue;
    vestry_cluster_stats stats = node_stats(&r.n.all[i]);
    if (stats.alive_count != there - 1) fail_at("who lives is not known", (long)i);
    if (stats.unsynced_count || stats.others_keys_count != sum - stats.keys_count)
      fail_at("a digest is not right", (long)i);
  }
  size_t single = 0;
  for (size_t i = 0; i < r.open_count; i++) single += r.open[i].kept == 0;
  if (single > 1) fail_at("several streams REPLACE each other", (long)single);
}

static void run_one(uint64_t seed, size_t steps) {
  memset(&r, 0, sizeof r);
  r.seed = r.state = seed;
  r.talks = getenv("CLUSTER_TALKS") != NULL;
  nodes_prepare(&r.n, &(vestry_memory_network_options){.seed = seed});
  for (size_t i = 0; i < PLACES; i++) node_start(&r.n, i, names[i], NULL);
  if (chance(4)) pass(600);
  for (size_t i = 0; i < steps; i++) step();
  assert_int_equal(vestry_memory_network_set(r.n.network, NULL), VESTRY_OK);
  nodes_divide(&r.n, NULL);
  pass(2000);
  bool are_known = r.n.th.now_ns - r.killed_ns > UINT64_C(3500000000);
  if (are_known) check_digests();
  pass(2000); /* a dead node is known to be dead, and each request is answered or timed out */
  check_digests();
  check_members();
  check_asks();
  all_events += r.events_count;
  all_asks += r.asks_count;
  nodes_end(&r.n);
}

/* capability: G5, G6, G7 */
TEST_CASE(no_loss_is_unreported_in_random_schedules) {
  uint64_t seed = random_setting("CLUSTER_SEED", 1), count = random_setting("CLUSTER_SEEDS", 60);
  size_t steps = (size_t)random_setting("CLUSTER_STEPS", 150);
  for (uint64_t i = 0; i < count; i++) run_one(seed + i, steps);
  print_message("%llu seeds: %zu events, %zu times a member was told of a gap instead; %zu dispatches, %zu OK, %zu "
                "unknown, %zu times a stream was told of a gap instead; %zu streams ended\n",
                (unsigned long long)count, all_events, all_gaps, all_asks, all_ok, all_unknown, all_missed, all_gone);
  if (count >= 60) {
    assert_true(all_gaps && all_unknown && all_gone);
    assert_true(all_ok > all_asks / 8);
  }
}

/* ------------------------------------------------------------------------ which of two runs of a node stays ------- */

/* Return whether dispatches of the other nodes reach the stream under a key. */
static bool all_reach(size_t others, const char *key) {
  answer is[PLACES];
  bool reach = true;
  for (size_t i = 0; i < others; i++) node_ask(&r.n.all[1 + i], key, "[[\"patch-signals\", {\"s\": 1}]]", &is[i]);
  nodes_skip_ms(&r.n, 1000);
  for (size_t i = 0; i < others; i++) reach &= is[i].times == 1 && !is[i].error && is[i].count == 1;
  return reach;
}

/* A node, one of up to three, stands still, or is cut off from the broker, or both. Meanwhile another process starts
 * under its name. Then the first one goes on. In the end exactly one of the two is left, and all other nodes reach its
 * streams. If they reached those of the second one before, it is the second one. */
static void one_run_is_left(uint64_t seed) {
  enum { OLD, NEW = PLACES, DEAD_MS = 3000 };
  memset(&r, 0, sizeof r);
  r.state = r.seed = seed;
  nodes *n = &r.n;
  nodes_prepare(n, &(vestry_memory_network_options){.seed = seed, .delay = (uint32_t)chance(9000), .max_delay_ms = 10});
  n->can_pause = true;
  const size_t others = chance(PLACES);
  n->th.seed = seed * 7919; /* the seed of epochs */
  for (size_t i = 0; i < 1 + others; i++) node_start(n, i, names[i], NULL);
  nodes_skip_ms(n, chance(4) ? 1000 + chance(6000) : chance(1000));
  node *old = &n->all[OLD], *new = &n->all[NEW];
  node_open(old, "old", VESTRY_KEEP_MANY);
  nodes_skip_ms(n, chance(100));
  const bool stands_still = chance(4), is_cut = !stands_still || chance(3) == 0, stops_clock = chance(2);
  if (stands_still) node_pause(old, stops_clock);
  if (is_cut) nodes_divide(n, "-");
  nodes_skip_ms(n, chance(2) ? chance(2 * DEAD_MS) : chance(300));
  node_start(n, NEW, names[OLD], NULL);
  node_open(new, "new", VESTRY_KEEP_MANY);
  nodes_skip_ms(n, chance(2) ? chance(3 * DEAD_MS) : chance(500));
  const bool was_taken = others && all_reach(others, "new");
  if (is_cut) nodes_divide(n, NULL);
  if (stands_still) node_wake(old, chance(2));
  nodes_skip_ms(n, 3 * DEAD_MS);
  const bool old_ended = vestry_cluster_member(old->cluster, "a") == VESTRY_MEMBER_REFUSED;
  const bool new_ended = vestry_cluster_member(new->cluster, "a") == VESTRY_MEMBER_REFUSED;
  if (old_ended == new_ended) fail_at(old_ended ? "none is left" : "both are left", (long)others);
  if (was_taken && new_ended) fail_at("the run that the others had taken is refused", (long)others);
  if (!all_reach(others, old_ended ? "new" : "old")) fail_at("the run that is left is not known", (long)others);
  nodes_end(n);
}

TEST_CASE(run_that_others_have_taken_stays_after_a_pause) {
  uint64_t seed = random_setting("CLUSTER_SEED", 1), count = random_setting("CLUSTER_SEEDS", 300);
  for (uint64_t i = 0; i < count; i++) one_run_is_left(seed + i);
}
