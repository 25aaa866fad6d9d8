/* SPDX-License-Identifier: MIT */
/* K12: topics by key: the subscribers that are called, and the end of each subscription, which comes once. */
#include "vestry/app/bus.h"

#include "serve/wire.h"
#include "vestry/registry.h"

#define JOBS VESTRY_KEY("jobs", 7)

static vestry_bus_stats bus_of(vestry *v) {
  vestry_bus_stats stats = {0};
  vestry_bus_stats_get(v, &stats);
  assert_int_equal(stats.subscribed_count, stats.live_count + stats.ended_count);
  return stats;
}

/* Publish, and return the number of subscribers called. */
static size_t publish(vestry *v, vestry_scope scope, const vestry_key *key, const char *text) {
  size_t count = 99;
  vestry_err error = vestry_publish(v, scope, key, text, strlen(text), &count);
  assert_int_equal(error, count ? VESTRY_OK : VESTRY_NOT_FOUND);
  return count;
}

/* The record of one subscriber. */
typedef struct receiver {
  char received[500];
  int calls, overs, closes;
  size_t key_len; /* of the last message */
  char key[100], scope[20];
} receiver;

static void note_message(const vestry_bus_message *message, void *ctx) {
  receiver *e = ctx;
  assert_int_equal(e->overs, 0);
  e->calls++;
  sprintf(e->received + strlen(e->received), "%.*s ", (int)message->len, (const char *)message->data);
  assert_int_equal(vestry_key_format(message->topic.data, message->topic.len, e->key, sizeof e->key, &e->key_len),
                   VESTRY_OK);
  sprintf(e->scope, "%.*s", (int)message->scope.len, (const char *)message->scope.data);
  if (message->connection)
    assert_int_equal(vestry_connection_patch_signals(message->connection, VESTRY_OBJECT("n", e->calls), NULL),
                     VESTRY_OK);
}

static void over(void *ctx) {
  receiver *e = ctx;
  assert_int_equal(e->overs++, 0);
  assert_int_equal(e->closes, 0); /* before the close hook */
}

static void closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  receiver *e = ctx;
  e->closes++;
  assert_int_equal(e->overs, 1);
}

/* The operations of a handler. */
typedef struct visit {
  receiver *receivers[20]; /* subscribed separately; ends with NULL */
  const vestry_scope *scope;
  const vestry_key *key;
  vestry_subscriber subscriber; /* used instead; call NULL: unused */
  bool is_invalid;              /* use it although it is invalid */
  const char *kept, *effects;   /* as in broadcast_test.c */
  vestry_keep_policy policy;
  bool answers, ignores, ends; /* ends: destroys the instance after subscribing */
  test_host *fails;
  long fail;
  bool has_hook;
  vestry_err error;
  site *w;
} visit;

static vestry_err subscribe_and_keep(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  if (v->fails) test_host_fail_in(v->fails, v->fail);
  for (size_t i = 0; v->receivers[i]; i++)
    v->error = vestry_reply_subscribe(reply, v->scope ? *v->scope : req->scope, v->key,
                                      &(vestry_subscriber){.call = note_message, .over = over, .ctx = v->receivers[i]});
  if (v->is_invalid)
    v->error = vestry_reply_subscribe(reply, v->scope ? *v->scope : req->scope, v->key, &v->subscriber);
  if (v->fails) test_host_fail_no_more(v->fails);
  if (v->error && !v->ignores) return v->error;
  if (v->receivers[0]) assert_int_equal(publish(v->w->v, NOWHERE, v->key, "from the handler"), 0);
  if (v->ends) vestry_close(v->w->v);
  if (v->answers) return vestry_reply_body(reply, NULL, "x", 1);
  if (v->has_hook)
    vestry_reply_stream(reply, &(vestry_stream_options){
                                   .hooks = &(vestry_connection_hooks){.on_close = closed, .ctx = v->receivers[0]}});
  if (v->kept) vestry_reply_key(reply, ROOM(v->kept));
  vestry_reply_keep(reply, v->kept ? v->policy : VESTRY_KEEP_REUSE, 0);
  return vestry_reply_effect(reply, VESTRY_LIST("tell", "an effect"));
}

/* ["tell", text] */
static vestry_err effect_tell(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)publish(vestry_context_info(context)->v, NOWHERE, JOBS, json_string_value(json_array_get(args, 0)));
  return VESTRY_OK;
}

static void begin(site *w, vestry_options options) {
  site_begin(w, options);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "tell", effect_tell, NULL), VESTRY_OK);
}

