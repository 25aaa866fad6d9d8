/* SPDX-License-Identifier: MIT */
/* essay: links between nodes, runs of a node, and detection of losses */
/* Membership: which nodes are alive, and which of their messages have arrived.
 *
 *      no slot ─proof→ ALIVE, DRAINING ─silence for suspect_ns→ SUSPECT ─silence for dead_ns→ DEAD
 *                         ↑ ↑                                      │                           │
 *                         │ └───────────── any message ────────────┘                           │
 *                         └──────────────────────────── proof ─────────────────────────────────┘
 *      ALIVE, DRAINING, SUSPECT ─GOODBYE→ LEFT
 *
 * heartbeat.c explains proofs. When a dead node returns, both sides have a gap. This node reports one. The other node
 * finds one, because this node skipped a number when it declared the other node dead.
 *
 * A GOODBYE contains the last number that was assigned. But a channel may have received its first member so recently
 * that an event was sent without it, because the announcement was in transit. A node that has left does not check for
 * that (receiver.c). So this node has a gap if it has announced keys within suspect_ns or has changes that wait. It is
 * reported after suspect_ns, unless another run of the node begins before, which is a gap as well: so a restart is one
 * gap. */
#include "cluster/cluster/members.h"

#include <string.h>

#include "app/history/histories.h"
#include "app/page/topic.h"
#include "app/presence/spread.h"
#include "app/stream/lease.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/message.h"

/* The table of the other nodes. */

vsi_peer *vsi_peers_find(const vestry_cluster *cluster, uint64_t id) {
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (cluster->peers[i]->id == id) return cluster->peers[i];
  return NULL;
}

bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer) {
  uint64_t silence_ns = vsi_now_ns(cluster->host) - peer->received_ns;
  return vsi_peer_lives(peer) && silence_ns < 2 * cluster->heartbeat_ns && silence_ns < cluster->suspect_ns;
}

vsi_bits vsi_peers_unsynced(const vestry_cluster *cluster) {
  vsi_bits unsynced = cluster->alive;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (cluster->peers[i]->is_synced) vsi_bits_remove(&unsynced, i);
  return unsynced;
}

/* Return how long this node has stood still: how much later than heartbeat_ms its heartbeat comes. 0: less than
 * suspect_ns have passed since the last one. A process can be stopped, its machine paused or out of memory; messages of
 * the other nodes then wait in its socket, and do not show by their absence that a node is silent. */
static uint64_t pause_ns(const vestry_cluster *cluster, uint64_t now_ns) {
  uint64_t since_ns = now_ns - cluster->beat_ns;
  return since_ns < cluster->suspect_ns ? 0 : since_ns - cluster->heartbeat_ns;
}

/* Return whether this node has been connected for this time, without standing still. */
static bool has_listened(const vestry_cluster *cluster, uint64_t for_ns) {
  uint64_t now_ns = vsi_now_ns(cluster->host);
  return cluster->is_up && now_ns - cluster->up_ns >= for_ns && !pause_ns(cluster, now_ns);
}

bool vsi_peers_are_known(const vestry_cluster *cluster) {
  const uint64_t since_ns = vsi_now_ns(cluster->host) - cluster->placeless_ns;
  const bool all_have_slots = !cluster->placeless_ns || since_ns >= cluster->dead_ns;
  return !cluster->is_refused && all_have_slots && has_listened(cluster, 2 * cluster->heartbeat_ns);
}

bool vsi_members_is_accepted(const vestry_cluster *cluster) {
  bool has_peers = false;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    const vsi_peer *peer = cluster->peers[i];
    if (!vsi_peer_lives(peer)) continue;
    has_peers = true;
    if (!peer->accepted_ns || peer->accepted_ns < cluster->up_ns) return false;
  }
  return has_listened(cluster, has_peers ? 0 : cluster->dead_ns);
}

void vsi_members_note_receiver(vestry_cluster *cluster, const vsi_wire_message *message) {
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  if (!peer || peer->epoch != message->epoch || message->turn <= peer->in_turn || message->kind <= VSI_WIRE_HANDSHAKE)
    return;
  peer->accepted_ns = message->to == cluster->epoch ? vsi_now_ns(cluster->host) : 0;
}

/* Reports of members and gaps. They need no allocation: each peer stores what must be reported about it, and later
 * changes are merged with a report that is still waiting. */

/* Changes to report to the application, copied under the lock, so that they can be reported without it. */
typedef struct changes {
  char node[VESTRY_NODE_MAX_BYTES + 1];
  bool has_gap, has_state, has_joined;
  uint64_t lost_count;
  vestry_member_state state;
  vsi_cluster_notices notices;
} changes;

