/* SPDX-License-Identifier: MIT */
/* Storing streams: keep policies, and the races that an interceptor or a hook can cause on one thread. */
#include "serve/wire.h"
#include "vestry/registry.h"

static const char *const tick = "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n";
#define TICK "[\"patch-signals\", {\"n\": 1}]"

static const plan keep_replace = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REPLACE, .effects = "[" TICK "]"};
static const plan keep_reuse = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REUSE, .effects = "[" TICK "]"};
static const plan keep_reject = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REJECT, .effects = "[" TICK "]"};
static const plan keep_many = {.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .effects = "[" TICK "]"};
static const plan name_only = {.key = "a", .effects = "[" TICK "]"};

static uint64_t live_count(site *w) {
  return store_stats_of(w->v).live_count;
}

static uint64_t removed_for(site *w, vestry_cause cause) {
  return store_stats_of(w->v).removed_by_cause[cause];
}

/* ----------------------------------------------------------------------------------------------- policies --------- */

/* capability: A14 */
TEST_CASE(replace_ends_the_stored_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0};
  wire_plan(&w, &a, &keep_replace);
  wire_plan(&w, &b, &keep_replace);
  assert_int_equal(a.cause, VESTRY_CAUSE_REPLACED);
  assert_true(a.clean); /* a reconnect would evict the new stream */
  assert_int_equal(wire_count(&a, tick), 1);
  assert_int_equal(wire_count(&b, tick), 1);
  assert_true(vestry_connection_is_open(b.connection));
  assert_int_equal(live_count(&w), 1);
  wires_end(&w, &a, &b);
}

/* capability: A14 */
TEST_CASE(reuse_sends_to_the_stored_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0};
  wire_plan(&w, &a, &keep_reuse);
  wire_plan(&w, &b, &keep_reuse);
  assert_int_equal(b.status, 204);
  assert_int_equal(b.opens, 0);
  assert_int_equal(wire_count(&a, tick), 2);
  wires_end(&w, &a, &b);
}

/* capability: A14 */
TEST_CASE(reject_answers_409) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, c = {0};
  wire_plan(&w, &a, &keep_reject);
  wire_plan(&w, &b, &keep_reject);
  assert_int_equal(b.status, 409);
  assert_int_equal(b.opens, 0);
  assert_int_equal(wire_count(&a, tick), 1); /* none of the rejected request's effects */
  wire_hang_up(&w, &a);
  wire_plan(&w, &c, &keep_reject);
  assert_int_equal(wire_count(&c, tick), 1);
  wires_end(&w, &a, &b, &c);
}

/* capability: A14 */
TEST_CASE(many_stores_streams_with_separate_effects) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0}, later = {0};
  wire_plan(&w, &a, &keep_many);
  wire_plan(&w, &b, &keep_many);
  assert_int_equal(wire_count(&a, tick), 1); /* only b receives the effects of its request */
  assert_int_equal(wire_count(&b, tick), 1);
  wire_plan(&w, &later, &name_only);
  assert_int_equal(later.status, 204);
  assert_int_equal(wire_count(&a, tick), 2); /* a request that only names the key reaches all streams */
  assert_int_equal(wire_count(&b, tick), 2);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&a, tick), 3);
  assert_int_equal(wire_count(&b, tick), 3);
  wires_end(&w, &a, &b, &later);
}

/* capability: A14 */
TEST_CASE(many_over_limit_replaces_the_oldest) {
  for (size_t most = 0; most <= 3; most++) {
    size_t limit = most ? most : 8;
    site w;
    site_begin(&w, (vestry_options){0});
    wire wires[10] = {{0}};
    plan p = keep_many;
    p.many_count = most;
    for (size_t i = 0; i < 10; i++) wire_plan(&w, &wires[i], &p);
    for (size_t i = 0; i < 10; i++) {
      assert_int_equal(vestry_connection_is_open(wires[i].connection), i >= 10 - limit);
      if (i < 10 - limit) assert_int_equal(wires[i].cause, VESTRY_CAUSE_REPLACED);
    }
    assert_int_equal(live_count(&w), limit);
    wires_end_array(&w, wires, 10);
  }
}

/* A connection that is closing but still stored does not count against the limit of many, wherever it is in the
 * list. */
