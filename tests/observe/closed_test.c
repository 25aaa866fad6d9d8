/* SPDX-License-Identifier: MIT */
/* Ended streams as JSON: listed, filtered by cause, and one by one; invalid parameters. */
#include <jansson.h>
#include <stdio.h>

#include "ops/observe/inside.h"
#include "serve/wire.h"

enum { STREAMS = 5 };

typedef struct suite {
  site on;
  vestry_observe *observe;
  wire streams[STREAMS];
} suite;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("<i>\xE2\x80\xAE"));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("x", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

/* Streams that open and end, with the causes STALLED and IDLE in turn. */
static void begin(suite *s) {
  *s = (suite){.observe = NULL};
  site_begin(&s->on, (vestry_options){.scope = NULL});
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &s->observe),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
  for (int i = 0; i < STREAMS; i++) {
    s->streams[i] = (wire){.path = "/", .datastar = true};
    wire_request(&s->on, &s->streams[i], live, NULL);
    vestry_connection_close(s->streams[i].connection, i % 2 ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_STALLED);
    site_settle(&s->on);
  }
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  wires_end(&s->on, &s->streams[0], &s->streams[1], &s->streams[2], &s->streams[3], &s->streams[4]);
}

static json_t *request(suite *s, const char *path, const char *query, int *ret_status) {
  wire r = {.path = path, .query = query, .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, &r, NULL, NULL);
  *ret_status = r.status;
  json_t *made = r.status == 200 ? json_loadb(r.text, r.text_len, 0, NULL) : NULL;
  if (r.status == 200) assert_non_null(made);
  wire_finish(&r);
  return made;
}

static json_int_t number(const json_t *of, const char *name) {
  return json_integer_value(json_object_get(of, name));
}

static const char *text(const json_t *of, const char *name) {
  return json_string_value(json_object_get(of, name));
}

/* capability: H1 */
TEST_CASE(ended_streams_are_listed_with_their_cause) {
  suite s;
  int status;
  begin(&s);
  json_t *all = request(&s, "/observe/closed", NULL, &status), *list = json_object_get(all, "closed");
  assert_int_equal(json_array_size(list), STREAMS);
  for (size_t i = 0; i < STREAMS; i++) {
    const json_t *at = json_array_get(list, i);
    assert_int_equal(number(at, "id"), STREAMS - (json_int_t)i); /* the newest first */
    assert_string_equal(text(at, "cause"), (STREAMS - 1 - i) % 2 ? "idle" : "stalled");
    assert_string_equal(text(at, "state"), "closed");
  }
  assert_int_equal(number(json_object_get(all, "last_hour"), "stalled"), 3);
  assert_int_equal(number(json_object_get(all, "all"), "idle"), 2);
  json_decref(all);
  site_pass_ms(&s.on, 3600001);
  all = request(&s, "/observe/closed", "cause=idle&limit=1", &status);
  assert_int_equal(json_array_size(json_object_get(all, "closed")), 1);
  assert_int_equal(json_object_size(json_object_get(all, "last_hour")), 0);
  assert_int_equal(number(json_object_get(all, "all"), "stalled"), 3);
  char query[64];
  snprintf(query, sizeof query, "cause=idle&before=%d", (int)number(all, "next"));
  json_decref(all);
  all = request(&s, "/observe/closed", query, &status);
  assert_int_equal(json_array_size(json_object_get(all, "closed")), 1);
  assert_true(json_is_null(json_object_get(all, "next")));
  json_decref(all);
  json_t *one = request(&s, "/observe/streams/2", NULL, &status);
  assert_string_equal(text(one, "cause"), "idle");
  assert_int_equal(number(one, "id"), 2);
  json_decref(one);
  assert_null(request(&s, "/observe/streams/99", NULL, &status));
  assert_int_equal(status, 404);
  end(&s);
}

/* The sum of the last hour includes the closes whose records were overwritten. */
/* capability: H1 */
TEST_CASE(last_hour_counts_more_than_the_records) {
  enum { RECORDS = 10, ENDED = 25 };
  suite s = {.observe = NULL};
  int status;
  site_begin(&s.on, (vestry_options){.scope = NULL});
  const vestry_observe_options options = {.trusts_loopback = true};
  vsi_closes *closes;
  assert_int_equal(vsi_closes_use(s.on.v, RECORDS, &closes), VESTRY_OK);
  assert_int_equal(vestry_observe_create(s.on.v, &options, &s.observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s.observe, "/observe"), VESTRY_OK);
  for (int i = 0; i < ENDED; i++) {
    wire one = {.path = "/", .datastar = true};
    wire_request(&s.on, &one, live, NULL);
    vestry_connection_close(one.connection, VESTRY_CAUSE_STALLED);
    site_settle(&s.on);
    site_pass_ms(&s.on, 60000);
    wire_finish(&one);
  }
  json_t *all = request(&s, "/observe/closed", NULL, &status);
  assert_int_equal(json_array_size(json_object_get(all, "closed")), RECORDS);
  assert_int_equal(number(json_object_get(all, "last_hour"), "stalled"), ENDED);
  json_decref(all);
  site_pass_ms(&s.on, 45 * 60000); /* now the first one ended 70 minutes ago, the last one 46 */
  all = request(&s, "/observe/closed", NULL, &status);
  assert_int_equal(number(json_object_get(all, "last_hour"), "stalled"), 14);
  assert_int_equal(number(json_object_get(all, "all"), "stalled"), ENDED);
  json_decref(all);
  vestry_observe_destroy(s.observe);
  site_end(&s.on);
}

