/* SPDX-License-Identifier: MIT */
/* P2: a live stream gets another scope at log-in and log-out, and all streams of a scope end. */
#include "instance/stream_entries.h"

#include <stdlib.h>

#include "serve/wire.h"
#include "store/naive.h"
#include "vestry/channel.h"
#include "vestry/dispatch.h"

#define STORES_CASE(name)    TEST_CASE_EACH(name, "hash", "lru")
#define ALLSTORES_CASE(name) TEST_CASE_EACH(name, "hash", "lru", "naive-lru")

static const vestry_scope ANON = {"anon-17", 7}, ANN = {"ann", 3};

static vestry_err by_user(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *user = vestry_request_header(req, "X-User");
  *ret_len = user ? strlen(user) : 0;
  if (user) memcpy(buffer, user, *ret_len);
  return VESTRY_OK;
}

/* A page under two keys of its user, and one of everybody. */
static const plan page = {.key = "page",
                          .keep = true,
                          .policy = VESTRY_KEEP_MANY,
                          .many_count = 100,
                          .more = {{"inbox", NULL, 100}, {"board", "", 1000}}};

static void open_as(site *w, wire *r, const char *user, const plan *p) {
  *r = (wire){.datastar = true, .headers = {{user ? "X-User" : "X-Nobody", user ? user : "-"}}};
  wire_request(w, r, planned, (void *)p);
}

static vestry_err tell(site *w, vestry_scope scope, const char *key) {
  vestry_err error = vestry_dispatch(w->v, scope, ROOM(key), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)));
  site_settle(w);
  return error;
}

static bool is_open(const wire *r) {
  return vestry_connection_is_open(r->connection);
}

/* ---------------------------------------------------------------------------------------------------- the keys ---- */

static struct {
  size_t count;
  char keys[8][64], scopes[8][16];
  vestry_cause causes[8];
} gone;

static void record_gone(const vestry_purged *purged, void *ctx) {
  size_t i = gone.count++;
  if (i >= 8) return;
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, gone.keys[i], sizeof gone.keys[i], NULL), VESTRY_OK);
  snprintf(gone.scopes[i], sizeof gone.scopes[i], "%.*s", (int)purged->scope.len,
           purged->scope.len ? (const char *)purged->scope.data : "");
  gone.causes[i] = purged->cause;
}

/* capability: P2 */
STORES_CASE(keys_of_the_old_scope_follow) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user, .purge = record_gone});
  wire r, other;
  open_as(&w, &r, "anon-17", &page);
  open_as(&w, &other, "anon-17", &page);
  memset(&gone, 0, sizeof gone);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 100), VESTRY_OK);
  /* The hook gets the old keys. */
  assert_int_equal(gone.count, 2);
  assert_string_equal(gone.keys[0], "[\"room\",\"page\"]");
  assert_string_equal(gone.keys[1], "[\"room\",\"inbox\"]");
  for (int i = 0; i < 2; i++) {
    assert_string_equal(gone.scopes[i], "anon-17");
    assert_int_equal(gone.causes[i], VESTRY_CAUSE_DETACHED);
  }
  assert_int_equal(tell(&w, ANN, "page"), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "inbox"), VESTRY_OK);
  assert_int_equal(tell(&w, ANON, "page"), VESTRY_OK); /* reaches the other one */
  assert_int_equal(tell(&w, NOWHERE, "board"), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "board"), VESTRY_NOT_FOUND); /* a key of another scope stays */
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 3);
  assert_int_equal(wire_count(&other, "{\"n\":1}"), 2);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 100), VESTRY_OK); /* no change */
  assert_int_equal(gone.count, 2);
  assert_int_equal(store_stats_of(w.v).live_count, 6);
  /* The log-out: the scope without a name. */
  assert_int_equal(vestry_connection_scope_set(r.connection, NOWHERE, 100), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "page"), VESTRY_NOT_FOUND);
  assert_int_equal(tell(&w, NOWHERE, "page"), VESTRY_OK);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 4);
  wire_hang_up(&w, &r);
  assert_int_equal(store_stats_of(w.v).live_count, 3);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_CLOSED);
  wires_end(&w, &r, &other);
}

