/* What libnats does by itself, and the broker must not: each test fails without what is done against it. */
#include <nats/nats.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/ear.h"
#include "nats/broker.h"
#include "nats/server.h"
#include "support/test.h"
#include "support/test_host.h"

static struct scene {
  test_host th;
  nats_server server;
} the;

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define AWAIT(e, done)                                                                                                 \
  do {                                                                                                                 \
    for (double until_ = seconds_now() + 60; !(done); ear_wait(e))                                                     \
      if (seconds_now() > until_) fail_msg("in vain: %s", #done);                                                      \
  } while (0)

static int begin(void **state) {
  (void)state;
  test_host_init(&the.th);
  nats_server_init(&the.server);
  nats_server_start(&the.server, NULL);
  return 0;
}

static int end(void **state) {
  (void)state;
  test_host_assert_clean(&the.th);
  nats_server_finish(&the.server);
  return 0;
}

static void make(ear *e, vestry_nats_options options) {
  const char *servers[] = {the.server.url};
  options.host = &the.th.host;
  options.servers = servers;
  options.servers_count = 1;
  if (!options.reconnect_max_ms) options.reconnect_max_ms = 100;
  vestry_broker broker;
  assert_int_equal(vestry_nats_create(&options, &broker), VESTRY_OK);
  ear_init(e, broker);
}

static void come_up(ear *e, vestry_nats_options options) {
  make(e, options);
  ear_start(e);
  AWAIT(e, ear_states(e, VESTRY_BROKER_UP) == 1);
}

static void subscribe_and_wait(ear *e, const char *subject) {
  assert_int_equal(ear_subscribe(e, subject), VESTRY_OK);
  assert_int_equal(ear_publish(e, subject, "first"), VESTRY_OK);
  AWAIT(e, ear_messages(e, subject) == 1);
}

static vestry_nats_stats stats_of(ear *e) {
  vestry_nats_stats stats = {0};
  vestry_nats_stats_get(&e->broker, &stats);
  return stats;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* A thread for each subscription, and one that holds writes back for a millisecond, are libnats's defaults. */
static void a_broker_has_three_threads_whatever_it_hears(void **state) {
  (void)state;
  ear first, second;
  come_up(&first, (vestry_nats_options){0});
  subscribe_and_wait(&first, "s.first");
  unsigned before = threads_of_process();
  char subject[16];
  for (int i = 0; i < 300; i++) {
    snprintf(subject, sizeof subject, "s.%d", i);
    assert_int_equal(ear_subscribe(&first, subject), VESTRY_OK);
  }
  subscribe_and_wait(&first, "s.last");
  assert_int_equal(threads_of_process(), before);
  come_up(&second, (vestry_nats_options){0});
  subscribe_and_wait(&second, "s.other");
  assert_int_equal(threads_of_process(), before + 3); /* in, out, and libnats's reader */
  ear_finish(&second);
  ear_finish(&first);
}

static void what_is_said_of_times_is_so(void **state) {
  (void)state;
  ear e;
  make(&e, (vestry_nats_options){0});
  const vestry_nats_options *options = &((vsi_nats_broker *)e.broker.broker)->settings.options;
  assert_int_equal(options->ping_ms, 1000);
  assert_int_equal(options->pings_out, 2); /* so 3 s */
  assert_int_equal(options->write_ms, 1000);
  assert_int_equal(options->connect_ms, 2000);
  ear_finish(&e);
}

/* An application may have libnats deliver on several threads. */
static void several_threads_of_libnats_do_not_call_at_once(void **state) {
  (void)state;
  assert_int_equal(nats_SetMessageDeliveryPoolSize(4), NATS_OK);
  ear e;
  come_up(&e, (vestry_nats_options){0});
  char subject[16];
  for (int i = 0; i < 8; i++) {
    snprintf(subject, sizeof subject, "p.%d", i);
    subscribe_and_wait(&e, subject);
  }
  for (int i = 0; i < 2000; i++) {
    snprintf(subject, sizeof subject, "p.%d", i % 8);
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    assert_int_equal(ear_publish(&e, subject, text), VESTRY_OK);
  }
  AWAIT(&e, ear_messages(&e, NULL) == 2008);
  for (int s = 0; s < 8; s++) {
    snprintf(subject, sizeof subject, "p.%d", s);
    for (int i = 0; i < 250; i++) assert_int_equal(atoi(ear_nth(&e, subject, (size_t)i + 1).data), i * 8 + s);
  }
  ear_finish(&e);
}

/* ---- a server that stops ----------------------------------------------------------------------------------------- */

/* libnats would hold back 8 MB, and send it minutes later. */
static void nothing_arrives_late(void **state) {
  (void)state;
  ear sender, hearer;
  come_up(&sender, (vestry_nats_options){.max_out_bytes = 1 << 20, .ping_ms = 60000});
  come_up(&hearer, (vestry_nats_options){0});
  subscribe_and_wait(&hearer, "late");
  nats_server_freeze(&the.server, true);
  static char text[10000];
  memset(text, 'x', sizeof text - 1);
  bool was_full = false; /* the socket, and then what waits */
  for (vestry_err error; (error = ear_publish(&sender, "late", text)) != VESTRY_IO;) {
    if (!error) continue;
    assert_int_equal(error, VESTRY_FULL);
    was_full = true;
    ear_wait(&sender);
  }
  assert_true(was_full);
  AWAIT(&sender, ear_states(&sender, VESTRY_BROKER_DOWN) == 1);
  uint64_t written = stats_of(&sender).written_count;
  nats_server_kill(&the.server);
  AWAIT(&hearer, ear_states(&hearer, VESTRY_BROKER_DOWN) == 1);
  nats_server_start(&the.server, NULL);
  AWAIT(&sender, ear_states(&sender, VESTRY_BROKER_UP) == 2);
  AWAIT(&hearer, ear_states(&hearer, VESTRY_BROKER_UP) == 2);
  assert_int_equal(ear_publish(&sender, "late", "now"), VESTRY_OK);
  size_t before = 0; /* what the server sent on before it stopped */
  AWAIT(&hearer, strcmp(ear_nth(&hearer, "late", ear_messages(&hearer, "late") - 1).data, "now") == 0);
  while (!hearer.all[before].is_state || hearer.all[before].state != VESTRY_BROKER_DOWN) before++;
  while (++before < hearer.count)
    assert_true(hearer.all[before].is_state || strcmp(hearer.all[before].data, "now") == 0);
  AWAIT(&sender, stats_of(&sender).out_bytes == 0);
  vestry_nats_stats stats = stats_of(&sender);
  assert_true(stats.discarded_count > 0);
  assert_int_equal(stats.written_count, written + 1);
  assert_int_equal(stats.published_count, stats.written_count + stats.discarded_count);
  ear_finish(&sender);
  ear_finish(&hearer);
}

/* Two minutes times two, otherwise. And whoever publishes meanwhile is not made to wait. */
static void a_server_that_stops_is_noticed(void **state) {
  (void)state;
  ear e;
  come_up(&e, (vestry_nats_options){.ping_ms = 50, .pings_out = 2});
  nats_server_freeze(&the.server, true);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_DOWN) == 1); /* though it says nothing to it */
  assert_int_equal(e.broker.ops->state(e.broker.broker), VESTRY_BROKER_DOWN);
  nats_server_freeze(&the.server, false);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_UP) == 2);
  ear_finish(&e);
}

