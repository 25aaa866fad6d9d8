/* SPDX-License-Identifier: MIT */
/* Announcements on their way to other nodes: KEYS and PRESENT, in order for each node.
 *
 * A full announcement can be larger than the broker's send queue. The messages that the broker refused would be lost,
 * so that a full announcement would be needed again, without end. Therefore announcements that the broker does not
 * accept wait here, and a few are sent every 5 ms, which leaves room in the broker for other messages. Later changes
 * wait behind them, because they refer to the announcements before them.
 *
 * A server can end the connection of a receiver for which too many bytes wait (max_pending of nats-server). Then the
 * receiver requests a full announcement again, which would end its connection again. Therefore each full announcement
 * that follows another one within AGAIN_NS is sent in runs and in messages of half the size, down to RUN_LEAST_BYTES.
 *
 * The waiting announcements of a node are bounded by twice the size of a full announcement, plus WAITING_BYTES. A node
 * that exceeds this bound, or to which nothing can be sent, gets a new full announcement. */
#include "cluster/cluster/digests.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/keys.h"
#include "cluster/cluster/message.h"

/* Bytes sent in one run, for all nodes; their minimum for one node; and bytes that may wait besides a full
 * announcement. */
enum { RUN_MOST_BYTES = 1 << 20, RUN_LEAST_BYTES = 4096, WAITING_BYTES = 1 << 20 };
#define AGAIN_NS (UINT64_C(10000000000))

typedef struct vsi_digest {
  struct vsi_digest *next;
  vsi_wire_kind kind;
  uint8_t flags;
  vsi_buffer message; /* sealed when it is sent */
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

/* Append an announcement to those that wait for a node. false: too many bytes wait, or memory is missing. */
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
  if (!peer->digests && !peer->is_announcing_all) {
    vestry_err error = vsi_message_send(cluster, peer, buffer, kind, flags, false);
    if (!error) return true;
    if (error != VESTRY_FULL) {
      give_up(cluster, peer);
      return false;
    }
  }
  if (peer->is_announcing_all) peer->digests_most += 2 * buffer->len;
  if (append(cluster, peer, buffer, kind, flags)) return true;
  give_up(cluster, peer);
  return false;
}

void vsi_digests_begin_all(vestry_cluster *cluster, vsi_peer *peer) {
  const uint64_t now_ns = vsi_now_ns(cluster->host);
  const bool is_again = peer->run_bytes && now_ns - peer->all_ns < AGAIN_NS;
  peer->run_bytes = is_again ? peer->run_bytes / 2 : RUN_MOST_BYTES;
  if (peer->run_bytes < RUN_LEAST_BYTES) peer->run_bytes = RUN_LEAST_BYTES;
  peer->all_ns = now_ns;
  vsi_digests_drop(cluster, peer);
}

static void go_on(vestry_cluster *cluster, vsi_peer *peer, size_t most) {
  size_t sent = 0;
  for (vsi_digest *d; sent < most && (d = peer->digests) != NULL;) {
    sent += d->message.len;
    vestry_err error = vsi_message_send(cluster, peer, &d->message, d->kind, d->flags, false);
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
    const size_t share = RUN_MOST_BYTES / waiting;
    if (peer->digests) go_on(cluster, peer, share < peer->run_bytes ? share : peer->run_bytes);
    is_over &= !peer->digests;
  }
  if (!is_over) vsi_cluster_announce_soon(cluster);
}

/* Announcements of members of presences. The presences know their own members (app/presence/spread.c); this code makes
 * messages about them. Members are treated like keys. Changes wait for at most 5 ms, and a heartbeat has the digest:
 * the number of members and the sum of their hashes. After a gap all are announced again, before the keys. */

/* Maximum size of a message with several members; size of a message besides its members and the name of their presence;
 * size of a member besides who and place. */
enum { MESSAGE_BYTES = 16384, FRAME_BYTES = VSI_WIRE_HEAD + 1 + VSI_WIRE_SEAL, MEMBER_BYTES = 4 };

bool vsi_presences_fit(const vestry_cluster *cluster, size_t bytes) {
  return FRAME_BYTES + MEMBER_BYTES + bytes <= cluster->broker.ops->max_payload(cluster->broker.broker);
}

/* Messages being made, and their receivers. */
typedef struct announcing {
  vestry_cluster *cluster;
  uint64_t mask;
  bool begins_all; /* the first message begins a full announcement */
  size_t most;     /* maximum size of a message that has several members */
  vsi_buffer buffer;
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* of the presence that the message is about; "": none has begun */
} announcing;

static void begin(announcing *t, const char *name) {
  size_t len = strlen(name);
  vsi_wire_begin(&t->buffer, t->cluster->host);
  memcpy(t->name, name, len + 1);
  if (!len) return;
  vsi_wire_put(&t->buffer, len, 1);
  vsi_buffer_append(&t->buffer, name, len);
}