static void end(site *w, wire *all[], size_t count) {
  assert_int_equal(bus_of(w->v).topics_count, bus_of(w->v).live_count != 0);
  site_close(w);
  for (size_t i = 0; i < count; i++) wire_finish(all[i]);
  test_host_assert_clean(&w->th);
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

/* capability: K12 */
TEST_CASE(stream_receives_messages_while_it_lives) {
  site w;
  begin(&w, (vestry_options){0});
  wire r = {.datastar = true};
  receiver e = {.calls = 0};
  visit v = {.receivers = {&e}, .key = JOBS, .has_hook = true, .w = &w};
  assert_int_equal(publish(w.v, NOWHERE, JOBS, "too early"), 0);
  assert_int_equal(wire_serve(&w, &r, subscribe_and_keep, &v), VESTRY_OK);
  assert_string_equal(e.received, "an effect "); /* from the effects on, before the stream has opened */
  assert_false(r.head_written);
  assert_int_equal(publish(w.v, NOWHERE, JOBS, "then"), 1);
  assert_string_equal(e.key, "[\"jobs\",7]");
  assert_string_equal(e.scope, "");
  assert_int_equal(publish(w.v, NOWHERE, VESTRY_KEY("jobs", 8), "another"), 0);
  assert_int_equal(publish(w.v, (vestry_scope){"ann", 3}, JOBS, "somebody else's"), 0);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}") + wire_count(&r, "{\"n\":2}"), 2);
  wire_hang_up(&w, &r);
  assert_int_equal(e.overs, 1);
  assert_int_equal(e.closes, 1);
  assert_int_equal(publish(w.v, NOWHERE, JOBS, "too late"), 0);
  assert_string_equal(e.received, "an effect then ");
  vestry_bus_stats stats = bus_of(w.v);
  assert_int_equal(stats.ended_by_connection_count, 1);
  assert_int_equal(stats.topics_count, 0);
  end(&w, (wire *[]){&r}, 1);
}

/* Never called, and ended once. */
/* capability: K12 */
TEST_CASE(request_without_stream_ends_its_subscription) {
  site w;
  begin(&w, (vestry_options){0});
  wire stored = {.datastar = true};
  wire_request(&w, &stored, subscribe_and_keep, &(visit){.key = JOBS, .kept = "b", .policy = VESTRY_KEEP_REUSE});
  const struct {
    wire r;
    visit v;
    int status;
  } rows[] = {
      {{.datastar = false}, {.answers = true}, 200},
      {{.datastar = true, .open_error = VESTRY_LIMIT}, {.answers = false}, 503},
      {{.datastar = true}, {.kept = "b", .policy = VESTRY_KEEP_REUSE}, 204},
      {{.datastar = true}, {.kept = "b", .policy = VESTRY_KEEP_REJECT}, 409},
      {{.datastar = true}, {.is_invalid = true}, 500},
  };
  enum { ROWS = sizeof rows / sizeof *rows };
  wire all[ROWS];
  for (size_t i = 0; i < ROWS; i++) {
    receiver e = {.calls = 0};
    visit v = rows[i].v;
    v.key = JOBS;
    v.w = &w;
    v.receivers[0] = &e;
    all[i] = rows[i].r;
    wire_request(&w, &all[i], subscribe_and_keep, &v);
    if (all[i].status != rows[i].status) fail_msg("row %zu: %d", i, all[i].status);
    assert_int_equal(e.calls, 0);
    assert_int_equal(e.overs, 1);
    assert_int_equal(bus_of(w.v).subscribed_count, 0);
    assert_int_equal(bus_of(w.v).topics_count, 0);
  }
  end(&w, (wire *[]){&stored, &all[0], &all[1], &all[2], &all[3], &all[4]}, 6);
}

/* The instance ends between the handler and the stream. */
TEST_CASE(subscription_ends_if_the_instance_closes_before_open) {
  site w;
  begin(&w, (vestry_options){0});
  wire r = {.datastar = true}, late = {.datastar = true};
  receiver e = {.calls = 0};
  wire_request(&w, &r, subscribe_and_keep, &(visit){.receivers = {&e}, .key = JOBS, .ends = true, .w = &w});
  assert_int_equal(r.status, 503);
  assert_int_equal(e.overs, 1);
  assert_int_equal(vestry_publish(w.v, NOWHERE, JOBS, NULL, 0, NULL), VESTRY_CLOSED);
  assert_int_equal(vestry_subscribe(w.v, NOWHERE, JOBS, &(vestry_subscriber){.call = note_message, .ctx = &e}, NULL),
                   VESTRY_CLOSED);
  end(&w, (wire *[]){&r, &late}, 2);
}

