/* SPDX-License-Identifier: MIT */
/* Hostile peers: floods, windows that are too small or too large, more streams than allowed, handshakes that never end.
 * Other clients are served meanwhile, and a session ends, or only its stream. */
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/descriptors.h"
#include "support/folder.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/client.h"
#include "vestry/app/upload.h"

enum { MANY = 20000, ENHANCE_YOUR_CALM = 11, STREAM_WINDOW = 65535 };

static vsi_server s;

/* ---- floods ------------------------------------------------------------------------------------------------------ */

/* Each sends one unit of a flood. */
static bool send_ping(frames_client *c, uint32_t i) {
  return frames_send(c, FRAME_PING, 0, 0, "12345678", 8);
}
static bool send_settings(frames_client *c, uint32_t i) {
  return frames_send(c, FRAME_SETTINGS, 0, 0, NULL, 0);
}
static bool send_priority(frames_client *c, uint32_t i) {
  return frames_send(c, FRAME_PRIORITY, 0, 2 * i + 1, "\0\0\0\0\1", 5);
}
static bool send_reset(frames_client *c, uint32_t i) {
  return frames_get(c, 2 * i + 1, "/echo") && frames_send_number(c, FRAME_RST_STREAM, 2 * i + 1, 8);
}
static bool send_empty_data(frames_client *c, uint32_t i) {
  if (!i) return frames_post(c, 1, "/echo");
  return frames_send(c, FRAME_DATA, 0, 1, NULL, 0);
}
static bool send_continuation(frames_client *c, uint32_t i) {
  uint8_t bytes[64];
  const char *const field[] = {"a", "b", NULL};
  bytes[0] = 0x20;
  const size_t len = 1 + frames_encode(bytes + 1, sizeof bytes - 1, field);
  return frames_send(c, i ? FRAME_CONTINUATION : FRAME_HEADERS, 0, 1, bytes + (i != 0), len - (i != 0));
}

/* The server resets these streams. The client waits for that, so it sends no resets, and has one stream at a time. */
static bool send_overflow(frames_client *c, uint32_t i) {
  const uint32_t id = 2 * i + 1;
  return frames_post(c, id, "/echo") && frames_send_number(c, FRAME_WINDOW_UPDATE, id, INT32_MAX) &&
         frames_wait(c, FRAME_RST_STREAM, id);
}
static bool send_no_increment(frames_client *c, uint32_t i) {
  const uint32_t id = 2 * i + 1;
  return frames_post(c, id, "/echo") && frames_send_number(c, FRAME_WINDOW_UPDATE, id, 0) &&
         frames_wait(c, FRAME_RST_STREAM, id);
}
static bool send_wrong_body(frames_client *c, uint32_t i, const char *body) {
  const uint32_t id = 2 * i + 1;
  const char *const fields[] = {":method", "POST",  ":scheme",        "http", ":authority", "a",
                                ":path",   "/echo", "content-length", "2",    NULL};
  return frames_ask(c, id, 0, fields) && frames_send(c, FRAME_DATA, FLAG_END_STREAM, id, body, strlen(body)) &&
         frames_wait(c, FRAME_RST_STREAM, id);
}
static bool send_short_body(frames_client *c, uint32_t i) {
  return send_wrong_body(c, i, "1");
}
static bool send_long_body(frames_client *c, uint32_t i) {
  return send_wrong_body(c, i, "123");
}

static bool send_invalid_trailers(frames_client *c, uint32_t i) {
  const uint32_t id = 2 * i + 1;
  uint8_t bytes[64] = {0x20};
  const char *const fields[] = {"A", "upper case", NULL};
  const size_t len = 1 + frames_encode(bytes + 1, sizeof bytes - 1, fields);
  return frames_post(c, id, "/echo") &&
         frames_send(c, FRAME_HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, id, bytes, len) &&
         frames_wait(c, FRAME_RST_STREAM, id);
}

static bool send_no_window(frames_client *c, uint32_t i) {
  return frames_send_number(c, FRAME_WINDOW_UPDATE, 2 * i + 1, 0);
}

