/* SPDX-License-Identifier: MIT */
#include "cluster/cluster/announce.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/announcements.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "event/extras.h"

/* Announcements to all nodes: keys and members of presences that came or left, refreshes of pages, and events of
 * channels.
 *
 * Refreshes wait for at most 5 ms, keys for a time that grows with the number of nodes (keys_ms), and all are sent
 * together (announcements.c). An event is sent at once, to the nodes that have announced members and to the nodes whose
 * keys are not known completely. A node whose announcement arrives late is found later (receiver.c). */

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
  bool is_too_large = vsi_message_send_to_all(cluster, &buffer, VSI_WIRE_REFRESH, flags, true) == VESTRY_TOO_LARGE;
  vsi_buffer_finish(&buffer);
  vsi_wire_begin(&buffer, cluster->host); /* empty: every page */
  vsi_wire_end(&buffer);
  if (is_too_large) (void)vsi_message_send_to_all(cluster, &buffer, VSI_WIRE_REFRESH, 0, true);
  vsi_buffer_finish(&buffer);
  vsi_buffer_clear(waiting);
  cluster->refreshes_all = false;
  cluster->refreshes_trace.is_sampled = false;
}

/* ---------------------------------------------------------------------------------------------------- events ------ */

/* Send an event to some nodes. An event that is too large for the broker is not noted as sent, because no node
 * can get it and its sender gets the error. */
static vestry_err send_event(vestry_cluster *cluster, const vsi_bits *to, uint64_t hash, const vestry_scoped_key *name,
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
    vsi_recent_note(cluster, hash, to);
    vsi_buffer_append(&buffer, bytes.data, bytes.len);
    uint8_t flags = vsi_wire_put_trace(&buffer, trace);
    vsi_wire_end(&buffer);
    error = vsi_message_send_each(cluster, to, &buffer, VSI_WIRE_EVENT, flags, true);
  }
  vsi_buffer_finish(&buffer);
  return error;
}

vestry_err vsi_announce_event(const vestry_scoped_key *name, vestry_event *event, void *ctx) {
  vestry_cluster *cluster = ctx;
  uint64_t hash = vsi_cluster_hash_channel(cluster, name->data, name->len);
  vestry_err error = VESTRY_NOT_FOUND;
  vsi_cluster_lock(cluster);
  const vsi_bits unsynced = vsi_peers_unsynced(cluster);
  const vsi_bits to = vsi_bits_any(vsi_keys_others(&cluster->keys, hash), &unsynced);
  if (vsi_bits_is_empty(&to))
    vsi_recent_note(cluster, hash, &to);
  else
    error = send_event(cluster, &to, hash, name, event);
  vsi_cluster_unlock(cluster);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ timer ----- */

void vsi_announce_locked(vestry_cluster *cluster) {
  if (cluster->has_ended || cluster->has_left || cluster->is_refused) return;
  vsi_announcements_send(cluster);
  announce_refreshes(cluster);
}

void vsi_announce_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  vsi_announce_locked(cluster);
  vsi_cluster_unlock(cluster);
}
