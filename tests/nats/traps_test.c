/* SPDX-License-Identifier: MIT */
/* Defaults of libnats that the broker must avoid: each test fails without the countermeasure. */
#include <malloc.h>
#include <nats/nats.h>
#include <stdlib.h>
#include <time.h>

#include "cluster/nats/broker.h"
#include "cluster/receiver.h"
#include "nats/server.h"
#include "support/port.h"
#include "support/relay.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"

static struct scene {
  test_host th;
  nats_server server;
} the;

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int begin(void **state) {
  test_host_init(&the.th);
  nats_server_init(&the.server);
  /* By default, the server ends a connection to which it could not write for 10 s. On a busy machine, a receiver that a
   * test holds up takes longer. */
  nats_server_start(&the.server, "write_deadline: \"10m\"");
  return 0;
}

static int end(void **state) {
  test_host_assert_clean(&the.th);
  nats_server_finish(&the.server);
  return 0;
}

static void make(receiver *e, vestry_nats_options options) {
  const char *servers[] = {the.server.url};
  options.host = &the.th.host;
  options.servers = servers;
  options.servers_count = 1;
  if (!options.reconnect_max_ms) options.reconnect_max_ms = 100;
  vestry_broker broker;
  assert_int_equal(vestry_nats_create(&options, &broker), VESTRY_OK);
  receiver_init(e, broker);
}

static void start(receiver *e) {
  receiver_start(e);
  UNTIL(receiver_states(e, VESTRY_BROKER_UP) == 1);
}

static void start_broker(receiver *e, vestry_nats_options options) {
  make(e, options);
  start(e);
}

/* Connect, subscribe to a subject, and receive one message. */
static void start_and_receive(receiver *e, const char *subject, vestry_nats_options options) {
  make(e, options);
  receiver_subscribe(e, subject);
  start(e);
  assert_int_equal(receiver_publish(e, subject, "first"), VESTRY_OK);
  UNTIL(receiver_messages(e, subject) == 1);
}

static vsi_nats_stats stats_of(receiver *e) {
  vsi_nats_stats stats = {0};
  vsi_nats_stats_get(&e->broker, &stats);
  return stats;
}

/* -------------------------------------------------------------------------------------------------- threads ------- */

/* By default, libnats has a thread that reads, one for each subscription, and one that delays writes by a
 * millisecond. */
/* capability: G1 */
TEST_CASE(broker_has_one_thread_for_any_number_of_subjects) {
  receiver first, second;
  start_and_receive(&first, "s.first", (vestry_nats_options){0});
  unsigned before = threads_of_process();
  make(&second, (vestry_nats_options){0});
  for (int i = 0; i < 300; i++) {
    char subject[16];
    snprintf(subject, sizeof subject, "s.%d", i);
    receiver_subscribe(&second, subject);
  }
  start(&second);
  assert_int_equal(receiver_publish(&first, "s.299", "x"), VESTRY_OK);
  UNTIL(receiver_messages(&second, "s.299") == 1);
  assert_int_equal(threads_of_process(), before + 1);
  receiver_finish(&second);
  receiver_finish(&first);
}

TEST_CASE(default_times_are_as_documented) {
  receiver e;
  make(&e, (vestry_nats_options){0});
  const vestry_nats_options *options = &((vsi_nats_broker *)e.broker.broker)->settings.options;
  assert_int_equal(options->ping_ms, 1000);
  assert_int_equal(options->write_ms, 1000);
  receiver_finish(&e);
}

