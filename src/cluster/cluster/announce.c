/* SPDX-License-Identifier: MIT */
#include "cluster/cluster/announce.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/digests.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "event/extras.h"

/* Announcements to all nodes: keys and members of presences that came or left, refreshes of pages, and events of
 * channels.
 *
 * Keys and refreshes wait for at most 5 ms, and are sent together. An event is sent at once, to the nodes that have
 * announced members and to the nodes whose keys are not known completely. A node whose announcement arrives late is
 * found later (receiver.c). */

enum { CHANGES_A_MESSAGE = 2048 };

/* ------------------------------------------------------------------------------------------------------- keys ----- */

/* clock_ms: time of the oldest change, on the cluster clock; 0: unknown. */
static void put_changes(vsi_buffer *buffer, uint64_t clock_ms, const vsi_key_change *changes, size_t count) {
  vsi_wire_put(buffer, clock_ms, 8);
  for (size_t i = 0; i < count; i++) {
    vsi_wire_put(buffer, changes[i].hash, 8);
    vsi_wire_put(buffer, changes[i].stamp << 1 | changes[i].is_gone, 8);
  }
}

/* Send some changes as one message. A node to which it cannot be sent gets a full announcement later. */
static void send_changes(vestry_cluster *cluster, uint64_t mask, uint64_t clock_ms, const vsi_key_change *changes,
                         size_t count) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  put_changes(&buffer, clock_ms, changes, count);
  vsi_wire_end(&buffer);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (!(mask >> i & 1)) continue;
    peer->announced_ns = vsi_now_ns(cluster->host);
    (void)vsi_digest_send(cluster, peer, &buffer, VSI_WIRE_KEYS, 0);
  }
  vsi_buffer_finish(&buffer);
}

/* A full announcement of the keys to one node. */
typedef struct announcing_all {
  vestry_cluster *cluster;
  vsi_peer *peer;
  bool has_begun, has_failed;
} announcing_all;

static void send_some(const vsi_key_change *changes, size_t count, bool is_last, void *ctx) {
  announcing_all *all = ctx;
  if (all->has_failed) return;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, all->cluster->host);
  put_changes(&buffer, 0, changes, count);
  vsi_wire_end(&buffer);
  uint8_t flags = (uint8_t)((all->has_begun ? 0 : VSI_WIRE_FIRST) | (is_last ? VSI_WIRE_LAST : 0));
  all->has_failed = !vsi_digest_send(all->cluster, all->peer, &buffer, VSI_WIRE_KEYS, flags);
  all->has_begun = true;
  vsi_buffer_finish(&buffer);
}

/* Return the number of changes in a message of at most these bytes, as limited by the broker. */
static size_t changes_a_message(const vestry_cluster *cluster, size_t bytes) {
  size_t most = cluster->broker.ops->max_payload(cluster->broker.broker), head = VSI_WIRE_HEAD + 8 + VSI_WIRE_SEAL;
  if (most > bytes) most = bytes;
  size_t count = most > head + VSI_WIRE_CHANGE ? (most - head) / VSI_WIRE_CHANGE : 1;
  return count < CHANGES_A_MESSAGE ? count : CHANGES_A_MESSAGE;
}

/* Send a full announcement. It includes the announcements that were still waiting for this node. After a failure it is
 * repeated with the next announcement. */
static void send_all(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_digests_begin_all(cluster, peer);
  peer->announced_ns = vsi_now_ns(cluster->host);
  peer->wants_all = false;
  peer->digests_most = 0;
  peer->is_announcing_all = true;
  vsi_presences_announce_all(cluster, peer);
  announcing_all all = {.cluster = cluster, .peer = peer, .has_failed = peer->wants_all};
  vsi_keys_list(&cluster->keys, cluster->changes, changes_a_message(cluster, peer->run_bytes), send_some, &all);
  peer->is_announcing_all = false;
}

static void announce_keys(vestry_cluster *cluster) {
  size_t count;
  uint64_t mask = 0;
  uint64_t waited_ns = vsi_now_ns(cluster->host);
  bool all = vsi_keys_take(&cluster->keys, cluster->changes, &count, &waited_ns);
  uint64_t clock_ms = vsi_keys_clock_at(&cluster->keys, waited_ns);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    peer->wants_all |= all;
    if (vsi_peer_lives(peer) && !peer->wants_all) mask |= UINT64_C(1) << i;
  }
  vsi_presences_announce(cluster, mask);
  size_t most = mask && count ? changes_a_message(cluster, SIZE_MAX) : count;
  for (size_t at = 0; mask && at < count; at += most)
    send_changes(cluster, mask, clock_ms, cluster->changes + at, count - at < most ? count - at : most);
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i]) && cluster->peers[i].wants_all) send_all(cluster, &cluster->peers[i]);
  vsi_digests_go_on(cluster);
}

/* -------------------------------------------------------------------------------------------------- refreshes ----- */

