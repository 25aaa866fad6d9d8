/* Who lives, and what they have sent.
 *
 * A member is one from when it has proven that it goes on (meet.c). Silence makes it suspect, then dead. Who is suspect
 * is brought back by its next message; who is dead has to prove itself anew. Then both sides have a gap: this one says
 * so to itself, and has given away a number when it took the other for dead, which tells the other.
 *
 * A goodbye says how much was sent. But a channel that has got its first member just now may have been sent to without
 * it, because the telling of it was still under way; and who has left will not look back (tell.c). So that is a gap. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/cluster.h"
#include "instance/instance.h"
#include "presence/spread.h"

/* A jump of more is the beginning of other numbers. */
#define LOST_MOST (UINT64_C(1) << 24)

/* ------------------------------------------------------------------------------------------------- counting ------- */

uint64_t vsi_members_alive(const vestry_cluster *cluster) {
  uint64_t mask = 0;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i])) mask |= UINT64_C(1) << i;
  return mask;
}

uint64_t vsi_members_unsynced(const vestry_cluster *cluster) {
  uint64_t mask = 0;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i]) && !cluster->peers[i].is_synced) mask |= UINT64_C(1) << i;
  return mask;
}

bool vsi_members_are_known(const vestry_cluster *cluster) {
  return cluster->is_up && vsi_now_ns(cluster->host) - cluster->up_ns >= 2 * cluster->heartbeat_ns;
}

bool vsi_members_are_sure(const vestry_cluster *cluster) {
  return cluster->is_up && vsi_now_ns(cluster->host) - cluster->up_ns >= cluster->dead_ns;
}

void vsi_peer_lose(vsi_peer *peer, uint64_t lost_count) {
  peer->has_gap = true;
  peer->lost_count += lost_count;
}

static void lose(vestry_cluster *cluster, vsi_peer *peer, uint64_t lost_count) {
  vsi_peer_lose(peer, lost_count);
  peer->is_syncing = false;
  peer->is_synced = false;
  peer->must_sync = true;
  vsi_inward_notify(cluster);
}

static void set_state(vestry_cluster *cluster, vsi_peer *peer, vestry_member_state state) {
  if (peer->state == state) return;
  peer->state = state;
  peer->has_news = true;
  vsi_inward_notify(cluster);
}

/* -------------------------------------------------------------------------------------------------- sending ------- */

static bool is_numbered(vsi_wire_kind kind) {
  return kind >= VSI_WIRE_KEYS;
}

vestry_err vsi_peer_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags,
                         bool is_told) {
  uint64_t before = peer->out_seq;
  if (is_numbered(kind)) peer->out_seq++;
  vestry_err error = buffer->error;
  if (!error && (cluster->has_left || cluster->is_refused)) error = VESTRY_IO;
  if (!error) {
    const vsi_wire_message message = {
        .kind = (uint8_t)kind,
        .flags = flags,
        .from = cluster->id,
        .epoch = cluster->epoch,
        .to = peer->epoch,
        .seq = peer->out_seq,
        .turn = ++cluster->turn,
    };
    vsi_wire_seal(buffer, cluster->seal_key, &message);
    error = cluster->broker.ops->publish(cluster->broker.broker, peer->subject, buffer->data, buffer->len);
  }
  if (error && (!is_told || error == VESTRY_TOO_LARGE)) peer->out_seq = before;
  cluster->stats.sent_count += !error;
  cluster->stats.send_failed_count += error != VESTRY_OK;
  return error;
}

vestry_err vsi_peers_send(vestry_cluster *cluster, uint64_t mask, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags,
                          bool is_told) {
  vestry_err first = VESTRY_OK;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    if (!(mask >> i & 1)) continue;
    vestry_err error = vsi_peer_send(cluster, &cluster->peers[i], buffer, kind, flags, is_told);
    if (!first) first = error;
  }
  return first;
}

uint8_t vsi_members_own_flags(const vestry_cluster *cluster) {
  return vsi_instance_is_draining(cluster->v) ? VSI_WIRE_DRAINS : 0;
}