/* An application may let libnats deliver on several threads. */
/* capability: G1 */
TEST_CASE(events_do_not_overlap_with_a_delivery_pool) {
  assert_int_equal(nats_SetMessageDeliveryPoolSize(4), NATS_OK);
  receiver e;
  make(&e, (vestry_nats_options){0});
  char subject[16];
  for (int i = 0; i < 8; i++) {
    snprintf(subject, sizeof subject, "p.%d", i);
    receiver_subscribe(&e, subject);
  }
  start(&e);
  for (int i = 0; i < 2000; i++) {
    snprintf(subject, sizeof subject, "p.%d", i % 8);
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    assert_int_equal(receiver_publish(&e, subject, text), VESTRY_OK);
  }
  UNTIL(receiver_messages(&e, NULL) == 2000);
  for (int s = 0; s < 8; s++) {
    snprintf(subject, sizeof subject, "p.%d", s);
    for (int i = 0; i < 250; i++) assert_int_equal(atoi(receiver_nth(&e, subject, (size_t)i).data), i * 8 + s);
  }
  receiver_finish(&e);
}

/* -------------------------------------------------------------------------------------- a server that stops ------- */

/* libnats would buffer 8 MB, and send it minutes later. */
/* capability: G1 */
TEST_CASE(queued_messages_are_discarded_on_disconnect) {
  receiver sender, hearer;
  start_broker(&sender, (vestry_nats_options){.max_send_queue_bytes = 1 << 20, .ping_ms = 60000});
  start_and_receive(&hearer, "late", (vestry_nats_options){0});
  nats_server_freeze(&the.server, true);
  static char text[10000];
  memset(text, 'x', sizeof text - 1);
  bool was_full = false; /* the socket, and then the send queue */
  for (vestry_err error; (error = receiver_publish(&sender, "late", text)) != VESTRY_IO;) {
    if (!error) continue;
    assert_int_equal(error, VESTRY_FULL);
    was_full = true;
    receiver_wait(&sender);
  }
  assert_true(was_full);
  UNTIL(receiver_states(&sender, VESTRY_BROKER_DOWN) == 1);
  uint64_t written = stats_of(&sender).written_count;
  nats_server_kill(&the.server);
  UNTIL(receiver_states(&hearer, VESTRY_BROKER_DOWN) == 1);
  nats_server_start(&the.server, NULL);
  UNTIL(receiver_states(&sender, VESTRY_BROKER_UP) == 2);
  UNTIL(receiver_states(&hearer, VESTRY_BROKER_UP) == 2);
  assert_int_equal(receiver_publish(&sender, "late", "now"), VESTRY_OK);
  size_t before = 0; /* messages that the server passed on before it stopped */
  UNTIL(strcmp(receiver_nth(&hearer, "late", receiver_messages(&hearer, "late") - 1).data, "now") == 0);
  while (!hearer.all[before].is_state || hearer.all[before].state != VESTRY_BROKER_DOWN) before++;
  while (++before < hearer.count)
    assert_true(hearer.all[before].is_state || strcmp(hearer.all[before].data, "now") == 0);
  UNTIL(stats_of(&sender).send_queue_bytes == 0);
  vsi_nats_stats stats = stats_of(&sender);
  assert_true(stats.discarded_count > 0);
  assert_int_equal(stats.written_count, written + 1);
  assert_int_equal(stats.published_count, stats.written_count + stats.discarded_count);
  receiver_finish(&sender);
  receiver_finish(&hearer);
}

/* By default it would take two times two minutes. Publishers do not wait meanwhile. */
/* capability: G1 */
TEST_CASE(stopped_server_is_detected_by_pings) {
  receiver e;
  start_broker(&e, (vestry_nats_options){.ping_ms = 50});
  nats_server_freeze(&the.server, true);
  UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == 1); /* although the broker sends nothing */
  assert_int_equal(e.broker.ops->state(e.broker.broker), VESTRY_BROKER_DOWN);
  nats_server_freeze(&the.server, false);
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) == 2);
  receiver_finish(&e);
}

