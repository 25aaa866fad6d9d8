/* SPDX-License-Identifier: MIT */
/* Lists of channels: names that users chose, counts, savings by encoding, and histories; page by page, also while
 * channels come and go. */
#include <pthread.h>
#include <stdio.h>

#include "channel/broadcast.h"
#include "channel/channels.h"
#include "serve/wire.h"
#include "support/listed.h"
#include "vestry/app/history.h"

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

/* List all pages, and return the channels; the caller drops the reference. limit 0: the default. */
static json_t *list(suite *s, const char *prefix, size_t limit) {
  json_t *channels = json_array();
  char query[128], cursor[64] = "";
  do {
    int len = snprintf(query, sizeof query, "prefix=%s%s", prefix, cursor);
    if (limit) snprintf(query + len, sizeof query - (size_t)len, "&limit=%zu", limit);
    json_auto_t *page = listed(s->observe, vsi_list_channels, query);
    json_t *found = json_object_get(page, "channels");
    const char *next = listed_text(page, "next");
    const size_t most = limit ? limit : VSI_LIST_MAX_COUNT;
    assert_true(json_array_size(found) == most || (json_array_size(found) < most && !next));
    json_array_extend(channels, found);
    snprintf(cursor, sizeof cursor, next ? "&cursor=%s" : "%s", next ? next : "");
  } while (*cursor);
  return channels;
}

/* Return how often the key is in the list. ret_info: the last such entry; may be NULL. */
static size_t find(const json_t *channels, const char *key, json_t **ret_info) {
  size_t found = 0, i;
  json_t *info;
  json_array_foreach(channels, i, info) {
    if (strcmp(listed_text(info, "key"), key) != 0) continue;
    if (ret_info) *ret_info = info;
    found++;
  }
  return found;
}

/* Return the channel of a key; the caller drops the reference. */
static json_t *channel_of(suite *s, const char *key) {
  json_auto_t *channels = list(s, "", 0);
  json_t *info = NULL;
  assert_int_equal(find(channels, key, &info), 1);
  return json_incref(info);
}

static size_t count_of(suite *s) {
  json_auto_t *channels = list(s, "", 0);
  return json_array_size(channels);
}

static double ratio_of(const json_t *info) {
  return json_real_value(json_object_get(info, "ratio"));
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
  json_auto_t *info = channel_of(&s, "[\"board\",1]"), *quiet = channel_of(&s, "[\"quiet\"]");
  assert_string_equal(listed_text(info, "scope"), "");
  assert_int_equal(listed_number(info, "members_count"), 2);
  assert_int_equal(listed_number(info, "published_count"), 5);
  assert_int_equal(listed_number(info, "accepted_count"), 10);
  assert_int_equal(listed_number(info, "refused_count"), 0);
  assert_int_equal(listed_number(info, "epochs_count"), 1);
  assert_int_equal(listed_number(info, "encodes_count"), 5);
  const int64_t plain = listed_number(info, "plain_bytes"), encoded = listed_number(info, "encoded_bytes");
  assert_true(plain > 5 * 2000 && plain < 5 * 2200);
  assert_true(encoded > 0 && ratio_of(info) > 5);
  assert_true(ratio_of(info) == (double)plain / (double)encoded);
  assert_false(listed_is(info, "history"));
  assert_int_equal(listed_number(quiet, "members_count"), 1);
  assert_int_equal(listed_number(quiet, "published_count") + listed_number(quiet, "encodes_count") +
                       listed_number(quiet, "plain_bytes"),
                   0);
  assert_true(ratio_of(quiet) == 0);
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
  json_t *info = channel_of(&s, "[\"log\"]");
  assert_int_equal(listed_number(info, "kept_count"), 0);
  json_decref(info);
  for (int i = 0; i < 5; i++) publish(&s, NOWHERE, VESTRY_KEY("log"));
  vestry_history_stats stats = {0};
  assert_int_equal(vestry_history_stats_get(s.on.v, NOWHERE, VESTRY_KEY("log"), &stats), VESTRY_OK);
  info = channel_of(&s, "[\"log\"]");
  assert_true(listed_is(info, "history"));
  assert_int_equal(listed_number(info, "kept_count"), 3);
  assert_int_equal(listed_number(info, "kept_bytes"), stats.kept_bytes);
  assert_int_equal(vestry_history_end(s.on.v, NOWHERE, VESTRY_KEY("log")), VESTRY_OK);
  json_decref(info);
  info = channel_of(&s, "[\"log\"]");
  assert_false(listed_is(info, "history"));
  assert_int_equal(listed_number(info, "kept_count") + listed_number(info, "kept_bytes"), 0);
  assert_int_equal(listed_number(info, "published_count"), 5);
  json_decref(info);
  vestry_memory_destroy(a);
  end(&s);
}