/* Send the message. A node to which it cannot be sent must get a full announcement. */
static void send(announcing *t) {
  vsi_wire_end(&t->buffer);
  uint8_t flags = t->begins_all ? VSI_WIRE_FIRST : 0;
  for (size_t i = 0; i < t->cluster->peers_count; i++)
    if ((t->mask >> i & 1) && !vsi_digest_send(t->cluster, &t->cluster->peers[i], &t->buffer, VSI_WIRE_PRESENT, flags))
      t->mask &= ~(UINT64_C(1) << i);
  t->begins_all = false;
  t->name[0] = '\0';
  vsi_buffer_finish(&t->buffer);
}

static void put_update(const vsi_presence_update *update, void *ctx) {
  announcing *t = ctx;
  if (!t->mask) return;
  size_t len = strlen(update->user), more = MEMBER_BYTES + len + update->place.len + VSI_WIRE_SEAL;
  if (t->name[0] && (t->buffer.len + more > t->most || strcmp(t->name, update->presence) != 0)) send(t);
  if (!t->name[0]) begin(t, update->presence);
  vsi_wire_put(&t->buffer, update->is_here, 1);
  vsi_wire_put(&t->buffer, len, 1);
  vsi_wire_put(&t->buffer, update->place.len, 2);
  vsi_buffer_append(&t->buffer, update->user, len);
  vsi_buffer_append(&t->buffer, update->place.data, update->place.len);
}

/* Return the maximum size of a message that has several members. */
static size_t bytes_a_message(const vestry_cluster *cluster, size_t bytes) {
  size_t most = cluster->broker.ops->max_payload(cluster->broker.broker);
  return most < bytes ? most : bytes;
}

void vsi_presences_announce(vestry_cluster *cluster, uint64_t mask) {
  announcing t = {.cluster = cluster, .mask = mask, .most = bytes_a_message(cluster, MESSAGE_BYTES)};
  vsi_presences_take(cluster->presences, put_update, &t);
  if (t.name[0]) send(&t);
}

void vsi_presences_announce_all(vestry_cluster *cluster, vsi_peer *peer) {
  const size_t most = bytes_a_message(cluster, peer->run_bytes < MESSAGE_BYTES ? peer->run_bytes : MESSAGE_BYTES);
  announcing t = {.cluster = cluster, .mask = vsi_peer_bit(cluster, peer), .begins_all = true, .most = most};
  vsi_presences_list(cluster->presences, put_update, &t);
  if (!t.name[0] && t.begins_all) begin(&t, ""); /* an empty full announcement must be sent, too */
  if (t.name[0] || t.begins_all) send(&t);
}

/* Read and apply one change. false: it is malformed, or memory is missing. */
static bool take_one(vestry_cluster *cluster, vsi_peer *peer, const char *name, vsi_wire_reader *reader) {
  char user[VSI_PRESENCE_WHO_MAX + 1];
  vsi_presence_update update = {.presence = name, .user = user, .is_here = vsi_wire_number(reader, 1) == 1};
  size_t len = vsi_wire_number(reader, 1);
  update.place.len = vsi_wire_number(reader, 2);
  const unsigned char *bytes = vsi_wire_bytes(reader, len);
  update.place.data = vsi_wire_bytes(reader, update.place.len);
  if (reader->has_failed || memchr(bytes, 0, len)) return false;
  memcpy(user, bytes, len);
  user[len] = '\0';
  uint64_t hash = vsi_presence_update_hash(&update);
  peer->present_count += update.is_here ? 1 : UINT64_MAX;
  peer->present_sum += update.is_here ? hash : -hash;
  return !vsi_presences_apply(cluster->presences, vsi_peer_index(cluster, peer), &update);
}

void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (message->flags & VSI_WIRE_FIRST) {
    vsi_presences_doubt(cluster->presences, vsi_peer_index(cluster, peer));
    peer->present_count = peer->present_sum = 0;
    peer->is_synced = false;
    peer->is_syncing = true;
  }
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  if (!reader.left) return;
  char name[VSI_PRESENCE_NAME_MAX + 1];
  size_t len = vsi_wire_number(&reader, 1);
  const unsigned char *bytes = vsi_wire_bytes(&reader, len);
  bool is_well = bytes && len && len <= VSI_PRESENCE_NAME_MAX && !memchr(bytes, 0, len);
  if (is_well) {
    memcpy(name, bytes, len);
    name[len] = '\0';
  }
  while (is_well && reader.left) is_well = take_one(cluster, peer, name, &reader);
  if (is_well) return;
  vsi_peer_must_sync(peer);
}

void vsi_presences_of_node_forget(vestry_cluster *cluster, vsi_peer *peer) {
  vsi_presences_forget(cluster->presences, vsi_peer_index(cluster, peer));
  peer->present_count = peer->present_sum = 0;
}
