/* SPDX-License-Identifier: MIT */
/* The metrics of encoding, compared with streams that are decoded. */
#include "decode/decode.h"
#include "ops/observe/text.h"
#include "serve/wire.h"
#include "vestry/channel.h"

#include <stdlib.h>

enum { CODINGS = 3, EACH = 2, STREAMS = CODINGS * EACH, TEXT_BYTES = 600 };

static const char *const codings[CODINGS] = {"identity", "gzip", "br"};
static const vestry_profile offered[] = {{.ops = &vestry_profile_gzip}, {.ops = &vestry_profile_brotli}};
static const plan nothing = {.keep = true};

typedef struct suite {
  site on;
  vestry_observe *observe;
  wire r[STREAMS]; /* the i-th has the coding i % CODINGS */
  uint64_t number; /* of the last event */
} suite;

static void begin(suite *s, const vestry_profile *profiles, size_t count) {
  memset(s, 0, sizeof *s);
  site_begin(&s->on, (vestry_options){.profiles = profiles, .profiles_count = count});
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &s->observe),
                   VESTRY_OK);
  for (size_t i = 0; i < STREAMS; i++) {
    s->r[i].headers[0] = (vestry_header){"Accept-Encoding", codings[i % CODINGS]};
    wire_plan(&s->on, &s->r[i], &nothing);
    assert_int_equal(s->r[i].status, 200);
  }
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  wires_end_array(&s->on, s->r, STREAMS);
}

/* Make an event that is long enough to be compressed, and differs from all others in a few places. */
static vestry_event *next_event(suite *s) {
  char text[TEXT_BYTES];
  vestry_event *event = NULL;
  size_t len = (size_t)snprintf(text, sizeof text, "<p>%llu", (unsigned long long)++s->number);
  while (len < sizeof text - 40) len += (size_t)snprintf(text + len, sizeof text - len, "<b>bird %zu</b>", len * len);
  len += (size_t)snprintf(text + len, sizeof text - len, "</p>");
  assert_int_equal(vestry_event_elements(&s->on.th.host, text, len, NULL, &event), VESTRY_OK);
  return event;
}

/* Send an event to the streams whose bits are set. */
static void send_to(suite *s, unsigned streams, vestry_event *event) {
  for (size_t i = 0; i < STREAMS; i++)
    if (streams >> i & 1) assert_int_equal(vestry_connection_send(s->r[i].connection, event), VESTRY_OK);
  vestry_event_unref(event);
  site_settle(&s->on);
}

