/* SPDX-License-Identifier: MIT */
/* P7: the promises that deacon 1.7 (datastar.wow) tests, as promises of vestry: stores in the hand, and streams that
 * replies store and that leave with their purge hook. docs/guide/deacon.md compares both libraries. */
#include "serve/wire.h"

/* -------------------------------------------------------------------------------------------- stores in the hand -- */

/* A value that counts its references and closes. */
typedef struct item {
  int references, closes;
} item;

static void item_ref(void *value) {
  ((item *)value)->references++;
}

static void item_unref(void *value) {
  ((item *)value)->references--;
}

static void item_close(void *value, vestry_cause cause) {
  ((item *)value)->closes++;
}

static const vestry_value_ops item_ops = {.ref = item_ref, .unref = item_unref, .close = item_close};

static vestry_store *make_store(test_host *th, const char *type, vestry_store_options options) {
  vestry_store *store;
  test_host_init(th);
  options.host = &th->host;
  options.value = &item_ops;
  assert_int_equal(vestry_store_create(type, &options, &store), VESTRY_OK);
  return store;
}

static item *get(vestry_store *store, const vestry_key *key) {
  void *value[1];
  size_t count = 1;
  if (vestry_store_get(store, NOWHERE, key, value, &count)) return NULL;
  item_unref(value[0]);
  return value[0];
}

static void put(vestry_store *store, const vestry_key *key, item *value) {
  assert_int_equal(vestry_store_put(store, NOWHERE, key, value, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
}

typedef struct listing {
  size_t count;
  char last[64];
} listing;

static void list_one(const vestry_listed *listed, void *ctx) {
  listing *all = ctx;
  all->count++;
  assert_int_equal(vestry_key_format(listed->key, listed->key_len, all->last, sizeof all->last, NULL), VESTRY_OK);
}

static listing list(vestry_store *store) {
  listing all = {0};
  vestry_list_cursor cursor = {0};
  while (!cursor.done) assert_int_equal(vestry_store_list(store, NULL, 0, &cursor, list_one, &all), VESTRY_OK);
  return all;
}

static void end_store(test_host *th, vestry_store *store) {
  vestry_store_destroy(store);
  test_host_assert_clean(th);
}

/* storing, getting and purging, in both stores */
/* capability: P7 */
TEST_CASE(store_keeps_a_value_until_it_is_purged) {
  static const char *const types[] = {"hash", "lru"};
  for (size_t i = 0; i < 2; i++) {
    test_host th;
    item one = {0}, two = {0};
    vestry_store *store = make_store(&th, types[i], (vestry_store_options){0});
    put(store, VESTRY_KEY("test"), &one);
    assert_ptr_equal(get(store, VESTRY_KEY("test")), &one);
    listing all = list(store);
    assert_int_equal(all.count, 1);
    assert_string_equal(all.last, "[\"test\"]");
    assert_null(get(store, VESTRY_KEY("oh-no-doesnt-exist")));
    put(store, VESTRY_KEY("purge"), &two);
    size_t count;
    assert_int_equal(vestry_store_remove(store, NOWHERE, VESTRY_KEY("purge"), VESTRY_CAUSE_REMOVED, &count), VESTRY_OK);
    assert_int_equal(count, 1);
    assert_null(get(store, VESTRY_KEY("purge")));
    assert_int_equal(two.closes, 1); /* deacon leaves it open; so does the cause DETACHED */
    assert_int_equal(vestry_store_remove(store, NOWHERE, VESTRY_KEY("test"), VESTRY_CAUSE_DETACHED, &count), VESTRY_OK);
    assert_null(get(store, VESTRY_KEY("test")));
    assert_int_equal(one.closes, 0);
    assert_int_equal(one.references + two.references, 0);
    end_store(&th, store);
  }
}

/* capability: P7 */
TEST_CASE(store_is_made_by_a_known_type_only) {
  static const char *const wrong[] = {"", "atom", "caffeine"};
  vestry_store *store = NULL;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_store_create(wrong[i], &(vestry_store_options){.value = &item_ops}, &store),
                     VESTRY_NOT_FOUND);
  assert_int_equal(vestry_store_create("lru", NULL, &store), VESTRY_INVALID);
  assert_int_equal(vestry_store_create("lru", &(vestry_store_options){0}, &store), VESTRY_INVALID);
  assert_null(store);
}

/* deacon waits until the size has shrunk; here no put ever returns above the maximum. */
/* capability: P7 */
TEST_CASE(maximum_is_exact_after_each_put) {
  test_host th;
  enum { MOST = 5 };
  item items[3 * MOST] = {{0, 0}};
  vestry_store *store = make_store(&th, "lru", (vestry_store_options){.max_count = MOST});
  for (int n = 0; n < 3 * MOST; n++) {
    put(store, VESTRY_KEY("test", n), &items[n]);
    assert_ptr_equal(get(store, VESTRY_KEY("test", n)), &items[n]);
    assert_int_equal(list(store).count, n < MOST ? n + 1 : MOST);
    test_host_advance_ms(&th, 10000);
  }
  for (int n = 0; n < 3 * MOST; n++) assert_int_equal(items[n].closes, n < 2 * MOST);
  end_store(&th, store);
}

/* capability: P7 */
TEST_CASE(value_is_gone_at_the_end_of_its_time) {
  const struct {
    vestry_store_options options;
    bool uses_extend;
  } times[] = {{{.idle_ms = 40}, true}, {{.idle_ms = VESTRY_NEVER_MS, .lifetime_ms = 40}, false}};
  for (size_t i = 0; i < 2; i++) {
    test_host th;
    item one = {0};
    vestry_store *store = make_store(&th, "lru", times[i].options);
    put(store, VESTRY_KEY("idle"), &one);
    test_host_advance_ms(&th, 30);
    assert_ptr_equal(get(store, VESTRY_KEY("idle")), &one);
    test_host_advance_ms(&th, 30);
    assert_true((get(store, VESTRY_KEY("idle")) != NULL) == times[i].uses_extend);
    test_host_advance_ms(&th, 50);
    assert_null(get(store, VESTRY_KEY("idle")));
    assert_int_equal(one.closes, 1);
    end_store(&th, store);
  }
}

/* ----------------------------------------------------------------------------------------------- stored streams --- */

/* The calls of a purge hook. */
typedef struct purges {
  size_t count;
  vestry_cause cause;
  char key[64], scope[16];
} purges;

static void on_purge(const vestry_purged *purged, void *ctx) {
  purges *p = ctx;
  p->count++;
  p->cause = purged->cause;
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, p->key, sizeof p->key, NULL), VESTRY_OK);
  snprintf(p->scope, sizeof p->scope, "%.*s", (int)purged->scope.len,
           purged->scope.len ? (const char *)purged->scope.data : "");
}