TEST_CASE(floods_end_their_sessions) {
  static bool (*const floods[])(frames_client * c, uint32_t i) = {
      send_ping,     send_settings,     send_priority,   send_reset,     send_empty_data,      send_continuation,
      send_overflow, send_no_increment, send_short_body, send_long_body, send_invalid_trailers};
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
    frames_client c;
    frames_connect(&c, s.port, 0);
    bool goes_on = true;
    for (uint32_t k = 0; goes_on && k < MANY; k++) goes_on = floods[i](&c, k);
    vsi_server_assert_serves(&s);
    if (frames_end(&c) == 0)
      fail_msg("flood %zu was not noticed", i); /* GOAWAY with an error, or a reset that has overtaken it */
    frames_close(&c);
  }
  vsi_server_stop(&s);
}

/* Without TLS, the resets of a session are those of the many clients of a proxy. */
TEST_CASE(resets_of_many_clients_end_no_session) {
  enum { RESETS = 1500 };
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  for (uint32_t i = 0; i < RESETS; i++) assert_true(send_reset(&c, i));
  frames_get(&c, 2 * RESETS + 1, "/echo");
  assert_int_equal(frames_status(&c, 2 * RESETS + 1), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- frames that the client does not read ------------------------------------------------------------------------ */

/* Return the memory that the process has from malloc. */
static size_t allocated_bytes(void) {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/* Each makes the server answer by a frame, or by a response; the client has asked for `MOST` streams before. */
enum { MOST_STREAMS = 250, UNREAD_BYTES = 3 << 20 };
static bool send_one_more(frames_client *c, uint32_t i) {
  return frames_get(c, 2 * (MOST_STREAMS + i) + 1, "/echo");
}
static bool send_small_body(frames_client *c, uint32_t i) {
  static const char bytes[1 << 14];
  return i ? frames_send(c, FRAME_DATA, 0, 1 + 2 * MOST_STREAMS, bytes, sizeof bytes)
           : frames_post(c, 1 + 2 * MOST_STREAMS, "/echo");
}
static bool send_closed(frames_client *c, uint32_t i) {
  return frames_send(c, FRAME_DATA, 0, 1, "1", 1);
}
static bool send_large_head(frames_client *c, uint32_t i) {
  static char value[20000];
  const char *const fields[] = {":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "x", value, NULL};
  uint8_t bytes[sizeof value + 99] = {0x20};
  memset(value, 'x', sizeof value - 1);
  const size_t len = 1 + frames_encode(bytes + 1, sizeof bytes - 1, fields);
  return frames_send_head(c, 2 * (MOST_STREAMS + i) + 1, FLAG_END_STREAM, bytes, len);
}
static bool send_stop(frames_client *c, uint32_t i) {
  return frames_send(c, FRAME_GOAWAY, 0, 0, "\0\0\0\0\0\0\0", 8);
}

/* A client that has never confirmed SETTINGS reads nothing, and sends without an end: its session ends, or takes no
 * more bytes. The memory of the process is bounded meanwhile. */
TEST_CASE(what_an_unread_client_causes_is_bounded) {
  static bool (*const floods[])(frames_client * c, uint32_t i) = {
      send_one_more,   send_ping,   send_settings,   send_priority,  send_reset,
      send_small_body, send_closed, send_large_head, send_no_window, send_stop};
  const struct timeval soon = {.tv_usec = 300000};
  for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
    frames_client c;
    server_start(&s, NULL);
    const size_t before = allocated_bytes();
    frames_reach(&c, s.port);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    frames_begin(&c, 0);
    bool goes_on = true;
    for (uint32_t k = 0; goes_on && k < MOST_STREAMS; k++) goes_on = frames_open_stream(&c, 2 * k + 1);
    size_t most = 0;
    for (uint32_t k = 0; goes_on && k < 200000; k++) {
      goes_on = floods[i](&c, k);
      const size_t now = k % 1000 ? 0 : allocated_bytes();
      if (now > most) most = now;
    }
    if (most > before + UNREAD_BYTES) fail_msg("flood %zu: %zu bytes", i, most - before);
    frames_close(&c);
    vsi_server_assert_serves(&s);
    CHECK_UNTIL(vsi_server_stats(&s).open_count == 0);
    vsi_server_stop(&s);
  }
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

TEST_CASE(unread_stream_ends_as_stalled) {
  frames_client c;
  server_start(&s, &(server_settings){.adapter.lost_ms = 100});
  frames_connect(&c, s.port, 1);
  frames_open(&c, 1);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
  assert_int_equal(vsi_server_cause(&s, vsi_recorder_connection(&s.recorder, 0)), VESTRY_CAUSE_STALLED);
  assert_true(frames_wait(&c, FRAME_RST_STREAM, 1));
  frames_get(&c, 3, "/stream");
  assert_int_not_equal(frames_status(&c, 3), -1);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- a writer that blocks ---------------------------------------------------------------------------------------- */

static _Atomic(bool) writer_is_held;
static _Atomic(uint64_t) written_bytes;

static vestry_err begin_file(void *app, const vestry_request *req, vestry_reply *reply, const vestry_incoming *file,
                             void **ret_file) {
  *ret_file = &s;
  return VESTRY_OK;
}

static vestry_err hold_file(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes, size_t len) {
  for (unsigned looks = 0; atomic_load(&writer_is_held); looks++) until_pause(looks);
  atomic_fetch_add(&written_bytes, len);
  return VESTRY_OK;
}

static vestry_err end_file(void *file, const vestry_request *req, vestry_reply *reply) {
  return VESTRY_OK;
}

static void abort_file(void *file, vestry_err why) {}

static vestry_err is_done(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_status(reply, 201);
}

/* While a writer is held, its stream gets no window beyond the one of its beginning; when it goes on, the rest arrives,
 * with wider windows. */
TEST_CASE(held_writer_stops_its_own_stream) {
  static const vestry_upload_writer writer = {
      .begin = begin_file, .write = hold_file, .end = end_file, .abort = abort_file};
  static const char bytes[FRAME_MOST_BYTES];
  enum { BYTES = 1 << 20, FIRST_WINDOW = 4 * STREAM_WINDOW, WIDEST = 512 << 10 };
  vestry_uploads *uploads;
  frames_client c;
  server_start(&s, NULL);
  assert_int_equal(
      vestry_uploads_create(s.v, &(vestry_uploads_options){.pattern = "/files", .writer = &writer, .done = is_done},
                            &uploads),
      VESTRY_OK);
  atomic_store(&writer_is_held, true);
  frames_connect(&c, s.port, 0);
  frames_post(&c, 1, "/files");
  assert_true(frames_wait(&c, FRAME_WINDOW_UPDATE, 1));
  assert_int_equal(STREAM_WINDOW + frames_number(c.last.bytes), FIRST_WINDOW);
  size_t sent = 0;
  for (size_t part; sent < FIRST_WINDOW; sent += part) {
    part = FIRST_WINDOW - sent < sizeof bytes ? FIRST_WINDOW - sent : sizeof bytes;
    assert_true(frames_send(&c, FRAME_DATA, 0, 1, bytes, part));
  }
  frames_get(&c, 3, "/echo"); /* a sibling is served, and no window of the stream came before */
  for (bool is_answered = false; !is_answered;) {
    assert_true(frames_read(&c));
    assert_false(c.last.type == FRAME_WINDOW_UPDATE && c.last.stream == 1);
    is_answered = c.last.type == FRAME_HEADERS && c.last.stream == 3;
  }
  atomic_store(&writer_is_held, false);
  size_t window = 0, given = 0;
  while (sent < BYTES) {
    if (!window) {
      assert_true(frames_wait(&c, FRAME_WINDOW_UPDATE, 1));
      given += window = frames_number(c.last.bytes);
    }
    size_t part = window < sizeof bytes ? window : sizeof bytes;
    if (part > BYTES - sent) part = BYTES - sent;
    sent += part;
    window -= part;
    assert_true(frames_send(&c, FRAME_DATA, sent == BYTES ? FLAG_END_STREAM : 0, 1, bytes, part));
  }
  assert_int_equal(frames_status(&c, 1), 201);
  assert_int_equal(atomic_load(&written_bytes), BYTES);
  assert_true(FIRST_WINDOW + given <= BYTES + WIDEST);
  frames_close(&c);
  vsi_server_stop_adapter(&s);
  vestry_uploads_destroy(uploads);
  vsi_server_finish(&s);
}

/* Writes that have begun, and that may end; a write of one byte is never held. */
static _Atomic(int) writes_count, writes_allowed;

static vestry_err hold_write(void *file, const vestry_request *req, vestry_reply *reply, const void *bytes,
                             size_t len) {
  if (len == 1) return VESTRY_OK;
  const int number = atomic_fetch_add(&writes_count, 1);
  for (unsigned looks = 0; number >= atomic_load(&writes_allowed); looks++) until_pause(looks);
  return VESTRY_OK;
}

/* All threads for writers are held by one session, and further bodies of it wait. The body of another session is the
 * next but one. */
TEST_CASE(bodies_of_one_session_do_not_delay_those_of_others) {
  enum { THREADS = 8, BODIES = 3 * THREADS, PIECE = VESTRY_RECEIVE_BYTES, AHEAD = 2 };
  static const vestry_upload_writer writer = {
      .begin = begin_file, .write = hold_write, .end = end_file, .abort = abort_file};
  static const char bytes[FRAME_MOST_BYTES];
  const vestry_uploads_options options = {
      .pattern = "/files", .writer = &writer, .done = is_done, .max_per_person_count = 2 * BODIES};
  vestry_uploads *uploads;
  frames_client many, one;
  server_start(&s, NULL);
  assert_int_equal(vestry_uploads_create(s.v, &options, &uploads), VESTRY_OK);
  atomic_store(&writes_count, 0);
  atomic_store(&writes_allowed, 0);
  frames_connect(&many, s.port, 0);
  frames_connect(&one, s.port, 0);
  for (uint32_t i = 0; i < BODIES; i++) {
    frames_post(&many, 2 * i + 1, "/files");
    for (int j = 0; j < PIECE / FRAME_MOST_BYTES; j++)
      assert_true(frames_send(&many, FRAME_DATA, 0, 2 * i + 1, bytes, sizeof bytes));
  }
  frames_get(&many, 2 * BODIES + 1, "/echo"); /* answered after the server has read all before it */
  assert_int_equal(frames_status(&many, 2 * BODIES + 1), 200);
  UNTIL(atomic_load(&writes_count) == THREADS);
  frames_post(&one, 1, "/files");
  assert_true(frames_send(&one, FRAME_DATA, FLAG_END_STREAM, 1, "b", 1));
  frames_get(&one, 3, "/echo");
  assert_int_equal(frames_status(&one, 3), 200);
  atomic_store(&writes_allowed, AHEAD);
  assert_int_equal(frames_status(&one, 1), 201);
  assert_in_range(atomic_load(&writes_count), THREADS, THREADS + AHEAD);
  atomic_store(&writes_allowed, INT32_MAX);
  for (uint32_t i = 0; i < BODIES; i++) {
    assert_true(frames_send(&many, FRAME_DATA, FLAG_END_STREAM, 2 * i + 1, NULL, 0));
    assert_int_equal(frames_status(&many, 2 * i + 1), 201);
  }
  frames_close(&one);
  frames_close(&many);
  vsi_server_stop_adapter(&s);
  vestry_uploads_destroy(uploads);
  vsi_server_finish(&s);
}

TEST_CASE(invalid_windows_end_streams_or_sessions) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  frames_open(&c, 1);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 1, INT32_MAX); /* more than 2^31 − 1 */
  assert_true(frames_wait(&c, FRAME_RST_STREAM, 1));
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, INT32_MAX);
  assert_int_not_equal(frames_end(&c), 0);
  frames_close(&c);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* The largest id of a stream, 2^31 - 1. The stream ends with the server. */
TEST_CASE(stream_with_the_largest_id_ends_at_a_stop) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  frames_open(&c, INT32_MAX);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vsi_server_stop(&s);
  frames_close(&c);
}

TEST_CASE(late_bodies_get_408) {
  frames_client c;
  server_start(&s, &(server_settings){.adapter.request_timeout_ms = 100});
  frames_connect(&c, s.port, 0);
  frames_post(&c, 1, "/echo");
  frames_send(&c, FRAME_DATA, 0, 1, "abc", 3);
  assert_int_equal(frames_status(&c, 1), 408);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* Silent clients, and clients that send a part of a ClientHello, one byte at a time. */
TEST_CASE(half_open_handshakes_are_closed) {
  enum { CLIENTS = 200 };
  int fds[CLIENTS];
  char byte;
  server_start(&s, &(server_settings){.adapter.request_timeout_ms = 300, .is_tls = true});
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = server_connect(&s);
    if (i % 2) assert_int_equal(send(fds[i], "\x16\x03\x01\x02\x00\x01", i % 7, MSG_NOSIGNAL), i % 7);
  }
  for (int i = 0; i < CLIENTS; i++) {
    assert_true(recv(fds[i], &byte, 1, 0) <= 0);
    close(fds[i]);
  }
  vsi_server_stop(&s);
}

/* ---- memory of responses ----------------------------------------------------------------------------------------- */

enum { RESPONSE_BYTES = 1 << 20, RESPONSES = 12, RESPONSES_BUDGET = 4 << 20 };

static vestry_err respond_large(const vestry_request *req, vestry_reply *reply, void *app) {
  char *large = calloc(1, RESPONSE_BYTES);
  assert_non_null(large);
  const vestry_err error = vestry_reply_body(reply, "text/plain", large, RESPONSE_BYTES);
  free(large);
  return error;
}

/* Read until the stream 1 has an event and the request 3 its response, and count resets for the budget. */
static unsigned read_siblings(frames_client *c) {
  unsigned resets = 0;
  for (bool has_event = false, has_echo = false; !has_event || !has_echo;) {
    assert_true(frames_read(c));
    const frame *f = &c->last;
    has_event |= f->type == FRAME_DATA && f->stream == 1 && memmem(f->bytes, f->len, "{\"a\":1}", 7);
    has_echo |= f->type == FRAME_DATA && f->stream == 3;
    if (f->type != FRAME_RST_STREAM || f->stream <= 3) continue;
    assert_int_equal(frames_number(f->bytes), ENHANCE_YOUR_CALM);
    resets++;
  }
  return resets;
}

/* Responses of several connections are not read, and hold more than all responses may. Some of those of the first one,
 * which holds most, are reset, and free their memory also if the socket is full; a stream and a request of the same
 * connection go on. */
TEST_CASE(response_over_the_budget_ends_its_stream_alone) {
  enum { WINDOW = 1 << 30, OTHERS = 3 };
  static const vestry_bounds bounds = {.max_all_responses_bytes = RESPONSES_BUDGET};
  for (int is_full = 0; is_full < 2; is_full++) {
    frames_client c, others[OTHERS];
    server_start(&s, &(server_settings){.options.bounds = &bounds});
    assert_int_equal(vestry_route(s.v, "GET", "/large", respond_large, NULL), VESTRY_OK);
    frames_connect(&c, s.port, is_full ? WINDOW : 0);
    if (is_full) assert_true(frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, WINDOW));
    frames_open(&c, 1);
    assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
    frames_post(&c, 3, "/echo");
    for (uint32_t i = 0; i < RESPONSES; i++) assert_true(frames_get(&c, 5 + 2 * i, "/large"));
    UNTIL(vsi_server_stats(&s).response_bytes >= 2 * RESPONSE_BYTES);
    for (size_t i = 0; i < OTHERS; i++) {
      frames_connect(&others[i], s.port, 0);
      for (uint32_t k = 0; k < RESPONSES; k++) assert_true(frames_get(&others[i], 1 + 2 * k, "/large"));
    }
    UNTIL(vsi_server_stats(&s).responses_cut_count > 0);
    UNTIL(vsi_server_stats(&s).response_bytes < RESPONSES_BUDGET);
    vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
    frames_send(&c, FRAME_DATA, FLAG_END_STREAM, 3, "1", 1);
    const unsigned resets = read_siblings(&c);
    const vestry_stats stats = vsi_server_stats(&s);
    assert_true(resets > 0 && resets <= stats.responses_cut_count);
    assert_true(stats.response_peak_bytes <= RESPONSES_BUDGET);
    for (size_t i = 0; i < OTHERS; i++) frames_close(&others[i]);
    frames_close(&c);
    assert_int_equal(vsi_server_cause(&s, vsi_recorder_connection(&s.recorder, 0)), VESTRY_CAUSE_HANGUP);
    vsi_server_stop(&s);
  }
}

/* A client on a UNIX socket, which has no time-outs of TCP, does not read its responses. They are reset, which cannot
 * be sent either, and its connection ends. */
TEST_CASE(unread_connection_ends_without_streams) {
  enum { WINDOW = 1 << 30 };
  char folder[FOLDER_BYTES];
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  frames_client c = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  folder_make(folder, "h2");
  snprintf(to.sun_path, sizeof to.sun_path, "%s/socket", folder);
  server_start(&s,
               &(server_settings){.adapter = {.unix_path = to.sun_path, .timeout_s = 1, .lost_ms = VESTRY_NEVER_MS}});
  assert_int_equal(vestry_route(s.v, "GET", "/large", respond_large, NULL), VESTRY_OK);
  assert_int_equal(connect(c.fd, (const struct sockaddr *)&to, sizeof to), 0);
  frames_begin(&c, WINDOW);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, WINDOW);
  for (uint32_t id = 1; id <= 5; id += 2) frames_get(&c, id, "/large");
  struct pollfd end = {.fd = c.fd}; /* POLLHUP is always reported */
  UNTIL(poll(&end, 1, 0) == 1 && end.revents & POLLHUP);
  assert_int_equal(vsi_server_stats(&s).response_bytes, 0);
  frames_close(&c);
  vsi_server_stop(&s);
  folder_remove(folder);
}

