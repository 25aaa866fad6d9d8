/* SPDX-License-Identifier: MIT */
/* The size of heads: at the limit of the server, above it, and above those of nghttp2; and the table of heads. */
#include <stdlib.h>
#include <string.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"

enum {
  MOST = 16384,
  MOST_BYTES = 4 << 20,
  FIELD_MORE = 32,
  PIECE_BYTES = 4000,
  PROTOCOL_ERROR = 1,
  ENHANCE_YOUR_CALM = 11
};

static vsi_server s;
static uint8_t encoded[MOST_BYTES];
static char value[MOST_BYTES];

typedef enum filler { PATH, FIELD, FIELDS, COOKIES, FILLERS } filler;

static size_t encode(size_t at, const char *name, const char *text) {
  const char *const field[] = {name, text, NULL};
  return at + frames_encode(encoded + at, sizeof encoded - at, field);
}

/* Encode a head whose fields sum up to `listed`, as SETTINGS_MAX_HEADER_LIST_SIZE counts them. Returns its length. */
static size_t make_head(const frames_client *c, filler by, size_t listed) {
  const char *scheme = c->tls ? "https" : "http", *name = by == COOKIES ? "cookie" : "x";
  size_t len = 1, left = listed - 4 * FIELD_MORE -
                         strlen(":method"
                                "GET"
                                ":scheme"
                                ":authority"
                                "a"
                                ":path"
                                "/echo") -
                         strlen(scheme);
  const size_t most = by == FIELDS || by == COOKIES ? PIECE_BYTES : MOST_BYTES;
  *encoded = 0x20; /* no table */
  len = encode(len, ":method", "GET");
  len = encode(len, ":scheme", scheme);
  len = encode(len, ":authority", "a");
  memset(value, 'a', listed);
  memcpy(value, "/echo?", 6);
  value[by == PATH ? strlen("/echo") + left : strlen("/echo")] = '\0';
  len = encode(len, ":path", value);
  while (by != PATH && left) {
    const size_t field = FIELD_MORE + strlen(name);
    size_t part = left < most ? left : most;
    if (left - part < field + 1) part = left; /* so that another field fits, or none is left */
    memset(value, 'a', part);
    value[part - field] = '\0';
    len = encode(len, name, value);
    left -= part;
  }
  return len;
}

static int status_of(frames_client *c, uint32_t id, filler by, size_t listed) {
  const size_t len = make_head(c, by, listed);
  assert_true(frames_send_head(c, id, FLAG_END_STREAM, encoded, len));
  return frames_status(c, id);
}

static void connect_to(frames_client *c, bool is_tls) {
  if (is_tls) {
    frames_connect_tls(c, s.port, NULL);
  } else {
    frames_connect(c, s.port, 0);
    assert_true(frames_wait(c, FRAME_SETTINGS, 0)); /* and confirm them */
  }
}

static void assert_serves(frames_client *c, uint32_t id) {
  frames_get(c, id, "/echo");
  assert_int_equal(frames_status(c, id), 200);
}

/* ---- at the limit ------------------------------------------------------------------------------------------------ */

static void check_limit(size_t max_head_bytes, bool is_tls) {
  const size_t most = max_head_bytes ? max_head_bytes : MOST;
  frames_client c;
  uint32_t id = 1;
  server_start(&s, &(server_settings){.adapter.max_head_bytes = max_head_bytes, .is_tls = is_tls});
  connect_to(&c, is_tls);
  for (filler by = 0; by < FILLERS; by++, id += 6) {
    assert_int_equal(status_of(&c, id, by, most - 1), 200);
    assert_int_equal(status_of(&c, id + 2, by, most), 200);
    assert_int_equal(status_of(&c, id + 4, by, most + 1), 431);
  }
  assert_serves(&c, id);
  frames_close(&c);
  vsi_server_stop(&s);
}

TEST_CASE(head_at_the_limit_is_served_and_above_refused) {
  static const size_t bounds[] = {0, 1024, 2048, 5000, 40000, 60000};
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
    check_limit(bounds[i], false);
    check_limit(bounds[i], true);
  }
}

