/* SPDX-License-Identifier: MIT */
/* Streams: all values shown of one stream, and lists in each order, page by page. */
#include <stdio.h>
#include <stdlib.h>

#include "serve/wire.h"
#include "support/listed.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_options options) {
  site_begin_pages(&s->on, options, NULL);
  assert_int_equal(vestry_observe_create(
                       s->on.v, &(vestry_observe_options){.trusts_loopback = true, .pages = s->on.pages}, &s->observe),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

static uint64_t id_of(vestry_memory_exchange *exchange) {
  return vestry_connection_look(vestry_memory_look(exchange).connection).id;
}

static json_t *info_of(suite *s, vestry_memory_exchange *exchange) {
  json_t *info = listed_stream(s->observe, id_of(exchange));
  assert_int_equal(listed_number(info, "id"), id_of(exchange));
  return info;
}

/* Store the stream under ["user", number]; app: a pointer to the number. */
static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("user", *(const int *)app));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static vestry_memory_exchange *open_user(suite *s, int number, const char *cookie) {
  const vestry_header header = {"Cookie", cookie};
  const vestry_memory_call call = {.datastar = true, .headers = &header, .headers_count = cookie ? 1 : 0};
  vestry_memory_exchange *made;
  assert_int_equal(vestry_memory_request(s->on.v, &call, live, &number, &made), VESTRY_OK);
  site_settle(&s->on);
  return made;
}

static void send_signal(vestry_memory_exchange *exchange, int value, vestry_err expected) {
  assert_int_equal(
      vestry_connection_patch_signals(vestry_memory_look(exchange).connection, VESTRY_OBJECT("n", value), NULL),
      expected);
}

/* capability: H1, F9 */
TEST_CASE(stream_has_key_scope_times_and_counts) {
  suite s;
  begin(&s,
        (vestry_options){.scope = site_by_cookie,
                         .connection = &(vestry_connection_options){.max_queued_count = 3, .full = VESTRY_FULL_DROP}});
  vestry_memory_exchange *a = open_user(&s, 7, "ann"), *b = open_user(&s, 8, "ann"), *c = open_user(&s, 7, "bob");
  test_host_advance_ms(&s.on.th, 1500);
  send_signal(a, 1, VESTRY_OK);
  site_settle(&s.on);
  test_host_advance_ms(&s.on.th, 250);
  vestry_memory_mode_set(a, VESTRY_MEMORY_BLOCKS);
  for (int i = 0; i < 3; i++) send_signal(a, i, VESTRY_OK);
  send_signal(a, 9, VESTRY_FULL);
  site_settle(&s.on);
  json_t *info = info_of(&s, a), *of_b = info_of(&s, b), *of_c = info_of(&s, c);
  assert_string_equal(listed_text(info, "key"), "[\"user\",7]");
  assert_false(listed_is(info, "key_cut"));
  assert_int_equal(listed_number(info, "keys_count"), 1);
  const char *scope = listed_text(info, "scope");
  assert_int_equal(strlen(scope), 8);
  assert_int_equal(strspn(scope, "0123456789abcdef"), 8);
  assert_string_equal(scope, listed_text(of_b, "scope"));
  assert_string_not_equal(scope, listed_text(of_c, "scope"));
  assert_string_equal(listed_text(info, "state"), "open");
  assert_null(listed_text(info, "cause"));
  assert_int_equal(listed_number(info, "age_ms"), 1750);
  assert_int_equal(listed_number(info, "last_write_ms"), 250);
  assert_string_equal(listed_text(info, "adapter"), "memory");
  assert_string_equal(listed_text(info, "coding"), "identity");
  assert_int_equal(listed_number(info, "accepted_count"), 4);
  assert_int_equal(listed_number(info, "written_count"), 1);
  assert_int_equal(listed_number(info, "queued_count"), 3);
  assert_int_equal(listed_number(info, "refused_count"), 1);
  assert_string_equal(listed_text(info, "last_error"), vestry_strerror(VESTRY_FULL));
  assert_true(listed_number(info, "queued_bytes") > 3 * 20 && listed_number(info, "written_bytes") > 20);
  assert_true(json_real_value(json_object_get(info, "ratio")) == 1);
  assert_int_equal(listed_number(info, "written_bytes"), listed_number(info, "wire_bytes"));
  assert_int_equal(listed_number(info, "unacknowledged_bytes"), -1);
  assert_null(json_object_get(info, "path"));
  assert_null(json_object_get(info, "connection"));
  assert_null(json_object_get(info, "console"));
  assert_string_equal(listed_text(of_b, "key"), "[\"user\",8]");
  assert_int_equal(listed_number(of_b, "accepted_count") + listed_number(of_b, "refused_count") +
                       listed_number(of_b, "written_bytes"),
                   0);
  assert_null(listed_text(of_b, "last_error"));
  json_decref(info);
  json_decref(of_b);
  json_decref(of_c);
  const uint64_t gone = id_of(a);
  vestry_memory_destroy(a);
  site_settle(&s.on);
  info = listed_stream(s.observe, gone);
  assert_string_equal(listed_text(info, "state"), "closed");
  json_decref(info);
  assert_null(listed_stream(s.observe, 0));
  assert_null(listed_stream(s.observe, 1000));
  vestry_memory_destroy(b);
  vestry_memory_destroy(c);
  end(&s);
}

