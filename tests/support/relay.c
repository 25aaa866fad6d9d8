/* SPDX-License-Identifier: MIT */
#include "support/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wait.h"
#include "support/test.h"
#include "support/until.h"

enum { PAIRS_MAX = 32, PIECE_BYTES = 65536, LANE_BYTES = 1 << 18, RETRY_NS = 1000000, NS_A_MS = 1000000 };

/* Bytes on their way; none: the end. */
typedef struct piece {
  STAILQ_ENTRY(piece) next;
  uint64_t due_ns;
  size_t at, len;
  char bytes[];
} piece;

/* One direction. */
typedef struct lane {
  STAILQ_HEAD(, piece) pieces;
  size_t len;
  uint64_t free_ns;          /* its path passes the next byte then */
  bool has_ended, has_given; /* the end was read; it was passed on */
} lane;

typedef struct pair {
  int ends[2];   /* 0: unused */
  lane lanes[2]; /* from the end of the same number to the other */
} pair;

struct relay {
  int listener, port, to, wake;
  pthread_t thread;
  atomic_bool is_held, holds_requests, is_over;
  atomic_uint cuts_asked, cuts_done;
  uint64_t way_ns, bytes_a_second; /* 0: without a bound */
  uint64_t random;                 /* the rest is used by the thread only */
  pair pairs[PAIRS_MAX];
};

static int open_socket(int port, struct sockaddr_in *ret_address) {
  *ret_address = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  return fd;
}

static void drop_first(lane *l) {
  piece *first = STAILQ_FIRST(&l->pieces);
  STAILQ_REMOVE_HEAD(&l->pieces, next);
  l->len -= first->len - first->at;
  free(first);
}

static void end_pair(pair *p) {
  if (!p->ends[0]) return;
  for (size_t i = 0; i < 2; i++) {
    close(p->ends[i]);
    while (!STAILQ_EMPTY(&p->lanes[i].pieces)) drop_first(&p->lanes[i]);
  }
  memset(p, 0, sizeof *p);
}

static void take_connection(relay *r) {
  struct sockaddr_in address;
  pair p = {.ends = {accept(r->listener, NULL, NULL), open_socket(r->to, &address)}};
  pair *free_one = r->pairs;
  while (free_one < r->pairs + PAIRS_MAX && free_one->ends[0]) free_one++;
  if (p.ends[0] > 0 && free_one < r->pairs + PAIRS_MAX &&
      connect(p.ends[1], (const struct sockaddr *)&address, sizeof address) == 0) {
    *free_one = p;
    for (size_t i = 0; i < 2; i++) STAILQ_INIT(&free_one->lanes[i].pieces);
  } else {
    close(p.ends[0]);
    close(p.ends[1]);
  }
}

/* Read a piece; over a distance, of any length. false: the connection was reset. */
static bool take_piece(relay *r, lane *l, int from, uint64_t now_ns) {
  r->random = r->random * 6364136223846793005u + 1442695040888963407u;
  const size_t most = r->way_ns ? 1 + (size_t)(r->random >> 33) % PIECE_BYTES / (1 + (r->random >> 60)) : PIECE_BYTES;
  piece *p = malloc(sizeof *p + most);
  assert_non_null(p);
  const ssize_t len = recv(from, p->bytes, most, MSG_DONTWAIT);
  if (len < 0) free(p);
  if (len < 0) return errno == EAGAIN;
  l->free_ns = l->free_ns > now_ns ? l->free_ns : now_ns;
  if (r->bytes_a_second) l->free_ns += (uint64_t)len * UINT64_C(1000000000) / r->bytes_a_second;
  p->due_ns = l->free_ns + r->way_ns;
  p->at = 0;
  p->len = (size_t)len;
  l->len += p->len;
  l->has_ended = !len;
  STAILQ_INSERT_TAIL(&l->pieces, p, next);
  return true;
}

