/* SPDX-License-Identifier: MIT */
/* Encoded streams of requests: negotiation, headers, limits, and decoding to the end. */
#include "http/encoding.h"

#include <malloc.h>

#include "decode/decode.h"
#include "serve/wire.h"
#include "vestry/channel.h"

static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};

#define HELLO "event: datastar-patch-elements\ndata: elements <p>hello</p>\n\n"

static const plan hello = {.effects = "[[\"patch-elements\", \"<p>hello</p>\"]]"}, nothing = {.keep = true};

/* Check that the stream decodes to this text without comments, and that it is complete if it ended cleanly. */
static void assert_reads(wire *r, const char *coding, const char *expected) {
  decoder d;
  decoder_init(&d, coding);
  decoder_feed(&d, r->text, r->text_len);
  assert_false(d.broken);
  const char *text = d.text.len ? vsi_buffer_terminate(&d.text) : "";
  if (*text == ':') text = strstr(text, "\n\n") + 2;
  assert_string_equal(text, expected);
  if (strcmp(coding, "identity")) assert_int_equal(d.ended, r->clean);
  decoder_finish(&d);
}

/* capability: C13 */
TEST_CASE(request_decides_the_coding) {
  static const struct {
    const char *accept, *coding;
  } cases[] = {{"gzip, deflate, br", "br"},
               {"gzip;q=1, br;q=0.5", "gzip"},
               {"deflate", "identity"},
               {NULL, "identity"},
               {"br;q=nonsense", "identity"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    site_begin(&w, (vestry_options){.profiles = offered, .profiles_count = 2});
    wire r = {.datastar = true, .headers = {{cases[i].accept ? "Accept-Encoding" : NULL, cases[i].accept}}};
    wire_plan(&w, &r, &hello);
    assert_int_equal(r.status, 200);
    char line[64];
    snprintf(line, sizeof line, "Content-Encoding: %s", cases[i].coding);
    bool plain = !strcmp(cases[i].coding, "identity");
    assert_int_equal(wire_has_header(&r, line), !plain);
    assert_int_equal(strstr(r.head, "Content-Encoding") != NULL, !plain);
    assert_true(wire_has_header(&r, "Vary: Accept-Encoding")); /* also if identity was chosen */
    assert_true(r.clean);
    assert_reads(&r, cases[i].coding, HELLO);
    wires_end(&w, &r);
  }
}

TEST_CASE(without_profiles_streams_are_plain) {
  site w;
  site_begin(&w, (vestry_options){.profiles = NULL});
  wire r = {.datastar = true, .headers = {{"Accept-Encoding", "br, *;q=0"}}};
  wire_plan(&w, &r, &hello);
  assert_null(strstr(r.head, "Vary"));
  assert_null(strstr(r.head, "Content-Encoding"));
  assert_reads(&r, "identity", HELLO);
  wires_end(&w, &r);
}

/* capability: C13 */
TEST_CASE(no_acceptable_coding_gets_406) {
  site w;
  site_begin(&w, (vestry_options){.profiles = offered, .profiles_count = 2});
  wire r = {.datastar = true, .headers = {{"Accept-Encoding", "deflate, identity;q=0"}}};
  wire_plan(&w, &r, &hello);
  assert_int_equal(r.status, 406);
  assert_int_equal(r.opens, 0);
  wires_end(&w, &r);
}

/* The profiles of a reply override those of the instance. */
typedef struct reply_plan {
  const vestry_profile *profiles;
  size_t count;
  vestry_err error;
  const char *vary;
} reply_plan;

static vestry_err profiled(const vestry_request *req, vestry_reply *reply, void *app) {
  const reply_plan *p = app;
  if (p->vary) assert_int_equal(vestry_reply_header(reply, "Vary", p->vary), VESTRY_OK);
  assert_int_equal(
      vestry_reply_stream(reply, &(vestry_stream_options){.profiles = p->profiles, .profiles_count = p->count}),
      p->error);
  return vestry_reply_patch_elements(reply, "<p>hello</p>");
}

/* capability: C13 */
TEST_CASE(reply_overrides_the_profiles) {
  static const vestry_profile own[] = {{.ops = &test_chain}, {.ops = &vestry_profile_gzip}};
  static const vestry_profile plain[] = {{.ops = &vestry_profile_identity}, {.ops = &vestry_profile_gzip}};
  static const struct {
    reply_plan plan;
    const char *accept, *coding;
  } cases[] = {{{own, 2, VESTRY_OK, NULL}, "br, gzip, x-chain", "x-chain"},
               {{own, 2, VESTRY_OK, "Cookie"}, "br, gzip", "gzip"},
               {{own, 0, VESTRY_OK, NULL}, "br, gzip", "identity"},
               {{NULL, 0, VESTRY_OK, NULL}, "br, gzip", "br"} /* not set: the instance's */,
               {{plain, 2, VESTRY_OK, NULL}, "*", "identity"},
               {{own, VESTRY_PROFILES_MAX + 1, VESTRY_INVALID, NULL}, "br", "br"}, /* the instance's remain */
               {{NULL, 1, VESTRY_INVALID, NULL}, "br", "br"}};
  site w;
  site_begin(&w, (vestry_options){.profiles = offered, .profiles_count = 2});
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wire r = {.datastar = true, .headers = {{"Accept-Encoding", cases[i].accept}}};
    wire_request(&w, &r, profiled, (void *)&cases[i].plan);
    assert_reads(&r, cases[i].coding, HELLO);
    assert_int_equal(wire_has_header(&r, "Vary: Accept-Encoding"),
                     cases[i].plan.count || cases[i].plan.error || !cases[i].plan.profiles);
    if (cases[i].plan.vary) assert_true(wire_has_header(&r, "Vary: Cookie"));
    wire_finish(&r);
  }
  static const vestry_profile bad = {.ops = &vestry_profile_gzip, .level = 10};
  wire r = {.datastar = true};
  wire_request(&w, &r, profiled, &(reply_plan){&bad, 1, VESTRY_INVALID, NULL});
  wire_finish(&r);
  site_end(&w);
}