static void note_gap(vestry_cluster *cluster, vsi_gaps *gaps, uint64_t lost_count) {
  gaps->count++;
  gaps->lost_count += lost_count;
  gaps->last_ns = vsi_now_ns(cluster->host);
  cluster->stats.gaps_count++;
  cluster->stats.lost_count += lost_count;
}

static bool take_changes(vestry_cluster *cluster, changes *n) {
  *n = (changes){.has_gap = cluster->has_own_gap, .has_state = cluster->has_own_change, .state = VESTRY_MEMBER_REFUSED};
  if (n->has_state) memcpy(n->node, cluster->name, sizeof n->node);
  n->notices = cluster->notices;
  cluster->has_own_gap = cluster->has_own_change = false;
  cluster->notices = (vsi_cluster_notices){.is_full = false};
  vsi_gaps *gaps = &cluster->own_gaps;
  for (size_t i = 0; i < cluster->peers_count && !n->has_gap && !n->has_state; i++) {
    vsi_peer *peer = cluster->peers[i];
    n->has_gap = peer->has_gap;
    n->has_state = peer->has_change;
    n->has_joined = peer->has_joined;
    if (!n->has_gap && !n->has_state) continue;
    memcpy(n->node, peer->name, sizeof n->node);
    n->lost_count = peer->lost_count;
    n->state = peer->state;
    peer->has_gap = peer->has_joined = false;
    peer->lost_count = 0;
    gaps = &peer->gaps;
    if (n->has_state) peer->has_change = false;
  }
  if (n->has_gap) note_gap(cluster, gaps, n->lost_count);
  return n->has_gap || n->has_state || n->notices.other_version || n->notices.small_payload || n->notices.is_full;
}

static void log_notices(vestry_cluster *cluster, const vsi_cluster_notices *n) {
  enum { SMALL_PAYLOAD = 256, FULL }; /* reasons, beyond those of versions */
  if (n->other_version)
    vsi_log_repeated(cluster->host, &cluster->repeated, n->other_version, VESTRY_LOG_ERROR,
                     "cluster: a node with this secret uses protocol version %u, but this node, %s, uses version %u, "
                     "so they ignore each other; run the same version of vestry on all nodes",
                     n->other_version, cluster->name, VSI_WIRE_VERSION);
  if (n->small_payload)
    vsi_log_repeated(cluster->host, &cluster->repeated, SMALL_PAYLOAD, VESTRY_LOG_ERROR,
                     "cluster: the broker of node %s accepts messages of at most %zu bytes, so nodes do not find each "
                     "other, or dispatches to other nodes fail (TOO_LARGE); raise it (max_payload of nats-server) to "
                     "%d or more",
                     cluster->name, n->small_payload, VSI_PAYLOAD_LEAST);
  if (n->is_full)
    vsi_log_repeated(cluster->host, &cluster->repeated, FULL, VESTRY_LOG_WARN,
                     "cluster: a node is ignored, because a cluster has at most %zu nodes; stop a node",
                     cluster->peers_most + 1);
}

static void report_changes(vestry_cluster *cluster, const changes *n) {
  log_notices(cluster, &n->notices);
  if (n->has_state && n->state == VESTRY_MEMBER_REFUSED)
    vsi_log(cluster->host, VESTRY_LOG_ERROR,
            "cluster: this node was refused, because another node has its name, %s; choose another name", n->node);
  if (n->has_joined)
    vsi_log(
        cluster->host, VESTRY_LOG_INFO,
        "cluster: node %s has joined the cluster of node %s; all nodes with one secret at one broker are one cluster",
        n->node, cluster->name);
  if (n->has_gap || (n->has_state && (n->state == VESTRY_MEMBER_SUSPECT || n->state == VESTRY_MEMBER_DEAD)))
    vsi_leases_restart(cluster->v); /* renewals of tabs may be among the lost messages */
  if (n->has_state && cluster->on_member) cluster->on_member(n->node, n->state, cluster->ctx);
  if (!n->has_gap) return;
  vsi_histories_lose(cluster->v);
  const vestry_gap gap = {.node = n->node, .lost_count = n->lost_count};
  if (cluster->on_gap) cluster->on_gap(&gap, cluster->ctx);
  if (cluster->pages) vsi_pages_refresh(cluster->pages, NULL, 0);
}

bool vsi_members_report(vestry_cluster *cluster) {
  changes n;
  vsi_cluster_lock(cluster);
  bool any = !cluster->has_ended && take_changes(cluster, &n);
  vsi_cluster_unlock(cluster);
  if (any) report_changes(cluster, &n);
  return any;
}