/* A thousand users log in on an open page, which then closes by itself: neither entries nor memory stay behind. */
/* capability: P2 */
STORES_CASE(a_thousand_logins_leave_no_memory) {
  enum { WARM = 100, LOGINS = 1000 }; /* the tables of the instance have their size after the first ones */
  site w;
  site_begin(&w, (vestry_options){
                     .store = *state, .scope = by_user, .bounds = &(vestry_bounds){.max_streams_per_scope_count = 5}});
  size_t warm_bytes = 0;
  for (int i = 0; i < WARM + LOGINS; i++) {
    char visitor[24], user[24];
    snprintf(visitor, sizeof visitor, "anon-%d", i);
    snprintf(user, sizeof user, "user-%d", i);
    const vestry_scope of_user = {user, strlen(user)};
    if (i == WARM) warm_bytes = w.th.bytes;
    wire r;
    open_as(&w, &r, visitor, &page);
    vestry_store *store = vestry_parts_of(w.v)->store;
    assert_int_equal(vestry_connection_scope_set(r.connection, of_user, 100), VESTRY_OK);
    assert_int_equal(vestry_store_put(store, of_user, ROOM("orders"), r.connection, VESTRY_KEEP_MANY, 100, NULL),
                     VESTRY_OK);
    assert_int_equal(tell(&w, of_user, "orders"), VESTRY_OK);
    assert_int_equal(tell(&w, of_user, "inbox"), VESTRY_OK);
    assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
    wire_hang_up(&w, &r);
    assert_int_equal(vestry_store_put(store, of_user, ROOM("late"), r.connection, VESTRY_KEEP_MANY, 100, NULL),
                     VESTRY_CLOSED);
    wire_finish(&r);
    assert_int_equal(store_stats_of(w.v).live_count, 0);
    if (i >= WARM) assert_in_range(w.th.bytes, 0, warm_bytes);
  }
  site_end(&w);
}

/* capability: P2 */
STORES_CASE(maximum_of_a_key_holds_in_the_new_scope) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  wire old, r[10];
  open_as(&w, &old, "ann", &page);
  for (int i = 0; i < 10; i++) open_as(&w, &r[i], "anon-17", &page);
  assert_int_equal(vestry_connection_scope_set(r[0].connection, ANN, 1), VESTRY_OK); /* replaces it */
  site_settle(&w);
  assert_int_equal(old.cause, VESTRY_CAUSE_REPLACED);
  for (int i = 1; i < 10; i++) assert_int_equal(vestry_connection_scope_set(r[i].connection, ANN, 0), VESTRY_OK);
  site_settle(&w);
  for (int i = 0; i < 10; i++) assert_int_equal(is_open(&r[i]), i >= 2); /* 8 by default */
  site_close(&w);
  wire_finish(&old);
  for (int i = 0; i < 10; i++) wire_finish(&r[i]);
  test_host_assert_clean(&w.th);
}

STORES_CASE(long_keys_follow) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  static char bytes[3000];
  const plan keyless = {.keep = true, .policy = VESTRY_KEEP_MANY};
  wire r;
  open_as(&w, &r, "anon-17", &keyless);
  for (size_t len = 10; len <= sizeof bytes; len *= 3) {
    const vestry_key key = vestry_key_bytes(bytes, len);
    assert_int_equal(vestry_store_put(vestry_parts_of(w.v)->store, ANON, &key, r.connection, VESTRY_KEEP_MANY, 0, NULL),
                     VESTRY_OK);
  }
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_OK);
  for (size_t len = 10; len <= sizeof bytes; len *= 3) {
    const vestry_key key = vestry_key_bytes(bytes, len);
    assert_int_equal(vestry_dispatch(w.v, ANN, &key, VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))), VESTRY_OK);
  }
  assert_int_equal(store_stats_of(w.v).live_count, 6);
  wires_end(&w, &r);
}

/* An entry that leaves between two reads of its long key, which is when memory for it is allocated. */
static struct {
  site *of;
  vestry_key key;
  size_t encoded_len;
  void *(*reallocate)(void *ctx, void *memory, size_t size_bytes); /* of the test host */
} leaving;

static void *remove_when_allocated(void *ctx, void *memory, size_t size_bytes) {
  void *at = leaving.reallocate(ctx, memory, size_bytes);
  if (memory || size_bytes != leaving.encoded_len) return at;
  memset(at, 0xff, size_bytes);
  (void)vestry_store_remove(vestry_parts_of(leaving.of->v)->store, ANON, &leaving.key, VESTRY_CAUSE_REMOVED, NULL);
  return at;
}

