/* SPDX-License-Identifier: MIT */
/* Lists as JSON: valid for any keys, equal to the counters, and in pages; invalid parameters; requests without
 * permission. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve/wire.h"
#include "vestry/channel.h"
#include "vestry/ops/observe.h"

enum { STREAMS = 7 };

typedef struct suite {
  site on;
  vestry_observe *observe;
  vestry_memory_exchange *streams[STREAMS];
} suite;

static const char *const keys[STREAMS] = {
    "a", "b\"\\<script>alert(1)</script>", "b\xE2\x80\xAE right to left", "b\n\t\x01", "c", "d", "b{}[]"};

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *key = keys[atoi(vestry_request_value(req, VESTRY_IN_QUERY, "n"))];
  vestry_reply_key(reply, VESTRY_KEY(key));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("x", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static vestry_err evicted(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY((const char *)app));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static void begin(suite *s) {
  site_begin_pages(&s->on, (vestry_options){.scope = NULL}, NULL);
  const vestry_observe_options options = {.trusts_loopback = true, .pages = s->on.pages};
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/live", live, NULL), VESTRY_OK);
  for (int i = 0; i < STREAMS; i++) {
    char query[8];
    snprintf(query, sizeof query, "n=%d", i);
    s->streams[i] = site_request(&s->on, &(vestry_memory_call){.path = "/live", .query = query, .datastar = true});
  }
  site_settle(&s->on);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(s->streams[i]);
  site_end(&s->on);
}

/* Request a path and return the answer's JSON; NULL: none. */
static json_t *request(suite *s, const char *path, const char *query, const char *peer, int *ret_status) {
  wire r = {.path = path, .query = query, .peer = peer, .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, &r, NULL, NULL);
  *ret_status = r.status;
  json_t *made = NULL;
  if (r.status == 200) {
    assert_true(wire_has_header(&r, "Content-Type: application/json"));
    assert_true(wire_has_header(&r, "Cache-Control: no-store"));
    made = json_loadb(r.text, r.text_len, 0, NULL);
    assert_non_null(made);
  } else if (r.status == 400) {
    assert_true(r.text_len > 10 && r.text[r.text_len - 1] == '\n');
  } else if (r.status == 403) {
    assert_int_equal(r.text_len, 0);
  }
  wire_finish(&r);
  return made;
}

static json_t *get(suite *s, const char *path, const char *query) {
  int status;
  json_t *made = request(s, path, query, "127.0.0.1", &status);
  assert_int_equal(status, 200);
  return made;
}

static json_int_t number(const json_t *of, const char *name) {
  assert_true(json_is_integer(json_object_get(of, name)));
  return json_integer_value(json_object_get(of, name));
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), end(s))

/* capability: H1 */
SUITE_CASE(streams_are_listed_in_pages) {
  char query[128] = "limit=2&sort=oldest";
  size_t count = 0;
  json_int_t last = 0;
  for (bool more = true; more;) {
    json_t *page = get(s, "/observe/streams", query), *at;
    size_t i;
    assert_int_equal(number(page, "open_count"), STREAMS);
    json_array_foreach(json_object_get(page, "streams"), i, at) {
      assert_true(number(at, "id") > last);
      last = number(at, "id");
      assert_int_equal(number(at, "accepted_count"), 1);
      assert_string_equal(json_string_value(json_object_get(at, "state")), "open");
      count++;
    }
    const char *next = json_string_value(json_object_get(page, "next"));
    more = next != NULL;
    if (next) snprintf(query, sizeof query, "limit=2&sort=oldest&cursor=%s", next);
    json_decref(page);
  }
  assert_int_equal(count, STREAMS);
  json_t *page = get(s, "/observe/streams", "prefix=b");
  assert_int_equal(json_array_size(json_object_get(page, "streams")), 4);
  json_decref(page);
  char path[64];
  snprintf(path, sizeof path, "/observe/streams/%d", (int)last);
  json_t *one = get(s, path, NULL);
  assert_int_equal(number(one, "id"), last);
  json_decref(one);
}

