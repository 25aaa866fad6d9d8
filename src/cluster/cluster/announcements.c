/* SPDX-License-Identifier: MIT */
/* essay: changes to all nodes, and a list of everything to those that need it */
/* Announcements to the other nodes: changes of keys and of members of presences (KEYS, PRESENT), refreshes of pages,
 * and events of channels.
 *
 * Keys wait for a time that grows with the number of nodes (keys_ms), members and refreshes for at most 5 ms, and all
 * are sent together. An event is sent at once, to the nodes that have announced members and to the nodes whose keys are
 * not known completely. A node whose announcement arrives late is found later (receiver.c).
 *
 * A change is one message to all nodes. A node that lacks some needs a full announcement: a list of all members of
 * presences and all keys. At most one list is under way; nodes that need another one wait for the next. The list is
 * made and sent a few messages at a time, between which changes are sent. So no lock is held for long, the broker keeps
 * room for other messages, and nothing is stored that the table of keys has. The list is sent to each node that needs
 * it, and so are the changes until its end, because two subjects have no common order. Such a node ignores the changes
 * to all meanwhile. The last message of the list has the number up to which it includes them; if the node has ignored a
 * later one, it needs another list.
 *
 * Messages that the broker does not accept wait here. Meanwhile nothing else is announced, because keys wait in their
 * table, each once.
 *
 * A server can end the connection of a receiver for which too many bytes wait (max_pending of nats-server). Then the
 * receiver requests a full announcement again, which would end its connection again. Therefore each full announcement
 * that follows another one within AGAIN_NS is sent in runs and in messages of half the size, down to
 * RUN_LEAST_BYTES. */
#include "cluster/cluster/announcements.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "event/extras.h"

/* Bytes that one call sends, and their minimum while a list is under way. */
enum { RUN_MOST_BYTES = 1 << 19, RUN_LEAST_BYTES = 4096 };
#define AGAIN_NS (UINT64_C(10000000000))

/* A message that waits. */
struct vsi_announcement {
  STAILQ_ENTRY(vsi_announcement) in;
  vsi_wire_kind kind;
  uint8_t flags;
  vsi_buffer message; /* sealed for each receiver */
};

bool vsi_announcements_wait(const vestry_cluster *cluster) {
  return !STAILQ_EMPTY(&cluster->announcements.waiting);
}

/* Remove the first waiting message. */
static void remove_first(vestry_cluster *cluster) {
  vsi_announcements *own = &cluster->announcements;
  struct vsi_announcement *first = STAILQ_FIRST(&own->waiting);
  STAILQ_REMOVE_HEAD(&own->waiting, in);
  vsi_buffer_finish(&first->message);
  vsi_free(cluster->host, first);
  own->is_sent_to_all = false;
  own->sent_to = 0;
}

void vsi_announcements_drop(vestry_cluster *cluster) {
  vsi_announcements *own = &cluster->announcements;
  while (!STAILQ_EMPTY(&own->waiting)) remove_first(cluster);
  *own = (vsi_announcements){.waiting = STAILQ_HEAD_INITIALIZER(own->waiting)};
  for (size_t i = 0; i < cluster->peers_count; i++) cluster->peers[i]->wants_all = true;
}

/* Let a complete message wait, and take over its buffer. */
static void put(vestry_cluster *cluster, vsi_wire_kind kind, uint8_t flags, vsi_buffer *buffer) {
  struct vsi_announcement *made = buffer->error ? NULL : vsi_alloc(cluster->host, sizeof *made);
  if (made) {
    *made = (struct vsi_announcement){.kind = kind, .flags = flags, .message = *buffer};
    STAILQ_INSERT_TAIL(&cluster->announcements.waiting, made, in);
  } else {
    vsi_buffer_finish(buffer);
    cluster->announcements.has_failed = true;
  }
}

/* Send a message to the nodes of the list that have not got it yet. OK | FULL */
static vestry_err send_to_listed(vestry_cluster *cluster, struct vsi_announcement *one) {
  vsi_announcements *own = &cluster->announcements;
  for (; own->sent_to < cluster->peers_count; own->sent_to++) {
    vsi_peer *peer = cluster->peers[own->sent_to];
    if (!vsi_bits_has(&own->list_to, peer->index)) continue;
    vestry_err error = VESTRY_IO;
    if (vsi_peer_lives(peer)) error = vsi_message_send(cluster, peer, &one->message, one->kind, one->flags, false);
    if (error == VESTRY_FULL) return error;
    if (!error) continue;
    vsi_bits_remove(&own->list_to, peer->index);
    peer->wants_all = true;
  }
  return VESTRY_OK;
}