STORES_CASE(key_that_leaves_while_it_is_read_does_not_follow) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  static char bytes[1000];
  wire r;
  open_as(&w, &r, "anon-17", &(plan){.keep = true, .policy = VESTRY_KEEP_MANY});
  leaving.of = &w;
  leaving.key = vestry_key_bytes(bytes, sizeof bytes);
  assert_int_equal(vestry_key_encode(&leaving.key, (char[1010]){0}, 1010, &leaving.encoded_len), VESTRY_OK);
  assert_int_equal(
      vestry_store_put(vestry_parts_of(w.v)->store, ANON, &leaving.key, r.connection, VESTRY_KEEP_MANY, 0, NULL),
      VESTRY_OK);
  leaving.reallocate = w.th.host.reallocate;
  w.th.host.reallocate = remove_when_allocated;
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_OK);
  w.th.host.reallocate = leaving.reallocate;
  assert_true(vsi_stream_is_of(r.connection, ANN));
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  wires_end(&w, &r);
}

/* A stream may have as many keys as allowed, and each is in both scopes for a moment. */
STORES_CASE(stream_with_the_maximum_of_keys_moves) {
  site w;
  site_begin(
      &w, (vestry_options){.store = *state, .scope = by_user, .bounds = &(vestry_bounds){.max_per_stream_count = 20}});
  wire r;
  const plan keyless = {.keep = true, .policy = VESTRY_KEEP_MANY};
  open_as(&w, &r, "anon-17", &keyless);
  vestry_store *store = vestry_parts_of(w.v)->store;
  for (int i = 0; i <= 20; i++) {
    const vestry_key *key = VESTRY_KEY(i);
    assert_int_equal(vestry_store_put(store, ANON, key, r.connection, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  }
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_OK);
  assert_int_equal(store_stats_of(w.v).live_count, 21);
  const vestry_key *more = VESTRY_KEY("more");
  assert_int_equal(vestry_store_put(store, ANN, more, r.connection, VESTRY_KEEP_MANY, 0, NULL), VESTRY_LIMIT);
  wires_end(&w, &r);
}

/* ------------------------------------------------------------------------------------------- caps and channels ---- */

/* capability: P2 */
STORES_CASE(limit_of_streams_counts_in_the_new_scope) {
  site w;
  site_begin(&w, (vestry_options){
                     .store = *state, .scope = by_user, .bounds = &(vestry_bounds){.max_streams_per_scope_count = 2}});
  wire ann[3], anon[3];
  for (int i = 0; i < 2; i++) {
    open_as(&w, &ann[i], "ann", &page);
    test_host_advance_ms(&w.th, 2000);
    open_as(&w, &anon[i], i ? "anon-18" : "anon-17", &page);
    test_host_advance_ms(&w.th, 2000);
  }
  assert_int_equal(vestry_connection_scope_set(anon[0].connection, ANN, 100), VESTRY_OK);
  site_settle(&w);
  assert_int_equal(ann[0].cause, VESTRY_CAUSE_REPLACED); /* the least active of ann's three */
  assert_true(ann[0].clean && is_open(&ann[1]) && is_open(&anon[0]));
  open_as(&w, &anon[2], "anon-17", &page); /* there is room again in its old scope */
  assert_true(is_open(&anon[2]));
  /* To the scope without a name, which has no limit, and back. */
  for (int i = 0; i < 5; i++) {
    assert_int_equal(vestry_connection_scope_set(anon[0].connection, NOWHERE, 100), VESTRY_OK);
    assert_int_equal(vestry_connection_scope_set(anon[0].connection, ANN, 100), VESTRY_OK);
  }
  site_settle(&w);
  assert_true(is_open(&ann[1]) && is_open(&anon[0]));
  assert_int_equal(vestry_connection_scope_set(anon[0].connection, NOWHERE, 100), VESTRY_OK);
  open_as(&w, &ann[2], "ann", &page);
  assert_true(is_open(&ann[1]) && is_open(&ann[2]));
  wire_hang_up(&w, &anon[0]);
  wires_end(&w, &ann[0], &ann[1], &ann[2], &anon[0], &anon[1], &anon[2]);
}

/* capability: P2 */
TEST_CASE(failed_change_leaves_the_stream_as_it_was) {
  site w;
  site_begin(&w, (vestry_options){.store = "hash",
                                  .scope = by_user,
                                  .purge = record_gone,
                                  .bounds = &(vestry_bounds){.max_per_scope_count = 3}});
  wire ann, r;
  open_as(&w, &ann, "ann", &page);
  open_as(&w, &r, "anon-17", &page);
  memset(&gone, 0, sizeof gone);
  /* ann's scope has room for one of the two keys. */
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 100), VESTRY_LIMIT);
  assert_int_equal(gone.count, 1);
  assert_int_equal(gone.causes[0], VESTRY_CAUSE_DETACHED);
  assert_string_equal(gone.scopes[0], "ann");
  assert_int_equal(tell(&w, ANON, "page"), VESTRY_OK);
  assert_int_equal(tell(&w, ANON, "inbox"), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "page"), VESTRY_OK);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
  assert_int_equal(wire_count(&ann, "{\"n\":1}"), 1);
  assert_true(is_open(&r) && vsi_stream_is_of(r.connection, ANON));
  wires_end(&w, &ann, &r);
}

