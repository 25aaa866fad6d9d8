/* SPDX-License-Identifier: MIT */
/* Ended streams: each is recorded once, with its cause, its key and the discarded events, for every kind of end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "serve/wire.h"
#include "support/listed.h"
#include "support/until.h"
#include "vestry/drain.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_options options, size_t closes_count) {
  site_begin(&s->on, options);
  vsi_closes *closes;
  if (closes_count) assert_int_equal(vsi_closes_use(s->on.v, closes_count, &closes), VESTRY_OK);
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &s->observe),
                   VESTRY_OK);
}

/* Get the recorded counts. Returns false without memory. */
static bool get_counts(const suite *s, uint64_t counts[VESTRY_CAUSES_MAX]) {
  json_auto_t *all = listed(s->observe, vsi_list_closed, "limit=1");
  const json_t *by_cause = json_object_get(all, "all");
  for (int cause = 0; cause < VESTRY_CAUSES_MAX; cause++)
    counts[cause] =
        cause && cause < VESTRY_CAUSE_COUNT
            ? (uint64_t)json_integer_value(json_object_get(by_cause, vestry_cause_name((vestry_cause)cause)))
            : 0;
  return all;
}

/* Assert that the recorded counts equal those of the instance, for each cause. */
static void check_counts(suite *s) {
  uint64_t counts[VESTRY_CAUSES_MAX];
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  assert_true(get_counts(s, counts));
  for (int cause = 0; cause < VESTRY_CAUSES_MAX; cause++) assert_int_equal(counts[cause], stats.closed_by_cause[cause]);
}

static void end(suite *s) {
  site_settle(&s->on);
  check_counts(s);
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

/* A listed close. */
typedef struct closed {
  int64_t number, id, age_ms, ago_ms, refused_count, discarded_count, discarded_bytes;
  char cause[32], key[VSI_SHOWN_KEY_BYTES], adapter[16], last_error[64];
} closed;

typedef struct reported {
  closed infos[256];
  size_t count;
} reported;

static void take(const json_t *info, reported *t) {
  assert_true(t->count < sizeof t->infos / sizeof *t->infos);
  closed *to = &t->infos[t->count++];
  *to = (closed){.number = listed_number(info, "number"),
                 .id = listed_number(info, "id"),
                 .age_ms = listed_number(info, "age_ms"),
                 .ago_ms = listed_number(info, "ago_ms"),
                 .refused_count = listed_number(info, "refused_count"),
                 .discarded_count = listed_number(info, "discarded_count"),
                 .discarded_bytes = listed_number(info, "discarded_bytes")};
  snprintf(to->cause, sizeof to->cause, "%s", listed_text(info, "cause"));
  snprintf(to->key, sizeof to->key, "%s", listed_text(info, "key"));
  snprintf(to->adapter, sizeof to->adapter, "%s", listed_text(info, "adapter"));
  const char *error = listed_text(info, "last_error");
  snprintf(to->last_error, sizeof to->last_error, "%s", error ? error : "");
  if (t->count > 1) assert_true(to->number < to[-1].number);
}

/* List all pages. query: without `before`. */
static reported closes_of(suite *s, const char *query) {
  reported t = {.count = 0};
  char page[128];
  for (int64_t before = INT64_MAX; before > 0;) {
    snprintf(page, sizeof page, "%s&before=%" PRIi64, query, before);
    json_auto_t *all = listed(s->observe, vsi_list_closed, page);
    json_t *info;
    size_t i;
    json_array_foreach(json_object_get(all, "closed"), i, info) take(info, &t);
    before = listed_number(all, "next");
  }
  return t;
}

static closed last_of(suite *s) {
  reported t = {.count = 0};
  json_auto_t *all = listed(s->observe, vsi_list_closed, "limit=1");
  take(json_array_get(json_object_get(all, "closed"), 0), &t);
  return t.infos[0];
}

typedef struct asked {
  int number;
  vestry_keep_policy policy;
  bool has_more; /* a second key */
} asked;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  const asked *a = app;
  vestry_reply_key(reply, VESTRY_KEY("user", a->number));
  if (a->has_more) vestry_reply_add_key(reply, req->scope, VESTRY_KEY("also", a->number), 8);
  return vestry_reply_keep(reply, a->policy, 100);
}

static vestry_memory_exchange *open_as(suite *s, asked a) {
  vestry_memory_exchange *made;
  assert_int_equal(vestry_memory_request(s->on.v, &(vestry_memory_call){.datastar = true}, live, &a, &made), VESTRY_OK);
  site_settle(&s->on);
  return made;
}

