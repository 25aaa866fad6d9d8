/* SPDX-License-Identifier: MIT */
/* essay: a node that tells of a channel or a key after something was sent without it */
/* What others tell of their keys, and which of them have told too late.
 *
 * An event of a channel goes to the nodes that have told that they have members. A node that has told too late, because
 * its telling was under way, must not miss it without a word: so it is kept for a while which channels were sent to,
 * and where (recent.c); a node that then tells of a member is told that it has missed something.
 *
 * So it is with keys. What was dispatched to streams here, or to those of some nodes, has not reached a node that
 * opened one of the key just then, and tells of it afterwards. How long afterwards is known: a message says when its
 * oldest change was; and where the keys of a node are not known in full, since when. Only a node that was missed within
 * that time has a gap. */
#include "cluster/cluster/told.h"

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/ask.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/letter.h"
#include "cluster/cluster/recent.h"
#include "cluster/cluster/replaced.h"

/* A key is held there, as it says now: it may have missed what was dispatched to it before. */
static bool may_have_missed(vestry_cluster *cluster, const vsi_peer *peer, uint64_t hash, uint64_t since_ns) {
  unsigned node = vsi_peer_index(cluster, peer);
  return vsi_keys_was_hit(&cluster->keys, hash, since_ns, vsi_now_ns(cluster->host)) ||
         vsi_asks_pass_by(cluster, hash, node) || vsi_recent_was_without(cluster, hash, node, since_ns);
}

/* since_ns: it may have been so since then. OK | NO_MEMORY (it is not known) | FULL (nothing more can be closed now: it
 * is to be told again) */
static vestry_err take_change(vestry_cluster *cluster, vsi_peer *peer, vsi_key_change change, uint64_t since_ns,
                              bool *has_missed) {
  vsi_keys_replaced_here replaced = {0, false};
  bool has_room = vsi_replaced_have_room(cluster), is_new;
  vestry_err error = vsi_keys_told(&cluster->keys, vsi_peer_index(cluster, peer), change, peer->id > cluster->id,
                                   has_room ? &replaced : NULL, &is_new);
  if (change.hash & VSI_KEYS_CHANNEL)
    *has_missed |= !change.is_gone && vsi_recent_look_back(cluster, change.hash, vsi_peer_index(cluster, peer));
  else
    *has_missed |= is_new && may_have_missed(cluster, peer, change.hash, since_ns);
  vsi_replaced_note(cluster, change, replaced);
  return error;
}

/* What it tells of may have been so since then. */
static uint64_t since_when(vestry_cluster *cluster, const vsi_peer *peer, uint64_t clock_ms) {
  uint64_t slack_ns = cluster->heartbeat_ns; /* what messages take */
  uint64_t since_ns = peer->verified_ns > slack_ns ? peer->verified_ns - slack_ns : 0;
  uint64_t ahead_ms = vsi_keys_clock_at(&cluster->keys, 0); /* of this node's clock */
  if (!peer->is_synced || clock_ms <= ahead_ms) return since_ns;
  uint64_t came_ns = (clock_ms - ahead_ms) * VSI_NS_PER_MS; /* clocks are as far apart as the fastest message takes */
  return came_ns > since_ns + slack_ns / 4 ? came_ns - slack_ns / 4 : since_ns;
}

void vsi_told_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t since_ns = since_when(cluster, peer, vsi_wire_number(&reader, 8));
  if (message->flags & VSI_WIRE_FIRST) {
    vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
    peer->is_synced = false;
  }
  bool has_missed = false;
  while (reader.left >= VSI_WIRE_CHANGE) {
    uint64_t hash = vsi_wire_number(&reader, 8), word = vsi_wire_number(&reader, 8);
    const vsi_key_change change = {hash, word >> 1 & ((UINT64_C(1) << 40) - 1), word & 1};
    vestry_err error = take_change(cluster, peer, change, since_ns, &has_missed);
    if (error) peer->is_synced = peer->is_syncing = false;
    peer->must_sync |= error == VESTRY_FULL;
  }
  if (has_missed) /* if this cannot be sent, its number does not come */
    (void)vsi_letter_send_bare(cluster, vsi_peer_bit(cluster, peer), VSI_WIRE_MISSED, true);
  if ((message->flags & VSI_WIRE_LAST) && peer->is_syncing) {
    peer->verified_ns = vsi_now_ns(cluster->host);
    vsi_presences_sweep(cluster->presences, vsi_peer_index(cluster, peer));
    peer->is_syncing = peer->must_sync = false;
    peer->is_synced = true;
  }
}
