/* SPDX-License-Identifier: MIT */
/* P3: an instance uses stores that its creator has made, its own one and others by name. */
#include "instance/stores.h"

#include <stdlib.h>

#include "serve/wire.h"
#include "store/naive.h"
#include "vestry/dispatch.h"

#define STORES_CASE(name) TEST_CASE_EACH(name, "hash", "lru", "naive-lru")

/* -------------------------------------------------------------------------------------------------- the stores ---- */

static const vestry_scope TENANT = {"tenant", 6};

/* Counts the calls of a purge hook. */
typedef struct hook {
  size_t count;
  vestry_cause cause;
  char key[64], scope[16];
} hook;

static void on_purge(const vestry_purged *purged, void *ctx) {
  hook *h = ctx;
  h->count++;
  h->cause = purged->cause;
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, h->key, sizeof h->key, NULL), VESTRY_OK);
  snprintf(h->scope, sizeof h->scope, "%.*s", (int)purged->scope.len,
           purged->scope.len ? (const char *)purged->scope.data : "");
}

static const vestry_store_type naive = {&naive_lru_ops, NULL};

static vestry_store *make_store(test_host *th, const char *type, vestry_store_options options, hook *h) {
  vestry_store *store;
  options.host = &th->host;
  options.value = &vestry_connection_values;
  options.purge = h ? on_purge : NULL;
  options.purge_ctx = h;
  options.types = &naive;
  options.types_count = 1;
  assert_int_equal(vestry_store_create(type, &options, &store), VESTRY_OK);
  return store;
}

static vestry_err by_tenant(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *tenant = vestry_request_header(req, "X-Tenant");
  if (tenant && strcmp(tenant, "none") == 0) return VESTRY_FAILED;
  if (tenant && strcmp(tenant, "long") == 0) {
    *ret_len = VESTRY_SCOPE_MAX_BYTES + 1;
    return VESTRY_OK;
  }
  *ret_len = tenant ? strlen(tenant) : 0;
  if (tenant) memcpy(buffer, tenant, *ret_len);
  return VESTRY_OK;
}

static char reason[256]; /* the first line that was logged */

static void keep_first_line(void *ctx, vestry_log_level level, const char *message) {
  if (!*reason) snprintf(reason, sizeof reason, "%s", message);
}

/* A reply by a store of this name. */
typedef struct stored {
  const char *store;
  vestry_keep_policy policy;
  bool names_key_first, has_body;
} stored;

static vestry_err keep_in_store(const vestry_request *req, vestry_reply *reply, void *app) {
  const stored *s = app;
  if (s->names_key_first) (void)vestry_reply_key(reply, VESTRY_KEY("device", 1));
  vestry_err error = vestry_reply_store(req, reply, s->store);
  if (!error) error = vestry_reply_key(reply, VESTRY_KEY("device", 1));
  if (!error) error = vestry_reply_add_key(reply, TENANT, VESTRY_KEY("all"), 0);
  if (!error && s->has_body) return vestry_reply_body(reply, NULL, "x", 1);
  if (!error) error = vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  return error ? error : vestry_reply_keep(reply, s->policy, 0);
}

