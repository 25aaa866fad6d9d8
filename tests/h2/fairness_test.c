/* SPDX-License-Identifier: MIT */
/* Streams of one connection: one that its page does not read stops no other, and urgent ones go first (RFC 9218). */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/listed.h"
#include "support/test.h"
#include "support/until.h"

enum { STREAMS = 100, FIRST_WINDOW = 65535, MUCH = 300000, ROUNDS = 20, FRAME_PRIORITY_UPDATE = 0x10 };

static vsi_server s;
static frames_client c;

/* ---- a client ---------------------------------------------------------------------------------------------------- */

/* The page of a stream, which acknowledges a part of its window at a time. */
typedef struct page {
  bool is_read;
  uint32_t received, unread; /* unread: bytes that it has not acknowledged */
  char last[64];             /* the end of the bytes */
} page;

static page pages[STREAMS];
/* The connection's and a stream's windows, and how many bytes their pages read before they acknowledge them. */
static uint32_t connection_window, stream_window, connection_unread, connection_step, stream_step;
static uint32_t withheld; /* bytes that it never acknowledges on the connection, whose window becomes smaller so */

static uint32_t id_of(size_t number) {
  return 2 * (uint32_t)number + 1;
}

/* Count bytes that were read on the connection. */
static void count_read(uint32_t bytes) {
  const uint32_t kept = bytes < withheld ? bytes : withheld;
  withheld -= kept;
  connection_unread += bytes - kept;
}

static void acknowledge(uint32_t id, uint32_t *unread, uint32_t step) {
  if (*unread < step) return;
  frames_send_number(&c, FRAME_WINDOW_UPDATE, id, *unread);
  *unread = 0;
}

/* Let the page of a stream read what has arrived. */
static void let_read(size_t number) {
  page *at = &pages[number];
  at->is_read = true;
  count_read(at->unread);
  acknowledge(id_of(number), &at->unread, 1);
  acknowledge(0, &connection_unread, 1);
}

/* Take a frame of DATA. */
static void take(const frame *f) {
  page *at = &pages[f->stream / 2];
  assert_true(f->stream / 2 < STREAMS);
  at->received += f->len;
  at->unread += f->len;
  const uint32_t part = f->len < sizeof at->last - 1 ? f->len : sizeof at->last - 1;
  memmove(at->last, at->last + part, sizeof at->last - 1 - part);
  memcpy(at->last + sizeof at->last - 1 - part, f->bytes + f->len - part, part);
  if (!at->is_read) return;
  count_read(f->len);
  acknowledge(f->stream, &at->unread, stream_step);
  acknowledge(0, &connection_unread, connection_step);
}

/* Read a frame, and take it if it is DATA. */
static void read_one(void) {
  assert_true(frames_read(&c));
  if (c.last.type == FRAME_DATA) take(&c.last);
  assert_int_not_equal(c.last.type, FRAME_RST_STREAM);
}

/* Read until a page has received an event with this text last. */
static void read_until(size_t number, const char *text) {
  while (!memmem(pages[number].last, sizeof pages[number].last, text, strlen(text))) read_one();
}

static void connect_with(uint32_t connection, uint32_t stream) {
  static const vestry_connection_options queues = {.max_queued_bytes = 4 * MUCH};
  static const vestry_bounds bounds = {.max_queued_bytes = UINT64_C(2) * STREAMS * MUCH};
  server_start(&s, &(server_settings){.adapter.lost_ms = VESTRY_NEVER_MS, /* no stream is STALLED */
                                      .options = {.connection = &queues, .bounds = &bounds}});
  memset(pages, 0, sizeof pages);
  connection_window = connection;
  stream_window = stream;
  connection_step = stream_step = 1;
  connection_unread = withheld = 0;
  frames_connect(&c, s.port, stream);
  if (connection > FIRST_WINDOW) frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, connection - FIRST_WINDOW);
}

static void open_streams(size_t count, size_t unread_count) {
  for (size_t i = 0; i < count; i++) {
    pages[i].is_read = i >= unread_count;
    frames_open(&c, id_of(i));
    assert_true(vsi_recorder_wait_opened(&s.recorder, i + 1));
  }
}