/* Whatever the store refuses, and at which of the keys, no stream of the new scope ends for a change that fails. */
STORES_CASE(failed_change_ends_no_other_stream) {
  static const plan one = {.key = "page", .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = 100};
  for (size_t most = 1; most <= 4; most++) {
    site w;
    site_begin(&w, (vestry_options){
                       .store = *state, .scope = by_user, .bounds = &(vestry_bounds){.max_per_scope_count = most}});
    wire ann, r;
    open_as(&w, &ann, "ann", &one);
    open_as(&w, &r, NULL, &page); /* the scope without an owner has no bound of its own */
    const bool was_open = r.connection && is_open(&r);
    vestry_err error = was_open ? vestry_connection_scope_set(r.connection, ANN, 1) : VESTRY_LIMIT;
    site_settle(&w);
    if (error) assert_true(is_open(&ann));
    if (!error) assert_true(is_open(&r) && vsi_stream_is_of(r.connection, ANN) && !is_open(&ann));
    assert_int_equal(error, most < 4 && (most < 3 || strcmp(*state, "hash") == 0) ? VESTRY_LIMIT : VESTRY_OK);
    wires_end(&w, &ann, &r);
  }
}

static vestry_err join_board(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0); /* without a key */
  return error ? error : vestry_reply_join(reply, req->scope, VESTRY_KEY("board", 7));
}

/* capability: P2 */
STORES_CASE(channels_stay) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  wire r = {.datastar = true, .headers = {{"X-User", "anon-17"}}};
  wire_request(&w, &r, join_board, NULL);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_OK);
  const vestry_key *board = VESTRY_KEY("board", 7);
  const vestry_value *signals = VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1));
  assert_int_equal(vestry_broadcast_effect(w.v, ANON, board, signals), VESTRY_OK);
  assert_int_equal(vestry_broadcast_effect(w.v, ANN, board, signals), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_leave(w.v, ANON, board, r.connection), VESTRY_OK);
  assert_int_equal(vestry_join(w.v, ANN, board, r.connection), VESTRY_OK);
  assert_int_equal(vestry_broadcast_effect(w.v, ANN, board, signals), VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
  wires_end(&w, &r);
}

/* -------------------------------------------------------------------------------------------- hooks and errors ---- */

static char scope_at_end[16];

static vestry_err record_scope(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  const vestry_scope scope = vestry_context_info(context)->scope;
  snprintf(scope_at_end, sizeof scope_at_end, "%.*s", (int)scope.len, (const char *)scope.data);
  return VESTRY_OK;
}

/* capability: P2 */
STORES_CASE(effect_of_the_end_gets_the_new_scope) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "sse-closed", record_scope, NULL), VESTRY_OK);
  wire r;
  open_as(&w, &r, "anon-17", &page);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_OK);
  wire_hang_up(&w, &r);
  assert_string_equal(scope_at_end, "ann");
  wires_end(&w, &r);
}

static struct {
  vestry_connection *connection;
  vestry_err result;
} again;

static void change_again(const vestry_purged *purged, void *ctx) {
  if (purged->cause == VESTRY_CAUSE_DETACHED) again.result = vestry_connection_scope_set(again.connection, NOWHERE, 0);
}