/* After a larger jump the numbers have started anew, so the number of lost messages is unknown. */
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
  if (vsi_peer_lives(peer))
    vsi_bits_add(&cluster->alive, peer->index);
  else
    vsi_bits_remove(&cluster->alive, peer->index);
  peer->has_change = true;
  vsi_cluster_notify(cluster);
}

/* Drop the keys and members of presences that the node had announced. */
static void forget(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_keys_forget(&cluster->keys, peer->index);
  vsi_cluster_notify(cluster); /* to sweep them */
  vsi_presences_forget(cluster->presences, peer->index);
  peer->present_count = peer->present_sum = 0;
}

/* -------------------------------------------------------------------------------------------------- runs ---------- */

/* Find a slot for another node: a new one, or that of the node which has been gone longest. NULL: live nodes have all,
 * or memory is missing. Then the keys of that node stay unknown. */
static vsi_peer *find_place(vestry_cluster *cluster) {
  vsi_peer *found = NULL;
  if (cluster->peers_count < cluster->peers_most && (found = vsi_calloc(cluster->host, 1, sizeof *found)) != NULL) {
    found->index = (unsigned)cluster->peers_count;
    return cluster->peers[cluster->peers_count++] = found;
  }
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = cluster->peers[i];
    if (!vsi_peer_lives(peer) && (!found || peer->received_ns < found->received_ns)) found = peer;
  }
  if (!found) {
    cluster->placeless_ns = vsi_now_ns(cluster->host) | 1; /* not 0, which means none */
    cluster->notices.is_full = true;
    vsi_cluster_notify(cluster);
  }
  return found;
}

/* Begin another run of a node, or the first one. */
static void begin_run(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, uint64_t all_seq) {
  bool is_same = peer->id == message->from && peer->epoch;
  const bool has_joined = !is_same || peer->has_joined;
  if (!is_same && peer->epoch && peer->proofs >= cluster->proofs_before) cluster->proofs_before = peer->proofs + 1;
  forget(cluster, peer);
  vsi_bits_remove(&cluster->announcements.list_to, peer->index); /* the current list is not for this run */
  vsi_peer fresh = {.index = peer->index,
                    .id = message->from,
                    .epoch = message->epoch,
                    .wants_all = true,
                    .has_news = true,
                    .all_seq = all_seq,
                    .all_turn = message->turn,
                    .proofs = cluster->proofs_before,
                    .has_joined = has_joined};
  /* Numbers begin at the clock, above all numbers assigned before to any node. If this run was abandoned for another
   * one by mistake, its node does not mistake a new message for a repetition. */
  fresh.out_seq = vsi_now_ns(cluster->host);
  if (is_same) {
    fresh.proofs = peer->proofs;
    fresh.has_gap = peer->has_gap;
    fresh.lost_count = peer->lost_count;
    fresh.gaps = peer->gaps;
  }
  *peer = fresh;
  vsi_message_subject(cluster, peer->id, peer->subject);
  vsi_cluster_announce_soon(cluster);
}

void vsi_members_record(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  *(message->to ? &peer->in_turn : &peer->all_turn) = message->turn;
  peer->received_ns = vsi_now_ns(cluster->host);
  if (message->kind == VSI_WIRE_HANDSHAKE || message->kind == VSI_WIRE_HEARTBEAT)
    peer->drains |= (message->flags & VSI_WIRE_DRAINS) != 0;
  set_state(cluster, peer, peer->drains ? VESTRY_MEMBER_DRAINING : VESTRY_MEMBER_ALIVE);
}

vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name,
                            uint64_t all_seq) {
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  bool is_same_run = peer && peer->epoch == message->epoch;
  if (peer && !is_same_run && vsi_peer_is_well(cluster, peer)) return NULL;
  if (!peer) peer = find_place(cluster);
  if (!peer) return NULL;
  if (!is_same_run) {
    begin_run(cluster, peer, message, all_seq);
    memcpy(peer->name, name->data, name->len);
    peer->name[name->len] = '\0';
  } else if (peer->state == VESTRY_MEMBER_DEAD) {
    vsi_members_lose(cluster, peer, 0);
    if (peer->all_seq < all_seq) peer->all_seq = all_seq;
    peer->wants_all = true;
    vsi_cluster_announce_soon(cluster);
  }
  if (!peer->has_met || peer->state == VESTRY_MEMBER_DEAD) /* losses before this time are reported as a gap */
    peer->verified_ns = vsi_now_ns(cluster->host) + cluster->heartbeat_ns;
  peer->proofs++;
  vsi_members_record(cluster, peer, message);
  return peer;
}