/* A network can lose all data to the server, although data of the server arrives all the time. */
/* capability: G1 */
TEST_CASE(server_that_only_sends_is_detected_by_pings) {
  receiver sender, e;
  start_broker(&sender, (vestry_nats_options){0});
  relay *network = relay_open(the.server.port);
  char url[sizeof the.server.url];
  strcpy(url, the.server.url);
  snprintf(the.server.url, sizeof the.server.url, "nats://127.0.0.1:%d", relay_port(network));
  make(&e, (vestry_nats_options){.ping_ms = 20});
  strcpy(the.server.url, url);
  receiver_subscribe(&e, "s.down");
  start(&e);
  relay_hold_requests(network, true);
  for (size_t count = 0; !receiver_states(&e, VESTRY_BROKER_DOWN); count = receiver_messages(&e, "s.down")) {
    assert_int_equal(receiver_publish(&sender, "s.down", "x"), VESTRY_OK);
    UNTIL(receiver_messages(&e, "s.down") > count || receiver_states(&e, VESTRY_BROKER_DOWN));
  }
  relay_hold_requests(network, false);
  UNTIL(receiver_states(&e, VESTRY_BROKER_UP) >= 2);
  receiver_finish(&e);
  receiver_finish(&sender);
  relay_close(network);
}

/* capability: G1 */
TEST_CASE(full_socket_does_not_block_publishers) {
  receiver e;
  start_broker(&e, (vestry_nats_options){.max_send_queue_bytes = 1 << 20, .ping_ms = 60000, .write_ms = 120000});
  nats_server_freeze(&the.server, true);
  static char text[10000];
  memset(text, 'x', sizeof text - 1);
  double since = seconds_now();
  uint64_t written = 0;
  for (int still = 0; still < 50; still = stats_of(&e).written_count == written ? still + 1 : 0) {
    written = stats_of(&e).written_count;
    vestry_err error;
    while (!(error = receiver_publish(&e, "full", text))) continue;
    assert_int_equal(error, VESTRY_FULL);
    receiver_wait(&e);
  }
  assert_int_equal(e.broker.ops->state(e.broker.broker), VESTRY_BROKER_UP);
  assert_true(e.broker.ops->max_payload(e.broker.broker) > 0);
  assert_true(seconds_now() - since < 60); /* write_ms, if a publisher had waited */
  vsi_nats_stats stats = stats_of(&e);
  assert_true(stats.send_queue_bytes <= 1 << 20);
  nats_server_freeze(&the.server, false);
  UNTIL(stats_of(&e).send_queue_bytes == 0);
  receiver_finish(&e);
}

/* ------------------------------------------------------------------------------------------- slow receivers ------- */

/* Blocks the first message until it is released. */
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

static void stay(receiver *self, const received *what) {
  if (!what->is_state && strcmp(what->data, "0") == 0) pass_gate();
}

static void flood(receiver *e, int from, int count) {
  for (int i = from; i < from + count; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    UNTIL(receiver_publish(e, "flood", text) == VESTRY_OK);
  }
}

/* This process buffers only the messages that it has read; the server buffers the rest. */
/* capability: G1 */
TEST_CASE(slow_receiver_buffers_only_what_it_has_read) {
  /* PING_MS: a busy machine delays a response, and one that is overdue ends the connection. */
  enum { COUNT = 1000, PING_MS = 2000 };
  static char text[10000];
  receiver e, sender;
  set_gate(false);
  make(&e, (vestry_nats_options){.ping_ms = PING_MS});
  receiver_subscribe(&e, "flood");
  e.then = stay;
  start(&e);
  start_broker(&sender, (vestry_nats_options){.max_send_queue_bytes = 100000});
  assert_int_equal(receiver_publish(&sender, "flood", "0"), VESTRY_OK);
  wait_gate();
  size_t before = mallinfo2().uordblks; /* including the memory of libnats */
  memset(text, 'x', sizeof text - 1);
  for (int i = 1; i < COUNT; i++) {
    snprintf(text, 8, "%d", i);
    text[strlen(text)] = ' ';
    UNTIL(receiver_publish(&sender, "flood", text) == VESTRY_OK);
  }
  UNTIL(stats_of(&sender).send_queue_bytes == 0);
  /* Nothing is read meanwhile, and the server is not taken for dead. */
  const double since = seconds_now();
  UNTIL(seconds_now() - since > 3 * PING_MS / 1000.0);
  assert_int_equal(stats_of(&e).received_count, 1);
  assert_true(mallinfo2().uordblks < before + 1000000);
  set_gate(true);
  UNTIL(receiver_messages(&e, "flood") == COUNT);
  for (int i = 0; i < COUNT; i++) assert_int_equal(atoi(receiver_nth(&e, "flood", (size_t)i).data), i);
  assert_int_equal(receiver_states(&e, VESTRY_BROKER_DOWN), 0);
  assert_int_equal(stats_of(&e).received_count, COUNT);
  receiver_finish(&sender);
  receiver_finish(&e);
}

