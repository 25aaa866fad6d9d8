/* SPDX-License-Identifier: MIT */
/* Renewals of leases, forwarded to the node that has the stream.
 *
 * A tab renews its lease at the node that the proxy selects, and this node forwards the renewal to the node of the
 * stream. A client can send any renewal as often as it likes, so its cost for the broker and the other nodes is
 * bounded:
 * - An address contains the node's id and a seal of the id and the lease, with a key that only nodes have. A forged
 *   address is detected by one hash, and is not forwarded.
 * - A valid renewal waits until the next heartbeat, once for each lease. So a lease that is renewed a thousand times
 *   meanwhile takes 16 bytes, and the renewals of a thousand tabs are one message to each node. If VSI_RENEWALS_MAX are
 *   waiting, all are sent at once, so that each message carries many.
 *
 * A renewal that this node cannot forward is refused, so that its tab releases the lease (lease.c). One that was
 * forwarded can be lost with the link or the broker. Then the node of the stream finds a gap or a silent node, and lets
 * all its leases begin anew (members.c: report_changes). */
#include "cluster/cluster/renewals.h"

#include <string.h>

#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"

enum { NODE_BYTES = 8, SEALED_BYTES = VSI_LEASE_BYTES + NODE_BYTES };

/* ------------------------------------------------------------------------------------------------- addresses ------ */

static uint64_t seal_of(const vestry_cluster *cluster, const unsigned char *lease, const unsigned char *node) {
  unsigned char all[SEALED_BYTES];
  memcpy(all, lease, VSI_LEASE_BYTES);
  memcpy(all + VSI_LEASE_BYTES, node, NODE_BYTES);
  return vsi_siphash_128_of(cluster->renewals.key, all, sizeof all).low;
}

void vsi_renewals_address(const unsigned char *lease, unsigned char *ret_address, void *ctx) {
  const vestry_cluster *cluster = ctx;
  memcpy(ret_address, &cluster->id, NODE_BYTES);
  uint64_t seal = seal_of(cluster, lease, ret_address);
  memcpy(ret_address + NODE_BYTES, &seal, sizeof seal);
}

static bool is_sealed(const vestry_cluster *cluster, const unsigned char *lease, const unsigned char *address) {
  uint64_t seal;
  memcpy(&seal, address + NODE_BYTES, sizeof seal);
  return seal == seal_of(cluster, lease, address);
}

/* -------------------------------------------------------------------------------------------------- forwarding ---- */

/* The search is linear, because waiting renewals are bounded. */
static bool waits(const vsi_renewals *renewals, const unsigned char *lease) {
  size_t at = 0;
  while (at < renewals->count && memcmp(renewals->all[at].lease, lease, VSI_LEASE_BYTES) != 0) at++;
  return at < renewals->count;
}

/* Send the leases of a node's streams, in as many messages as they need. */
static void send_to(vestry_cluster *cluster, vsi_peer *peer) {
  const vsi_renewals *renewals = &cluster->renewals;
  const size_t room = vsi_message_room(cluster, SIZE_MAX), most = room > VSI_LEASE_BYTES ? room : VSI_LEASE_BYTES;
  for (size_t at = 0; at < renewals->count;) {
    vsi_buffer buffer;
    vsi_wire_begin(&buffer, cluster->host);
    const size_t empty = buffer.len;
    for (; at < renewals->count && buffer.len - empty + VSI_LEASE_BYTES <= most; at++)
      if (renewals->all[at].node == peer->id) vsi_buffer_append(&buffer, renewals->all[at].lease, VSI_LEASE_BYTES);
    if (buffer.len > empty)
      (void)vsi_message_send(cluster, peer, &buffer, VSI_WIRE_RENEW, 0, false); /* lost: tabs renew again */
    vsi_buffer_finish(&buffer);
  }
}

void vsi_renewals_send(vestry_cluster *cluster) {
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(cluster->peers[i])) send_to(cluster, cluster->peers[i]);
  cluster->renewals.count = 0;
}

bool vsi_renewals_add(const unsigned char *lease, const unsigned char *address, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_renewals *renewals = &cluster->renewals;
  uint64_t node;
  if (!is_sealed(cluster, lease, address)) return false;
  memcpy(&node, address, sizeof node);
  vsi_cluster_lock(cluster);
  const vsi_peer *peer = vsi_peers_find(cluster, node);
  const bool lives = cluster->is_up && peer && vsi_peer_lives(peer);
  if (lives && !waits(renewals, lease)) {
    if (renewals->count == VSI_RENEWALS_MAX) vsi_renewals_send(cluster);
    vsi_renewal *one = &renewals->all[renewals->count++];
    one->node = node;
    memcpy(one->lease, lease, VSI_LEASE_BYTES);
  }
  vsi_cluster_unlock(cluster);
  return lives;
}

void vsi_renewals_take(vestry_cluster *cluster, const unsigned char *body, size_t len) {
  for (; len >= VSI_LEASE_BYTES; body += VSI_LEASE_BYTES, len -= VSI_LEASE_BYTES)
    (void)vsi_leases_renew(cluster->v, body); /* false: its stream has ended meanwhile */
}