static vestry_err live_compressed(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* capability: H1 */
TEST_CASE(stream_has_its_coding_and_ratio) {
  const vestry_profile profiles[] = {{.ops = &vestry_profile_gzip}};
  suite s;
  begin(&s, (vestry_options){.profiles = profiles, .profiles_count = 1});
  const vestry_header header = {"Accept-Encoding", "gzip"};
  vestry_memory_exchange *stream;
  assert_int_equal(
      vestry_memory_request(s.on.v, &(vestry_memory_call){.datastar = true, .headers = &header, .headers_count = 1},
                            live_compressed, NULL, &stream),
      VESTRY_OK);
  site_settle(&s.on);
  char html[4000];
  memset(html, 'x', sizeof html);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + sizeof html - 4, "</p>", 4);
  assert_int_equal(vestry_connection_patch_elements(vestry_memory_look(stream).connection, html, sizeof html, NULL),
                   VESTRY_OK);
  site_settle(&s.on);
  json_auto_t *info = info_of(&s, stream);
  assert_string_equal(listed_text(info, "coding"), "gzip");
  assert_true(json_real_value(json_object_get(info, "ratio")) > 5);
  assert_string_equal(listed_text(info, "key"), "");
  assert_string_equal(listed_text(info, "scope"), "");
  assert_int_equal(listed_number(info, "keys_count"), 0);
  vestry_memory_destroy(stream);
  end(&s);
}

/* --------------------------------------------------------------------------------------------- hostile keys ------- */

static vestry_err live_bytes(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_slice *bytes = app;
  const vestry_key parts[] = {{.type = VESTRY_KEY_STRING, .data = bytes->data, .len = bytes->len}};
  const vestry_key key = vestry_key_tuple(parts, 1);
  vestry_reply_key(reply, &key);
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

/* Return how a key is shown, until the next call. */
static const char *key_of(suite *s, const char *bytes, size_t len, bool *ret_cut) {
  static char text[256];
  vestry_memory_exchange *stream;
  vestry_slice key = {bytes, len};
  assert_int_equal(vestry_memory_request(s->on.v, &(vestry_memory_call){.datastar = true}, live_bytes, &key, &stream),
                   VESTRY_OK);
  site_settle(&s->on);
  json_auto_t *info = info_of(s, stream);
  snprintf(text, sizeof text, "%s", listed_text(info, "key"));
  *ret_cut = listed_is(info, "key_cut");
  vestry_memory_destroy(stream);
  site_settle(&s->on);
  return text;
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, (vestry_options){.scope = NULL}), end(s))