static uint64_t value_of(const suite *s, const char *name, const char *label, const char *is) {
  static char text[1 << 16];
  char series[100];
  snprintf(series, sizeof series, "\n%s_total{%s=\"%s\"} ", name, label, is);
  assert_int_equal(vestry_observe_metrics(s->observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  const char *at = strstr(text, series);
  assert_non_null(at);
  return strtoull(at + strlen(series), NULL, 10);
}

/* ---------------------------------------------------------------------------------------------------- bytes ------- */

/* Return the bytes of the events that the stream decodes to, without comments. */
static size_t event_bytes_of(const wire *r, const char *coding) {
  decoder d;
  size_t bytes = 0;
  decoder_init(&d, coding);
  decoder_feed(&d, r->text, r->text_len);
  assert_false(d.broken);
  const char *text = d.text.len ? vsi_buffer_terminate(&d.text) : "";
  for (const char *next, *at = text; *at; at = next) {
    next = strstr(at, "\n\n");
    assert_non_null(next);
    next += 2;
    if (*at != ':') bytes += (size_t)(next - at);
  }
  decoder_finish(&d);
  return bytes;
}

/* Assert that the metrics of each coding equal the bytes of its streams, and that both sums equal those of the
 * instance. */
static void check_bytes(suite *s) {
  uint64_t events[CODINGS] = {0}, wires[CODINGS] = {0}, events_sum = 0, wires_sum = 0;
  vestry_stats stats = {0};
  for (size_t i = 0; i < STREAMS; i++) {
    events[i % CODINGS] += event_bytes_of(&s->r[i], codings[i % CODINGS]);
    wires[i % CODINGS] += s->r[i].text_len;
  }
  for (size_t i = 0; i < CODINGS; i++) {
    assert_int_equal(value_of(s, "vestry_event_bytes", "coding", codings[i]), events[i]);
    assert_int_equal(value_of(s, "vestry_wire_bytes", "coding", codings[i]), wires[i]);
    events_sum += events[i];
    wires_sum += wires[i];
    for (size_t other = 0; other < i; other++) /* so that bytes counted for a wrong coding are detected */
      assert_true(events[i] != events[other] && wires[i] != wires[other]);
  }
  vestry_stats_get(s->on.v, &stats);
  assert_int_equal(stats.written_bytes, events_sum);
  assert_int_equal(stats.wire_bytes, wires_sum);
}

/* Send i + 1 events to each stream of the i-th coding, and one more through a channel. */
static void send_some(suite *s) {
  for (unsigned i = 0; i < CODINGS; i++)
    for (unsigned n = 0; n <= i; n++) send_to(s, 1U << i | 1U << (i + CODINGS), next_event(s));
  vestry_event *event = next_event(s);
  size_t sent = 0;
  assert_int_equal(vestry_broadcast(s->on.v, NOWHERE, VESTRY_KEY("birds"), event, &sent), VESTRY_OK);
  assert_true(sent > 0);
  vestry_event_unref(event);
  site_settle(&s->on);
}

/* capability: H2 */
TEST_CASE(byte_metrics_match_the_streams_of_each_coding) {
  suite s;
  begin(&s, offered, sizeof offered / sizeof *offered);
  for (size_t i = 0; i < STREAMS; i++)
    assert_int_equal(vestry_join(s.on.v, NOWHERE, VESTRY_KEY("birds"), s.r[i].connection), VESTRY_OK);
  for (int round = 0; round < 3; round++) {
    send_some(&s);
    check_bytes(&s);
  }
  site_pass_ms(&s.on, 15001); /* heartbeats are bytes on the wire, but not events */
  check_bytes(&s);
  end(&s);
}

/* capability: H2 */
TEST_CASE(byte_metrics_include_ended_streams) {
  suite s;
  begin(&s, offered, sizeof offered / sizeof *offered);
  for (size_t i = 0; i < STREAMS; i++)
    assert_int_equal(vestry_join(s.on.v, NOWHERE, VESTRY_KEY("birds"), s.r[i].connection), VESTRY_OK);
  send_some(&s);
  for (size_t i = 0; i < STREAMS; i++) {
    wire_hang_up(&s.on, &s.r[i]);
    check_bytes(&s);
  }
  end(&s);
}

/* -------------------------------------------------------------------------------------------------- encodes ------- */

static void check_encodes(suite *s, uint64_t alone, uint64_t aligned, uint64_t followed) {
  static const char name[] = "vestry_channel_encodes";
  assert_int_equal(value_of(s, name, "kind", "standalone"), alone);
  assert_int_equal(value_of(s, name, "kind", "in_sync"), aligned);
  assert_int_equal(value_of(s, name, "kind", "followed"), followed);
}

/* capability: H2 */
TEST_CASE(event_is_encoded_once_for_each_coding) {
  enum { GZIP = 1 << 1 | 1 << 4, BROTLI = 1 << 2 | 1 << 5, ALL = (1 << STREAMS) - 1 };
  suite s;
  begin(&s, offered, sizeof offered / sizeof *offered);
  check_encodes(&s, 0, 0, 0);
  send_to(&s, ALL, next_event(&s));
  check_encodes(&s, 2, 0, 0); /* identity has no encoder */
  send_to(&s, GZIP, next_event(&s));
  check_encodes(&s, 3, 0, 0);
  send_to(&s, 1, next_event(&s));
  check_encodes(&s, 3, 0, 0);
  for (size_t i = 0; i < STREAMS; i++)
    if ((GZIP | BROTLI) >> i & 1)
      assert_int_equal(vestry_join(s.on.v, NOWHERE, VESTRY_KEY("birds"), s.r[i].connection), VESTRY_OK);
  for (unsigned n = 1; n <= 3; n++) {
    vestry_event *event = next_event(&s);
    assert_int_equal(vestry_broadcast(s.on.v, NOWHERE, VESTRY_KEY("birds"), event, NULL), VESTRY_OK);
    vestry_event_unref(event);
    site_settle(&s.on);
    check_encodes(&s, 3, 2 * n, 0);
  }
  end(&s);
}

/* capability: H2 */
TEST_CASE(following_event_is_counted_as_followed) {
  enum { ONE_OF_BROTLI = 1 << 2 };
  suite s;
  begin(&s, offered, sizeof offered / sizeof *offered);
  vestry_event *first = next_event(&s), *second = next_event(&s);
  vestry_event_follow(second, first);
  send_to(&s, ONE_OF_BROTLI, first);
  check_encodes(&s, 1, 0, 0);
  send_to(&s, ONE_OF_BROTLI, second);
  check_encodes(&s, 1, 0, 1);
  end(&s);
}
