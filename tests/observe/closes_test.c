/* SPDX-License-Identifier: MIT */
/* Ended streams: each is recorded once, with its cause, its key and the discarded events, for every kind of end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "ops/observe/inside.h"
#include "serve/wire.h"
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

static void counts_of(const suite *s, uint64_t counts[VESTRY_CAUSES_MAX]) {
  vsi_close_counts all;
  vsi_closes_count(s->observe->closes, &all);
  memcpy(counts, all.all, sizeof all.all);
}

/* Assert that the recorded counts equal those of the instance, for each cause. */
static void check_counts(suite *s) {
  uint64_t counts[VESTRY_CAUSES_MAX];
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  counts_of(s, counts);
  for (int cause = 0; cause < VESTRY_CAUSES_MAX; cause++) assert_int_equal(counts[cause], stats.closed_by_cause[cause]);
}

static void end(suite *s) {
  site_settle(&s->on);
  check_counts(s);
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

typedef struct reported {
  vestry_close_info infos[256];
  size_t count;
} reported;

static void take(const vestry_close_info *info, void *ctx) {
  reported *t = ctx;
  assert_true(t->count < sizeof t->infos / sizeof *t->infos);
  assert_true(info->cause > VESTRY_CAUSE_NONE && info->cause < VESTRY_CAUSE_COUNT);
  if (t->count) assert_true(info->number < t->infos[t->count - 1].number);
  t->infos[t->count++] = *info;
}

static reported closes_of(suite *s, vestry_close_query query) {
  reported t = {.count = 0};
  do assert_int_equal(vestry_observe_closes(s->observe, &query, take, &t, &query.before), VESTRY_OK);
  while (query.before);
  return t;
}

static vestry_close_info last_of(suite *s) {
  reported t = {.count = 0};
  assert_int_equal(vestry_observe_closes(s->observe, &(vestry_close_query){.limit = 1}, take, &t, NULL), VESTRY_OK);
  assert_int_equal(t.count, 1);
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
  const vestry_close_info info = last_of(s);
  assert_int_equal(info.id, vestry_connection_look(connection_of(stream)).id);
  assert_string_equal(vestry_cause_name(info.cause), vestry_cause_name(cause));
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
  assert_int_equal(last_of(&s).last_error, VESTRY_FULL);
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
  reported t = closes_of(&s, (vestry_close_query){.cause = VESTRY_CAUSE_BUDGET});
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
  vestry_close(s.on.v);
  check_last(&s, last, VESTRY_CAUSE_SHUTDOWN, "[\"user\",21]");
  end(&s);
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
  for (size_t limit = 0; limit <= 100; limit += 7) {
    reported t = closes_of(&s, (vestry_close_query){.limit = limit});
    assert_int_equal(t.count, KEPT);
    for (size_t i = 0; i < t.count; i++) assert_int_equal(t.infos[i].number, CLOSED - i);
    t = closes_of(&s, (vestry_close_query){.limit = limit, .cause = VESTRY_CAUSE_CLOSED});
    assert_int_equal(t.count, KEPT / 10);
    assert_string_equal(t.infos[0].key, "[\"user\",130]");
    t = closes_of(&s, (vestry_close_query){.limit = limit, .after = CLOSED - 3});
    assert_int_equal(t.count, 3);
    assert_int_equal(closes_of(&s, (vestry_close_query){.limit = limit, .after = CLOSED}).count, 0);
    assert_int_equal(closes_of(&s, (vestry_close_query){.limit = limit, .after = UINT64_MAX}).count, 0);
    assert_int_equal(closes_of(&s, (vestry_close_query){.limit = limit, .before = 2}).count, 0); /* no longer kept */
  }
  reported t = {.count = 0};
  assert_int_equal(vestry_observe_closes(NULL, NULL, take, &t, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_closes(s.observe, NULL, NULL, &t, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_closes(s.observe, &(vestry_close_query){.limit = 101}, take, &t, NULL),
                   VESTRY_INVALID);
  assert_int_equal(vestry_observe_closes(s.observe, &(vestry_close_query){.cause = VESTRY_CAUSE_COUNT}, take, &t, NULL),
                   VESTRY_INVALID);
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
    const reported t = closes_of(&l.s, (vestry_close_query){.cause = VESTRY_CAUSE_LOST});
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
    counts_of(&s, counts);
    for (int i = 0; i < VESTRY_CAUSES_MAX; i++) sum += counts[i];
    assert_int_equal(sum, stats.closed_count);
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

static void no_more(const vestry_stream_info *info, void *ctx) {
  assert_true(info->written_count + info->discarded_count <= info->accepted_count);
}

static void check_record(const vestry_close_info *info, void *ctx) {
  assert_true(info->cause != VESTRY_CAUSE_NONE && info->number && info->id);
}

/* Check that the closed streams never exceed the opened ones, while observers come and go. */
static void *observe_counts(void *ctx) {
  churn *c = ctx;
  while (!atomic_load(&c->is_over)) {
    uint64_t counts[VESTRY_CAUSES_MAX], closed = 0;
    vestry_observe *brief;
    vestry_stats stats = {0};
    counts_of(&c->s, counts);
    vestry_stats_get(c->s.on.v, &stats);
    for (int i = 0; i < VESTRY_CAUSES_MAX; i++) closed += counts[i];
    assert_true(closed <= stats.opened_count);
    assert_int_equal(
        vestry_observe_streams(c->s.observe, &(vestry_stream_query){.prefix = "user"}, no_more, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_observe_closes(c->s.observe, NULL, check_record, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_observe_create(c->s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &brief),
                     VESTRY_OK);
    (void)vestry_observe_stream(brief, stats.opened_count, &(vestry_stream_info){0});
    assert_int_equal(vestry_observe_closes(brief, NULL, check_record, NULL, NULL), VESTRY_OK);
    vestry_observe_destroy(brief);
  }
  return NULL;
}

static void has_key(const vestry_close_info *info, void *ctx) {
  assert_true(strncmp(info->key, "[\"user\",", 8) == 0 || strncmp(info->key, "[\"also\",", 8) == 0);
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
  assert_int_equal(vestry_stop(c.s.on.v, VESTRY_NEVER_MS), VESTRY_OK);
  check_counts(&c.s);
  vestry_close_query query = {0};
  do assert_int_equal(vestry_observe_closes(c.s.observe, &query, has_key, NULL, &query.before), VESTRY_OK);
  while (query.before);
  vestry_observe_destroy(c.s.observe);
  site_end(&c.s.on);
}