/* capability: H1 */
SUITE_CASE(keys_of_any_bytes_are_shown_as_text) {
  bool is_cut;
  assert_string_equal(key_of(s, "a\"b\\\n<script>", 13, &is_cut), "[\"a\\\"b\\\\\\u000a<script>\"]");
  assert_string_equal(key_of(s, "\xff\x00x", 3, &is_cut), "[{\"bytes\":\"ff0078\"}]");
  assert_false(is_cut);
  /* Truncated inside a character, an escape or digits, at any offset. */
  char *bytes = malloc(60000);
  assert_non_null(bytes);
  static const char *const fill[] = {"\xe2\x82\xac", "\xf0\x9f\x8e\x9f", "\xc3\xa9", "\x01", "\"", "\xff", "a"};
  for (size_t f = 0; f < sizeof fill / sizeof *fill; f++)
    for (size_t before = 0; before < 8; before++)
      for (size_t len = 100; len < 60000; len *= 3) {
        size_t at = 0;
        while (at < before) bytes[at++] = 'b';
        while (at + 4 < len)
          for (const char *c = fill[f]; *c; c++) bytes[at++] = *c;
        const char *text = key_of(s, bytes, at, &is_cut); /* UTF-8, because its JSON was read */
        const size_t shown = strlen(text);
        assert_true(shown < VSI_SHOWN_KEY_BYTES && (!is_cut || shown + 4 >= VSI_SHOWN_KEY_BYTES - 1));
        for (size_t i = 0; i < shown; i++) assert_true((unsigned char)text[i] >= 0x20);
      }
  free(bytes);
}

/* ---------------------------------------------------------------------------------------------------- lists ------- */

enum { STREAMS = 250 };

typedef struct streams {
  int64_t ids[STREAMS + 100], values[STREAMS + 100];
  size_t count;
} streams;

/* List all pages. query: without limit, if that is 0, and cursor. */
static void list_all(suite *s, const char *query, size_t limit, const char *value, streams *l) {
  char page[256], cursor[64] = "";
  l->count = 0;
  do {
    int len = snprintf(page, sizeof page, "%s%s", query, cursor);
    if (limit) snprintf(page + len, sizeof page - (size_t)len, "&limit=%zu", limit);
    json_auto_t *all = listed(s->observe, vsi_list_streams, page);
    json_t *list = json_object_get(all, "streams"), *info;
    size_t i;
    assert_true(json_array_size(list) <= (limit ? limit : VSI_LIST_MAX_COUNT));
    json_array_foreach(list, i, info) {
      assert_true(l->count < sizeof l->ids / sizeof *l->ids);
      l->ids[l->count] = listed_number(info, "id");
      l->values[l->count++] = listed_number(info, value);
    }
    const char *next = listed_text(all, "next");
    snprintf(cursor, sizeof cursor, next ? "&cursor=%s" : "%s", next ? next : "");
  } while (*cursor);
}

/* capability: H1 */
SUITE_CASE(each_order_lists_every_stream_once) {
  streams l;
  vestry_memory_exchange *opened[STREAMS];
  for (int i = 0; i < STREAMS; i++) opened[i] = open_user(s, i, NULL);
  for (int i = 0; i < STREAMS; i++) {
    for (int n = i * 7 % 5; n; n--) send_signal(opened[i], n, VESTRY_OK);
    site_settle(&s->on);
    vestry_memory_mode_set(opened[i], VESTRY_MEMORY_BLOCKS);
    for (int n = i * 11 % 7; n; n--) send_signal(opened[i], n, VESTRY_OK);
    site_settle(&s->on);
  }
  static const size_t limits[] = {0, 1, 7, 99};
  enum { NEWEST, OLDEST, QUEUED, BYTES };
  static const char *const queries[] = {"sort=newest", "sort=oldest", "sort=queued", "sort=bytes"};
  for (int order = NEWEST; order <= BYTES; order++)
    for (size_t n = 0; n < sizeof limits / sizeof *limits; n++) {
      list_all(s, queries[order], limits[n], order == QUEUED ? "queued_bytes" : "wire_bytes", &l);
      assert_int_equal(l.count, STREAMS);
      bool seen[STREAMS + 1] = {false};
      for (size_t i = 0; i < l.count; i++) {
        assert_true(l.ids[i] >= 1 && l.ids[i] <= STREAMS && !seen[l.ids[i]]);
        seen[l.ids[i]] = true;
        if (!i) continue;
        if (order == NEWEST) assert_true(l.ids[i] < l.ids[i - 1]);
        if (order == OLDEST) assert_true(l.ids[i] > l.ids[i - 1]);
        if (order >= QUEUED)
          assert_true(l.values[i] < l.values[i - 1] || (l.values[i] == l.values[i - 1] && l.ids[i] > l.ids[i - 1]));
      }
    }
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(opened[i]);
}

