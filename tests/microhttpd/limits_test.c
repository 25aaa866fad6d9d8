/* SPDX-License-Identifier: MIT */
/* The resources that clients can use: time, memory, connections and descriptors; then hostile requests, by the
 * contract. */
#include "adapter/microhttpd/adapter.h"

#include <assert.h>
#include <linux/sockios.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/client.h"

static vsi_server s;

static vestry_stats stats_of(void) {
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  return stats;
}

static uint64_t refused(vestry_refusal refusal) {
  return stats_of().refused_by_reason[refusal];
}

static double cpu_seconds(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* libmicrohttpd answers these itself, and never reports their end. */
TEST_CASE(requests_without_an_end_leak_no_memory) {
  server_start(&s, NULL);
  vsi_server_assert_serves(&s);
  UNTIL(stats_of().request_bytes == 0);
  long before = atomic_load(&s.th.live);
  static char cookie[4096];
  memset(cookie, 'c', sizeof cookie - 1);
  for (int len = 1500; len < 4000; len += 25) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\nCookie: %.*s\r\nContent-Length: 12x\r\n\r\n", len, cookie);
    vsi_client_read_all(&c);
    vsi_client_close(&c);
  }
  UNTIL(atomic_load(&s.th.live) <= before);
  vsi_server_stop(&s);
}

