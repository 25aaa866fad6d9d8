/* SPDX-License-Identifier: MIT */
/* Lists of channels: names that users chose, counts, savings by encoding, and histories; page by page, also while
 * channels come and go. */
#include <pthread.h>
#include <stdio.h>

#include "channel/broadcast.h"
#include "channel/channels.h"
#include "serve/wire.h"
#include "vestry/app/history.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_options options) {
  site_begin(&s->on, options);
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &s->observe),
                   VESTRY_OK);
}

static void end(suite *s) {
  site_settle(&s->on);
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_memory_exchange *open_stream(suite *s, const char *encoding) {
  const vestry_header header = {"Accept-Encoding", encoding};
  const vestry_memory_call call = {.datastar = true, .headers = &header, .headers_count = 1};
  vestry_memory_exchange *made;
  assert_int_equal(vestry_memory_request(s->on.v, &call, live, NULL, &made), VESTRY_OK);
  site_settle(&s->on);
  return made;
}

static void join(suite *s, vestry_memory_exchange *stream, vestry_scope scope, const vestry_key *key) {
  assert_int_equal(vestry_join(s->on.v, scope, key, vestry_memory_look(stream).connection), VESTRY_OK);
}

static void publish(suite *s, vestry_scope scope, const vestry_key *key) {
  char html[2001] = "";
  memset(html, 'x', sizeof html - 1);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + sizeof html - 5, "</p>", 4);
  assert_int_equal(vestry_broadcast_effect(s->on.v, scope, key, VESTRY_LIST("patch-elements", html)), VESTRY_OK);
  site_settle(&s->on);
}

enum { MOST = 512 };
typedef struct reported {
  vestry_channel_info infos[MOST];
  size_t count, pages_count;
} reported;

static void take(const vestry_channel_info *info, void *ctx) {
  reported *t = ctx;
  assert_true(t->count < MOST);
  t->infos[t->count++] = *info;
}

/* List all pages. */
static void list(suite *s, size_t limit, reported *t) {
  vestry_channel_query query = {.limit = limit};
  t->count = t->pages_count = 0;
  do {
    const size_t before = t->count;
    assert_int_equal(vestry_observe_channels(s->observe, &query, take, t, &query.from), VESTRY_OK);
    const size_t most = limit ? limit : VESTRY_STREAMS_MAX_COUNT;
    assert_true(t->count - before == most || (t->count - before < most && !query.from.value && !query.from.id));
    t->pages_count++;
  } while (query.from.value || query.from.id);
}

/* Return how often the key is in the list. ret_info: the last such entry. */
static size_t find(const reported *t, const char *key, vestry_channel_info *ret_info) {
  size_t found = 0;
  for (size_t i = 0; i < t->count; i++) {
    if (strcmp(t->infos[i].key, key) != 0) continue;
    *ret_info = t->infos[i];
    found++;
  }
  return found;
}

static vestry_channel_info channel_of(suite *s, const char *key) {
  static reported t;
  vestry_channel_info info = {0};
  list(s, 0, &t);
  assert_int_equal(find(&t, key, &info), 1);
  return info;
}

/* capability: H1 */
TEST_CASE(channel_has_its_counts_and_encoding_ratio) {
  const vestry_profile profiles[] = {{.ops = &vestry_profile_gzip}};
  suite s;
  begin(&s, (vestry_options){.profiles = profiles, .profiles_count = 1});
  vestry_memory_exchange *a = open_stream(&s, "gzip"), *b = open_stream(&s, "gzip");
  join(&s, a, NOWHERE, VESTRY_KEY("board", 1));
  join(&s, b, NOWHERE, VESTRY_KEY("board", 1));
  join(&s, b, NOWHERE, VESTRY_KEY("quiet"));
  for (int i = 0; i < 5; i++) publish(&s, NOWHERE, VESTRY_KEY("board", 1));
  const vestry_channel_info info = channel_of(&s, "[\"board\",1]"), quiet = channel_of(&s, "[\"quiet\"]");
  assert_string_equal(info.scope, "");
  assert_int_equal(info.members_count, 2);
  assert_int_equal(info.published_count, 5);
  assert_int_equal(info.accepted_count, 10);
  assert_int_equal(info.refused_count, 0);
  assert_int_equal(info.epochs_count, 1);
  assert_int_equal(info.encodes_count, 5);
  assert_true(info.plain_bytes > 5 * UINT64_C(2000) && info.plain_bytes < 5 * UINT64_C(2200));
  assert_true(info.encoded_bytes > 0 && info.ratio > 5);
  assert_true(info.ratio == (double)info.plain_bytes / (double)info.encoded_bytes);
  assert_false(info.has_history);
  assert_int_equal(quiet.members_count, 1);
  assert_int_equal(quiet.published_count + quiet.encodes_count + quiet.plain_bytes, 0);
  assert_true(quiet.ratio == 0);
  vestry_memory_destroy(a);
  vestry_memory_destroy(b);
  end(&s);
}