/* capability: H1 */
TEST_CASE(hostile_names_are_shown_as_short_text) {
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, "");
  char text[400];
  memset(text, 'k', sizeof text);
  text[sizeof text - 1] = '\0';
  const vestry_scope ann = {"secret-ann", 10}, bob = {"secret-bob", 10};
  join(&s, a, ann, VESTRY_KEY("\r\n\x1b[2J<script>"));
  join(&s, a, bob, VESTRY_KEY("\r\n\x1b[2J<script>"));
  join(&s, a, ann, VESTRY_KEY(text));
  json_auto_t *channels = list(&s, "", 0);
  assert_int_equal(json_array_size(channels), 3);
  size_t cut = 0;
  for (size_t i = 0; i < 3; i++) {
    const json_t *info = json_array_get(channels, i);
    const char *key = listed_text(info, "key"), *scope = listed_text(info, "scope");
    assert_true(strlen(key) > 0 && strlen(key) < VSI_SHOWN_KEY_BYTES);
    for (const char *at = key; *at; at++) assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    assert_int_equal(strlen(scope), 8);
    assert_int_equal(strspn(scope, "0123456789abcdef"), 8);
    cut += listed_is(info, "key_cut");
    for (size_t j = 0; j < i; j++) {
      const json_t *other = json_array_get(channels, j);
      assert_true(listed_number(info, "number") != listed_number(other, "number") &&
                  (strcmp(key, listed_text(other, "key")) != 0 || strcmp(scope, listed_text(other, "scope")) != 0));
    }
  }
  assert_int_equal(cut, 1);
  vestry_memory_destroy(a);
  end(&s);
}

TEST_CASE(each_channel_is_listed_once_at_any_page_size) {
  enum { CHANNELS = 250 };
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  assert_int_equal(count_of(&s), 0);
  vestry_memory_exchange *a = open_stream(&s, "");
  for (int i = 0; i < CHANNELS; i++) join(&s, a, NOWHERE, VESTRY_KEY("c", i));
  for (size_t limit = 0; limit <= VSI_LIST_MAX_COUNT; limit += limit < 3 ? 1 : 97) {
    json_auto_t *channels = list(&s, "", limit);
    assert_int_equal(json_array_size(channels), CHANNELS);
    for (int i = 0; i < CHANNELS; i++) {
      char key[32];
      snprintf(key, sizeof key, "[\"c\",%d]", i);
      assert_int_equal(find(channels, key, NULL), 1);
    }
  }
  vestry_memory_destroy(a);
  site_settle(&s.on);
  assert_int_equal(count_of(&s), 0);
  end(&s);
}

/* capability: H1 */
TEST_CASE(channels_are_found_by_key_prefix) {
  enum { CHANNELS = 250 };
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, "");
  for (int i = 0; i < CHANNELS; i++) join(&s, a, NOWHERE, VESTRY_KEY(i % 50 ? "room" : "bar", i));
  json_auto_t *found = list(&s, "ba", 2), *none = list(&s, "ar", 0);
  assert_int_equal(json_array_size(found), 5);
  for (size_t i = 0; i < 5; i++) assert_memory_equal(listed_text(json_array_get(found, i), "key"), "[\"bar\",", 7);
  assert_int_equal(json_array_size(none), 0);
  vestry_memory_destroy(a);
  end(&s);
}

/* Hashes of names have 64 bits. Here the table gets several names with one hash, at both ends of the order too. */
TEST_CASE(channels_with_equal_hashes_are_all_listed) {
  static const uint64_t hashes[] = {0, 0, 7, 7, 7, UINT64_MAX, UINT64_MAX};
  enum { CHANNELS = sizeof hashes / sizeof *hashes };
  suite s;
  begin(&s, (vestry_options){.scope = NULL});
  vsi_channel *held[CHANNELS];
  for (int i = 0; i < CHANNELS; i++) {
    vsi_scoped_key name;
    assert_int_equal(vsi_store_pack(s.on.v->store, &name, NOWHERE, VESTRY_KEY("same", i)), VESTRY_OK);
    const vestry_scoped_key *key = name.key;
    assert_int_equal(vsi_channels_hold(s.on.v->channels, key->data, key->len, hashes[i], &held[i]), VESTRY_OK);
    vsi_scoped_key_finish(&name);
  }
  for (size_t limit = 1; limit < CHANNELS + 2; limit++) {
    json_auto_t *channels = list(&s, "", limit);
    assert_int_equal(json_array_size(channels), CHANNELS);
    for (int i = 0; i < CHANNELS; i++) {
      char key[32];
      snprintf(key, sizeof key, "[\"same\",%d]", i);
      assert_int_equal(find(channels, key, NULL), 1);
    }
  }
  for (int i = 0; i < CHANNELS; i++) vsi_channel_unref(held[i]);
  assert_int_equal(count_of(&s), 0);
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
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *a = open_stream(&s, ""), *b = open_stream(&s, "");
  for (int i = 0; i < STAY; i++) join(&s, a, NOWHERE, VESTRY_KEY("stay", i));
  churn c = {&s, vestry_memory_look(b).connection};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, join_and_leave, &c), 0);
  for (int round = 0; round < LISTS; round++) {
    json_auto_t *channels = list(&s, "", 7);
    for (int i = 0; i < STAY; i++) {
      char key[32];
      json_t *info;
      snprintf(key, sizeof key, "[\"stay\",%d]", i);
      assert_int_equal(find(channels, key, &info), 1);
      assert_int_equal(listed_number(info, "members_count"), 1);
    }
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  vestry_memory_destroy(a);
  vestry_memory_destroy(b);
  end(&s);
}