static void a_full_socket_makes_nobody_wait(void **state) {
  (void)state;
  ear e;
  come_up(&e, (vestry_nats_options){.max_out_bytes = 1 << 20, .ping_ms = 60000, .write_ms = 120000});
  nats_server_freeze(&the.server, true);
  static char text[10000];
  memset(text, 'x', sizeof text - 1);
  double since = seconds_now();
  uint64_t written = 0;
  for (int still = 0; still < 50; still = stats_of(&e).written_count == written ? still + 1 : 0) {
    written = stats_of(&e).written_count;
    vestry_err error;
    while (!(error = ear_publish(&e, "full", text))) continue;
    assert_int_equal(error, VESTRY_FULL);
    ear_wait(&e);
  }
  assert_int_equal(ear_subscribe(&e, "full"), VESTRY_OK); /* nor these */
  assert_int_equal(e.broker.ops->unsubscribe(e.broker.broker, "full"), VESTRY_OK);
  assert_int_equal(e.broker.ops->state(e.broker.broker), VESTRY_BROKER_UP);
  assert_true(e.broker.ops->max_payload(e.broker.broker) > 0);
  assert_true(seconds_now() - since < 60); /* write_ms, had anybody waited */
  vestry_nats_stats stats = stats_of(&e);
  assert_true(stats.out_bytes <= 1 << 20);
  nats_server_freeze(&the.server, false);
  AWAIT(&e, stats_of(&e).out_bytes == 0);
  ear_finish(&e);
}