static void say_hello(vestry_cluster *cluster) {
  vsi_buffer buffer;
  if (cluster->has_left || cluster->is_refused) return;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  if (!buffer.error) {
    const vsi_wire_message message = {
        .kind = VSI_WIRE_HELLO, .from = cluster->id, .epoch = cluster->epoch, .turn = ++cluster->turn};
    vsi_wire_seal(&buffer, cluster->seal_key, &message);
    (void)cluster->broker.ops->publish(cluster->broker.broker, cluster->all_subject, buffer.data, buffer.len);
  }
  vsi_buffer_finish(&buffer);
}

/* To all: what is known here of keys and guests. */
static void say_beat(vestry_cluster *cluster) {
  uint64_t count, sum, guests_count, guests_sum;
  vsi_buffer buffer;
  vsi_keys_told_sum(&cluster->keys, &count, &sum);
  vsi_presences_sum(cluster->v->presences, &guests_count, &guests_sum);
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, count + guests_count, 8);
  vsi_wire_put(&buffer, sum + guests_sum, 8);
  vsi_wire_put(&buffer, vsi_keys_clock(&cluster->keys), 8);
  vsi_wire_end(&buffer);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    uint8_t flags = (uint8_t)(vsi_members_own_flags(cluster) | (peer->digests ? VSI_WIRE_MORE : 0));
    if (vsi_peer_lives(peer)) (void)vsi_peer_send(cluster, peer, &buffer, VSI_WIRE_BEAT, flags, false);
  }
  vsi_buffer_finish(&buffer);
}

void vsi_members_say_goodbye(vestry_cluster *cluster) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  (void)vsi_peers_send(cluster, vsi_members_alive(cluster), &buffer, VSI_WIRE_GOODBYE, 0, false);
  cluster->has_left = true;
  vsi_presences_end(cluster->v->presences); /* nobody is told any more */
  vsi_buffer_finish(&buffer);
}

static void ask_for_all(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  (void)vsi_peer_send(cluster, peer, &buffer, VSI_WIRE_RESYNC, 0, false);
  vsi_buffer_finish(&buffer);
}

/* ------------------------------------------------------------------------------------------------- lives ---------- */

vsi_peer *vsi_peer_of(vestry_cluster *cluster, uint64_t id) {
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (cluster->peers[i].id == id) return &cluster->peers[i];
  return NULL;
}

/* A place for one more: a new one, or that of who went first. NULL: all are taken by those that live. */
static vsi_peer *find_place(vestry_cluster *cluster) {
  if (cluster->peers_count < VSI_NODES_MAX) return &cluster->peers[cluster->peers_count++];
  vsi_peer *found = NULL;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (!vsi_peer_lives(peer) && (!found || peer->heard_ns < found->heard_ns)) found = peer;
  }
  return found;
}

void vsi_members_subject_of(const vestry_cluster *cluster, uint64_t id,
                            char ret_subject[VESTRY_SUBJECT_MAX_BYTES + 1]) {
  snprintf(ret_subject, VESTRY_SUBJECT_MAX_BYTES + 1, "vestry.%016llx.n.%016llx",
           (unsigned long long)cluster->subject_hash, (unsigned long long)id);
}

bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer) {
  uint64_t silence_ns = vsi_now_ns(cluster->host) - peer->heard_ns;
  return vsi_peer_lives(peer) && silence_ns < 2 * cluster->heartbeat_ns && silence_ns < cluster->suspect_ns;
}

/* A new life. */
static void begin_life(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  bool is_same = peer->id == message->from && peer->epoch;
  if (is_same) vsi_peer_lose(peer, 0); /* what the former one has sent may have been lost with it */
  if (!is_same && peer->epoch && peer->proofs >= cluster->proofs_before) cluster->proofs_before = peer->proofs + 1;
  vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
  vsi_guests_forget(cluster, peer);
  vsi_digests_drop(cluster, peer);
  vsi_peer fresh = {.id = message->from, .epoch = message->epoch, .wants_all = true, .proofs = cluster->proofs_before};
  /* Numbers go on from above all that were given before, to whomever: should this be a life that was given up for
   * another by mistake, it will not take what comes for what it has had. */
  fresh.out_seq = vsi_now_ns(cluster->host);
  if (is_same) {
    fresh.proofs = peer->proofs;
    fresh.has_gap = peer->has_gap;
    fresh.lost_count = peer->lost_count;
  }
  *peer = fresh;
  vsi_members_subject_of(cluster, peer->id, peer->subject);
  vsi_tell_soon(cluster);
}