/* Send a message to all of its nodes. OK | as the broker's publish: it is sent again later */
static vestry_err send_one(vestry_cluster *cluster, struct vsi_announcement *one) {
  vsi_announcements *own = &cluster->announcements;
  vestry_err error = VESTRY_OK;
  if (!(one->flags & VSI_WIRE_LISTED) && !own->is_sent_to_all)
    error = vsi_message_send(cluster, NULL, &one->message, one->kind, one->flags, false);
  own->is_sent_to_all |= !error;
  return error ? error : send_to_listed(cluster, one);
}

/* Send the waiting messages, as long as *left bytes allow. After a failure none waits, and all nodes need a list.
 * false: some are left, or it has failed. */
static bool send_waiting(vestry_cluster *cluster, size_t *left) {
  vsi_announcements *own = &cluster->announcements;
  for (struct vsi_announcement *first; !own->has_failed && (first = STAILQ_FIRST(&own->waiting)) != NULL;) {
    const size_t len = first->message.len, each = 1 + vsi_bits_count(&own->list_to);
    if (!*left) return false;
    vestry_err error = send_one(cluster, first);
    own->has_failed = error == VESTRY_TOO_LARGE || error == VESTRY_NO_MEMORY; /* the broker's maximum has changed */
    if (error && !own->has_failed) return false;
    *left -= *left / each < len ? *left : len * each;
    remove_first(cluster);
  }
  if (!own->has_failed) return true;
  vsi_announcements_drop(cluster);
  return false;
}

/* ------------------------------------------------------------------------------------------------------- keys ----- */

static size_t changes_a_message(const vestry_cluster *cluster, size_t bytes) {
  const size_t body = vsi_message_room(cluster, bytes), count = body > 16 ? (body - 16) / VSI_WIRE_CHANGE : 0;
  return count < VSI_CHANGES_A_MESSAGE ? count : VSI_CHANGES_A_MESSAGE;
}

/* clock_ms: time of the oldest change, on the cluster clock; 0: unknown. */
static void put_changes(vestry_cluster *cluster, uint8_t flags, uint64_t clock_ms, size_t count) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put(&buffer, clock_ms, 8);
  vsi_wire_put(&buffer, cluster->all_seq, 8);
  for (size_t i = 0; i < count; i++) {
    vsi_wire_put(&buffer, cluster->changes[i].hash, 8);
    vsi_wire_put(&buffer, cluster->changes[i].stamp << 1 | cluster->changes[i].is_gone, 8);
  }
  put(cluster, VSI_WIRE_KEYS, flags, &buffer);
  cluster->announced_ns = vsi_now_ns(cluster->host);
}

/* Send waiting changes of keys. Returns as send_waiting. */
static bool announce_keys(vestry_cluster *cluster, size_t *left) {
  const size_t room = changes_a_message(cluster, SIZE_MAX);
  bool has_more = room > 0, goes_on = true;
  while (goes_on && has_more) {
    uint64_t waited_ns = vsi_now_ns(cluster->host);
    const size_t count = vsi_keys_take(&cluster->keys, cluster->changes, room, &has_more, &waited_ns);
    if (count) put_changes(cluster, 0, vsi_keys_clock_at(&cluster->keys, waited_ns), count);
    goes_on = send_waiting(cluster, left);
  }
  return goes_on;
}

/* ---------------------------------------------------------------------------------------------- presences --------- */

/* Members are treated like keys. The presences know their own members (app/presence/spread.c); this code makes messages
 * about them. */

/* Maximum size of a message with several members; size of a message besides its members and the name of their presence;
 * size of a member besides who and place. */
enum { MESSAGE_BYTES = 16384, FRAME_BYTES = VSI_WIRE_HEAD + 1 + VSI_WIRE_SEAL, MEMBER_BYTES = 4 };

bool vsi_presences_fit(size_t bytes, void *ctx) {
  const vestry_cluster *cluster = ctx;
  return FRAME_BYTES + MEMBER_BYTES + bytes <= cluster->broker.ops->max_payload(cluster->broker.broker);
}