/* --------------------------------------------------------------------------- subscriptions without a stream ------- */

TEST_CASE(code_subscribes_without_a_stream) {
  site w;
  receiver receivers[3] = {{.calls = 0}};
  vestry_subscription *first;
  vestry_scope ann = {"ann", 3};
  begin(&w, (vestry_options){0});
  for (int i = 0; i < 3; i++)
    assert_int_equal(vestry_subscribe(w.v, ann, JOBS,
                                      &(vestry_subscriber){.call = note_message, .over = over, .ctx = &receivers[i]},
                                      i ? NULL : &first),
                     VESTRY_OK);
  assert_int_equal(publish(w.v, ann, JOBS, "all"), 3);
  assert_string_equal(receivers[2].scope, "ann");
  assert_true(vestry_unsubscribe(first));
  assert_int_equal(receivers[0].overs, 1);
  assert_int_equal(publish(w.v, ann, JOBS, "two"), 2);
  assert_int_equal(vestry_subscribe(NULL, ann, JOBS, &(vestry_subscriber){.call = note_message}, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_subscribe(w.v, ann, JOBS, &(vestry_subscriber){.call = NULL}, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_publish(NULL, ann, JOBS, NULL, 0, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_publish(w.v, ann, JOBS, NULL, 0, NULL), VESTRY_OK);
  end(&w, NULL, 0); /* they end with the instance */
  for (int i = 0; i < 3; i++) assert_int_equal(receivers[i].overs, 1);
  assert_string_equal(receivers[0].received, "all ");
}

/* capability: K12 */
TEST_CASE(subscriptions_over_limit_are_refused) {
  site w;
  begin(&w, (vestry_options){0});
  assert_int_equal(vestry_bus_create(w.v, &(vestry_bus_options){.max_subscriptions_count = 2}), VESTRY_OK);
  assert_int_equal(vestry_bus_create(w.v, NULL), VESTRY_EXISTS);
  wire a = {.datastar = true}, b = a, full = a;
  receiver receivers[7] = {{.calls = 0}};
  visit v = {.receivers = {&receivers[4], &receivers[5], &receivers[6]}, .key = JOBS, .ignores = true, .w = &w};
  wire_request(&w, &full, subscribe_and_keep, &v); /* there is no place for the third when the stream begins */
  assert_int_equal(full.status, 503);
  assert_int_equal(bus_of(w.v).refused_count, 1);
  wire_finish(&full);
  v = (visit){.receivers = {&receivers[0], &receivers[1]}, .key = JOBS, .w = &w};
  wire_request(&w, &a, subscribe_and_keep, &v);
  assert_int_equal(bus_of(w.v).live_count, 2);
  v = (visit){.receivers = {&receivers[3]}, .key = JOBS, .w = &w};
  wire_request(&w, &b, subscribe_and_keep, &v);
  assert_int_equal(b.status, 503);
  for (int i = 0; i < 7; i++) assert_int_equal(receivers[i].overs, i > 3); /* a failed subscription has no end */
  wire_hang_up(&w, &a);                                                    /* this makes room */
  wire_finish(&b);
  b = (wire){.datastar = true};
  wire_request(&w, &b, subscribe_and_keep, &v);
  assert_int_equal(b.status, 200);
  assert_int_equal(receivers[3].calls, 1);
  end(&w, (wire *[]){&a, &b}, 2);
}

TEST_CASE(reply_subscribes_16_times_at_most) {
  site w;
  begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_per_stream_count = 16}});
  wire r = {.datastar = true};
  receiver receivers[18] = {{.calls = 0}};
  visit v = {.key = JOBS, .ignores = true, .w = &w};
  for (size_t i = 0; i < 18; i++) v.receivers[i] = &receivers[i];
  wire_request(&w, &r, subscribe_and_keep, &v);
  assert_int_equal(v.error, VESTRY_LIMIT);
  assert_int_equal(bus_of(w.v).live_count, 16);
  wire_hang_up(&w, &r);
  for (size_t i = 0; i < 18; i++) assert_int_equal(receivers[i].overs, i < 16);
  end(&w, (wire *[]){&r}, 1);
}

