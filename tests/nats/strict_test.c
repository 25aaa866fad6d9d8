/* SPDX-License-Identifier: MIT */
/* capability: G4 */
/* Keys that one stream holds alone, by reservations of JetStream. */
#include <nats/nats.h>
#include <pthread.h>

#include "cluster/strict_race.h"
#include "nats/server.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/cluster/cluster.h"
#include "vestry/cluster/nats.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

TEST_CASE(key_has_at_most_one_stream_with_threads) {
  nats_server server;
  vestry_broker brokers[STRICT_RACE_NODES];
  nats_server_init(&server);
  nats_server_start(&server, NULL);
  const char *servers[] = {server.url};
  for (size_t i = 0; i < STRICT_RACE_NODES; i++)
    assert_int_equal(vestry_nats_create(&(vestry_nats_options){.servers = servers,
                                                               .servers_count = 1,
                                                               .reservations_bucket = "reservations",
                                                               .reservations_ms = 30000},
                                        &brokers[i]),
                     VESTRY_OK);
  strict_race(brokers, 60);
  nats_server_finish(&server);
}

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("k", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_REJECT, 0);
}

static int open_stream(vestry *v, vestry_memory_exchange **ret_stream) {
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, open_handler, NULL, ret_stream),
                   VESTRY_OK);
  UNTIL(vestry_memory_look(*ret_stream).status);
  return vestry_memory_look(*ret_stream).status;
}

static bool holds(vestry *v, vestry_memory_exchange **stream) {
  vestry_memory_destroy(*stream);
  return open_stream(v, stream) == 200;
}

/* Request a stream of the key that another node holds. */
static int refusal_of(vestry *v) {
  vestry_memory_exchange *stream;
  int status = open_stream(v, &stream);
  vestry_memory_destroy(stream);
  if (status != 409) assert_int_equal(status, 503);
  return status;
}

#define USERS(subjects)                                                                                                \
  "authorization { users: [ { user: a, password: p }, { user: b, password: p, permissions: { publish: \">\", "         \
  "subscribe: \"" subjects "\" } } ] }"

/* To a node that the server has made deaf all others seem to be dead, and it can still make reservations. */
TEST_CASE(deaf_node_opens_no_stream_of_a_held_key) {
  static const char secret[] = "all nodes of this test have the same";
  static const char *const names[] = {"a", "b"};
  nats_server server;
  vestry *v[2];
  vestry_broker brokers[2];
  vestry_cluster *clusters[2];
  vestry_memory_exchange *stream = NULL;
  nats_server_init(&server);
  nats_server_start(&server, USERS(">"));
  const char *servers[] = {server.url};
  for (int i = 0; i < 2; i++) {
    const vestry_nats_options nats = {.servers = servers,
                                      .servers_count = 1,
                                      .user = names[i],
                                      .password = "p",
                                      .reservations_bucket = "reservations",
                                      .reservations_ms = 30000};
    const vestry_cluster_options options = {.node = names[i],
                                            .secret = secret,
                                            .secret_len = sizeof secret,
                                            .heartbeat_ms = 20,
                                            .suspect_ms = 5000,
                                            .dead_ms = 6000,
                                            .answer_ms = 60000,
                                            .strict = true};
    assert_int_equal(vestry_nats_create(&nats, &brokers[i]), VESTRY_OK);
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &v[i]), VESTRY_OK);
    assert_int_equal(vestry_cluster_create(v[i], &brokers[i], &options, &clusters[i]), VESTRY_OK);
  }
  UNTIL(vestry_cluster_member(clusters[1], "a") == VESTRY_MEMBER_ALIVE);
  UNTIL(holds(v[0], &stream));
  UNTIL(refusal_of(v[1]) == 409);
  nats_server_reload(&server, USERS("_INBOX.>"));
  UNTIL(refusal_of(v[1]) == 503);
  UNTIL(refusal_of(v[1]) && vestry_cluster_member(clusters[1], "a") == VESTRY_MEMBER_DEAD);
  refusal_of(v[1]);
  nats_server_reload(&server, USERS(">"));
  UNTIL(refusal_of(v[1]) == 409);
  vestry_memory_destroy(stream);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(vestry_stop(v[i], VESTRY_NEVER_MS), VESTRY_OK);
    vestry_cluster_destroy(clusters[i]);
    brokers[i].ops->destroy(brokers[i].broker);
    vestry_destroy(v[i]);
  }
  nats_server_finish(&server);
}

enum { RESERVING = 4 };

static vestry_err reserve(const vestry_broker *broker, const char *name, uint64_t expected, uint64_t *revision) {
  return broker->ops->reserve(broker->broker, name, expected, "x", 1, revision);
}

