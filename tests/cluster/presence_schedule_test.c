/* SPDX-License-Identifier: MIT */
/* Presence on several nodes under a schedule that a seed determines: members arrive and leave, nodes die and restart,
 * presences end and begin, the network is divided, loses, repeats and delays. Always: a member at a place of a node is
 * present on that node at once, and the changes that on_change reports for a member alternate. At the end: two seconds
 * after the network is whole, all nodes have the same members, the reported changes match, and the count is the sum.
 *
 * CLUSTER_SEED=7 CLUSTER_SEEDS=100000 CLUSTER_STEPS=60 test_cluster presence_schedule */
#include <stdlib.h>

#include "cluster/nodes.h"
#include "runtime/random.h"
#include "vestry/testing/memory_network.h"

enum { NODES = 3, SEEN_MOST = 128 };

static const char *const names[NODES] = {"a", "b", "c"};

/* An open stream. */
typedef struct seen {
  vestry_memory_exchange *stream;
  size_t node;
  int place, user;
} seen;

typedef struct run {
  nodes n;
  uint64_t seed, state;
  seen open[SEEN_MOST];
  size_t open_count;
  /* 0: no stream has closed since the presence of the node began */
  uint64_t closed_ns[NODES][PLACES_MOST][PEOPLE_MOST];
  uint64_t killed_ns;
  bool talks;
} run;

static run r;
static size_t all_comings, all_leavings, all_partial, all_refused;

static uint64_t chance(uint64_t below) {
  return random_below(&r.state, below);
}

