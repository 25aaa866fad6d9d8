/* SPDX-License-Identifier: MIT */
/* essay: deadlines, and shutdowns that never hit a reused descriptor */
/* The sockets of libmicrohttpd's connections: deadlines for requests that do not arrive completely, and the memory that
 * each connection holds. The functions of socket.h report the states of a connection:
 *
 *               begins                serves                  rests
 *   accepted ──────────> arriving <==========> being served ─────────> waiting for the next request ──> arriving …
 *                                   goes_on         │
 *                                                   └─> give_bytes: the response is a stream
 *
 * The connection has a deadline in every state except `being served`.
 *
 * vestry needs its own deadlines for two reasons. libmicrohttpd's timeout restarts with every byte, so a request that
 * arrives byte by byte can last for ever. And in its epoll mode libmicrohttpd overlooks the close of the peer (FIN) if
 * it arrives together with a part of a request, so a client that is long gone holds a connection for the whole timeout.
 *
 * A timer checks all connections that wait for a request, several times a second. The acceptor does so, too, when the
 * maximum number of connections is open. A connection is shut down in two cases:
 * - Its request is late: the deadline has passed.
 * - Its peer has closed, and all bytes that it sent were read at least ENDED_NS ago. libmicrohttpd processes bytes as
 *   soon as it has read them. If these bytes had completed a request, libmicrohttpd would be serving it by now, and the
 *   connection would not be in the list any more.
 *
 * libmicrohttpd sees the shutdown as a hang-up, in any mode, and closes the connection.
 *
 * If a connection is late and has unread bytes, the delay is not the client's fault: a handler blocks the thread. So it
 * is not shut down, and is checked again next time.
 *
 * A descriptor is shut down only while it is in the list, under the lock. libmicrohttpd reports the end of a connection
 * before it closes the descriptor, and the callback removes it from the list under the same lock. So the descriptor
 * cannot have been reused. */
#include "adapter/microhttpd/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/wait.h"

/* LOOK: a check of all waiting connections. It runs LOOKS times within the time that a request may take (request_ms),
 * but no more often than every LEAST_LOOK_MS, and at least every LONGEST_LOOK_MS. LOOKED_AT: connections in one call of
 * poll. */
enum { LOOKED_AT = 256, LONGEST_LOOK_MS = 250, LEAST_LOOK_MS = 10, LOOKS = 8, SHUT_MS = 2000, WASTE_BYTES = 4096 };
/* libmicrohttpd's own timeout closes connections that are silent between requests. The grace lets this timeout come
 * first, so that this file closes only the connections that libmicrohttpd overlooks. */
enum { IDLE_GRACE_MS = 1000 };
enum { LINGER_MS = 5000, LINGER_MOST_MS = 30000, MOST_WASTE = 16 };
#define ENDED_NS UINT64_C(20000000)

/* ------------------------------------------------------------------------------------------------ the arrivals ---- */

/* If a thread of libmicrohttpd has no memory for a connection, it closes the connection without a report. Therefore
 * arrivals are tracked by the numbers of their descriptors. The old connection was closed if the same number is
 * accepted again, or if no descriptor with this number is open any more. (If the application itself opens a descriptor
 * with this number, the connection stays counted until that descriptor is closed.) */
void vsi_microhttpd_arrivals_init(vsi_microhttpd_arrivals *arrivals, const vestry_host *host) {
  arrivals->host = host;
  vsi_mutex_init(&arrivals->on_way_lock, VSI_LOCK_MICROHTTPD_ARRIVALS);
  pthread_cond_init(&arrivals->fewer, NULL);
}

void vsi_microhttpd_arrivals_finish(vsi_microhttpd_arrivals *arrivals) {
  vsi_free(arrivals->host, arrivals->is_on_way);
  pthread_cond_destroy(&arrivals->fewer);
  vsi_mutex_finish(&arrivals->on_way_lock);
}

static vestry_err grow_locked(vsi_microhttpd_arrivals *arrivals, size_t least) {
  size_t before = arrivals->room;
  vestry_err error = VSI_ARRAY_RESERVE(arrivals->host, arrivals->is_on_way, 0, arrivals->room, least);
  if (!error) memset(arrivals->is_on_way + before, 0, arrivals->room - before);
  return error;
}