/* ---- far above it ------------------------------------------------------------------------------------------------ */

/* Only the request of such a head is refused: a stream of the connection goes on. */
static void check_far_above(size_t max_head_bytes, bool is_tls) {
  static const size_t sizes[] = {MOST + 1, 33000, 65000, 100000, 146000};
  frames_client c;
  uint32_t id = 3;
  server_start(&s, &(server_settings){.adapter.max_head_bytes = max_head_bytes, .is_tls = is_tls});
  connect_to(&c, is_tls);
  frames_open(&c, 1);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (filler by = 0; by < FILLERS; by++, id += 2) {
      if ((by == PATH || by == FIELD) && sizes[k] > 65000) continue;
      if (status_of(&c, id, by, sizes[k]) != (max_head_bytes ? 200 : 431))
        fail_msg("%zu bytes by %d", sizes[k], (int)by);
    }
  assert_serves(&c, id);
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
  assert_true(frames_wait(&c, FRAME_DATA, 1));
  frames_close(&c);
  vsi_server_stop(&s);
}

TEST_CASE(head_far_above_the_limit_ends_no_session) {
  for (int is_tls = 0; is_tls < 2; is_tls++) {
    check_far_above(0, is_tls);
    check_far_above(1 << 20, is_tls);
  }
}

/* A field above 64 KiB, or more than 8 CONTINUATION frames. */
TEST_CASE(head_above_the_limits_of_nghttp2_ends_its_session) {
  static const struct {
    filler by;
    size_t listed;
  } heads[] = {{PATH, 70000}, {FIELD, 70000}, {FIELDS, 170000}, {COOKIES, 1 << 20}};
  server_start(&s, &(server_settings){.is_tls = true});
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    frames_client c;
    frames_connect_tls(&c, s.port, NULL);
    const size_t len = make_head(&c, heads[i].by, heads[i].listed);
    (void)frames_send_head(&c, 1, FLAG_END_STREAM, encoded, len);
    assert_int_not_equal(frames_end(&c), 0);
    frames_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* The rest of a refused request is not wanted; large trailers are dropped. */
TEST_CASE(large_head_with_a_body_and_large_trailers_end_no_session) {
  frames_client c;
  server_start(&s, &(server_settings){.is_tls = true});
  frames_connect_tls(&c, s.port, NULL);
  size_t len = make_head(&c, FIELDS, 100000);
  assert_true(frames_send_head(&c, 1, 0, encoded, len));
  assert_true(frames_send(&c, FRAME_DATA, FLAG_END_STREAM, 1, "body", 4));
  assert_int_equal(frames_status(&c, 1), 431);
  frames_post(&c, 3, "/echo");
  memset(value, 'a', 60000);
  value[60000] = '\0';
  len = encode(0, "x", value);
  assert_true(frames_send_head(&c, 3, FLAG_END_STREAM, encoded, len));
  assert_int_equal(frames_status(&c, 3), 200);
  assert_serves(&c, 5);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* A head whose fields enter the table, and another one that names them by their index (RFC 7541, 6.1 and 6.2.1). */
#define INDEXED_HEAD                                                                                                   \
  "\x82\x41\x01"                                                                                                       \
  "a"                                                                                                                  \
  "\x44\x05/echo\x40\x01x\x04"                                                                                         \
  "1234"
#define INDICES "\x82\xc0\xbf\xbe"
#define POST_HEAD                                                                                                      \
  "\x83\x01\x01"                                                                                                       \
  "a"                                                                                                                  \
  "\x04\x05/echo"

static bool send_fields(frames_client *c, uint32_t id, uint8_t flags, const char *head) {
  uint8_t bytes[64] = {c->tls ? 0x87 : 0x86}; /* the scheme, of the static table */
  memcpy(bytes + 1, head, strlen(head));
  return frames_send(c, FRAME_HEADERS, (uint8_t)(flags | FLAG_END_HEADERS), id, bytes, 1 + strlen(head));
}

/* Go before 1.20, Perl's Protocol::HTTP2 and Ruby's http-2 use the table of 4,096 bytes from their first head on. */
TEST_CASE(heads_may_refer_to_former_ones) {
  for (int is_tls = 0; is_tls < 2; is_tls++) {
    frames_client c;
    server_start(&s, &(server_settings){.is_tls = is_tls});
    connect_to(&c, is_tls);
    assert_true(send_fields(&c, 1, FLAG_END_STREAM, INDEXED_HEAD));
    assert_int_equal(frames_status(&c, 1), 200);
    for (uint32_t id = 3; id < 9; id += 2) {
      assert_true(send_fields(&c, id, FLAG_END_STREAM, INDICES));
      assert_int_equal(frames_status(&c, id), 200);
    }
    frames_close(&c);
    vsi_server_stop(&s);
  }
}

/* Make a block of this length: a field of 4,000 bytes enters the table, and its index follows again and again. */
static void make_bomb(const frames_client *c, bool is_trailer, size_t len) {
  enum { FIELD_BYTES = 4000 };
  static const uint8_t first[] = {0x82, 0x84, 0x01, 1, 'a'}, name[] = {0x40, 1, 'b', 0x7f};
  size_t at = 0;
  if (!is_trailer) {
    encoded[at++] = c->tls ? 0x87 : 0x86;
    memcpy(encoded + at, first, sizeof first);
    at += sizeof first;
  }
  memset(encoded + at, 0xbe, len - at);
  memcpy(encoded + at, name, sizeof name);
  at += sizeof name;
  encoded[at++] = (FIELD_BYTES - 127) % 128 | 128;
  encoded[at++] = (FIELD_BYTES - 127) / 128;
  memset(encoded + at, 'v', FIELD_BYTES);
}

/* Whether it comes as a head, in one frame or in several, or as trailers, and before the client confirms SETTINGS. */
TEST_CASE(head_that_grows_in_the_table_ends_its_session) {
  static const size_t lens[] = {4300, FRAME_MOST_BYTES, 8 * FRAME_MOST_BYTES};
  server_start(&s, NULL);
  for (int i = 0; i < 12; i++) {
    const bool is_confirmed = i % 2, is_trailer = i / 2 % 2;
    frames_client c;
    frames_connect(&c, s.port, 0);
    if (is_confirmed) assert_true(frames_wait(&c, FRAME_SETTINGS, 0));
    if (is_trailer) assert_true(send_fields(&c, 1, 0, POST_HEAD));
    make_bomb(&c, is_trailer, lens[i / 4]);
    (void)frames_send_head(&c, 1, FLAG_END_STREAM, encoded, lens[i / 4]);
    const int64_t code = frames_end(&c); /* -1: a reset has overtaken GOAWAY */
    if (code != ENHANCE_YOUR_CALM && code != -1) fail_msg("head %d: %d", i, (int)code);
    frames_close(&c);
  }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* nghttp2 drops the rest of a head with an invalid field, without a report of its fields. */
TEST_CASE(invalid_head_in_several_frames_ends_its_session) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  size_t len = make_head(&c, FIELD, 300);
  len = encode(len, "A", "upper case");
  assert_true(frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM, 1, encoded, len));
  assert_true(frames_send(&c, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, "\x82", 1));
  assert_int_equal(frames_end(&c), ENHANCE_YOUR_CALM);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- heads in pieces --------------------------------------------------------------------------------------------- */

/* Each byte in a record of its own. */
TEST_CASE(head_in_pieces_is_served) {
  frames_client c;
  uint8_t bytes[512];
  server_start(&s, &(server_settings){.is_tls = true});
  frames_connect_tls(&c, s.port, NULL);
  const size_t len = make_head(&c, FIELD, 300), first = len / 2;
  const uint8_t heads[2][9] = {{0, 0, (uint8_t)first, FRAME_HEADERS, FLAG_END_STREAM, 0, 0, 0, 1},
                               {0, 0, (uint8_t)(len - first), FRAME_CONTINUATION, FLAG_END_HEADERS, 0, 0, 0, 1}};
  assert_true(len + 18 < sizeof bytes && len < 256);
  memcpy(bytes, heads[0], 9);
  memcpy(bytes + 9, encoded, first);
  memcpy(bytes + 9 + first, heads[1], 9);
  memcpy(bytes + 18 + first, encoded + first, len - first);
  for (size_t i = 0; i < len + 18; i++) assert_true(frames_put(&c, bytes + i, 1));
  assert_int_equal(frames_status(&c, 1), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* HAProxy 2.6 confirms the SETTINGS, and then sends heads without the size of a table. */
TEST_CASE(head_without_table_size_is_served) {
  static const char *const fields[] = {":method",   "GET",   ":scheme", "http", ":authority",
                                       "localhost", ":path", "/echo",   NULL};
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  assert_true(frames_wait(&c, FRAME_SETTINGS, 0)); /* which confirms them */
  for (uint32_t stream = 1; stream < 5; stream += 2) {
    const size_t len = frames_encode(encoded, sizeof encoded, fields);
    assert_true(frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream, encoded, len));
    assert_int_equal(frames_status(&c, stream), 200);
  }
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- heads without an end ---------------------------------------------------------------------------------------- */

TEST_CASE(unfinished_head_ends_its_session_in_time) {
  enum { DEADLINE_MS = 600000 };
  frames_client c;
  server_start(&s, &(server_settings){.adapter.request_timeout_ms = DEADLINE_MS, .is_tls = true});
  frames_connect_tls(&c, s.port, NULL);
  frames_open(&c, 1); /* so that the connection is not closed because it is idle */
  const size_t len = make_head(&c, FIELD, 300);
  assert_true(frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM, 3, encoded, len));
  server_wait_late(c.fd, DEADLINE_MS);
  assert_int_equal(frames_end(&c), ENHANCE_YOUR_CALM);
  assert_int_equal(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_DEADLINE], 1);
  frames_close(&c);
  vsi_server_stop(&s);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* Frames that no end follows: `each` bytes in each. */
static void assert_flood_ends(size_t each) {
  enum { FRAMES = 20000 };
  frames_client c;
  frames_connect_tls(&c, s.port, NULL);
  const size_t len = make_head(&c, FIELD, 300);
  memset(encoded + len, 0, FRAME_MOST_BYTES);
  bool goes_on = frames_send(&c, FRAME_HEADERS, 0, 1, encoded, len);
  for (int i = 0; goes_on && i < FRAMES; i++) goes_on = frames_send(&c, FRAME_CONTINUATION, 0, 1, encoded + len, each);
  assert_int_not_equal(frames_end(&c), 0);
  frames_close(&c);
}

TEST_CASE(head_without_end_or_with_other_frames_ends_its_session) {
  static const uint8_t others[] = {FRAME_PING, FRAME_HEADERS, FRAME_CONTINUATION, FRAME_DATA, 0x16};
  server_start(&s, &(server_settings){.is_tls = true});
  assert_flood_ends(0);
  assert_flood_ends(1);
  assert_flood_ends(FRAME_MOST_BYTES);
  for (size_t i = 0; i < sizeof others; i++)
    for (size_t size = 300; size < 100000; size += 49000) {
      frames_client c;
      frames_connect_tls(&c, s.port, NULL);
      const size_t len = make_head(&c, FIELDS, size), part = len < FRAME_MOST_BYTES ? len : FRAME_MOST_BYTES;
      assert_true(frames_send(&c, FRAME_HEADERS, FLAG_END_STREAM, 1, encoded, part));
      for (size_t at = part; at + FRAME_MOST_BYTES < len; at += FRAME_MOST_BYTES)
        assert_true(frames_send(&c, FRAME_CONTINUATION, 0, 1, encoded + at, FRAME_MOST_BYTES));
      (void)frames_send(&c, others[i], 0, others[i] == FRAME_PING ? 0 : 3, "12345678", 8);
      const int64_t code = frames_end(&c);
      if (code != PROTOCOL_ERROR) fail_msg("frame %u in a head of %zu bytes: %d", others[i], size, (int)code);
      frames_close(&c);
    }
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}