/* ---- memory of requests ------------------------------------------------------------------------------------------ */

enum { REQUESTS_BUDGET = 4 << 20, PART = FRAME_MOST_BYTES - 1 };

static const vestry_bounds request_bounds = {.max_request_bytes = REQUESTS_BUDGET};
static const char part[FRAME_MOST_BYTES];

/* One connection fills the memory for requests with bodies that do not end. They are reset, because it holds most; its
 * stream and its further requests go on. A request of another connection, which began before, is completed, and new
 * ones are served. */
TEST_CASE(requests_over_the_budget_end_without_their_connection) {
  enum { MANY_STREAMS = 240, PARTS = 4, ROUNDS = 3 };
  frames_client honest;
  server_start(&s,
               &(server_settings){.adapter.request_timeout_ms = VESTRY_NEVER_MS, .options.bounds = &request_bounds});
  frames_connect(&honest, s.port, 0);
  frames_post(&honest, 1, "/echo");
  assert_true(frames_send(&honest, FRAME_DATA, 0, 1, part, PART));
  for (size_t round = 0; round < ROUNDS; round++) {
    frames_client c;
    uint32_t id = 3;
    frames_connect(&c, s.port, 0);
    frames_open(&c, 1);
    assert_true(vsi_recorder_wait_opened(&s.recorder, round + 1));
    for (; id < 2 * MANY_STREAMS; id += 2) {
      assert_true(frames_post(&c, id, "/echo"));
      for (int i = 0; i < PARTS; i++) assert_true(frames_send(&c, FRAME_DATA, 0, id, part, PART));
    }
    vsi_server_patch(vsi_recorder_connection(&s.recorder, round), "{\"a\":1}");
    assert_true(frames_wait(&c, FRAME_RST_STREAM, 3));
    assert_int_equal(frames_number(c.last.bytes), ENHANCE_YOUR_CALM);
    while (c.last.type != FRAME_DATA) assert_true(frames_read(&c));
    assert_int_equal(c.last.stream, 1);
    vsi_server_assert_serves(&s);
    frames_close(&c);
    assert_int_equal(vsi_server_cause(&s, vsi_recorder_connection(&s.recorder, round)), VESTRY_CAUSE_HANGUP);
  }
  assert_true(frames_send(&honest, FRAME_DATA, FLAG_END_STREAM, 1, "1", 1));
  assert_int_equal(frames_status(&honest, 1), 200);
  frames_close(&honest);
  const vestry_stats stats = vsi_server_stats(&s);
  assert_true(stats.refused_by_reason[VESTRY_REFUSAL_BUDGET] >= ROUNDS);
  assert_true(stats.request_peak_bytes <= REQUESTS_BUDGET);
  vsi_server_stop(&s);
}

