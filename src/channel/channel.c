/* SPDX-License-Identifier: MIT */
/* essay: one order of events for all members, and no lock held while runners are woken */
/* Publishing to many members.
 *
 * One order for all. A publish holds the channel's semaphore (a vsi_semaphore) until every member's queue has its
 * event. So all members receive all events in one order, and the shared encoders see the events in the same order. When
 * a publish has returned, its event is in all queues, before anything that the caller sends next. No mutex is held
 * while events are encoded (which calls profiles) or runners are woken (which calls transports). The channel's lock is
 * held only to go through the members, at most CHUNK at a time. For each member, the event is put into its queue, which
 * calls no callback, and a reference is taken so that its runner can be woken after the unlock. The memory for this is
 * allocated before the lock is taken.
 *
 *   semaphore taken ──> id, encode ──┬─> post to at most CHUNK members ──> wake their runners ──┬─> semaphore released
 *                       (profiles)   │   (lock held, no callback)          (no lock)            │
 *                                    └───────────────────── more members <──────────────────────┘
 *
 * Iteration while the list changes. `cursor` is the next member. If the member at the cursor is removed, the cursor
 * moves to the next. A new member is appended, and its number is above the last number of the running publish. So a
 * publish meets each member that was there at its beginning and stays exactly once, and each other member at most once.
 *
 * Leaving. A thread removes a member from the list under the lock when the connection ends, when the member leaves, or
 * when the channel is destroyed. A thread that finds `in` cleared has nothing to do. The close node, by which the
 * member learns of the connection's end (connection/close_node.h), holds a reference to its member. This reference is
 * dropped when the connection calls the node, or when the node is cancelled. Each thread that works on the member
 * without the lock holds another reference.
 *
 * Deadlock. A publish calls hooks, transports and profiles, which may publish, too. Such a nested publish could wait
 * for ever for a semaphore: for one that its own thread holds, or for one whose holder waits for the semaphore that its
 * own thread holds. Therefore, a thread that holds the semaphore of any channel never waits for another
 * (`publishes_inside`): it takes a semaphore only if it is free.
 *
 * Encoders. The coding of a member is the write profile of its stream, such as br (coding/coding.h). For each coding,
 * the channel has a lane (coding/epoch.h): an encoder that is shared by the members with this coding, and whose output
 * refers back to earlier events. An epoch is the time in which the encoder refers back. A member that has received the
 * whole epoch so far is in sync. Any other member gets the event standalone.
 *
 * Idle encoders. An encoder is used only while the semaphore is held. The thread that removes the last member of a
 * coding may be a runner, which must not wait, so it takes the semaphore only if it is free. Otherwise the holder looks
 * for idle encoders before it releases the semaphore. Both threads check under the lock, so one of the two ends the
 * encoder. */
#include "channel/channel.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"
#include "connection/backlog.h"
#include "connection/refusal.h"
#include "connection/send.h"
#include "event/extras.h"
#include "instance/instance.h"

/* Members that are visited under one lock. */
enum { CHUNK = VSI_BURST_MOST };

/* The state of one publish. */
typedef struct publishing {
  vestry_event *event;      /* with its id, if the channel has a history; sent to members that are not fresh */
  vestry_event *plain;      /* without the id; sent to fresh members, which have yet to receive the state */
  vsi_broadcast *broadcast; /* NULL: no member is in sync */
  uint64_t last_number;     /* members above this number do not receive the event */
  size_t left;              /* maximum number of members that are left */
  vsi_few_streams *few;     /* the members are few, and the caller writes their streams; NULL: no */
  size_t sent;
  bool is_kept;           /* the event has an id, so a member that cannot take it is closed */
  vestry_err error;       /* first error of a member that stays open */
  vsi_refused_fn refused; /* NULL: refusals are not reported */
  void *refused_ctx;
  vsi_delivery_times times;   /* of timed deliveries */
  uint64_t turn;              /* selects the streams that are timed */
  vsi_delivery *spare[CHUNK]; /* allocated and not used yet */
  size_t spares;
  size_t held;                     /* references to the broadcast, or else to the event, that are not used yet */
  size_t members[VSI_CODINGS_MAX]; /* by the coding's index: how many share an encoder */
  vsi_burst burst;
  vestry_connection *roused[CHUNK]; /* references, and the results of their sends */
  vestry_err results[CHUNK];
} publishing;