TEST_CASE(invalid_profiles_are_refused) {
  static const vestry_profile bad = {.ops = &vestry_profile_brotli, .level = 11}, none = {.ops = NULL};
  site w;
  test_host_init(&w.th);
  assert_int_equal(site_try(&w, (vestry_options){.profiles = &bad, .profiles_count = 1}, (site_has){.secret = NULL}),
                   VESTRY_INVALID);
  assert_int_equal(site_try(&w, (vestry_options){.profiles = &none, .profiles_count = 1}, (site_has){.secret = NULL}),
                   VESTRY_INVALID);
  assert_int_equal(site_try(&w, (vestry_options){.profiles_count = 1}, (site_has){.secret = NULL}), VESTRY_INVALID);
  assert_int_equal(site_try(&w, (vestry_options){.profiles = offered, .profiles_count = 9}, (site_has){.secret = NULL}),
                   VESTRY_INVALID);
}

/* Return the number of epochs that three events begin; 0: the default limit. */
static uint64_t epochs_of(uint64_t max_epoch_bytes) {
  site w;
  const vestry_scope scope = {NULL, 0};
  const vestry_key *key = VESTRY_KEY("all");
  site_begin(&w, (vestry_options){.profiles = offered,
                                  .profiles_count = 2,
                                  .bounds = &(vestry_bounds){.max_epoch_bytes = max_epoch_bytes}});
  wire r = {.datastar = true, .headers = {{"Accept-Encoding", "br"}}};
  wire_plan(&w, &r, &nothing);
  assert_int_equal(vestry_join(w.v, scope, key, r.connection), VESTRY_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(vestry_broadcast_effect(w.v, scope, key, VESTRY_LIST("patch-elements", "<p>hello</p>")),
                     VESTRY_OK);
    site_settle(&w);
  }
  vsi_channel_stats stats = {0};
  assert_int_equal(channel_stats_get(w.v, scope, key, &stats), VESTRY_OK);
  site_close(&w);
  wire_finish(&r);
  return stats.epochs_count;
}

TEST_CASE(max_epoch_bytes_limits_epochs) {
  assert_int_equal(epochs_of(0), 1);
  assert_int_equal(epochs_of(1), 3);
  site w;
  test_host_init(&w.th);
  assert_int_equal(site_try(&w, (vestry_options){.bounds = &(vestry_bounds){.max_epoch_bytes = UINT64_MAX}},
                            (site_has){.secret = NULL}),
                   VESTRY_INVALID);
}

