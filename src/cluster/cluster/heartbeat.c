/* SPDX-License-Identifier: MIT */
/* Heartbeats, and the handshakes by which nodes prove to each other that they are alive.
 *
 * At each heartbeat a node publishes a HEARTBEAT to all nodes: the digest of its keys and members of presences, and the
 * last number of its messages to all. A node with a different digest requests a full announcement. A HEARTBEAT to one
 * node has the last number of that link, and shows to which run of the node this node sends. It goes to the nodes to
 * which something was sent since the last one, and to EACH_MOST others in turn, or to so many that each gets one within
 * dead_ms. */
#include "cluster/cluster/heartbeat.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/cluster/announcements.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "cluster/cluster/renewals.h"

enum { EACH_MOST = 16, KEYS_MOST_MS = 50 };

void vsi_heartbeat_send(vestry_cluster *cluster) {
  uint64_t count, sum, present_count, present_sum;
  vsi_buffer buffer;
  vsi_keys_sum_of(&cluster->keys, VSI_KEYS_OWN, &count, &sum);
  vsi_presences_sum(cluster->presences, &present_count, &present_sum);
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, count + present_count, 8);
  vsi_wire_put(&buffer, sum + present_sum, 8);
  vsi_wire_put(&buffer, vsi_keys_clock_at(&cluster->keys, vsi_now_ns(cluster->host)), 8);
  const uint8_t flags = vsi_members_own_flags(cluster) | (vsi_announcements_wait(cluster) ? VSI_WIRE_MORE : 0);
  (void)vsi_message_send(cluster, NULL, &buffer, VSI_WIRE_HEARTBEAT, flags, false);
  vsi_buffer_finish(&buffer);
}

/* Send a HEARTBEAT to some nodes. */
static void send_numbers(vestry_cluster *cluster) {
  const size_t in_time = vsi_bits_count(&cluster->alive) * cluster->heartbeat_ns / cluster->dead_ns + 1,
               from = cluster->beat_at;
  size_t left = in_time > EACH_MOST ? in_time : EACH_MOST;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    const size_t at = (from + i) % cluster->peers_count;
    vsi_peer *peer = cluster->peers[at];
    if (!vsi_bits_has(&cluster->alive, at) || !(left || peer->has_news)) continue;
    if (left) {
      left--;
      cluster->beat_at = at + 1;
    }
    peer->has_news = false;
    (void)vsi_message_send_bare(cluster, peer, VSI_WIRE_HEARTBEAT, false);
  }
}

/* Announcements of keys are joined for a longer time if there are many nodes. */
static void set_keys_ms(vestry_cluster *cluster) {
  size_t ms = vsi_bits_count(&cluster->alive) / 2;
  if (ms < VSI_FLUSH_MS) ms = VSI_FLUSH_MS;
  atomic_store_explicit(&cluster->keys_ms, (uint32_t)(ms < KEYS_MOST_MS ? ms : KEYS_MOST_MS), memory_order_relaxed);
}

void vsi_heartbeat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (!vsi_members_catch_up(cluster, peer, message) || message->to) return;
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t its_count = vsi_wire_number(&reader, 8), its_sum = vsi_wire_number(&reader, 8);
  vsi_keys_advance_clock(&cluster->keys, vsi_wire_number(&reader, 8));
  uint64_t count, sum, now_ns = vsi_now_ns(cluster->host);
  vsi_keys_sum_of(&cluster->keys, peer->index, &count, &sum);
  if (vsi_presences_have_room_again(cluster->presences, peer->index)) peer->must_sync = true;
  if (peer->is_syncing && now_ns - peer->listed_ns >= cluster->suspect_ns) vsi_peer_must_sync(peer);
  /* The digest includes announcements that are still waiting there, or is older than the list. */
  const bool is_coming = message->flags & VSI_WIRE_MORE || message->seq < peer->synced_seq;
  if (peer->is_syncing || (is_coming && peer->is_synced && !peer->must_sync)) return;
  peer->is_synced = !peer->must_sync && count + peer->present_count == its_count && sum + peer->present_sum == its_sum;
  if (peer->is_synced)
    peer->verified_ns = now_ns;
  else
    (void)vsi_message_send_bare(cluster, peer, VSI_WIRE_RESYNC, false);
}