static vestry_memory_exchange *open_user(suite *s, int number) {
  return open_as(s, (asked){.number = number, .policy = VESTRY_KEEP_MANY});
}

static vestry_connection *connection_of(vestry_memory_exchange *exchange) {
  return vestry_memory_look(exchange).connection;
}

/* Assert that the last record is of this stream. */
static void check_last(suite *s, vestry_memory_exchange *stream, vestry_cause cause, const char *key) {
  site_settle(&s->on);
  const closed info = last_of(s);
  assert_int_equal(info.id, vestry_connection_look(connection_of(stream)).id);
  assert_string_equal(info.cause, vestry_cause_name(cause));
  assert_string_equal(info.key, key);
  assert_string_equal(info.adapter, "memory");
  check_counts(s);
  vestry_memory_destroy(stream);
}

/* capability: H1, F9 */
TEST_CASE(end_by_the_client_has_its_cause) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL}, 0);
  static const struct {
    vestry_memory_mode mode;
    vestry_cause cause;
  } modes[] = {{VESTRY_MEMORY_HANGS_UP, VESTRY_CAUSE_HANGUP},
               {VESTRY_MEMORY_STALLS, VESTRY_CAUSE_STALLED},
               {VESTRY_MEMORY_FAILS, VESTRY_CAUSE_ERROR}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    vestry_memory_exchange *stream = open_user(&s, 3);
    vestry_memory_mode_set(stream, modes[i].mode);
    (void)vestry_connection_patch_signals(connection_of(stream), VESTRY_OBJECT("n", 1), NULL);
    check_last(&s, stream, modes[i].cause, "[\"user\",3]");
  }
  vestry_memory_exchange *stream = open_user(&s, 4);
  vestry_connection_close(connection_of(stream), VESTRY_CAUSE_LOST); /* as adapters do */
  check_last(&s, stream, VESTRY_CAUSE_LOST, "[\"user\",4]");
  stream = open_user(&s, 4);
  vestry_connection_close(connection_of(stream), VESTRY_CAUSE_LEASE_EXPIRED); /* as a lease does */
  check_last(&s, stream, VESTRY_CAUSE_LEASE_EXPIRED, "[\"user\",4]");
  end(&s);
}

/* capability: H1 */
TEST_CASE(end_by_the_server_has_its_cause) {
  suite s;
  begin(&s,
        (vestry_options){.bounds = &(vestry_bounds){.max_count = 2},
                         .connection = &(vestry_connection_options){.max_queued_count = 2},
                         .idle_ms = 60000,
                         .lifetime_ms = 100000},
        0);
  vestry_memory_exchange *a = open_user(&s, 1), *b;
  vestry_connection_close(connection_of(a), VESTRY_CAUSE_CLOSED);
  check_last(&s, a, VESTRY_CAUSE_CLOSED, "[\"user\",1]");
  a = open_user(&s, 1);
  assert_int_equal(vestry_store_remove(vestry_parts_of(s.on.v)->store, (vestry_scope){NULL, 0}, VESTRY_KEY("user", 1),
                                       VESTRY_CAUSE_REMOVED, NULL),
                   VESTRY_OK);
  check_last(&s, a, VESTRY_CAUSE_REMOVED, "[\"user\",1]");
  a = open_user(&s, 2);
  b = open_as(&s, (asked){.number = 2, .policy = VESTRY_KEEP_REPLACE});
  check_last(&s, a, VESTRY_CAUSE_REPLACED, "[\"user\",2]");
  vestry_memory_destroy(b);
  site_settle(&s.on);
  a = open_user(&s, 5);
  vestry_memory_mode_set(a, VESTRY_MEMORY_BLOCKS);
  for (int i = 0; i < 3; i++) (void)vestry_connection_patch_signals(connection_of(a), VESTRY_OBJECT("n", i), NULL);
  check_last(&s, a, VESTRY_CAUSE_FULL, "[\"user\",5]");
  assert_int_equal(last_of(&s).discarded_count, 2);
  assert_int_equal(last_of(&s).refused_count, 1);
  assert_string_equal(last_of(&s).last_error, vestry_strerror(VESTRY_FULL));
  assert_true(last_of(&s).discarded_bytes > 20);
  /* It has left the store before it ends. */
  a = open_user(&s, 6);
  b = open_user(&s, 7);
  vestry_memory_exchange *c = open_user(&s, 8);
  check_last(&s, a, VESTRY_CAUSE_SIZE, "[\"user\",6]");
  vestry_memory_destroy(b);
  vestry_memory_destroy(c);
  site_settle(&s.on);
  a = open_user(&s, 9);
  site_pass_ms(&s.on, 61000);
  check_last(&s, a, VESTRY_CAUSE_IDLE, "[\"user\",9]");
  a = open_user(&s, 10);
  for (int i = 0; i < 11; i++) {
    (void)vestry_connection_patch_signals(connection_of(a), VESTRY_OBJECT("n", i), NULL);
    site_pass_ms(&s.on, 10000);
  }
  check_last(&s, a, VESTRY_CAUSE_EXPIRED, "[\"user\",10]");
  assert_true(last_of(&s).age_ms >= 100000 && last_of(&s).age_ms <= 110000);
  test_host_advance_ms(&s.on.th, 500);
  assert_int_equal(last_of(&s).ago_ms, 500);
  end(&s);
}