TEST_CASE(channel_events_reach_streams_of_each_coding) {
  site w;
  site_begin(&w, (vestry_options){.profiles = offered, .profiles_count = 2});
  const vestry_scope scope = {NULL, 0};
  const vestry_key *key = VESTRY_KEY("all");
  static const char *const accepts[] = {"br", "gzip", "identity"};
  wire r[3];
  for (int i = 0; i < 3; i++) {
    r[i] = (wire){.datastar = true, .headers = {{"Accept-Encoding", accepts[i]}}};
    wire_plan(&w, &r[i], &nothing);
    assert_int_equal(vestry_join(w.v, scope, key, r[i].connection), VESTRY_OK);
  }
  vestry_event *event = NULL;
  assert_int_equal(vestry_event_elements(&w.th.host, "<p>hello</p>", 12, NULL, &event), VESTRY_OK);
  size_t sent;
  assert_int_equal(vestry_broadcast(w.v, scope, key, event, &sent), VESTRY_OK);
  assert_int_equal(sent, 3);
  vestry_event_unref(event);
  site_settle(&w);
  for (int i = 0; i < 3; i++) assert_reads(&r[i], accepts[i], HELLO);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(stats.written_bytes, 3 * strlen(HELLO));
  assert_int_equal(stats.wire_bytes, r[0].text_len + r[1].text_len + r[2].text_len);
  wires_end_array(&w, r, 3);
}

static bool has_written(site *w) {
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  return stats.written_count > 0;
}

/* A request for an encoded stream, with allocation N failing: it gets 500, or its stream can be decoded. */
TEST_CASE(encoded_streams_survive_every_allocation_failure) {
  static const char *const codings[] = {"br", "gzip"};
  for (int i = 0; i < 2; i++)
    for (long number = 0, failed = 1; failed; number++) {
      site w;
      site_begin(&w, (vestry_options){.profiles = offered, .profiles_count = 2});
      wire r = {.datastar = true, .headers = {{"Accept-Encoding", codings[i]}}};
      atomic_store(&w.th.allocations, 0);
      atomic_store(&w.th.fail_at, number);
      wire_plan(&w, &r, &hello);
      failed = atomic_load(&w.th.allocations) > number;
      test_host_fail_no_more(&w.th);
      site_settle(&w);
      if (r.status == 200 && r.clean)
        assert_reads(&r, codings[i], has_written(&w) ? HELLO : ""); /* the event itself may have failed */
      else
        assert_true(failed);
      wires_end(&w, &r);
    }
}

/* ----------------------------------------------------------------------------------------------- idle streams ----- */

/* Memory of the instance's host, in bytes. */
static size_t bytes_held;
static void *(*host_reallocate)(void *ctx, void *memory, size_t size_bytes);

static void *weigh(void *ctx, void *memory, size_t size_bytes) {
  size_t before = memory ? malloc_usable_size(memory) : 0;
  void *now = host_reallocate(ctx, memory, size_bytes);
  if (now || size_bytes == 0) bytes_held += (now ? malloc_usable_size(now) : 0) - before;
  return now;
}

/* Return the number of bytes that a stream holds after it was sent an event and became idle. */
static size_t idle_bytes(const vestry_profile *profile, const char *accept) {
  enum { COUNT = 16 };
  site w;
  site_begin(&w, (vestry_options){.profiles = profile, .profiles_count = 1});
  host_reallocate = w.th.host.reallocate;
  w.th.host.reallocate = weigh;
  wire streams[COUNT + 1] = {{0}};
  size_t before = 0;
  for (size_t i = 0; i <= COUNT; i++) {
    streams[i] = (wire){.datastar = true, .headers = {{"Accept-Encoding", accept}}};
    wire_plan(&w, &streams[i], &nothing);
    assert_int_equal(vestry_connection_patch_signals(streams[i].connection, VESTRY_VALUES("{}"), NULL), VESTRY_OK);
    site_settle(&w);
    assert_int_equal(streams[i].opens, 1);
    if (i == 0) before = bytes_held; /* the first stream has allocated the shared state */
  }
  size_t each = (bytes_held - before) / COUNT;
  w.th.host.reallocate = host_reallocate;
  site_close(&w);
  for (size_t i = 0; i <= COUNT; i++) wire_finish(&streams[i]);
  return each;
}

/* capability: F2 */
TEST_CASE(f2_idle_stream_holds_no_encoder) {
  size_t plain = idle_bytes(&offered[0], "identity");
  size_t brotli = idle_bytes(&offered[0], "br"), gzip = idle_bytes(&offered[1], "gzip");
  assert_in_range(plain, 1, 4096);
  assert_in_range(gzip, plain, plain + 64);
  assert_in_range(brotli, plain, plain + 64);
}
