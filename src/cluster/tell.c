/* What is told to all: which keys came and went, who is present, which pages are refreshed, and events of channels.
 *
 * Keys and refreshes wait for 5 ms at most, and travel together. An event goes at once, to those who have told that
 * they have members and to those of whom it is not known. Who has told too late, because his telling was under way,
 * must not miss it without a word: so it is kept for a while which channels were sent to, and where; who then tells of
 * a member is told that he has missed it.
 *
 * So it is with keys. What was dispatched to streams here, or to those of some nodes, has not reached who opened one of
 * the key just then, and tells of it afterwards. How long afterwards is known: a message says when its oldest change
 * was; and where the keys of a node are not known in full, since when. Only who was missed within that time has a
 * gap. */
#include <string.h>

#include "base/memory.h"
#include "cluster/cluster.h"
#include "event/layout.h"
#include "presence/spread.h"

enum { CHANGES_A_MESSAGE = 2048, CHANGE_BYTES = 16, SENT_KEPT_MS = 2000 };

/* ------------------------------------------------------------------------------------------------------- keys ----- */

/* clock_ms: when the oldest came, on the cluster's clock; 0: that is not known. */
static void put_changes(vsi_buffer *buffer, uint64_t clock_ms, const vsi_key_change *changes, size_t count) {
  vsi_wire_put(buffer, clock_ms, 8);
  for (size_t i = 0; i < count; i++) {
    vsi_wire_put(buffer, changes[i].hash, 8);
    vsi_wire_put(buffer, changes[i].stamp << 1 | changes[i].is_gone, 8);
  }
}

/* Some of them, as a message of their own; to whom it does not get is told all. */
static void send_changes(vestry_cluster *cluster, uint64_t mask, uint64_t clock_ms, const vsi_key_change *changes,
                         size_t count) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  put_changes(&buffer, clock_ms, changes, count);
  vsi_wire_end(&buffer);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    if (!(mask >> i & 1)) continue;
    peer->told_ns = vsi_now_ns(cluster->host);
    (void)vsi_digest_send(cluster, peer, &buffer, VSI_WIRE_KEYS, 0);
  }
  vsi_buffer_finish(&buffer);
}

typedef struct telling_all {
  vestry_cluster *cluster;
  vsi_peer *peer;
  bool has_begun, has_failed;
} telling_all;

static void send_some(const vsi_key_change *changes, size_t count, bool is_last, void *ctx) {
  telling_all *all = ctx;
  if (all->has_failed) return;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, all->cluster->host);
  put_changes(&buffer, 0, changes, count);
  vsi_wire_end(&buffer);
  uint8_t flags = (uint8_t)((all->has_begun ? 0 : VSI_WIRE_FIRST) | (is_last ? VSI_WIRE_LAST : 0));
  all->has_failed = !vsi_digest_send(all->cluster, all->peer, &buffer, VSI_WIRE_KEYS, flags);
  all->has_begun = true;
  vsi_buffer_finish(&buffer);
}

/* As many as the broker carries. */
static size_t changes_a_message(const vestry_cluster *cluster) {
  size_t most = cluster->broker.ops->max_payload(cluster->broker.broker), head = VSI_WIRE_HEAD + 8 + VSI_WIRE_SEAL;
  size_t count = most > head + CHANGE_BYTES ? (most - head) / CHANGE_BYTES : 1;
  return count < CHANGES_A_MESSAGE ? count : CHANGES_A_MESSAGE;
}

/* What it was still to be told is part of it. If that fails, it is tried again with the next telling. */
static void send_all(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_digests_drop(cluster, peer);
  peer->told_ns = vsi_now_ns(cluster->host);
  peer->wants_all = false;
  peer->digests_most = 0;
  peer->is_telling_all = true;
  vsi_guests_tell_all(cluster, peer);
  telling_all all = {.cluster = cluster, .peer = peer, .has_failed = peer->wants_all};
  vsi_keys_list(&cluster->keys, cluster->changes, changes_a_message(cluster), send_some, &all);
  peer->is_telling_all = false;
}

