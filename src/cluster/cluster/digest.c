/* SPDX-License-Identifier: MIT */
/* Digests on their way: KEYS and PRESENT, one after the other for each node. A few are handed to the broker at once.
 * All keys and guests can be more than it takes; and what it cannot take would be lost, so that they had to be told
 * anew, for ever. So what waits is kept here, and goes on by some messages every 5 ms: others have room in the broker,
 * too. What comes and goes meanwhile stands after it, since it is said of what was told before.
 *
 * What waits is bounded, by twice what a telling of everything takes: a node that gets beyond that, or that cannot be
 * sent to, is told all anew. */
#include "cluster/cluster/digest.h"

#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/letter.h"

/* Messages of a run, for all nodes; and what may wait beside a telling of everything. */
enum { RUN_MOST = 32, WAITING_BYTES = 1 << 20 };

typedef struct vsi_digest {
  struct vsi_digest *next;
  vsi_wire_kind kind;
  uint8_t flags;
  vsi_buffer message; /* to be sealed */
} vsi_digest;

void vsi_digests_drop(vestry_cluster *cluster, vsi_peer *peer) {
  for (vsi_digest *d = peer->digests, *next; d; d = next) {
    next = d->next;
    vsi_buffer_finish(&d->message);
    vsi_free(cluster->host, d);
  }
  peer->digests = peer->last_digest = NULL;
  peer->digests_bytes = 0;
}

static bool append(vestry_cluster *cluster, vsi_peer *peer, const vsi_buffer *buffer, vsi_wire_kind kind,
                   uint8_t flags) {
  if (peer->digests_bytes + buffer->len > peer->digests_most + WAITING_BYTES) return false;
  vsi_digest *d = vsi_calloc(cluster->host, 1, sizeof *d);
  if (!d) return false;
  d->kind = kind;
  d->flags = flags;
  vsi_buffer_init(&d->message, cluster->host);
  vsi_buffer_append(&d->message, buffer->data, buffer->len);
  if (d->message.error) {
    vsi_free(cluster->host, d);
    return false;
  }
  *(peer->last_digest ? &peer->last_digest->next : &peer->digests) = d;
  peer->last_digest = d;
  peer->digests_bytes += buffer->len;
  return true;
}

static void give_up(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_digests_drop(cluster, peer);
  peer->wants_all = true;
}

bool vsi_digest_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags) {
  if (buffer->error) {
    give_up(cluster, peer);
    return false;
  }
  if (!peer->digests && !peer->is_telling_all) {
    vestry_err error = vsi_letter_send(cluster, peer, buffer, kind, flags, false);
    if (!error) return true;
    if (error != VESTRY_FULL) {
      give_up(cluster, peer);
      return false;
    }
  }
  if (peer->is_telling_all) peer->digests_most += 2 * buffer->len;
  if (append(cluster, peer, buffer, kind, flags)) return true;
  give_up(cluster, peer);
  return false;
}

static void go_on(vestry_cluster *cluster, vsi_peer *peer, size_t most) {
  for (vsi_digest *d; most > 0 && (d = peer->digests) != NULL; most--) {
    vestry_err error = vsi_letter_send(cluster, peer, &d->message, d->kind, d->flags, false);
    if (error == VESTRY_FULL) return;
    if (error) {
      give_up(cluster, peer);
      return;
    }
    peer->digests = d->next;
    if (!d->next) peer->last_digest = NULL;
    peer->digests_bytes -= d->message.len;
    vsi_buffer_finish(&d->message);
    vsi_free(cluster->host, d);
  }
}

void vsi_digests_go_on(vestry_cluster *cluster) {
  size_t waiting = 0;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (peer->digests && !vsi_peer_lives(peer)) vsi_digests_drop(cluster, peer);
    waiting += peer->digests != NULL;
  }
  bool is_over = true;
  for (size_t i = 0; waiting && i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (peer->digests) go_on(cluster, peer, RUN_MOST / waiting + 1);
    is_over &= !peer->digests;
  }
  if (!is_over) vsi_cluster_tell_soon(cluster);
}