/* Return whether a topic is already waiting. The search is linear, because waiting topics are bounded. */
static bool is_waiting(const vsi_buffer *topics, size_t len_and_kind, const char *topic, size_t len) {
  for (size_t at = 0; at < topics->len;) {
    const unsigned char *head = (const unsigned char *)topics->data + at;
    size_t its = head[0] | (size_t)head[1] << 8;
    if (its == len_and_kind && memcmp(head + 2, topic, len) == 0) return true;
    at += 2 + (its & ~(size_t)VSI_WIRE_REPORT);
  }
  return false;
}

void vsi_announce_refresh(bool is_report, const char *topic, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_buffer *waiting = &cluster->refreshes;
  const vestry_trace *trace = vsi_trace_carried(cluster->host);
  const size_t len_and_kind = len | (is_report ? VSI_WIRE_REPORT : 0);
  vsi_cluster_lock(cluster);
  bool is_first = !waiting->len && !cluster->refreshes_all;
  if (trace && !cluster->refreshes_trace.is_sampled) cluster->refreshes_trace = *trace;
  if (!len || cluster->refreshes_all || waiting->len + 2 + len > VSI_REFRESH_BYTES) {
    cluster->refreshes_all = true;
  } else if (!is_waiting(waiting, len_and_kind, topic, len)) {
    vsi_wire_put(waiting, len_and_kind, 2);
    vsi_buffer_append(waiting, topic, len);
    cluster->refreshes_all = waiting->error != VESTRY_OK;
  }
  vsi_cluster_unlock(cluster);
  if (is_first) vsi_cluster_announce_soon(cluster);
}

static void announce_refreshes(vestry_cluster *cluster) {
  vsi_buffer *waiting = &cluster->refreshes;
  if (!waiting->len && !cluster->refreshes_all) return;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  if (!cluster->refreshes_all) vsi_buffer_append(&buffer, waiting->data, waiting->len);
  uint8_t flags = vsi_wire_put_trace(&buffer, cluster->refreshes_trace.is_sampled ? &cluster->refreshes_trace : NULL);
  vsi_wire_end(&buffer);
  uint64_t alive = vsi_peers_alive(cluster);
  bool is_too_large = vsi_message_send_all(cluster, alive, &buffer, VSI_WIRE_REFRESH, flags, true) == VESTRY_TOO_LARGE;
  vsi_buffer_finish(&buffer);
  if (is_too_large) (void)vsi_message_send_bare(cluster, alive, VSI_WIRE_REFRESH, true); /* empty: every page */
  vsi_buffer_clear(waiting);
  cluster->refreshes_all = false;
  cluster->refreshes_trace.is_sampled = false;
}

/* ---------------------------------------------------------------------------------------------------- events ------ */

/* Send an event to the nodes of a mask. An event that is too large for the broker is not noted as sent, because no node
 * can get it and its sender gets the error. */
static vestry_err send_event(vestry_cluster *cluster, uint64_t mask, uint64_t hash, const vestry_scoped_key *name,
                             vestry_event *event) {
  vestry_slice bytes = vestry_event_bytes(event);
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(name));
  vsi_wire_put_state(&buffer, vsi_event_state(event));
  const vestry_trace *trace = vsi_trace_carried(cluster->host);
  size_t len = buffer.len + bytes.len + (trace ? VSI_WIRE_TRACE : 0) + VSI_WIRE_SEAL;
  vestry_err error = VESTRY_TOO_LARGE;
  if (len <= cluster->broker.ops->max_payload(cluster->broker.broker)) {
    vsi_recent_note(cluster, hash, mask);
    vsi_buffer_append(&buffer, bytes.data, bytes.len);
    uint8_t flags = vsi_wire_put_trace(&buffer, trace);
    vsi_wire_end(&buffer);
    error = vsi_message_send_all(cluster, mask, &buffer, VSI_WIRE_EVENT, flags, true);
  }
  vsi_buffer_finish(&buffer);
  return error;
}

vestry_err vsi_announce_event(vestry_cluster *cluster, const vestry_scoped_key *name, vestry_event *event) {
  uint64_t hash = vsi_cluster_hash_channel(cluster, name->data, name->len);
  vestry_err error = VESTRY_NOT_FOUND;
  vsi_cluster_lock(cluster);
  uint64_t alive = vsi_peers_alive(cluster);
  uint64_t mask = (vsi_keys_others(&cluster->keys, hash) & alive) | vsi_peers_unsynced(cluster);
  if (mask)
    error = send_event(cluster, mask, hash, name, event);
  else
    vsi_recent_note(cluster, hash, 0);
  vsi_cluster_unlock(cluster);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ timer ----- */

void vsi_announce_locked(vestry_cluster *cluster) {
  if (cluster->has_ended || cluster->has_left || cluster->is_refused) return;
  announce_keys(cluster);
  announce_refreshes(cluster);
}

void vsi_announce_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  vsi_announce_locked(cluster);
  vsi_cluster_unlock(cluster);
}