/* capability: H1 */
TEST_CASE(end_of_budget_drain_and_shutdown_has_its_cause) {
  suite s;
  begin(&s, (vestry_options){.bounds = &(vestry_bounds){.max_queued_bytes = 4 << 20}}, 0);
  /* All queues together exceed the limit. */
  char *html = calloc(1, 100000);
  assert_non_null(html);
  memset(html, 'x', 99999);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + 99995, "</p>", 4);
  enum { STREAMS = 8 };
  vestry_memory_exchange *streams[STREAMS];
  for (int i = 0; i < STREAMS; i++) {
    streams[i] = open_user(&s, i);
    vestry_memory_mode_set(streams[i], VESTRY_MEMORY_BLOCKS);
    for (int n = 0; n < 9; n++) (void)vestry_connection_patch_elements(connection_of(streams[i]), html, 99999, NULL);
    site_settle(&s.on);
  }
  free(html);
  reported t = closes_of(&s, "cause=budget");
  assert_true(t.count > 0 && t.count < STREAMS);
  for (size_t i = 0; i < t.count; i++) assert_true(t.infos[i].discarded_bytes > 90000 && *t.infos[i].key);
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(streams[i]);
  site_settle(&s.on);
  vestry_memory_exchange *drained = open_user(&s, 20);
  assert_int_equal(vestry_drain(s.on.v, 1000), VESTRY_OK);
  site_pass_ms(&s.on, 2000);
  check_last(&s, drained, VESTRY_CAUSE_DRAIN, "[\"user\",20]");
  end(&s);
  begin(&s, (vestry_options){.scope = NULL}, 0);
  vestry_memory_exchange *last = open_user(&s, 21);
  const uint64_t id = vestry_connection_look(connection_of(last)).id;
  vestry_close(s.on.v); /* no request is served any more */
  site_settle(&s.on);
  vsi_report report;
  vsi_report_begin(&report, s.on.v->host);
  assert_true(vsi_closes_put(s.observe->closes, id, &report));
  vsi_report_close(&report, '}');
  json_t *info = json_loadb(report.text.data, report.text.len, 0, NULL);
  assert_string_equal(listed_text(info, "cause"), "shutdown");
  assert_string_equal(listed_text(info, "key"), "[\"user\",21]");
  json_decref(info);
  vsi_buffer_finish(&report.text);
  vestry_memory_destroy(last);
  vestry_observe_destroy(s.observe);
  site_end(&s.on);
}

/* capability: H1 */
TEST_CASE(record_has_the_first_of_several_keys) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL}, 0);
  vestry_memory_exchange *a = open_as(&s, (asked){.number = 1, .policy = VESTRY_KEEP_MANY, .has_more = true});
  vestry_store *store = vestry_parts_of(s.on.v)->store;
  assert_int_equal(
      vestry_store_remove(store, (vestry_scope){NULL, 0}, VESTRY_KEY("also", 1), VESTRY_CAUSE_REMOVED, NULL),
      VESTRY_OK);
  check_last(&s, a, VESTRY_CAUSE_REMOVED, "[\"user\",1]");
  a = open_as(&s, (asked){.number = 2, .policy = VESTRY_KEEP_MANY, .has_more = true});
  vestry_memory_mode_set(a, VESTRY_MEMORY_HANGS_UP);
  check_last(&s, a, VESTRY_CAUSE_HANGUP, "[\"user\",2]");
  end(&s);
}

