/* SPDX-License-Identifier: MIT */
/* Rounds: three nodes under load, with faults that a seed determines. Nodes are killed and restarted, stopped and
 * continued, cut off, black-holed in one or both directions, and receive messages late and duplicated; the broker is
 * killed and restarted, or stopped. Always:
 * - no loss without a report: a receiver that missed a message gets a gap, and its pages are rendered again, within a
 *   second after it and the sender were connected;
 * - each request is answered once, in time and correctly;
 * - no message of one sender, for one stream, is out of order or duplicated;
 * - within two seconds after the last fault, all tables of keys are equal, and of streams that REPLACE one is left;
 * - after that, each message reaches all its receivers at once.
 *
 * ROUNDS=1000 ROUNDS_SEED=1 test_rounds rounds   1,000 rounds, from this seed on
 * ROUNDS_STORIES=/tmp   folder for the records of failed rounds
 * A round depends on its seed and the speed of the machine: a failed one may need several runs to fail again. */
#include <stdlib.h>

#include "rounds/check.h"
#include "runtime/random.h"
#include "support/test.h"

/* KNOWN_MS: two heartbeats after it has come up, a node answers that no node has a key; before that, the answer is
 * unknown. STALLS_BEFORE_MS: how long a connection to the broker lives without a response. STANDS_STILL_MS: after such
 * a stall, beside a heartbeat, the answer is unknown, too. */
enum { ANSWER_MS = 500, KNOWN_MS = 120, STALLS_BEFORE_MS = 500, DISTURBS_MS = 50, STANDS_STILL_MS = 150 };
enum { ROUNDS_A_WORLD = 8, TROUBLES_MOST = 4, KEYS = 4, CHANNELS = 3, EMPTY = 4, STREAMS_A_NAME = 3 };

static const char *const settings[] = {"heartbeat_ms=50", "dead_ms=600",          "answer_ms=500",
                                       "ping_ms=100",     "reconnect_max_ms=100", NULL};
static const char *const keys[KEYS] = {"r0", "r1", "m0", "m%0d%0aSUB%20*%20>%0d%0a"};
static const char *const channels[CHANNELS] = {"c0", "c1", "c*.>"};
static const char *const empty[EMPTY] = {"e0", "e1", "e2", "e3"}; /* channels with few members */

typedef enum kind { KILL, STOP, CUT, HOLE, DEAF, MUTE, BROKER_KILL, BROKER_STOP, KINDS } kind;
static const char *const kind_names[KINDS] = {"kill", "stop", "cut",         "black hole",
                                              "deaf", "mute", "broker dies", "broker stops"};

/* A fault during a round. */
typedef struct trouble {
  kind kind;
  unsigned places; /* one bit each */
  uint64_t begin_ms, end_ms;
  enum { WAITS, GOES_ON, ENDS, OVER } phase;
  size_t fault;
} trouble;

static world w;
static verdict sum;
static uint64_t longest_equal_ns, stalled_ns;
static size_t clean, by_kind[KINDS];
static uint64_t repeated, dropped;

static uint64_t chance(uint64_t below) {
  return random_below(&w.state, below);
}

static int lowest(unsigned places) {
  return __builtin_ctz(places);
}

/* ----------------------------------------------------------------------------------------------------- load ------- */

static size_t open_there(int place, const char *name) {
  size_t count = 0;
  for (size_t i = 0; i < w.streams_count; i++) {
    const stream *s = &w.streams[i];
    count += s->place == place && s->life == w.players[place].life && !s->left_ns && !s->is_told_to_close &&
             !strcmp(s->name, name);
  }
  return count;
}

static void open_one(int place) {
  bool is_key = chance(2);
  size_t which = chance(is_key ? KEYS : CHANNELS);
  const char *name = is_key ? keys[which] : channels[which];
  if (open_there(place, name) >= STREAMS_A_NAME) return;
  if (is_key)
    (void)world_open(&w, place, name, name[0] == 'r');
  else
    (void)world_join(&w, place, name);
}

static void close_one(int place) {
  size_t first = w.streams_count > 64 ? w.streams_count - 64 : 0;
  size_t at = first + chance(w.streams_count - first);
  const stream *s = &w.streams[at];
  if (s->place == place && s->kind != 'P' && stream_is_open(&w, s)) world_close(&w, (int)at);
}

/* A stream joins a channel, another node sends to it before that is announced, and the stream leaves. */
static void join_late(int place) {
  int other = (place + 1 + (int)chance(PLACES - 1)) % PLACES;
  const char *name = empty[chance(EMPTY)];
  if (open_there(place, name) || !w.players[other].is_up) return;
  (void)world_join(&w, place, name);
  world_pass(&w, chance(4));
  (void)world_send(&w, other, 'B', name);
}

