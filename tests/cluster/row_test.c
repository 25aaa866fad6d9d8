/* SPDX-License-Identifier: MIT */
/* The thread that performs remote requests: the broker's thread if few are queued and no code of the application is
 * called, otherwise the actor. In both cases each request arrives once, in order, and is answered. */
#include "cluster/cluster/cluster.h" /* first, because its names differ */

#include <stdatomic.h>
#include <stdlib.h>

#include "cluster/holders.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/memory_network.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

enum { ROUNDS = 100, TOGETHER = 100, ROW_MAX = 64, LARGEST = 512 };

/* Features of the application on the receiving node. */
typedef struct habits {
  const char *const *allow;
  bool has_interceptor, has_placeholder;
  bool is_silent; /* the broker does not report whether there are more messages */
} habits;

typedef struct message {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  size_t len;
  unsigned char data[LARGEST];
} message;

static struct world {
  habits habits;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  vestry *v[2];
  vestry_broker broker[2];
  vestry_cluster *cluster[2];
  vestry_broker_ops ops;       /* of the receiving node */
  vestry_broker_events events; /* functions that its cluster passed to the broker */
  vestry_memory_exchange *stream;
  _Atomic(bool) gathers;
  bool has_more;              /* used by the broker's thread, like the members below */
  message kept[2 * TOGETHER]; /* messages that have arrived and were not passed on */
  size_t kept_count, asks_count;
  _Atomic(uint32_t) inside, outside; /* answers published by the broker's thread, or by another one */
  _Atomic(uint32_t) answers, failures;
  int number;
} w;

static _Thread_local bool is_telling;

/* ----------------------------------------------------------------------------- broker of the receiving node ------- */

static void pass_on(const char *subject, const void *data, size_t len, bool has_more) {
  w.has_more = has_more;
  is_telling = true;
  w.events.on_message(subject, data, len, w.events.ctx);
  is_telling = false;
}

static void pass_on_kept(void) {
  for (size_t i = 0; i < w.kept_count; i++)
    pass_on(w.kept[i].subject, w.kept[i].data, w.kept[i].len, i + 1 < w.kept_count);
  w.kept_count = w.asks_count = 0;
}

static void on_message(const char *subject, const void *data, size_t len, void *ctx) {
  if (!atomic_load(&w.gathers)) {
    pass_on_kept();
    pass_on(subject, data, len, false);
    return;
  }
  if (len > LARGEST || w.kept_count == sizeof w.kept / sizeof *w.kept) abort();
  message *to = &w.kept[w.kept_count++];
  snprintf(to->subject, sizeof to->subject, "%s", subject);
  memcpy(to->data, data, to->len = len);
  w.asks_count += to->data[2] == VSI_WIRE_REQUEST;
  if (w.asks_count == TOGETHER) pass_on_kept();
}

static void on_state(vestry_broker_state state, void *ctx) {
  w.events.on_state(state, w.events.ctx);
}

static vestry_err start_watched(void *broker, const char *const *subjects, size_t count,
                                const vestry_broker_events *events) {
  w.events = *events;
  return vsi_memory_broker_ops.start(broker, subjects, count,
                                     &(vestry_broker_events){.on_message = on_message, .on_state = on_state});
}

static vestry_err publish_watched(void *broker, const char *subject, const void *data, size_t len) {
  if (((const unsigned char *)data)[2] == VSI_WIRE_ANSWER) atomic_fetch_add(is_telling ? &w.inside : &w.outside, 1);
  return vsi_memory_broker_ops.publish(broker, subject, data, len);
}

static bool has_more(void *broker) {
  assert_true(is_telling);
  return w.has_more;
}

/* ------------------------------------------------------------------------------------------------ the nodes ------- */

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("k"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_err note(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  if (is_telling) atomic_fetch_add(&w.failures, 1); /* application code on the broker's thread */
  return VESTRY_OK;
}

static vestry_err count_call(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  return note(context, NULL, ctx);
}

static vestry_err replace(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_string("x");
  return VESTRY_OK;
}

static void start(size_t at) {
  static const char secret[] = "all nodes of this test have the same";
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &w.v[at]), VESTRY_OK);
  vestry_registry *registry = vestry_parts_of(w.v[at])->registry;
  assert_int_equal(vestry_registry_effect(registry, "note", note, NULL), VESTRY_OK);
  if (at && w.habits.has_interceptor)
    assert_int_equal(
        vestry_registry_intercept(
            registry, &(vestry_interceptor){.name = "look", .phase = VESTRY_PHASE_EFFECT, .before = count_call}),
        VESTRY_OK);
  if (at && w.habits.has_placeholder)
    assert_int_equal(vestry_registry_placeholder(registry, "value", replace, NULL), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(w.network, &w.broker[at]), VESTRY_OK);
  if (at) {
    w.ops = *w.broker[at].ops;
    w.ops.start = start_watched;
    w.ops.publish = publish_watched;
    w.ops.has_more = w.habits.is_silent ? NULL : has_more;
    w.broker[at].ops = &w.ops;
  }
  const vestry_cluster_options options = {.node = at ? "asked" : "asking",
                                          .secret = secret,
                                          .secret_len = sizeof secret,
                                          .allow = w.habits.allow,
                                          .heartbeat_ms = 500, /* fewer than are kept */
                                          .dead_ms = 60000,
                                          .answer_ms = 60000};
  assert_int_equal(vestry_cluster_create(w.v[at], &w.broker[at], &options, &w.cluster[at]), VESTRY_OK);
}

