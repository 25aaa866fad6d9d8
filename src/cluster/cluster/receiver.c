/* SPDX-License-Identifier: MIT */
/* essay: a node that announces a channel or a key too late to receive a message */
/* Announcements of keys by other nodes, and messages that a node missed because its announcement came late. cluster.h
 * explains runs, links and turns; keys.c explains announcements and REPLACE. A dispatch performs effects for all
 * streams of a key. A member is a stream in a channel.
 *
 * An event of a channel goes to the nodes that have announced members. If a node's announcement was in transit at that
 * time, the node missed the event. So this node remembers for a while to which channels it has sent, and to which nodes
 * (recent.c). If another node then announces a member of such a channel, this node sends it the message MISSED. The
 * receiver of MISSED has a gap: it knows that messages did not reach it, and reports this to the application (on_gap).
 *
 * Keys are treated likewise. Suppose that node A dispatches effects to all streams of a key, while node B opens its
 * first stream of this key. A does not know about that stream yet, so the dispatch does not reach it. Afterwards the
 * announcement of B arrives at A. B may have missed any dispatch between the opening of its stream and the arrival of
 * the announcement, but no earlier one. So A sends MISSED only if it has dispatched to the key since the earliest time
 * at which B can have opened the stream (since_when). This time is:
 * - if A's copy of B's keys was complete when the message arrived (is_synced): the time that the KEYS message states
 *   for its oldest change;
 * - otherwise: the time at which A's copy was last known to be complete (verified_ns).
 *
 * Both are set back a little, because messages are in transit for some time. */
#include "app/presence/spread.h"
#include "base/memory.h"
#include "base/probe.h"
#include "cluster/cluster/announcements.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/heartbeat.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "cluster/cluster/remote_request.h"
#include "cluster/cluster/renewals.h"
#include "cluster/cluster/replaced.h"
#include "cluster/cluster/served_requests.h"

/* Return whether a dispatch to a key may have been sent without the node that announces the key now. */
static bool may_have_missed(vestry_cluster *cluster, const vsi_peer *peer, uint64_t hash, uint64_t since_ns) {
  const unsigned node = peer->index;
  return vsi_keys_was_hit(&cluster->keys, hash, since_ns, vsi_now_ns(cluster->host)) ||
         vsi_remote_requests_pass_by(cluster, hash, node) || vsi_recent_was_without(cluster, hash, node, since_ns);
}

/* Apply one announced change. since_ns: the earliest time at which it can have happened. OK | NO_MEMORY (not applied) |
 * FULL (the change replaces streams of this node, which must then be closed, but too many streams wait for that
 * already: the change must be announced again) */
static vestry_err take_change(vestry_cluster *cluster, vsi_peer *peer, vsi_key_change change, uint64_t since_ns,
                              bool *has_missed) {
  vsi_keys_replaced_here replaced = {0, false};
  bool has_room = vsi_replaced_have_room(cluster), is_new;
  vestry_err error =
      vsi_keys_apply(&cluster->keys, peer->index, change, peer->id > cluster->id, has_room ? &replaced : NULL, &is_new);
  if (change.hash & VSI_KEYS_CHANNEL)
    *has_missed |= !change.is_gone && vsi_recent_look_back(cluster, change.hash, peer->index);
  else
    *has_missed |= is_new && may_have_missed(cluster, peer, change.hash, since_ns);
  vsi_replaced_note(cluster, change, replaced);
  return error;
}

/* Return the earliest time at which the announced changes can have happened. */
static uint64_t since_when(vestry_cluster *cluster, const vsi_peer *peer, uint64_t clock_ms) {
  uint64_t slack_ns = cluster->heartbeat_ns; /* transit time of messages */
  uint64_t since_ns = peer->verified_ns > slack_ns ? peer->verified_ns - slack_ns : 0;
  uint64_t ahead_ms = vsi_keys_clock_at(&cluster->keys, 0); /* cluster clock minus this node's clock */
  if (!peer->is_synced || clock_ms <= ahead_ms) return since_ns;
  /* The clocks of two nodes agree up to the transit time of the fastest message. */
  uint64_t came_ns = (clock_ms - ahead_ms) * VSI_NS_PER_MS;
  return came_ns > since_ns + slack_ns / 4 ? came_ns - slack_ns / 4 : since_ns;
}

enum { CHANGES_AT_ONCE = 32 };

