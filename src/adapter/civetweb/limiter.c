/* SPDX-License-Identifier: MIT */
/* The limit of connections per client address (limiter.h): a timer counts the sockets of each address, by walking
 * through the descriptors of this process, and shuts the surplus for reading. */
#include "adapter/civetweb/limiter.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/web/addresses.h"
#include "base/array.h"
#include "base/log.h"
#include "base/memory.h"

/* If an address had too many connections, the next round comes sooner, because more connections wait for the freed
 * workers. */
enum { PERIOD_MS = 100, SOON_MS = 5 };

typedef struct vsi_civetweb_client {
  vsi_address address;
  vsi_civetweb_peer peer;
  int fd;
  uint32_t silent_ms; /* time since it sent anything, or connected */
} client;

static bool is_ours(const vsi_civetweb_limiter *limiter, const vsi_civetweb_peer *peer) {
  for (size_t i = 0; i < limiter->ports_count; i++)
    if (limiter->ports[i].number == peer->server_port) return true;
  return false;
}

static vsi_address address_of(const vsi_civetweb_peer *peer) {
  struct sockaddr_in6 at = {.sin6_family = AF_INET6};
  memcpy(&at.sin6_addr, peer->address, sizeof peer->address);
  return vsi_address_of((const struct sockaddr *)&at);
}

/* Return whether a connection has ended, by the client or by an earlier round. Its worker will read the end. */
static bool is_ending(int fd) {
  struct pollfd at = {.fd = fd, .events = POLLRDHUP};
  return poll(&at, 1, 0) > 0;
}

static bool see(void *ctx, int fd) {
  vsi_civetweb_limiter *limiter = ctx;
  client seen = {.fd = fd};
  if (!vsi_civetweb_peer_of_descriptor(fd, &seen.peer) || !is_ours(limiter, &seen.peer) || is_ending(fd)) return true;
  struct tcp_info info = {0};
  socklen_t len = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
      VSI_ARRAY_RESERVE(limiter->host, limiter->clients, limiter->clients_count, limiter->clients_room, 1))
    return true;
  seen.address = address_of(&seen.peer);
  seen.silent_ms = info.tcpi_last_data_recv;
  limiter->clients[limiter->clients_count++] = seen;
  return true;
}

/* Order by address; among those of one address, the longest silent first. */
static int compare(const void *left, const void *right) {
  const client *a = left, *b = right;
  if (a->address.prefix != b->address.prefix) return a->address.prefix < b->address.prefix ? -1 : 1;
  if (a->address.family != b->address.family) return a->address.family < b->address.family ? -1 : 1;
  return a->silent_ms > b->silent_ms ? -1 : a->silent_ms < b->silent_ms;
}

static bool is_active_locked(const vsi_civetweb_limiter *limiter, const vsi_civetweb_peer *peer) {
  for (const vsi_civetweb_active *at = LIST_FIRST(&limiter->requests); at; at = LIST_NEXT(at, in))
    if (vsi_civetweb_peer_equal(&at->peer, peer)) return true;
  return false;
}

/* Shut a connection for reading. The worker may close the socket at the same time, and the number of its descriptor may
 * then belong to another socket. Therefore the check and the shutdown use a duplicate of the descriptor, which always
 * refers to the same socket. */
