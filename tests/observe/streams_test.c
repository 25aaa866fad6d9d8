/* SPDX-License-Identifier: MIT */
/* Streams: all values shown of one stream, and lists in each order, page by page. */
#include <stdio.h>
#include <stdlib.h>

#include "serve/wire.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_options options) {
  site_begin_pages(&s->on, options, NULL);
  assert_int_equal(vestry_observe_create(
                       s->on.v, &(vestry_observe_options){.trusts_loopback = true, .pages = s->on.pages}, &s->observe),
                   VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

static uint64_t id_of(vestry_memory_exchange *exchange) {
  return vestry_connection_look(vestry_memory_look(exchange).connection).id;
}

static vestry_stream_info info_of(suite *s, vestry_memory_exchange *exchange) {
  vestry_stream_info info = {0};
  assert_int_equal(vestry_observe_stream(s->observe, id_of(exchange), &info), VESTRY_OK);
  assert_int_equal(info.id, id_of(exchange));
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
  vestry_stream_info info = info_of(&s, a);
  assert_string_equal(info.key, "[\"user\",7]");
  assert_false(info.is_key_cut);
  assert_int_equal(info.keys_count, 1);
  assert_int_equal(strlen(info.scope), 8);
  assert_int_equal(strspn(info.scope, "0123456789abcdef"), 8);
  assert_string_equal(info.scope, info_of(&s, b).scope);
  assert_string_not_equal(info.scope, info_of(&s, c).scope);
  assert_int_equal(info.state, VESTRY_STATE_OPEN);
  assert_int_equal(info.cause, VESTRY_CAUSE_NONE);
  assert_int_equal(info.age_ms, 1750);
  assert_int_equal(info.last_write_ms, 250);
  assert_string_equal(info.adapter, "memory");
  assert_string_equal(info.coding, "identity");
  assert_int_equal(info.accepted_count, 4);
  assert_int_equal(info.written_count, 1);
  assert_int_equal(info.queued_count, 3);
  assert_int_equal(info.refused_count, 1);
  assert_int_equal(info.last_error, VESTRY_FULL);
  assert_true(info.queued_bytes > 3 * 20 && info.written_bytes > 20);
  assert_true(info.ratio == 1);
  assert_int_equal(info.written_bytes, info.wire_bytes);
  assert_true(info.unacknowledged_bytes < 0);
  assert_false(info.is_page);
  info = info_of(&s, b);
  assert_string_equal(info.key, "[\"user\",8]");
  assert_int_equal(info.accepted_count + info.refused_count + info.written_bytes, 0);
  assert_int_equal(info.last_error, VESTRY_OK);
  const uint64_t gone = id_of(a);
  vestry_memory_destroy(a);
  site_settle(&s.on);
  assert_int_equal(vestry_observe_stream(s.observe, gone, &info), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_observe_stream(s.observe, 0, &info), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_observe_stream(s.observe, 1000, &info), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_observe_stream(NULL, 1, &info), VESTRY_INVALID);
  assert_int_equal(vestry_observe_stream(s.observe, 1, NULL), VESTRY_INVALID);
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
  const vestry_stream_info info = info_of(&s, stream);
  assert_string_equal(info.coding, "gzip");
  assert_true(info.ratio > 5);
  assert_string_equal(info.key, "");
  assert_string_equal(info.scope, "");
  assert_int_equal(info.keys_count, 0);
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

static vestry_stream_info info_of_key(suite *s, const char *bytes, size_t len) {
  vestry_memory_exchange *stream;
  vestry_slice key = {bytes, len};
  assert_int_equal(vestry_memory_request(s->on.v, &(vestry_memory_call){.datastar = true}, live_bytes, &key, &stream),
                   VESTRY_OK);
  site_settle(&s->on);
  const vestry_stream_info info = info_of(s, stream);
  vestry_memory_destroy(stream);
  site_settle(&s->on);
  return info;
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, (vestry_options){.scope = NULL}), end(s))

/* capability: H1 */
SUITE_CASE(keys_of_any_bytes_are_shown_as_text) {
  vestry_stream_info info = info_of_key(s, "a\"b\\\n<script>", 13);
  assert_string_equal(info.key, "[\"a\\\"b\\\\\\u000a<script>\"]");
  info = info_of_key(s, "\xff\x00x", 3);
  assert_string_equal(info.key, "[{\"bytes\":\"ff0078\"}]");
  assert_false(info.is_key_cut);
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
        info = info_of_key(s, bytes, at);
        const size_t shown = strlen(info.key);
        json_t *text = json_pack("s", info.key); /* accepts only UTF-8 */
        assert_non_null(text);
        json_decref(text);
        assert_true(shown < sizeof info.key && (!info.is_key_cut || shown + 4 >= sizeof info.key - 1));
        for (size_t i = 0; i < shown; i++) assert_true((unsigned char)info.key[i] >= 0x20);
      }
  free(bytes);
}

/* ---------------------------------------------------------------------------------------------------- lists ------- */

enum { STREAMS = 250 };

typedef struct listed {
  uint64_t ids[STREAMS + 100], values[STREAMS + 100];
  size_t count;
  vestry_stream_order order;
} listed;