static size_t read_changes(vsi_wire_reader *reader, vsi_key_change changes[CHANGES_AT_ONCE]) {
  size_t count = 0;
  for (; count < CHANGES_AT_ONCE && reader->left >= VSI_WIRE_CHANGE; count++) {
    const uint64_t hash = vsi_wire_number(reader, 8) & VSI_KEYS_HASH, word = vsi_wire_number(reader, 8);
    changes[count] = (vsi_key_change){hash, word >> 1 & ((UINT64_C(1) << 40) - 1), word & 1};
  }
  return count;
}

/* Handle a KEYS message. Under the lock. */
static void keys_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t since_ns = since_when(cluster, peer, vsi_wire_number(&reader, 8)),
           included_seq = vsi_wire_number(&reader, 8);
  if (message->flags & VSI_WIRE_FIRST) {
    vsi_keys_forget(&cluster->keys, peer->index);
    vsi_cluster_notify(cluster); /* to sweep them */
    peer->is_synced = false;
  }
  bool has_missed = false;
  while (reader.left >= VSI_WIRE_CHANGE) {
    vsi_key_change changes[CHANGES_AT_ONCE];
    const size_t count = read_changes(&reader, changes);
    vsi_keys_prefetch(&cluster->keys, changes, count);
    for (size_t i = 0; i < count; i++) {
      vestry_err error = take_change(cluster, peer, changes[i], since_ns, &has_missed);
      if (error) peer->is_synced = peer->is_syncing = false;
      peer->must_sync |= error == VESTRY_FULL;
    }
  }
  if (has_missed) /* if this message cannot be sent, the other node finds that its number is missing, which is a gap as
                     well */
    (void)vsi_message_send_bare(cluster, peer, VSI_WIRE_MISSED, true);
  if (!(message->flags & VSI_WIRE_LAST) || !peer->is_syncing) return;
  if (peer->ignored_seq > included_seq) {
    vsi_peer_must_sync(peer);
  } else {
    peer->synced_seq = included_seq;
    peer->verified_ns = vsi_now_ns(cluster->host);
    vsi_presences_sweep(cluster->presences, peer->index);
    peer->is_syncing = peer->must_sync = false;
    peer->is_synced = true;
  }
}

/* Received messages. A run is the time from a node's start to its end; its number is the epoch (peer.h). A message is
 * first verified: its seal must be valid. Then two things are checked:
 * - It belongs to the run of its sender that is known to be alive. A message of another run is not used; it only causes
 *   a request for a proof that this run is alive (heartbeat.c).
 * - It is not a repetition: its turn is higher than that of the last message. (The turn of a message is a number that
 *   increases with each message of a run.)
 *
 * Then it is passed to the file that handles its kind (wire.h lists the kinds). Messages of most kinds also have a
 * sequence number, which counts the messages to this receiver. If numbers are missing before its own, messages were
 * lost, which is a gap (members.c). */

/* The state of this thread while it receives one message. */
typedef struct receiving {
  bool may_do;   /* this thread may perform a REQUEST itself, because the broker reports has_more */
  bool is_to_do; /* the message is a REQUEST, which this thread performs after it has released the lock */
} receiving;

/* Handle a message of a run that counts. Under the lock. */
static void take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, receiving *ret) {
  if (message->to && !peer->has_met) {
    peer->has_met = true; /* earlier messages of it were not addressed to this run, or were of its former run */
    vsi_members_lose(cluster, peer, 0);
    peer->in_seq = message->seq - vsi_wire_is_numbered(message->kind);
  }
  if (vsi_wire_is_numbered(message->kind) && !vsi_members_count(cluster, peer, message)) return;
  switch ((vsi_wire_kind)message->kind) {
  case VSI_WIRE_HEARTBEAT: vsi_heartbeat_take(cluster, peer, message); break;
  case VSI_WIRE_GOODBYE: vsi_members_leave(cluster, peer, message); break;
  case VSI_WIRE_RESYNC:
    peer->wants_all = true;
    vsi_cluster_announce_soon(cluster);
    break;
  case VSI_WIRE_KEYS:
    if (vsi_announcement_counts(cluster, peer, message)) keys_take(cluster, peer, message);
    break;
  case VSI_WIRE_PRESENT:
    if (vsi_announcement_counts(cluster, peer, message)) vsi_presences_of_node_take(cluster, peer, message);
    break;
  case VSI_WIRE_MISSED: /* how many messages were missed is unknown. This node's copy of the sender's keys is right, so
                           no full announcement is needed */
    vsi_peer_lose(peer, 0);
    vsi_cluster_notify(cluster);
    break;
  case VSI_WIRE_ANSWER: vsi_remote_request_take(cluster, peer, message); break;
  case VSI_WIRE_QUESTION: vsi_served_question(cluster, peer, message); break;
  case VSI_WIRE_HELD: vsi_remote_questions_take(cluster, peer, message); break;
  case VSI_WIRE_RENEW: vsi_renewals_take(cluster, message->body, message->len); break;
  case VSI_WIRE_REQUEST:
  case VSI_WIRE_EVENT:
  case VSI_WIRE_REFRESH:
  case VSI_WIRE_PUBLISH: ret->is_to_do = vsi_served_take(cluster, peer, message, ret->may_do); break;
  case VSI_WIRE_HANDSHAKE:
  case VSI_WIRE_KINDS: break;
  }
}

