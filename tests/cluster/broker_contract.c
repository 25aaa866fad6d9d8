/* SPDX-License-Identifier: MIT */
#include "cluster/broker_contract.h"

#include <stdlib.h>

#include "cluster/receiver.h"
#include "support/patience.h"
#include "support/test.h"
#include "support/until.h"

enum { NODES = 3 };

/* The network of a test, and its nodes. */
static struct scene {
  const contract_world *kind;
  void *world;
  receiver nodes[NODES];
} the;

/* Wait until the condition holds, and let the world settle on this thread meanwhile. */
#define AWAIT(done) UNTIL((the.kind->settle(the.world), (done)))

static vestry_broker_state state_of(receiver *e) {
  return e->broker.ops->state(e->broker.broker);
}

static int begin(void **state) {
  the.world = the.kind->begin();
  for (int i = 0; i < NODES; i++) receiver_init(&the.nodes[i], the.kind->join(the.world));
  return 0;
}

static int end(void **state) {
  for (int i = 0; i < NODES; i++) receiver_finish(&the.nodes[i]);
  the.kind->end(the.world);
  return 0;
}

/* Start each node with its subjects, and the fence. */
static void start_all(void) {
  for (int i = 0; i < NODES; i++) {
    receiver_subscribe(&the.nodes[i], "fence");
    receiver_start(&the.nodes[i]);
  }
  for (int i = 0; i < NODES; i++) AWAIT(receiver_states(&the.nodes[i], VESTRY_BROKER_UP) == 1);
}

/* Wait until all messages published before have arrived. */
static void fence(void) {
  size_t before[NODES];
  for (int i = 0; i < NODES; i++) {
    for (int j = 0; j < NODES; j++) before[j] = receiver_messages(&the.nodes[j], "fence");
    assert_int_equal(receiver_publish(&the.nodes[i], "fence", "all"), VESTRY_OK);
    for (int j = 0; j < NODES; j++) AWAIT(receiver_messages(&the.nodes[j], "fence") > before[j]);
  }
}

/* ------------------------------------------------------------------------------------------------- messages ------- */

/* capability: G1 */
TEST_CASE(message_reaches_all_subscribers_and_its_sender) {
  for (int i = 0; i < NODES; i++) receiver_subscribe(&the.nodes[i], "news.1");
  start_all();
  static const char bytes[] = "a\0b\r\nPUB c 1\r\n\xff";
  assert_int_equal(receiver_publish_bytes(&the.nodes[1], "news.1", bytes, sizeof bytes), VESTRY_OK);
  assert_int_equal(receiver_publish_bytes(&the.nodes[1], "news.1", NULL, 0), VESTRY_OK);
  for (int i = 0; i < NODES; i++) {
    AWAIT(receiver_messages(&the.nodes[i], "news.1") == 2);
    received first = receiver_nth(&the.nodes[i], "news.1", 0);
    assert_int_equal(first.len, sizeof bytes);
    assert_memory_equal(first.data, bytes, sizeof bytes);
    assert_int_equal(receiver_nth(&the.nodes[i], "news.1", 1).len, 0);
  }
}

TEST_CASE(message_reaches_only_its_exact_subject) {
  receiver_subscribe(&the.nodes[0], "a");
  receiver_subscribe(&the.nodes[1], "a.b");
  start_all();
  assert_int_equal(receiver_publish(&the.nodes[2], "a", "1"), VESTRY_OK);
  assert_int_equal(receiver_publish(&the.nodes[2], "a.b.c", "2"), VESTRY_OK);
  fence();
  assert_int_equal(receiver_messages(&the.nodes[0], "a"), 1);
  assert_int_equal(receiver_messages(&the.nodes[1], "a") + receiver_messages(&the.nodes[1], "a.b"), 0);
  assert_int_equal(receiver_messages(&the.nodes[2], "a"), 0);
}

TEST_CASE(subject_is_subscribed_once) {
  receiver *e = &the.nodes[0];
  receiver_subscribe(e, "twice");
  receiver_subscribe(e, "other");
  receiver_subscribe(e, "twice");
  assert_int_equal(receiver_try_start(e), VESTRY_INVALID);
  e->subjects_count--;
  start_all();
  assert_int_equal(receiver_publish(&the.nodes[1], "twice", "1"), VESTRY_OK);
  fence();
  assert_int_equal(receiver_messages(e, "twice"), 1);
}