/* A message being made. */
typedef struct announcing {
  vestry_cluster *cluster;
  uint8_t flags;
  size_t most; /* maximum size of a message that has several members, without its seal */
  vsi_buffer message;
  char name[VSI_PRESENCE_NAME_MAX + 1]; /* of the presence that the message is about */
} announcing;

static bool has_members(const announcing *t) {
  return t->message.len > VSI_WIRE_HEAD;
}

static void put_message(announcing *t) {
  put(t->cluster, VSI_WIRE_PRESENT, t->flags, &t->message);
  vsi_wire_begin(&t->message, t->cluster->host);
  t->flags &= (uint8_t)~VSI_WIRE_FIRST;
}

static void put_update(const vsi_presence_update *update, void *ctx) {
  announcing *t = ctx;
  const size_t len = strlen(update->user), more = MEMBER_BYTES + len + update->place.len;
  if (has_members(t) && (t->message.len + more > t->most || strcmp(t->name, update->presence) != 0)) put_message(t);
  if (!has_members(t)) {
    const size_t name_len = strlen(update->presence);
    memcpy(t->name, update->presence, name_len + 1);
    vsi_wire_put(&t->message, name_len, 1);
    vsi_buffer_append(&t->message, t->name, name_len);
  }
  vsi_wire_put(&t->message, update->is_here, 1);
  vsi_wire_put(&t->message, len, 1);
  vsi_wire_put(&t->message, update->place.len, 2);
  vsi_buffer_append(&t->message, update->user, len);
  vsi_buffer_append(&t->message, update->place.data, update->place.len);
}

/* Put messages about all members (flags: LISTED, FIRST), or about changes. */
static void put_members(vestry_cluster *cluster, uint8_t flags, size_t bytes) {
  announcing t = {.cluster = cluster, .flags = flags, .most = VSI_WIRE_HEAD + vsi_message_room(cluster, bytes)};
  vsi_wire_begin(&t.message, cluster->host);
  if (flags)
    vsi_presences_list(cluster->presences, put_update, &t);
  else
    vsi_presences_take(cluster->presences, put_update, &t);
  if (has_members(&t) || t.flags & VSI_WIRE_FIRST) put_message(&t); /* an empty list must be sent, too */
  vsi_buffer_finish(&t.message);
}

/* --------------------------------------------------------------------------------------------------- lists -------- */

/* Begin a list, if a node needs one. */
static void begin_list(vestry_cluster *cluster) {
  vsi_announcements *own = &cluster->announcements;
  const uint64_t now_ns = vsi_now_ns(cluster->host);
  own->is_listing = false;
  own->list_bytes = RUN_MOST_BYTES;
  for (size_t i = 0; i < cluster->peers_count; i++) {
    vsi_peer *peer = cluster->peers[i];
    if (!peer->wants_all || !vsi_peer_lives(peer)) continue;
    const bool is_again = peer->run_bytes && now_ns - peer->all_ns < AGAIN_NS;
    peer->run_bytes = is_again ? peer->run_bytes / 2 : RUN_MOST_BYTES;
    if (peer->run_bytes < RUN_LEAST_BYTES) peer->run_bytes = RUN_LEAST_BYTES;
    if (peer->run_bytes < own->list_bytes) own->list_bytes = peer->run_bytes;
    peer->all_ns = now_ns;
    peer->wants_all = false;
    vsi_bits_add(&own->list_to, i);
    own->is_listing = true;
  }
  own->list_at = 0;
  own->is_list_over = false;
  if (own->is_listing)
    put_members(cluster, VSI_WIRE_LISTED | VSI_WIRE_FIRST,
                own->list_bytes < MESSAGE_BYTES ? own->list_bytes : MESSAGE_BYTES);
}

static bool go_on_with_list(vestry_cluster *cluster, size_t *left) {
  vsi_announcements *own = &cluster->announcements;
  if (!own->is_listing) begin_list(cluster);
  if (*left > own->list_bytes) *left = own->list_bytes;
  bool goes_on = send_waiting(cluster, left);
  const size_t room = changes_a_message(cluster, own->list_bytes);
  while (goes_on && own->is_listing && room) {
    if (own->is_list_over) {
      own->is_listing = false;
      own->list_to = (vsi_bits){{0}};
      break;
    }
    uint8_t flags = VSI_WIRE_LISTED | (own->list_at ? 0 : VSI_WIRE_FIRST);
    const size_t count = vsi_keys_list(&cluster->keys, cluster->changes, room, &own->list_at);
    own->is_list_over = !own->list_at;
    if (own->is_list_over) flags |= VSI_WIRE_LAST;
    put_changes(cluster, flags, 0, count);
    goes_on = send_waiting(cluster, left);
  }
  return goes_on;
}

