/* SPDX-License-Identifier: MIT */
/* essay: links between nodes, lives, and what is lost on the way */
/* Which nodes live, and what of theirs has come.
 *
 * A member is one from when it has proven that it goes on (meet.c). Silence makes it suspect, then dead. A suspect is
 * brought back by its next message; a dead one has to prove itself anew. Then both sides have a gap: this one says so
 * to itself, and has given away a number when it took the other for dead, which tells the other.
 *
 * A goodbye says how much was sent. But a channel that has got its first member just now may have been sent to without
 * it, because the telling of it was still under way; and a node that has left will not look back (told.c). So that is a
 * gap. */
#include "cluster/cluster/members.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/digest.h"
#include "cluster/cluster/guests.h"
#include "cluster/cluster/letter.h"
#include "cluster/cluster/peers.h"

/* A jump of more is the beginning of other numbers. */
#define LOST_MOST (UINT64_C(1) << 24)

uint8_t vsi_members_own_flags(const vestry_cluster *cluster) {
  return vsi_instance_is_draining(cluster->v) ? VSI_WIRE_DRAINS : 0;
}

void vsi_members_lose(vestry_cluster *cluster, vsi_peer *peer, uint64_t lost_count) {
  vsi_peer_lose(peer, lost_count);
  vsi_peer_must_sync(peer);
  vsi_cluster_notify(cluster);
}

static void set_state(vestry_cluster *cluster, vsi_peer *peer, vestry_member_state state) {
  if (peer->state == state) return;
  peer->state = state;
  peer->has_news = true;
  vsi_cluster_notify(cluster);
}

/* Nothing is known to be held there. */
static void forget(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
  vsi_guests_forget(cluster, peer);
}

/* -------------------------------------------------------------------------------------------------- lives --------- */

bool vsi_members_are_full(const vestry_cluster *cluster) {
  return cluster->peers_count == VSI_NODES_MAX && vsi_peers_alive(cluster) == UINT64_MAX;
}

/* Logged once a life. */
void vsi_members_note_placeless(vestry_cluster *cluster, uint64_t epoch, const vestry_slice *name) {
  const uint64_t now_ns = vsi_now_ns(cluster->host);
  cluster->placeless_ns = now_ns ? now_ns : 1;
  if (cluster->placeless_epoch == epoch) return;
  cluster->placeless_epoch = epoch;
  cluster->stats.placeless_count++;
  memcpy(cluster->placeless, name->data, name->len);
  cluster->placeless[name->len] = '\0';
  vsi_cluster_notify(cluster);
}

/* A place for one more: a new one, or that of the node that went first. NULL: all are taken by those that live. */
static vsi_peer *find_place(vestry_cluster *cluster) {
  if (cluster->peers_count < VSI_NODES_MAX) return &cluster->peers[cluster->peers_count++];
  vsi_peer *found = NULL;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (!vsi_peer_lives(peer) && (!found || peer->heard_ns < found->heard_ns)) found = peer;
  }
  return found;
}

/* A new life. */
static void begin_life(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  bool is_same = peer->id == message->from && peer->epoch;
  if (is_same) vsi_peer_lose(peer, 0); /* what the former one has sent may have been lost with it */
  if (!is_same && peer->epoch && peer->proofs >= cluster->proofs_before) cluster->proofs_before = peer->proofs + 1;
  forget(cluster, peer);
  vsi_digests_drop(cluster, peer);
  vsi_peer fresh = {.id = message->from, .epoch = message->epoch, .wants_all = true, .proofs = cluster->proofs_before};
  /* Numbers go on from above all that were given before, to any node. Should this be a life that was given up for
   * another by mistake, it takes no new message for one that it has had. */
  fresh.out_seq = vsi_now_ns(cluster->host);
  if (is_same) {
    fresh.proofs = peer->proofs;
    fresh.has_gap = peer->has_gap;
    fresh.lost_count = peer->lost_count;
    fresh.gaps = peer->gaps;
  }
  *peer = fresh;
  vsi_letter_subject(cluster, peer->id, peer->subject);
  vsi_cluster_tell_soon(cluster);
}