/* capability: H1 */
TEST_CASE(history_is_listed_until_it_ends) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, VESTRY_KEY("log"), &(vestry_history_options){.max_count = 3}),
                   VESTRY_OK);
  vestry_memory_exchange *a = open_stream(&s, "");
  join(&s, a, NOWHERE, VESTRY_KEY("log"));
  assert_int_equal(channel_of(&s, "[\"log\"]").kept_count, 0);
  for (int i = 0; i < 5; i++) publish(&s, NOWHERE, VESTRY_KEY("log"));
  vestry_history_stats stats = {0};
  assert_int_equal(vestry_history_stats_get(s.on.v, NOWHERE, VESTRY_KEY("log"), &stats), VESTRY_OK);
  vestry_channel_info info = channel_of(&s, "[\"log\"]");
  assert_true(info.has_history);
  assert_int_equal(info.kept_count, 3);
  assert_int_equal(info.kept_bytes, stats.kept_bytes);
  assert_int_equal(vestry_history_end(s.on.v, NOWHERE, VESTRY_KEY("log")), VESTRY_OK);
  info = channel_of(&s, "[\"log\"]");
  assert_false(info.has_history);
  assert_int_equal(info.kept_count + info.kept_bytes, 0);
  assert_int_equal(info.published_count, 5);
  vestry_memory_destroy(a);
  end(&s);
}

/* capability: H1 */
TEST_CASE(hostile_names_are_shown_as_short_text) {
  suite s;
  static reported t;
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, "");
  char text[400];
  memset(text, 'k', sizeof text);
  text[sizeof text - 1] = '\0';
  const vestry_scope ann = {"secret-ann", 10}, bob = {"secret-bob", 10};
  join(&s, a, ann, VESTRY_KEY("\r\n\x1b[2J<script>"));
  join(&s, a, bob, VESTRY_KEY("\r\n\x1b[2J<script>"));
  join(&s, a, ann, VESTRY_KEY(text));
  list(&s, 0, &t);
  assert_int_equal(t.count, 3);
  size_t cut = 0;
  for (size_t i = 0; i < t.count; i++) {
    const vestry_channel_info *info = &t.infos[i];
    assert_true(strlen(info->key) > 0 && strlen(info->key) < VESTRY_SHOWN_KEY_BYTES);
    for (const char *at = info->key; *at; at++) assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    assert_int_equal(strlen(info->scope), 8);
    assert_int_equal(strspn(info->scope, "0123456789abcdef"), 8);
    cut += info->is_key_cut;
    for (size_t j = 0; j < i; j++)
      assert_true(info->number != t.infos[j].number &&
                  (strcmp(info->key, t.infos[j].key) != 0 || strcmp(info->scope, t.infos[j].scope) != 0));
  }
  assert_int_equal(cut, 1);
  vestry_memory_destroy(a);
  end(&s);
}