TEST_CASE(invalid_changes_are_refused) {
  static const char data[VESTRY_SCOPE_MAX_BYTES + 1];
  site w;
  site_begin(&w, (vestry_options){.scope = by_user, .purge = change_again});
  wire ann, r;
  open_as(&w, &ann, "ann", &page);
  open_as(&w, &r, "anon-17", &page);
  assert_int_equal(vestry_connection_scope_set(NULL, ANN, 0), VESTRY_INVALID);
  assert_int_equal(vestry_connection_scope_set(r.connection, (vestry_scope){NULL, 3}, 0), VESTRY_INVALID);
  assert_int_equal(vestry_connection_scope_set(r.connection, (vestry_scope){data, sizeof data}, 0), VESTRY_TOO_LARGE);
  again.connection = r.connection; /* a hook that runs during the change cannot change the scope */
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 1), VESTRY_OK);
  assert_int_equal(again.result, VESTRY_BUSY);
  assert_int_equal(tell(&w, ANN, "page"), VESTRY_OK);
  wires_end(&w, &ann, &r);

  const vestry_store_type naive = {&naive_lru_ops, NULL}; /* it has no key_of */
  site_begin(&w, (vestry_options){.store_type = &naive, .scope = by_user});
  open_as(&w, &r, "anon-17", &page);
  assert_int_equal(vestry_connection_scope_set(r.connection, ANN, 0), VESTRY_UNSUPPORTED);
  wires_end(&w, &r);
}

STORES_CASE(allocation_failure_changes_nothing) {
  bool has_failed = true;
  for (long number = 0; has_failed; number++) {
    site w;
    site_begin(&w, (vestry_options){.store = *state,
                                    .scope = by_user,
                                    .bounds = &(vestry_bounds){.max_streams_per_scope_count = 5}});
    wire r;
    open_as(&w, &r, number % 2 ? "anon-17" : NULL, &page);
    const vestry_scope from = number % 2 ? ANON : NOWHERE;
    test_host_fail_in(&w.th, number / 2);
    vestry_err error = vestry_connection_scope_set(r.connection, ANN, 0);
    has_failed = test_host_has_failed(&w.th);
    assert_true(error == VESTRY_OK || (has_failed && error == VESTRY_NO_MEMORY)); /* the index grows only if it can */
    assert_true(vsi_stream_is_of(r.connection, error ? from : ANN));
    assert_int_equal(tell(&w, error ? from : ANN, "inbox"), VESTRY_OK);
    assert_int_equal(tell(&w, error ? ANN : from, "inbox"), VESTRY_NOT_FOUND);
    assert_int_equal(store_stats_of(w.v).live_count, 3);
    wires_end(&w, &r);
    has_failed |= number < 10;
  }
}

/* ------------------------------------------------------------------------------------------ the end of a scope ---- */