/* It speaks. */
static void hear(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  peer->in_turn = message->turn;
  peer->heard_ns = vsi_now_ns(cluster->host);
  if (message->kind == VSI_WIRE_MEET || message->kind == VSI_WIRE_BEAT)
    peer->drains |= (message->flags & VSI_WIRE_DRAINS) != 0;
  set_state(cluster, peer, peer->drains ? VESTRY_MEMBER_DRAINING : VESTRY_MEMBER_ALIVE);
}

vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name) {
  vsi_peer *peer = vsi_peer_of(cluster, message->from);
  bool is_same_life = peer && peer->epoch == message->epoch;
  if (peer && !is_same_life && vsi_peer_is_well(cluster, peer)) return NULL;
  if (!peer) peer = find_place(cluster);
  if (!peer) return NULL;
  if (!is_same_life) {
    begin_life(cluster, peer, message);
    memcpy(peer->name, name->data, name->len);
    peer->name[name->len] = '\0';
  } else if (peer->state == VESTRY_MEMBER_DEAD) {
    lose(cluster, peer, 0);
    peer->wants_all = true;
    vsi_tell_soon(cluster);
  }
  if (!peer->has_met || peer->state == VESTRY_MEMBER_DEAD) /* of what was before it is told as a gap */
    peer->verified_ns = vsi_now_ns(cluster->host) + cluster->heartbeat_ns;
  peer->proofs++;
  hear(cluster, peer, message);
  return peer;
}

void vsi_members_give_up(vestry_cluster *cluster) {
  vsi_members_say_goodbye(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    vsi_keys_forget(&cluster->keys, (unsigned)i);
    vsi_guests_forget(cluster, peer);
    if (vsi_peer_lives(peer)) set_state(cluster, peer, VESTRY_MEMBER_DEAD); /* nothing is heard of it any more */
  }
  cluster->is_refused = cluster->has_own_news = true;
  vsi_inward_notify(cluster);
}

/* ------------------------------------------------------------------------------------------------- hearing -------- */

/* So many numbers have been left out, if it can be said. */
static void lose_up_to(vestry_cluster *cluster, vsi_peer *peer, uint64_t seq) {
  uint64_t lost = seq - peer->in_seq;
  lose(cluster, peer, lost < LOST_MOST ? lost : 0);
  peer->in_seq = seq;
}

/* Numbers: false: it has come before. */
static bool count_in(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (message->seq <= peer->in_seq) {
    cluster->stats.duplicates_count++;
    return false;
  }
  if (message->seq > peer->in_seq + 1) lose_up_to(cluster, peer, message->seq - 1);
  peer->in_seq = message->seq;
  return true;
}

/* The last number that was given. false: it is not news. */
static bool catch_up(vestry_cluster *cluster, vsi_peer *peer, uint64_t seq) {
  if (seq < peer->in_seq) return false;
  if (seq > peer->in_seq) lose_up_to(cluster, peer, seq);
  return true;
}

static void take_beat(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (!catch_up(cluster, peer, message->seq)) return;
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t its_count = vsi_wire_number(&reader, 8), its_sum = vsi_wire_number(&reader, 8);
  vsi_keys_hear_clock(&cluster->keys, vsi_wire_number(&reader, 8));
  uint64_t count, sum;
  vsi_keys_sum_of(&cluster->keys, vsi_peer_index(cluster, peer), &count, &sum);
  if (vsi_presences_have_room_again(cluster->v->presences, vsi_peer_index(cluster, peer))) peer->must_sync = true;
  bool is_coming = message->flags & VSI_WIRE_MORE && (peer->is_syncing || (peer->is_synced && !peer->must_sync));
  if (is_coming) return; /* some of what it counts */
  peer->is_synced = !peer->must_sync && count + peer->guests_count == its_count && sum + peer->guests_sum == its_sum;
  if (peer->is_synced)
    peer->verified_ns = vsi_now_ns(cluster->host);
  else
    ask_for_all(cluster, peer);
}

