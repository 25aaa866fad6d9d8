/* SPDX-License-Identifier: MIT */
/* Heartbeats, and the handshakes by which nodes prove to each other that they are alive.
 *
 * At each heartbeat a node publishes a HELLO to all nodes, and sends a HEARTBEAT to each live node: the digest of its
 * keys and members of presences, and the last number assigned on the link. A node with a different digest requests a
 * full announcement. */
#include "cluster/cluster/heartbeat.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/cluster/announce.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"

/* Check that the broker accepts messages of the size of handshakes, requests and announcements of keys. */
static void check_payload(vestry_cluster *cluster) {
  const size_t most = cluster->broker.ops->max_payload(cluster->broker.broker);
  if (most >= VSI_PAYLOAD_LEAST || !vsi_log_is_due(&cluster->repeated, VSI_ONCE_A_MINUTE, VSI_CLUSTER_SMALL_PAYLOAD,
                                                   vsi_now_ns(cluster->host), NULL))
    return;
  cluster->small_payload = most;
  vsi_cluster_notify(cluster);
}

void vsi_heartbeat_send_hello(vestry_cluster *cluster) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  (void)vsi_message_post(cluster, cluster->all_subject, &buffer, (vsi_wire_message){.kind = VSI_WIRE_HELLO});
  vsi_buffer_finish(&buffer);
}

/* Send a HEARTBEAT to all live nodes. */
static void send_heartbeat(vestry_cluster *cluster) {
  uint64_t count, sum, present_count, present_sum;
  vsi_buffer buffer;
  vsi_keys_announced_sum(&cluster->keys, &count, &sum);
  vsi_presences_sum(cluster->presences, &present_count, &present_sum);
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, count + present_count, 8);
  vsi_wire_put(&buffer, sum + present_sum, 8);
  vsi_wire_put(&buffer, vsi_keys_clock(&cluster->keys), 8);
  vsi_wire_end(&buffer);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    uint8_t flags = (uint8_t)(vsi_members_own_flags(cluster) | (peer->digests ? VSI_WIRE_MORE : 0));
    if (vsi_peer_lives(peer)) (void)vsi_message_send(cluster, peer, &buffer, VSI_WIRE_HEARTBEAT, flags, false);
  }
  vsi_buffer_finish(&buffer);
}

void vsi_heartbeat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (!vsi_members_catch_up(cluster, peer, message->seq)) return;
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t its_count = vsi_wire_number(&reader, 8), its_sum = vsi_wire_number(&reader, 8);
  vsi_keys_advance_clock(&cluster->keys, vsi_wire_number(&reader, 8));
  uint64_t count, sum;
  vsi_keys_sum_of(&cluster->keys, vsi_peer_index(cluster, peer), &count, &sum);
  if (vsi_presences_have_room_again(cluster->presences, vsi_peer_index(cluster, peer))) peer->must_sync = true;
  bool is_coming = message->flags & VSI_WIRE_MORE && (peer->is_syncing || (peer->is_synced && !peer->must_sync));
  if (is_coming) return; /* the digest includes announcements that are still waiting there */
  peer->is_synced = !peer->must_sync && count + peer->present_count == its_count && sum + peer->present_sum == its_sum;
  if (peer->is_synced)
    peer->verified_ns = vsi_now_ns(cluster->host);
  else
    (void)vsi_message_send_bare(cluster, vsi_peer_bit(cluster, peer), VSI_WIRE_RESYNC, false);
}

void vsi_heartbeat_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (vsi_instance_is_closing(cluster->v) && !cluster->has_left) vsi_members_send_goodbye(cluster);
  if (!cluster->is_refused && !cluster->has_ended && !cluster->has_left) {
    vsi_members_judge(cluster);
    vsi_announce_locked(cluster);
    check_payload(cluster);
    vsi_heartbeat_send_hello(cluster);
    send_heartbeat(cluster);
  }
  vsi_cluster_unlock(cluster);
}

/* Handshakes.
 *
 * An attacker with access to the broker can record messages and replay them, at any time and in any order. Therefore a
 * seal alone proves nothing: a message must also belong to a run that is alive, and must be new.
 *
 * A HELLO only shows that a node may exist. The response is a challenge: a nonce that cannot be predicted. Only a node
 * with the secret can return it under its seal, from its own run to the run that sent the challenge. Then that run
 * counts. Both sides do so:
 *
 *       HELLO a                     → all
 *       HANDSHAKE (nonce b)         → a   b requests a proof
 *       HANDSHAKE (nonce a, echo b) → b   a proves itself and requests a proof: a counts at b from here on
 *       HANDSHAKE (echo a)          → a   b proves itself: b counts at a from here on
 *
 * A node sends the proof before anything else to the node that has requested it, because that node ignores all other
 * messages until the proof has arrived.
 *
 * Challenges are not stored. A nonce is a keyed hash of three values: the other run, the number of proofs that the
 * other node has given so far, and the time in steps of dead_ms. Each run draws the key of its hashes anew. So a flood
 * of old HELLOs takes no memory, and a proof is accepted once, within at most two steps. While a run of a node is well,
 * other runs of its name get no challenge.
 *
 * Each message of a run that counts, handshakes included, has a turn, which only increases. A message whose turn is not
 * above the last one is a repetition. After a silence of dead_ms the run must prove itself again.
 *
 * Two nodes of one name. Each proves to the other that it is alive. The two cannot compare their ages exactly, because
 * messages take time. So only the node with the lower epoch judges, once. If one of the two is accepted by the other
 * nodes (members.c) and the other one is not, the accepted one stays: the other one stood still or was cut off, and may
 * have been replaced meanwhile. Otherwise the older one stays. The node that judges gives up itself, or its next
 * HANDSHAKE has the flag YIELD and the other node gives up. All other nodes keep the run that they know, as long as it
 * is well.
 *
 * One node too many. A node that receives a proof and has no free slot determines the youngest of all nodes that it
 * knows, itself and the new one included. The youngest gives up, at once or when it receives FULL under the seal of
 * this node. Ages that differ by less than dead_ms count as equal, because messages take time; then the highest epoch
 * is the youngest, so that all nodes determine the same one. */