/* Many connections have many small responses each, and read none of them. */
TEST_CASE(unread_small_responses_are_bounded) {
  enum { CLIENTS = 20, REQUESTS = 240 };
  frames_client clients[CLIENTS];
  server_start(&s, &(server_settings){.options.bounds = &request_bounds});
  for (size_t i = 0; i < CLIENTS; i++) {
    frames_connect(&clients[i], s.port, 1);
    for (uint32_t k = 0; k < REQUESTS; k++) (void)frames_get(&clients[i], 2 * k + 1, "/echo");
  }
  UNTIL(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_BUDGET] > 0);
  assert_true(vsi_server_stats(&s).request_peak_bytes <= REQUESTS_BUDGET);
  for (size_t i = 0; i < CLIENTS; i++) frames_close(&clients[i]);
  UNTIL(vsi_server_stats(&s).request_bytes == 0);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

static _Atomic(bool) handler_runs, handler_goes_on;

static vestry_err hold_request(const vestry_request *req, vestry_reply *reply, void *app) {
  atomic_store(&handler_runs, true);
  UNTIL(atomic_load(&handler_goes_on));
  return vestry_reply_body(reply, "text/plain", "held", 4);
}

/* Begin to send a body, within its window, and wait until the server has read it. */
static void send_parts(frames_client *c, uint32_t id, int parts) {
  assert_true(frames_post(c, id, "/echo"));
  assert_true(frames_wait(c, FRAME_WINDOW_UPDATE, id));
  for (int i = 0; i < parts; i++) assert_true(frames_send(c, FRAME_DATA, 0, id, part, sizeof part));
  assert_true(send_ping(c, 0) && frames_wait(c, FRAME_PING, 0));
}