/* ---- who does not keep up ---------------------------------------------------------------------------------------- */

/* Blocks the first message until it is let go. */
typedef struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool is_reached, is_open;
} gate;

static gate the_gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void pass_gate(void) {
  pthread_mutex_lock(&the_gate.lock);
  the_gate.is_reached = true;
  pthread_cond_broadcast(&the_gate.changed);
  while (!the_gate.is_open) pthread_cond_wait(&the_gate.changed, &the_gate.lock);
  pthread_mutex_unlock(&the_gate.lock);
}

static void wait_gate(void) {
  pthread_mutex_lock(&the_gate.lock);
  while (!the_gate.is_reached) pthread_cond_wait(&the_gate.changed, &the_gate.lock);
  pthread_mutex_unlock(&the_gate.lock);
}

static void set_gate(bool is_open) {
  pthread_mutex_lock(&the_gate.lock);
  the_gate.is_open = is_open;
  the_gate.is_reached = false;
  pthread_cond_broadcast(&the_gate.changed);
  pthread_mutex_unlock(&the_gate.lock);
}

static void stay(ear *self, const heard *what) {
  (void)self;
  if (!what->is_state && strcmp(what->data, "0") == 0) pass_gate();
}

static void flood(ear *e, int from, int count) {
  for (int i = from; i < from + count; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    AWAIT(e, ear_publish(e, "flood", text) == VESTRY_OK);
  }
}

/* Numbers go up, and where one is missing MAYBE_LOST stands between. Returns how many are missing. */
static int check_gaps(ear *e, int count) {
  int next = 0, missing = 0;
  bool told = false;
  for (size_t i = 0; i < e->count; i++) {
    if (e->all[i].is_state) {
      told = told || e->all[i].state == VESTRY_BROKER_MAYBE_LOST;
      continue;
    }
    if (strcmp(e->all[i].subject, "flood") != 0 || strcmp(e->all[i].data, "first") == 0) continue;
    int number = atoi(e->all[i].data);
    assert_true(number >= next);
    if (number > next) assert_true(told);
    missing += number - next;
    next = number + 1;
    told = false;
  }
  if (next < count) assert_true(told);
  return missing + count - next;
}

static void what_is_dropped_is_told_in_its_place(void **state) {
  (void)state;
  ear e, sender;
  set_gate(false);
  make(&e, (vestry_nats_options){.max_in_count = 10});
  e.then = stay;
  ear_start(&e);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_UP) == 1);
  subscribe_and_wait(&e, "flood");
  come_up(&sender, (vestry_nats_options){0});
  flood(&sender, 0, 1);
  wait_gate();
  flood(&sender, 1, 99);
  AWAIT(&e, stats_of(&e).received_count == 101);
  vestry_nats_stats stats = stats_of(&e);
  assert_int_equal(stats.dropped_count, 89);
  assert_true(stats.in_bytes < 10 * 300);
  set_gate(true);
  AWAIT(&e, ear_messages(&e, "flood") == 12);
  flood(&sender, 100, 5);
  AWAIT(&e, ear_messages(&e, "flood") == 17);
  ear_finish(&sender);
  e.broker.ops->stop(e.broker.broker);
  assert_int_equal(check_gaps(&e, 105), 89);
  assert_int_equal(ear_states(&e, VESTRY_BROKER_MAYBE_LOST), 1);
  stats = stats_of(&e);
  assert_int_equal(stats.received_count, stats.delivered_count + stats.dropped_count);
  ear_finish(&e);
}

