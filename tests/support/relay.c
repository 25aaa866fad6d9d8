/* SPDX-License-Identifier: MIT */
#include "support/relay.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"
#include "support/until.h"

enum { PAIRS_MAX = 32, PIECE_BYTES = 65536 };

typedef struct pair {
  int ends[2]; /* 0: unused */
} pair;

struct relay {
  int listener, port, to, wake;
  pthread_t thread;
  atomic_bool is_held, holds_requests, is_over;
  atomic_uint cuts_asked, cuts_done;
  pair pairs[PAIRS_MAX]; /* used by the thread only */
};

static int open_socket(int port, struct sockaddr_in *ret_address) {
  *ret_address = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  return fd;
}

static void end_pair(pair *p) {
  if (!p->ends[0]) return;
  close(p->ends[0]);
  close(p->ends[1]);
  *p = (pair){{0}};
}

static void take_connection(relay *r) {
  struct sockaddr_in address;
  pair p = {{accept(r->listener, NULL, NULL), open_socket(r->to, &address)}};
  pair *free_one = r->pairs;
  while (free_one < r->pairs + PAIRS_MAX && free_one->ends[0]) free_one++;
  if (p.ends[0] > 0 && free_one < r->pairs + PAIRS_MAX &&
      connect(p.ends[1], (const struct sockaddr *)&address, sizeof address) == 0)
    *free_one = p;
  else
    end_pair(&p);
}

/* Returns false when the pair has ended. */
static bool pass(int from, int to) {
  char piece[PIECE_BYTES];
  ssize_t len = recv(from, piece, sizeof piece, 0);
  for (ssize_t done = 0, some; done < len; done += some) {
    some = send(to, piece + done, (size_t)(len - done), MSG_NOSIGNAL);
    if (some <= 0) return false;
  }
  return len > 0;
}

/* Pass the bytes that poll reports, for each pair; none while the relay is held. */
static void pass_all(relay *r) {
  struct pollfd at[2 + 2 * PAIRS_MAX] = {{.fd = r->wake, .events = POLLIN}};
  const short events = r->is_held ? 0 : POLLIN;
  at[1] = (struct pollfd){.fd = events ? r->listener : -1, .events = events};
  for (size_t i = 0; i < 2 * PAIRS_MAX; i++) {
    const pair *p = &r->pairs[i / 2];
    const bool passes = p->ends[0] && events && !(r->holds_requests && i % 2 == 0);
    at[2 + i] = (struct pollfd){.fd = passes ? p->ends[i % 2] : -1, .events = events};
  }
  (void)poll(at, sizeof at / sizeof *at, -1);
  uint64_t count;
  if (at[0].revents) (void)!read(r->wake, &count, sizeof count);
  for (size_t i = 0; i < 2 * PAIRS_MAX; i++) {
    pair *p = &r->pairs[i / 2];
    if (at[2 + i].revents && p->ends[0] && !pass(p->ends[i % 2], p->ends[1 - i % 2])) end_pair(p);
  }
  if (at[1].revents) take_connection(r);
}

static void *run(void *ctx) {
  relay *r = ctx;
  while (!r->is_over) {
    pass_all(r);
    unsigned asked = r->cuts_asked;
    if (asked == r->cuts_done && !r->is_over) continue;
    for (size_t i = 0; i < PAIRS_MAX; i++) end_pair(&r->pairs[i]);
    r->cuts_done = asked;
  }
  return NULL;
}

static void wake(const relay *r) {
  const uint64_t one = 1;
  assert_int_equal(write(r->wake, &one, sizeof one), sizeof one);
}

relay *relay_open(int to) {
  struct sockaddr_in address;
  socklen_t len = sizeof address;
  relay *r = calloc(1, sizeof *r);
  assert_non_null(r);
  r->to = to;
  r->wake = eventfd(0, EFD_CLOEXEC);
  r->listener = open_socket(0, &address);
  assert_int_equal(bind(r->listener, (const struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(r->listener, PAIRS_MAX), 0);
  assert_int_equal(getsockname(r->listener, (struct sockaddr *)&address, &len), 0);
  r->port = ntohs(address.sin_port);
  assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
  return r;
}

void relay_close(relay *r) {
  r->is_over = true;
  wake(r);
  pthread_join(r->thread, NULL);
  close(r->listener);
  close(r->wake);
  free(r);
}

int relay_port(const relay *r) {
  return r->port;
}

void relay_hold(relay *r, bool is_held) {
  r->is_held = is_held;
  wake(r);
}

void relay_hold_requests(relay *r, bool are_held) {
  r->holds_requests = are_held;
  wake(r);
}

void relay_cut(relay *r) {
  unsigned asked = ++r->cuts_asked;
  wake(r);
  UNTIL(r->cuts_done == asked);
}
