/* SPDX-License-Identifier: MIT */
/* The streams of an adapter, each on a dedicated thread, in a map by their peers (parked.h). */
#include "adapter/civetweb/parked.h"

/* Number of connections that are closed at once, without the lock. */
enum { BATCH = 32 };

vestry_err vsi_civetweb_parked_init(vsi_civetweb_parked *parked, const vestry_host *host, size_t capacity) {
  uint64_t seed = 0;
  vsi_map map = {.buckets = NULL};
  vestry_err error = host->random(host->ctx, &seed, sizeof seed);
  if (!error) error = vsi_map_reserve(&map, host, capacity);
  if (error) return error;
  *parked = (vsi_civetweb_parked){.map = map, .seed = seed};
  vsi_mutex_init(&parked->lock, VSI_LOCK_CIVETWEB_PARKED);
  return VESTRY_OK;
}

void vsi_civetweb_parked_finish(vsi_civetweb_parked *parked, const vestry_host *host) {
  if (!parked->map.buckets) return;
  vsi_mutex_finish(&parked->lock);
  vsi_map_finish(&parked->map, host);
}

/* Return the entry after this one in the map; of NULL, the first; NULL: there are no more. */
static vsi_civetweb_entry *after(const vsi_civetweb_parked *parked, const vsi_civetweb_entry *at) {
  return (vsi_civetweb_entry *)vsi_map_after(&parked->map, at ? &at->in : NULL);
}

static void set_unacked_locked(vsi_civetweb_entry *entry, int64_t bytes) {
  atomic_store_explicit(&entry->unacked_bytes, bytes, memory_order_relaxed);
}

void vsi_civetweb_parked_add(vsi_civetweb_parked *parked, vsi_civetweb_entry *entry) {
  vsi_mutex_lock(&parked->lock);
  vsi_map_add(&parked->map, &entry->in, vsi_civetweb_peer_hash(&entry->peer, parked->seed));
  entry->seen = parked->round; /* a running round must skip it: its socket may be too young for the dump */
  entry->has_cookie = entry->told = false;
  entry->verdict = VESTRY_CAUSE_NONE;
  entry->unacked_since_ns = UINT64_MAX;
  set_unacked_locked(entry, -1);
  vsi_mutex_unlock(&parked->lock);
}

void vsi_civetweb_parked_remove(vsi_civetweb_parked *parked, vsi_civetweb_entry *entry) {
  vsi_mutex_lock(&parked->lock);
  vsi_map_remove(&parked->map, &entry->in);
  set_unacked_locked(entry, -1);
  vsi_mutex_unlock(&parked->lock);
}

/* Return the cause with which the current round closes an entry; NONE: it stays open. */
static vestry_cause round_cause_locked(const vsi_civetweb_parked *parked, const vsi_civetweb_entry *entry) {
  if (!entry->has_peer) return VESTRY_CAUSE_NONE;
  return entry->seen == parked->round ? entry->verdict : VESTRY_CAUSE_HANGUP;
}

/* Close the connections that were not closed from here before: all of them with the cause `all`, or (NONE) those for
 * which the round has a cause. References are taken under the lock, so that a dedicated thread cannot free its
 * connection before the close. */
static void close_batches(vsi_civetweb_parked *parked, vestry_cause all) {
  vestry_connection *connections[BATCH];
  vestry_cause causes[BATCH];
  size_t count;
  do {
    count = 0;
    vsi_mutex_lock(&parked->lock);
    for (vsi_civetweb_entry *at = after(parked, NULL); at && count < BATCH; at = after(parked, at)) {
      vestry_cause cause = all ? all : round_cause_locked(parked, at);
      if (!cause || at->told) continue;
      at->told = true;
      causes[count] = cause;
      connections[count++] = vestry_connection_ref(at->connection);
    }
    vsi_mutex_unlock(&parked->lock);
    for (size_t i = 0; i < count; i++) {
      vestry_connection_close(connections[i], causes[i]);
      vestry_connection_unref(connections[i]);
    }
  } while (count == BATCH);
}

void vsi_civetweb_parked_close_all(vsi_civetweb_parked *parked, vestry_cause cause) {
  close_batches(parked, cause);
}

bool vsi_civetweb_parked_begin(vsi_civetweb_parked *parked) {
  vsi_mutex_lock(&parked->lock);
  bool any = parked->map.count > 0;
  if (any) parked->round++;
  vsi_mutex_unlock(&parked->lock);
  return any;
}

/* Find the entry of a socket. A peer that vanished silently may return from the same port while its old stream still
 * exists: two streams, one socket. The cookie distinguishes sockets; a stream gets its cookie when its socket is first
 * seen. */
static vsi_civetweb_entry *owner_locked(vsi_civetweb_parked *parked, const vsi_civetweb_socket *socket) {
  vsi_civetweb_entry *free_one = NULL;
  vsi_map_link *link = vsi_map_first(&parked->map, vsi_civetweb_peer_hash(&socket->peer, parked->seed));
  for (; link; link = vsi_map_further(link)) {
    vsi_civetweb_entry *at = (vsi_civetweb_entry *)link;
    if (!at->has_peer || !vsi_civetweb_peer_equal(&at->peer, &socket->peer)) continue;
    if (at->has_cookie && at->cookie == socket->cookie) return at;
    if (!at->has_cookie && !free_one) free_one = at;
  }
  return free_one;
}

void vsi_civetweb_parked_see(vsi_civetweb_parked *parked, const vsi_civetweb_socket *socket, uint64_t now_ns,
                             uint64_t lost_ns) {
  vsi_mutex_lock(&parked->lock);
  vsi_civetweb_entry *entry = owner_locked(parked, socket);
  if (entry) {
    entry->cookie = socket->cookie;
    entry->has_cookie = true;
    entry->seen = parked->round;
    set_unacked_locked(entry, socket->unacked_bytes);
    entry->verdict = vsi_civetweb_peer_judge(&entry->unacked_since_ns, socket, now_ns, lost_ns);
  }
  vsi_mutex_unlock(&parked->lock);
}

size_t vsi_civetweb_parked_unseen(vsi_civetweb_parked *parked) {
  size_t unseen = 0;
  vsi_mutex_lock(&parked->lock);
  for (const vsi_civetweb_entry *at = after(parked, NULL); at; at = after(parked, at))
    unseen += at->has_peer && at->seen != parked->round && !at->told;
  vsi_mutex_unlock(&parked->lock);
  return unseen;
}

void vsi_civetweb_parked_close(vsi_civetweb_parked *parked) {
  close_batches(parked, VESTRY_CAUSE_NONE);
}