/* Streams of the console and of a tail are marked after their end, and counted separately. */
static void open_console_and_tail(suite *s) {
  static const char *const paths[] = {"/observe/console/events", "/observe/streams/6/tail"};
  wire r[2];
  for (int i = 0; i < 2; i++) {
    r[i] = (wire){.path = paths[i], .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
    wire_request(&s->on, &r[i], NULL, NULL);
    assert_int_equal(r[i].status, i ? 409 : 200); /* the console's stream is the sixth, and has no tail */
  }
  wire user = {.path = "/", .datastar = true};
  wire_request(&s->on, &user, live, NULL);
  wire_finish(&r[1]);
  r[1] = (wire){.path = "/observe/streams/7/tail", .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, &r[1], NULL, NULL);
  assert_int_equal(r[1].status, 200);
  for (int i = 0; i < 2; i++) wire_hang_up(&s->on, &r[i]);
  wire_hang_up(&s->on, &user);
  site_settle(&s->on);
  wire_finish(&r[0]);
  wire_finish(&r[1]);
  wire_finish(&user);
}

static json_int_t sum_of(const json_t *counts) {
  json_int_t sum = 0;
  const char *name;
  json_t *count;
  json_object_foreach((json_t *)counts, name, count) sum += json_integer_value(count);
  return sum;
}

/* capability: H1, H4 */
TEST_CASE(streams_of_console_and_tail_are_marked) {
  suite s;
  int status;
  begin(&s);
  open_console_and_tail(&s);
  vestry_stats stats = {0};
  vestry_stats_get(s.on.v, &stats);
  assert_int_equal(stats.closed_count, STREAMS + 3);
  static const char *const queries[] = {NULL, "consoles=yes", "consoles=no"};
  for (size_t i = 0; i < 3; i++) {
    json_t *all = request(&s, "/observe/closed", queries[i], &status), *list = json_object_get(all, "closed");
    assert_int_equal(json_array_size(list), i < 2 ? STREAMS + 3 : STREAMS + 1);
    size_t marked = 0;
    for (size_t j = 0; j < json_array_size(list); j++)
      marked += json_is_true(json_object_get(json_array_get(list, j), "console"));
    assert_int_equal(marked, i < 2 ? 2 : 0);
    assert_int_equal(sum_of(json_object_get(all, "all")), stats.closed_count); /* regardless of the filter */
    assert_int_equal(sum_of(json_object_get(all, "all_consoles")), 2);
    assert_int_equal(sum_of(json_object_get(all, "last_hour")), stats.closed_count);
    assert_int_equal(number(json_object_get(all, "last_hour_consoles"), "hangup"), 2);
    json_decref(all);
  }
  json_t *one = request(&s, "/observe/streams/6", NULL, &status);
  assert_true(json_is_true(json_object_get(one, "console")));
  json_decref(one);
  end(&s);
}

/* capability: H1 */
TEST_CASE(invalid_parameters_get_400) {
  static const char *const wrong[] = {"cause=",   "cause=none", "cause=unknown", "before=0",  "before=x",
                                      "after=-1", "limit=0",    "limit=101",     "consoles=", "consoles=2"};
  suite s;
  begin(&s);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    int status;
    assert_null(request(&s, "/observe/closed", wrong[i], &status));
    assert_int_equal(status, 400);
  }
  end(&s);
}

TEST_CASE(failed_allocation_gets_an_error_or_whole_answer) {
  static const char *const paths[] = {"/observe/closed", "/observe/streams/1", "/observe/streams/6"};
  suite s;
  begin(&s);
  wire open = {.path = "/", .datastar = true}; /* the sixth stream */
  wire_request(&s.on, &open, live, NULL);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    bool is_whole = false;
    for (long at = 0; !is_whole; at++) {
      int status;
      test_host_fail_in(&s.on.th, at);
      json_t *made = request(&s, paths[i], NULL, &status);
      is_whole = !test_host_has_failed(&s.on.th);
      assert_true(at < 1000 && (made || !is_whole)); /* an answer, if any, is complete: it was parsed */
      if (is_whole && i) assert_string_equal(text(made, "state"), i == 1 ? "closed" : "open");
      json_decref(made);
    }
  }
  wire_hang_up(&s.on, &open);
  wire_finish(&open);
  end(&s);
}
