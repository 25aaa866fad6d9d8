/* SPDX-License-Identifier: MIT */
/* What a node says to all of itself, every heartbeat: that it is there (HELLO), and to each that it knows what is known
 * here of keys and guests, and how much was sent (BEAT). A node that knows something else asks for all. */
#include "cluster/cluster/beat.h"

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/letter.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/tell.h"

void vsi_beat_say_hello(vestry_cluster *cluster) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  (void)vsi_letter_post(cluster, cluster->all_subject, &buffer, (vsi_wire_message){.kind = VSI_WIRE_HELLO});
  vsi_buffer_finish(&buffer);
}

/* To all: what is known here of keys and guests. */
static void say_beat(vestry_cluster *cluster) {
  uint64_t count, sum, guests_count, guests_sum;
  vsi_buffer buffer;
  vsi_keys_told_sum(&cluster->keys, &count, &sum);
  vsi_presences_sum(cluster->presences, &guests_count, &guests_sum);
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, count + guests_count, 8);
  vsi_wire_put(&buffer, sum + guests_sum, 8);
  vsi_wire_put(&buffer, vsi_keys_clock(&cluster->keys), 8);
  vsi_wire_end(&buffer);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    uint8_t flags = (uint8_t)(vsi_members_own_flags(cluster) | (peer->digests ? VSI_WIRE_MORE : 0));
    if (vsi_peer_lives(peer)) (void)vsi_letter_send(cluster, peer, &buffer, VSI_WIRE_BEAT, flags, false);
  }
  vsi_buffer_finish(&buffer);
}

void vsi_beat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (!vsi_members_catch_up(cluster, peer, message->seq)) return;
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t its_count = vsi_wire_number(&reader, 8), its_sum = vsi_wire_number(&reader, 8);
  vsi_keys_hear_clock(&cluster->keys, vsi_wire_number(&reader, 8));
  uint64_t count, sum;
  vsi_keys_sum_of(&cluster->keys, vsi_peer_index(cluster, peer), &count, &sum);
  if (vsi_presences_have_room_again(cluster->presences, vsi_peer_index(cluster, peer))) peer->must_sync = true;
  bool is_coming = message->flags & VSI_WIRE_MORE && (peer->is_syncing || (peer->is_synced && !peer->must_sync));
  if (is_coming) return; /* some of what it counts */
  peer->is_synced = !peer->must_sync && count + peer->guests_count == its_count && sum + peer->guests_sum == its_sum;
  if (peer->is_synced)
    peer->verified_ns = vsi_now_ns(cluster->host);
  else
    (void)vsi_letter_send_bare(cluster, vsi_peer_bit(cluster, peer), VSI_WIRE_RESYNC, false);
}

void vsi_beat_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (vsi_instance_is_closing(cluster->v) && !cluster->has_left) vsi_members_say_goodbye(cluster);
  if (!cluster->is_refused && !cluster->has_ended && !cluster->has_left) {
    uint64_t now_ns = vsi_now_ns(cluster->host);
    for (size_t i = 0; i < cluster->peers_count; i++) vsi_members_judge(cluster, &cluster->peers[i], now_ns);
    vsi_tell_locked(cluster);
    vsi_beat_say_hello(cluster);
    say_beat(cluster);
  }
  vsi_cluster_unlock(cluster);
}
