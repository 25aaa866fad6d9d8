/* SPDX-License-Identifier: MIT */
#include "rounds/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/random.h"
#include "support/test.h"

enum { READ_BYTES = 65536, LATE_MS = 150, NS_PER_MS = 1000000 };

uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int make_socket(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
  assert_true(fd >= 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

void proxy_init(proxy *p, int broker_port, uint64_t *state) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  *p = (proxy){.broker_port = broker_port, .state = state};
  for (size_t i = 0; i < PROXY_LINKS_MOST; i++) p->links[i].node = p->links[i].broker = -1;
  p->listener = make_socket();
  assert_int_equal(bind(p->listener, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(p->listener, 64), 0);
  assert_int_equal(getsockname(p->listener, (struct sockaddr *)&address, &size), 0);
  p->port = ntohs(address.sin_port);
  snprintf(p->url, sizeof p->url, "nats://127.0.0.1:%d", p->port);
}

/* ----------------------------------------------------------------------------------------------- directions ------- */

/* Insert a parcel after all that are due before it or at the same time. */
static void put(way *w, const char *data, size_t len, uint64_t due_ns) {
  parcel *item = malloc(sizeof *item + len), **at = &w->first;
  assert_non_null(item);
  *item = (parcel){.due_ns = due_ns, .len = len};
  memcpy(item->data, data, len);
  /* A parcel that is partly written stays first. */
  while (*at && ((*at)->due_ns <= due_ns || (*at)->sent)) at = &(*at)->next;
  item->next = *at;
  *at = item;
}

static uint64_t next_due(const proxy *p, way *w, uint64_t now_ns) {
  uint64_t due_ns = now_ns + (p->delay_ms ? random_below(p->state, p->delay_ms * (uint64_t)NS_PER_MS) : 0);
  if (due_ns < w->last_due_ns) due_ns = w->last_due_ns; /* a socket keeps its order */
  return w->last_due_ns = due_ns;
}

static void clear(way *w) {
  for (parcel *item = w->first, *next; item; item = next) {
    next = item->next;
    free(item);
  }
  *w = (way){NULL, 0};
}

static void close_link(proxy_link *l) {
  if (l->node < 0) return;
  close(l->node);
  close(l->broker);
  clear(&l->to_node);
  clear(&l->to_broker);
  free(l->raw);
  *l = (proxy_link){.node = -1, .broker = -1};
}

/* Send all parcels that are due. False: the socket has ended. */
static bool send_due(way *w, int fd, uint64_t now_ns) {
  while (w->first && w->first->due_ns <= now_ns) {
    parcel *item = w->first;
    ssize_t n = send(fd, item->data + item->sent, item->len - item->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN || errno == EINPROGRESS;
    item->sent += (size_t)n;
    if (item->sent < item->len) return true;
    w->first = item->next;
    free(item);
  }
  return true;
}

/* --------------------------------------------------------------------------------------------------- frames ------- */

size_t nats_frame_len(const char *raw, size_t len, bool *ret_is_message) {
  const char *line_end = memmem(raw, len, "\r\n", 2);
  if (!line_end) return 0;
  size_t line = (size_t)(line_end - raw);
  *ret_is_message = line > 4 && (!memcmp(raw, "MSG ", 4) || !memcmp(raw, "HMSG", 4));
  if (!*ret_is_message) return line + 2;
  size_t at = line;
  while (at && raw[at - 1] != ' ') at--;
  size_t whole = line + 2 + strtoul(raw + at, NULL, 10) + 2;
  return whole <= len ? whole : 0;
}

bool nats_subject_is_plain(const char *frame) {
  const char *at = strchr(frame, ' ') + 1;
  while ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '.') at++;
  return *at == ' ';
}

static void take_frames(proxy *p, proxy_link *l, uint64_t now_ns) {
  size_t at = 0, len;
  bool is_message;
  while ((len = nats_frame_len(l->raw + at, l->raw_len - at, &is_message)) > 0) {
    const char *frame = l->raw + at;
    at += len;
    if (is_message) {
      p->messages_count++;
      if (p->drop && random_below(p->state, 10000) < p->drop) {
        p->dropped_count++;
        continue;
      }
    }
    uint64_t due_ns = next_due(p, &l->to_node, now_ns);
    put(&l->to_node, frame, len, due_ns);
    if (is_message && p->duplicate && random_below(p->state, 10000) < p->duplicate) {
      p->duplicated_count++;
      uint64_t later = random_below(p->state, 2) ? random_below(p->state, LATE_MS) : 0;
      put(&l->to_node, frame, len, due_ns + later * NS_PER_MS);
    }
  }
  memmove(l->raw, l->raw + at, l->raw_len - at);
  l->raw_len -= at;
}

/* ----------------------------------------------------------------------------------------------- forwarding ------- */

/* Return the bytes read; 0: none now; -1: the end. */
static ssize_t read_some(int fd, char *buffer, size_t room) {
  ssize_t n = recv(fd, buffer, room, 0);
  if (n > 0) return n;
  return n < 0 && (errno == EAGAIN || errno == EINTR || errno == EINPROGRESS || errno == ENOTCONN) ? 0 : -1;
}

static void read_broker(proxy *p, proxy_link *l, uint64_t now_ns) {
  for (ssize_t n = 1; n > 0;) {
    if (l->raw_room - l->raw_len < READ_BYTES) {
      l->raw_room = l->raw_room * 2 + READ_BYTES;
      l->raw = realloc(l->raw, l->raw_room);
      assert_non_null(l->raw);
    }
    n = read_some(l->broker, l->raw + l->raw_len, READ_BYTES);
    if (n < 0) l->broker_ended = true;
    if (n > 0) l->raw_len += (size_t)n;
    if (n > 0) take_frames(p, l, now_ns);
  }
}

static void read_node(proxy *p, proxy_link *l, uint64_t now_ns) {
  static char buffer[READ_BYTES];
  for (ssize_t n = 1; n > 0;) {
    n = read_some(l->node, buffer, sizeof buffer);
    if (n < 0) l->node_ended = true;
    if (n > 0) put(&l->to_broker, buffer, (size_t)n, next_due(p, &l->to_broker, now_ns));
  }
}

static void carry_link(proxy *p, proxy_link *l, uint64_t now_ns) {
  bool lives = true;
  if (!p->holds_in && !l->broker_ended) read_broker(p, l, now_ns);
  if (!p->holds_out && !l->node_ended) read_node(p, l, now_ns);
  if (!p->holds_in) lives = send_due(&l->to_node, l->node, now_ns) && !(l->broker_ended && !l->to_node.first);
  if (!p->holds_out)
    lives = send_due(&l->to_broker, l->broker, now_ns) && !(l->node_ended && !l->to_broker.first) && lives;
  if (!lives) close_link(l);
}

static void accept_some(proxy *p) {
  for (int fd; (fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    proxy_link *l = p->links;
    while (l < p->links + PROXY_LINKS_MOST && l->node >= 0) l++;
    if (p->is_cut || l == p->links + PROXY_LINKS_MOST) {
      close(fd);
      continue;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)p->broker_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *l = (proxy_link){.node = fd, .broker = make_socket()};
    /* if it is refused, the first read reports it */
    (void)connect(l->broker, (struct sockaddr *)&address, sizeof address);
  }
}

void proxy_carry(proxy *p, uint64_t now_ns) {
  accept_some(p);
  for (size_t i = 0; i < PROXY_LINKS_MOST; i++)
    if (p->links[i].node >= 0) carry_link(p, &p->links[i], now_ns);
}

static short events_of(bool reads, const way *w, bool holds, uint64_t *due_ns, uint64_t now_ns) {
  short events = reads ? POLLIN : 0;
  if (holds || !w->first) return events;
  if (w->first->due_ns <= now_ns) return (short)(events | POLLOUT);
  if (w->first->due_ns < *due_ns) *due_ns = w->first->due_ns;
  return events;
}

size_t proxy_prepare(proxy *p, struct pollfd *fds, uint64_t *due_ns) {
  size_t count = 0;
  uint64_t now_ns = clock_ns();
  fds[count++] = (struct pollfd){.fd = p->listener, .events = POLLIN};
  for (size_t i = 0; i < PROXY_LINKS_MOST; i++) {
    proxy_link *l = &p->links[i];
    if (l->node < 0) continue;
    short node = events_of(!p->holds_out && !l->node_ended, &l->to_node, p->holds_in, due_ns, now_ns);
    short broker = events_of(!p->holds_in && !l->broker_ended, &l->to_broker, p->holds_out, due_ns, now_ns);
    if (node) fds[count++] = (struct pollfd){.fd = l->node, .events = node}; /* otherwise poll would report its end */
    if (broker) fds[count++] = (struct pollfd){.fd = l->broker, .events = broker};
  }
  return count;
}

void proxy_cut(proxy *p, bool is_cut) {
  p->is_cut = is_cut;
  for (size_t i = 0; is_cut && i < PROXY_LINKS_MOST; i++) close_link(&p->links[i]);
}

void proxy_heal(proxy *p) {
  p->is_cut = p->holds_in = p->holds_out = false;
  p->delay_ms = p->duplicate = p->drop = 0;
}

size_t proxy_links_count(const proxy *p) {
  size_t count = 0;
  for (size_t i = 0; i < PROXY_LINKS_MOST; i++) count += p->links[i].node >= 0;
  return count;
}

void proxy_finish(proxy *p) {
  for (size_t i = 0; i < PROXY_LINKS_MOST; i++) close_link(&p->links[i]);
  close(p->listener);
}