static void send_much(size_t number) {
  char *large = malloc(MUCH + 1);
  memset(large, 'x', MUCH);
  large[MUCH - 1] = 'y';
  large[MUCH] = '\0';
  assert_int_equal(vestry_connection_patch_elements(vsi_recorder_connection(&s.recorder, number), large, MUCH, NULL),
                   VESTRY_OK);
  free(large);
}

static void send_each(size_t from, size_t to, unsigned round) {
  char json[64];
  for (size_t i = from; i < to; i++) {
    snprintf(json, sizeof json, "{\"a\":\"%u of %zu.\"}", round, i);
    vsi_server_patch(vsi_recorder_connection(&s.recorder, i), json);
  }
}

static void read_each(size_t from, size_t to, unsigned round) {
  char text[64];
  for (size_t i = from; i < to; i++) {
    snprintf(text, sizeof text, "%u of %zu.", round, i);
    read_until(i, text);
  }
}

static void end(void) {
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- unread streams ---------------------------------------------------------------------------------------------- */

/* Read what is there, because the socket must not be full. */
static bool waits_for_window(vestry_observe *observe, uint64_t id, int64_t *ret_left) {
  struct pollfd socket = {.fd = c.fd, .events = POLLIN};
  while (poll(&socket, 1, 0) > 0) read_one();
  char query[64];
  snprintf(query, sizeof query, "sort=oldest&limit=1&cursor=0000000000000000-%016" PRIx64, id - 1);
  json_auto_t *all = listed(observe, vsi_list_streams, id > 1 ? query : "sort=oldest&limit=1");
  const json_t *info = json_array_get(json_object_get(all, "streams"), 0);
  assert_int_equal(listed_number(info, "id"), id);
  const char *waits = json_string_value(json_object_get(info, "waits_for"));
  *ret_left = json_integer_value(json_object_get(info, "connection_window_bytes"));
  return waits && strstr(waits, "window");
}

/* Wait until the server has sent as much of a stream as it may. Returns what it may still send on the connection. */
static int64_t wait_for_window(size_t number) {
  const uint64_t id = vestry_connection_look(vsi_recorder_connection(&s.recorder, number)).id;
  vestry_observe *observe;
  int64_t left = 0;
  assert_int_equal(vestry_observe_create(s.v, &(vestry_observe_options){.trusts_loopback = true}, &observe), VESTRY_OK);
  UNTIL(waits_for_window(observe, id, &left));
  vestry_observe_destroy(observe);
  return left;
}

static void check_unread(uint32_t connection, uint32_t stream, size_t unread_count) {
  connect_with(connection, stream);
  open_streams(STREAMS, unread_count);
  int64_t left = 0;
  for (size_t i = 0; i < unread_count; i++) {
    send_much(i);
    left = wait_for_window(i);
  }
  if (unread_count == 1) assert_true(left * 100 >= (int64_t)connection * 43);
  if (unread_count == 3) assert_true(left * 7 >= connection);
  assert_true(left * 4 * (int64_t)unread_count >= connection);
  for (unsigned round = 0; round < ROUNDS; round++) {
    send_each(unread_count, STREAMS, round);
    read_each(unread_count, STREAMS, round);
  }
  for (size_t i = 0; i < unread_count; i++) {
    assert_true(pages[i].received > 0 && pages[i].received < MUCH);
    let_read(i);
  }
  for (size_t i = 0; i < unread_count; i++) read_until(i, "xxxy");
  send_each(0, STREAMS, ROUNDS);
  read_each(0, STREAMS, ROUNDS);
  end();
}

/* capability: C17 */
TEST_CASE(unread_streams_stop_no_sibling) {
  static const size_t counts[] = {1, 3, 30};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    check_unread(10 * FIRST_WINDOW, 4 * FIRST_WINDOW, counts[i]); /* as in browsers: 15 MB and 6 MB */
    check_unread(FIRST_WINDOW, FIRST_WINDOW, counts[i]);
  }
}

/* Most clients acknowledge a half of a window at a time. The share must not wait for an acknowledgement that does not
 * come, also beside one and two unread streams, as in browsers; and also if the client withholds acknowledgements of
 * the first bytes, because its window is smaller than the first one of RFC 9113, 6.9.2. */
