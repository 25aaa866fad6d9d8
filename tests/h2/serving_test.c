/* SPDX-License-Identifier: MIT */
/* Requests of clients that send many at a time: their connections take turns, and handlers run for a client that reads
 * nothing only as long as its share of the memory for responses is not used. */
#include <stdlib.h>
#include <string.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"
#include "support/until.h"

enum { LARGE = 1 << 20, BUDGET = 4 << 20, FIT = 3, REQUESTS = 30 };

static vsi_server s;
static const vestry_bounds bounds = {.max_all_responses_bytes = BUDGET};

/* ---- turns ------------------------------------------------------------------------------------------------------- */

/* Calls of held_handler, and those that may return. */
static _Atomic(unsigned) held_count, released_count, held_before;

static vestry_err held_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  const double until = vsi_seconds_now() + 0.001; /* longer than a turn */
  const unsigned number = atomic_fetch_add(&held_count, 1);
  WAIT_WHILE(atomic_load(&released_count) <= number || vsi_seconds_now() < until);
  return vestry_reply_status(reply, 204);
}

static vestry_err count_held(const vestry_request *req, vestry_reply *reply, void *app) {
  atomic_store(&held_before, atomic_load(&held_count));
  return vestry_reply_status(reply, 204);
}

/* Two clients have many requests each, and all requests are served by one thread. A third one comes later, with a
 * single request, and waits only for the handler that runs. */
TEST_CASE(single_request_does_not_wait_for_many) {
  frames_client many[2], single;
  atomic_store(&held_count, 0);
  atomic_store(&released_count, 0);
  server_start(&s, &(server_settings){.adapter.threads_count = 1});
  assert_int_equal(vestry_route(s.v, "GET", "/held", held_handler, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "GET", "/count", count_held, NULL), VESTRY_OK);
  frames_connect(&single, s.port, 0);
  frames_get(&single, 1, "/echo");
  assert_int_equal(frames_status(&single, 1), 200);
  for (size_t i = 0; i < 2; i++) {
    frames_connect(&many[i], s.port, 0);
    for (uint32_t k = 0; k < REQUESTS; k++) frames_get(&many[i], 2 * k + 1, "/held");
  }
  for (unsigned turn = 0; turn < 4; turn++) { /* the thread knows both of them, and then it has served each once */
    UNTIL(atomic_load(&held_count) == turn + 1);
    if (turn < 3) atomic_store(&released_count, turn + 1);
  }
  frames_get(&single, 3, "/count");
  atomic_store(&released_count, UINT32_MAX);
  assert_int_equal(frames_status(&single, 3), 204);
  assert_in_range(atomic_load(&held_before), 4, 5);
  for (size_t i = 0; i < 2; i++) {
    for (uint32_t k = 0; k < REQUESTS; k++) assert_int_equal(frames_status(&many[i], 2 * k + 1), 204);
    frames_close(&many[i]);
  }
  assert_int_equal(atomic_load(&held_count), 2 * REQUESTS);
  frames_close(&single);
  vsi_server_stop(&s);
}

/* ---- clients that do not read ------------------------------------------------------------------------------------ */

static _Atomic(unsigned) larges_count;
static char large[LARGE];

static vestry_err respond_large(const vestry_request *req, vestry_reply *reply, void *app) {
  atomic_fetch_add(&larges_count, 1);
  return vestry_reply_body(reply, "text/plain", large, LARGE);
}

static void start(unsigned timeout_s) {
  atomic_store(&larges_count, 0);
  server_start(&s, &(server_settings){.adapter.timeout_s = timeout_s, .options.bounds = &bounds});
  assert_int_equal(vestry_route(s.v, "GET", "/large", respond_large, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "POST", "/large", respond_large, NULL), VESTRY_OK);
}

static void send_many(frames_client *c, const char *method) {
  const char *const fields[] = {":method", method, ":scheme", "http", ":authority", "a", ":path", "/large", NULL};
  for (uint32_t k = 0; k < REQUESTS; k++) frames_ask(c, 2 * k + 1, FLAG_END_STREAM, fields);
}

/* Send a POST after all other requests, and wait for its response. Then the server has chosen which of them wait. */
static void assert_posts(frames_client *c, uint32_t id) {
  frames_post(c, id, "/echo");
  frames_send(c, FRAME_DATA, FLAG_END_STREAM, id, NULL, 0);
  assert_int_equal(frames_status(c, id), 200);
}

/* Let a client read all responses. Returns the number of those that arrive completely; others are reset. */
static unsigned read_all(frames_client *c) {
  static const uint8_t window[] = {0, 4, 0x3f, 0xff, 0xff, 0xff};
  unsigned complete = 0, reset = 0;
  frames_send(c, FRAME_SETTINGS, 0, 0, window, sizeof window);
  frames_send_number(c, FRAME_WINDOW_UPDATE, 0, 1 << 30);
  while (complete + reset < REQUESTS) {
    assert_true(frames_read(c));
    const frame *f = &c->last;
    if (f->stream >= 2 * REQUESTS) continue;
    complete += (f->type == FRAME_DATA || f->type == FRAME_HEADERS) && f->flags & FLAG_END_STREAM;
    reset += f->type == FRAME_RST_STREAM;
  }
  return complete;
}