static size_t count_of(suite *s, const char *prefix) {
  streams l;
  char query[64];
  snprintf(query, sizeof query, "prefix=%s", prefix);
  list_all(s, query, 10, "id", &l);
  return l.count;
}

/* capability: H1 */
SUITE_CASE(streams_are_found_by_key_prefix) {
  vestry_memory_exchange *opened[STREAMS];
  for (int i = 0; i < STREAMS; i++) opened[i] = open_user(s, i, NULL);
  assert_int_equal(count_of(s, ""), STREAMS);
  assert_int_equal(count_of(s, "user"), STREAMS);
  assert_int_equal(count_of(s, "[\"user\",24"), 1 + 10);
  assert_int_equal(count_of(s, "user\",24]"), 1);
  assert_int_equal(count_of(s, "ser"), 0);
  assert_int_equal(count_of(s, "[\"user\",250"), 0);
  streams l;
  list_all(s, "prefix=user\",249]", 0, "id", &l);
  assert_int_equal(l.count, 1);
  assert_int_equal(l.ids[0], id_of(opened[249]));
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(opened[i]);
}

/* ---------------------------------------------------------------------------------------------------- pages ------- */

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  static const char *const topics[] = {"a", "b\n", "c", "vestry_tab/5ec1", "vestry_tab/5ec2", "vestry_tab/5ec3"};
  vestry_render_begin(render, html);
  for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) vestry_render_topic(render, topics[i]);
  vestry_html_add(html, "<p>x</p>");
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "all");
}

static void check_page(suite *s, vestry_memory_exchange *stream, const char *path) {
  site_settle_pages(&s->on);
  json_auto_t *info = info_of(s, stream);
  json_t *topics = json_object_get(info, "topics");
  assert_string_equal(listed_text(info, "path"), path);
  assert_int_equal(listed_number(info, "topics_count"), 6);
  assert_int_equal(json_array_size(topics), 4);
  for (size_t i = 0; i < 4; i++) {
    const char *topic = json_string_value(json_array_get(topics, i));
    assert_true((strlen(topic) == 1 && strchr("ac", *topic)) ||
                strcmp(topic, "vestry_tab") == 0 || /* without the id of the tab */
                strcmp(topic, "b\xEF\xBF\xBD") == 0);
  }
}

/* capability: H1 */
SUITE_CASE(stream_of_a_page_has_path_and_topics) {
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/own", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, page), VESTRY_OK);
  vestry_memory_exchange *own = site_request(&s->on, &(vestry_memory_call){.path = "/own", .datastar = true});
  vestry_memory_exchange *shared = site_request(&s->on, &(vestry_memory_call){.path = "/shared", .datastar = true});
  check_page(s, own, "/own");
  check_page(s, shared, "/shared");
  vestry_observe *without;
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &without),
                   VESTRY_OK);
  json_t *all = listed(without, vsi_list_streams, NULL), *info = json_array_get(json_object_get(all, "streams"), 0);
  assert_non_null(info);
  assert_null(json_object_get(info, "path"));
  json_decref(all);
  vestry_observe_destroy(without);
  vestry_memory_destroy(own);
  vestry_memory_destroy(shared);
  site_settle(&s->on);
}