static void begin_body(vsi_client *c, size_t announced, size_t sent) {
  static char body[1 << 18];
  memset(body, 'b', sizeof body);
  vsi_client_connect(c, s.port, false);
  vsi_client_sendf(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", announced);
  vsi_client_send(c, body, sent);
}

/* Above seven eighths of the budget, the largest bodies are aborted, so that the rest is free for new requests. A
 * complete body is in memory twice while its handler runs, so the limit lies between this and one more unfinished
 * body. */
TEST_CASE(unfinished_bodies_share_a_budget) {
  enum { HELD = 20, EACH = 65000, HEAD = 4096, COPY = 65536, EACH_HOLDS = EACH + 1 + HEAD, MOST = 1656000 };
  static_assert(MOST / 8 * 7 > HELD * EACH_HOLDS + COPY && MOST / 8 * 7 < (HELD + 1) * EACH_HOLDS, "between");
  server_start(&s, &(server_settings){.adapter.max_head_bytes = HEAD,
                                      .options.bounds = &(vestry_bounds){.max_request_bytes = MOST}});
  vsi_client held[HELD], more;
  for (int i = 0; i < HELD; i++) begin_body(&held[i], EACH + 1, EACH);
  UNTIL(stats_of().request_bytes == HELD * EACH_HOLDS);
  assert_int_equal(refused(VESTRY_REFUSAL_BUDGET), 0);
  begin_body(&more, EACH + 1, EACH); /* announces no more than the others */
  UNTIL(refused(VESTRY_REFUSAL_BUDGET) == 1);
  UNTIL(stats_of().request_bytes == HELD * EACH_HOLDS);
  vsi_client_sendf(&more, "x");
  assert_int_equal(vsi_client_status(&more), 200);
  vsi_client_close(&more);
  UNTIL(stats_of().request_bytes == (HELD - 1) * EACH_HOLDS);
  unsigned finished = 0;
  for (int i = 0; i < HELD; i++) {
    (void)send(held[i].fd, "x", 1, MSG_NOSIGNAL);
    while (!held[i].ended && !(held[i].len && strstr(held[i].text, "\r\n\r\n"))) vsi_client_read(&held[i]);
    finished += held[i].len && strncmp(held[i].text, "HTTP/1.1 200", 12) == 0;
    vsi_client_close(&held[i]);
    UNTIL(stats_of().request_bytes == (HELD - 1 - finished) * EACH_HOLDS);
  }
  assert_int_equal(finished, HELD - 1);
  assert_int_equal(refused(VESTRY_REFUSAL_BUDGET), 1);
  assert_true(stats_of().request_peak_bytes <= MOST);
  vsi_server_stop(&s);
}

/* A length that is only announced allocates nothing. */
TEST_CASE(announced_bodies_allocate_nothing) {
  server_start(&s, &(server_settings){.options.bounds = &(vestry_bounds){.max_request_bytes = 400000}});
  vsi_client c[10];
  for (int i = 0; i < 10; i++) begin_body(&c[i], 150000, 1000);
  vsi_server_assert_serves(&s);
  assert_int_equal(refused(VESTRY_REFUSAL_BUDGET), 0);
  for (int i = 0; i < 10; i++) vsi_client_close(&c[i]);
  vsi_server_stop(&s);
}

/* The largest limit that is accepted (a body is in memory twice) can be used, with and without a length. */
TEST_CASE(largest_accepted_body_is_served) {
  enum { MOST = 4 << 20, BODY = MOST / 16 * 7 };
  server_start(&s, &(server_settings){.options.bounds = &(vestry_bounds){.max_request_bytes = MOST}});
  assert_int_equal(vestry_body_limit(s.v, "/echo", BODY + 1), VESTRY_INVALID);
  assert_int_equal(vestry_body_limit(s.v, "/echo", BODY), VESTRY_OK);
  static char body[BODY];
  memset(body, 'b', sizeof body);
  for (int i = 0; i < 2; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\n");
    if (i)
      vsi_client_sendf(&c, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", BODY);
    else
      vsi_client_sendf(&c, "Content-Length: %d\r\n\r\n", BODY);
    vsi_client_send(&c, body, sizeof body);
    if (i) vsi_client_sendf(&c, "\r\n0\r\n\r\n");
    assert_int_equal(vsi_client_status(&c), 200);
    vsi_client_close(&c);
  }
  assert_int_equal(refused(VESTRY_REFUSAL_BUDGET), 0);
  vsi_server_stop(&s);
}

static bool first_has_line(vsi_microhttpd_sockets *sockets) {
  vsi_mutex_lock(&sockets->lock);
  const vsi_microhttpd_socket *first = TAILQ_FIRST(&sockets->waiting);
  const bool has_line = first && first->has_line;
  vsi_mutex_unlock(&sockets->lock);
  return has_line;
}

/* libmicrohttpd refuses this head by itself, when it is complete. The adapter finds its connection without looking at
 * all connections, under their lock. */
TEST_CASE(refusals_of_the_library_need_no_lock_of_all) {
  server_start(&s, NULL);
  vsi_microhttpd_sockets *sockets = &((vsi_microhttpd *)server_web(&s))->sockets;
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n");
  UNTIL(first_has_line(sockets));
  vsi_mutex_lock(&sockets->lock);
  vsi_client_sendf(&c, "Content-Length: 12x\r\n\r\n");
  const int status = vsi_client_status(&c);
  vsi_mutex_unlock(&sockets->lock);
  assert_int_equal(status, 400);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

static int unacknowledged(const vsi_client *c) {
  int bytes = -1;
  assert_int_equal(ioctl(c->fd, SIOCOUTQ, &bytes), 0);
  return bytes;
}

/* Return whether so many have arrived, each open one holds these bytes, and those that were cut are freed. */
static bool have_arrived(uint64_t count, uint64_t each) {
  vsi_microhttpd_sockets *sockets = &((vsi_microhttpd *)server_web(&s))->sockets;
  const uint64_t before = refused(VESTRY_REFUSAL_BUDGET);
  vsi_mutex_lock(&sockets->lock);
  const uint64_t going = sockets->going, open = vsi_microhttpd_sockets_count(sockets);
  vsi_mutex_unlock(&sockets->lock);
  return !going && stats_of().request_bytes == open * each && open + before == count &&
         refused(VESTRY_REFUSAL_BUDGET) == before;
}

/* Connections without a request are closed first, those that have waited longest before the others: kept ones, and new
 * ones that have sent nothing. */
TEST_CASE(idle_connections_make_room_for_a_body) {
  enum { MOST = 4 << 20, BODY = 200000, PIECE = 20000, KEPT = 60, SILENT = 230, HEAD = 16384 };
  static const char piece[PIECE];
  for (int is_kept = 0; is_kept < 2; is_kept++) {
    server_start(&s, &(server_settings){.options.bounds = &(vestry_bounds){.max_request_bytes = MOST}});
    const int count = is_kept ? KEPT : SILENT;
    const uint64_t each = is_kept ? 4 * HEAD : HEAD;
    vsi_client idle[SILENT], body;
    for (int i = 0; i < count; i++) {
      if (i == count - 1) UNTIL(have_arrived((uint64_t)i, each)); /* so that there is room for the last one */
      vsi_client_connect(&idle[i], s.port, false);
      if (!is_kept) continue;
      vsi_client_sendf(&idle[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
      assert_int_equal(vsi_client_status(&idle[i]), 200);
      vsi_client_finish(&idle[i], false);
    }
    UNTIL(have_arrived((uint64_t)count, each)); /* the last one, too, before the body takes the rest of the budget */
    assert_true(refused(VESTRY_REFUSAL_BUDGET) > 0); /* they fill it */
    begin_body(&body, BODY, PIECE);
    for (int at = PIECE; at < BODY; at += PIECE) {
      vsi_client_send(&body, piece, PIECE);
      UNTIL(!unacknowledged(&body)); /* the server reads pieces, and the body grows */
    }
    assert_int_equal(vsi_client_status(&body), 200);
    vsi_client_read_all(&idle[0]);
    assert_int_equal(poll(&(struct pollfd){.fd = idle[count - 1].fd, .events = POLLIN}, 1, 0), 0);
    vsi_client_close(&body);
    for (int i = 0; i < count; i++) vsi_client_close(&idle[i]);
    vsi_server_stop(&s);
  }
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

TEST_CASE(connections_per_address_are_limited) {
  server_start(&s, &(server_settings){.adapter = {.max_per_address = 3, .max_head_bytes = 4096}});
  vsi_client stream, idle, half, more;
  vsi_server_open(&s, &stream);
  vsi_client_ask(&idle, s.port, "GET", "/echo", NULL);
  assert_int_equal(vsi_client_status(&idle), 200);
  vsi_client_connect(&half, s.port, false);
  vsi_client_sendf(&half, "GET");
  UNTIL(stats_of().request_bytes == 5 * 4096); /* a stream's memory is freed; a kept connection counts four times */
  for (int i = 1; i <= 5; i++) {
    vsi_client_ask(&more, s.port, "GET", "/echo", NULL);
    vsi_client_read_all(&more);
    assert_int_equal(more.len, 0);
    vsi_client_close(&more);
    assert_int_equal(refused(VESTRY_REFUSAL_ADDRESS), i);
  }
  vsi_client_close(&half);
  UNTIL(stats_of().request_bytes == 4 * 4096);
  vsi_server_assert_serves(&s);
  vsi_client_close(&stream);
  vsi_client_close(&idle);
  vsi_server_stop(&s);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Send single bytes until the server closes. Returns how long this took. */
static double drip(vsi_client *c, const char *text) {
  double since = vsi_seconds_now();
  for (const char *at = text; !c->ended; at = at[1] ? at + 1 : at) {
    (void)send(c->fd, at, 1, MSG_NOSIGNAL);
    if (poll(&(struct pollfd){.fd = c->fd, .events = POLLIN}, 1, 20) > 0) vsi_client_read(c);
    assert_true(vsi_seconds_now() - since < PATIENCE_S);
  }
  return vsi_seconds_now() - since;
}

TEST_CASE(trickling_requests_time_out) {
  static const char *const texts[] = {
      "GET /echo HTTP/1.1\r\nHost: aaaaaaaaaaaa",
      "GET /aaaaaaaaaaaaaaa",
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbbbbbb",
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nbbbbbb",
      "\r\n\r\n\r\n\r\n",
  };
  const bool refuses = server_library_refuses();
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    server_start(&s, &(server_settings){.adapter.request_timeout_ms = 500});
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    double took = drip(&c, texts[i]);
    assert_true(took < VSI_PROMPT_S); /* libmicrohttpd's own time-out restarts with each byte */
    vsi_client_close(&c);
    if (!refuses || *texts[i] != '\r') { /* it refuses more than one empty line at once */
      assert_true(took >= 0.4);
      assert_int_equal(c.len, 0);
      assert_int_equal(refused(VESTRY_REFUSAL_DEADLINE), 1);
    }
    vsi_server_assert_serves(&s);
    vsi_server_stop(&s);
  }
}

/* Each further request on a connection has its own time; the wait for it counts as idle time. */
TEST_CASE(later_trickling_requests_time_out) {
  server_start(&s, &(server_settings){.adapter = {.request_timeout_ms = 500, .timeout_s = 1}});
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/echo", NULL);
  assert_int_equal(vsi_client_status(&c), 200);
  vsi_client_finish(&c, false);
  assert_true(drip(&c, "GET /aaaaaaaa") < 20);
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "GET", "/echo", NULL);
  assert_int_equal(vsi_client_status(&c), 200);
  vsi_client_finish(&c, false);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\n");
  assert_true(drip(&c, "Host: aaaaa") < 20);
  vsi_client_close(&c);
  assert_int_equal(refused(VESTRY_REFUSAL_DEADLINE), 2);
  vsi_server_stop(&s);
}

static sem_t may_answer;

static vestry_err answer_late(const vestry_request *req, vestry_reply *reply, void *app) {
  while (sem_wait(&may_answer)) continue;
  return vsi_server_echo(req, reply, app);
}

TEST_CASE(request_timeout_does_not_end_handlers_or_streams) {
  sem_init(&may_answer, 0, 0);
  server_start(&s, &(server_settings){.adapter = {.request_timeout_ms = 200, .timeout_s = 1}});
  assert_int_equal(vestry_route(s.v, "GET", "/late", answer_late, &s), VESTRY_OK);
  vsi_client stream, late;
  vestry_connection *connection = vsi_server_open(&s, &stream);
  vsi_server_patch(connection, "{\"a\":1}");
  vsi_client_expect(&stream, "{\"a\":1}");
  vsi_client_ask(&late, s.port, "GET", "/late", NULL);
  assert_int_equal(poll(&(struct pollfd){.fd = late.fd, .events = POLLIN}, 1, 2500), 0);
  sem_post(&may_answer);
  assert_int_equal(vsi_client_status(&late), 200);
  vsi_server_patch(connection, "{\"b\":1}");
  vsi_client_expect(&stream, "{\"b\":1}");
  assert_int_equal(refused(VESTRY_REFUSAL_DEADLINE), 0);
  vsi_client_close(&late);
  vsi_client_close(&stream);
  vsi_server_stop(&s);
  sem_destroy(&may_answer);
}

/* All time-outs are PATIENCE_S here. */
TEST_CASE(lost_clients_release_their_resources) {
  static const char *const texts[] = {"GET /echo HTTP/1.1\r\nHost: a", "GET /ec", "",
                                      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nb",
                                      "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"};
  enum { TEXTS = sizeof texts / sizeof *texts, CLIENTS = 10 * TEXTS };
  for (int tls = 0; tls < 2; tls++) {
    server_start(&s, &(server_settings){.tls = tls,
                                        .adapter = {.timeout_s = PATIENCE_S, .request_timeout_ms = PATIENCE_S * 1000}});
    vsi_client_tls_ops_used = NULL; /* with TLS, none of these is a handshake */
    double since = vsi_seconds_now();
    static vsi_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
      const char *text = texts[i % TEXTS];
      vsi_client_connect(&clients[i], s.port, false);
      vsi_client_send(&clients[i], text, strlen(text));
      vsi_client_shut(&clients[i]); /* possibly in one burst */
    }
    for (int i = 0; i < CLIENTS; i++) {
      vsi_client_read_all(&clients[i]);
      if (!tls && i % TEXTS == TEXTS - 1) assert_int_equal(vsi_client_status(&clients[i]), 200); /* it was complete */
      vsi_client_close(&clients[i]);
    }
    UNTIL(stats_of().request_bytes == 0);
    double took = vsi_seconds_now() - since;
    print_message("all gone after %.0f ms\n", took * 1e3);
    assert_true(took < VSI_PROMPT_S);
    vsi_server_stop(&s);
  }
}

/* An unfinished ClientHello. */
TEST_CASE(unfinished_handshake_times_out_without_busy_loop) {
  static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
  server_start(&s, &(server_settings){.adapter.request_timeout_ms = 2000, .tls = true});
  const vsi_client_tls_ops *ops = vsi_client_tls_ops_used;
  vsi_client_tls_ops_used = NULL;
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  double since = vsi_seconds_now(), cpu = cpu_seconds();
  vsi_client_send(&c, hello, sizeof hello - 1);
  vsi_client_read_all(&c); /* the handshake counts as a part of the head */
  cpu = cpu_seconds() - cpu;
  double took = vsi_seconds_now() - since;
  print_message("%.0f ms of CPU in %.0f ms\n", cpu * 1e3, took * 1e3);
  assert_true(took > 1.5 && took < VSI_PROMPT_S);
  assert_true(cpu < took / 2);
  vsi_client_close(&c);
  assert_int_equal(refused(VESTRY_REFUSAL_DEADLINE), 1);
  vsi_client_tls_ops_used = ops;
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static rlim_t set_descriptors(rlim_t count) {
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlim_t before = limit.rlim_cur;
  limit.rlim_cur = count;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  return before;
}

TEST_CASE(limits_are_reduced_to_the_descriptors) {
  rlim_t before = set_descriptors(256);
  server_start(&s, &(server_settings){.adapter.max_streams = 1000});
  uint32_t room = 0;
  vestry_server_room(server_web(&s), NULL, &room);
  assert_in_range(room, 100, 200);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
  assert_int_equal(atomic_load(&s.th.log_lines), 1);
  assert_non_null(strstr(s.th.last_log, "RLIMIT_NOFILE is 256"));
  server_start(&s, &(server_settings){.adapter.max_streams = 20});
  vestry_server_room(server_web(&s), NULL, &room);
  assert_int_equal(room, 20);
  assert_int_equal(atomic_load(&s.th.log_lines), 0);
  vsi_server_stop(&s);
  set_descriptors(before);
}

/* The application uses all descriptors, once with an open stream and once without. */
TEST_CASE(connections_wait_for_descriptors) {
  enum { TAKEN = 256 };
  static int taken[TAKEN];
  rlim_t before = set_descriptors(TAKEN);
  for (int with_stream = 0; with_stream < 2; with_stream++) {
    server_start(&s, &(server_settings){.adapter.max_streams = 20});
    vsi_client stream, waiting;
    unsigned open = server_descriptors();
    if (with_stream) {
      vsi_server_patch(vsi_server_open(&s, &stream), "{\"ours\":1}");
      vsi_client_expect(&stream, "ours"); /* written to the second descriptor, */
      server_wait_descriptors(open + 2);  /* and now the first is closed */
    }
    int count = 0, tries = 0;
    bool is_served; /* accept4 holds a descriptor while it looks for clients. If it did when dup failed, one is left. */
    do {
      while (count < TAKEN && (taken[count] = dup(0)) >= 0) count++;
      assert_true(count > 0 && count < TAKEN);
      close(taken[--count]); /* for the client */
      vsi_client_ask(&waiting, s.port, "GET", "/echo", NULL);
      UNTIL(refused(VESTRY_REFUSAL_DESCRIPTORS) == 1);
      double cpu = cpu_seconds(), since = vsi_seconds_now();
      is_served = poll(&(struct pollfd){.fd = waiting.fd, .events = POLLIN}, 1, 500) != 0;
      assert_true(cpu_seconds() - cpu < (vsi_seconds_now() - since) / 2 + 0.2);
      if (is_served) {
        vsi_client_close(&waiting);
        while (count) close(taken[--count]);
        server_wait_descriptors(with_stream ? open + 2 : open);
      }
    } while (is_served && ++tries < 10);
    assert_false(is_served);
    while (count) close(taken[--count]);
    double since = vsi_seconds_now();
    assert_int_equal(vsi_client_status(&waiting), 200);
    print_message("served %.0f ms after there were descriptors again\n", (vsi_seconds_now() - since) * 1e3);
    assert_true(vsi_seconds_now() - since < VSI_PROMPT_S);
    vsi_client_close(&waiting);
    if (with_stream) vsi_client_close(&stream);
    vsi_server_assert_serves(&s);
    vsi_server_stop(&s);
    assert_int_equal(atomic_load(&s.th.log_lines), 1);
    assert_non_null(strstr(s.th.last_log, "no descriptors are left"));
  }
  set_descriptors(before);
}

/* Connections over max_connections wait, and are accepted when others end. */
TEST_CASE(connections_over_limit_wait) {
  server_start(&s, &(server_settings){.adapter = {.max_streams = 2, .max_connections = 6}});
  vsi_client held[6], waiting;
  for (int i = 0; i < 6; i++) {
    vsi_client_ask(&held[i], s.port, "GET", "/echo", NULL);
    assert_int_equal(vsi_client_status(&held[i]), 200);
  }
  vsi_client_ask(&waiting, s.port, "GET", "/echo", NULL);
  assert_int_equal(poll(&(struct pollfd){.fd = waiting.fd, .events = POLLIN}, 1, 200), 0);
  vsi_client_close(&held[0]);
  assert_int_equal(vsi_client_status(&waiting), 200);
  vsi_client_close(&waiting);
  for (int i = 1; i < 6; i++) vsi_client_close(&held[i]);
  vsi_server_stop(&s);
}

/* The same while the only thread is busy; libmicrohttpd 0.9.75 deadlocks if it gets one connection too many. */
TEST_CASE(connections_over_limit_wait_while_handlers_run) {
  enum { WAITING = 12 };
  sem_init(&may_answer, 0, 0);
  for (unsigned threads = 1; threads <= 2; threads++) {
    server_start(&s, &(server_settings){.adapter = {.max_streams = 2, .max_connections = 4, .threads_count = threads}});
    assert_int_equal(vestry_route(s.v, "GET", "/late", answer_late, &s), VESTRY_OK);
    vsi_client late, waiting[WAITING];
    vsi_client_ask(&late, s.port, "GET", "/late", NULL);
    for (int i = 0; i < WAITING; i++) vsi_client_ask(&waiting[i], s.port, "GET", "/late", NULL);
    assert_int_equal(poll(&(struct pollfd){.fd = late.fd, .events = POLLIN}, 1, 200), 0);
    for (int i = 0; i <= WAITING; i++) sem_post(&may_answer);
    assert_int_equal(vsi_client_status(&late), 200);
    vsi_client_close(&late);
    for (int i = 0; i < WAITING; i++) {
      assert_int_equal(vsi_client_status(&waiting[i]), 200);
      vsi_client_close(&waiting[i]);
    }
    vsi_server_assert_serves(&s);
    vsi_server_stop(&s);
  }
  sem_destroy(&may_answer);
}

/* ---- trailers ---------------------------------------------------------------------------------------------------- */

/* Trailers may hide a request: no request is read after them. */
TEST_CASE(connection_closes_after_a_chunked_request) {
  server_start(&s, NULL);
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c,
                   "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n: v\r\n"
                   "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  /* a library that refuses by itself parses them like a head */
  assert_int_equal(vsi_client_status(&c), server_library_refuses() ? 400 : 200);
  assert_string_equal(vsi_client_header(&c, "Connection"), "close");
  vsi_client_read_all(&c);
  assert_null(strstr(c.text + 10, "HTTP/1.1"));
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  return (int)vestry_contract_run(&contract, "hostile") + cases_run("libmicrohttpd, its limits", NULL, NULL);
}