/* The requests of a connection are complete, and wait for a handler that blocks. None of them can be reset, so the
 * connection is cut for a request of another one. */
TEST_CASE(connection_whose_complete_requests_hold_most_is_cut) {
  enum { BODIES = 3, FIRST = 3, MEGABYTE = 60, HALF = 30 }; /* of buffers, which double */
  frames_client c, other;
  server_start(&s,
               &(server_settings){.adapter.request_timeout_ms = VESTRY_NEVER_MS, .options.bounds = &request_bounds});
  assert_int_equal(vestry_route(s.v, "GET", "/hold", hold_request, NULL), VESTRY_OK);
  atomic_store(&handler_goes_on, false);
  frames_connect(&c, s.port, 0);
  for (uint32_t i = 0; i < BODIES; i++) send_parts(&c, FIRST + 2 * i, MEGABYTE);
  /* In one segment, because the handler holds the thread that reads: the ends must be read before it runs. */
  assert_int_equal(setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &(int){1}, sizeof(int)), 0);
  frames_get(&c, FIRST + 2 * BODIES, "/hold");
  for (uint32_t i = 0; i < BODIES; i++) frames_send(&c, FRAME_DATA, FLAG_END_STREAM, FIRST + 2 * i, "1", 1);
  assert_int_equal(setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int)), 0);
  UNTIL(atomic_load(&handler_runs));
  frames_connect(&other, s.port, 0);
  send_parts(&other, 1, HALF);
  assert_int_equal(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_BUDGET], 1);
  atomic_store(&handler_goes_on, true);
  assert_int_equal(frames_end(&c), -1); /* without a GOAWAY */
  UNTIL(vsi_server_stats(&s).request_bytes < REQUESTS_BUDGET / BODIES);
  frames_send(&other, FRAME_DATA, FLAG_END_STREAM, 1, "1", 1);
  assert_int_equal(frames_status(&other, 1), 200);
  frames_close(&other);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* ---- handshakes -------------------------------------------------------------------------------------------------- */