static void bytes_are_bounded_too(void **state) {
  (void)state;
  ear e;
  set_gate(false);
  make(&e, (vestry_nats_options){.max_in_bytes = 100000});
  e.then = stay;
  ear_start(&e);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_UP) == 1);
  subscribe_and_wait(&e, "flood");
  flood(&e, 0, 1);
  wait_gate();
  static char text[30000];
  memset(text, 'x', sizeof text - 1);
  for (int i = 0; i < 10; i++) assert_int_equal(ear_publish(&e, "flood", text), VESTRY_OK);
  AWAIT(&e, stats_of(&e).received_count == 12);
  assert_int_equal(stats_of(&e).dropped_count, 7);
  set_gate(true);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_MAYBE_LOST) == 1);
  assert_int_equal(ear_messages(&e, "flood"), 5);
  ear_finish(&e);
}

/* libnats drops, because somebody else's handler keeps its thread. */
static void block_libnats(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  (void)connection, (void)sub, (void)ctx;
  natsMsg_Destroy(message);
  pass_gate();
}

static void what_libnats_drops_is_told_too(void **state) {
  (void)state;
  set_gate(false);
  natsOptions *options = NULL;
  natsConnection *connection = NULL;
  natsSubscription *sub = NULL;
  assert_int_equal(natsOptions_Create(&options), NATS_OK);
  assert_int_equal(natsOptions_SetURL(options, the.server.url), NATS_OK);
  assert_int_equal(natsOptions_UseGlobalMessageDelivery(options, true), NATS_OK);
  assert_int_equal(natsConnection_Connect(&connection, options), NATS_OK);
  assert_int_equal(natsConnection_Subscribe(&sub, connection, "block", block_libnats, NULL), NATS_OK);
  ear e, sender;
  come_up(&e, (vestry_nats_options){.max_in_count = 10});
  subscribe_and_wait(&e, "flood");
  come_up(&sender, (vestry_nats_options){0});
  assert_int_equal(natsConnection_PublishString(connection, "block", "x"), NATS_OK);
  assert_int_equal(natsConnection_Flush(connection), NATS_OK);
  wait_gate(); /* from here on nothing is delivered */
  flood(&sender, 0, 3000);
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_MAYBE_LOST) >= 1);
  set_gate(true);
  int count = 3000;
  do { /* until one has come through behind all that were dropped */
    flood(&sender, count++, 1);
    ear_wait(&e);
  } while (atoi(ear_nth(&e, "flood", ear_messages(&e, "flood") - 1).data) < 3000);
  natsSubscription_Destroy(sub);
  natsConnection_Destroy(connection);
  natsOptions_Destroy(options);
  ear_finish(&sender);
  /* Before the first gap and behind the last one. */
  AWAIT(&e, ear_states(&e, VESTRY_BROKER_MAYBE_LOST) >= 2);
  e.broker.ops->stop(e.broker.broker);
  size_t first = SIZE_MAX, last = 0, first_gap = SIZE_MAX, last_gap = 0;
  int next = 0;
  for (size_t i = 0; i < e.count; i++) {
    if (e.all[i].is_state && e.all[i].state == VESTRY_BROKER_MAYBE_LOST) {
      first = first == SIZE_MAX ? i : first;
      last = i;
    }
    if (e.all[i].is_state || strcmp(e.all[i].data, "first") == 0) continue;
    if (atoi(e.all[i].data) != next) {
      first_gap = first_gap == SIZE_MAX ? i : first_gap;
      last_gap = i;
    }
    next = atoi(e.all[i].data) + 1;
  }
  assert_true(first < first_gap && first_gap <= last_gap && last_gap < last + 2);
  ear_finish(&e);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {
      TEST(a_broker_has_three_threads_whatever_it_hears),
      TEST(what_is_said_of_times_is_so),
      TEST(nothing_arrives_late),
      TEST(a_server_that_stops_is_noticed),
      TEST(a_full_socket_makes_nobody_wait),
      TEST(what_is_dropped_is_told_in_its_place),
      TEST(bytes_are_bounded_too),
      TEST(what_libnats_drops_is_told_too),
      TEST(several_threads_of_libnats_do_not_call_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