TEST_CASE(closing_streams_do_not_count_against_many) {
  for (size_t closing = 0; closing < 3; closing++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire wires[4] = {{0}};
    plan p = keep_many;
    p.many_count = 3;
    for (size_t i = 0; i < 3; i++) wire_plan(&w, &wires[i], &p);
    vestry_connection_close(wires[closing].connection, VESTRY_CAUSE_HANGUP); /* its runner has not run yet */
    wires[3].datastar = true;
    assert_int_equal(wire_serve(&w, &wires[3], planned, &p), VESTRY_OK);
    site_settle(&w);
    for (size_t i = 0; i < 4; i++) assert_int_equal(vestry_connection_is_open(wires[i].connection), i != closing);
    assert_int_equal(live_count(&w), 3);
    wires_end_array(&w, wires, 4);
  }
}

/* Even if closing streams free places, the oldest open stream must go if the limit is exceeded. With one closing
 * stream, a and b, and a limit of two, storing c leaves b and c. */
TEST_CASE(many_over_limit_replaces_oldest_open_beside_closing) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire wires[4] = {{0}};
  plan p = keep_many;
  p.many_count = 3;
  for (size_t i = 0; i < 3; i++) wire_plan(&w, &wires[i], &p);
  vestry_connection_close(wires[0].connection, VESTRY_CAUSE_HANGUP);
  p.many_count = 2;
  wires[3].datastar = true;
  assert_int_equal(wire_serve(&w, &wires[3], planned, &p), VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wires[0].cause, VESTRY_CAUSE_HANGUP);
  assert_int_equal(wires[1].cause, VESTRY_CAUSE_REPLACED);
  assert_true(vestry_connection_is_open(wires[2].connection));
  assert_true(vestry_connection_is_open(wires[3].connection));
  assert_int_equal(live_count(&w), 2);
  wires_end_array(&w, wires, 4);
}

/* ------------------------------------------------------------------------------------------------- leaving -------- */

/* capability: A10, A12 */
TEST_CASE(late_end_removes_only_its_own_entry) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0};
  wire_plan(&w, &a, &keep_replace);
  /* b displaces a; the late end of a must not remove b. */
  b.datastar = true;
  assert_int_equal(wire_serve(&w, &b, planned, (void *)&keep_replace), VESTRY_OK);
  assert_false(vestry_connection_is_open(a.connection));
  assert_int_equal(a.ends, 0);
  site_settle(&w);
  assert_int_equal(a.ends, 1);
  assert_int_equal(live_count(&w), 1);
  assert_int_equal(removed_for(&w, VESTRY_CAUSE_REPLACED), 1);
  wire_hang_up(&w, &b);
  assert_int_equal(live_count(&w), 0);
  assert_int_equal(removed_for(&w, VESTRY_CAUSE_HANGUP), 1);
  wires_end(&w, &a, &b);
}

/* capability: A4, A5 */
TEST_CASE(eviction_and_expiry_close_with_their_cause) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_count = 1}, .idle_ms = 1000});
  wire a = {0}, b = {0};
  plan other = keep_replace;
  other.key = "b";
  wire_plan(&w, &a, &keep_replace);
  wire_plan(&w, &b, &other);
  assert_int_equal(a.cause, VESTRY_CAUSE_SIZE);
  assert_false(a.clean);
  assert_non_null(strstr(w.th.last_log, "store: it is full, so the least recently used stream ends"));
  test_host_advance_ms(&w.th, 1100); /* without traffic: the expiry driver removes the stream */
  site_settle(&w);
  assert_int_equal(b.cause, VESTRY_CAUSE_IDLE);
  assert_int_equal(live_count(&w), 0);
  wires_end(&w, &a, &b);
}

/* No lookup touches the stream, but written events count as use; heartbeats do not. */
TEST_CASE(a_stream_that_gets_events_is_not_idle) {
  site w;
  site_begin(&w, (vestry_options){.idle_ms = 1000, .connection = &(vestry_connection_options){.heartbeat_ms = 300}});
  wire busy = {0}, quiet = {0};
  plan other = keep_replace;
  other.key = "b";
  wire_plan(&w, &busy, &keep_replace);
  wire_plan(&w, &quiet, &other);
  for (size_t i = 0; i < 50; i++) {
    test_host_advance_ms(&w.th, 100);
    if (i % 8 == 0)
      assert_int_equal(vestry_connection_patch_signals(busy.connection, VESTRY_VALUES("{\"n\":1}"), NULL), VESTRY_OK);
    site_settle(&w);
    assert_true(vestry_connection_is_open(busy.connection));
  }
  assert_int_equal(quiet.cause, VESTRY_CAUSE_IDLE);
  assert_true(wire_count(&quiet, ":\n") > 0);
  site_pass_ms(&w, 1000);
  assert_int_equal(busy.cause, VESTRY_CAUSE_IDLE);
  wires_end(&w, &busy, &quiet);
}