static void *reserve_one(void *ctx) {
  static _Atomic(int) number;
  char name[16];
  uint64_t revision = 0;
  snprintf(name, sizeof name, "new.%d", number++);
  return reserve(ctx, name, 0, &revision) == VESTRY_OK && revision ? ctx : NULL;
}

/* Call fn as an administrator. */
static void administer(const char *url, void (*fn)(jsCtx *jetstream, const void *ctx), const void *ctx) {
  natsConnection *connection = NULL;
  jsCtx *jetstream = NULL;
  assert_int_equal(natsConnection_ConnectTo(&connection, url), NATS_OK);
  assert_int_equal(natsConnection_JetStream(&jetstream, connection, NULL), NATS_OK);
  fn(jetstream, ctx);
  jsCtx_Destroy(jetstream);
  natsConnection_Destroy(connection);
}

static void delete_bucket(jsCtx *jetstream, const void *ctx) {
  assert_int_equal(js_DeleteKeyValue(jetstream, "reservations"), NATS_OK);
}

/* Let the bucket have no room for another name; or remove its bound. */
static void bound_bucket(jsCtx *jetstream, const void *is_bounded) {
  jsStreamInfo *info = NULL;
  assert_int_equal(js_GetStreamInfo(&info, jetstream, "KV_reservations", NULL, NULL), NATS_OK);
  jsStreamConfig config = *info->Config;
  config.MaxBytes = is_bounded ? (int64_t)info->State.Bytes + 1 : -1;
  config.Discard = js_DiscardNew;
  assert_int_equal(js_UpdateStream(NULL, jetstream, &config, NULL, NULL), NATS_OK);
  jsStreamInfo_Destroy(info);
}

/* Start a server and a broker for it. */
static void begin_for(nats_server *server, test_host *th, vestry_broker *broker, uint64_t reservations_ms) {
  test_host_init(th);
  nats_server_init(server);
  nats_server_start(server, NULL);
  const char *servers[] = {server->url};
  assert_int_equal(vestry_nats_create(&(vestry_nats_options){.host = &th->host,
                                                             .servers = servers,
                                                             .servers_count = 1,
                                                             .reservations_bucket = "reservations",
                                                             .reservations_ms = reservations_ms},
                                      broker),
                   VESTRY_OK);
  assert_int_equal(broker->ops->start(broker->broker, NULL, 0, &(vestry_broker_events){0}), VESTRY_OK);
  UNTIL(broker->ops->state(broker->broker) == VESTRY_BROKER_UP);
}

static void begin(nats_server *server, test_host *th, vestry_broker *broker) {
  begin_for(server, th, broker, 5000);
}

/* The first reservation. On a busy machine, JetStream of a new server may not answer yet. */
static void reserve_first(vestry_broker *broker, uint64_t *ret_revision) {
  vestry_err error;
  unsigned looks = 0;
  while ((error = reserve(broker, "old", 0, ret_revision)) == VESTRY_IO || error == VESTRY_TIMEOUT)
    until_pause(looks++);
  assert_int_equal(error, VESTRY_OK);
}

/* The connection stays, so that only a reservation can notice it. */
TEST_CASE(deleted_bucket_is_created_again) {
  test_host th;
  nats_server server;
  vestry_broker broker;
  uint64_t revision = 0;
  begin(&server, &th, &broker);
  reserve_first(&broker, &revision);
  for (int i = 0; i < 2; i++) {
    pthread_t threads[RESERVING];
    void *done;
    administer(server.url, delete_bucket, NULL);
    long lines = th.log_lines;
    for (int k = 0; k < RESERVING; k++) pthread_create(&threads[k], NULL, reserve_one, &broker);
    for (int k = 0; k < RESERVING; k++) {
      pthread_join(threads[k], &done);
      assert_non_null(done);
    }
    assert_int_equal(th.log_lines, lines + 1);
    test_host_advance_ms(&th, 60000);
  }
  assert_int_equal(reserve(&broker, "old", revision + 100, &revision), VESTRY_EXISTS);
  assert_int_equal(revision, 0); /* it was in the deleted bucket */
  broker.ops->destroy(broker.broker);
  test_host_assert_clean(&th);
  nats_server_finish(&server);
}