/* Announce the changes, and go on with the full announcement. Messages that the broker does not accept follow later. */
static void announce_changes(vestry_cluster *cluster) {
  size_t left = RUN_MOST_BYTES;
  bool goes_on = send_waiting(cluster, &left);
  if (goes_on) {
    put_members(cluster, 0, MESSAGE_BYTES);
    goes_on = send_waiting(cluster, &left) && announce_keys(cluster, &left) && go_on_with_list(cluster, &left);
  }
  if (!goes_on && cluster->is_up) vsi_cluster_announce_soon(cluster);
}

/* -------------------------------------------------------------------------------------------------- refreshes ----- */

/* Return whether a topic is already waiting. The search is linear, because waiting topics are bounded. */
static bool is_waiting(const vsi_buffer *topics, size_t len_and_kind, const char *topic, size_t len) {
  for (size_t at = 0; at < topics->len;) {
    const unsigned char *head = (const unsigned char *)topics->data + at;
    size_t its = head[0] | (size_t)head[1] << 8;
    if (its == len_and_kind && memcmp(head + 2, topic, len) == 0) return true;
    at += 2 + (its & ~(size_t)VSI_WIRE_REPORT);
  }
  return false;
}

void vsi_announce_refresh(bool is_report, const char *topic, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_buffer *waiting = &cluster->refreshes;
  const vestry_trace *trace = vsi_trace_carried(cluster->host);
  const size_t len_and_kind = len | (is_report ? VSI_WIRE_REPORT : 0);
  vsi_cluster_lock(cluster);
  bool is_first = !waiting->len && !cluster->refreshes_all;
  if (trace && !cluster->refreshes_trace.is_sampled) cluster->refreshes_trace = *trace;
  if (!len || cluster->refreshes_all || waiting->len + 2 + len > VSI_REFRESH_BYTES) {
    cluster->refreshes_all = true;
  } else if (!is_waiting(waiting, len_and_kind, topic, len)) {
    vsi_wire_put(waiting, len_and_kind, 2);
    vsi_buffer_append(waiting, topic, len);
    cluster->refreshes_all = waiting->error != VESTRY_OK;
  }
  vsi_cluster_unlock(cluster);
  if (is_first) vsi_cluster_announce_soon(cluster);
}

static void announce_refreshes(vestry_cluster *cluster) {
  vsi_buffer *waiting = &cluster->refreshes;
  if (!waiting->len && !cluster->refreshes_all) return;
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  if (!cluster->refreshes_all) vsi_buffer_append(&buffer, waiting->data, waiting->len);
  uint8_t flags = vsi_wire_put_trace(&buffer, cluster->refreshes_trace.is_sampled ? &cluster->refreshes_trace : NULL);
  bool is_too_large = vsi_message_send(cluster, NULL, &buffer, VSI_WIRE_REFRESH, flags, true) == VESTRY_TOO_LARGE;
  vsi_buffer_finish(&buffer);
  if (is_too_large) (void)vsi_message_send_bare(cluster, NULL, VSI_WIRE_REFRESH, true); /* every page */
  vsi_buffer_clear(waiting);
  cluster->refreshes_all = false;
  cluster->refreshes_trace.is_sampled = false;
}

/* ---------------------------------------------------------------------------------------------------- events ------ */

/* Send an event to some nodes. An event that is too large for the broker is not noted as sent, because no node
 * can get it and its sender gets the error. */