/* Handle a message of another node that is addressed to this run or to all nodes. */
static void take_from_other(vestry_cluster *cluster, const vsi_wire_message *message, receiving *ret) {
  vestry_cluster_stats *stats = &cluster->stats;
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  bool is_known_run = peer && peer->epoch == message->epoch;
  if (!is_known_run || !vsi_peer_lives(peer)) {
    const bool is_handshake = message->kind == VSI_WIRE_HANDSHAKE;
    if (!is_handshake) vsi_handshake_prompt(cluster, message);
    *(is_handshake && vsi_handshake_take(cluster, message) ? &stats->taken_count : &stats->stale_count) += 1;
  } else if (message->turn <= (message->to ? peer->in_turn : peer->all_turn)) {
    stats->duplicates_count++;
  } else if (message->kind == VSI_WIRE_HANDSHAKE) {
    *(vsi_handshake_take(cluster, message) ? &stats->taken_count : &stats->stale_count) += 1;
  } else {
    vsi_members_record(cluster, peer, message);
    uint64_t duplicates = stats->duplicates_count;
    take(cluster, peer, message, ret);
    stats->taken_count += duplicates == stats->duplicates_count;
  }
}

/* Count a message that cannot be opened. Another version of the format is reported, because the two nodes ignore each
 * other. */
static void count_malformed(vestry_cluster *cluster, const void *data, size_t len) {
  cluster->stats.received_count++;
  cluster->stats.malformed_count++;
  uint8_t version = vsi_wire_other_version(data, len, cluster->seal_key);
  if (!version) return;
  cluster->stats.other_version_count++;
  cluster->notices.other_version = version;
  vsi_cluster_notify(cluster);
}

void vsi_cluster_received(const char *subject, const void *data, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  VSI_PROBE2(broker_in, subject, len);
  vsi_wire_message message;
  const vestry_broker *broker = &cluster->broker;
  receiving left = {.may_do = broker->ops->has_more != NULL};
  const bool has_more = left.may_do && broker->ops->has_more(broker->broker); /* another message follows at once */
  bool is_well = !vsi_wire_open(data, len, cluster->seal_key, &message);
  is_well = is_well && vsi_wire_may_go(message.kind, !message.to);
  vsi_cluster_lock(cluster);
  bool takes = !cluster->is_refused && !cluster->has_ended;
  if (!is_well) {
    count_malformed(cluster, data, len);
  } else if (message.from == cluster->id) {
    /* a message of this run, or of a twin: another node that was given this node's name by mistake */
    if (takes && message.epoch != cluster->epoch) vsi_handshake_twin(cluster, &message);
  } else if (takes) {
    cluster->stats.received_count++;
    if (message.to) vsi_members_note_receiver(cluster, &message);
    if (message.to && message.to != cluster->epoch)
      cluster->stats.stale_count++;
    else
      take_from_other(cluster, &message, &left);
  }
  vsi_served_rouse(cluster, has_more);
  vsi_cluster_unlock(cluster);
  if (left.is_to_do) vsi_served_do(cluster, &message);
}

void vsi_cluster_state(vestry_broker_state state, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (state == VESTRY_BROKER_MAYBE_LOST) {
    cluster->has_own_gap = true;
    vsi_cluster_notify(cluster);
  } else {
    cluster->is_up = state == VESTRY_BROKER_UP;
    cluster->up_ns = vsi_now_ns(cluster->host);
    if (cluster->is_up) {
      cluster->has_own_gap = true; /* a node may have sent messages and left meanwhile, and will never be known */
      vsi_cluster_notify(cluster);
      vsi_heartbeat_send(cluster);
      vsi_cluster_announce_soon(cluster);
    }
  }
  vsi_cluster_unlock(cluster);
}
