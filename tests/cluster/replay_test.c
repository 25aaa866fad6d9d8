/* SPDX-License-Identifier: MIT */
/* C1: an attacker with access to the broker, but without the secret, records all messages of three runs of each node,
 * and replays them in any order, to any node, mixed with current messages. In spite of that:
 * - no node leaves, is refused, or is taken for dead, and a dead node stays dead;
 * - each dispatch is OK with the right count, or NOT_FOUND;
 * - nothing is performed twice, and no event arrives twice;
 * - no node gets a gap, and a node that starts becomes a member as usual.
 *
 * REPLAY_SEED=7 REPLAY_SEEDS=10000 REPLAY_STEPS=60 test_cluster replay */
#include "cluster/cluster/cluster.h" /* first, because its names differ */
#include "cluster/cluster/message.h"

#include <stdlib.h>

#include "cluster/nodes.h"
#include "runtime/random.h"
#include "vestry/testing/memory_network.h"

enum { PLACES = 3, LIVES = 3, KEPT = 4096, SEEN = 16384, DELAY_MS = 20 };

static const char *const names[PLACES] = {"a", "b", "c"};

typedef struct recorded {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char *data;
  size_t len;
  uint64_t at_ns;
} recorded;

/* Each event and dispatch has its own number, which is visible in the stream. */
typedef struct run {
  nodes n;
  uint64_t seed, state;
  vestry_broker recorder;
  recorded kept[KEPT];
  size_t kept_count, played;
  uint64_t seen[SEEN]; /* seals, because replayed messages return to the recorder */
  vestry_memory_exchange *stream[PLACES], *member[PLACES];
  size_t reported; /* numbers used */
} run;

static run r;
static size_t all_played, all_recorded, all_dispatches, all_lives;

static uint64_t chance(uint64_t below) {
  return random_below(&r.state, below);
}

static void fail_at(const char *what, long number) {
  fprintf(stderr, "seed %llu: %s (%ld)\n", (unsigned long long)r.seed, what, number);
  fail();
}

/* --------------------------------------------------------------------------------------------- the recorder ------- */

static bool is_new(const unsigned char *data, size_t len) {
  uint64_t seal;
  memcpy(&seal, data + len - sizeof seal, sizeof seal);
  size_t at = seal % SEEN;
  while (r.seen[at] && r.seen[at] != seal) at = (at + 1) % SEEN;
  bool is = !r.seen[at];
  r.seen[at] = seal;
  return is;
}

static void record(const char *subject, const void *data, size_t len, void *ctx) {
  if (r.kept_count == KEPT || !is_new(data, len)) return;
  recorded *to = &r.kept[r.kept_count++];
  *to = (recorded){.data = malloc(len), .len = len, .at_ns = r.n.th.now_ns};
  assert_non_null(to->data);
  memcpy(to->data, data, len);
  snprintf(to->subject, sizeof to->subject, "%s", subject);
}

/* Subscribe to the subjects of all nodes, which depend on their names. of: the first node. */
static void begin_recording(const node *of) {
  char own[PLACES][VESTRY_SUBJECT_MAX_BYTES + 1];
  const char *subjects[PLACES + 1] = {of->cluster->all_subject};
  for (size_t i = 0; i < PLACES; i++) {
    vsi_message_subject(of->cluster, vsi_siphash_1_3(of->cluster->name_key, names[i], strlen(names[i])), own[i]);
    subjects[i + 1] = own[i];
  }
  assert_string_equal(own[0], of->cluster->own_subject);
  assert_int_equal(vestry_memory_network_join(r.n.network, &r.recorder), VESTRY_OK);
  r.n.joined++;
  const vestry_broker_events events = {.on_message = record};
  assert_int_equal(r.recorder.ops->start(r.recorder.broker, subjects, PLACES + 1, &events), VESTRY_OK);
}

/* Replay only messages that have arrived: an attacker that can delay or overtake messages controls the broker
 * itself. */
static void replay(size_t count) {
  for (size_t i = 0; i < count && r.kept_count; i++) {
    const recorded *one = &r.kept[chance(r.kept_count)];
    if (r.n.th.now_ns - one->at_ns <= (uint64_t)DELAY_MS * 1000000) continue;
    const char *to = chance(8) ? one->subject : r.kept[chance(r.kept_count)].subject;
    assert_int_equal(r.recorder.ops->publish(r.recorder.broker, to, one->data, one->len), VESTRY_OK);
    r.played++;
  }
}

/* ------------------------------------------------------------------------------------------------ the nodes ------- */

static void pass(uint64_t ms) {
  nodes_settle(&r.n);
  nodes_skip_ms(&r.n, ms);
}

static void pass_under_play(uint64_t ms) {
  for (; ms; ms -= ms < 50 ? ms : 50) {
    replay(chance(12));
    pass(ms < 50 ? ms : 50);
  }
}

static node *at(size_t place) {
  return &r.n.all[place];
}

static void begin_life(size_t place) {
  node *of = node_start(&r.n, place, names[place], NULL);
  if (!r.recorder.ops) begin_recording(of);
  r.stream[place] = node_open(of, names[place], VESTRY_KEEP_REPLACE);
  r.member[place] = node_join(of, "all");
  all_lives++;
}

static void end_life(size_t place) {
  if (chance(2))
    node_kill(at(place));
  else
    node_stop(at(place));
}

static size_t count_of(vestry_memory_exchange *stream, char mark, size_t number) {
  char text[32];
  snprintf(text, sizeof text, "%c%zu;", mark, number);
  return count_in(stream, text);
}