/* All messages published before a flush are sent by it, in order, without another flush. */
TEST_CASE(one_flush_sends_all_queued_messages) {
  enum { COUNT = 300 };
  receiver_subscribe(&the.nodes[1], "many");
  start_all();
  const vestry_broker *from = &the.nodes[0].broker;
  for (int at_once = 0; at_once < 2; at_once++) {
    for (int i = 0; i < COUNT; i++) {
      char text[16];
      int len = snprintf(text, sizeof text, "%d", at_once * COUNT + i);
      assert_int_equal(from->ops->publish(from->broker, "many", text, (size_t)len), VESTRY_OK);
    }
    from->ops->flush(from->broker, at_once);
    AWAIT(receiver_messages(&the.nodes[1], "many") == (size_t)(at_once + 1) * COUNT);
  }
  from->ops->flush(from->broker, true); /* no effect */
  for (int i = 0; i < 2 * COUNT; i++) assert_int_equal(atoi(receiver_nth(&the.nodes[1], "many", (size_t)i).data), i);
}

/* capability: G1 */
TEST_CASE(messages_of_one_sender_to_one_subject_are_in_order) {
  enum { COUNT = 400 };
  receiver_subscribe(&the.nodes[2], "even");
  receiver_subscribe(&the.nodes[2], "odd");
  start_all();
  for (int i = 0; i < COUNT; i++)
    for (int sender = 0; sender < 2; sender++) {
      char text[32];
      snprintf(text, sizeof text, "%d %d", sender, i);
      assert_int_equal(receiver_publish(&the.nodes[sender], i % 2 ? "odd" : "even", text), VESTRY_OK);
    }
  AWAIT(receiver_messages(&the.nodes[2], "even") == COUNT && receiver_messages(&the.nodes[2], "odd") == COUNT);
  for (int odd = 0; odd < 2; odd++) {
    int next[2] = {odd, odd};
    for (size_t i = 0; i < COUNT; i++) {
      int sender, number;
      received what = receiver_nth(&the.nodes[2], odd ? "odd" : "even", i);
      assert_int_equal(sscanf(what.data, "%d %d", &sender, &number), 2);
      assert_int_equal(number, next[sender]);
      next[sender] += 2;
    }
  }
}

TEST_CASE(message_over_max_payload_is_too_large) {
  receiver *e = &the.nodes[0];
  receiver_subscribe(e, "large");
  start_all();
  size_t max = e->broker.ops->max_payload(e->broker.broker);
  assert_true(max >= 1024);
  unsigned char *data = malloc(max + 1);
  for (size_t i = 0; i <= max; i++) data[i] = (unsigned char)(i * 7 + i / 251);
  assert_int_equal(receiver_publish_bytes(e, "large", data, max + 1), VESTRY_TOO_LARGE);
  assert_int_equal(receiver_publish_bytes(e, "large", data, max), VESTRY_OK);
  AWAIT(receiver_messages(e, "large") == 1);
  received what = receiver_nth(e, "large", 0);
  assert_int_equal(what.len, max);
  assert_memory_equal(what.data, data, max);
  free(data);
  fence();
  assert_int_equal(receiver_states(e, VESTRY_BROKER_DOWN), 0);
}

static const char longest[] = "0123456789abcdefghijklmnopqrstuvwxyz.123456789abcdefghijklmnopqr";

/* capability: G1 */
TEST_CASE(invalid_subject_is_refused) {
  static const char *const bad[] = {
      NULL,        "",
      ".",         "a.",
      ".a",        "a..b",
      "A",         "a b",
      "a\t",       "*",
      ">",         "a.*",
      "a.>",       "$sys.a",
      "_inbox.1",  "\xc3",
      "a-b",       "a\r\nPUB evil 1\r\nx",
      "a\n",       "a\r",
      "a 1\r\nhi", "PUB a 0\r\n\r",
      "a\x7f",     "a/b",
  };
  receiver *e = &the.nodes[0];
  assert_int_equal(sizeof longest - 1, VESTRY_SUBJECT_MAX_BYTES);
  char longer[sizeof longest + 1];
  snprintf(longer, sizeof longer, "%sx", longest);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *const some[] = {"good", bad[i]};
    assert_int_equal(e->broker.ops->start(e->broker.broker, some, 2, &e->events), VESTRY_INVALID);
  }
  assert_int_equal(e->broker.ops->start(e->broker.broker, (const char *const[]){longer}, 1, &e->events),
                   VESTRY_INVALID);
  assert_int_equal(e->broker.ops->start(e->broker.broker, NULL, 1, &e->events), VESTRY_INVALID);
  receiver_subscribe(e, "evil");
  receiver_subscribe(e, longest);
  start_all();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(e->broker.ops->publish(e->broker.broker, bad[i], "x", 1), VESTRY_INVALID);
  assert_int_equal(receiver_publish(e, longer, "x"), VESTRY_INVALID);
  assert_int_equal(receiver_publish(e, longest, "x"), VESTRY_OK);
  AWAIT(receiver_messages(e, longest) == 1);
  fence();
  assert_int_equal(receiver_messages(e, "evil"), 0);
  assert_int_equal(receiver_states(e, VESTRY_BROKER_DOWN), 0);
}