/* Names two stores one after the other, and checks nothing. */
static vestry_err keep_unchecked(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *const *names = app;
  for (size_t i = 0; i < 2; i++) (void)vestry_reply_store(req, reply, names[i]);
  (void)vestry_reply_key(reply, VESTRY_KEY("device", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static void request(site *w, wire *r, const char *tenant, const stored *s) {
  *r = (wire){.datastar = true, .headers = {{"X-Tenant", tenant}}};
  wire_request(w, r, keep_in_store, (void *)s);
}

static vestry_err tell(site *w, const char *store, vestry_scope scope, const vestry_key *key) {
  json_t *effects = json_pack("[[s, {s:i}]]", "patch-signals", "n", 2);
  vestry_err error =
      vestry_dispatch_with(w->v, effects, &(vestry_dispatch_options){.scope = scope, .key = key, .store = store}, NULL);
  json_decref(effects);
  site_settle(w);
  return error;
}

static uint64_t live(vestry_store *store) {
  vestry_store_stats stats = {0};
  vestry_store_stats_get(store, &stats);
  return stats.live_count;
}

/* ----------------------------------------------------------------------------------------------------- by name ---- */

/* capability: P3 */
STORES_CASE(reply_and_dispatch_name_a_store) {
  site w;
  hook own = {0}, devices = {0};
  test_host_init(&w.th);
  vestry_store *store = make_store(&w.th, *state, (vestry_store_options){.max_count = 0}, &devices);
  const vestry_named_store stores[] = {{"devices", store, by_tenant, NULL}};
  assert_int_equal(site_try(&w,
                            (vestry_options){.stores = stores, .stores_count = 1, .purge = on_purge, .purge_ctx = &own},
                            (site_has){.sessions = NULL}),
                   VESTRY_OK);
  const stored reuse = {"devices", VESTRY_KEEP_REUSE, false, false};
  wire a, b, c;
  request(&w, &a, "tenant", &reuse);
  request(&w, &b, "tenant", &reuse); /* its effects go to the stored stream */
  request(&w, &c, "other", &reuse);
  assert_int_equal(b.status, 204);
  assert_int_equal(wire_count(&a, "{\"n\":1}"), 2);
  assert_int_equal(wire_count(&c, "{\"n\":1}"), 1);
  assert_int_equal(live(store), 4);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  assert_int_equal(tell(&w, "devices", TENANT, VESTRY_KEY("device", 1)), VESTRY_OK);
  assert_int_equal(tell(&w, "devices", TENANT, VESTRY_KEY("all")), VESTRY_OK);
  assert_int_equal(tell(&w, NULL, TENANT, VESTRY_KEY("device", 1)), VESTRY_NOT_FOUND);
  assert_int_equal(wire_count(&a, "{\"n\":2}"), 2);
  assert_int_equal(wire_count(&c, "{\"n\":2}"), 1);
  assert_int_equal(tell(&w, "none", TENANT, VESTRY_KEY("device", 1)), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "none"));
  json_t *effects = json_array();
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.store = "devices"}, NULL),
                   VESTRY_INVALID); /* a store without a key */
  json_decref(effects);
  wire_hang_up(&w, &a);
  assert_int_equal(live(store), 2);
  assert_int_equal(devices.count, 2);
  assert_int_equal(devices.cause, VESTRY_CAUSE_HANGUP);
  assert_string_equal(devices.scope, "tenant");
  assert_int_equal(own.count, 0); /* each store has its own hook */
  site_close(&w);
  assert_int_equal(devices.count, 4);
  assert_int_equal(live(store), 0);
  wire_finish(&a);
  wire_finish(&b);
  wire_finish(&c);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