/* capability: H1 */
SUITE_CASE(channels_are_listed_in_pages) {
  for (int i = 0; i < STREAMS; i++)
    assert_int_equal(vestry_join(s->on.v, NOWHERE, VESTRY_KEY(keys[i]), vestry_memory_look(s->streams[0]).connection),
                     VESTRY_OK);
  assert_int_equal(vestry_join(s->on.v, NOWHERE, VESTRY_KEY("a"), vestry_memory_look(s->streams[1]).connection),
                   VESTRY_OK);
  assert_int_equal(
      vestry_broadcast_effect(s->on.v, NOWHERE, VESTRY_KEY("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("x", 2))),
      VESTRY_OK);
  site_settle(&s->on);
  char query[128] = "limit=2";
  size_t count = 0, members = 0, published = 0, accepted = 0;
  for (bool more = true; more;) {
    json_t *page = get(s, "/observe/channels", query), *at;
    size_t i;
    assert_int_equal(number(page, "live_count"), STREAMS);
    assert_int_equal(number(page, "made_count"), STREAMS);
    assert_int_equal(number(page, "ended_count") + number(page, "refused_count"), 0);
    json_array_foreach(json_object_get(page, "channels"), i, at) {
      members += (size_t)number(at, "members_count");
      published += (size_t)number(at, "published_count");
      accepted += (size_t)number(at, "accepted_count");
      assert_int_equal(number(at, "encodes_count") + number(at, "kept_count"), 0);
      assert_true(json_is_false(json_object_get(at, "history")));
      count++;
    }
    const char *next = json_string_value(json_object_get(page, "next"));
    more = next != NULL;
    if (next) snprintf(query, sizeof query, "limit=2&cursor=%s", next);
    json_decref(page);
  }
  assert_int_equal(count, STREAMS);
  assert_int_equal(members, STREAMS + 1);
  assert_int_equal(published, 1);
  assert_int_equal(accepted, 2);
  json_t *page = get(s, "/observe/channels", "prefix=b");
  assert_int_equal(json_array_size(json_object_get(page, "channels")), 4);
  json_decref(page);
}

/* capability: H1 */
SUITE_CASE(lists_have_the_counters_of_the_instance) {
  vestry_stats stats = {0};
  vestry_memory_destroy(s->streams[0]);
  s->streams[0] = NULL;
  site_settle(&s->on);
  vestry_stats_get(s->on.v, &stats);
  json_t *store = get(s, "/observe/store", NULL);
  assert_int_equal(number(store, "entries_count"), STREAMS - 1);
  assert_int_equal(number(store, "streams_open_count"), STREAMS - 1);
  assert_int_equal(number(store, "streams_opened_count"), stats.opened_count);
  assert_int_equal(number(json_object_get(store, "streams_closed"), "hangup"), 1);
  json_decref(store);
  json_t *pages = get(s, "/observe/pages", "sort=unchanged");
  assert_true(json_is_array(json_object_get(pages, "pages")));
  json_decref(pages);
  json_t *cluster = get(s, "/observe/cluster", NULL);
  assert_int_equal(json_array_size(json_object_get(cluster, "members")), 0);
  json_decref(cluster);
}

/* capability: H1, H4 */
TEST_CASE(evictions_are_counted_by_unused_time) {
  enum { ROOM = 32, MOST = 3 * ROOM };
  static vestry_memory_exchange *streams[MOST];
  suite s = {.observe = NULL};
  site_begin(&s.on, (vestry_options){.bounds = &(vestry_bounds){.max_count = ROOM}});
  assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &s.observe),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s.observe, "/observe"), VESTRY_OK);
  for (int i = 0; i < MOST; i++) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    if (i == ROOM) site_pass_ms(&s.on, 20000);
    assert_int_equal(
        vestry_memory_request(s.on.v, &(vestry_memory_call){.path = "/", .datastar = true}, evicted, key, &streams[i]),
        VESTRY_OK);
    site_settle(&s.on);
  }
  json_t *store = get(&s, "/observe/store", NULL), *ages = json_object_get(store, "evictions");
  assert_int_equal(number(json_object_get(store, "removed"), "size"), MOST - ROOM);
  assert_int_equal(json_array_size(ages), 2); /* at once, and after 20 s: one of 16 is sampled in each 32 */
  assert_int_equal(number(json_array_get(ages, 0), "unused_ms"), 1000);
  assert_int_equal(number(json_array_get(ages, 0), "count"), 2);
  assert_int_equal(number(json_array_get(ages, 1), "unused_ms"), 30000);
  assert_int_equal(number(json_array_get(ages, 1), "count"), 2);
  json_decref(store);
  vestry_observe_destroy(s.observe);
  for (int i = 0; i < MOST; i++) vestry_memory_destroy(streams[i]);
  site_end(&s.on);
}

/* capability: H1 */
SUITE_CASE(invalid_parameters_get_400) {
  int status;
  static const char *const wrong[] = {"sort=",
                                      "sort=random",
                                      "limit=0",
                                      "limit=101",
                                      "limit=x",
                                      "cursor=1",
                                      "cursor=-",
                                      "cursor=1-x",
                                      "cursor=-1",
                                      "cursor=1-2-3",
                                      "cursor=0000000000000001-000000000000000X",
                                      "cursor=0000000000000001-00000000000000011"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_null(request(s, "/observe/streams", wrong[i], "127.0.0.1", &status));
    assert_int_equal(status, 400);
    if (strncmp(wrong[i], "sort", 4) == 0) continue;
    assert_null(request(s, "/observe/channels", wrong[i], "127.0.0.1", &status));
    assert_int_equal(status, 400);
  }
  json_decref(request(s, "/observe/channels", "cursor=ffffffffffffffff-0000000000000001", "127.0.0.1", &status));
  assert_int_equal(status, 200);
  assert_null(request(s, "/observe/channels", "cursor=fffffffffffffffff-000000000000001", "127.0.0.1", &status));
  assert_int_equal(status, 400);
  assert_null(request(s, "/observe/pages", "sort=slow", "127.0.0.1", &status));
  assert_int_equal(status, 400);
  assert_null(request(s, "/observe/streams/none", NULL, "127.0.0.1", &status));
  assert_int_equal(status, 400);
  assert_null(request(s, "/observe/streams/999", NULL, "127.0.0.1", &status));
  assert_int_equal(status, 404);
}

/* capability: H1 */
SUITE_CASE(list_without_permission_gets_403) {
  static const char *const paths[] = {"/observe/streams",        "/observe/streams/1", "/observe/streams/x",
                                      "/observe/store",          "/observe/pages",     "/observe/cluster",
                                      "/observe/streams/1/tail", "/observe/channels"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int status;
    assert_null(request(s, paths[i], "sort=wrong", "192.0.2.1", &status));
    assert_int_equal(status, 403);
  }
}

TEST_CASE(failed_allocation_is_survived) {
  static const char *const paths[] = {"/observe/streams", "/observe/channels", "/observe/store", "/observe/cluster",
                                      "/observe/pages"};
  suite s;
  begin(&s);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    for (long at = 0, status = 0; status != 200; at++) {
      int answered;
      test_host_fail_in(&s.on.th, at);
      json_decref(request(&s, paths[i], NULL, "127.0.0.1", &answered));
      status = test_host_has_failed(&s.on.th) ? 0 : answered;
      test_host_fail_no_more(&s.on.th);
      assert_true(at < 1000);
    }
  end(&s);
}