static void tell_keys(vestry_cluster *cluster) {
  size_t count;
  uint64_t mask = 0;
  uint64_t waited_ns = vsi_now_ns(cluster->host);
  bool all = vsi_keys_take(&cluster->keys, cluster->changes, VSI_KEYS_WAITING, &count, &waited_ns);
  uint64_t clock_ms = vsi_keys_clock_at(&cluster->keys, waited_ns);
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = &cluster->peers[i];
    peer->wants_all |= all;
    if (vsi_peer_lives(peer) && !peer->wants_all) mask |= UINT64_C(1) << i;
  }
  vsi_guests_tell(cluster, mask);
  size_t most = mask && count ? changes_a_message(cluster) : count;
  for (size_t at = 0; mask && at < count; at += most)
    send_changes(cluster, mask, clock_ms, cluster->changes + at, count - at < most ? count - at : most);
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i]) && cluster->peers[i].wants_all) send_all(cluster, &cluster->peers[i]);
  vsi_digests_go_on(cluster);
}

static bool was_sent_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns) {
  const vsi_recent *recent = &cluster->recent[hash % VSI_RECENT_CHANNELS];
  return recent->at_ns && recent->at_ns >= since_ns && (!recent->hash || recent->hash == hash) &&
         !(recent->sent >> node & 1);
}

/* A channel has a member there, as it says now: it has missed what was sent before, if anything was. */
static bool look_back(vestry_cluster *cluster, vsi_peer *peer, uint64_t hash) {
  uint64_t now_ns = vsi_now_ns(cluster->host), kept_ns = cluster->dead_ns + SENT_KEPT_MS * VSI_NS_PER_MS;
  unsigned node = vsi_peer_index(cluster, peer);
  if (!was_sent_without(cluster, hash, node, now_ns > kept_ns ? now_ns - kept_ns : 0)) return false;
  cluster->recent[hash % VSI_RECENT_CHANNELS].sent |= UINT64_C(1) << node;
  return true;
}

/* A key is held there, as it says now; likewise. */
static bool look_back_for_key(vestry_cluster *cluster, const vsi_peer *peer, uint64_t hash, uint64_t since_ns) {
  unsigned node = vsi_peer_index(cluster, peer);
  return vsi_keys_was_hit(&cluster->keys, hash, since_ns, vsi_now_ns(cluster->host)) ||
         vsi_asks_pass_by(cluster, hash, node) || was_sent_without(cluster, hash, node, since_ns);
}

/* If it cannot be told, it has a number that does not come. */
static void tell_missed(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_end(&buffer);
  (void)vsi_peer_send(cluster, peer, &buffer, VSI_WIRE_MISSED, 0, true);
  vsi_buffer_finish(&buffer);
}

/* since_ns: it may have been so since then. OK | NO_MEMORY (it is not known) | FULL (nothing more can be closed now: it
 * is to be told again) */
static vestry_err take_change(vestry_cluster *cluster, vsi_peer *peer, vsi_key_change change, uint64_t since_ns,
                              bool *has_missed) {
  vsi_keys_replaced_here replaced = {0, false};
  bool has_room = cluster->closing_count < VSI_CLOSING_MAX && cluster->older_count < VSI_OLDER_MAX, is_new;
  vestry_err error = vsi_keys_told(&cluster->keys, vsi_peer_index(cluster, peer), change, peer->id > cluster->id,
                                   has_room ? &replaced : NULL, &is_new);
  if (change.hash & VSI_KEYS_CHANNEL)
    *has_missed |= !change.is_gone && look_back(cluster, peer, change.hash);
  else
    *has_missed |= is_new && look_back_for_key(cluster, peer, change.hash, since_ns);
  if (replaced.handle) cluster->closing[cluster->closing_count++] = replaced.handle;
  if (replaced.has_others) cluster->older[cluster->older_count++] = (vsi_older){change.hash, change.stamp};
  if (replaced.handle || replaced.has_others) vsi_inward_notify(cluster);
  cluster->stats.replaced_count += replaced.handle != 0;
  return error;
}