/* A handler of other code occupies the thread of libnats. */
static void block_libnats(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  natsMsg_Destroy(message);
  pass_gate();
}

/* capability: G1 */
TEST_CASE(blocked_libnats_thread_does_not_delay_the_broker) {
  enum { COUNT = 3000 };
  set_gate(false);
  natsOptions *options = NULL;
  natsConnection *connection = NULL;
  natsSubscription *sub = NULL;
  assert_int_equal(natsOptions_Create(&options), NATS_OK);
  assert_int_equal(natsOptions_SetURL(options, the.server.url), NATS_OK);
  assert_int_equal(natsOptions_UseGlobalMessageDelivery(options, true), NATS_OK);
  assert_int_equal(natsConnection_Connect(&connection, options), NATS_OK);
  assert_int_equal(natsConnection_Subscribe(&sub, connection, "block", block_libnats, NULL), NATS_OK);
  receiver e, sender;
  make(&e, (vestry_nats_options){0});
  receiver_subscribe(&e, "flood");
  start(&e);
  start_broker(&sender, (vestry_nats_options){0});
  assert_int_equal(natsConnection_PublishString(connection, "block", "x"), NATS_OK);
  assert_int_equal(natsConnection_Flush(connection), NATS_OK);
  wait_gate(); /* from here on libnats delivers nothing */
  flood(&sender, 0, COUNT);
  UNTIL(receiver_messages(&e, "flood") == COUNT);
  for (int i = 0; i < COUNT; i++) assert_int_equal(atoi(receiver_nth(&e, "flood", (size_t)i).data), i);
  assert_int_equal(receiver_states(&e, VESTRY_BROKER_MAYBE_LOST), 0);
  set_gate(true);
  natsSubscription_Destroy(sub);
  natsConnection_Destroy(connection);
  natsOptions_Destroy(options);
  receiver_finish(&sender);
  receiver_finish(&e);
}

static void count_message(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  atomic_fetch_add((_Atomic(int) *)ctx, 1);
  natsMsg_Destroy(message);
}

/* The cost of a server is per message, so queued messages are joined into few. Data of other publishers counts as
 * joined only if it is consistent. */