typedef struct meeting {
  uint64_t nonce, echo; /* nonce 0: no proof is requested; echo 0: none is given */
  uint64_t begun_ns;    /* start of its run on this node's clock, late by the transit time of the message */
  uint64_t clock_ms;    /* cluster clock, as that node knows it */
  vestry_slice name;
} meeting;

static bool read_meeting(const vestry_cluster *cluster, const vsi_wire_message *message, meeting *ret) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  ret->nonce = vsi_wire_number(&reader, 8);
  ret->echo = vsi_wire_number(&reader, 8);
  uint64_t now_ns = vsi_now_ns(cluster->host), age_ns = vsi_wire_number(&reader, 8);
  ret->begun_ns = now_ns > age_ns ? now_ns - age_ns : 0;
  ret->clock_ms = vsi_wire_number(&reader, 8);
  ret->name.len = reader.left;
  ret->name.data = vsi_wire_bytes(&reader, reader.left);
  return !reader.has_failed && ret->name.len && ret->name.len <= VESTRY_NODE_MAX_BYTES &&
         !memchr(ret->name.data, 0, ret->name.len);
}

/* -------------------------------------------------------------------------------------------------- nonces -------- */

static uint64_t proofs_of(const vestry_cluster *cluster, uint64_t id) {
  if (id == cluster->id) return cluster->twin_proofs;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (cluster->peers[i].id == id) return cluster->peers[i].proofs;
  return cluster->proofs_before;
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
  vsi_wire_put(&buffer, vsi_keys_clock(&cluster->keys), 8);
  vsi_buffer_append(&buffer, cluster->name, strlen(cluster->name));
  vsi_wire_end(&buffer);
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

typedef struct node_run {
  uint64_t id, epoch, begun_ns;
} node_run;

static bool is_younger(const vestry_cluster *cluster, const node_run *one, const node_run *other) {
  if (one->begun_ns > other->begun_ns && one->begun_ns - other->begun_ns > cluster->dead_ns) return true;
  if (other->begun_ns > one->begun_ns && other->begun_ns - one->begun_ns > cluster->dead_ns) return false;
  return one->epoch > other->epoch;
}

static node_run own_run(const vestry_cluster *cluster) {
  return (node_run){cluster->id, cluster->epoch, cluster->begun_ns};
}

/* Handle the proof of a run that has no slot. */
static void refuse_youngest(vestry_cluster *cluster, const vsi_wire_message *message, const meeting *m) {
  node_run youngest = {message->from, message->epoch, m->begun_ns}, own = own_run(cluster);
  if (is_younger(cluster, &own, &youngest)) youngest = own;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    const vsi_peer *peer = &cluster->peers[i];
    const node_run other = {peer->id, peer->epoch, peer->begun_ns};
    if (is_younger(cluster, &other, &youngest)) youngest = other;
  }
  vsi_members_note_placeless(cluster, message->epoch, &m->name);
  if (youngest.epoch == cluster->epoch)
    vsi_members_give_up(cluster, true);
  else
    send(cluster, &(vsi_wire_message){.from = youngest.id, .epoch = youngest.epoch}, false, 0, VSI_WIRE_FULL);
}

bool vsi_handshake_take(vestry_cluster *cluster, const vsi_wire_message *message) {
  meeting m;
  if (!read_meeting(cluster, message, &m)) return false;
  if (message->flags & VSI_WIRE_FULL) { /* sealed, and sent to this run: not a replay of an earlier run */
    const node_run own = own_run(cluster), other = {message->from, message->epoch, m.begun_ns};
    if (is_younger(cluster, &own, &other)) vsi_members_give_up(cluster, true);
    return cluster->is_refused;
  }
  const vsi_peer *peer = vsi_peers_find(cluster, message->from);
  if (peer && peer->epoch == message->epoch && peer->state == VESTRY_MEMBER_LEFT) return false;
  bool is_proof = is_own_nonce(cluster, message, m.echo);
  bool requests = !is_proof && is_wanted(cluster, peer, message->epoch);
  vsi_peer *proven = is_proof ? vsi_members_prove(cluster, message, &m.name) : NULL;
  bool counts = proven != NULL;
  if (counts) {
    proven->begun_ns = m.begun_ns;
    vsi_keys_advance_clock(&cluster->keys, m.clock_ms);
  } else if (is_proof && !peer && vsi_members_are_full(cluster)) {
    refuse_youngest(cluster, message, &m);
    return true;
  }
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
  if (message->kind == VSI_WIRE_HELLO) {
    if (!has_judged) send(cluster, message, true, 0, 0);
    return;
  }
  if (message->kind != VSI_WIRE_HANDSHAKE || message->to != cluster->epoch || !read_meeting(cluster, message, &m))
    return;
  if (is_own_nonce(cluster, message, m.echo)) {
    cluster->twin_proofs++;
    if (judge(cluster, message, &m)) {
      vsi_members_give_up(cluster, false);
      return;
    }
    has_judged = cluster->twin_epoch == message->epoch;
  }
  /* The other side repeats its request until one of the two has judged. */
  if (m.nonce) send(cluster, message, !has_judged, m.nonce, has_judged ? VSI_WIRE_YIELD : 0);
}
