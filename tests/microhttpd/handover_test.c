/* SPDX-License-Identifier: MIT */
/* Plain streams: the socket is handed over and libmicrohttpd drops it, without any visible effect. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/microhttpd/adapter.h"
#include "microhttpd/server.h"
#include "support/descriptors.h"
#include "support/litmus.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/client.h"

static vsi_server s;

static unsigned streams(void) {
  uint32_t count;
  vestry_server_room(server_web(&s), &count, NULL);
  return count;
}

/* ---- injected failures ------------------------------------------------------------------------------------------- */

int __real_dup3(int from, int to, int flags);
int __wrap_dup3(int from, int to, int flags);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

/* number of failures; bytes of the final chunk that are accepted at once */
static atomic_int dup3_fails, finals_refused, final_pieces;

int __wrap_dup3(int from, int to, int flags) {
  if (atomic_fetch_sub(&dup3_fails, 1) > 0) {
    errno = EMFILE;
    return -1;
  }
  atomic_store(&dup3_fails, 0);
  return __real_dup3(from, to, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags) {
  static const char final[] = "0\r\n\r\n";
  bool is_final = len > 0 && len <= 5 && memcmp(data, final + 5 - len, len) == 0;
  if (is_final && atomic_load(&finals_refused) > 0) {
    atomic_fetch_sub(&finals_refused, 1);
    int piece = atomic_load(&final_pieces);
    if (piece && (size_t)piece < len) return __real_send(fd, data, (size_t)piece, flags);
    errno = EAGAIN;
    return -1;
  }
  return __real_send(fd, data, len, flags);
}

/* Queries of the bytes that a peer has not read: their number, the socket, and the last result. */
static atomic_uint looks_count;
static atomic_int looked_fd, looked_bytes;

/* The kernel holds as much of a stream as its buffer does: a stream that has ended has much to send. */
static atomic_bool holds_much;

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  if (atomic_load(&holds_much) && level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT) return 0;
  return __real_setsockopt(fd, level, name, value, len);
}

int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  int answer = __real_ioctl(fd, request, argument);
  if (request == SIOCOUTQ) {
    atomic_store(&looked_fd, fd);
    atomic_store(&looked_bytes, *(int *)argument);
    atomic_fetch_add(&looks_count, 1);
  }
  return answer;
}

/* ---- the remaining state ----------------------------------------------------------------------------------------- */

enum { MEMORY_BYTES = 16384, IDLE_STREAMS = 32, MOST_IDLE_BYTES = 1024 };