TEST_CASE(invalid_subscription_is_refused) {
  site w;
  begin(&w, (vestry_options){0});
  wire open = {.datastar = true};
  wire_request(&w, &open, subscribe_and_keep, &(visit){.key = JOBS});
  static char large[70000];
  memset(large, 'a', sizeof large - 1);
  const struct {
    visit v;
    vestry_err error;
  } rows[] = {
      {{.key = JOBS, .subscriber = {.call = NULL}}, VESTRY_INVALID},
      {{.key = JOBS, .subscriber = {.call = note_message, .connection = open.connection}}, VESTRY_INVALID},
      {{.key = NULL, .subscriber = {.call = note_message}}, VESTRY_INVALID},
      {{.key = VESTRY_KEY((const char *)NULL), .subscriber = {.call = note_message}}, VESTRY_INVALID},
      {{.key = VESTRY_KEY((const char *)large), .subscriber = {.call = note_message}}, VESTRY_TOO_LARGE},
      {{.key = JOBS, .scope = &(vestry_scope){large, 1025}, .subscriber = {.call = note_message}}, VESTRY_TOO_LARGE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r = {.datastar = true};
    visit v = rows[i].v;
    v.is_invalid = true;
    wire_request(&w, &r, subscribe_and_keep, &v);
    if (v.error != rows[i].error) fail_msg("row %zu: %s", i, vestry_strerror(v.error));
    assert_int_equal(r.status, 500); /* not an error of the client */
    wire_finish(&r);
  }
  /* Topics by key are as long as keys, and differ exactly where the keys do. */
  receiver receivers[3] = {{.calls = 0}};
  const vestry_key keys[3] = {vestry_key_bytes(large, 65000), vestry_key_bytes(large, 64999),
                              vestry_key_string("jobs")};
  for (int i = 0; i < 3; i++)
    assert_int_equal(vestry_subscribe(w.v, NOWHERE, &keys[i],
                                      &(vestry_subscriber){.call = note_message, .over = over, .ctx = &receivers[i]},
                                      NULL),
                     VESTRY_OK);
  assert_int_equal(publish(w.v, NOWHERE, &keys[2], "x"), 1);
  assert_int_equal(publish(w.v, NOWHERE, VESTRY_KEY("jobs"), "x"), 0);
  assert_int_equal(receivers[0].calls + receivers[1].calls, 0);
  wires_end(&w, &open);
}

/* ------------------------------------------------------------------------------------------------ no memory ------- */

TEST_CASE(ignored_error_refuses_the_stream) {
  site w;
  begin(&w, (vestry_options){0});
  for (long fail = 0;; fail++) {
    wire r = {.datastar = true};
    receiver e = {.calls = 0};
    visit v = {.receivers = {&e}, .key = JOBS, .fails = &w.th, .fail = fail, .ignores = true, .w = &w};
    wire_request(&w, &r, subscribe_and_keep, &v);
    assert_int_equal(r.status, v.error ? 500 : 200);
    assert_true(!v.error || v.error == VESTRY_NO_MEMORY);
    if (r.connection) wire_hang_up(&w, &r);
    wire_finish(&r);
    assert_int_equal(e.overs, !v.error);
    if (!v.error) break;
    assert_true(fail < 10);
  }
  end(&w, NULL, 0);
}

static vestry_err run_instance(test_host *th, void *ctx) {
  vestry *v;
  static char text[1000];
  memset(text, 'k', sizeof text - 1);
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  site w = {.v = v};
  wire r = {.datastar = true};
  receiver e = {.calls = 0}, unbound = {.calls = 0};
  visit come_in = {.receivers = {&e}, .key = JOBS, .w = &w};
  bool is_subscribed = false;
  (void)wire_serve(&w, &r, subscribe_and_keep, &come_in);
  error = come_in.error;
  if (error) assert_int_equal(e.overs, 0);
  if (!error && !r.connection) error = VESTRY_NO_MEMORY;
  if (!error) {
    error = vestry_subscribe(v, NOWHERE, VESTRY_KEY((const char *)text),
                             &(vestry_subscriber){.call = note_message, .over = over, .ctx = &unbound}, NULL);
    is_subscribed = !error;
  }
  if (!error) error = vestry_publish(v, NOWHERE, VESTRY_KEY("nobody", (const char *)text), "x", 1, NULL);
  if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
  if (r.connection) vestry_connection_close(r.connection, VESTRY_CAUSE_HANGUP);
  site_settle(&w);
  wire_finish(&r);
  vestry_destroy(v);
  assert_int_equal(e.overs, come_in.error == VESTRY_OK);
  assert_int_equal(unbound.overs, is_subscribed);
  return error;
}

/* capability: K12 */
TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(run_instance, NULL, true);
}