static void act(void) {
  int place = (int)chance(PLACES);
  if (!w.players[place].is_up) return;
  switch (chance(20)) {
  case 0: join_late(place); break;
  case 1:
  case 2: open_one(place); break;
  case 3:
  case 4: close_one(place); break;
  case 5:
  case 6:
  case 7:
  case 8:
  case 9:
  case 10: (void)world_send(&w, place, 'D', keys[chance(KEYS)]); break;
  case 11: (void)world_send(&w, place, 'R', "room"); break;
  case 12:
  case 13: (void)world_send(&w, place, 'P', "n0"); break;
  default: (void)world_send(&w, place, 'B', channels[chance(CHANNELS)]); break;
  }
}

/* Open the streams of a node that has just started. */
static void settle_in(int place) {
  (void)world_show(&w, place);
  for (int i = 0; i < CHANNELS; i++) (void)world_join(&w, place, channels[i]);
  for (int i = 0; i < 3; i++) open_one(place);
}

/* --------------------------------------------------------------------------------------------------- faults ------- */

static void plan(trouble *t, uint64_t round_ms) {
  static const unsigned parts[] = {1, 2, 4, 3, 5, 6, 7};
  *t = (trouble){.kind = (kind)chance(KINDS), .phase = WAITS};
  bool is_wide = t->kind >= CUT && t->kind <= MUTE;
  t->places = is_wide ? parts[chance(7)] : t->kind <= STOP ? 1U << chance(PLACES) : 7;
  t->begin_ms = chance(round_ms);
  t->end_ms = t->begin_ms + 1 + chance(chance(3) ? 300 : 1200);
}

/* Return whether another fault affects the same nodes. */
static bool is_taken(const trouble *all, size_t count, const trouble *one) {
  for (size_t i = 0; i < count; i++) {
    const trouble *t = &all[i];
    if (t == one || t->phase == WAITS || t->phase == OVER) continue;
    bool same =
        (t->kind <= STOP && one->kind <= STOP && t->places == one->places) ||
        (t->kind >= CUT && t->kind <= MUTE && one->kind >= CUT && one->kind <= MUTE) ||
        (t->kind >= BROKER_KILL && t->kind <= BROKER_STOP && one->kind >= BROKER_KILL && one->kind <= BROKER_STOP);
    if (same) return true;
  }
  return false;
}

static void part(const trouble *t, bool is_on) {
  for (int i = 0; i < PLACES; i++) {
    proxy *p = &w.proxies[i];
    if (!(t->places >> i & 1)) continue;
    if (t->kind == CUT) proxy_cut(p, is_on);
    if (t->kind == HOLE || t->kind == DEAF) p->holds_in = is_on;
    if (t->kind == HOLE || t->kind == MUTE) p->holds_out = is_on;
  }
}

/* During the whole round: frames arrive late, twice or, at some nodes, not at all. */
static void make_noise(void) {
  for (int i = 0; i < PLACES; i++) {
    proxy *p = &w.proxies[i];
    if (chance(2)) p->delay_ms = (uint32_t)chance(40);
    if (chance(2)) p->duplicate = (uint32_t)chance(5000);
    if (chance(4) == 0) p->drop = (uint32_t)chance(1000);
    world_note(&w, "to %c: late by up to %u ms, of 10,000 twice %u, lost %u", 'a' + i, p->delay_ms, p->duplicate,
               p->drop);
  }
}

static void begin(trouble *t) {
  by_kind[t->kind]++;
  t->phase = GOES_ON;
  world_note(&w, "%s begins for %u", kind_names[t->kind], t->places);
  t->fault = world_fault(&w, t->places | (t->kind == STOP ? t->places << 8 : 0));
  switch (t->kind) {
  case KILL: world_kill(&w, lowest(t->places)); break;
  case STOP: world_stop(&w, lowest(t->places), true); break;
  case BROKER_KILL: world_broker_kill(&w); break;
  case BROKER_STOP: world_broker_stop(&w, true); break;
  default: part(t, true); break;
  }
}

static void end(trouble *t) {
  t->phase = ENDS;
  world_note(&w, "%s ends", kind_names[t->kind]);
  switch (t->kind) {
  case KILL: world_start(&w, lowest(t->places), settings); break;
  case STOP: world_stop(&w, lowest(t->places), false); break;
  case BROKER_KILL: world_broker_launch(&w); break;
  case BROKER_STOP: world_broker_stop(&w, false); break;
  default: part(t, false); break;
  }
}