/* capability: P3 */
STORES_CASE(policies_apply_in_the_named_store) {
  site w;
  test_host_init(&w.th);
  vestry_store *store = make_store(&w.th, *state, (vestry_store_options){.max_count = 0}, NULL);
  const vestry_named_store stores[] = {{"devices", store, by_tenant, NULL}};
  assert_int_equal(site_try(&w, (vestry_options){.stores = stores, .stores_count = 1}, (site_has){.sessions = NULL}),
                   VESTRY_OK);
  const stored replace = {"devices", VESTRY_KEEP_REPLACE, false, false},
               many = {"devices", VESTRY_KEEP_MANY, false, false},
               reject = {"devices", VESTRY_KEEP_REJECT, false, false}, own = {NULL, VESTRY_KEEP_REJECT, false, false};
  wire r[6];
  request(&w, &r[0], "tenant", &replace);
  request(&w, &r[1], "tenant", &replace);
  assert_int_equal(r[0].cause, VESTRY_CAUSE_REPLACED);
  request(&w, &r[2], "tenant", &many);
  assert_true(vestry_connection_is_open(r[1].connection) && vestry_connection_is_open(r[2].connection));
  request(&w, &r[3], "tenant", &reject);
  assert_int_equal(r[3].status, 409);
  request(&w, &r[4], "tenant", &own); /* the instance's own store has no such key */
  request(&w, &r[5], "tenant", &own);
  assert_true(vestry_connection_is_open(r[4].connection));
  assert_int_equal(r[5].status, 409);
  assert_int_equal(live(store), 4);
  assert_int_equal(store_stats_of(w.v).live_count, 2);
  site_close(&w);
  for (int i = 0; i < 6; i++) wire_finish(&r[i]);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

/* capability: P3 */
TEST_CASE(named_store_has_its_own_bounds_and_times) {
  site w;
  hook devices = {0};
  test_host_init(&w.th);
  vestry_store *store = make_store(
      &w.th, "lru", (vestry_store_options){.max_per_scope_count = 4, .idle_ms = 60000, .max_count = 3000}, &devices);
  const vestry_named_store stores[] = {{"devices", store, NULL, NULL}};
  assert_int_equal(site_try(&w, (vestry_options){.stores = stores, .stores_count = 1}, (site_has){.sessions = NULL}),
                   VESTRY_OK);
  const stored many = {"devices", VESTRY_KEEP_MANY, false, false};
  wire r[6];
  for (int i = 0; i < 5; i++) {
    request(&w, &r[i], "tenant", &many);
    site_pass_ms(&w, 1000);
  }
  assert_false(vestry_connection_is_open(r[0].connection));
  assert_int_equal(r[0].cause, VESTRY_CAUSE_SIZE); /* five entries in the scope without a name */
  site_pass_ms(&w, 120000);                        /* the runtime of the instance drives the store */
  for (int i = 1; i < 5; i++) assert_int_equal(r[i].cause, VESTRY_CAUSE_IDLE);
  assert_int_equal(live(store), 0);
  assert_int_equal(devices.count, 10);
  site_close(&w);
  for (int i = 0; i < 5; i++) wire_finish(&r[i]);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

/* capability: P3 */
TEST_CASE(mistakes_in_naming_a_store_are_answered_and_logged) {
  site w;
  test_host_init(&w.th);
  w.th.host.log = keep_first_line;
  vestry_store *store = make_store(&w.th, "hash", (vestry_store_options){.max_count = 0}, NULL);
  const vestry_named_store stores[] = {{"devices", store, by_tenant, NULL}};
  assert_int_equal(site_try(&w, (vestry_options){.stores = stores, .stores_count = 1}, (site_has){.sessions = NULL}),
                   VESTRY_OK);
  static const struct {
    stored s;
    const char *tenant;
    int status;
    const char *log;
  } rows[] = {
      {{"device", VESTRY_KEEP_MANY, false, false}, "tenant", 500, "no store of this name"},
      {{"devices", VESTRY_KEEP_MANY, true, false}, "tenant", 500, "before vestry_reply_key"},
      {{"devices", VESTRY_KEEP_MANY, false, false}, "none", 500, NULL}, /* the scope function fails */
      {{"devices", VESTRY_KEEP_MANY, false, false}, "long", 500, NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire r;
    *reason = '\0';
    request(&w, &r, rows[i].tenant, &rows[i].s);
    assert_int_equal(r.status, rows[i].status);
    if (rows[i].log) assert_non_null(strstr(reason, rows[i].log));
    wire_finish(&r);
  }
  /* A stream is stored nowhere else than in the store that the last call has named. */
  static const struct {
    const char *names[2], *tenant;
    size_t count;
  } calls[] = {
      {{"devices", "device"}, "tenant", 0}, {{NULL, "devices"}, "none", 0}, {{"device", "devices"}, "tenant", 1}};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    wire r = {.datastar = true, .headers = {{"X-Tenant", calls[i].tenant}}};
    wire_request(&w, &r, keep_unchecked, (void *)calls[i].names);
    assert_int_equal(live(store), calls[i].count);
    assert_int_equal(store_stats_of(w.v).live_count, 0);
    if (calls[i].count)
      wire_hang_up(&w, &r);
    else
      assert_int_equal(r.status, 500);
    wire_finish(&r);
  }
  /* A scope of the application's own makes an answer personal. */
  const stored answer = {"devices", VESTRY_KEEP_MANY, false, true};
  wire r = {.headers = {{"X-Tenant", "tenant"}}};
  wire_request(&w, &r, keep_in_store, (void *)&answer);
  assert_true(wire_has_header(&r, "Cache-Control: private, no-store"));
  assert_int_equal(live(store), 0);
  site_close(&w);
  wire_finish(&r);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

/* ------------------------------------------------------------------------------------------ the instance's own ---- */

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* capability: P3 */
STORES_CASE(creator_makes_the_store_of_the_instance) {
  site w;
  hook own = {0};
  test_host_init(&w.th);
  vestry_store *store = make_store(&w.th, *state, (vestry_store_options){.max_count = 100}, &own);
  const vestry_named_store stores[] = {{NULL, store, NULL, NULL}};
  assert_int_equal(site_try(&w, (vestry_options){.stores = stores, .stores_count = 1}, (site_has){.sessions = NULL}),
                   VESTRY_OK);
  assert_ptr_equal(vestry_parts_of(w.v)->store, store);
  wire r = {.datastar = true};
  wire_request(&w, &r, keep, NULL);
  assert_int_equal(tell(&w, NULL, NOWHERE, VESTRY_KEY("page")), VESTRY_OK);
  assert_int_equal(wire_count(&r, "{\"n\":2}"), 1);
  vestry_close(w.v);
  assert_int_equal(own.count, 1);
  assert_int_equal(own.cause, VESTRY_CAUSE_SHUTDOWN);
  assert_string_equal(own.key, "[\"page\"]");
  site_close(&w);
  wire_finish(&r);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

static void nothing(void *value) {}
static void nothing_for(void *value, vestry_cause cause) {}

static void must_refuse(test_host *th, vestry_options options, const char *why) {
  vestry *v = NULL;
  options.host = &th->host;
  options.threads_count = VESTRY_THREADS_NONE;
  *reason = '\0';
  assert_int_equal(vestry_create(&options, &v), VESTRY_INVALID);
  assert_null(v);
  if (!strstr(reason, why)) fail_msg("not %s: %s", why, reason);
}

TEST_CASE(unusable_stores_are_refused) {
  test_host th, other_th;
  test_host_init(&th);
  test_host_init(&other_th);
  th.host.log = keep_first_line;
  vestry_store *store = make_store(&th, "hash", (vestry_store_options){.max_count = 0}, NULL);
  vestry_store *second = make_store(&th, "hash", (vestry_store_options){.max_count = 0}, NULL);
  vestry_store *elsewhere = make_store(&other_th, "hash", (vestry_store_options){.max_count = 0}, NULL);
  vestry_store *numbers;
  const vestry_store_options of_numbers = {
      .host = &th.host, .value = &(vestry_value_ops){.ref = nothing, .unref = nothing, .close = nothing_for}};
  assert_int_equal(vestry_store_create("hash", &of_numbers, &numbers), VESTRY_OK);
  const struct {
    vestry_named_store stores[2];
    size_t count;
    const char *why;
  } rows[] = {
      {{{"a", NULL, NULL, NULL}}, 1, "NULL"},
      {{{"a", numbers, NULL, NULL}}, 1, "vestry_connection_values"},
      {{{"a", elsewhere, NULL, NULL}}, 1, "host"},
      {{{NULL, store, by_tenant, NULL}}, 1, "options.scope"},
      {{{"a", store, NULL, NULL}, {"a", second, NULL, NULL}}, 2, "two stores"},
      {{{NULL, store, NULL, NULL}, {NULL, second, NULL, NULL}}, 2, "two stores"},
      {{{"a", store, NULL, NULL}, {"b", store, NULL, NULL}}, 2, "another"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    must_refuse(&th, (vestry_options){.stores = rows[i].stores, .stores_count = rows[i].count}, rows[i].why);
  const vestry_named_store own[] = {{NULL, store, NULL, NULL}};
  const vestry_options set[] = {{.store = "lru"},
                                {.store_type = &naive},
                                {.idle_ms = 1000},
                                {.lifetime_ms = 1000},
                                {.purge = on_purge},
                                {.bounds = &(vestry_bounds){.max_count = 5}},
                                {.bounds = &(vestry_bounds){.max_per_scope_count = 5}}};
  for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
    vestry_options options = set[i];
    options.stores = own;
    options.stores_count = 1;
    must_refuse(&th, options, "options of the store");
  }
  must_refuse(&th, (vestry_options){.stores_count = 1}, "options.stores is NULL");
  /* After all of these, the store can still be used, by one instance at a time. */
  vestry *v = NULL, *another = NULL;
  const vestry_options options = {
      .host = &th.host, .threads_count = VESTRY_THREADS_NONE, .stores = own, .stores_count = 1};
  assert_int_equal(vestry_create(&options, &v), VESTRY_OK);
  assert_int_equal(vestry_create(&options, &another), VESTRY_INVALID);
  vestry_destroy(v);
  vestry_store_destroy(store);
  vestry_store_destroy(second);
  vestry_store_destroy(numbers);
  vestry_store_destroy(elsewhere);
  test_host_assert_clean(&th);
}

TEST_CASE(allocation_failure_gives_the_stores_back) {
  bool has_failed = true;
  for (long number = 0; has_failed; number++) {
    test_host th;
    hook h = {0};
    test_host_init(&th);
    vestry_store *store = make_store(&th, "lru", (vestry_store_options){.max_count = 10}, &h);
    const vestry_named_store stores[] = {{"devices", store, by_tenant, NULL}};
    const vestry_options options = {
        .host = &th.host, .threads_count = VESTRY_THREADS_NONE, .stores = stores, .stores_count = 1};
    vestry *v = NULL;
    test_host_fail_in(&th, number);
    vestry_err error = vestry_create(&options, &v);
    has_failed = test_host_has_failed(&th);
    assert_int_equal(error, has_failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    if (error) assert_int_equal(vestry_create(&options, &v), VESTRY_OK);
    vestry_destroy(v);
    vestry_store_destroy(store);
    test_host_assert_clean(&th);
  }
}