/* capability: H1 */
TEST_CASE(records_over_limit_are_dropped_and_listed_by_pages) {
  enum { KEPT = 50, CLOSED = 130 };
  suite s;
  begin(&s, (vestry_options){.scope = NULL}, KEPT);
  for (int i = 1; i <= CLOSED; i++) {
    vestry_memory_exchange *stream = open_user(&s, i);
    if (i % 10 == 0) vestry_connection_close(connection_of(stream), VESTRY_CAUSE_CLOSED);
    vestry_memory_destroy(stream);
    site_settle(&s.on);
  }
  for (size_t limit = 2; limit <= 100; limit += 7) {
    char query[64];
    const int len = snprintf(query, sizeof query, "limit=%zu", limit);
    reported t = closes_of(&s, query);
    assert_int_equal(t.count, KEPT);
    for (size_t i = 0; i < t.count; i++) assert_int_equal(t.infos[i].number, CLOSED - i);
    strcpy(query + len, "&cause=closed");
    t = closes_of(&s, query);
    assert_int_equal(t.count, KEPT / 10);
    assert_string_equal(t.infos[0].key, "[\"user\",130]");
    strcpy(query + len, "&after=127");
    assert_int_equal(closes_of(&s, query).count, 3);
    strcpy(query + len, "&after=130");
    assert_int_equal(closes_of(&s, query).count, 0);
    strcpy(query + len, "&after=9223372036854775807");
    assert_int_equal(closes_of(&s, query).count, 0);
    strcpy(query + len, "&cause=closed&after=1");
    assert_int_equal(closes_of(&s, query).count, KEPT / 10);
  }
  json_auto_t *old = listed(s.observe, vsi_list_closed, "before=2");
  assert_int_equal(json_array_size(json_object_get(old, "closed")), 0); /* no longer kept */
  assert_int_equal(listed_number(old, "next"), -1);
  end(&s);
}

/* ---------------------------------------------------------------------------------------- keys removed late ------- */

enum { OTHERS = 300 };

/* Let a stream that was removed from the store end before its key is reported, followed by many others. */
typedef struct late {
  suite s;
  vestry_memory_exchange *stream;
  bool has_left;
} late;

static void end_many(const vestry_purged *purged, void *ctx) {
  late *l = ctx;
  if (l->has_left) return;
  l->has_left = true;
  vestry_connection_close(connection_of(l->stream), VESTRY_CAUSE_LOST);
  site_settle(&l->s.on);
  for (int i = 0; i < OTHERS; i++) {
    vestry_memory_exchange *other = open_user(&l->s, 100 + i);
    vestry_memory_destroy(other);
    site_settle(&l->s.on);
  }
}

/* capability: H1 */
TEST_CASE(record_gets_a_key_that_is_removed_late) {
  /* in the first case its record is the oldest, in the second it is gone */
  static const size_t kept[] = {OTHERS + 1, OTHERS};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    late l = {.has_left = false};
    begin(&l.s, (vestry_options){.purge = end_many, .purge_ctx = &l}, kept[i]);
    l.stream = open_user(&l.s, 1);
    assert_int_equal(vestry_store_remove(vestry_parts_of(l.s.on.v)->store, (vestry_scope){NULL, 0},
                                         VESTRY_KEY("user", 1), VESTRY_CAUSE_REMOVED, NULL),
                     VESTRY_OK);
    site_settle(&l.s.on);
    const reported t = closes_of(&l.s, "cause=lost");
    assert_int_equal(t.count, i ? 0 : 1);
    if (t.count) assert_string_equal(t.infos[0].key, "[\"user\",1]");
    vestry_memory_destroy(l.stream);
    end(&l.s);
  }
}

/* ------------------------------------------------------------------------------------------- failing memory ------- */

static vestry_err close_one(test_host *th, void *ctx) {
  suite s = {.on = {.th = {.live = 0}}};
  vestry *v;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  vsi_closes *closes;
  error = vsi_closes_use(v, 8, &closes);
  if (!error) error = vestry_observe_create(v, &(vestry_observe_options){.trusts_loopback = true}, &s.observe);
  asked a = {.number = 1, .policy = VESTRY_KEEP_MANY};
  vestry_memory_exchange *stream = NULL;
  if (!error) error = vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, live, &a, &stream);
  if (stream) {
    (void)vestry_store_remove(vestry_parts_of(v)->store, (vestry_scope){NULL, 0}, VESTRY_KEY("user", 1),
                              VESTRY_CAUSE_REMOVED, NULL);
    vestry_memory_settle(v);
    uint64_t counts[VESTRY_CAUSES_MAX], sum = 0;
    vestry_stats stats = {0};
    vestry_stats_get(v, &stats);
    if (!get_counts(&s, counts)) error = VESTRY_NO_MEMORY;
    for (int i = 0; i < VESTRY_CAUSES_MAX; i++) sum += counts[i];
    if (!error) assert_int_equal(sum, stats.closed_count);
  }
  vestry_memory_destroy(stream);
  vestry_observe_destroy(s.observe);
  vestry_destroy(v);
  return error;
}