static void judge(vestry_cluster *cluster, vsi_peer *peer, uint64_t now_ns) {
  uint64_t silence_ns = now_ns - peer->received_ns;
  if (peer->has_late_gap && silence_ns >= cluster->suspect_ns) {
    peer->has_late_gap = false;
    vsi_members_lose(cluster, peer, 0);
  }
  if (!vsi_peer_lives(peer) || silence_ns < cluster->suspect_ns) return;
  if (silence_ns < cluster->dead_ns) {
    set_state(cluster, peer, VESTRY_MEMBER_SUSPECT);
    return;
  }
  set_state(cluster, peer, VESTRY_MEMBER_DEAD);
  peer->is_synced = peer->is_syncing = false;
  peer->out_seq++; /* if it returns, it finds that messages were not sent */
  vsi_peer_lose(peer, 0);
  forget(cluster, peer);
}

/* Return a time that is later by the length of a pause. */
static uint64_t put_off(uint64_t time_ns, uint64_t by_ns, uint64_t now_ns) {
  return now_ns - time_ns > by_ns ? time_ns + by_ns : now_ns;
}

void vsi_members_judge(vestry_cluster *cluster) {
  const uint64_t now_ns = vsi_now_ns(cluster->host), stood_ns = pause_ns(cluster, now_ns);
  cluster->beat_ns = now_ns;
  if (stood_ns) {
    cluster->up_ns = now_ns; /* it may not know nodes that have started meanwhile */
    cluster->announced_ns = put_off(cluster->announced_ns, stood_ns, now_ns);
  }
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = cluster->peers[i];
    if (stood_ns && vsi_peer_lives(peer)) peer->received_ns = put_off(peer->received_ns, stood_ns, now_ns);
    judge(cluster, peer, now_ns);
  }
}

/* ------------------------------------------------------------------------------------------------ numbers --------- */

/* Report the numbers between the last one of a series and seq as lost. */
static void lose_up_to(vestry_cluster *cluster, vsi_peer *peer, uint64_t *in_seq, uint64_t seq) {
  uint64_t lost = seq - *in_seq;
  vsi_members_lose(cluster, peer, lost < LOST_MOST ? lost : 0);
  *in_seq = seq;
}

static uint64_t *series_of(vsi_peer *peer, const vsi_wire_message *message) {
  return message->to ? &peer->in_seq : &peer->all_seq;
}

bool vsi_members_count(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  uint64_t *in_seq = series_of(peer, message);
  if (message->seq <= *in_seq) {
    cluster->stats.duplicates_count++;
    return false;
  }
  if (message->seq > *in_seq + 1) lose_up_to(cluster, peer, in_seq, message->seq - 1);
  *in_seq = message->seq;
  return true;
}

bool vsi_members_catch_up(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  uint64_t *in_seq = series_of(peer, message);
  if (message->seq < *in_seq) return false;
  if (message->seq > *in_seq) lose_up_to(cluster, peer, in_seq, message->seq);
  return true;
}

/* ------------------------------------------------------------------------------------------------ leaving --------- */

void vsi_members_leave(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  const uint64_t all_seq = vsi_wire_number(&reader, 8);
  (void)vsi_members_catch_up(cluster, peer, message);
  if (all_seq > peer->all_seq) lose_up_to(cluster, peer, &peer->all_seq, all_seq);
  if (vsi_keys_are_waiting(&cluster->keys) || vsi_now_ns(cluster->host) - cluster->announced_ns < cluster->suspect_ns)
    peer->has_late_gap = true;
  forget(cluster, peer);
  set_state(cluster, peer, VESTRY_MEMBER_LEFT);
}

void vsi_members_send_goodbye(vestry_cluster *cluster) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, cluster->all_seq, 8);
  (void)vsi_message_send_each(cluster, &cluster->alive, &buffer, VSI_WIRE_GOODBYE, 0, false);
  vsi_buffer_finish(&buffer);
  cluster->has_left = true;
  vsi_presences_end(cluster->presences); /* no more announcements of presences */
}

void vsi_members_give_up(vestry_cluster *cluster) {
  vsi_members_send_goodbye(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = cluster->peers[i];
    forget(cluster, peer);
    if (vsi_peer_lives(peer)) set_state(cluster, peer, VESTRY_MEMBER_DEAD); /* its messages are ignored from now on */
  }
  cluster->is_refused = cluster->has_own_change = true;
  vsi_cluster_notify(cluster);
}