static vestry_err send_event(vestry_cluster *cluster, const vsi_bits *to, uint64_t hash, const vestry_scoped_key *name,
                             vestry_event *event) {
  const vestry_slice bytes = vestry_event_bytes(event), state = vsi_event_state(event);
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(name));
  vsi_wire_put(&buffer, state.len, 1); /* at most VSI_STATE_MAX_BYTES */
  vsi_buffer_append(&buffer, state.data, state.len);
  const vestry_trace *trace = vsi_trace_carried(cluster->host);
  size_t len = buffer.len + bytes.len + (trace ? VSI_WIRE_TRACE : 0) + VSI_WIRE_SEAL;
  vestry_err error = VESTRY_TOO_LARGE;
  if (len <= cluster->broker.ops->max_payload(cluster->broker.broker)) {
    vsi_recent_note(cluster, hash, to);
    vsi_buffer_append(&buffer, bytes.data, bytes.len);
    uint8_t flags = vsi_wire_put_trace(&buffer, trace);
    error = vsi_message_send_each(cluster, to, &buffer, VSI_WIRE_EVENT, flags, true);
  }
  vsi_buffer_finish(&buffer);
  return error;
}

vestry_err vsi_announce_event(const vestry_scoped_key *name, vestry_event *event, void *ctx) {
  vestry_cluster *cluster = ctx;
  uint64_t hash = vsi_cluster_hash_channel(cluster, name->data, name->len);
  vestry_err error = VESTRY_NOT_FOUND;
  vsi_cluster_lock(cluster);
  const vsi_bits unsynced = vsi_peers_unsynced(cluster);
  const vsi_bits to = vsi_bits_any(vsi_keys_others(&cluster->keys, hash), &unsynced);
  if (vsi_bits_is_empty(&to))
    vsi_recent_note(cluster, hash, &to);
  else
    error = send_event(cluster, &to, hash, name, event);
  vsi_cluster_unlock(cluster);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ timer ----- */

void vsi_announce_locked(vestry_cluster *cluster) {
  if (cluster->has_ended || cluster->has_left || cluster->is_refused) return;
  announce_changes(cluster);
  announce_refreshes(cluster);
}

void vsi_announce_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  vsi_announce_locked(cluster);
  vsi_cluster_unlock(cluster);
}

/* ------------------------------------------------------------------------------------ announcements received ------ */

bool vsi_announcement_counts(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (message->to && message->kind == VSI_WIRE_PRESENT && message->flags & VSI_WIRE_FIRST) {
    peer->is_synced = false;
    peer->is_syncing = true;
    peer->ignored_seq = 0;
  }
  if (message->to) {
    peer->listed_ns = vsi_now_ns(cluster->host);
    return peer->is_syncing;
  }
  if (!peer->is_syncing) return message->seq > peer->synced_seq;
  peer->ignored_seq = message->seq;
  return false;
}

/* Copy bytes as a text. false: they are none, or contain a NUL. */
static bool copy_text(vestry_slice bytes, char *to) {
  if (!bytes.data || memchr(bytes.data, 0, bytes.len)) return false;
  memcpy(to, bytes.data, bytes.len);
  to[bytes.len] = '\0';
  return true;
}

/* Read and apply one change. false: it is malformed, or memory is missing. */
static bool take_one(vestry_cluster *cluster, vsi_peer *peer, const char *name, vsi_wire_reader *reader) {
  char user[VSI_PRESENCE_WHO_MAX + 1];
  vsi_presence_update update = {.presence = name, .user = user, .is_here = vsi_wire_number(reader, 1) == 1};
  const size_t len = vsi_wire_number(reader, 1), place_len = vsi_wire_number(reader, 2);
  const bool is_text = copy_text(vsi_wire_bytes(reader, len), user);
  update.place = vsi_wire_bytes(reader, place_len);
  if (reader->has_failed || !is_text) return false;
  uint64_t hash = vsi_presence_update_hash(&update);
  peer->present_count += update.is_here ? 1 : UINT64_MAX;
  peer->present_sum += update.is_here ? hash : -hash;
  return !vsi_presences_apply(cluster->presences, peer->index, &update);
}

void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message) {
  if (message->flags & VSI_WIRE_FIRST) {
    vsi_presences_doubt(cluster->presences, peer->index);
    peer->present_count = peer->present_sum = 0;
  }
  vsi_wire_reader reader = vsi_wire_read(message->body, message->len);
  if (!reader.left) return;
  char name[VSI_PRESENCE_NAME_MAX + 1];
  const vestry_slice bytes = vsi_wire_bytes(&reader, vsi_wire_number(&reader, 1));
  bool is_well = bytes.len && bytes.len <= VSI_PRESENCE_NAME_MAX && copy_text(bytes, name);
  while (is_well && reader.left) is_well = take_one(cluster, peer, name, &reader);
  if (!is_well) vsi_peer_must_sync(peer);
}