TEST_CASE(client_that_acknowledges_halves_is_not_stopped) {
  /* A stream's window may be larger than the connection's. */
  static const struct {
    uint32_t connection, stream, withheld;
    size_t unread_count, count;
  } rows[] = {
      {FIRST_WINDOW, FIRST_WINDOW, 0, 0, 10},
      {3 * FIRST_WINDOW, FIRST_WINDOW, 0, 0, 10},
      {FIRST_WINDOW, 10 * FIRST_WINDOW, 0, 0, 10},
      {10 * FIRST_WINDOW, 4 * FIRST_WINDOW, 0, 0, 10},
      {10 * FIRST_WINDOW, 4 * FIRST_WINDOW, 0, 1, 11},
      {10 * FIRST_WINDOW, 4 * FIRST_WINDOW, 0, 2, 12},
      {FIRST_WINDOW, FIRST_WINDOW, FIRST_WINDOW / 2, 0, 1},
      {FIRST_WINDOW, FIRST_WINDOW, FIRST_WINDOW / 8 * 7, 0, 1},
      {FIRST_WINDOW, FIRST_WINDOW / 32, FIRST_WINDOW / 32 * 31, 0, 1},
      {FIRST_WINDOW, 10 * FIRST_WINDOW, FIRST_WINDOW / 4 * 3, 0, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const size_t first = rows[i].unread_count, count = rows[i].count;
    connect_with(rows[i].connection, rows[i].stream);
    withheld = rows[i].withheld;
    open_streams(count, first);
    connection_step = (connection_window - withheld) / 2 + 1;
    stream_step = stream_window / 2 + 1;
    for (size_t j = 0; j < first; j++) {
      send_much(j);
      (void)wait_for_window(j);
    }
    for (unsigned round = 0; round < 3; round++) {
      for (size_t j = first; j < count; j++) send_much(j);
      for (size_t j = first; j < count; j++) read_until(j, "xxxy");
      send_each(first, count, round);
      read_each(first, count, round);
    }
    end();
  }
}

/* ---- urgency ----------------------------------------------------------------------------------------------------- */

enum { DOWNLOAD = 1 << 20 };

static vestry_err download(const vestry_request *req, vestry_reply *reply, void *app) {
  char *bytes = calloc(1, DOWNLOAD);
  const vestry_err error = vestry_reply_body(reply, "text/plain", bytes, DOWNLOAD);
  free(bytes);
  return error;
}

static atomic_bool has_said;

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_err error = vestry_reply_body(reply, "text/plain", "hello", 5);
  atomic_store(&has_said, true);
  return error;
}

static void ask_with(uint32_t id, const char *method, const char *path, const char *priority) {
  const char *const fields[] = {":method",
                                method,
                                ":scheme",
                                "http",
                                ":authority",
                                "localhost",
                                ":path",
                                path,
                                "datastar-request",
                                "true",
                                priority ? "priority" : NULL,
                                priority,
                                NULL};
  frames_ask(&c, id, FLAG_END_STREAM, fields);
}

static void update_priority(uint32_t id, const char *value) {
  uint8_t bytes[16] = {0, 0, 0, (uint8_t)id};
  memcpy(bytes + 4, value, strlen(value));
  frames_send(&c, FRAME_PRIORITY_UPDATE, 0, 0, bytes, 4 + strlen(value));
}