static size_t allocated_bytes(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/* capability: C16 */
TEST_CASE(idle_stream_holds_no_memory_of_the_library) {
  if (!mallinfo2().uordblks) TEST_SKIP("the allocator is a sanitizer's, which counts no bytes");
  mallopt(M_ARENA_MAX, 1); /* mallinfo2 reports one arena only */
  server_start(&s, &(server_settings){.adapter.memory_bytes = MEMORY_BYTES, .options.threads_count = 1});
  static vsi_client clients[2][IDLE_STREAMS];
  /* tables grow with the first ones, and the thread gets its batch of writes */
  for (int i = 0; i < IDLE_STREAMS; i++) vsi_server_patch(vsi_server_open(&s, &clients[0][i]), "{}");
  for (int i = 0; i < IDLE_STREAMS; i++) vsi_client_expect(&clients[0][i], "data: signals {}");
  size_t before = allocated_bytes(), held = 0;
  for (int i = 0; i < IDLE_STREAMS; i++) {
    vsi_server_patch(vsi_server_open(&s, &clients[1][i]), "{}"); /* written when vestry owns the socket */
    vsi_client_expect(&clients[1][i], "data: signals {}");
    held += malloc_usable_size(clients[1][i].text) + malloc_usable_size(clients[1][i].body);
  }
  UNTIL(allocated_bytes() <= before + held + IDLE_STREAMS * MOST_IDLE_BYTES);
  long each = ((long)allocated_bytes() - (long)before - (long)held) / IDLE_STREAMS;
  print_message("%ld bytes for each\n", each);
  assert_true(each <= MOST_IDLE_BYTES);
  for (int i = 0; i < IDLE_STREAMS; i++) {
    vsi_client_close(&clients[0][i]);
    vsi_client_close(&clients[1][i]);
  }
  vsi_server_stop(&s);
}

/* libmicrohttpd checks the connections that are silent for longest first, up to the first that it keeps. */
TEST_CASE(handed_over_socket_is_dropped_behind_silent_ones) {
  enum { EACH = 8 };
  static vsi_client silent[EACH], clients[EACH];
  server_start(&s, &(server_settings){.adapter = {.threads_count = 1, .timeout_s = 300}});
  for (int i = 0; i < EACH; i++) {
    vsi_client_ask(&silent[i], s.port, "GET", "/echo", NULL);
    assert_int_equal(vsi_client_status(&silent[i]), 200);
  }
  unsigned before = server_descriptors();
  for (int i = 0; i < EACH; i++) {
    vsi_server_patch(vsi_server_open(&s, &clients[i]), "{\"ours\":1}");
    vsi_client_expect(&clients[i], "ours");
  }
  server_wait_descriptors(before + 2 * EACH);
  for (int i = 0; i < EACH; i++) vsi_client_close(&clients[i]);
  server_wait_descriptors(before);
  for (int i = 0; i < EACH; i++) vsi_client_close(&silent[i]);
  vsi_server_stop(&s);
}

/* No line at any level: there would be one for each stream, worded like a failure. */
/* capability: C16 */
TEST_CASE(hand_over_logs_nothing) {
  static const vestry_cause causes[] = {VESTRY_CAUSE_CLOSED, VESTRY_CAUSE_IDLE};
  for (int tls = 0; tls < 2; tls++) {
    server_start(&s, &(server_settings){.tls = tls});
    long before = atomic_load(&vsi_server_debug_lines), reported = atomic_load(&s.th.log_lines);
    for (int i = 0; i < 10; i++) {
      vsi_client c;
      vestry_connection *connection = vsi_server_open(&s, &c);
      vestry_connection_close(connection, causes[i % 2]);
      vsi_client_read_all(&c);
      assert_int_equal(c.complete, i % 2 == 0);
      vsi_client_close(&c);
    }
    UNTIL(!streams());
    assert_int_equal(atomic_load(&vsi_server_debug_lines), before);
    assert_int_equal(atomic_load(&s.th.log_lines), reported);
    vsi_server_stop(&s);
  }
}

/* ---- many -------------------------------------------------------------------------------------------------------- */

enum { MANY = 3000, AT_LEAST = 200, OTHERS = 300 };

static unsigned how_many(void) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  /* two ends, and two during the hand-over */
  unsigned long most = limit.rlim_cur > OTHERS ? (limit.rlim_cur - OTHERS) / 4 : 0;
  return most < MANY ? (unsigned)most : MANY;
}

/* capability: C16 */
TEST_CASE(hand_over_of_many_streams_is_invisible) {
  unsigned count = how_many();
  if (count < AT_LEAST) TEST_SKIP("this process may open too few descriptors");
  static vsi_client clients[MANY];
  unsigned before = server_descriptors();
  /* On a busy machine the first one would get a heartbeat before the last one is open. */
  vestry_connection_options without_heartbeats = {.heartbeat_ms = VESTRY_NEVER_MS};
  server_start(&s, &(server_settings){.adapter.max_streams = MANY, .options.connection = &without_heartbeats});
  unsigned quiet = server_descriptors();
  for (unsigned i = 0; i < count; i++) vsi_server_open(&s, &clients[i]);
  server_wait_descriptors(quiet + 2 * count);
  assert_int_equal(streams(), count);
  for (unsigned i = 0; i < count; i++) { /* only the head has arrived, and no end */
    struct pollfd polled = {.fd = clients[i].fd, .events = POLLIN | POLLRDHUP};
    assert_int_equal(poll(&polled, 1, 0), 0);
  }
  for (unsigned i = 0; i < count; i++) vsi_server_patch(vsi_recorder_connection(&s.recorder, i), "{\"a\":1}");
  for (unsigned i = 0; i < count; i++) vsi_client_expect(&clients[i], "{\"a\":1}\n\n");
  for (unsigned i = 0; i < count; i++)
    vestry_connection_close(vsi_recorder_connection(&s.recorder, i), VESTRY_CAUSE_CLOSED);
  for (unsigned i = 0; i < count; i++) {
    assert_string_equal(vsi_client_header(&clients[i], "Connection"), "close"); /* so no second request follows */
    vsi_client_read_all(&clients[i]);
    assert_true(clients[i].complete && !clients[i].reset);
    vsi_client_close(&clients[i]);
  }
  server_wait_descriptors(quiet);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
  server_wait_descriptors(before);
}

/* Bytes that the client sends after its request are not read. Closing a socket with unread bytes discards the bytes to
 * be sent. */