void vsi_heartbeat_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (vsi_instance_is_closing(cluster->v) && !cluster->has_left) vsi_members_send_goodbye(cluster);
  if (!cluster->is_refused && !cluster->has_ended && !cluster->has_left) {
    vsi_members_judge(cluster);
    set_keys_ms(cluster);
    vsi_announce_locked(cluster);
    const size_t most = cluster->broker.ops->max_payload(cluster->broker.broker);
    if (most < VSI_PAYLOAD_LEAST) cluster->notices.small_payload = most;
    vsi_cluster_notify(cluster); /* for the notices, and to go on sweeping keys, if memory was missing */
    vsi_heartbeat_send(cluster);
    vsi_renewals_send(cluster);
    send_numbers(cluster);
  }
  vsi_cluster_unlock(cluster);
}

/* Handshakes.
 *
 * An attacker with access to the broker can record messages and replay them, at any time and in any order. Therefore a
 * seal alone proves nothing: a message must also belong to a run that is alive, and must be new.
 *
 * A HEARTBEAT of a run that has not proven itself only shows that a node may exist. The response is a challenge: a
 * nonce that cannot be predicted. Only a node with the secret can return it under its seal, from its own run to the run
 * that sent the challenge. Then that run counts. Both sides do so:
 *
 *       HEARTBEAT a                 → all
 *       HANDSHAKE (nonce b)         → a   b requests a proof
 *       HANDSHAKE (nonce a, echo b) → b   a proves itself and requests a proof: a counts at b from here on
 *       HANDSHAKE (echo a)          → a   b proves itself: b counts at a from here on
 *
 * A node sends the proof before anything else to the node that has requested it, because that node ignores all other
 * messages until the proof has arrived.
 *
 * Challenges are not stored. A nonce is a keyed hash of three values: the other run, the number of proofs that the
 * other node has given so far, and the time in steps of dead_ms. Each run draws the key of its hashes anew. So a flood
 * of old HEARTBEATs takes no memory, and a proof is accepted once, within at most two steps. While a run of a node is
 * well, other runs of its name get no challenge.
 *
 * Each message of a run that counts, handshakes included, has a turn, which only increases. A message whose turn is not
 * above the last one is a repetition. After a silence of dead_ms the run must prove itself again.
 *
 * Two nodes of one name. Each proves to the other that it is alive. The two cannot compare their ages exactly, because
 * messages take time. So only the node with the lower epoch judges, once. If one of the two is accepted by the other
 * nodes (members.c) and the other one is not, the accepted one stays: the other one stood still or was cut off, and may
 * have been replaced meanwhile. Otherwise the older one stays. The node that judges gives up itself, or its next
 * HANDSHAKE has the flag YIELD and the other node gives up. All other nodes keep the run that they know, as long as it
 * is well. */

typedef struct meeting {
  uint64_t nonce, echo; /* nonce 0: no proof is requested; echo 0: none is given */
  uint64_t begun_ns;    /* start of its run on this node's clock, late by the transit time of the message */
  uint64_t clock_ms;    /* cluster clock, as that node knows it */
  uint64_t all_seq;     /* last number of its messages to all nodes */
  vestry_slice name;
} meeting;

static bool read_meeting(const vestry_cluster *cluster, const vsi_wire_message *message, meeting *ret) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  ret->nonce = vsi_wire_number(&reader, 8);
  ret->echo = vsi_wire_number(&reader, 8);
  uint64_t now_ns = vsi_now_ns(cluster->host), age_ns = vsi_wire_number(&reader, 8);
  ret->begun_ns = now_ns > age_ns ? now_ns - age_ns : 0;
  ret->clock_ms = vsi_wire_number(&reader, 8);
  ret->all_seq = vsi_wire_number(&reader, 8);
  ret->name = vsi_wire_bytes(&reader, reader.left);
  return !reader.has_failed && ret->name.len && ret->name.len <= VESTRY_NODE_MAX_BYTES &&
         !memchr(ret->name.data, 0, ret->name.len);
}

/* -------------------------------------------------------------------------------------------------- nonces -------- */

static uint64_t proofs_of(const vestry_cluster *cluster, uint64_t id) {
  if (id == cluster->id) return cluster->twin_proofs;
  const vsi_peer *peer = vsi_peers_find(cluster, id);
  return peer ? peer->proofs : cluster->proofs_before;
}

static uint64_t make_nonce(const vestry_cluster *cluster, const vsi_wire_message *of, uint64_t step) {
  const uint64_t what[] = {of->from, of->epoch, proofs_of(cluster, of->from), step};
  uint64_t nonce = vsi_siphash_128_of(cluster->challenge_key, what, sizeof what).low;
  return nonce ? nonce : 1;
}

static uint64_t step_now(const vestry_cluster *cluster) {
  return vsi_now_ns(cluster->host) / cluster->dead_ns;
}

static bool is_own_nonce(const vestry_cluster *cluster, const vsi_wire_message *of, uint64_t echo) {
  uint64_t step = step_now(cluster);
  return echo && (echo == make_nonce(cluster, of, step) || (step && echo == make_nonce(cluster, of, step - 1)));
}