static void set_windows(uint32_t size) {
  const uint8_t settings[] = {0, 4, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
  frames_send(&c, FRAME_SETTINGS, 0, 0, settings, sizeof settings);
}

/* A stream, in the order in which its DATA must arrive. */
typedef struct urgent {
  const char *method, *path, *priority, *early, *late; /* early, late: by PRIORITY_UPDATE, before and after its head */
} urgent;

static const urgent in_order[] = {
    {"GET", "/echo", "u=0", NULL, NULL},
    {"GET", "/echo", "u=7", NULL, "u=1"},
    {"GET", "/echo", "u=7", "u=2", NULL},
    {"POST", "/echo", "u=6", NULL, NULL}, /* a POST is as urgent as the default at least, and before others */
    {"GET", "/echo", NULL, NULL, NULL},
    {"GET", "/echo", "u=8, x=1, i=?0, u", NULL, NULL}, /* invalid members are ignored */
    {"GET", "/stream", "u=0", NULL, NULL},             /* a stream of events is at most as urgent as the default */
    {"GET", "/stream", "u=5", NULL, "u=1, i"},
    {"GET", "/stream", NULL, NULL, NULL},
    {"GET", "/echo", "i, u=4;x", NULL, NULL},
    {"GET", "/stream", "u=4", NULL, NULL},
    {"GET", "/echo", "u=7", NULL, NULL},
    {"GET", "/stream", "u=7", NULL, NULL},
};
enum { IN_ORDER = sizeof in_order / sizeof *in_order };

/* All streams get their windows by one frame, so that the server has all of their bytes when it begins to send. Their
 * ids are in another order, and streams of one line keep that of their ids. */
TEST_CASE(urgent_streams_go_first) {
  size_t opened = 0;
  connect_with(FIRST_WINDOW, 0);
  set_windows(0);
  for (size_t i = 0; i < IN_ORDER; i++) {
    const size_t number = i * 5 % IN_ORDER; /* 5 and the count have no common factor */
    const urgent *at = &in_order[number];
    const uint32_t id = id_of(i);
    if (at->early) update_priority(id, at->early);
    ask_with(id, at->method, at->path, at->priority);
    assert_int_equal(frames_status(&c, id), 200);
    if (at->late) update_priority(id, at->late);
    if (strcmp(at->path, "/stream") != 0) continue;
    assert_true(vsi_recorder_wait_opened(&s.recorder, ++opened));
    vsi_server_patch(vsi_recorder_connection(&s.recorder, opened - 1), "{\"a\":1}");
  }
  for (size_t i = 0; i < opened; i++) (void)wait_for_window(i);
  set_windows(FIRST_WINDOW);
  unsigned line_before = 0;
  for (size_t i = 0; i < IN_ORDER; i++) {
    do assert_true(frames_read(&c));
    while (c.last.type != FRAME_DATA || !c.last.len);
    const size_t number = c.last.stream / 2 * 5 % IN_ORDER;
    /* Equal streams: 4 and 5, and 6 to 8. */
    const unsigned line = number == 5 ? 4 : number == 7 || number == 8 ? 6 : (unsigned)number;
    assert_true(line >= line_before);
    line_before = line;
  }
  end();
}

/* capability: C17 */
TEST_CASE(post_is_answered_while_all_streams_are_written) {
  size_t received = 0;
  connect_with(INT32_MAX, INT32_MAX);
  assert_int_equal(vestry_route(s.v, "POST", "/say", say, NULL), VESTRY_OK);
  open_streams(STREAMS, 0);
  for (size_t i = 0; i < STREAMS; i++) send_much(i);
  frames_post(&c, id_of(STREAMS), "/say");
  frames_send(&c, FRAME_DATA, FLAG_END_STREAM, id_of(STREAMS), NULL, 0);
  CHECK_UNTIL(atomic_load(&has_said)); /* the server is not read meanwhile, so that a slow handler changes nothing */
  do {
    assert_true(frames_read(&c));
    received += c.last.type == FRAME_DATA ? c.last.len : 0;
  } while (c.last.type != FRAME_DATA || c.last.stream != id_of(STREAMS));
  assert_memory_equal(c.last.bytes, "hello", 5);
  assert_true(received < (size_t)STREAMS * MUCH / 2); /* the sockets hold some megabytes */
  end();
}

TEST_CASE(long_download_does_not_stop_events) {
  size_t before = 0, all = 0;
  connect_with(INT32_MAX, 0);
  assert_int_equal(vestry_route(s.v, "GET", "/download", download, NULL), VESTRY_OK);
  set_windows(0);
  ask_with(1, "GET", "/download", "u=0");
  assert_int_equal(frames_status(&c, 1), 200);
  ask_with(3, "GET", "/stream", "u=7");
  assert_int_equal(frames_status(&c, 3), 200);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
  (void)wait_for_window(0);
  set_windows(2 * DOWNLOAD);
  for (bool is_here = false; all < DOWNLOAD;) {
    assert_true(frames_read(&c));
    if (c.last.type != FRAME_DATA) continue;
    if (c.last.stream == 3) is_here = true;
    if (c.last.stream == 1) all += c.last.len;
    if (!is_here) before = all;
  }
  assert_true(before > 0 && before <= 96 << 10);
  end();
}