TEST_CASE(idle_stream_stays_by_default) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0};
  wire_plan(&w, &a, &keep_replace);
  site_pass_ms(&w, UINT64_C(24) * 3600 * 1000);
  assert_true(vestry_connection_is_open(a.connection));
  wires_end(&w, &a);
}

TEST_CASE(removing_a_key_closes_all_its_streams) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire a = {0}, b = {0};
  wire_plan(&w, &a, &keep_many);
  wire_plan(&w, &b, &keep_many);
  size_t count = 0;
  assert_int_equal(vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("a"), VESTRY_CAUSE_NONE, &count),
                   VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("x"), VESTRY_CAUSE_REMOVED, &count),
                   VESTRY_NOT_FOUND);
  assert_int_equal(vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("a"), VESTRY_CAUSE_REMOVED, &count),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(count, 2);
  assert_int_equal(a.cause, VESTRY_CAUSE_REMOVED);
  assert_int_equal(b.cause, VESTRY_CAUSE_REMOVED);
  wires_end(&w, &a, &b);
}

static vestry_err by_cookie(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  vestry_err error = vestry_request_cookie(req, "session", buffer, 64);
  if (!error) *ret_len = strlen(buffer);
  return error;
}

/* capability: A8 */
TEST_CASE(equal_keys_of_different_scopes_are_separate) {
  site w;
  site_begin(&w, (vestry_options){.scope = by_cookie});
  wire ann = {.headers = {{"Cookie", "session=ann"}}}, bob = {.headers = {{"Cookie", "session=bob"}}};
  wire ann_again = {.headers = {{"Cookie", "session=ann"}}}, nobody = {0};
  wire_plan(&w, &ann, &keep_reuse);
  wire_plan(&w, &bob, &keep_reuse);
  wire_plan(&w, &ann_again, &keep_reuse);
  wire_plan(&w, &nobody, &keep_reuse);
  assert_int_equal(wire_count(&ann, tick), 2);
  assert_int_equal(wire_count(&bob, tick), 1);
  assert_int_equal(nobody.status, 404); /* the error that the scope function returned */
  assert_int_equal(
      vestry_dispatch(w.v, (vestry_scope){"bob", 3}, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
      VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_NOT_FOUND);
  site_settle(&w);
  assert_int_equal(wire_count(&bob, tick), 2);
  wires_end(&w, &ann, &bob, &ann_again, &nobody);
}

/* capability: A15 */
TEST_CASE(full_scope_evicts_its_own_oldest) {
  site w;
  site_begin(&w, (vestry_options){.scope = by_cookie, .bounds = &(vestry_bounds){.max_per_scope_count = 2}});
  wire wires[3] = {{0}}, bob = {.headers = {{"Cookie", "session=bob"}}};
  static const char *const keys[] = {"a", "b", "c"};
  wire_plan(&w, &bob, &keep_reuse);
  for (size_t i = 0; i < 3; i++) {
    wires[i].headers[0] = (vestry_header){"Cookie", "session=ann"};
    test_host_advance_ms(&w.th, 1000);
    plan p = keep_reuse;
    p.key = keys[i];
    wire_plan(&w, &wires[i], &p);
  }
  assert_int_equal(wires[0].cause, VESTRY_CAUSE_SIZE);
  assert_true(vestry_connection_is_open(wires[1].connection));
  assert_true(vestry_connection_is_open(wires[2].connection));
  assert_true(vestry_connection_is_open(bob.connection));
  site_close(&w);
  for (size_t i = 0; i < 3; i++) wire_finish(&wires[i]);
  wire_finish(&bob);
}

TEST_CASE(full_hash_store_gets_503) {
  site w;
  site_begin(&w, (vestry_options){.store = "hash", .bounds = &(vestry_bounds){.max_count = 1}});
  wire a = {0}, b = {0};
  plan other = keep_replace;
  other.key = "b";
  wire_plan(&w, &a, &keep_replace);
  wire_plan(&w, &b, &other);
  assert_int_equal(b.status, 503);
  assert_true(wire_has_header(&b, "Retry-After: 2"));
  assert_int_equal(b.opens, 1);
  assert_int_equal(b.ends, 1);
  assert_int_equal(wire_count(&b, tick), 0);
  assert_true(vestry_connection_is_open(a.connection));
  wires_end(&w, &a, &b);
}

/* -------------------------------------------------------------------------------------------------- races --------- */

/* An interceptor that runs between the opening of a stream and its registration. */
typedef struct meddler {
  site *w;
  wire *rival; /* served in that interval */
  const plan *rival_plan;
  bool hang_up;       /* the new stream hangs up in that interval */
  bool rival_hang_up; /* the rival hangs up after it was served, but its runner does not run */
  bool done;
  vestry_connection *opened;
} meddler;

static vestry_err meddle(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  assert_null(effect);
  meddler *m = ctx;
  vestry_connection *opened = vestry_context_info(context)->opened;
  if (m->done || !opened) return VESTRY_OK;
  m->done = true;
  m->opened = opened;
  if (m->rival) {
    m->rival->datastar = true;
    assert_int_equal(wire_serve(m->w, m->rival, planned, (void *)m->rival_plan), VESTRY_OK);
    if (m->rival_hang_up) vestry_connection_close(m->rival->connection, VESTRY_CAUSE_HANGUP);
  }
  if (m->hang_up) vestry_connection_close(opened, VESTRY_CAUSE_HANGUP);
  return VESTRY_OK;
}

static void meddle_with(site *w, meddler *m) {
  m->w = w;
  const vestry_interceptor interceptor = {"meddler", VESTRY_PHASE_CONNECT, NULL, meddle, m};
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry, &interceptor), VESTRY_OK);
}

