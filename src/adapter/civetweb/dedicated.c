/* SPDX-License-Identifier: MIT */
/* The streams of an adapter, each on a dedicated thread, in a map by their peers (dedicated.h). */
#include "adapter/civetweb/dedicated.h"

/* Number of connections that are closed at once, without the lock. */
enum { BATCH = 32 };

vestry_err vsi_civetweb_dedicated_init(vsi_civetweb_dedicated *dedicated, const vestry_host *host, size_t capacity) {
  uint64_t seed = 0;
  vsi_map map = {.buckets = NULL};
  vestry_err error = host->random(host->ctx, &seed, sizeof seed);
  if (!error) error = vsi_map_reserve(&map, host, capacity);
  if (error) return error;
  *dedicated = (vsi_civetweb_dedicated){.map = map, .seed = seed};
  vsi_mutex_init(&dedicated->lock, VSI_LOCK_CIVETWEB_DEDICATED);
  return VESTRY_OK;
}

void vsi_civetweb_dedicated_finish(vsi_civetweb_dedicated *dedicated, const vestry_host *host) {
  if (!dedicated->map.buckets) return;
  vsi_mutex_finish(&dedicated->lock);
  vsi_map_finish(&dedicated->map, host);
}

/* Return the entry after this one in the map; of NULL, the first; NULL: there are no more. */
static vsi_civetweb_entry *after(const vsi_civetweb_dedicated *dedicated, const vsi_civetweb_entry *at) {
  return (vsi_civetweb_entry *)vsi_map_after(&dedicated->map, at ? &at->in : NULL);
}

static void set_unacked_locked(vsi_civetweb_entry *entry, int64_t bytes) {
  atomic_store_explicit(&entry->unacked_bytes, bytes, memory_order_relaxed);
}

void vsi_civetweb_dedicated_add(vsi_civetweb_dedicated *dedicated, vsi_civetweb_entry *entry) {
  vsi_mutex_lock(&dedicated->lock);
  vsi_map_add(&dedicated->map, &entry->in, vsi_civetweb_peer_hash(&entry->peer, dedicated->seed));
  entry->seen = dedicated->round; /* a running round must skip it: its socket may be too young for the dump */
  entry->has_cookie = entry->is_closed = false;
  entry->verdict = VESTRY_CAUSE_NONE;
  entry->unacked_since_ns = UINT64_MAX;
  set_unacked_locked(entry, -1);
  vsi_mutex_unlock(&dedicated->lock);
}

void vsi_civetweb_dedicated_remove(vsi_civetweb_dedicated *dedicated, vsi_civetweb_entry *entry) {
  vsi_mutex_lock(&dedicated->lock);
  vsi_map_remove(&dedicated->map, &entry->in);
  set_unacked_locked(entry, -1);
  vsi_mutex_unlock(&dedicated->lock);
}

/* Return the cause with which the current round closes an entry; NONE: it stays open. */
static vestry_cause round_cause_locked(const vsi_civetweb_dedicated *dedicated, const vsi_civetweb_entry *entry) {
  if (!entry->has_peer) return VESTRY_CAUSE_NONE;
  return entry->seen == dedicated->round ? entry->verdict : VESTRY_CAUSE_HANGUP;
}

/* Close the connections that were not closed from here before: all of them with the cause `all`, or (NONE) those for
 * which the round has a cause. References are taken under the lock, so that a dedicated thread cannot free its
 * connection before the close. */
static void close_batches(vsi_civetweb_dedicated *dedicated, vestry_cause all) {
  vestry_connection *connections[BATCH];
  vestry_cause causes[BATCH];
  size_t count;
  do {
    count = 0;
    vsi_mutex_lock(&dedicated->lock);
    for (vsi_civetweb_entry *at = after(dedicated, NULL); at && count < BATCH; at = after(dedicated, at)) {
      vestry_cause cause = all ? all : round_cause_locked(dedicated, at);
      if (!cause || at->is_closed) continue;
      at->is_closed = true;
      causes[count] = cause;
      connections[count++] = vestry_connection_ref(at->connection);
    }
    vsi_mutex_unlock(&dedicated->lock);
    for (size_t i = 0; i < count; i++) {
      vestry_connection_close(connections[i], causes[i]);
      vestry_connection_unref(connections[i]);
    }
  } while (count == BATCH);
}

void vsi_civetweb_dedicated_close_all(vsi_civetweb_dedicated *dedicated, vestry_cause cause) {
  close_batches(dedicated, cause);
}

bool vsi_civetweb_dedicated_begin(vsi_civetweb_dedicated *dedicated) {
  vsi_mutex_lock(&dedicated->lock);
  bool any = dedicated->map.count > 0;
  if (any) dedicated->round++;
  vsi_mutex_unlock(&dedicated->lock);
  return any;
}

/* Find the entry of a socket. A peer that vanished silently may return from the same port while its old stream still
 * exists: two streams, one socket. The cookie distinguishes sockets; a stream gets its cookie when its socket is first
 * seen. */
static vsi_civetweb_entry *owner_locked(vsi_civetweb_dedicated *dedicated, const vsi_civetweb_socket *socket) {
  vsi_civetweb_entry *free_one = NULL;
  vsi_map_link *link = vsi_map_first(&dedicated->map, vsi_civetweb_peer_hash(&socket->peer, dedicated->seed));
  for (; link; link = vsi_map_further(link)) {
    vsi_civetweb_entry *at = (vsi_civetweb_entry *)link;
    if (!at->has_peer || !vsi_civetweb_peer_equal(&at->peer, &socket->peer)) continue;
    if (at->has_cookie && at->cookie == socket->cookie) return at;
    if (!at->has_cookie && !free_one) free_one = at;
  }
  return free_one;
}

void vsi_civetweb_dedicated_see(vsi_civetweb_dedicated *dedicated, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                uint64_t lost_ns) {
  vsi_mutex_lock(&dedicated->lock);
  vsi_civetweb_entry *entry = owner_locked(dedicated, socket);
  if (entry) {
    entry->cookie = socket->cookie;
    entry->has_cookie = true;
    entry->seen = dedicated->round;
    set_unacked_locked(entry, socket->unacked_bytes);
    entry->verdict = vsi_civetweb_peer_judge(&entry->unacked_since_ns, socket, now_ns, lost_ns);
  }
  vsi_mutex_unlock(&dedicated->lock);
}

size_t vsi_civetweb_dedicated_unseen(vsi_civetweb_dedicated *dedicated) {
  size_t unseen = 0;
  vsi_mutex_lock(&dedicated->lock);
  for (const vsi_civetweb_entry *at = after(dedicated, NULL); at; at = after(dedicated, at))
    unseen += at->has_peer && at->seen != dedicated->round && !at->is_closed;
  vsi_mutex_unlock(&dedicated->lock);
  return unseen;
}

void vsi_civetweb_dedicated_close(vsi_civetweb_dedicated *dedicated) {
  close_batches(dedicated, VESTRY_CAUSE_NONE);
}