/* capability: P2 */
ALLSTORES_CASE(closed_scope_ends_its_streams_whatever_their_keys) {
  site w;
  const vestry_store_type naive = {&naive_lru_ops, NULL};
  site_begin(&w, (vestry_options){.store = *state, .store_type = &naive, .scope = by_user});
  wire keyed[200], member = {.datastar = true, .headers = {{"X-User", "ann"}}}, friend, bob;
  for (int i = 0; i < 200; i++) open_as(&w, &keyed[i], i % 2 ? "ann" : "anon-17", &page);
  wire_request(&w, &member, join_board, NULL); /* it has no key */
  open_as(&w, &friend, "cid", &page);
  open_as(&w, &bob, "bob", &page);
  const vestry_key *key = ROOM("shared"); /* a stream of another scope, under a key of ann's */
  assert_int_equal(
      vestry_store_put(vestry_parts_of(w.v)->store, ANN, key, friend.connection, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  assert_int_equal(vestry_close_scope(w.v, ANN, VESTRY_CAUSE_CLOSED), VESTRY_OK);
  site_settle(&w);
  for (int i = 0; i < 200; i++) assert_int_equal(is_open(&keyed[i]), i % 2 == 0);
  assert_true(!is_open(&member) && !is_open(&friend) && is_open(&bob));
  assert_int_equal(member.cause, VESTRY_CAUSE_CLOSED);
  assert_true(member.clean);
  assert_int_equal(vestry_close_scope(w.v, ANN, VESTRY_CAUSE_CLOSED), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_close_scope(w.v, ANON, VESTRY_CAUSE_ERROR), VESTRY_OK);
  site_settle(&w);
  assert_false(is_open(&keyed[0]) || keyed[0].clean);
  assert_int_equal(store_stats_of(w.v).live_count, 3);
  static const char data[VESTRY_SCOPE_MAX_BYTES + 1];
  assert_int_equal(vestry_close_scope(w.v, ANN, VESTRY_CAUSE_NONE), VESTRY_INVALID);
  assert_int_equal(vestry_close_scope(w.v, ANN, VESTRY_CAUSE_DETACHED), VESTRY_INVALID);
  assert_int_equal(vestry_close_scope(w.v, (vestry_scope){NULL, 1}, VESTRY_CAUSE_CLOSED), VESTRY_INVALID);
  assert_int_equal(vestry_close_scope(w.v, (vestry_scope){data, sizeof data}, VESTRY_CAUSE_CLOSED), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_close_scope(NULL, ANN, VESTRY_CAUSE_CLOSED), VESTRY_INVALID);
  site_close(&w);
  for (int i = 0; i < 200; i++) wire_finish(&keyed[i]);
  wire_finish(&member);
  wire_finish(&friend);
  wire_finish(&bob);
  test_host_assert_clean(&w.th);
}

static vestry_err open_numbered(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page", *(const int *)app, "x"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static void close_listed(const vestry_listed *listed, void *ctx) {
  site *w = ctx;
  vestry_key parts[4];
  size_t count = 0;
  assert_int_equal(vestry_key_decode(listed->key, listed->key_len, parts, 4, &count), VESTRY_OK);
  assert_true(count == 4 && parts[0].len == 3 && parts[2].type == VESTRY_KEY_INTEGER && parts[2].integer < 20);
  const vestry_key key = vestry_key_encoded(listed->key, listed->key_len);
  assert_int_equal(vestry_store_remove(vestry_parts_of(w->v)->store, listed->scope, &key, VESTRY_CAUSE_CLOSED, &count),
                   VESTRY_OK);
  assert_int_equal(count, listed->values_count);
}

/* A log-out that knows no keys: by the listed keys, or by the scope. */
/* capability: P2 */
STORES_CASE(streams_of_a_user_end_without_their_keys) {
  enum { PAGES = 40 }; /* of each of two users; each key has two streams */
  for (int by_scope = 0; by_scope < 2; by_scope++) {
    site w;
    site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
    vestry_store *store = vestry_parts_of(w.v)->store;
    wire r[2][PAGES];
    for (int i = 0; i < 2 * PAGES; i++) {
      int number = i / 4;
      wire *at = &r[i % 2][i / 2];
      *at = (wire){.datastar = true, .headers = {{"X-User", i % 2 ? "bob" : "ann"}}};
      wire_request(&w, at, open_numbered, &number);
    }
    if (by_scope) {
      size_t count = 0;
      assert_int_equal(vestry_store_remove(store, ANN, VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count), VESTRY_OK);
      assert_int_equal(count, PAGES);
    }
    for (vestry_list_cursor cursor = {.done = by_scope}; !cursor.done;)
      assert_int_equal(vestry_store_list(store, &ANN, 7, &cursor, close_listed, &w), VESTRY_OK);
    site_settle(&w);
    for (int i = 0; i < PAGES; i++) {
      assert_int_equal(r[0][i].cause, VESTRY_CAUSE_CLOSED);
      assert_true(r[0][i].clean && is_open(&r[1][i]));
    }
    assert_int_equal(store_stats_of(w.v).live_count, PAGES);
    site_close(&w);
    for (int i = 0; i < 2 * PAGES; i++) wire_finish(&r[i % 2][i / 2]);
    test_host_assert_clean(&w.th);
  }
}

/* capability: P2 */
STORES_CASE(closed_scope_includes_streams_that_have_moved_there) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  wire in = {.datastar = true, .headers = {{"X-User", "anon-17"}}},
       out = {.datastar = true, .headers = {{"X-User", "ann"}}};
  wire_request(&w, &in, join_board, NULL);
  wire_request(&w, &out, join_board, NULL);
  assert_int_equal(vestry_connection_scope_set(in.connection, ANN, 0), VESTRY_OK);
  assert_int_equal(vestry_connection_scope_set(out.connection, NOWHERE, 0), VESTRY_OK);
  assert_int_equal(vestry_close_scope(w.v, ANN, VESTRY_CAUSE_CLOSED), VESTRY_OK);
  site_settle(&w);
  assert_true(!is_open(&in) && is_open(&out));
  wires_end(&w, &in, &out);
}

/* A log-out with an empty user name must not end the streams of all clients without an owner. */
STORES_CASE(unnamed_scope_is_not_closed) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .scope = by_user});
  wire r;
  open_as(&w, &r, NULL, &page);
  const long before = w.th.log_lines;
  assert_int_equal(vestry_close_scope(w.v, NOWHERE, VESTRY_CAUSE_CLOSED), VESTRY_INVALID);
  assert_int_equal(vestry_close_scope(w.v, (vestry_scope){"", 0}, VESTRY_CAUSE_CLOSED), VESTRY_INVALID);
  assert_int_equal(w.th.log_lines, before + 2);
  assert_non_null(strstr(w.th.last_log, "vestry_close_scope: the scope is empty"));
  site_settle(&w);
  assert_true(is_open(&r));
  assert_int_equal(tell(&w, NOWHERE, "page"), VESTRY_OK);
  /* A store has no users: there it is a scope like any other. */
  assert_int_equal(
      vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, VESTRY_EVERY_KEY, VESTRY_CAUSE_DETACHED, NULL),
      VESTRY_OK);
  assert_int_equal(tell(&w, NOWHERE, "page"), VESTRY_NOT_FOUND);
  assert_true(is_open(&r));
  wires_end(&w, &r);
}