/* capability: A13 */
TEST_CASE(stream_ended_before_registration_is_not_stored) {
  const plan *plans[] = {&keep_replace, &keep_reuse, &keep_reject, &keep_many};
  for (size_t i = 0; i < 4; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    meddler m = {.hang_up = true};
    meddle_with(&w, &m);
    wire r = {.datastar = true};
    assert_int_equal(wire_serve(&w, &r, planned, (void *)plans[i]), VESTRY_OK);
    assert_int_equal(live_count(&w), 0); /* at once, not when the runner gets to it */
    assert_int_equal(removed_for(&w, VESTRY_CAUSE_HANGUP), 1);
    site_settle(&w);
    assert_int_equal(r.cause, VESTRY_CAUSE_HANGUP);
    assert_false(r.head_written);
    wires_end(&w, &r);
  }
}

/* The purge hook of an entry that a put displaces runs inside that put. */
static void hang_up_the_new_one(const vestry_purged *purged, void *ctx) {
  meddler *m = ctx;
  if (purged->cause == VESTRY_CAUSE_REPLACED && m->opened && purged->value != m->opened)
    vestry_connection_close(m->opened, VESTRY_CAUSE_HANGUP);
}

/* capability: A13 */
TEST_CASE(stream_ended_during_registration_is_removed) {
  site w;
  meddler m = {0};
  site_begin(&w, (vestry_options){.purge = hang_up_the_new_one, .purge_ctx = &m});
  wire a = {0}, b = {.datastar = true};
  wire_plan(&w, &a, &keep_replace);
  meddle_with(&w, &m);
  assert_int_equal(wire_serve(&w, &b, planned, (void *)&keep_replace), VESTRY_OK);
  assert_int_equal(live_count(&w), 0);
  assert_int_equal(removed_for(&w, VESTRY_CAUSE_HANGUP), 1);
  wires_end(&w, &a, &b);
}

TEST_CASE(late_reuse_abandons_its_new_stream) {
  for (int dedicated = 0; dedicated < 2; dedicated++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire rival = {0}, r = {.dedicated = dedicated};
    meddler m = {.rival = &rival, .rival_plan = &keep_reuse};
    meddle_with(&w, &m);
    wire_plan(&w, &r, &keep_reuse);
    assert_int_equal(r.status, 204);
    assert_null(r.connection);
    assert_int_equal(r.opens, 1);
    assert_int_equal(r.ends, 1);
    assert_false(r.head_written);
    assert_int_equal(wire_count(&rival, tick), 2);
    assert_int_equal(live_count(&w), 1);
    wires_end(&w, &rival, &r);
  }
}

static vestry_err close_rival(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  meddler *m = ctx;
  vestry_connection_close(m->rival->connection, VESTRY_CAUSE_HANGUP);
  return VESTRY_OK;
}

/* The new stream is abandoned in favour of the rival, which is closed while the effects run. A request can open only
 * one stream, so its effects are lost and it gets 503. */