static void send(vestry_cluster *cluster, const vsi_wire_message *to, bool requests, uint64_t echo, uint8_t flags) {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  vsi_buffer buffer;
  vsi_message_subject(cluster, to->from, subject);
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, requests ? make_nonce(cluster, to, step_now(cluster)) : 0, 8);
  vsi_wire_put(&buffer, echo, 8);
  vsi_wire_put(&buffer, vsi_now_ns(cluster->host) - cluster->begun_ns, 8);
  vsi_wire_put(&buffer, vsi_keys_clock_at(&cluster->keys, vsi_now_ns(cluster->host)), 8);
  vsi_wire_put(&buffer, cluster->all_seq, 8);
  vsi_buffer_append(&buffer, cluster->name, strlen(cluster->name));
  flags |= vsi_members_own_flags(cluster) | (vsi_members_is_accepted(cluster) ? VSI_WIRE_ACCEPTED : 0);
  const vsi_wire_message message = {.kind = VSI_WIRE_HANDSHAKE, .flags = flags, .to = to->epoch};
  (void)vsi_message_post(cluster, subject, &buffer, message); /* a lost one is repeated at the next heartbeat */
  vsi_buffer_finish(&buffer);
}

/* -------------------------------------------------------------------------------------------------- handshakes ---- */

/* Return whether a run of another node must prove itself. peer: the node, with the run that is known; NULL: none.
 * epoch: the run that has sent a message. */
static bool is_wanted(const vestry_cluster *cluster, const vsi_peer *peer, uint64_t epoch) {
  if (!peer) return true;
  if (peer->epoch != epoch) return !vsi_peer_is_well(cluster, peer);
  return peer->state == VESTRY_MEMBER_SUSPECT || peer->state == VESTRY_MEMBER_DEAD;
}

void vsi_handshake_prompt(vestry_cluster *cluster, const vsi_wire_message *message) {
  if (is_wanted(cluster, vsi_peers_find(cluster, message->from), message->epoch)) send(cluster, message, true, 0, 0);
}

bool vsi_handshake_take(vestry_cluster *cluster, const vsi_wire_message *message) {
  meeting m;
  if (!read_meeting(cluster, message, &m)) return false;
  const vsi_peer *peer = vsi_peers_find(cluster, message->from);
  if (peer && peer->epoch == message->epoch && peer->state == VESTRY_MEMBER_LEFT) return false;
  bool is_proof = is_own_nonce(cluster, message, m.echo);
  bool requests = !is_proof && is_wanted(cluster, peer, message->epoch);
  const bool counts = is_proof && vsi_members_prove(cluster, message, &m.name, m.all_seq);
  if (counts) vsi_keys_advance_clock(&cluster->keys, m.clock_ms);
  if (m.nonce) send(cluster, message, requests, m.nonce, 0);
  return counts || m.nonce;
}

/* --------------------------------------------------------------------------------------- two nodes of one name ---- */

/* Decide, if this node has the lower epoch, which of the two gives up. true: this node. */
static bool judge(vestry_cluster *cluster, const vsi_wire_message *message, const meeting *m) {
  if (cluster->epoch > message->epoch) return message->flags & VSI_WIRE_YIELD;
  if (cluster->twin_epoch == message->epoch) return false; /* already judged */
  const bool is_accepted = vsi_members_is_accepted(cluster), other_is_accepted = message->flags & VSI_WIRE_ACCEPTED;
  if (is_accepted != other_is_accepted ? other_is_accepted : m->begun_ns <= cluster->begun_ns) return true;
  cluster->twin_epoch = message->epoch;
  return false;
}

void vsi_handshake_twin(vestry_cluster *cluster, const vsi_wire_message *message) {
  meeting m;
  bool has_judged = cluster->twin_epoch == message->epoch;
  if (!message->to) {
    if (!has_judged) send(cluster, message, true, 0, 0);
    return;
  }
  if (message->kind != VSI_WIRE_HANDSHAKE || message->to != cluster->epoch || !read_meeting(cluster, message, &m))
    return;
  if (is_own_nonce(cluster, message, m.echo)) {
    cluster->twin_proofs++;
    if (judge(cluster, message, &m)) {
      vsi_members_give_up(cluster);
      return;
    }
    has_judged = cluster->twin_epoch == message->epoch;
  }
  /* The other side repeats its request until one of the two has judged. */
  if (m.nonce) send(cluster, message, !has_judged, m.nonce, has_judged ? VSI_WIRE_YIELD : 0);
}