/* The fault is over when the restarted process is ready. */
static void check_over(trouble *t) {
  bool is_over = t->kind == KILL ? w.players[lowest(t->places)].is_up : t->kind != BROKER_KILL || w.is_broker_up;
  if (!is_over) return;
  t->phase = OVER;
  world_healed(&w, t->fault);
  if (t->kind == KILL) settle_in(lowest(t->places));
}

/* Run until all faults are over. */
static void go_through(trouble *all, size_t count, uint64_t round_ms) {
  uint64_t began_ns = clock_ns(), next_ns = began_ns;
  for (bool is_over = false; !is_over;) {
    uint64_t now_ns = clock_ns(), at_ms = (now_ns - began_ns) / MS;
    is_over = at_ms >= round_ms;
    for (size_t i = 0; i < count; i++) {
      trouble *t = &all[i];
      if (t->phase == WAITS && at_ms >= t->begin_ms) {
        if (is_taken(all, count, t))
          t->phase = OVER;
        else
          begin(t);
      }
      if (t->phase == GOES_ON && at_ms >= t->end_ms) end(t);
      if (t->phase == ENDS) check_over(t);
      is_over &= t->phase == OVER;
    }
    if (now_ns >= next_ns) {
      act();
      next_ns = now_ns + chance(6) * MS;
    }
    world_poll(&w, clock_ns() + MS);
  }
}

/* -------------------------------------------------------------------------------------------------- a round ------- */

static bool are_linked(void) {
  for (int i = 0; i < PLACES; i++)
    if (!w.players[i].is_linked || clock_ns() < w.players[i].linked_ns + KNOWN_MS * MS) return false;
  return true;
}

/* Not at once: a node that was cut off may detect that only now, and close its connection. */
static void await_equal(void) {
  uint64_t began_ns = clock_ns();
  world_pass(&w, KNOWN_MS);
  for (bool once = false;;) {
    bool is_equal = check_digests(&w) && check_replaced(&w) && are_linked();
    uint64_t now_ns = clock_ns(), took_ns = now_ns - began_ns - world_stalled_ns(&w, began_ns, now_ns);
    if (is_equal && once) {
      if (took_ns > longest_equal_ns) longest_equal_ns = took_ns;
      return;
    }
    if (took_ns > EQUAL_WITHIN_MS * MS) {
      world_fail(&w, "after %d ms %s", EQUAL_WITHIN_MS,
                 check_replaced(&w) ? "digests are not equal" : "several streams REPLACE each other");
      for (int i = 0; i < PLACES; i++) {
        stats s = w.players[i].stats;
        world_note(&w, "%c: alive %zu, unsynced %zu, own %llu, others' %llu", 'a' + i, s.alive, s.unsynced, s.own,
                   s.others);
      }
      return;
    }
    once = is_equal;
    world_pass(&w, 20);
  }
}

static bool is_right(const message *m) {
  size_t open = open_under(&w, m->kind == 'D' ? 'K' : 'C', m->name);
  if (m->got_count != open) return false;
  return m->kind != 'D' || (m->times && m->count == open && !strcmp(m->error, open ? "OK" : "NOT_FOUND"));
}

static bool are_right(size_t from) {
  for (size_t i = from; i < w.messages_count; i++)
    if (!is_right(&w.messages[i])) return false;
  return true;
}

/* Return whether a process did not run for so long that its connections were closed, or numbers are missing, which is
 * reported; or that it does not know which nodes are alive. */
static bool is_disturbed(uint64_t since_ns) {
  bool is_told = false;
  for (int i = 0; i < PLACES; i++) is_told |= !w.players[i].is_linked || w.players[i].linked_ns > since_ns;
  for (size_t i = 0; i < w.reported_count; i++) is_told |= w.reported[i].kind == 'G' && w.reported[i].at_ns > since_ns;
  uint64_t stalled = world_stalled_ns(&w, since_ns - STALLS_BEFORE_MS * MS, clock_ns());
  return stalled > STANDS_STILL_MS * MS || (is_told && stalled > DISTURBS_MS * MS);
}

/* Without faults: each message reaches all its receivers. False: the machine was too slow. */
static bool calm(void) {
  size_t from = w.messages_count;
  uint64_t began_ns = clock_ns();
  for (int i = 0; i < PLACES; i++) {
    for (int k = 0; k < KEYS; k++) (void)world_send(&w, i, 'D', keys[k]);
    for (int k = 0; k < CHANNELS; k++) (void)world_send(&w, i, 'B', channels[k]);
  }
  while (!are_right(from) && clock_ns() < began_ns + 1000 * MS + world_stalled_ns(&w, began_ns, clock_ns()))
    world_pass(&w, 5);
  if (are_right(from)) return true;
  if (is_disturbed(began_ns)) return false;
  for (size_t i = from; i < w.messages_count; i++) {
    const message *m = &w.messages[i];
    if (!is_right(m))
      world_fail(&w, "all is well, and %zu of %c to %s has come to %zu of %zu, and is answered %s %u", i,
                 'a' + m->place, m->name, m->got_count, open_under(&w, m->kind == 'D' ? 'K' : 'C', m->name), m->error,
                 m->count);
  }
  return true;
}