/* Many clients send requests for large responses, and read nothing. While the clock stands still, handlers run for a
 * few of these requests only: for those whose responses fit, and for two of each other client, of which one is refused.
 * POSTs of the same clients, and requests of another one, are served. Requests that wait are served later: the clock is
 * advanced once, so that the time that the client needs on a busy machine ends no response early. */
TEST_CASE(handlers_do_not_run_for_a_client_that_reads_nothing) {
  enum { CLIENTS = 8, RESTED_S = 2 };
  frames_client clients[CLIENTS];
  start(0);
  vsi_server_hold_clock(true);
  for (size_t i = 0; i < CLIENTS; i++) {
    frames_connect(&clients[i], s.port, i % 2 ? 1 : 0);
    send_many(&clients[i], "GET");
    assert_posts(&clients[i], 2 * REQUESTS + 1);
    vsi_server_assert_serves(&s);
  }
  const vestry_stats stats = vsi_server_stats(&s);
  assert_in_range(atomic_load(&larges_count), CLIENTS, FIT + 2 * CLIENTS);
  assert_true(stats.responses_cut_count > 0 && stats.response_peak_bytes <= BUDGET);
  for (size_t i = 1; i < CLIENTS; i++) frames_close(&clients[i]);
  UNTIL(vsi_server_stats(&s).response_bytes <= BUDGET / 2); /* later responses fit, so that none of them is cut */
  atomic_store(&vsi_server_clock_ahead_ns, RESTED_S * UINT64_C(1000000000));
  assert_in_range(read_all(&clients[0]), REQUESTS - FIT, REQUESTS);
  frames_close(&clients[0]);
  vsi_server_hold_clock(false);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
  vsi_server_stop(&s);
}

/* The same with POSTs, which wait as soon as a response to one of them was cut. */
TEST_CASE(posts_with_large_responses_wait_after_a_cut) {
  enum { CLIENTS = 8 };
  frames_client clients[CLIENTS], other;
  start(0);
  vsi_server_hold_clock(true);
  for (size_t i = 0; i < CLIENTS; i++) {
    frames_connect(&clients[i], s.port, 0);
    send_many(&clients[i], "POST");
  }
  frames_connect(&other, s.port, 0);
  assert_posts(&other, 1);
  UNTIL(vsi_server_stats(&s).responses_cut_count >= CLIENTS - FIT);
  vsi_server_assert_serves(&s);
  assert_true(atomic_load(&larges_count) < CLIENTS * REQUESTS / 2);
  vsi_server_hold_clock(false);
  for (size_t i = 0; i < CLIENTS; i++) frames_close(&clients[i]);
  frames_close(&other);
  vsi_server_stop(&s);
}

/* If requests wait, responses that do not move are reset early, so that the requests are served. */
TEST_CASE(unread_responses_end_early_for_waiting_requests) {
  enum { TIMEOUT_S = 1000, SOON_S = 4 };
  frames_client c;
  start(TIMEOUT_S);
  vsi_server_hold_clock(true);
  frames_connect(&c, s.port, 0);
  send_many(&c, "GET");
  assert_posts(&c, 2 * REQUESTS + 1);
  const unsigned before = atomic_load(&larges_count);
  assert_in_range(before, 1, FIT);
  atomic_store(&vsi_server_clock_ahead_ns, SOON_S * UINT64_C(1000000000));
  UNTIL(atomic_load(&larges_count) > before);
  vsi_server_hold_clock(false);
  vsi_server_stop(&s); /* others still wait */
  frames_close(&c);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

/* A client gives its streams no window. They are reset when their time is over, and the session ends with them: while
 * the clock stands still, no further time passes. */
TEST_CASE(session_without_a_window_ends_with_its_streams) {
  enum { TIMEOUT_S = 1000, STREAMS = 3, ROUNDING_S = 2 };
  frames_client c;
  unsigned resets = 0;
  start(TIMEOUT_S);
  vsi_server_hold_clock(true);
  frames_connect(&c, s.port, 0);
  frames_send(&c, FRAME_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
  for (uint32_t id = 1; id < 2 * STREAMS; id += 2) {
    frames_get(&c, id, "/echo");
    assert_int_equal(frames_status(&c, id), 200);
  }
  atomic_store(&vsi_server_clock_ahead_ns, (TIMEOUT_S + ROUNDING_S) * UINT64_C(1000000000));
  while (frames_read(&c) && c.last.type != FRAME_GOAWAY) resets += c.last.type == FRAME_RST_STREAM;
  assert_int_equal(c.last.type, FRAME_GOAWAY);
  assert_int_equal(frames_number(c.last.bytes + 4), 0); /* NO_ERROR */
  assert_int_equal(resets, STREAMS);
  vsi_server_hold_clock(false);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
  frames_close(&c);
  vsi_server_stop(&s);
}