/* Listing allocates nothing: the next allocation would fail. */
TEST_CASE(each_channel_is_listed_once_at_any_page_size) {
  enum { CHANNELS = 250 };
  suite s;
  static reported t;
  begin(&s, (vestry_options){.scope = NULL});
  list(&s, 0, &t);
  assert_int_equal(t.count, 0);
  vestry_memory_exchange *a = open_stream(&s, "");
  for (int i = 0; i < CHANNELS; i++) join(&s, a, NOWHERE, VESTRY_KEY("c", i));
  const long before = atomic_load(&s.on.th.allocations);
  atomic_store(&s.on.th.fail_at, before);
  for (size_t limit = 0; limit <= VESTRY_STREAMS_MAX_COUNT; limit += limit < 3 ? 1 : 97) {
    list(&s, limit, &t);
    assert_int_equal(t.count, CHANNELS);
    assert_true(t.pages_count >= CHANNELS / (limit ? limit : VESTRY_STREAMS_MAX_COUNT));
    for (int i = 0; i < CHANNELS; i++) {
      char key[32];
      vestry_channel_info info;
      snprintf(key, sizeof key, "[\"c\",%d]", i);
      assert_int_equal(find(&t, key, &info), 1);
    }
  }
  assert_int_equal(atomic_load(&s.on.th.allocations), before);
  test_host_fail_no_more(&s.on.th);
  const vestry_channel_query too_many = {.limit = VESTRY_STREAMS_MAX_COUNT + 1};
  assert_int_equal(vestry_observe_channels(NULL, NULL, take, &t, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_channels(s.observe, NULL, NULL, &t, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_channels(s.observe, &too_many, take, &t, NULL), VESTRY_INVALID);
  vestry_memory_destroy(a);
  site_settle(&s.on);
  list(&s, 0, &t);
  assert_int_equal(t.count, 0);
  end(&s);
}

/* capability: H1 */
TEST_CASE(channels_are_found_by_key_prefix) {
  enum { CHANNELS = 250 };
  suite s;
  static reported t;
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, "");
  for (int i = 0; i < CHANNELS; i++) join(&s, a, NOWHERE, VESTRY_KEY(i % 50 ? "room" : "bar", i));
  vestry_channel_query query = {.prefix = "ba", .limit = 2};
  t.count = 0;
  do {
    assert_int_equal(vestry_observe_channels(s.observe, &query, take, &t, &query.from), VESTRY_OK);
  } while (query.from.value || query.from.id);
  assert_int_equal(t.count, 5);
  for (size_t i = 0; i < t.count; i++) assert_memory_equal(t.infos[i].key, "[\"bar\",", 7);
  query = (vestry_channel_query){.prefix = "ar"};
  t.count = 0;
  assert_int_equal(vestry_observe_channels(s.observe, &query, take, &t, &query.from), VESTRY_OK);
  assert_int_equal(t.count + query.from.value + query.from.id, 0);
  vestry_memory_destroy(a);
  end(&s);
}

/* Hashes of names have 64 bits. Here the table gets several names with one hash, at both ends of the order too. */
TEST_CASE(channels_with_equal_hashes_are_all_listed) {
  static const uint64_t hashes[] = {0, 0, 7, 7, 7, UINT64_MAX, UINT64_MAX};
  enum { CHANNELS = sizeof hashes / sizeof *hashes };
  suite s;
  static reported t;
  begin(&s, (vestry_options){.scope = NULL});
  vsi_channel *held[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) {
    vsi_scoped_key name;
    assert_int_equal(vsi_store_pack(s.on.v->store, &name, NOWHERE, VESTRY_KEY("same", i)), VESTRY_OK);
    assert_int_equal(vsi_channels_hold(s.on.v->channels, name.key.data, name.key.len, hashes[i], &held[i]), VESTRY_OK);
    vsi_scoped_key_finish(&name);
  }
  for (size_t limit = 1; limit < CHANNELS + 2; limit++) {
    list(&s, limit, &t);
    assert_int_equal(t.count, CHANNELS);
    for (int i = 0; i < CHANNELS; i++) {
      char key[32];
      vestry_channel_info info;
      snprintf(key, sizeof key, "[\"same\",%d]", i);
      assert_int_equal(find(&t, key, &info), 1);
    }
  }
  for (int i = 0; i < CHANNELS; i++) vsi_channel_unref(held[i]);
  list(&s, 0, &t);
  assert_int_equal(t.count, 0);
  end(&s);
}

/* --------------------------------------------------------------------------------------------- with threads ------- */

typedef struct churn {
  suite *s;
  vestry_connection *connection;
} churn;

static void *join_and_leave(void *ctx) {
  const churn *c = ctx;
  vestry *v = c->s->on.v;
  for (int i = 0; i < 2000; i++) {
    assert_int_equal(vestry_join(v, NOWHERE, VESTRY_KEY("brief", i % 150), c->connection), VESTRY_OK);
    assert_int_equal(vestry_leave(v, NOWHERE, VESTRY_KEY("brief", i % 150), c->connection), VESTRY_OK);
  }
  return NULL;
}

TEST_CASE(staying_channels_are_listed_once_during_churn) {
  enum { STAY = 40, LISTS = 100 };
  suite s;
  static reported t;
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, ""), *b = open_stream(&s, "");
  for (int i = 0; i < STAY; i++) join(&s, a, NOWHERE, VESTRY_KEY("stay", i));
  churn c = {&s, vestry_memory_look(b).connection};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, join_and_leave, &c), 0);
  for (int round = 0; round < LISTS; round++) {
    list(&s, 7, &t);
    for (int i = 0; i < STAY; i++) {
      char key[32];
      vestry_channel_info info;
      snprintf(key, sizeof key, "[\"stay\",%d]", i);
      assert_int_equal(find(&t, key, &info), 1);
      assert_int_equal(info.members_count, 1);
    }
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  vestry_memory_destroy(a);
  vestry_memory_destroy(b);
  end(&s);
}
