/* SPDX-License-Identifier: MIT */
/* What comes in. A message is opened, judged by the life that it is of and by whether it has come before, and handed to
 * the file that knows its kind. One of a life that does not count is a reason to ask for a proof, and nothing more
 * (meet.c). */
#include "cluster/cluster/hearing.h"

#include "base/memory.h"
#include "base/probe.h"
#include "cluster/cluster/ask.h"
#include "cluster/cluster/beat.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/guests.h"
#include "cluster/cluster/inward.h"
#include "cluster/cluster/meet.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/peers.h"
#include "cluster/cluster/renewals.h"
#include "cluster/cluster/told.h"

typedef struct heard {
  bool may_do, has_more; /* the broker says whether it tells another message right after this one; it does */
  /* What is left to be done without the lock. */
  struct vsi_ask *done; /* that were answered */
  bool is_to_do;        /* what was asked */
} heard;

static void take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, heard *ret) {
  if (!peer->has_met) {
    peer->has_met = true; /* before, it may have spoken without this node in mind */
    vsi_members_lose(cluster, peer, 0);
    peer->in_seq = message->seq - vsi_wire_is_numbered(message->kind);
  }
  if (vsi_wire_is_numbered(message->kind) && !vsi_members_count(cluster, peer, message)) return;
  switch ((vsi_wire_kind)message->kind) {
  case VSI_WIRE_BEAT: vsi_beat_take(cluster, peer, message); break;
  case VSI_WIRE_GOODBYE: vsi_members_leave(cluster, peer, message); break;
  case VSI_WIRE_RESYNC:
    peer->wants_all = true;
    vsi_cluster_tell_soon(cluster);
    break;
  case VSI_WIRE_KEYS: vsi_told_take(cluster, peer, message); break;
  case VSI_WIRE_PRESENT: vsi_guests_take(cluster, peer, message); break;
  case VSI_WIRE_MISSED: /* no letter counts it; what is known of keys is right */
    vsi_peer_lose(peer, 0);
    vsi_cluster_notify(cluster);
    break;
  case VSI_WIRE_ANSWER: vsi_ask_take(cluster, peer, message, &ret->done); break;
  case VSI_WIRE_RENEW: vsi_renewals_take(cluster, message->body, message->len); break;
  case VSI_WIRE_ASK:
  case VSI_WIRE_LIST:
  case VSI_WIRE_EVENT:
  case VSI_WIRE_REFRESH:
  case VSI_WIRE_PUBLISH: ret->is_to_do = vsi_inward_take(cluster, peer, message, ret->may_do); break;
  case VSI_WIRE_HELLO:
  case VSI_WIRE_MEET:
  case VSI_WIRE_KINDS: break;
  }
}

/* From another node, to this one's life or to all. */
static void take_from_other(vestry_cluster *cluster, const vsi_wire_message *message, heard *ret) {
  vestry_cluster_stats *stats = &cluster->stats;
  vsi_peer *peer = vsi_peers_find(cluster, message->from);
  bool is_life = peer && peer->epoch == message->epoch;
  if (message->kind == VSI_WIRE_HELLO || !is_life || !vsi_peer_lives(peer)) {
    bool is_taken = message->kind == VSI_WIRE_MEET ? vsi_meet_take(cluster, message) : is_life && vsi_peer_lives(peer);
    if (message->kind != VSI_WIRE_MEET) vsi_meet_prompt(cluster, message);
    *(is_taken ? &stats->taken_count : &stats->stale_count) += 1;
  } else if (message->turn <= peer->in_turn) {
    stats->duplicates_count++;
  } else if (message->kind == VSI_WIRE_MEET) {
    *(vsi_meet_take(cluster, message) ? &stats->taken_count : &stats->stale_count) += 1;
  } else {
    vsi_members_hear(cluster, peer, message);
    uint64_t duplicates = stats->duplicates_count;
    take(cluster, peer, message, ret);
    stats->taken_count += duplicates == stats->duplicates_count;
  }
}

/* What cannot be opened. A node of another version is told of, once a minute: it hears no other node either. */
static void count_malformed(vestry_cluster *cluster, const void *data, size_t len) {
  enum { LOGGED_EVERY_MS = 60000 };
  cluster->stats.received_count++;
  cluster->stats.malformed_count++;
  uint8_t version = vsi_wire_other_version(data, len, cluster->seal_key);
  if (!version) return;
  uint64_t now_ns = vsi_now_ns(cluster->host);
  cluster->stats.other_version_count++;
  if (cluster->other_logged_ns && now_ns - cluster->other_logged_ns < LOGGED_EVERY_MS * VSI_NS_PER_MS) return;
  cluster->other_logged_ns = now_ns ? now_ns : 1;
  cluster->other_version = version;
  vsi_cluster_notify(cluster);
}

void vsi_cluster_heard(const char *subject, const void *data, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  VSI_PROBE2(broker_in, subject, len);
  vsi_wire_message message;
  const vestry_broker *broker = &cluster->broker;
  heard left = {0};
  left.may_do = broker->ops->has_more != NULL;
  left.has_more = left.may_do && broker->ops->has_more(broker->broker);
  bool is_well = !vsi_wire_open(data, len, cluster->seal_key, &message);
  is_well = is_well && (message.kind == VSI_WIRE_HELLO) == !message.to;
  vsi_cluster_lock(cluster);
  bool hears = !cluster->is_refused && !cluster->has_ended;
  if (!is_well) {
    count_malformed(cluster, data, len);
  } else if (message.from == cluster->id) {
    if (hears && message.epoch != cluster->epoch) vsi_meet_twin(cluster, &message);
  } else if (hears) {
    cluster->stats.received_count++;
    if (message.to && message.to != cluster->epoch)
      cluster->stats.stale_count++;
    else
      take_from_other(cluster, &message, &left);
  }
  vsi_inward_rouse(cluster, left.has_more);
  vsi_cluster_unlock(cluster);
  vsi_asks_finish(cluster, left.done);
  if (left.is_to_do) vsi_inward_do(cluster, &message);
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
      cluster->has_own_gap = true; /* a node that has spoken meanwhile, and has gone, will never be heard of */
      vsi_cluster_notify(cluster);
      vsi_beat_say_hello(cluster);
    }
  }
  vsi_cluster_unlock(cluster);
}