TEST_CASE(client_that_sends_more_gets_the_complete_stream) {
  server_start(&s, &(server_settings){.options.connection =
                                          &(vestry_connection_options){.max_queued_bytes = VSI_STALLING_QUEUE_BYTES}});
  vsi_client c;
  vestry_connection *connection = vsi_server_open_stalled(&s, &c);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  assert_true(c.complete && !c.reset && c.body_len > VSI_STALLING_BYTES);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- a final chunk that waits ------------------------------------------------------------------------------------ */

/* A stream that has ended, and whose final chunk is refused this number of times. */
static void end_without_room(vsi_client *c, int refused, int pieces) {
  vestry_connection *connection = vsi_server_open(&s, c);
  vsi_server_patch(connection, "{\"a\":1}");
  vsi_client_expect(c, "{\"a\":1}\n\n");
  atomic_store(&final_pieces, pieces);
  atomic_store(&finals_refused, refused);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_CLOSED);
}

/* capability: C16 */
TEST_CASE(final_chunk_waits_for_room) {
  server_start(&s, NULL);
  for (int pieces = 0; pieces < 5; pieces++) {
    vsi_client c;
    end_without_room(&c, 1, pieces);
    vsi_client_read_all(&c);
    assert_true(c.complete && !c.reset);
    vsi_client_close(&c);
    UNTIL(!streams());
  }
  vsi_server_stop(&s);
}

TEST_CASE(final_chunk_does_not_wait_for_a_lost_peer) {
  server_start(&s, NULL);
  vsi_client c;
  end_without_room(&c, INT32_MAX, 0);
  assert_int_equal(streams(), 1);
  vsi_client_abort(&c);
  UNTIL(!streams());
  vsi_server_stop(&s);
}

TEST_CASE(waiting_final_chunk_does_not_delay_a_stop) {
  server_start(&s, NULL);
  vsi_client c[3];
  for (int i = 0; i < 3; i++) {
    end_without_room(&c[i], INT32_MAX, 0);
    assert_int_equal(streams(), (unsigned)i + 1);
  }
  vsi_server_stop(&s);
  for (int i = 0; i < 3; i++) {
    vsi_client_read_all(&c[i]);
    assert_false(c[i].complete);
    vsi_client_close(&c[i]);
  }
}

TEST_CASE(final_chunk_times_out) {
  server_start(&s, NULL);
  vsi_client c;
  end_without_room(&c, INT32_MAX, 0);
  assert_int_equal(streams(), 1);
  atomic_store(&vsi_server_clock_ahead_ns, UINT64_C(6000000000));
  vsi_client_read_all(&c);
  assert_false(c.complete);
  vsi_client_close(&c);
  UNTIL(!streams());
  vsi_server_stop(&s);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
  atomic_store(&finals_refused, 0);
}

/* A stream that has ended, with most of its event in the kernel, and whose final chunk finds no room; the clock is
 * stopped. The event suffices for 16 times PIECE_BYTES, read by up to what the peer's kernel holds too many. */
enum { MUCH_BYTES = 260000, HELD_BYTES = 200000, PIECE_BYTES = 8000, STEP_S = 4 };

static void end_unread(vsi_client *c) {
  atomic_store(&holds_much, true);
  server_start(&s, &(server_settings){.adapter = {.send_buffer_bytes = HELD_BYTES, .lost_ms = VESTRY_NEVER_MS}});
  vsi_client_connect(c, s.port, true);
  vsi_client_sendf(c, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  static char text[MUCH_BYTES];
  memset(text, 'x', sizeof text);
  assert_int_equal(vestry_connection_patch_elements(connection, text, sizeof text, NULL), VESTRY_OK);
  vsi_client_expect(c, "data: elements x");
  vsi_server_hold_clock(true);
  atomic_store(&finals_refused, INT32_MAX);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_CLOSED);
  assert_int_equal(streams(), 1);
}

static int unread_bytes(void) {
  int bytes = 0;
  assert_int_equal(__real_ioctl(atomic_load(&looked_fd), SIOCOUTQ, &bytes), 0);
  return bytes;
}

/* The peer reads more than its own kernel holds, so ours holds less as soon as the acknowledgement arrives. */
static void read_on(vsi_client *c) {
  size_t wanted = c->len + PIECE_BYTES;
  while (c->len < wanted && !c->ended) vsi_client_read(c);
  UNTIL(unread_bytes() < atomic_load(&looked_bytes));
}

/* Advance the clock, and wait until the watch has checked. It checks once a second; the runtime sees the new time after
 * at most a real second, and earlier if another stream sets a timer. */