static void take(const vestry_stream_info *info, void *ctx) {
  listed *l = ctx;
  assert_true(l->count < sizeof l->ids / sizeof *l->ids);
  l->ids[l->count] = info->id;
  l->values[l->count++] = l->order == VESTRY_STREAMS_QUEUED ? info->queued_bytes : info->wire_bytes;
}

static void list_all(suite *s, vestry_stream_query query, listed *l) {
  l->count = 0;
  l->order = query.order;
  do {
    const size_t before = l->count;
    assert_int_equal(vestry_observe_streams(s->observe, &query, take, l, &query.from), VESTRY_OK);
    assert_true(l->count - before <= (query.limit ? query.limit : VESTRY_STREAMS_MAX_COUNT));
  } while (query.from.id);
}

/* capability: H1 */
SUITE_CASE(each_order_lists_every_stream_once) {
  listed l;
  vestry_memory_exchange *streams[STREAMS];
  for (int i = 0; i < STREAMS; i++) streams[i] = open_user(s, i, NULL);
  for (int i = 0; i < STREAMS; i++) {
    for (int n = i * 7 % 5; n; n--) send_signal(streams[i], n, VESTRY_OK);
    site_settle(&s->on);
    vestry_memory_mode_set(streams[i], VESTRY_MEMORY_BLOCKS);
    for (int n = i * 11 % 7; n; n--) send_signal(streams[i], n, VESTRY_OK);
    site_settle(&s->on);
  }
  static const size_t limits[] = {0, 1, 7, 99};
  for (int order = VESTRY_STREAMS_NEWEST; order <= VESTRY_STREAMS_BYTES; order++)
    for (size_t n = 0; n < sizeof limits / sizeof *limits; n++) {
      list_all(s, (vestry_stream_query){.order = (vestry_stream_order)order, .limit = limits[n]}, &l);
      assert_int_equal(l.count, STREAMS);
      bool seen[STREAMS + 1] = {false};
      for (size_t i = 0; i < l.count; i++) {
        assert_true(l.ids[i] >= 1 && l.ids[i] <= STREAMS && !seen[l.ids[i]]);
        seen[l.ids[i]] = true;
        if (!i) continue;
        if (order == VESTRY_STREAMS_NEWEST) assert_true(l.ids[i] < l.ids[i - 1]);
        if (order == VESTRY_STREAMS_OLDEST) assert_true(l.ids[i] > l.ids[i - 1]);
        if (order >= VESTRY_STREAMS_QUEUED)
          assert_true(l.values[i] < l.values[i - 1] || (l.values[i] == l.values[i - 1] && l.ids[i] > l.ids[i - 1]));
      }
    }
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(streams[i]);
}

static size_t count_of(suite *s, const char *prefix) {
  listed l;
  list_all(s, (vestry_stream_query){.prefix = prefix, .limit = 10}, &l);
  return l.count;
}

/* capability: H1 */
SUITE_CASE(streams_are_found_by_key_prefix) {
  vestry_memory_exchange *streams[STREAMS];
  for (int i = 0; i < STREAMS; i++) streams[i] = open_user(s, i, NULL);
  assert_int_equal(count_of(s, ""), STREAMS);
  assert_int_equal(count_of(s, "user"), STREAMS);
  assert_int_equal(count_of(s, "[\"user\",24"), 1 + 10);
  assert_int_equal(count_of(s, "user\",24]"), 1);
  assert_int_equal(count_of(s, "ser"), 0);
  assert_int_equal(count_of(s, "[\"user\",250"), 0);
  listed l;
  list_all(s, (vestry_stream_query){.prefix = "user\",249]"}, &l);
  assert_int_equal(l.count, 1);
  assert_int_equal(l.ids[0], id_of(streams[249]));
  assert_int_equal(vestry_observe_streams(NULL, NULL, take, &l, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_streams(s->observe, NULL, NULL, &l, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_streams(s->observe, &(vestry_stream_query){.limit = 101}, take, &l, NULL),
                   VESTRY_INVALID);
  assert_int_equal(
      vestry_observe_streams(s->observe, &(vestry_stream_query){.order = (vestry_stream_order)4}, take, &l, NULL),
      VESTRY_INVALID);
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(streams[i]);
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
  const vestry_stream_info info = info_of(s, stream);
  assert_true(info.is_page);
  assert_string_equal(info.path, path);
  assert_int_equal(info.topics_count, 6);
  for (size_t i = 0; i < VESTRY_SHOWN_TOPICS_COUNT; i++)
    assert_true((strlen(info.topics[i]) == 1 && strchr("ac", *info.topics[i])) ||
                strcmp(info.topics[i], "vestry_tab") == 0 || /* without the id of the tab */
                strcmp(info.topics[i], "b\xEF\xBF\xBD") == 0);
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
  vestry_stream_info info = {0};
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &without),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_stream(without, id_of(own), &info), VESTRY_OK);
  assert_false(info.is_page);
  assert_string_equal(info.path, "");
  vestry_observe_destroy(without);
  vestry_memory_destroy(own);
  vestry_memory_destroy(shared);
  site_settle(&s->on);
}