void vsi_channel_unref(vsi_channel *channel) {
  /* acq_rel: the last thread sees the writes of the others */
  bool is_last = channel->name.unref ? channel->name.unref(channel) : VSI_REFS_DROP(&channel->refs);
  if (!is_last) return;
  vsi_semaphore_finish(&channel->semaphore);
  vsi_mutex_finish(&channel->lock);
  vsi_group *group = channel->group;
  vsi_free(channel->host, channel);
  vsi_group_unref(group);
}

vestry_err vsi_channel_make(vsi_group *group, uint64_t epoch_max_bytes, const vsi_channel_name *name,
                            vsi_channel **ret_channel) {
  const vestry_host *host = vsi_group_environment(group)->host;
  vsi_channel *channel = vsi_calloc(host, 1, sizeof *channel + (name ? name->len : 0));
  if (!channel) return VESTRY_NO_MEMORY;
  if (name) {
    channel->name = *name;
    channel->name.bytes = memcpy(channel + 1, name->bytes, name->len);
  }
  TAILQ_INIT(&channel->members.list);
  channel->group = vsi_group_ref(group);
  channel->host = host;
  channel->epoch_max_bytes = epoch_max_bytes ? epoch_max_bytes : VSI_EPOCH_MAX_BYTES_DEFAULT;
  VSI_REFS_INIT(&channel->refs, 1);
  vsi_mutex_init(&channel->lock, VSI_LOCK_CHANNEL);
  vsi_semaphore_init(&channel->semaphore);
  *ret_channel = channel;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------- the semaphore -------- */

/* The number of semaphores that this thread holds. It can exceed 1, because a hook that a publish calls may publish to
 * another channel. Ending an idle encoder counts, too, because it calls a profile. */
static _Thread_local unsigned publishes_inside;

/* Return a lane whose encoder has no members; NULL: none. */
static vsi_lane *find_idle_locked(vsi_channel *channel) {
  for (int i = 0; i < VSI_CODINGS_MAX; i++)
    if (channel->lanes[i].encoder && !channel->lanes[i].members_count) return &channel->lanes[i];
  return NULL;
}

/* Copy the sums of the recording, which changes only while the semaphore is held, so that vsi_channel_stats_get
 * needs only the lock. */
static void note_kept_locked(vsi_channel *channel) {
  const vsi_recording *recording = atomic_load_explicit(&channel->recording, memory_order_relaxed);
  channel->stats.kept_count = recording ? recording->kept_count : 0;
  channel->stats.kept_bytes = recording ? recording->kept_bytes : 0;
}

/* End the encoders that have no members, and release the semaphore. */
static void leave_semaphore(vsi_channel *channel) {
  vsi_mutex_lock(&channel->lock);
  note_kept_locked(channel);
  for (vsi_lane *idle; (idle = find_idle_locked(channel));) {
    vsi_mutex_unlock(&channel->lock);
    publishes_inside++;
    uint64_t alone = vsi_lane_end(idle);
    publishes_inside--;
    vsi_mutex_lock(&channel->lock);
    channel->stats.standalone_count += alone;
  }
  /* The lock is held since the last search, so that no idle encoder is missed. A thread that removes the last member of
   * a coding does so either before that search, which then finds the encoder, or after the semaphore was released, and
   * then ends the encoder itself. */
  vsi_semaphore_leave(&channel->semaphore);
  vsi_mutex_unlock(&channel->lock);
}

bool vsi_channel_try(vsi_channel *channel) {
  bool entered = vsi_semaphore_try(&channel->semaphore);
  publishes_inside += entered;
  return entered;
}

vestry_err vsi_channel_go_in(vsi_channel *channel) {
  if (publishes_inside) return vsi_channel_try(channel) ? VESTRY_OK : VESTRY_BUSY;
  vsi_semaphore_enter(&channel->semaphore);
  publishes_inside++;
  return VESTRY_OK;
}

void vsi_channel_come_out(vsi_channel *channel) {
  publishes_inside--;
  leave_semaphore(channel);
}

/* ------------------------------------------------------------------------------------ joining and leaving --------- */

void vsi_member_unref(vsi_member *member) {
  if (!VSI_REFS_DROP(&member->refs)) return;
  vsi_channel *channel = member->channel;
  vestry_connection_unref(member->connection);
  vsi_free(channel->host, member);
  vsi_channel_unref(channel);
}

static void connection_closed(vsi_close_node *node, vestry_connection *connection, vestry_cause cause);

static bool is_in(const vsi_close_node *node, const void *channel) {
  const vsi_member *member = (const vsi_member *)node;
  return member->channel == channel && member->in;
}

/* Find the member of a connection among the connection's close listeners. Their number is that of the channels that the
 * connection has joined, and of a few other objects. A map for each channel would take 29 bytes more for each member.
 * The found member exists while the lock is held: connection_closed waits for it, and any other thread must first take
 * the member out. */
static vsi_member *find_member_locked(const vsi_channel *channel, vestry_connection *connection) {
  return (vsi_member *)vsi_connection_find_at_close(connection, connection_closed, is_in, channel);
}

/* Number a member and append it. Its close listener may be called at once, and waits for the lock. OK | EXISTS |
 * CLOSED */
static vestry_err add_locked(vsi_channel *channel, vsi_member *member) {
  vsi_members *members = &channel->members;
  if (find_member_locked(channel, member->connection)) return VESTRY_EXISTS;
  vestry_err error = vsi_connection_at_close(member->connection, &member->at_close);
  if (error) return error;
  member->number = ++members->last_number;
  member->in = true;
  members->count++;
  TAILQ_INSERT_TAIL(&members->list, member, in_list);
  return VESTRY_OK;
}

/* Return the lane of a connection's coding; NULL: the connection has no coding. */
static vsi_lane *lane_of(vsi_channel *channel, const vestry_connection *connection) {
  const vsi_coding *coding = vsi_connection_coding(connection);
  return coding ? &channel->lanes[coding->index] : NULL;
}

/* Remove a member. Returns true if an encoder has become idle and the caller now holds the semaphore in order to end
 * it. */
static bool take_out_locked(vsi_channel *channel, vsi_member *member) {
  vsi_members *members = &channel->members;
  members->count--;
  if (members->cursor == member) members->cursor = TAILQ_NEXT(member, in_list);
  TAILQ_REMOVE(&members->list, member, in_list);
  member->in = false;
  vsi_lane *lane = lane_of(channel, member->connection);
  return lane && --lane->members_count == 0 && vsi_semaphore_try(&channel->semaphore);
}

static void connection_closed(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection, (void)cause;
  vsi_member *member = (vsi_member *)node;
  vsi_channel *channel = member->channel;
  vsi_mutex_lock(&channel->lock);
  bool entered = member->in && take_out_locked(channel, member);
  vsi_mutex_unlock(&channel->lock);
  if (entered) leave_semaphore(channel);
  vsi_member_unref(member);
}

vestry_err vsi_channel_reserve(vsi_channel *channel, vsi_member **ret_member) {
  vsi_member *member = vsi_calloc(channel->host, 1, sizeof *member);
  if (!member) return VESTRY_NO_MEMORY;
  vsi_close_node_init(&member->at_close, connection_closed);
  VSI_REFS_INIT(&member->refs, 1);
  member->channel = vsi_channel_ref(channel);
  *ret_member = member;
  return VESTRY_OK;
}

bool vsi_channel_has(vsi_channel *channel, vestry_connection *connection) {
  vsi_mutex_lock(&channel->lock);
  bool has = find_member_locked(channel, connection);
  vsi_mutex_unlock(&channel->lock);
  return has;
}

void vsi_channel_let_claim(vsi_channel *channel, vestry_connection *connection) {
  vsi_mutex_lock(&channel->lock);
  vsi_member *member = find_member_locked(channel, connection);
  if (member) member->is_fresh = false;
  vsi_mutex_unlock(&channel->lock);
}

vestry_err vsi_channel_admit(vsi_member *member, vestry_connection *connection) {
  vsi_channel *channel = member->channel;
  if (!vsi_group_has(channel->group, connection)) {
    vsi_member_unref(member);
    return VESTRY_INVALID;
  }
  VSI_REFS_TAKE(&member->refs); /* the node's; the first one belongs to this thread */
  member->connection = vestry_connection_ref(connection);
  vsi_mutex_lock(&channel->lock);
  vestry_err error = add_locked(channel, member);
  vsi_lane *lane = lane_of(channel, connection);
  if (!error && lane) {
    /* Set once, because it is read under the semaphore without the lock. */
    if (!lane->coding) lane->coding = vsi_connection_coding(connection);
    lane->members_count++;
  }
  vsi_mutex_unlock(&channel->lock);
  if (error) vsi_member_unref(member);
  vsi_member_unref(member);
  return error;
}

vestry_err vsi_channel_join(vsi_channel *channel, vestry_connection *connection) {
  if (!channel || !connection || !vsi_group_has(channel->group, connection)) return VESTRY_INVALID;
  vsi_member *member;
  vestry_err error = vsi_channel_reserve(channel, &member);
  return error ? error : vsi_channel_admit(member, connection);
}

/* Remove the member of a connection; NULL: any member. Returns false if there is none. */
static bool take_out(vsi_channel *channel, vestry_connection *connection) {
  bool entered = false;
  vsi_mutex_lock(&channel->lock);
  vsi_member *member = connection ? find_member_locked(channel, connection) : TAILQ_FIRST(&channel->members.list);
  if (member) {
    VSI_REFS_TAKE(&member->refs); /* the close node may drop its reference after the unlock */
    entered = take_out_locked(channel, member);
  }
  vsi_mutex_unlock(&channel->lock);
  if (!member) return false;
  if (entered) leave_semaphore(channel);
  if (vsi_connection_cancel_at_close(member->connection, &member->at_close)) vsi_member_unref(member);
  vsi_member_unref(member);
  return true;
}

vestry_err vsi_channel_leave(vsi_channel *channel, vestry_connection *connection) {
  if (!channel || !connection) return VESTRY_INVALID;
  return take_out(channel, connection) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

void vsi_channel_destroy(vsi_channel *channel) {
  if (!channel) return;
  while (take_out(channel, NULL)) continue;
  vsi_semaphore_enter(&channel->semaphore); /* a thread may still be ending an encoder */
  leave_semaphore(channel);
  vsi_channel_unref(channel);
}

/* ---------------------------------------------------------------------------------------------- publishing -------- */

/* Copy the numbers of members by coding. Returns whether there are any. */
static bool count_members_locked(const vsi_channel *channel, publishing *p) {
  bool is_any = false;
  for (int i = 0; VSI_ENCODES && i < VSI_CODINGS_MAX; i++)
    is_any |= (p->members[i] = channel->lanes[i].members_count) != 0;
  return is_any;
}

/* Encode the event for members in sync, once for each coding that members have. */
static void encode(vsi_channel *channel, publishing *p) {
  vsi_lane_bytes lanes[VSI_CODINGS_MAX];
  uint32_t count = 0;
  uint64_t epochs = 0, alone = 0, plain_bytes = 0, encoded_bytes = 0, encodes = 0;
  for (int i = 0; i < VSI_CODINGS_MAX; i++) {
    vsi_lane *lane = &channel->lanes[i];
    bool begun;
    uint64_t ended_alone;
    if (!p->members[i]) continue;
    if (vsi_lane_encode(lane, p->event, p->members[i], channel->epoch_max_bytes, &lanes[count], &begun, &ended_alone)) {
      plain_bytes += lanes[count].aligned->plain_len;
      encoded_bytes += lanes[count++].aligned->len;
      encodes++;
    }
    epochs += begun;
    alone += ended_alone;
  }
  if (count && !(p->broadcast = vsi_broadcast_create(channel->host, p->event, lanes, count)))
    /* The encoders have encoded the event, but no stream will receive these bytes. So no stream is in sync any more,
     * and the epochs end. */
    for (uint32_t i = 0; i < count; i++) {
      alone += vsi_lane_end(&channel->lanes[lanes[i].coding->index]);
      vsi_lane_bytes_finish(&lanes[i]);
    }
  vsi_mutex_lock(&channel->lock);
  channel->stats.encodes_count += encodes;
  channel->stats.plain_bytes += plain_bytes;
  channel->stats.encoded_bytes += encoded_bytes;
  channel->stats.epochs_count += epochs;
  channel->stats.standalone_count += alone;
  vsi_mutex_unlock(&channel->lock);
}

static void fill_spares(const vsi_channel *channel, publishing *p) {
  while (p->spares < CHUNK && p->spares < p->left) {
    vsi_delivery *delivery = vsi_alloc(channel->host, sizeof *delivery);
    if (!delivery) return;
    p->spare[p->spares++] = delivery;
  }
}

/* Put the event into one member's queue: without its id if the member is fresh. In a channel of at most
 * VSI_GROUP_TALLY_ONE_IN members each delivery is timed. In a larger channel one of VSI_GROUP_TALLY_ONE_IN members is
 * timed, because reading the clock for each delivery would take noticeable time; the timed members change with each
 * publish. */
static vestry_err post_locked(publishing *p, const vsi_member *member) {
  const bool is_plain = member->is_fresh && p->plain != p->event;
  vsi_delivery *delivery = vsi_queue_spare(&member->connection->queue);
  if (!delivery && !p->spares) return VESTRY_NO_MEMORY;
  if (!delivery) delivery = p->spare[--p->spares];
  *delivery = is_plain ? (vsi_delivery){.event = vestry_event_ref(p->plain)}
                       : (vsi_delivery){.event = p->event, .broadcast = p->broadcast};
  if (!p->turn || (member->number + p->turn) % VSI_GROUP_TALLY_ONE_IN == 0) delivery->times = p->times;
  vestry_err error = vsi_connection_post_one(member->connection, delivery, &p->burst);
  p->held -= !error && !is_plain;
  if (error) vsi_delivery_free(member->connection, delivery);
  if (error && is_plain) vestry_event_unref(p->plain); /* not the last one: the caller holds one */
  return error;
}

/* Post to the next members, at most CHUNK. Returns their number. */
static size_t post_chunk(vsi_channel *channel, publishing *p) {
  size_t count = 0;
  vsi_burst_begin(&p->burst, vsi_group_environment(channel->group), p->event, p->left < CHUNK ? p->left : CHUNK);
  vsi_mutex_lock(&channel->lock);
  for (vsi_member *member; count < CHUNK && (member = channel->members.cursor) != NULL; count++) {
    if (member->number > p->last_number) break;
    channel->members.cursor = TAILQ_NEXT(member, in_list);
    vestry_err error = post_locked(p, member);
    channel->stats.accepted_count += !error;
    channel->stats.refused_count += error && error != VESTRY_CLOSED;
    p->results[count] = error;
    p->roused[count] = vsi_connection_hold(member->connection);
  }
  p->left -= count;
  vsi_mutex_unlock(&channel->lock);
  return count;
}

/* Notify the runners of the members that have taken the event, and report those that could not. */
static void rouse_chunk(const vsi_channel *channel, publishing *p, size_t count) {
  for (size_t i = 0; i < count && !p->few; i++)
    if (!p->results[i]) vsi_notices_add(&p->burst.notices, &p->roused[i]->actor);
  vsi_notices_send(&p->burst.notices);
  vsi_burst_end(&p->burst, vsi_group_environment(channel->group));
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = p->roused[i];
    const vestry_err error = p->results[i];
    if (error) (void)vsi_connection_refused(connection, error);
    if (p->is_kept && error) /* otherwise a later id would claim that this event was received, too */
      vestry_connection_close(connection, error == VESTRY_FULL ? VESTRY_CAUSE_FULL : VESTRY_CAUSE_ERROR);
    const bool stays = error && error != VESTRY_CLOSED && vestry_connection_is_open(connection);
    if (!error)
      p->sent++;
    else if (stays && p->refused)
      p->refused(connection, error, p->refused_ctx);
    else if (stays && !p->error)
      p->error = error;
    if (!error && p->few)
      p->few->streams[p->few->count++] = connection;
    else
      vsi_connection_let_go(connection);
  }
}

/* Give the event its id if the channel has a recording. Returns a reference to the event with the id, or NULL. */
static vestry_event *take_id(vsi_channel *channel, publishing *p) {
  vsi_recording *recording =
      atomic_load_explicit(&channel->recording, memory_order_relaxed); /* the semaphore is held */
  p->is_kept = recording;
  if (!recording) return NULL;
  vestry_event *own = recording->take(recording, p->event, vsi_now_ns(channel->host));
  if (own) p->event = own;
  return own;
}

/* Take the references of all members at once, because all threads write their count. They are taken before a post,
 * because a runner may drop the post's reference before the post returns. */
static void hold(publishing *p) {
  p->held = p->left;
  if (p->broadcast)
    vsi_broadcast_ref(p->broadcast, (uint32_t)p->held);
  else
    vsi_event_ref_many(p->event, p->held);
}

/* Drop those that are left over. Never the last ones: `p` holds one of the broadcast, and the caller holds one of the
 * event. */
static void drop(const publishing *p) {
  if (p->broadcast)
    vsi_broadcast_unref(p->broadcast, (uint32_t)p->held);
  else
    vsi_event_unref_many(p->event, p->held);
}

vestry_err vsi_channel_publish(vsi_channel *channel, vestry_event *event, size_t *ret_sent_count) {
  return vsi_channel_publish_reporting(channel, event, 0, NULL, NULL, NULL, ret_sent_count);
}

vestry_err vsi_channel_publish_reporting(vsi_channel *channel, vestry_event *event, uint64_t changed_ns,
                                         vsi_few_streams *ret_few, vsi_refused_fn refused, void *ctx,
                                         size_t *ret_sent_count) {
  if (ret_sent_count) *ret_sent_count = 0;
  if (ret_few) ret_few->count = 0;
  if (!channel || !event) return VESTRY_INVALID;
  publishing p;
  p.event = p.plain = event;
  p.times = vsi_group_tally_change(channel->host, changed_ns);
  p.broadcast = NULL;
  p.sent = p.spares = p.held = 0;
  p.error = VESTRY_OK;
  p.refused = refused;
  p.refused_ctx = ctx;
  vestry_err error = vsi_channel_go_in(channel);
  if (error) return error;
  vestry_event *own = take_id(channel, &p);
  vsi_mutex_lock(&channel->lock);
  channel->stats.published_count++;
  channel->members.cursor = TAILQ_FIRST(&channel->members.list);
  p.last_number = channel->members.last_number;
  p.left = channel->members.count;
  p.turn = p.left > VSI_GROUP_TALLY_ONE_IN ? channel->stats.published_count : 0;
  p.few = p.left <= VSI_FEW_STREAMS ? ret_few : NULL;
  const bool is_encoded = count_members_locked(channel, &p);
  vsi_mutex_unlock(&channel->lock);
  if (is_encoded) encode(channel, &p);
  if (p.left) hold(&p);
  size_t count;
  do {
    fill_spares(channel, &p);
    count = post_chunk(channel, &p);
    rouse_chunk(channel, &p, count);
  } while (count);
  vsi_channel_come_out(channel);
  while (p.spares) vsi_free(channel->host, p.spare[--p.spares]);
  if (p.held) drop(&p);
  vsi_broadcast_unref(p.broadcast, 1);
  vestry_event_unref(own);
  if (ret_sent_count) *ret_sent_count = p.sent;
  return p.error;
}

void vsi_channel_stats_get(vsi_channel *channel, vsi_channel_stats *ret_stats) {
  vsi_mutex_lock(&channel->lock);
  *ret_stats = channel->stats;
  ret_stats->members_count = channel->members.count;
  vsi_mutex_unlock(&channel->lock);
}