/* Broadcast one event to all members. */
static void broadcast_one(size_t place) {
  char text[32];
  snprintf(text, sizeof text, "B%zu;", ++r.reported);
  assert_int_equal(node_broadcast(at(place), "all", text), VESTRY_OK);
}

typedef struct asked {
  answer is;
  size_t number, to;
} asked;

static void dispatch_one(size_t place, size_t to, asked *ret) {
  char effects[96];
  ret->number = ++r.reported;
  ret->to = to;
  snprintf(effects, sizeof effects, "[[\"patch-signals\",{\"s\":\"D%zu;\"}]]", ret->number);
  node_ask(at(place), to < PLACES ? names[to] : "nobody", effects, &ret->is);
  all_dispatches++;
}

static void check_members(const char *when) {
  for (size_t i = 0; i < PLACES; i++)
    for (size_t k = 0; k < PLACES; k++) {
      vestry_member_state state = at(i)->cluster ? vestry_cluster_member(at(i)->cluster, names[k]) : 0;
      if (at(i)->cluster && at(k)->cluster && state != VESTRY_MEMBER_ALIVE) fail_at(when, (long)(i * 10 + k));
      if (at(i)->cluster && !at(k)->cluster && state == VESTRY_MEMBER_ALIVE) fail_at("who is dead lives", (long)k);
    }
}

/* All nodes are members of each other, and work for a while. */
static void live_under_play(size_t steps) {
  size_t gaps[PLACES], first = r.reported + 1;
  for (size_t i = 0; i < PLACES; i++) gaps[i] = at(i)->gaps;
  for (size_t step = 0; step < steps; step++) {
    asked one = {.to = PLACES + 1};
    size_t from = chance(PLACES), kind = chance(4);
    replay(chance(10));
    if (kind == 0) broadcast_one(from);
    if (kind == 1) dispatch_one(from, chance(PLACES + 1), &one);
    replay(chance(10));
    pass(kind == 3 ? chance(400) : chance(2 * DELAY_MS));
    if (one.to > PLACES) continue;
    pass(one.is.times ? 0 : 3 * DELAY_MS);
    vestry_err expected = one.to < PLACES ? VESTRY_OK : VESTRY_NOT_FOUND;
    if (one.is.times != 1 || one.is.error != expected || one.is.count != (one.to < PLACES))
      fail_at("a dispatch is not answered as it should be", (long)one.is.error);
    if (one.to < PLACES && count_of(r.stream[one.to], 'D', one.number) != 1)
      fail_at("it is not performed once", (long)one.number);
  }
  pass_under_play(400);
  check_members("a member is lost");
  for (size_t i = 0; i < PLACES; i++) {
    if (at(i)->gaps != gaps[i]) fail_at("a gap that is none", (long)i);
    for (size_t number = 1; number <= r.reported; number++) {
      size_t count = count_of(r.member[i], 'B', number);
      if (count > 1) fail_at("an event comes twice", (long)number);
      if (number >= first && count != count_of(r.member[0], 'B', number)) fail_at("an event is lost", (long)number);
    }
  }
}

static void run_one(uint64_t seed, size_t steps) {
  memset(&r, 0, sizeof r);
  r.seed = r.state = seed;
  vestry_memory_network_options faults = {.seed = seed, .max_delay_ms = DELAY_MS};
  if (chance(2)) faults.delay = (uint32_t)chance(10000);
  if (chance(2)) faults.duplicate = (uint32_t)chance(5000);
  nodes_prepare(&r.n, &faults);
  for (size_t i = 0; i < PLACES; i++) begin_life(i);
  pass_under_play(600);
  for (size_t life = 1; life < LIVES; life++) {
    for (size_t i = 0; i < PLACES; i++) {
      for (size_t k = chance(6); k > 0; k--) {
        size_t from = chance(PLACES);
        asked one;
        broadcast_one(from);
        dispatch_one(from, chance(PLACES + 1), &one);
        pass(1 + chance(60));
        pass(one.is.times ? 0 : 1000);
      }
      end_life(i);
      pass_under_play(chance(3) ? chance(300) : 4000);
      begin_life(i);
      /* 500 ms until no node believes in the earlier run, a heartbeat, and the messages in transit */
      pass_under_play(1100);
      check_members("who starts is not met");
    }
  }
  pass_under_play(chance(2) * 4000);
  live_under_play(steps);
  /* One node dies and is not revived by replay; then it restarts. */
  size_t place = chance(PLACES);
  end_life(place);
  pass_under_play(3600);
  check_members("who lives is lost with who died");
  asked one;
  dispatch_one((place + 1) % PLACES, place, &one); /* no request waits for a dead node */
  pass(3 * DELAY_MS);
  if (one.is.times != 1 || one.is.error != VESTRY_NOT_FOUND) fail_at("the dead are asked", (long)one.is.error);
  begin_life(place);
  pass_under_play(1100);
  live_under_play(steps / 4);
  all_played += r.played;
  all_recorded += r.kept_count;
  r.recorder.ops->destroy(r.recorder.broker);
  nodes_end(&r.n);
  for (size_t i = 0; i < r.kept_count; i++) free(r.kept[i].data);
}

/* capability: G10 */
TEST_CASE(replayed_messages_have_no_effect) {
  uint64_t seed = random_setting("REPLAY_SEED", 1), count = random_setting("REPLAY_SEEDS", 100);
  size_t steps = (size_t)random_setting("REPLAY_STEPS", 40);
  for (uint64_t i = 0; i < count; i++) run_one(seed + i, steps);
  print_message("%llu seeds: %zu lives, %zu messages recorded, %zu played back; %zu dispatches\n",
                (unsigned long long)count, all_lives, all_recorded, all_played, all_dispatches);
  assert_true(all_played >= count * 200 && all_recorded >= count * 100);
}