/* --------------------------------------------------------------------------------------------- many threads ------- */

enum { THREADS = 4, EACH = 300 };

static void *publish_each(void *ctx) {
  int self = (int)(intptr_t)ctx;
  for (int i = 0; i < EACH; i++) {
    char subject[16], text[16];
    snprintf(subject, sizeof subject, "t.%d", self);
    snprintf(text, sizeof text, "%d", i);
    if (receiver_publish(&the.nodes[0], subject, text) != VESTRY_OK) return ctx ? ctx : &the;
  }
  return NULL;
}

/* capability: G1 */
TEST_CASE(concurrent_publishers_lose_no_message) {
  char subject[16];
  for (int i = 0; i < THREADS; i++) {
    snprintf(subject, sizeof subject, "t.%d", i);
    receiver_subscribe(&the.nodes[1], subject);
  }
  start_all();
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, publish_each, (void *)i), 0);
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  AWAIT(receiver_messages(&the.nodes[1], NULL) >= THREADS * EACH);
  for (int i = 0; i < THREADS; i++) {
    snprintf(subject, sizeof subject, "t.%d", i);
    AWAIT(receiver_messages(&the.nodes[1], subject) == EACH);
    for (int n = 0; n < EACH; n++) assert_int_equal(atoi(receiver_nth(&the.nodes[1], subject, (size_t)n).data), n);
  }
}

static void pass_on(receiver *self, const received *what) {
  char next[16];
  if (what->is_state || strncmp(what->subject, "hop.", 4) != 0) return;
  int number = atoi(what->data);
  if (number >= 20) return;
  snprintf(next, sizeof next, "hop.%d", number + 1);
  char text[16];
  snprintf(text, sizeof text, "%d", number + 1);
  if (receiver_publish(self, next, text) || state_of(self) != VESTRY_BROKER_UP ||
      !self->broker.ops->max_payload(self->broker.broker))
    atomic_fetch_add(&self->faults, 1);
}

TEST_CASE(event_functions_may_publish) {
  the.nodes[0].then = pass_on;
  for (int i = 1; i <= 20; i++) {
    char subject[16];
    snprintf(subject, sizeof subject, "hop.%d", i);
    receiver_subscribe(&the.nodes[0], subject);
  }
  start_all();
  assert_int_equal(receiver_publish(&the.nodes[0], "hop.1", "1"), VESTRY_OK);
  AWAIT(receiver_messages(&the.nodes[0], "hop.20") == 1);
}

static _Atomic(bool) storm_ends;

static void *storm(void *ctx) {
  receiver *e = ctx;
  for (int i = 1; !atomic_load(&storm_ends); i++)
    if (receiver_publish(e, "storm", "x") == VESTRY_FULL || i % 64 == 0) receiver_wait(e);
  return NULL;
}

/* capability: G1 */
TEST_CASE(no_event_comes_after_the_stop) {
  receiver *e = &the.nodes[0];
  receiver_subscribe(e, "storm");
  start_all();
  atomic_store(&storm_ends, false);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, storm, &the.nodes[i]), 0);
  AWAIT(receiver_messages(e, "storm") > 20);
  e->broker.ops->stop(e->broker.broker);
  atomic_store(&e->over, true);
  e->broker.ops->stop(e->broker.broker);
  assert_int_equal(state_of(e), VESTRY_BROKER_DOWN);
  assert_int_equal(receiver_publish(e, "storm", "x"), VESTRY_IO);
  assert_int_equal(receiver_try_start(e), VESTRY_INVALID);
  the.kind->settle(the.world);
  atomic_store(&storm_ends, true);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

