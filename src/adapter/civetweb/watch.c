/* SPDX-License-Identifier: MIT */
/* essay: peers that are gone, detected through their sockets */
/* The watch reads the state of the streams' sockets, and closes the streams whose peers are gone.
 *
 * civetweb notices that a peer is gone only when a write fails, which is the second write after it: with heartbeats
 * that takes half a minute. It gives no access to its sockets. But they are descriptors of this process, so the watch
 * finds each stream's once, by its peer. From then on a timer reads the state of all of them. A peer that has closed
 * its side, or whose socket is no longer connected, has hung up, because browsers do not half-close. A peer that leaves
 * bytes unacknowledged for too long is lost.
 *
 * A round runs on a pool thread and makes two system calls for each stream, and a few more for each open descriptor if
 * there are new streams. The lock is held meanwhile: it keeps the workers from leaving, so that a descriptor cannot be
 * closed, and its number belong to another socket. */
#include "adapter/civetweb/watch.h"

#include "base/memory.h"

/* Number of connections that are closed at once, without the lock. */
enum { BATCH = 32 };

static void set_unacked(vsi_civetweb_entry *entry, int64_t bytes) {
  atomic_store_explicit(&entry->unacked_bytes, bytes, memory_order_relaxed);
}

void vsi_civetweb_watch_add(vsi_civetweb_watch *watch, vsi_civetweb_entry *entry) {
  entry->is_new = true;
  entry->fd = -1;
  entry->is_closed = false;
  entry->verdict = VESTRY_CAUSE_NONE;
  entry->unacked_since_ns = UINT64_MAX;
  vsi_mutex_lock(&watch->lock);
  LIST_INSERT_HEAD(&watch->streams, entry, in);
  vsi_mutex_unlock(&watch->lock);
}

void vsi_civetweb_watch_remove(vsi_civetweb_watch *watch, vsi_civetweb_entry *entry) {
  vsi_mutex_lock(&watch->lock);
  LIST_REMOVE(entry, in);
  set_unacked(entry, -1);
  vsi_mutex_unlock(&watch->lock);
}

/* Close the connections that the watch has not closed before. all: the cause for all of them; NONE: close only the
 * connections for which the round has a verdict, with that cause. References are taken under the lock, so that a
 * dedicated thread cannot free its connection before the close. */
static void close_batches(vsi_civetweb_watch *watch, vestry_cause all) {
  vestry_connection *connections[BATCH];
  vestry_cause causes[BATCH];
  size_t count;
  do {
    count = 0;
    vsi_mutex_lock(&watch->lock);
    for (vsi_civetweb_entry *at = LIST_FIRST(&watch->streams); at && count < BATCH; at = LIST_NEXT(at, in)) {
      vestry_cause cause = all ? all : at->verdict;
      if (!cause || at->is_closed) continue;
      at->is_closed = true;
      causes[count] = cause;
      connections[count++] = vestry_connection_ref(at->connection);
    }
    vsi_mutex_unlock(&watch->lock);
    for (size_t i = 0; i < count; i++) {
      vestry_connection_close(connections[i], causes[i]);
      vestry_connection_unref(connections[i]);
    }
  } while (count == BATCH);
}

void vsi_civetweb_watch_close_all(vsi_civetweb_watch *watch, vestry_cause cause) {
  close_batches(watch, cause);
}

/* Give a socket to the youngest new stream of its peer. A peer that vanished silently may return from the same port,
 * while a stream whose socket it has reset is new as well. */
static bool see_socket(void *ctx, int fd, const vsi_civetweb_peer *peer) {
  vsi_civetweb_watch *watch = ctx;
  vsi_civetweb_entry *at = LIST_FIRST(&watch->streams);
  while (at && at->is_new && (at->fd >= 0 || !at->has_peer || !vsi_civetweb_peer_equal(&at->peer, peer)))
    at = LIST_NEXT(at, in);
  if (at && at->is_new) at->fd = fd;
  return true;
}

static void find_sockets_locked(vsi_civetweb_watch *watch) {
  vsi_civetweb_entry *at = LIST_FIRST(&watch->streams);
  if (!at || !at->is_new) return;
  const bool sees_all = vsi_civetweb_sockets_see(see_socket, watch);
  for (; at && at->is_new; at = LIST_NEXT(at, in)) {
    at->is_new = false;
    at->has_peer &= sees_all || at->fd >= 0;
  }
}

static vestry_cause judge_locked(const vsi_civetweb_watch *watch, vsi_civetweb_entry *entry, uint64_t now_ns) {
  if (!entry->has_peer) return VESTRY_CAUSE_NONE;
  if (entry->fd < 0) return VESTRY_CAUSE_HANGUP;
  const vsi_civetweb_socket socket = vsi_civetweb_socket_read(entry->fd);
  set_unacked(entry, socket.unacked_bytes);
  return vsi_civetweb_peer_judge(&entry->unacked_since_ns, &socket, now_ns, watch->lost_ns);
}

void vsi_civetweb_watch_look(vsi_civetweb_watch *watch) {
  vsi_mutex_lock(&watch->lock);
  find_sockets_locked(watch);
  uint64_t now_ns = vsi_now_ns(watch->host);
  for (vsi_civetweb_entry *at = LIST_FIRST(&watch->streams); at; at = LIST_NEXT(at, in))
    at->verdict = judge_locked(watch, at, now_ns);
  vsi_mutex_unlock(&watch->lock);
  close_batches(watch, VESTRY_CAUSE_NONE);
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_civetweb_watch_look(ctx);
}

vestry_err vsi_civetweb_watch_init(vsi_civetweb_watch *watch, vestry *v, uint64_t watch_ms, uint64_t lost_ms) {
  *watch = (vsi_civetweb_watch){.host = vestry_parts_of(v)->host, .lost_ns = vsi_ms_to_ns(lost_ms)};
  vsi_mutex_init(&watch->lock, VSI_LOCK_CIVETWEB_WATCH);
  if (watch_ms == VESTRY_NEVER_MS) return VESTRY_OK;
  vestry_err error = vestry_timer_create(vestry_parts_of(v)->runtime, look, watch, &watch->timer);
  return error ? error : vestry_timer_set(watch->timer, watch_ms, watch_ms);
}

void vsi_civetweb_watch_finish(vsi_civetweb_watch *watch) {
  if (!watch->host) return;
  vestry_timer_destroy(watch->timer);
  vsi_mutex_finish(&watch->lock);
}