/* A ClientHello, as a client of this protocol sends it. */
typedef struct hello {
  uint8_t bytes[4096];
  size_t len;
} hello;

static ssize_t keep_hello(gnutls_transport_ptr_t to, const void *bytes, size_t len) {
  hello *made = to;
  assert_true(made->len + len <= sizeof made->bytes);
  memcpy(made->bytes + made->len, bytes, len);
  made->len += len;
  return (ssize_t)len;
}

static ssize_t receive_nothing(gnutls_transport_ptr_t from, void *bytes, size_t len) {
  errno = EAGAIN;
  return -1;
}

static void make_hello(hello *made, const char *protocol) {
  gnutls_session_t session;
  gnutls_certificate_credentials_t any;
  const gnutls_datum_t name = {(unsigned char *)(uintptr_t)protocol, (unsigned)strlen(protocol)};
  made->len = 0;
  assert_int_equal(gnutls_certificate_allocate_credentials(&any), 0);
  assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
  assert_int_equal(gnutls_set_default_priority(session), 0);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, any);
  gnutls_alpn_set_protocols(session, &name, 1, 0);
  gnutls_transport_set_ptr(session, made);
  gnutls_transport_set_push_function(session, keep_hello);
  gnutls_transport_set_pull_function(session, receive_nothing);
  assert_int_equal(gnutls_handshake(session), GNUTLS_E_AGAIN);
  gnutls_deinit(session);
  gnutls_certificate_free_credentials(any);
}