static void shut(const vsi_civetweb_limiter *limiter, const client *at) {
  int own = fcntl(at->fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return;
  vsi_civetweb_peer peer;
  if (vsi_civetweb_peer_of_descriptor(own, &peer) && vsi_civetweb_peer_equal(&peer, &at->peer) &&
      shutdown(own, SHUT_RD) == 0)
    vestry_turn_away(limiter->v, VESTRY_REFUSAL_ADDRESS);
  close(own);
}

/* Shut the surplus of one address. Returns whether there was any. */
static bool shut_surplus_locked(const vsi_civetweb_limiter *limiter, const client *of_one, size_t count) {
  size_t left = count;
  for (size_t i = 0; i < count && left > limiter->limit; i++) {
    if (is_active_locked(limiter, &of_one[i].peer)) continue;
    shut(limiter, &of_one[i]);
    left--;
  }
  return left < count;
}

/* The descriptors of this process are looked through. The kernel's list of sockets would not do, because it also
 * contains connections that are not accepted yet. */
static void look(vestry_timer *timer, void *ctx) {
  vsi_civetweb_limiter *limiter = ctx;
  bool were_too_many = false;
  limiter->clients_count = 0;
  if (!vsi_civetweb_descriptors_see(see, limiter) && !limiter->warned) {
    limiter->warned = true;
    vsi_log(limiter->host, VESTRY_LOG_WARN,
            "civetweb: cannot read /proc/self/fd; connections without a request have no limit per address");
  }
  if (limiter->clients_count <= limiter->limit) return;
  qsort(limiter->clients, limiter->clients_count, sizeof *limiter->clients, compare);
  vsi_mutex_lock(&limiter->lock);
  for (size_t begin = 0, end; begin < limiter->clients_count; begin = end) {
    const vsi_address address = limiter->clients[begin].address;
    for (end = begin + 1; end < limiter->clients_count && limiter->clients[end].address.prefix == address.prefix &&
                          limiter->clients[end].address.family == address.family;)
      end++;
    were_too_many |= shut_surplus_locked(limiter, limiter->clients + begin, end - begin);
  }
  vsi_mutex_unlock(&limiter->lock);
  if (were_too_many) vestry_timer_set(timer, SOON_MS, PERIOD_MS);
}

vestry_err vsi_civetweb_limiter_init(vsi_civetweb_limiter *limiter, vestry *v, const vestry_host *host, uint32_t limit,
                                     const vsi_civetweb_port *ports, size_t ports_count) {
  limiter->v = v;
  limiter->host = host;
  limiter->limit = limit;
  if (!limit || !ports_count) return VESTRY_OK;
  limiter->ports = vsi_calloc(host, ports_count, sizeof *ports);
  if (!limiter->ports) return VESTRY_NO_MEMORY;
  memcpy(limiter->ports, ports, ports_count * sizeof *ports);
  limiter->ports_count = ports_count;
  vestry_err error = vestry_timer_create(vestry_parts_of(v)->runtime, look, limiter, &limiter->timer);
  if (error) return error;
  vsi_mutex_init(&limiter->lock, VSI_LOCK_CIVETWEB_LIMITER);
  return vestry_timer_set(limiter->timer, PERIOD_MS, PERIOD_MS);
}

void vsi_civetweb_limiter_finish(vsi_civetweb_limiter *limiter) {
  if (limiter->timer) {
    vestry_timer_destroy(limiter->timer);
    vsi_mutex_finish(&limiter->lock);
    limiter->timer = NULL;
  }
  if (!limiter->host) return;
  vsi_free(limiter->host, limiter->clients);
  vsi_free(limiter->host, limiter->ports);
  limiter->clients = NULL;
  limiter->ports = NULL;
}

void vsi_civetweb_limiter_enter(vsi_civetweb_limiter *limiter, vsi_civetweb_active *active,
                                const vsi_civetweb_peer *peer) {
  if (!limiter->timer) return;
  active->peer = *peer;
  active->is_there = true;
  vsi_mutex_lock(&limiter->lock);
  LIST_INSERT_HEAD(&limiter->requests, active, in);
  vsi_mutex_unlock(&limiter->lock);
}

void vsi_civetweb_limiter_leave(vsi_civetweb_limiter *limiter, vsi_civetweb_active *active) {
  if (!active->is_there) return;
  vsi_mutex_lock(&limiter->lock);
  LIST_REMOVE(active, in);
  vsi_mutex_unlock(&limiter->lock);
  active->is_there = false;
}