/* Send the pieces that are due, as far as the socket takes them. false: the connection is broken. */
static bool give_pieces(lane *l, int to, uint64_t now_ns) {
  for (piece *p; (p = STAILQ_FIRST(&l->pieces)) != NULL && p->due_ns <= now_ns;) {
    const ssize_t sent = p->len ? send(to, p->bytes + p->at, p->len - p->at, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) p->due_ns = now_ns + RETRY_NS;
    if (sent < 0) break;
    if (!p->len) l->has_given = shutdown(to, SHUT_WR) == 0 || errno;
    p->at += (size_t)sent;
    l->len -= (size_t)sent;
    if (p->at == p->len) drop_first(l);
  }
  return true;
}

static bool is_lane_held(const relay *r, size_t from) {
  return r->is_held || (r->holds_requests && from == 0);
}

/* Wait until a socket can be read, a piece is due, or the relay is woken. */
static void wait_for_any(relay *r, struct pollfd *at) {
  uint64_t due_ns = UINT64_MAX;
  at[0] = (struct pollfd){.fd = r->wake, .events = POLLIN};
  at[1] = (struct pollfd){.fd = r->is_held ? -1 : r->listener, .events = POLLIN};
  for (size_t i = 0; i < 2 * PAIRS_MAX; i++) {
    const pair *p = &r->pairs[i / 2];
    const lane *l = &p->lanes[i % 2];
    const bool passes = p->ends[0] && !is_lane_held(r, i % 2);
    const piece *first = passes ? STAILQ_FIRST(&l->pieces) : NULL;
    if (first && first->due_ns < due_ns) due_ns = first->due_ns;
    at[2 + i] =
        (struct pollfd){.fd = passes && !l->has_ended && l->len < LANE_BYTES ? p->ends[i % 2] : -1, .events = POLLIN};
  }
  const uint64_t now_ns = vsi_monotonic_ns(), left_ns = due_ns > now_ns ? due_ns - now_ns : 0;
  (void)poll(at, 2 + 2 * PAIRS_MAX, due_ns == UINT64_MAX ? -1 : (int)((left_ns + NS_A_MS - 1) / NS_A_MS));
}

static void pass_all(relay *r) {
  struct pollfd at[2 + 2 * PAIRS_MAX];
  uint64_t count;
  wait_for_any(r, at);
  if (at[0].revents) (void)!read(r->wake, &count, sizeof count);
  const uint64_t now_ns = vsi_monotonic_ns();
  for (size_t i = 0; i < 2 * PAIRS_MAX; i++) {
    pair *p = &r->pairs[i / 2];
    lane *l = &p->lanes[i % 2];
    if (!p->ends[0]) continue;
    const bool goes_on = (!at[2 + i].revents || take_piece(r, l, p->ends[i % 2], now_ns)) &&
                         (is_lane_held(r, i % 2) || give_pieces(l, p->ends[1 - i % 2], now_ns));
    if (!goes_on || (p->lanes[0].has_given && p->lanes[1].has_given)) end_pair(p);
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

relay *relay_open_far(int to, unsigned way_ms, uint64_t bytes_a_second) {
  struct sockaddr_in address;
  socklen_t len = sizeof address;
  relay *r = calloc(1, sizeof *r);
  assert_non_null(r);
  r->to = to;
  r->way_ns = way_ms * (uint64_t)NS_A_MS;
  r->bytes_a_second = bytes_a_second;
  r->wake = eventfd(0, EFD_CLOEXEC);
  r->listener = open_socket(0, &address);
  assert_int_equal(bind(r->listener, (const struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(r->listener, PAIRS_MAX), 0);
  assert_int_equal(getsockname(r->listener, (struct sockaddr *)&address, &len), 0);
  r->port = ntohs(address.sin_port);
  assert_int_equal(pthread_create(&r->thread, NULL, run, r), 0);
  return r;
}

relay *relay_open(int to) {
  return relay_open_far(to, 0, 0);
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