/* A thousand clients do not go on after a complete ClientHello, one of HTTP/1.1, a part of one, or nothing. Others are
 * served meanwhile, a client costs some kilobytes, and all are closed in time, and counted. */
TEST_CASE(slow_handshakes_disturb_nobody) {
  enum { CLIENTS = 1000, KINDS = 4, MOST_BYTES_EACH = 40 << 10, LOOKS = 20, DEADLINE_MS = 600000 };
  static int fds[CLIENTS];
  static hello hello2, hello1;
  char byte;
  make_hello(&hello2, "h2");
  make_hello(&hello1, "http/1.1");
  const struct {
    const uint8_t *bytes;
    size_t len;
  } kinds[KINDS] = {{hello2.bytes, hello2.len}, {hello1.bytes, hello1.len}, {hello2.bytes, hello2.len / 2}, {NULL, 0}};
  server_start(&s, &(server_settings){.adapter.request_timeout_ms = DEADLINE_MS, .is_tls = true});
  vsi_server_assert_serves(&s);
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < CLIENTS; i++) {
    fds[i] = server_connect(&s);
    const size_t len = kinds[i % KINDS].len;
    assert_int_equal(send(fds[i], kinds[i % KINDS].bytes, len, MSG_NOSIGNAL), len);
  }
  for (int i = 0; i < CLIENTS; i += KINDS) assert_int_equal(recv(fds[i], &byte, 1, 0), 1); /* its ServerHello */
  for (int i = 0; i < LOOKS; i++) vsi_server_assert_serves(&s);
  const size_t after = mallinfo2().uordblks;
  print_message("%zu bytes for each\n", (after - before) / CLIENTS);
  assert_true(after <= before + (size_t)CLIENTS * MOST_BYTES_EACH);
  for (int i = 0; i < CLIENTS; i++) {
    server_wait_late(fds[i], DEADLINE_MS);
    while (recv(fds[i], &byte, 1, 0) > 0) server_wait_late(fds[i], DEADLINE_MS);
    close(fds[i]);
  }
  assert_int_equal(vsi_server_stats(&s).refused_by_reason[VESTRY_REFUSAL_DEADLINE], CLIENTS);
  vsi_server_stop(&s);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* Each client sends a part of the first bytes, from nothing on, and ends its side: it cannot go on. */