TEST_CASE(queued_messages_are_joined) {
  enum { COUNT = 1000, MESSAGES = (COUNT + 254) / 255 };
  static const unsigned char two[] = {1, 2, 1, 0, 0, 0, 'a', 1, 0, 0, 0, 'b'}, torn[] = {1, 2, 1, 0, 0, 0, 'c', 9};
  _Atomic(int) messages = 0;
  natsConnection *connection = NULL;
  natsSubscription *sub = NULL;
  assert_int_equal(natsConnection_ConnectTo(&connection, the.server.url), NATS_OK);
  assert_int_equal(natsConnection_Subscribe(&sub, connection, "many", count_message, (void *)&messages), NATS_OK);
  assert_int_equal(natsConnection_Flush(connection), NATS_OK);
  receiver e, sender;
  make(&e, (vestry_nats_options){0});
  receiver_subscribe(&e, "many");
  start(&e);
  start_broker(&sender, (vestry_nats_options){0});
  for (int i = 0; i < COUNT; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    assert_int_equal(sender.broker.ops->publish(sender.broker.broker, "many", text, strlen(text)), VESTRY_OK);
  }
  sender.broker.ops->flush(sender.broker.broker, true);
  UNTIL(receiver_messages(&e, "many") == COUNT);
  for (int i = 0; i < COUNT; i++) assert_int_equal(atoi(receiver_nth(&e, "many", (size_t)i).data), i);
  UNTIL(stats_of(&sender).written_count == COUNT);
  assert_int_equal(stats_of(&sender).published_count, COUNT);
  assert_int_equal(stats_of(&e).received_count, COUNT);
  UNTIL(atomic_load(&messages) >= MESSAGES);
  receiver_clear(&e);
  assert_int_equal(natsConnection_Publish(connection, "many", torn, sizeof torn), NATS_OK);
  assert_int_equal(natsConnection_Publish(connection, "many", two, sizeof two), NATS_OK);
  UNTIL(receiver_messages(&e, "many") == 3);
  assert_int_equal(receiver_nth(&e, "many", 0).len, sizeof torn);
  assert_memory_equal(receiver_nth(&e, "many", 0).data, torn, sizeof torn);
  assert_string_equal(receiver_nth(&e, "many", 1).data, "a");
  assert_string_equal(receiver_nth(&e, "many", 2).data, "b");
  UNTIL(atomic_load(&messages) >= MESSAGES + 2);
  assert_in_range(atomic_load(&messages), MESSAGES + 2, COUNT / 10); /* more if its thread wakes in between */
  natsSubscription_Destroy(sub);
  natsConnection_Destroy(connection);
  receiver_finish(&sender);
  receiver_finish(&e);
}

/* Publish messages of this size that wait together, and return the last result. */
static vestry_err publish_burst(receiver *e, size_t len, int count) {
  static char text[10000];
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < count; i++) error = e->broker.ops->publish(e->broker.broker, "many", text, len);
  e->broker.ops->flush(e->broker.broker, true);
  return error;
}

/* Make the configuration of a server of a cluster: a, at which others join, or one that joins. JetStream also requires
 * a route of a. */
static void configure(char config[256], const char *name, int route, int max_payload) {
  snprintf(config, 256,
           "server_name: %s\nmax_payload: %d\n"
           "cluster { name: c, listen: \"127.0.0.1:%d\", routes: [\"nats://127.0.0.1:%d\"] }",
           name, max_payload, *name == 'a' ? route : -1, route);
}

/* Return the maximum that the server tells new clients. */
static int64_t max_payload_now(void) {
  natsConnection *connection = NULL;
  assert_int_equal(natsConnection_ConnectTo(&connection, the.server.url), NATS_OK);
  int64_t max_payload = natsConnection_GetMaxPayload(connection);
  natsConnection_Destroy(connection);
  return max_payload;
}

/* A server that joins its cluster makes the server announce its settings. libnats takes over the new maximum, and drops
 * larger messages. */