static void trace_step(const char *format, ...) VESTRY_PRINTF(1, 2);
static void trace_step(const char *format, ...) {
  if (!r.talks) return;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%llu: ", (unsigned long long)r.n.th.now_ns / 1000000);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

static void fail_at(const char *what, size_t number, int place, int user) {
  fprintf(stderr, "seed %llu: %s: %s, place %d, p%d\n", (unsigned long long)r.seed, names[number], what, place, user);
  fail();
}

/* Return whether a node has the member itself: by a stream, or in the grace time. */
static bool has_own(size_t number, int place, int user) {
  for (size_t i = 0; i < r.open_count; i++)
    if (r.open[i].node == number && r.open[i].place == place && r.open[i].user == user) return true;
  uint64_t closed_ns = r.closed_ns[number][place][user];
  return closed_ns && r.n.th.now_ns - closed_ns < GRACE_MS * UINT64_C(1000000);
}

static bool is_anywhere(int place, int user) {
  for (size_t i = 0; i < NODES; i++)
    if (r.n.all[i].presence && has_own(i, place, user)) return true;
  return false;
}

/* Checks at any time. */
static void check_always(void) {
  for (size_t i = 0; i < NODES; i++) {
    const node *of = &r.n.all[i];
    if (!of->presence) continue;
    size_t own = 0, here = 0;
    for (int place = 0; place < PLACES_MOST; place++)
      for (int user = 0; user < PEOPLE_MOST; user++) {
        own += has_own(i, place, user);
        here += node_has(of, place, user);
        if (has_own(i, place, user) && !node_has(of, place, user)) fail_at("is not here", i, place, user);
      }
    vestry_presence_stats stats = node_presence_stats(of);
    if (stats.own_count != own || stats.here_count != here) fail_at("is counted wrong", i, (int)own, (int)here);
    all_partial += stats.is_partial;
  }
}

/* Checks at the end. */
static void check(void) {
  for (size_t i = 0; i < NODES; i++) {
    const node *of = &r.n.all[i];
    if (!of->presence) continue;
    for (int place = 0; place < PLACES_MOST; place++)
      for (int user = 0; user < PEOPLE_MOST; user++) {
        bool is_there = is_anywhere(place, user);
        if (node_has(of, place, user) != is_there) fail_at(is_there ? "has not come" : "has not left", i, place, user);
        if (of->believes[place][user] != is_there)
          fail_at(is_there ? "is believed to be away" : "to be here", i, place, user);
      }
    if (node_presence_stats(of).is_partial) fail_at("is partial", i, 0, 0);
  }
}

static void pass(uint64_t ms) {
  nodes_skip_ms(&r.n, ms);
  check_always();
}

static void open_one(node *of) {
  if (of->streams_count >= STREAMS_MOST - 1 || r.open_count == SEEN_MOST || !of->presence) return;
  seen s = {.node = (size_t)(of - r.n.all), .place = (int)chance(PLACES_MOST), .user = (int)chance(PEOPLE_MOST)};
  s.stream = node_present(of, s.place, s.user);
  r.open[r.open_count++] = s;
  trace_step("p%d comes to place %d of %s", s.user, s.place, of->name);
}

static void close_one(void) {
  if (!r.open_count) return;
  size_t at = chance(r.open_count);
  seen s = r.open[at];
  r.open[at] = r.open[--r.open_count];
  node_close(&r.n.all[s.node], s.stream);
  r.closed_ns[s.node][s.place][s.user] = r.n.th.now_ns;
  trace_step("p%d goes from place %d of %s", s.user, s.place, names[s.node]);
}

/* Streams that were present do not belong to the next presence. */
static void forget(size_t number) {
  for (size_t i = r.open_count; i-- > 0;)
    if (r.open[i].node == number) r.open[i] = r.open[--r.open_count];
  memset(r.closed_ns[number], 0, sizeof r.closed_ns[number]);
  all_comings += r.n.all[number].comings;
  all_leavings += r.n.all[number].leavings;
}

static void end_node(size_t place) {
  node *of = &r.n.all[place];
  bool is_kill = chance(2);
  forget(place);
  r.killed_ns = r.n.th.now_ns;
  trace_step("%s %s", names[place], is_kill ? "dies" : "stops");
  if (is_kill)
    node_kill(of);
  else
    node_stop(of);
}

static void toggle_presence(size_t place) {
  node *of = &r.n.all[place];
  trace_step("%s: a presence %s", names[place], of->presence ? "ends" : "begins");
  if (!of->presence) {
    node_presence_begin(of);
    return;
  }
  forget(place);
  of->comings = of->leavings = 0;
  node_presence_end(of);
}

static void divide(void) {
  static const char *const ways[] = {"aab", "aba", "baa", "abc", "-aa", "a-a", "aa-"};
  const char *way = chance(3) ? NULL : ways[chance(sizeof ways / sizeof *ways)];
  trace_step("divided %s", way ? way : "no more");
  nodes_divide(&r.n, way);
}

static void faults(void) {
  vestry_memory_network_options options = {.max_delay_ms = 1 + (uint32_t)chance(100)};
  if (chance(2)) options.delay = (uint32_t)chance(8000);
  if (chance(2)) options.duplicate = (uint32_t)chance(4000);
  if (chance(3) == 0) options.drop = (uint32_t)chance(3000);
  if (chance(4) == 0) options.tell = (uint32_t)chance(10000);
  if (chance(4) == 0) options.full = (uint32_t)chance(3000);
  trace_step("delay %u of %u, twice %u, drop %u, full %u", options.delay, options.max_delay_ms, options.duplicate,
             options.drop, options.full);
  assert_int_equal(vestry_memory_network_set(r.n.network, &options), VESTRY_OK);
}

static void step(void) {
  node *of = &r.n.all[chance(NODES)];
  size_t place = chance(NODES);
  switch (chance(20)) {
  case 0: divide(); break;
  case 1: faults(); break;
  case 2:
    if (chance(3) == 0 && r.n.all[place].cluster) end_node(place);
    break;
  case 3:
    if (!r.n.all[place].cluster && r.n.joined < 200) {
      trace_step("%s starts", names[place]);
      node_start(&r.n, place, names[place], NULL);
    }
    break;
  case 4: pass(1 + chance(1500)); break;
  case 5:
    if (chance(3) == 0 && r.n.all[place].cluster) toggle_presence(place);
    break;
  case 6:
  case 7:
  case 8: pass(chance(300)); break;
  case 9:
  case 10: pass(chance(12)); break;
  case 11:
  case 12:
  case 13:
  case 14: close_one(); break;
  default:
    if (of->cluster) open_one(of);
    break;
  }
  check_always();
}

static void run_one(uint64_t seed, size_t steps) {
  memset(&r, 0, sizeof r);
  r.seed = r.state = seed;
  r.talks = getenv("CLUSTER_TALKS") != NULL;
  nodes_prepare(&r.n, &(vestry_memory_network_options){.seed = seed});
  r.n.have_presence = true;
  for (size_t i = 0; i < NODES; i++) node_start(&r.n, i, names[i], NULL);
  if (chance(4)) pass(600);
  for (size_t i = 0; i < steps; i++) step();
  for (size_t i = 0; i < NODES; i++)
    if (r.n.all[i].cluster && !r.n.all[i].presence) toggle_presence(i);
  assert_int_equal(vestry_memory_network_set(r.n.network, NULL), VESTRY_OK);
  nodes_divide(&r.n, NULL);
  pass(2000);
  if (r.n.th.now_ns - r.killed_ns > UINT64_C(3500000000)) check();
  pass(2000); /* a dead node is known to be dead by now */
  check();
  for (size_t i = 0; i < NODES; i++)
    if (r.n.all[i].presence) all_refused += node_presence_stats(&r.n.all[i]).refused_count;
  for (size_t i = 0; i < NODES; i++)
    if (r.n.all[i].cluster) forget(i);
  nodes_end(&r.n);
}

/* capability: G8 */
TEST_CASE(presence_is_correct_in_random_schedules) {
  uint64_t seed = random_setting("CLUSTER_SEED", 1), count = random_setting("CLUSTER_SEEDS", 60);
  size_t steps = (size_t)random_setting("CLUSTER_STEPS", 150);
  for (uint64_t i = 0; i < count; i++) run_one(seed + i, steps);
  print_message("%llu seeds: %zu comings and %zu leavings told; it was partial %zu times\n", (unsigned long long)count,
                all_comings, all_leavings, all_partial);
  assert_int_equal(all_refused, 0);
  if (count >= 60) assert_true(all_comings > all_leavings && all_leavings > 1000 && all_partial > 1000);
}