TEST_CASE(clients_that_end_within_their_first_bytes_are_closed) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static hello made;
  for (int is_tls = 0; is_tls < 2; is_tls++) {
    char byte;
    if (is_tls) make_hello(&made, "h2");
    const uint8_t *bytes = is_tls ? made.bytes : (const uint8_t *)preface;
    const size_t len = is_tls ? made.len : sizeof preface - 1;
    server_start(&s, &(server_settings){.adapter.request_timeout_ms = VESTRY_NEVER_MS, .is_tls = is_tls});
    for (size_t count = 0; count < len; count += is_tls ? 20 : 1) {
      const int fd = server_connect(&s);
      assert_int_equal(send(fd, bytes, count, MSG_NOSIGNAL), count);
      assert_int_equal(shutdown(fd, SHUT_WR), 0);
      while (recv(fd, &byte, 1, 0) > 0) continue;
      close(fd);
    }
    vsi_server_stop(&s);
  }
}

/* During the handshake, and later: no farewell of TLS comes. */
TEST_CASE(connections_cut_without_a_farewell_end) {
  enum { CLIENTS = 100 };
  static hello made;
  frames_client c;
  make_hello(&made, "h2");
  server_start(&s, &(server_settings){.is_tls = true});
  vsi_server_assert_serves(&s);
  const int lowest = descriptors_lowest_free();
  for (int i = 0; i < CLIENTS; i++) {
    const int fd = server_connect(&s);
    assert_int_equal(send(fd, made.bytes, made.len, MSG_NOSIGNAL), made.len);
    close(fd);
  }
  for (int i = 0; i < CLIENTS; i++) {
    frames_connect_tls(&c, s.port, NULL);
    frames_open(&c, 1);
    frames_close(&c);
    assert_true(vsi_recorder_wait_opened(&s.recorder, (size_t)i + 1));
    assert_int_equal(vsi_server_cause(&s, vsi_recorder_connection(&s.recorder, (size_t)i)), VESTRY_CAUSE_HANGUP);
  }
  vsi_server_assert_serves(&s);
  UNTIL(descriptors_lowest_free() <= lowest);
  vsi_server_stop(&s);
}