/* Run until nothing is pending. */
static void judge_all(size_t first, verdict *v) {
  do {
    world_pass(&w, 10);
    check_messages(&w, first, ANSWER_MS, v);
  } while (v->pending && !w.failures);
}

static void keep_story(void) {
  const char *folder = getenv("ROUNDS_STORIES");
  char path[256];
  fflush(w.trace);
  if (!folder) {
    fputs(w.story, stderr);
    return;
  }
  snprintf(path, sizeof path, "%s/round-%llu", folder, (unsigned long long)w.seed);
  FILE *file = fopen(path, "w");
  if (!file) return;
  fputs(w.story, file);
  fclose(file);
}

static void run_round(uint64_t seed) {
  trouble troubles[TROUBLES_MOST];
  w.seed = w.state = seed;
  w.failures = 0;
  world_forget_story(&w);
  size_t first = w.messages_count, count = 1 + chance(TROUBLES_MOST);
  uint64_t round_ms = 300 + chance(500), began_ns = clock_ns();
  for (size_t i = 0; i < count; i++) plan(&troubles[i], round_ms);
  if (chance(2)) make_noise();
  go_through(troubles, count, round_ms);
  for (int i = 0; i < PLACES; i++) proxy_heal(&w.proxies[i]);
  await_equal();
  verdict v = {0};
  judge_all(first, &v); /* by heartbeats only, because no node sends */
  while (!w.failures && !calm()) await_equal();
  judge_all(first, &v);
  check_survivors(&w);
  if (w.bad_subjects_count) world_fail(&w, "a subject holds what is no subject's");
  sum.messages += v.messages;
  sum.lost += v.lost;
  sum.asked += v.asked;
  sum.ok += v.ok;
  sum.not_found += v.not_found;
  sum.unknown += v.unknown;
  sum.failed += v.failed;
  if (v.longest_ns > sum.longest_ns) sum.longest_ns = v.longest_ns;
  stalled_ns += world_stalled_ns(&w, began_ns, clock_ns());
  if (w.failures)
    keep_story();
  else
    clean++;
}

static void begin_world(uint64_t seed) {
  world_begin(&w, seed, settings);
  world_start_all(&w);
  for (int i = 0; i < PLACES; i++) settle_in(i);
  world_pass(&w, 50);
}

static void end_world(void) {
  for (int i = 0; i < PLACES; i++) {
    repeated += w.proxies[i].duplicated_count;
    dropped += w.proxies[i].dropped_count;
  }
  world_end(&w);
}

/* capability: G2, G4, G5, G6, G7 */
TEST_CASE(guarantees_hold_in_random_rounds) {
  uint64_t seed = random_setting("ROUNDS_SEED", 1),
           count = random_setting("ROUNDS", TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 5 : 18);
  size_t in_world = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (in_world == 0) begin_world(seed + i);
    run_round(seed + i);
    in_world = w.failures || in_world + 1 == ROUNDS_A_WORLD || i + 1 == count ? 0 : in_world + 1;
    if (in_world == 0) end_world();
    if (count > 50 && (i + 1) % 50 == 0) fprintf(stderr, "%llu rounds, %zu clean\n", (unsigned long long)i + 1, clean);
  }
  print_message(
      "%llu rounds, %zu clean: %zu messages; %zu times one was not got, and that told, after %llu ms at most; "
      "%zu dispatches: %zu OK, %zu NOT_FOUND, %zu TIMEOUT, %zu IO; equal after %llu ms at most; nobody ran "
      "for %llu ms\n",
      (unsigned long long)count, clean, sum.messages, sum.lost, (unsigned long long)(sum.longest_ns / MS), sum.asked,
      sum.ok, sum.not_found, sum.unknown, sum.failed, (unsigned long long)(longest_equal_ns / MS),
      (unsigned long long)(stalled_ns / MS));
  print_message("%llu frames came twice, %llu did not come; ", (unsigned long long)repeated,
                (unsigned long long)dropped);
  for (int i = 0; i < KINDS; i++) print_message("%s %zu%s", kind_names[i], by_kind[i], i + 1 < KINDS ? ", " : "\n");
  assert_int_equal(clean, count);
  if (count >= 18) assert_true(sum.lost && sum.ok > sum.asked / 8);
}