/* capability: G1 */
TEST_CASE(changed_max_payload_loses_no_later_message) {
  enum { SMALL = 200, COUNT = 100, LARGE = 9000 };
  char config[256];
  int route = port_reserve();
  receiver e;
  nats_server other;
  nats_server_init(&other);
  nats_server_kill(&the.server);
  configure(config, "a", route, 1 << 20);
  nats_server_start(&the.server, config);
  make(&e, (vestry_nats_options){0});
  receiver_subscribe(&e, "many");
  start(&e);
  assert_int_equal(publish_burst(&e, LARGE, 1), VESTRY_OK);
  UNTIL(receiver_messages(&e, "many") == 1);
  configure(config, "a", route, 8192);
  nats_server_reload(&the.server, config);
  UNTIL(max_payload_now() == 8192);
  configure(config, "b", route, 8192);
  nats_server_start(&other, config);
  UNTIL(e.broker.ops->max_payload(e.broker.broker) == 8192);
  for (size_t i = 1; i <= 3; i++) {
    assert_int_equal(publish_burst(&e, LARGE, 1), VESTRY_TOO_LARGE);
    assert_int_equal(publish_burst(&e, SMALL, COUNT), VESTRY_OK);
    UNTIL(receiver_messages(&e, "many") == 1 + i * COUNT);
  }
  assert_int_equal(stats_of(&e).discarded_count, 0);
  assert_int_equal(receiver_states(&e, VESTRY_BROKER_DOWN), 0);
  /* A message that was published before the change is lost, and this is reported. */
  vsi_nats_broker *broker = e.broker.broker;
  vsi_mutex_lock(&broker->io); /* so that nothing is read or written */
  atomic_store(&broker->max_payload, 1 << 20);
  assert_int_equal(publish_burst(&e, SMALL, COUNT), VESTRY_OK);
  vsi_mutex_unlock(&broker->io);
  e.broker.ops->flush(broker, false);
  UNTIL(receiver_states(&e, VESTRY_BROKER_DOWN) == 1 && receiver_states(&e, VESTRY_BROKER_UP) == 2);
  assert_true(stats_of(&e).discarded_count > 0);
  assert_int_equal(e.broker.ops->max_payload(broker), 8192);
  receiver_finish(&e);
  nats_server_finish(&other);
}

/* ---------------------------------------------------------------------------------------- returned messages ------- */

static struct given_back {
  _Atomic(size_t) reported, told_before; /* messages passed on: until now, and at the last return; by one thread */
  _Atomic(size_t) count, times;
} given_back;

void __real_natsMsg_Destroy(natsMsg *message);
void __wrap_natsMsg_Destroy(natsMsg *message);
void __wrap_natsMsg_Destroy(natsMsg *message) {
  size_t reported = atomic_load(&given_back.reported);
  if (atomic_exchange(&given_back.told_before, reported) != reported) atomic_fetch_add(&given_back.times, 1);
  atomic_fetch_add(&given_back.count, 1);
  __real_natsMsg_Destroy(message);
}

static void note_message(receiver *self, const received *what) {
  given_back.reported += !what->is_state;
}

/* libnats wakes one of its threads for returned messages. */
TEST_CASE(messages_are_returned_to_libnats_in_batches) {
  enum { COUNT = 256, LARGE_BYTES = 40000 };
  static char large[LARGE_BYTES + 1];
  receiver e;
  make(&e, (vestry_nats_options){.ping_ms = 600000});
  receiver_subscribe(&e, "many");
  e.then = note_message;
  start(&e);
  memset(&given_back, 0, sizeof given_back); /* the first ping was returned */
  for (size_t i = 1; i <= COUNT; i++) {
    assert_int_equal(receiver_publish(&e, "many", "x"), VESTRY_OK);
    UNTIL(receiver_messages(&e, "many") == i);
  }
  UNTIL(atomic_load(&given_back.count) == COUNT);
  assert_int_equal(atomic_load(&given_back.times), COUNT / VSI_NATS_PASSED_MOST);
  memset(large, 'x', LARGE_BYTES);
  for (size_t i = 1; i <= 3; i++) {
    assert_int_equal(receiver_publish(&e, "many", large), VESTRY_OK);
    UNTIL(receiver_messages(&e, "many") == COUNT + i);
  }
  UNTIL(atomic_load(&given_back.count) == COUNT + 2); /* their memory is limited in bytes, too */
  receiver_finish(&e);
  assert_int_equal(atomic_load(&given_back.count), COUNT + 4); /* and the last ping */
}

int main(void) {
  return cases_run_each("nats/traps", begin, end);
}