static void mark_locked(vsi_microhttpd_arrivals *arrivals, size_t fd, bool is_on_way) {
  if (arrivals->is_on_way[fd] == is_on_way) return;
  arrivals->is_on_way[fd] = is_on_way;
  /* relaxed: the count is only a number */
  atomic_fetch_add_explicit(&arrivals->on_way, is_on_way ? 1 : UINT32_MAX, memory_order_relaxed);
  if (!is_on_way && arrivals->is_awaited) pthread_cond_signal(&arrivals->fewer);
}

vestry_err vsi_microhttpd_arrivals_enter(vsi_microhttpd_arrivals *arrivals, int fd) {
  size_t at = (size_t)fd;
  vsi_mutex_lock(&arrivals->on_way_lock);
  vestry_err error = at < arrivals->room ? VESTRY_OK : grow_locked(arrivals, at + 1);
  if (!error) mark_locked(arrivals, at, true);
  vsi_mutex_unlock(&arrivals->on_way_lock);
  return error;
}

void vsi_microhttpd_arrivals_leave(vsi_microhttpd_arrivals *arrivals, int fd) {
  vsi_mutex_lock(&arrivals->on_way_lock);
  if ((size_t)fd < arrivals->room) mark_locked(arrivals, (size_t)fd, false);
  vsi_mutex_unlock(&arrivals->on_way_lock);
}

uint32_t vsi_microhttpd_arrivals_count(const vsi_microhttpd_arrivals *arrivals) {
  return atomic_load_explicit(&arrivals->on_way, memory_order_relaxed);
}

void vsi_microhttpd_arrivals_wait(vsi_microhttpd_arrivals *arrivals, uint32_t most, uint64_t most_ms) {
  if (vsi_microhttpd_arrivals_count(arrivals) < most) return;
  uint64_t until_ns = vsi_monotonic_in_ms(most_ms);
  bool waiting = true;
  vsi_mutex_lock(&arrivals->on_way_lock);
  arrivals->is_awaited = true;
  while (waiting && vsi_microhttpd_arrivals_count(arrivals) >= most)
    waiting = vsi_wait_until(&arrivals->fewer, &arrivals->on_way_lock, until_ns);
  arrivals->is_awaited = false;
  vsi_mutex_unlock(&arrivals->on_way_lock);
}

void vsi_microhttpd_arrivals_sweep(vsi_microhttpd_arrivals *arrivals) {
  vsi_mutex_lock(&arrivals->on_way_lock);
  for (size_t fd = 0; fd < arrivals->room && vsi_microhttpd_arrivals_count(arrivals); fd++)
    if (arrivals->is_on_way[fd] && fcntl((int)fd, F_GETFD) < 0) mark_locked(arrivals, fd, false);
  vsi_mutex_unlock(&arrivals->on_way_lock);
}

/* ---------------------------------------------------------------------------------------------------- the list ---- */

static void leave_locked(vsi_microhttpd_socket *socket) {
  if (!socket->is_waiting) return;
  socket->is_waiting = false;
  TAILQ_REMOVE(&socket->all->waiting, socket, in);
  vsi_loads_file(&socket->all->loads, &socket->load, &socket->place, 0);
  if (socket->all->is_shut) pthread_cond_signal(&socket->all->fewer);
}

static uint64_t held_by(const vsi_microhttpd_socket *socket) {
  return socket->body_bytes + socket->own_bytes;
}

/* File a connection anew after its bytes or its state have changed. A connection without a request is filed before all
 * others, in the highest rank, which no other connection reaches. */
static void file_locked(vsi_microhttpd_socket *socket) {
  uint8_t rank = socket->has_line ? vsi_load_rank(held_by(socket)) : VSI_LOAD_RANKS - 1;
  bool may_be_cut = socket->is_waiting && !socket->going && held_by(socket);
  vsi_loads_file(&socket->all->loads, &socket->load, &socket->place, may_be_cut ? rank : 0);
}

/* Shut a socket down and discard its bytes, because bytes that arrived before the shutdown could still be read after
 * it. */