/* An instance over a store that the program has made: (d*conn/registry store {:id-fn … :on-purge …}). */
typedef struct registry {
  site on;
  vestry_store *store;
  purges purged;
} registry;

static void registry_begin(registry *r, const char *type, vestry_scope_fn id) {
  *r = (registry){.store = NULL};
  test_host_init(&r->on.th);
  const vestry_store_options options = {
      .host = &r->on.th.host, .value = &vestry_connection_values, .purge = on_purge, .purge_ctx = &r->purged};
  assert_int_equal(vestry_store_create(type, &options, &r->store), VESTRY_OK);
  const vestry_named_store stores[] = {{NULL, r->store, NULL, NULL}};
  assert_int_equal(site_try(&r->on, (vestry_options){.stores = stores, .stores_count = 1, .scope = id},
                            (site_has){.sessions = NULL}),
                   VESTRY_OK);
}

#define registry_end(r, ...)                                                                                           \
  registry_end_all(r, (wire *[]){__VA_ARGS__}, sizeof((wire *[]){__VA_ARGS__}) / sizeof(wire *))
static void registry_end_all(registry *r, wire *const *wires, size_t count) {
  site_close(&r->on);
  for (size_t i = 0; i < count; i++) wire_finish(wires[i]);
  vestry_store_destroy(r->store);
  test_host_assert_clean(&r->on.th);
}

static bool holds(registry *r, vestry_scope scope) {
  void *value[1];
  size_t count = 1;
  if (vestry_store_get(r->store, scope, ROOM("test-name"), value, &count)) return false;
  vestry_connection_unref(value[0]);
  return true;
}

static const vestry_scope SESSION = {"test-id", 7};

static vestry_err by_session(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  *ret_len = SESSION.len;
  memcpy(buffer, SESSION.data, SESSION.len);
  return VESTRY_OK;
}

static const plan sends = {
    .key = "test-name", .keep = true, .policy = VESTRY_KEEP_REUSE, .effects = "[[\"patch-signals\",{\"n\":1}]]"};
static const plan closes = {.key = "test-name", .effects = "[[\"close-sse\"]]"};

/* default storage, an id-fn, purges at the close, and the hook with the scope and the key */
/* capability: P7 */
TEST_CASE(stream_is_stored_and_purged_at_its_close) {
  static const char *const types[] = {"hash", "lru"};
  for (size_t i = 0; i < 4; i++) {
    registry r;
    wire page = {0}, second = {0}, stop = {0};
    const vestry_scope own = i % 2 ? SESSION : NOWHERE, other = i % 2 ? NOWHERE : SESSION;
    registry_begin(&r, types[i / 2], i % 2 ? by_session : NULL);
    wire_plan(&r.on, &page, &sends);
    assert_true(holds(&r, own));
    assert_false(holds(&r, other));
    wire_plan(&r.on, &second, &sends); /* the stored stream is used */
    assert_int_equal(second.status, 204);
    assert_int_equal(wire_count(&page, "{\"n\":1}"), 2);
    wire_plan(&r.on, &stop, &closes);
    assert_int_equal(stop.status, 204);
    assert_true(page.clean);
    assert_false(holds(&r, own));
    assert_int_equal(r.purged.count, 1);
    assert_int_equal(r.purged.cause, VESTRY_CAUSE_CLOSED);
    assert_string_equal(r.purged.scope, i % 2 ? "test-id" : "");
    assert_string_equal(r.purged.key, "[\"room\",\"test-name\"]");
    registry_end(&r, &page, &second, &stop);
  }
}

/* The same at the other end: deacon hears of it from the server's on-close. */
/* capability: P7 */
TEST_CASE(stream_is_purged_when_its_client_hangs_up) {
  registry r;
  wire page = {0};
  registry_begin(&r, "hash", by_session);
  wire_plan(&r.on, &page, &sends);
  wire_hang_up(&r.on, &page);
  assert_false(holds(&r, SESSION));
  assert_int_equal(r.purged.count, 1);
  assert_int_equal(r.purged.cause, VESTRY_CAUSE_HANGUP);
  registry_end(&r, &page);
}

/* A reply with a key alone stores nothing: with-open-sse? is the default. */
/* capability: P7 */
TEST_CASE(jump_without_a_stream_stores_none) {
  registry r;
  wire jump = {0};
  plan alone = sends;
  alone.keep = false;
  registry_begin(&r, "lru", NULL);
  wire_plan(&r.on, &jump, &alone);
  assert_int_equal(wire_count(&jump, "{\"n\":1}"), 1);
  assert_true(jump.clean);
  assert_false(holds(&r, NOWHERE));
  assert_int_equal(r.purged.count, 0);
  registry_end(&r, &jump);
}