/* What it tells of may have been so since then. */
static uint64_t since_when(vestry_cluster *cluster, const vsi_peer *peer, uint64_t clock_ms) {
  uint64_t slack_ns = cluster->heartbeat_ns; /* what messages take */
  uint64_t since_ns = peer->verified_ns > slack_ns ? peer->verified_ns - slack_ns : 0;
  uint64_t ahead_ms = vsi_keys_clock_at(&cluster->keys, 0); /* of this node's clock */
  if (!peer->is_synced || clock_ms <= ahead_ms) return since_ns;
  uint64_t came_ns = (clock_ms - ahead_ms) * VSI_NS_PER_MS; /* clocks are as far apart as the fastest message takes */
  return came_ns > since_ns + slack_ns / 4 ? came_ns - slack_ns / 4 : since_ns;
}

void vsi_tell_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  uint64_t since_ns = since_when(cluster, peer, vsi_wire_number(&reader, 8));
  if (message->flags & VSI_WIRE_FIRST) {
    vsi_keys_forget(&cluster->keys, vsi_peer_index(cluster, peer));
    peer->is_synced = false;
  }
  bool has_missed = false;
  while (reader.left >= CHANGE_BYTES) {
    uint64_t hash = vsi_wire_number(&reader, 8), word = vsi_wire_number(&reader, 8);
    const vsi_key_change change = {hash, word >> 1 & ((UINT64_C(1) << 40) - 1), word & 1};
    vestry_err error = take_change(cluster, peer, change, since_ns, &has_missed);
    if (error) peer->is_synced = peer->is_syncing = false;
    peer->must_sync |= error == VESTRY_FULL;
  }
  if (has_missed) tell_missed(cluster, peer);
  if ((message->flags & VSI_WIRE_LAST) && peer->is_syncing) {
    peer->verified_ns = vsi_now_ns(cluster->host);
    vsi_presences_sweep(cluster->v->presences, vsi_peer_index(cluster, peer));
    peer->is_syncing = peer->must_sync = false;
    peer->is_synced = true;
  }
}

/* -------------------------------------------------------------------------------------------------- refreshes ----- */

/* The same topic again within 5 ms: found among those that wait, the last ones first being of no use, all are looked
 * through; they are bounded. */
static bool is_waiting(const vsi_buffer *topics, const char *topic, size_t len) {
  for (size_t at = 0; at < topics->len;) {
    const unsigned char *head = (const unsigned char *)topics->data + at;
    size_t its_len = head[0] | (size_t)head[1] << 8;
    if (its_len == len && memcmp(head + 2, topic, len) == 0) return true;
    at += 2 + its_len;
  }
  return false;
}

void vsi_tell_refresh(const char *topic, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_buffer *waiting = &cluster->refreshes;
  vsi_cluster_lock(cluster);
  bool is_first = !waiting->len && !cluster->refreshes_all;
  if (!len || cluster->refreshes_all || waiting->len + 2 + len > VSI_REFRESH_BYTES) {
    cluster->refreshes_all = true;
  } else if (!is_waiting(waiting, topic, len)) {
    vsi_wire_put(waiting, len, 2);
    vsi_buffer_append(waiting, topic, len);
    cluster->refreshes_all = waiting->error != VESTRY_OK;
  }
  vsi_cluster_unlock(cluster);
  if (is_first) vsi_tell_soon(cluster);
}