TEST_CASE(refused_reservations_are_logged_with_their_reason) {
  test_host th;
  nats_server server;
  vestry_broker broker;
  uint64_t first = 0, revision = 0;
  begin(&server, &th, &broker);
  reserve_first(&broker, &first);
  for (int i = 0; i < 2; i++) {
    const long lines = th.log_lines;
    char name[16];
    snprintf(name, sizeof name, "new.%d", i);
    administer(server.url, bound_bucket, "");
    assert_int_equal(reserve(&broker, name, 0, &revision), VESTRY_IO);
    assert_int_equal(th.log_lines, lines + 1);
    assert_non_null(strstr(th.last_log, "nats: reservations in the bucket reservations fail: maximum bytes exceeded;"));
    assert_int_equal(reserve(&broker, "another", 0, &revision), VESTRY_IO);
    assert_int_equal(th.log_lines, lines + 1); /* not once more */
    administer(server.url, bound_bucket, NULL);
    assert_int_equal(reserve(&broker, name, 0, &revision), VESTRY_OK);
    assert_int_equal(th.log_lines, lines + 1);
    assert_string_equal(th.last_log, "nats: reservations in the bucket reservations succeed again");
    if (!i) test_host_advance_ms(&th, 60000);
  }
  /* They fail again within the minute, and still fail after it. */
  const long lines = th.log_lines;
  administer(server.url, bound_bucket, "");
  for (int i = 0; i < 5; i++) assert_int_equal(reserve(&broker, "another", 0, &revision), VESTRY_IO);
  assert_int_equal(th.log_lines, lines);
  test_host_advance_ms(&th, 60000);
  for (int i = 0; i < 5; i++) assert_int_equal(reserve(&broker, "another", 0, &revision), VESTRY_IO);
  assert_int_equal(th.log_lines, lines + 1);
  assert_non_null(strstr(th.last_log, "(and 5 times before)"));
  administer(server.url, bound_bucket, NULL);
  assert_int_equal(reserve(&broker, "old", first + 100, &revision), VESTRY_EXISTS);
  assert_int_equal(revision, first);
  broker.ops->destroy(broker.broker);
  test_host_assert_clean(&th);
  nats_server_finish(&server);
}

/* Another program makes a stream with the name of the bucket's, without direct reads. */
static void replace_bucket(jsCtx *jetstream, const void *subject) {
  const char *subjects[] = {subject};
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = "KV_reservations";
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.MaxMsgsPerSubject = 1;
  assert_int_equal(js_DeleteStream(jetstream, "KV_reservations", NULL, NULL), NATS_OK);
  assert_int_equal(js_AddStream(NULL, jetstream, &config, NULL, NULL), NATS_OK);
}

/* Names that exist could not be read any more, and so not be set. */
TEST_CASE(replaced_bucket_is_opened_again) {
  test_host th;
  nats_server server;
  vestry_broker broker;
  uint64_t first = 0, revision = 0;
  begin(&server, &th, &broker);
  reserve_first(&broker, &first);
  administer(server.url, replace_bucket, "$KV.reservations.>");
  const long lines = th.log_lines;
  assert_int_equal(reserve(&broker, "new", 0, &first), VESTRY_OK);
  assert_int_equal(reserve(&broker, "new", 0, &revision), VESTRY_EXISTS);
  assert_int_equal(revision, first);
  assert_int_equal(reserve(&broker, "old", first + 100, &revision), VESTRY_EXISTS);
  assert_int_equal(revision, 0);
  assert_int_equal(th.log_lines, lines + 1);
  assert_non_null(strstr(th.last_log, "it was opened again"));
  broker.ops->destroy(broker.broker);
  test_host_assert_clean(&th);
  nats_server_finish(&server);
}

/* A few lines for many reservations, also if each second one succeeds, or a bucket is opened again and again. */
TEST_CASE(failing_reservations_do_not_flood_the_log) {
  test_host th;
  nats_server server;
  vestry_broker broker;
  uint64_t first = 0, revision = 0;
  begin_for(&server, &th, &broker, 200);
  reserve_first(&broker, &first);
  long lines = th.log_lines;
  administer(server.url, bound_bucket, "");
  for (int i = 0; i < 20; i++) {
    assert_int_equal(reserve(&broker, "new", 0, &revision), VESTRY_IO);
    assert_int_equal(reserve(&broker, "old", first + 100, &revision), VESTRY_EXISTS);
  }
  assert_in_range(th.log_lines, lines + 1, lines + 8);
  broker.ops->destroy(broker.broker);
  test_host_assert_clean(&th);
  nats_server_finish(&server);
  begin_for(&server, &th, &broker, 200);
  reserve_first(&broker, &first);
  lines = th.log_lines;
  administer(server.url, replace_bucket, "other.>");
  for (int i = 0; i < 3; i++) assert_int_equal(reserve(&broker, "old", first, &revision), VESTRY_IO);
  assert_int_equal(th.log_lines, lines + 1);
  assert_non_null(strstr(th.last_log, "it may be no bucket"));
  broker.ops->destroy(broker.broker);
  test_host_assert_clean(&th);
  nats_server_finish(&server);
}