static bool is_held(void) {
  return holders_of(w.cluster[0], (vestry_scope){NULL, 0}, VESTRY_KEY("k"));
}

static void begin(habits has) {
  memset(&w, 0, sizeof w);
  w.habits = has;
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 2}, &w.runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(w.runtime, NULL, &w.network), VESTRY_OK);
  start(0);
  start(1);
  assert_int_equal(
      vestry_memory_request(w.v[1], &(vestry_memory_call){.datastar = true}, open_handler, NULL, &w.stream), VESTRY_OK);
  UNTIL(is_held());
}

static void finish(void) {
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(vestry_stop(w.v[i], VESTRY_NEVER_MS), VESTRY_OK);
    vestry_cluster_destroy(w.cluster[i]);
    w.broker[i].ops->destroy(w.broker[i].broker);
  }
  /* The stream has ended: each dispatch has arrived once, in order. */
  const char *at = vestry_memory_look(w.stream).received.data;
  char line[64];
  for (int i = 1; i <= w.number; i++) {
    snprintf(line, sizeof line, "signals {\"n\":%d}\n", i);
    at = strstr(at, line);
    assert_non_null(at);
    at += strlen(line);
  }
  assert_null(strstr(at, "signals"));
  for (size_t i = 0; i < 2; i++) vestry_destroy(w.v[i]);
  vestry_memory_destroy(w.stream);
  vestry_memory_network_destroy(w.network);
  vestry_runtime_destroy(w.runtime);
  assert_int_equal(atomic_load(&w.failures), 0);
}

static json_t *next_effects(void) {
  return json_pack("[[s,{s:i}]]", "patch-signals", "n", ++w.number);
}

static void dispatch_one(void) {
  json_t *effects = next_effects();
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v[0], effects, &(vestry_dispatch_options){.key = VESTRY_KEY("k")}, &result),
                   VESTRY_OK);
  assert_int_equal(result.connections_count, 1);
  json_decref(effects);
}

static const char *const own[] = {"patch-signals", NULL};

/* Occasionally the actor is busy with an update of a member, and then performs the request. */
TEST_CASE(single_request_is_performed_by_the_broker_thread) {
  begin((habits){.allow = own});
  for (uint32_t before = 0; w.number < ROUNDS || !before; before = atomic_load(&w.inside)) dispatch_one();
  assert_true(atomic_load(&w.inside) > 0);
  assert_int_equal(atomic_load(&w.inside) + atomic_load(&w.outside), (uint32_t)w.number);
  finish();
}

static void dispatch_to_the_actor(habits has) {
  begin(has);
  for (int i = 0; i < ROUNDS; i++) dispatch_one();
  assert_int_equal(atomic_load(&w.inside), 0);
  assert_int_equal(atomic_load(&w.outside), ROUNDS);
  finish();
}

TEST_CASE(application_code_is_not_called_by_the_broker_thread) {
  static const char *const with_note[] = {"patch-signals", "note", NULL};
  static const char *const unknown[] = {"patch-signals", "nothing-of-this-name", NULL};
  dispatch_to_the_actor((habits){.allow = with_note});
  dispatch_to_the_actor((habits){.allow = unknown});
  dispatch_to_the_actor((habits){.allow = own, .has_interceptor = true});
  dispatch_to_the_actor((habits){.allow = own, .has_placeholder = true});
}

TEST_CASE(request_without_has_more_is_performed_by_the_actor) {
  dispatch_to_the_actor((habits){.allow = own, .is_silent = true});
}

static void on_answer(vestry_err error, uint32_t count, void *ctx) {
  if (error || count != 1) atomic_fetch_add(&w.failures, 1);
  atomic_fetch_add(&w.answers, 1);
}

/* So that an overloaded node still receives messages, and can answer that it is full. */
/* capability: G9 */
TEST_CASE(many_requests_in_a_row_are_performed_by_the_actor) {
  begin((habits){.allow = own});
  atomic_store(&w.gathers, true);
  for (int round = 1; round <= ROUNDS / 10; round++) {
    for (int i = 0; i < TOGETHER; i++) {
      json_t *effects = next_effects();
      assert_int_equal(vestry_cluster_dispatch(w.cluster[0], effects,
                                               &(vestry_dispatch_options){.key = VESTRY_KEY("k")}, on_answer, NULL),
                       VESTRY_OK);
      json_decref(effects);
    }
    UNTIL(atomic_load(&w.answers) == (uint32_t)(round * TOGETHER));
  }
  assert_int_equal(atomic_load(&w.inside) + atomic_load(&w.outside), (uint32_t)w.number);
  assert_true(atomic_load(&w.inside) > 0);
  assert_true(atomic_load(&w.outside) >= ROUNDS / 10 * (TOGETHER - ROW_MAX));
  atomic_store(&w.gathers, false);
  finish();
}