/* -------------------------------------------------------------------------------------------------- threads ------- */

enum { STREAMS = 20, ROUNDS = 40, MOVERS = 3 };

typedef struct race {
  site w;
  wire r[STREAMS];
  pthread_barrier_t start;
} race;

/* Move the streams between scopes; now and then end all streams of one. */
static void *move_streams(void *ctx) {
  race *all = ctx;
  static const vestry_scope scopes[] = {{"a", 1}, {"b", 1}, {NULL, 0}};
  pthread_barrier_wait(&all->start);
  for (int i = 0; i < STREAMS * 3; i++) {
    vestry_err error = vestry_connection_scope_set(all->r[i % STREAMS].connection, scopes[i % 3], 100);
    assert_true(error == VESTRY_OK || error == VESTRY_BUSY || error == VESTRY_CLOSED);
    if (i % 50 == 49) (void)vestry_close_scope(all->w.v, scopes[i % 2], VESTRY_CAUSE_CLOSED);
  }
  return NULL;
}

static void *end_some(void *ctx) {
  race *all = ctx;
  pthread_barrier_wait(&all->start);
  for (int i = 0; i < STREAMS; i += 3) vestry_connection_close(all->r[i].connection, VESTRY_CAUSE_HANGUP);
  return NULL;
}

/* capability: P2 */
TEST_CASE(racing_changes_leave_each_stream_in_one_scope) {
  for (int round = 0; round < ROUNDS; round++) {
    static race all;
    memset(&all, 0, sizeof all);
    site_begin(&all.w, (vestry_options){.threads_count = 2,
                                        .scope = by_user,
                                        .bounds = &(vestry_bounds){.max_streams_per_scope_count = 100},
                                        .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
    all.w.th.host.log = NULL; /* the test host's log keeps the last line, for one thread only */
    for (int i = 0; i < STREAMS; i++) {
      all.r[i] = (wire){.datastar = true, .headers = {{"X-User", "a"}}};
      assert_int_equal(wire_serve(&all.w, &all.r[i], planned, (void *)&page), VESTRY_OK);
    }
    pthread_barrier_init(&all.start, NULL, MOVERS + 1);
    pthread_t threads[MOVERS + 1];
    for (int i = 0; i <= MOVERS; i++) pthread_create(&threads[i], NULL, i ? move_streams : end_some, &all);
    for (int i = 0; i <= MOVERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < STREAMS; i++) { /* three entries each, two of them in the scope of the stream */
      if (!vestry_connection_is_open(all.r[i].connection)) continue;
      assert_int_equal(vsi_stream_entries_copy(all.r[i].connection, NULL, 0), 3);
    }
    assert_int_equal(vestry_stop(all.w.v, VESTRY_NEVER_MS), VESTRY_OK);
    assert_int_equal(store_stats_of(all.w.v).live_count, 0);
    site_close(&all.w);
    for (int i = 0; i < STREAMS; i++) wire_finish(&all.r[i]);
    pthread_barrier_destroy(&all.start);
    test_host_assert_clean(&all.w.th);
  }
}