TEST_CASE(close_is_counted_after_failed_allocation) {
  test_host_fail_each(close_one, NULL, true);
}

/* ---------------------------------------------------------------------------------------------------- churn ------- */

enum { CHURNERS = 3, ROUNDS = 400, NAMES = 7 };

typedef struct churn {
  suite s;
  _Atomic(bool) is_over;
  unsigned number;
} churn;

/* Open streams, some of which replace those of other threads, and end the others in different ways. */
static void *open_and_end(void *ctx) {
  churn *c = ctx;
  for (int i = 0; i < ROUNDS; i++) {
    asked a = {.number = i % NAMES, .policy = i % 3 ? VESTRY_KEEP_REPLACE : VESTRY_KEEP_MANY, .has_more = i % 5 == 0};
    vestry_memory_exchange *stream;
    if (vestry_memory_request(c->s.on.v, &(vestry_memory_call){.datastar = true}, live, &a, &stream)) continue;
    if (i % 4 == 0)
      (void)vestry_store_remove(vestry_parts_of(c->s.on.v)->store, (vestry_scope){NULL, 0},
                                VESTRY_KEY("user", i % NAMES), VESTRY_CAUSE_REMOVED, NULL);
    vestry_memory_destroy(stream);
  }
  return NULL;
}

/* Check each item of a list. */
static void check_list(vestry_observe *observe, vestry_handler_fn handler, const char *query, const char *name,
                       void (*check)(const json_t *info)) {
  json_auto_t *all = listed(observe, handler, query);
  json_t *info;
  size_t i;
  assert_non_null(all);
  json_array_foreach(json_object_get(all, name), i, info) check(info);
}

static void no_more(const json_t *info) {
  assert_true(listed_number(info, "written_count") + listed_number(info, "discarded_count") <=
              listed_number(info, "accepted_count"));
}

static void check_record(const json_t *info) {
  assert_true(listed_text(info, "cause") && listed_number(info, "number") > 0 && listed_number(info, "id") > 0);
}

/* Check that the closed streams never exceed the opened ones, while observers come and go. */
static void *observe_counts(void *ctx) {
  churn *c = ctx;
  while (!atomic_load(&c->is_over)) {
    uint64_t counts[VESTRY_CAUSES_MAX], sum = 0;
    vestry_observe *brief;
    vestry_stats stats = {0};
    assert_true(get_counts(&c->s, counts));
    vestry_stats_get(c->s.on.v, &stats);
    for (int i = 0; i < VESTRY_CAUSES_MAX; i++) sum += counts[i];
    assert_true(sum <= stats.opened_count);
    check_list(c->s.observe, vsi_list_streams, "prefix=user", "streams", no_more);
    check_list(c->s.observe, vsi_list_closed, NULL, "closed", check_record);
    assert_int_equal(vestry_observe_create(c->s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &brief),
                     VESTRY_OK);
    check_list(brief, vsi_list_closed, NULL, "closed", check_record);
    vestry_observe_destroy(brief);
  }
  return NULL;
}

static uint64_t open_count(const suite *s) {
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  return stats.open_count;
}

static void check_key(const json_t *info) {
  const char *key = listed_text(info, "key");
  assert_true(strncmp(key, "[\"user\",", 8) == 0 || strncmp(key, "[\"also\",", 8) == 0);
}

/* capability: H1 */
TEST_CASE(counts_and_keys_are_consistent_during_churn) {
  churn c = {.is_over = false};
  site_begin(&c.s.on, (vestry_options){.threads_count = 2});
  assert_int_equal(vestry_observe_create(c.s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &c.s.observe),
                   VESTRY_OK);
  pthread_t churners[CHURNERS], looker;
  for (int i = 0; i < CHURNERS; i++) assert_int_equal(pthread_create(&churners[i], NULL, open_and_end, &c), 0);
  assert_int_equal(pthread_create(&looker, NULL, observe_counts, &c), 0);
  for (int i = 0; i < CHURNERS; i++) pthread_join(churners[i], NULL);
  atomic_store(&c.is_over, true);
  pthread_join(looker, NULL);
  UNTIL(open_count(&c.s) == 0);
  check_counts(&c.s);
  char query[64] = "limit=100";
  for (int64_t before = 1; before > 0; snprintf(query, sizeof query, "before=%" PRIi64, before)) {
    check_list(c.s.observe, vsi_list_closed, query, "closed", check_key);
    json_auto_t *all = listed(c.s.observe, vsi_list_closed, query);
    before = listed_number(all, "next");
  }
  vestry_observe_destroy(c.s.observe);
  site_end(&c.s.on);
}