TEST_CASE(a_request_never_opens_two_streams) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire rival = {0}, r = {0};
  meddler m = {.rival = &rival, .rival_plan = &keep_reuse};
  meddle_with(&w, &m);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_rival, &m), VESTRY_OK);
  plan p = keep_reuse;
  p.effects = "[[\"close\"]," TICK "]";
  wire_plan(&w, &r, &p);
  assert_int_equal(r.status, 503);
  assert_int_equal(r.opens, 1);
  assert_int_equal(wire_count(&rival, tick), 0); /* aborted, so its own event was discarded */
  wires_end(&w, &rival, &r);
}

static vestry_err close_found(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++, ++*(int *)ctx) vestry_connection_close(connections[i], VESTRY_CAUSE_HANGUP);
  return VESTRY_OK;
}

/* The stream that was found closes before the decision: a new stream is opened and receives all effects. */
TEST_CASE(stream_found_closing_is_replaced_by_a_new_one) {
  site w;
  site_begin(&w, (vestry_options){0});
  int closed = 0;
  assert_int_equal(
      vestry_registry_intercept(vestry_parts_of(w.v)->registry,
                                &(vestry_interceptor){"close", VESTRY_PHASE_CONNECT, close_found, NULL, &closed}),
      VESTRY_OK);
  wire kept = {0}, r = {0};
  wire_plan(&w, &kept, &keep_reuse);
  plan nothing_sent = keep_reuse;
  nothing_sent.effects = NULL; /* so that no send detects the closing */
  wire_plan(&w, &r, &nothing_sent);
  assert_int_equal(closed, 1);
  assert_int_equal(r.responds, 0);
  assert_true(vestry_connection_is_open(r.connection));
  wires_end(&w, &kept, &r);
}

TEST_CASE(late_reject_gets_409) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire rival = {0}, r = {0};
  meddler m = {.rival = &rival, .rival_plan = &keep_reject};
  meddle_with(&w, &m);
  wire_plan(&w, &r, &keep_reject);
  assert_int_equal(r.status, 409);
  assert_int_equal(r.ends, 1);
  assert_int_equal(wire_count(&rival, tick), 1);
  assert_int_equal(live_count(&w), 1);
  wires_end(&w, &rival, &r);
}

TEST_CASE(late_replace_wins) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire rival = {0}, r = {0};
  meddler m = {.rival = &rival, .rival_plan = &keep_replace};
  meddle_with(&w, &m);
  wire_plan(&w, &r, &keep_replace);
  assert_true(vestry_connection_is_open(r.connection));
  assert_int_equal(rival.cause, VESTRY_CAUSE_REPLACED);
  wires_end(&w, &rival, &r);
}

/* The key is held by a connection that is closing, but still stored. The policies treat the key as free. */
TEST_CASE(closing_connection_does_not_hold_its_key) {
  const plan *plans[] = {&keep_reuse, &keep_reject};
  for (size_t i = 0; i < 2; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire rival = {0}, r = {.datastar = true};
    meddler m = {.rival = &rival, .rival_plan = &keep_replace, .rival_hang_up = true};
    meddle_with(&w, &m);
    assert_int_equal(wire_serve(&w, &r, planned, (void *)plans[i]), VESTRY_OK);
    assert_non_null(r.connection);
    assert_int_equal(live_count(&w), 2);
    site_settle(&w);
    assert_int_equal(live_count(&w), 1);
    assert_int_equal(wire_count(&r, tick), 1);
    assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                     VESTRY_OK);
    site_settle(&w);
    assert_int_equal(wire_count(&r, tick), 2);
    wires_end(&w, &rival, &r);
  }
}

/* An effect of the new stream's own reply serves another stream, which evicts the new one before it has written. */
static vestry_err let_rival_in(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  meddler *m = ctx;
  m->rival->datastar = true;
  assert_int_equal(wire_serve(m->w, m->rival, planned, (void *)m->rival_plan), VESTRY_OK);
  return VESTRY_OK;
}

TEST_CASE(new_stream_can_be_evicted_before_its_first_write) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_count = 1}});
  wire r = {0}, rival = {0};
  plan other = keep_replace;
  other.key = "b";
  other.effects = "[[\"rival\"]," TICK "]";
  meddler m = {.w = &w, .rival = &rival, .rival_plan = &keep_replace};
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "rival", let_rival_in, &m), VESTRY_OK);
  wire_plan(&w, &r, &other);
  assert_int_equal(r.responds, 0);
  assert_int_equal(r.cause, VESTRY_CAUSE_SIZE);
  assert_false(r.head_written); /* aborted: the browser reconnects */
  assert_false(r.clean);
  assert_int_equal(wire_count(&rival, tick), 1);
  assert_int_equal(live_count(&w), 1);
  wires_end(&w, &r, &rival);
}