/* capability: G1 */
TEST_CASE(message_published_before_the_stop_arrives) {
  receiver_subscribe(&the.nodes[1], "last");
  start_all();
  for (int i = 0; i < 200; i++) assert_int_equal(receiver_publish(&the.nodes[0], "last", "words"), VESTRY_OK);
  the.nodes[0].broker.ops->stop(the.nodes[0].broker.broker);
  atomic_store(&the.nodes[0].over, true);
  AWAIT(receiver_messages(&the.nodes[1], "last") == 200);
}

/* ---------------------------------------------------------------------------------------------- up and down ------- */

TEST_CASE(broker_is_down_until_it_is_started) {
  receiver *e = &the.nodes[0];
  assert_int_equal(state_of(e), VESTRY_BROKER_DOWN);
  assert_int_equal(receiver_publish(e, "early", "x"), VESTRY_IO);
  receiver_subscribe(e, "early");
  start_all();
  assert_int_equal(receiver_try_start(e), VESTRY_INVALID);
  assert_int_equal(state_of(e), VESTRY_BROKER_UP);
  assert_int_equal(receiver_publish(e, "early", "bird"), VESTRY_OK);
  AWAIT(receiver_messages(e, "early") == 1);
  assert_string_equal(receiver_nth(e, "early", 0).data, "bird");
}

/* capability: G1 */
TEST_CASE(reconnected_broker_has_all_subscriptions) {
  enum { SUBJECTS = 300 };
  char subject[32];
  receiver *e = &the.nodes[0];
  for (int i = 0; i < SUBJECTS; i++) {
    snprintf(subject, sizeof subject, "s.%d", i);
    receiver_subscribe(e, subject);
  }
  start_all();
  the.kind->bring_down(the.world);
  for (int i = 0; i < NODES; i++) AWAIT(receiver_states(&the.nodes[i], VESTRY_BROKER_DOWN) == 1);
  assert_int_equal(state_of(e), VESTRY_BROKER_DOWN);
  assert_int_equal(receiver_publish(e, "s.1", "held back?"), VESTRY_IO); /* no message is held back */
  assert_int_equal(receiver_publish(&the.nodes[1], "s.1", "held back?"), VESTRY_IO);
  for (int i = 0; i < NODES; i++) receiver_clear(&the.nodes[i]);
  the.kind->bring_up(the.world);
  for (int i = NODES; i-- > 0;) AWAIT(receiver_states(&the.nodes[i], VESTRY_BROKER_UP) == 1);
  /* At once, from another node: the subscriptions exist. */
  for (int i = 0; i < SUBJECTS; i++) {
    snprintf(subject, sizeof subject, "s.%d", i);
    assert_int_equal(receiver_publish(&the.nodes[1], subject, "back"), VESTRY_OK);
  }
  fence();
  for (int i = 0; i < SUBJECTS; i++) {
    snprintf(subject, sizeof subject, "s.%d", i);
    assert_int_equal(receiver_messages(e, subject), 1);
    assert_string_equal(receiver_nth(e, subject, 0).data, "back");
  }
  assert_int_equal(receiver_states(e, VESTRY_BROKER_UP), 1);
  assert_int_equal(receiver_states(e, VESTRY_BROKER_DOWN), 0);
}

/* capability: G1 */
TEST_CASE(broker_may_start_without_its_network) {
  the.kind->bring_down(the.world);
  receiver *e = &the.nodes[0];
  receiver_subscribe(e, "patience");
  for (int i = 0; i < NODES; i++) receiver_start(&the.nodes[i]);
  the.kind->settle(the.world);
  assert_int_equal(state_of(e), VESTRY_BROKER_DOWN);
  assert_int_equal(receiver_publish(e, "patience", "x"), VESTRY_IO);
  the.kind->bring_up(the.world);
  for (int i = 0; i < NODES; i++) AWAIT(receiver_states(&the.nodes[i], VESTRY_BROKER_UP) == 1);
  assert_int_equal(receiver_states(e, VESTRY_BROKER_DOWN), 0);
  assert_int_equal(receiver_publish(&the.nodes[1], "patience", "x"), VESTRY_OK);
  AWAIT(receiver_messages(e, "patience") == 1);
}

int broker_contract_run(const contract_world *world) {
  the.kind = world;
  return cases_run_each(world->name, begin, end);
}