static void let_pass(unsigned seconds) {
  unsigned before = atomic_load(&looks_count); /* no check while time stands still */
  atomic_fetch_add(&vsi_server_clock_ahead_ns, seconds * UINT64_C(1000000000));
  double until = vsi_seconds_now() + PATIENCE_S;
  while (atomic_load(&looks_count) == before && vsi_seconds_now() < until) {
    vsi_client other;
    vsi_server_open(&s, &other);
    vsi_client_abort(&other);
    double soon = vsi_seconds_now() + 0.1;
    WAIT_WHILE(atomic_load(&looks_count) == before && vsi_seconds_now() < soon);
  }
  assert_int_not_equal(atomic_load(&looks_count), before);
}

static void finish_unread(vsi_client *c) {
  vsi_client_close(c);
  atomic_store(&finals_refused, 0);
  atomic_store(&holds_much, false);
  UNTIL(!streams());
  vsi_server_stop(&s);
  vsi_server_hold_clock(false);
  atomic_store(&vsi_server_clock_ahead_ns, 0);
}

TEST_CASE(final_chunk_waits_for_a_slow_reader) {
  vsi_client c;
  end_unread(&c);
  for (int i = 0; i < 5; i++) {
    read_on(&c);
    let_pass(STEP_S);
  }
  atomic_store(&finals_refused, 0);
  vsi_server_hold_clock(false); /* there is room: the next check finds it */
  vsi_client_read_all(&c);
  assert_true(c.complete && !c.reset);
  assert_true(c.body_len > MUCH_BYTES);
  finish_unread(&c);
}

TEST_CASE(final_chunk_waits_one_minute_at_most) {
  vsi_client c;
  end_unread(&c);
  for (int i = 0; i < 16; i++) {
    read_on(&c);
    let_pass(i < 14 ? STEP_S : i == 14 ? 3 : 1);
  }
  vsi_client_read_all(&c);
  assert_false(c.complete);
  assert_true(c.body_len > MUCH_BYTES); /* the bytes in the kernel arrive nevertheless */
  finish_unread(&c);
}

TEST_CASE(final_chunk_times_out_if_the_peer_stops_reading) {
  vsi_client c;
  end_unread(&c);
  read_on(&c);
  for (int before = INT32_MAX, now; (now = atomic_load(&looked_bytes)) < before;) {
    before = now; /* an acknowledgement of bytes read before may still arrive, and restart the time */
    let_pass(STEP_S);
    if (atomic_load(&looked_bytes) == before) let_pass(1);
  }
  vsi_client_read_all(&c);
  assert_false(c.complete);
  finish_unread(&c);
}

/* ---- no descriptors ---------------------------------------------------------------------------------------------- */

/* One stream is closed for lack of a descriptor, and no other. */
static void assert_one_ends(vsi_client *c, unsigned index, vsi_client *other) {
  vsi_client_sendf(c, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(vsi_recorder_wait_closed(&s.recorder, index + 1));
  assert_int_equal(s.recorder.causes[index], VESTRY_CAUSE_ERROR);
  vsi_client_read_all(c);
  assert_false(c->complete);
  vsi_client_close(c);
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"still\":1}");
  vsi_client_expect(other, "still");
}

/* capability: C16 */
TEST_CASE(stream_without_a_descriptor_ends_alone) {
  server_start(&s, &(server_settings){.adapter.threads_count = 1});
  vsi_client c, other;
  vsi_server_open(&s, &other);
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"taken\":1}");
  vsi_client_expect(&other, "taken"); /* it has been handed over, so later failures affect the other one */
  vsi_client_connect(&c, s.port, false);
  atomic_store(&dup3_fails, 1);
  assert_one_ends(&c, 0, &other);

  vsi_client_ask(&c, s.port, "GET", "/echo", NULL); /* it has been accepted */
  assert_int_equal(vsi_client_status(&c), 200);
  vsi_client_expect(&c, "nothing");
  struct rlimit limit, low;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int lowest = descriptors_lowest_free();
  low = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  vsi_client_next(&c);
  assert_one_ends(&c, 1, &other);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  /* the acceptor may have found no descriptor either */
  assert_true(stats.refused_by_reason[VESTRY_REFUSAL_DESCRIPTORS] >= 2);
  vsi_client_close(&other);
  vsi_server_stop(&s);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* A request on an existing connection: it gives the acceptor time to accept others, if it would. */