static void shut_and_drain(int fd) {
  char waste[WASTE_BYTES];
  shutdown(fd, SHUT_RDWR);
  while (recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0) continue;
}

/* Put the connection into the list of connections that wait for a request, with a deadline for_ms from now
 * (VESTRY_NEVER_MS: without a deadline). */
static void wait_locked(vsi_microhttpd_socket *socket, uint64_t now, uint64_t for_ms) {
  leave_locked(socket);
  socket->until_ns = vsi_add_saturating(now, vsi_ms_to_ns(for_ms));
  socket->is_waiting = true;
  socket->ended_ns = 0;
  TAILQ_INSERT_TAIL(&socket->all->waiting, socket, in);
  file_locked(socket);
  if (socket->all->is_shut) shut_and_drain(socket->fd);
}

/* --------------------------------------------------------------------------------------------------- the check ---- */

static bool has_unread(int fd) {
  int unread = 0;
  return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* Cut a connection. Its socket stays in the list, and each check shuts it down again, until the connection has
 * closed. */
static void cut_locked(vsi_microhttpd_socket *socket) {
  if (!socket->going) socket->all->going += socket->going = held_by(socket);
  file_locked(socket);
  socket->until_ns = UINT64_MAX;
  shutdown(socket->fd, SHUT_RDWR);
}

static void judge_locked(vsi_microhttpd_socket *socket, short events, uint64_t now) {
  bool is_late = now >= socket->until_ns && socket->until_ns != UINT64_MAX, has_ended = events != 0;
  bool is_dead = (events & (POLLERR | POLLHUP)) != 0; /* reset, or cut: unread bytes are not wanted */
  if (!is_dead && (is_late || has_ended) && has_unread(socket->fd)) is_late = has_ended = false;
  if (is_late) {
    vestry_reject(socket->all->v, VESTRY_REFUSAL_DEADLINE);
    atomic_store_explicit(&socket->was_late, true, memory_order_release); /* before the cut, so that the end sees it */
  }
  if (!has_ended)
    socket->ended_ns = 0;
  else if (!socket->ended_ns)
    socket->ended_ns = now;
  if (is_late || (has_ended && now - socket->ended_ns >= ENDED_NS)) cut_locked(socket);
}

/* --------------------------------------------------------------------------------------------------- lingering ---- */

/* If a socket is closed while bytes of its client are unread, or such bytes arrive later, the kernel resets the
 * connection, and the client may lose the end of the response. So only the sending side is shut at first, and the
 * client's bytes are discarded until it has closed, too (RFC 9112, 9.6). A client has LINGER_MS, and as long as it
 * acknowledges bytes, LINGER_MOST_MS. */

bool vsi_microhttpd_has_left(int fd) {
  char waste[WASTE_BYTES];
  ssize_t len = 1;
  for (int i = 0; i < MOST_WASTE && len > 0; i++) len = recv(fd, waste, sizeof waste, MSG_DONTWAIT);
  return !len || (len < 0 && errno != EAGAIN && errno != EINTR);
}

static int unacked_of(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

/* Return whether the time of a client is over. */
static bool is_overdue(vsi_microhttpd_lingering *at, uint64_t now) {
  const int unacked = unacked_of(at->fd);
  if (unacked < at->unacked_bytes) at->until_ns = vsi_add_saturating(now, vsi_ms_to_ns(LINGER_MS));
  at->unacked_bytes = unacked;
  return now >= at->until_ns || now >= at->most_ns;
}

/* Remove the next connection to close, from *at on. */
static bool take_out_locked(vsi_microhttpd_sockets *sockets, uint64_t now, size_t *at,
                            vsi_microhttpd_lingering *ret_over) {
  for (; *at < sockets->lingering_count; ++*at) {
    vsi_microhttpd_lingering *found = &sockets->lingering[*at];
    if (!vsi_microhttpd_has_left(found->fd) && !is_overdue(found, now)) continue;
    *ret_over = *found;
    *found = sockets->lingering[--sockets->lingering_count];
    return true;
  }
  return false;
}

static void close_lingering(vsi_microhttpd_sockets *sockets, uint64_t now) {
  vsi_microhttpd_lingering over;
  size_t at = 0;
  for (bool found = true; found;) {
    vsi_mutex_lock(&sockets->lock);
    found = take_out_locked(sockets, now, &at, &over);
    if (!sockets->lingering_count) {
      vsi_free(sockets->host, sockets->lingering);
      sockets->lingering = NULL;
      sockets->lingering_capacity = 0;
    }
    vsi_mutex_unlock(&sockets->lock);
    if (!found) return;
    close(over.fd);
    vsi_microhttpd_sockets_leave(sockets, over.address);
  }
}

static bool add_lingering_locked(vsi_microhttpd_sockets *sockets, int fd, vsi_address address) {
  const uint64_t now = vsi_now_ns(sockets->host);
  const size_t count = sockets->lingering_count;
  if (VSI_ARRAY_RESERVE(sockets->host, sockets->lingering, count, sockets->lingering_capacity, 1)) return false;
  sockets->lingering[sockets->lingering_count++] =
      (vsi_microhttpd_lingering){.fd = fd,
                                 .unacked_bytes = unacked_of(fd),
                                 .address = address,
                                 .until_ns = vsi_add_saturating(now, vsi_ms_to_ns(LINGER_MS)),
                                 .most_ns = vsi_add_saturating(now, vsi_ms_to_ns(LINGER_MOST_MS))};
  return true;
}

void vsi_microhttpd_sockets_linger(vsi_microhttpd_sockets *sockets, int fd, vsi_address address) {
  shutdown(fd, SHUT_WR);
  bool lingers = !vsi_microhttpd_has_left(fd);
  if (lingers) {
    vsi_mutex_lock(&sockets->lock);
    lingers = add_lingering_locked(sockets, fd, address);
    vsi_mutex_unlock(&sockets->lock);
  }
  if (lingers) return;
  close(fd);
  vsi_microhttpd_sockets_leave(sockets, address);
}

void vsi_microhttpd_sockets_look(vsi_microhttpd_sockets *sockets) {
  struct pollfd polled[LOOKED_AT];
  vsi_microhttpd_socket *looked_at[LOOKED_AT];
  uint64_t now = vsi_now_ns(sockets->host);
  close_lingering(sockets, now);
  vsi_mutex_lock(&sockets->lock);
  vsi_microhttpd_socket *at = TAILQ_FIRST(&sockets->waiting);
  while (at) {
    nfds_t count = 0;
    for (; at && count < LOOKED_AT; at = TAILQ_NEXT(at, in)) {
      polled[count] = (struct pollfd){.fd = at->fd, .events = POLLRDHUP};
      looked_at[count++] = at;
    }
    bool has_events = poll(polled, count, 0) > 0;
    for (nfds_t i = 0; i < count; i++) judge_locked(looked_at[i], has_events ? polled[i].revents : 0, now);
  }
  vsi_mutex_unlock(&sockets->lock);
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_microhttpd_sockets_look(ctx);
}

/* -------------------------------------------------------------------------------------------------- the budget ---- */

/* If all requests together hold too much memory, cut connections. Those without a request are first, in the order in
 * which they began to wait, because they hold memory without using it, and their clients can connect again. Then those
 * that hold most: a peer that sends a body without finishing it holds much, and a peer with an ordinary request holds
 * little. So the largest are cut, and new requests get room. (The queues of streams follow the same rule:
 * connection/budget.c.) Of connections that hold about the same, the one that reached this size first is cut first
 * (base/load.h). The bytes of a cut connection count as free already (`going`), although its thread frees them only
 * when it closes the connection. Connections with a complete request are not cut. */
void vsi_microhttpd_sockets_relieve(vsi_microhttpd_sockets *sockets) {
  if (!vestry_request_bytes_excess(sockets->v)) return;
  vsi_mutex_lock(&sockets->lock);
  for (vsi_load *at;
       vestry_request_bytes_excess(sockets->v) > sockets->going && (at = vsi_loads_largest(&sockets->loads)) != NULL;) {
    vestry_reject(sockets->v, VESTRY_REFUSAL_BUDGET);
    cut_locked(VSI_LOAD_OWNER(at, vsi_microhttpd_socket, load));
  }
  vsi_mutex_unlock(&sockets->lock);
}

/* Set the bytes of one kind: the body's, or the connection's own. */
static void set_bytes(vsi_microhttpd_socket *socket, size_t *kind, size_t bytes) {
  vsi_mutex_lock(&socket->all->lock);
  *kind = bytes;
  file_locked(socket);
  vsi_mutex_unlock(&socket->all->lock);
}

void vsi_microhttpd_socket_holds(vsi_microhttpd_socket *socket, size_t body_bytes) {
  const bool grows = body_bytes > socket->body_bytes; /* only this thread changes it */
  if (socket->body_bytes == body_bytes) return;
  set_bytes(socket, &socket->body_bytes, body_bytes);
  if (grows) vsi_microhttpd_sockets_relieve(socket->all);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vsi_microhttpd_sockets_begin(vsi_microhttpd_sockets *sockets, vestry *v,
                                        const vsi_microhttpd_limits *limits) {
  sockets->v = v;
  sockets->host = vestry_parts_of(v)->host;
  sockets->limits = *limits;
  vsi_microhttpd_arrivals_init(&sockets->arrivals, sockets->host);
  TAILQ_INIT(&sockets->waiting);
  vsi_loads_init(&sockets->loads);
  vsi_mutex_init(&sockets->lock, VSI_LOCK_MICROHTTPD_SOCKETS);
  pthread_cond_init(&sockets->fewer, NULL);
  vestry_err error = vsi_web_addresses_init(&sockets->addresses, sockets->host, limits->per_address);
  if (!error) error = vestry_timer_create(vestry_parts_of(v)->runtime, look, sockets, &sockets->timer);
  if (error) return error;
  uint64_t period_ms = limits->request_ms / LOOKS;
  if (period_ms < LEAST_LOOK_MS) period_ms = LEAST_LOOK_MS;
  if (period_ms > LONGEST_LOOK_MS) period_ms = LONGEST_LOOK_MS;
  return vestry_timer_set(sockets->timer, period_ms, period_ms);
}

void vsi_microhttpd_sockets_finish(vsi_microhttpd_sockets *sockets) {
  if (!sockets->host) return;
  vestry_timer_destroy(sockets->timer);
  close_lingering(sockets, UINT64_MAX);
  vsi_web_addresses_finish(&sockets->addresses);
  vsi_microhttpd_arrivals_finish(&sockets->arrivals);
  pthread_cond_destroy(&sockets->fewer);
  vsi_mutex_finish(&sockets->lock);
}

/* Close the connections that wait for a request, before libmicrohttpd is stopped.
 *
 * After its stop, libmicrohttpd queues no more responses but reports success (until 1.0.1, which reports the failure).
 * If libmicrohttpd then receives a request that it rejects by itself, for example a malformed one, it uses the response
 * that was not queued, and the process crashes. Therefore libmicrohttpd is stopped only when no request can arrive any
 * more. A client that is receiving a response sends no request. A connection on its way to its thread is cut when it
 * arrives there.
 *
 * libmicrohttpd may close a connection without a report, or overlook the close of a peer (both above). So the wait for
 * the last connections is bounded. It is prolonged as long as connections keep leaving, however slow the machine is. */
void vsi_microhttpd_sockets_shut(vsi_microhttpd_sockets *sockets) {
  uint32_t before, left = UINT32_MAX;
  do {
    before = left;
    vsi_microhttpd_arrivals_sweep(&sockets->arrivals);
    vsi_microhttpd_arrivals_wait(&sockets->arrivals, 1, SHUT_MS);
    left = vsi_microhttpd_arrivals_count(&sockets->arrivals);
  } while (left && left < before);
  vsi_mutex_lock(&sockets->lock);
  sockets->is_shut = true;
  for (vsi_microhttpd_socket *at = TAILQ_FIRST(&sockets->waiting); at; at = TAILQ_NEXT(at, in)) {
    cut_locked(at);
    shut_and_drain(at->fd);
  }
  for (bool late = false; !TAILQ_EMPTY(&sockets->waiting) && !late;)
    late = !vsi_wait_until(&sockets->fewer, &sockets->lock, vsi_monotonic_in_ms(SHUT_MS));
  vsi_mutex_unlock(&sockets->lock);
}

uint32_t vsi_microhttpd_sockets_count(vsi_microhttpd_sockets *sockets) {
  return atomic_load_explicit(&sockets->count, memory_order_relaxed) +
         vsi_microhttpd_arrivals_count(&sockets->arrivals);
}

/* Raise the connection's own bytes to this number. They count for its request's head and for libmicrohttpd's memory,
 * not for a body. false: all requests together would hold too much. */
static bool take_bytes(vsi_microhttpd_socket *socket, size_t bytes) {
  vestry *v = socket->all->v;
  if (socket->own_bytes >= bytes) return true;
  const bool fits = vestry_request_bytes_take(v, bytes - socket->own_bytes);
  if (fits) set_bytes(socket, &socket->own_bytes, bytes);
  if (!fits) vestry_reject(v, VESTRY_REFUSAL_BUDGET);
  vsi_microhttpd_sockets_relieve(socket->all);
  return fits;
}

void vsi_microhttpd_socket_give_bytes(vsi_microhttpd_socket *socket) {
  vestry_request_bytes_give(socket->all->v, socket->own_bytes);
  set_bytes(socket, &socket->own_bytes, 0);
}

static vestry_err enter(vsi_microhttpd_socket *socket, struct MHD_Connection *conn) {
  vsi_microhttpd_sockets *sockets = socket->all;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  socket->address = vsi_address_of(info ? info->client_addr : NULL);
  vestry_err error = vsi_web_addresses_enter(&sockets->addresses, socket->address);
  if (error == VESTRY_LIMIT) vestry_reject(sockets->v, VESTRY_REFUSAL_ADDRESS);
  if (!error && !take_bytes(socket, sockets->limits.head_bytes)) {
    vsi_web_addresses_leave(&sockets->addresses, socket->address);
    error = VESTRY_LIMIT;
  }
  return error;
}

static vsi_microhttpd_socket *make(vsi_microhttpd_sockets *sockets, int fd) {
  vsi_microhttpd_socket *made = vsi_calloc(sockets->host, 1, sizeof *made);
  if (!made) return NULL;
  made->all = sockets;
  made->fd = fd;
  return made;
}

vsi_microhttpd_socket *vsi_microhttpd_socket_create(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn) {
  const int fd = vsi_microhttpd_fd_of(conn);
  atomic_fetch_add_explicit(&sockets->count, 1, memory_order_relaxed);
  vsi_microhttpd_arrivals_leave(&sockets->arrivals, fd);
  vsi_microhttpd_socket *made = make(sockets, fd);
  if (!made || enter(made, conn)) {
    vsi_free(sockets->host, made);
    shutdown(fd, SHUT_RDWR);
    return NULL;
  }
  made->is_first = true;
  vsi_microhttpd_socket_goes_on(made);
  return made;
}

vsi_microhttpd_socket *vsi_microhttpd_socket_adopt(vsi_microhttpd_sockets *sockets, struct MHD_Connection *conn) {
  const int fd = vsi_microhttpd_fd_of(conn);
  vsi_microhttpd_socket *made = make(sockets, fd);
  if (!made) return NULL;
  made->has_line = true;
  vsi_microhttpd_socket_goes_on(made);
  return made;
}

/* Free a connection whose bytes are free. Its bytes count as `going` until then, so that no other connection is cut for
 * them. */
static void forget(vsi_microhttpd_socket *socket) {
  vsi_microhttpd_sockets *sockets = socket->all;
  vsi_mutex_lock(&sockets->lock);
  sockets->going -= socket->going;
  vsi_mutex_unlock(&sockets->lock);
  vsi_free(sockets->host, socket);
}

void vsi_microhttpd_socket_release(vsi_microhttpd_socket *socket) {
  vsi_microhttpd_socket_ends(socket);
  forget(socket);
}

void vsi_microhttpd_socket_ends(vsi_microhttpd_socket *socket) {
  vsi_microhttpd_sockets *sockets = socket->all;
  vsi_mutex_lock(&sockets->lock);
  leave_locked(socket);
  vsi_mutex_unlock(&sockets->lock);
}

void vsi_microhttpd_socket_destroy(vsi_microhttpd_sockets *sockets, vsi_microhttpd_socket *socket) {
  if (!socket) { /* it was refused, but was counted */
    atomic_fetch_sub_explicit(&sockets->count, 1, memory_order_relaxed);
    return;
  }
  vsi_microhttpd_socket_give_bytes(socket);
  if (!socket->is_handed_over) vsi_microhttpd_sockets_leave(sockets, socket->address);
  forget(socket);
}

/* ------------------------------------------------------------------------------------------------ its requests ---- */

void vsi_microhttpd_socket_begins(vsi_microhttpd_socket *socket) {
  vsi_microhttpd_sockets *sockets = socket->all;
  uint64_t now = vsi_now_ns(sockets->host);
  vsi_mutex_lock(&sockets->lock);
  socket->has_line = true;
  if (socket->is_waiting && !socket->is_first) wait_locked(socket, now, sockets->limits.request_ms);
  file_locked(socket);
  vsi_mutex_unlock(&sockets->lock);
}

void vsi_microhttpd_socket_goes_on(vsi_microhttpd_socket *socket) {
  vsi_microhttpd_sockets *sockets = socket->all;
  uint64_t now = vsi_now_ns(sockets->host);
  vsi_mutex_lock(&sockets->lock);
  wait_locked(socket, now, socket->going ? VESTRY_NEVER_MS : sockets->limits.request_ms);
  vsi_mutex_unlock(&sockets->lock);
}

void vsi_microhttpd_socket_serves(vsi_microhttpd_socket *socket) {
  vsi_mutex_lock(&socket->all->lock);
  leave_locked(socket);
  socket->is_first = false;
  vsi_mutex_unlock(&socket->all->lock);
}

void vsi_microhttpd_sockets_leave(vsi_microhttpd_sockets *sockets, vsi_address address) {
  vsi_web_addresses_leave(&sockets->addresses, address);
  atomic_fetch_sub_explicit(&sockets->count, 1, memory_order_relaxed);
}

void vsi_microhttpd_socket_rests(vsi_microhttpd_socket *socket) {
  if (socket->is_handed_over) return;
  vsi_microhttpd_sockets *sockets = socket->all;
  bool stays = take_bytes(socket, sockets->limits.memory_bytes);
  uint64_t now = vsi_now_ns(sockets->host);
  vsi_mutex_lock(&sockets->lock);
  socket->has_line = false;
  wait_locked(socket, now, sockets->limits.idle_ms + IDLE_GRACE_MS);
  if (!stays) cut_locked(socket);
  vsi_mutex_unlock(&sockets->lock);
}

vsi_microhttpd_socket *vsi_microhttpd_socket_of(struct MHD_Connection *conn) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

/* DESCRIPTORS: of the acceptor, the watch and the streams. LEAST_RESERVE, MOST_RESERVE: for the application. */
enum { DESCRIPTORS = 8, DESCRIPTORS_A_THREAD = 3, LEAST_RESERVE = 16, MOST_RESERVE = 256 };

bool vsi_microhttpd_descriptors(uint32_t threads_count, uint32_t *ret_all, uint32_t *ret_reserve) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 2 * (rlim_t)VSI_MICROHTTPD_MAX_CONNECTIONS) return false;
  uint32_t all = (uint32_t)limit.rlim_cur, reserve = all / 8;
  if (reserve < LEAST_RESERVE) reserve = LEAST_RESERVE;
  if (reserve > MOST_RESERVE) reserve = MOST_RESERVE;
  *ret_all = all;
  *ret_reserve = reserve + DESCRIPTORS + DESCRIPTORS_A_THREAD * threads_count;
  return true;
}

uint32_t vsi_microhttpd_descriptors_most(void) {
  uint32_t all, reserve;
  if (!vsi_microhttpd_descriptors(0, &all, &reserve)) return 0;
  return all > reserve ? all - reserve : 1;
}