static void tell_refreshes(vestry_cluster *cluster) {
  vsi_buffer *waiting = &cluster->refreshes;
  if (!waiting->len && !cluster->refreshes_all) return;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  if (!cluster->refreshes_all) vsi_buffer_append(&buffer, waiting->data, waiting->len);
  vsi_wire_end(&buffer);
  uint64_t alive = vsi_members_alive(cluster);
  bool is_too_large = vsi_peers_send(cluster, alive, &buffer, VSI_WIRE_REFRESH, 0, true) == VESTRY_TOO_LARGE;
  vsi_buffer_finish(&buffer);
  if (is_too_large) { /* no names: every page */
    vsi_wire_begin(&buffer, cluster->host);
    vsi_wire_end(&buffer);
    (void)vsi_peers_send(cluster, alive, &buffer, VSI_WIRE_REFRESH, 0, true);
    vsi_buffer_finish(&buffer);
  }
  vsi_buffer_clear(waiting);
  cluster->refreshes_all = false;
}

/* ---------------------------------------------------------------------------------------------------- events ------ */

void vsi_tell_remember(vestry_cluster *cluster, uint64_t hash, uint64_t sent) {
  vsi_recent *recent = &cluster->recent[hash % VSI_RECENT_CHANNELS];
  uint64_t now_ns = vsi_now_ns(cluster->host);
  bool is_other = recent->at_ns && recent->hash != hash;
  if (is_other && now_ns - recent->at_ns <= cluster->dead_ns + SENT_KEPT_MS * VSI_NS_PER_MS)
    *recent = (vsi_recent){0, recent->sent & sent, now_ns};
  else if (is_other || !recent->at_ns || now_ns - recent->at_ns > cluster->dead_ns + SENT_KEPT_MS * VSI_NS_PER_MS)
    *recent = (vsi_recent){hash, sent, now_ns};
  else
    *recent = (vsi_recent){hash, recent->sent & sent, now_ns};
}

/* To some nodes. What is too large for the broker nobody can have, and its sender is told: so nobody has missed it. */
static vestry_err send_event(vestry_cluster *cluster, uint64_t mask, uint64_t hash, const vestry_scoped_key *name,
                             vestry_event *event) {
  vestry_slice bytes = vestry_event_bytes(event);
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(name));
  vsi_wire_put_meaning(&buffer, vsi_event_meaning_of(event));
  size_t len = buffer.len + bytes.len + VSI_WIRE_SEAL;
  vestry_err error = VESTRY_TOO_LARGE;
  if (len <= cluster->broker.ops->max_payload(cluster->broker.broker)) {
    vsi_tell_remember(cluster, hash, mask);
    vsi_buffer_append(&buffer, bytes.data, bytes.len);
    vsi_wire_end(&buffer);
    error = vsi_peers_send(cluster, mask, &buffer, VSI_WIRE_EVENT, 0, true);
  }
  vsi_buffer_finish(&buffer);
  return error;
}

vestry_err vsi_tell_event(vestry_cluster *cluster, const vestry_scoped_key *name, vestry_event *event) {
  uint64_t hash = vsi_cluster_hash_channel(cluster, name->data, name->len);
  vestry_err error = VESTRY_NOT_FOUND;
  vsi_cluster_lock(cluster);
  uint64_t alive = vsi_members_alive(cluster);
  uint64_t mask = (vsi_keys_others(&cluster->keys, hash) & alive) | vsi_members_unsynced(cluster);
  if (mask)
    error = send_event(cluster, mask, hash, name, event);
  else
    vsi_tell_remember(cluster, hash, 0);
  vsi_cluster_unlock(cluster);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ when ------ */

void vsi_tell_locked(vestry_cluster *cluster) {
  if (cluster->has_ended || cluster->has_left || cluster->is_refused) return;
  tell_keys(cluster);
  tell_refreshes(cluster);
}

void vsi_tell_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  vsi_tell_locked(cluster);
  vsi_cluster_unlock(cluster);
}

void vsi_tell_soon(vestry_cluster *cluster) {
  (void)vestry_timer_set(cluster->flush, VSI_FLUSH_MS, 0); /* CLOSED: the end */
}