static void take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, vsi_ask **done) {
  if (!peer->has_met) {
    peer->has_met = true; /* before, it may have spoken without this node in mind */
    lose(cluster, peer, 0);
    peer->in_seq = message->seq - is_numbered(message->kind);
  }
  if (is_numbered(message->kind) && !count_in(cluster, peer, message)) return;
  switch ((vsi_wire_kind)message->kind) {
  case VSI_WIRE_BEAT: take_beat(cluster, peer, message); break;
  case VSI_WIRE_GOODBYE:
    (void)catch_up(cluster, peer, message->seq);
    if (vsi_keys_are_waiting(&cluster->keys) || vsi_now_ns(cluster->host) - peer->told_ns < cluster->suspect_ns)
      lose(cluster, peer, 0);
    vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
    vsi_guests_forget(cluster, peer);
    set_state(cluster, peer, VESTRY_MEMBER_LEFT);
    break;
  case VSI_WIRE_RESYNC:
    peer->wants_all = true;
    vsi_tell_soon(cluster);
    break;
  case VSI_WIRE_KEYS: vsi_tell_take(cluster, peer, message); break;
  case VSI_WIRE_PRESENT: vsi_guests_take(cluster, peer, message); break;
  case VSI_WIRE_MISSED: /* nobody has counted it; what is known of keys is right */
    vsi_peer_lose(peer, 0);
    vsi_inward_notify(cluster);
    break;
  case VSI_WIRE_ANSWER: vsi_ask_take(cluster, peer, message, done); break;
  case VSI_WIRE_ASK:
  case VSI_WIRE_LIST:
  case VSI_WIRE_EVENT:
  case VSI_WIRE_REFRESH:
  case VSI_WIRE_PUBLISH: vsi_inward_take(cluster, peer, message); break;
  case VSI_WIRE_HELLO:
  case VSI_WIRE_MEET:
  case VSI_WIRE_KINDS: break;
  }
}

/* From another node, to this one's life or to all. */
static void take_from_other(vestry_cluster *cluster, const vsi_wire_message *message, vsi_ask **done) {
  vestry_cluster_stats *stats = &cluster->stats;
  vsi_peer *peer = vsi_peer_of(cluster, message->from);
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
    hear(cluster, peer, message);
    uint64_t duplicates = stats->duplicates_count;
    take(cluster, peer, message, done);
    stats->taken_count += duplicates == stats->duplicates_count;
  }
}

/* What cannot be opened. A node of another version is told of, once a minute: it hears nobody either. */
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
  vsi_inward_notify(cluster);
}

void vsi_cluster_heard(const char *subject, const void *data, size_t len, void *ctx) {
  (void)subject;
  vestry_cluster *cluster = ctx;
  vsi_wire_message message;
  vsi_ask *done = NULL;
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
      take_from_other(cluster, &message, &done);
  }
  vsi_cluster_unlock(cluster);
  vsi_asks_finish(cluster, done);
}

void vsi_cluster_state(vestry_broker_state state, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (state == VESTRY_BROKER_MAYBE_LOST) {
    cluster->has_own_gap = true;
    vsi_inward_notify(cluster);
  } else {
    cluster->is_up = state == VESTRY_BROKER_UP;
    cluster->up_ns = vsi_now_ns(cluster->host);
    if (cluster->is_up) {
      cluster->has_own_gap = true; /* who has spoken meanwhile, and has gone, will never be heard of */
      vsi_inward_notify(cluster);
      say_hello(cluster);
    }
  }
  vsi_cluster_unlock(cluster);
}

/* ------------------------------------------------------------------------------------------------ heartbeats ------ */

static void judge(vestry_cluster *cluster, vsi_peer *peer, uint64_t now_ns) {
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
  vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
  vsi_guests_forget(cluster, peer);
}

void vsi_cluster_beat(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  if (vsi_instance_is_closing(cluster->v) && !cluster->has_left) vsi_members_say_goodbye(cluster);
  if (!cluster->is_refused && !cluster->has_ended && !cluster->has_left) {
    uint64_t now_ns = vsi_now_ns(cluster->host);
    for (size_t i = 0; i < cluster->peers_count; i++) judge(cluster, &cluster->peers[i], now_ns);
    vsi_tell_locked(cluster);
    say_hello(cluster);
    say_beat(cluster);
  }
  vsi_cluster_unlock(cluster);
}