static void ask_again(vsi_client *c) {
  vsi_client_sendf(c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  vsi_client_expect(c, "nothing");
  vsi_client_next(c);
}

/* capability: C16 */
TEST_CASE(streams_count_against_max_connections) {
  server_start(&s, &(server_settings){.adapter = {.max_streams = 2, .max_connections = 3, .threads_count = 1}});
  vsi_client held[2], third, fourth;
  vestry_connection *connection = vsi_server_open(&s, &held[0]);
  vsi_server_open(&s, &held[1]);
  vsi_client_connect(&third, s.port, false);
  for (int i = 0; i < 20; i++) ask_again(&third);
  vsi_client_ask(&fourth, s.port, "GET", "/echo", NULL);
  for (int i = 0; i < 200; i++) ask_again(&third);
  struct pollfd polled = {.fd = fourth.fd, .events = POLLIN};
  assert_int_equal(poll(&polled, 1, 0), 0);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vsi_client_status(&fourth), 200);
  vsi_client_close(&held[0]);
  vsi_client_close(&held[1]);
  vsi_client_close(&third);
  vsi_client_close(&fourth);
  vsi_server_stop(&s);
}

/* Whether a request gets an answer, and its connection is not closed instead. */
static bool is_served(void) {
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/echo", NULL);
  vsi_client_read(&c);
  bool answered = c.len > 0;
  vsi_client_close(&c);
  return answered;
}

/* capability: C16 */
TEST_CASE(streams_count_against_max_per_address) {
  server_start(&s, &(server_settings){.adapter.max_per_address = 2});
  vsi_client held[2], third;
  vestry_connection *connection = vsi_server_open(&s, &held[0]);
  vsi_server_open(&s, &held[1]);
  for (int i = 0; i < 3; i++) {
    vsi_client_ask(&third, s.port, "GET", "/echo", NULL);
    vsi_client_read_all(&third);
    assert_int_equal(third.len, 0);
    vsi_client_close(&third);
  }
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  UNTIL(is_served());
  vsi_client_close(&held[0]);
  vsi_client_close(&held[1]);
  vsi_server_stop(&s);
}

/* ---- races ------------------------------------------------------------------------------------------------------- */

enum { ROUNDS = 250, A_ROUND = 8 };

static uint64_t seed = 1;

static unsigned random_below(unsigned count) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(seed >> 33) % count;
}

/* A stream that ends cleanly by itself, while libmicrohttpd still has to send the head, or a moment later. */
static vestry_err open_and_end(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("brief", 1));
}

/* capability: C16 */
TEST_CASE(hand_over_races_with_every_end) {
  unsigned before = server_descriptors();
  for (unsigned stops = 0; stops < 3; stops++) {
    server_start(&s, &(server_settings){.adapter.max_streams = 64});
    assert_int_equal(vestry_route(s.v, "GET", "/brief", open_and_end, &s), VESTRY_OK);
    unsigned opened = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
      vsi_client clients[A_ROUND];
      bool goes[A_ROUND], brief[A_ROUND];
      for (int i = 0; i < A_ROUND; i++) {
        brief[i] = random_below(3) == 0;
        vsi_client_ask(&clients[i], s.port, "GET", brief[i] ? "/brief" : "/stream", "Datastar-Request: true\r\n");
        goes[i] = random_below(3) == 0;
        if (!goes[i]) continue;
        litmus_dally(random_below(50000));
        if (random_below(2))
          vsi_client_abort(&clients[i]);
        else
          vsi_client_close(&clients[i]);
      }
      vsi_mutex_lock(&s.recorder.lock);
      unsigned now = s.recorder.opened;
      vsi_mutex_unlock(&s.recorder.lock);
      for (; opened < now; opened++)
        vestry_connection_close(vsi_recorder_connection(&s.recorder, opened),
                                random_below(2) ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_IDLE);
      if (stops && round == ROUNDS - 1) { /* with these in progress */
        vsi_server_stop_adapter(&s);
        for (int i = 0; i < A_ROUND; i++)
          if (!goes[i]) vsi_client_close(&clients[i]);
        break;
      }
      for (int i = 0; i < A_ROUND; i++) {
        if (goes[i]) continue;
        if (brief[i]) { /* no byte of it is lost, whenever the end came */
          vsi_client_read_all(&clients[i]);
          assert_true(clients[i].complete && !clients[i].reset);
          assert_non_null(strstr(clients[i].body, "brief"));
        }
        vsi_client_close(&clients[i]);
      }
    }
    vsi_server_stop(&s);
    server_wait_descriptors(before);
  }
}