void vsi_members_hear(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  peer->in_turn = message->turn;
  peer->heard_ns = vsi_now_ns(cluster->host);
  if (message->kind == VSI_WIRE_MEET || message->kind == VSI_WIRE_BEAT)
    peer->drains |= (message->flags & VSI_WIRE_DRAINS) != 0;
  set_state(cluster, peer, peer->drains ? VESTRY_MEMBER_DRAINING : VESTRY_MEMBER_ALIVE);
}

vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name) {
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  bool is_same_life = peer && peer->epoch == message->epoch;
  if (peer && !is_same_life && vsi_peer_is_well(cluster, peer)) return NULL;
  if (!peer) peer = find_place(cluster);
  if (!peer) return NULL;
  if (!is_same_life) {
    begin_life(cluster, peer, message);
    memcpy(peer->name, name->data, name->len);
    peer->name[name->len] = '\0';
  } else if (peer->state == VESTRY_MEMBER_DEAD) {
    vsi_members_lose(cluster, peer, 0);
    peer->wants_all = true;
    vsi_cluster_tell_soon(cluster);
  }
  if (!peer->has_met || peer->state == VESTRY_MEMBER_DEAD) /* of what was before it is told as a gap */
    peer->verified_ns = vsi_now_ns(cluster->host) + cluster->heartbeat_ns;
  peer->proofs++;
  vsi_members_hear(cluster, peer, message);
  return peer;
}

void vsi_members_judge(vestry_cluster *cluster, vsi_peer *peer, uint64_t now_ns) {
  uint64_t silence_ns = now_ns - peer->heard_ns;
  if (!vsi_peer_lives(peer) || silence_ns < cluster->suspect_ns) return;
  if (silence_ns < cluster->dead_ns) {
    set_state(cluster, peer, VESTRY_MEMBER_SUSPECT);
    return;
  }
  set_state(cluster, peer, VESTRY_MEMBER_DEAD);
  peer->is_synced = peer->is_syncing = false;
  peer->out_seq++; /* it will know that it was left out, if it comes back */
  vsi_peer_lose(peer, 0);
  forget(cluster, peer);
}

/* ------------------------------------------------------------------------------------------------ numbers --------- */

/* So many numbers have been left out, if it can be said. */
static void lose_up_to(vestry_cluster *cluster, vsi_peer *peer, uint64_t seq) {
  uint64_t lost = seq - peer->in_seq;
  vsi_members_lose(cluster, peer, lost < LOST_MOST ? lost : 0);
  peer->in_seq = seq;
}

bool vsi_members_count(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (message->seq <= peer->in_seq) {
    cluster->stats.duplicates_count++;
    return false;
  }
  if (message->seq > peer->in_seq + 1) lose_up_to(cluster, peer, message->seq - 1);
  peer->in_seq = message->seq;
  return true;
}

bool vsi_members_catch_up(vestry_cluster *cluster, vsi_peer *peer, uint64_t seq) {
  if (seq < peer->in_seq) return false;
  if (seq > peer->in_seq) lose_up_to(cluster, peer, seq);
  return true;
}

/* ------------------------------------------------------------------------------------------------ leaving --------- */

void vsi_members_leave(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  (void)vsi_members_catch_up(cluster, peer, message->seq);
  if (vsi_keys_are_waiting(&cluster->keys) || vsi_now_ns(cluster->host) - peer->told_ns < cluster->suspect_ns)
    vsi_members_lose(cluster, peer, 0);
  forget(cluster, peer);
  set_state(cluster, peer, VESTRY_MEMBER_LEFT);
}

void vsi_members_say_goodbye(vestry_cluster *cluster) {
  (void)vsi_letter_send_bare(cluster, vsi_peers_alive(cluster), VSI_WIRE_GOODBYE, false);
  cluster->has_left = true;
  vsi_presences_end(cluster->presences); /* presences are told no more */
}

void vsi_members_give_up(vestry_cluster *cluster, bool one_too_many) {
  vsi_members_say_goodbye(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    forget(cluster, peer);
    if (vsi_peer_lives(peer)) set_state(cluster, peer, VESTRY_MEMBER_DEAD); /* nothing is heard of it any more */
  }
  cluster->is_refused = cluster->has_own_news = true;
  cluster->is_one_too_many = one_too_many;
  vsi_cluster_notify(cluster);
}
