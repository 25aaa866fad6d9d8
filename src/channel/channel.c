/* SPDX-License-Identifier: MIT */
/* essay: one order for all members, without a lock while runners are roused */
/* Publishing to many.
 *
 * One order for all. A publish goes through the channel's turnstile, and is inside until every member's queue has its
 * event: so all members get all events in one order, which is also that of the epochs' encoders, and a publish that has
 * returned is before whatever its caller does next. Inside, no lock is held while events are encoded (which calls
 * profiles) or runners are roused (which calls transports). The lock is held only to go through the members, for CHUNK
 * of them at a time: each is put the event into its queue, which is lock-free and calls nothing, and a reference is
 * taken, to rouse it when the lock is given up. What is allocated for that was allocated before.
 *
 * Going through a list that changes. `cursor` is the member that comes next. Taking out the member at the cursor moves
 * the cursor on. A new member is appended, and its number is above the last one that the publish is for. So a publish
 * meets every member once that was there when it began and stays, and no member twice.
 *
 * Leaving. A member is in the list until a thread takes it out under the lock: because its connection ends, because it
 * leaves, or because the channel is destroyed. A thread that finds `in` cleared has nothing to do. References to a
 * member: one for its close node, dropped when the connection calls the node or when the node is cancelled; one for
 * each thread that works on the member without the lock.
 *
 * Waiting for oneself. A publish calls what belongs to others: hooks, transports, profiles. If these publish, they
 * would wait in front of a turnstile that is left only when they return: their own, or that of a thread which waits for
 * theirs. So a thread that is inside one waits in front of none (`publishes_inside`): it goes in if the turnstile is
 * free.
 *
 * Encoders that are needed no more. An encoder is used inside the turnstile alone. A thread that takes out the last
 * member of a coding may be a runner, which must not wait: it enters only if the turnstile is free. If it is taken,
 * the thread inside looks for idle encoders before it leaves. Both look under the lock, so one of them finds it. */
#include "channel/channel.h"

#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/refs.h"
#include "channel/history.h"
#include "connection/connection.h"
#include "connection/send.h"
#include "instance/instance.h"

enum { CHUNK = 64 };

/* One publish under way. */
typedef struct publishing {
  vestry_event *event;      /* with its id, of a channel with a history */
  vestry_event *plain;      /* without */
  vsi_broadcast *broadcast; /* NULL: no member is aligned */
  uint64_t last_number;     /* of the members that it is for */
  size_t left;              /* of them, at most */
  size_t sent;
  bool is_kept;           /* it has an id, and a member that cannot take it does not stay */
  vestry_err error;       /* the first that a member which stays open gave */
  vsi_refused_fn refused; /* NULL: refusals are not told */
  void *refused_ctx;
  vsi_delivery_times times;   /* of deliveries that are timed */
  uint64_t turn;              /* of streams: which of them are */
  vsi_delivery *spare[CHUNK]; /* allocated and not used yet */
  size_t spares;
  vestry_connection *roused[CHUNK]; /* references; what they said */
  vestry_err said[CHUNK];
} publishing;

void vsi_channel_unref(vsi_channel *channel) {
  /* acq_rel: the last one sees all that the others did */
  bool is_last = channel->name.unref ? channel->name.unref(channel) : VSI_REFS_DROP(&channel->refs);
  if (!is_last) return;
  vsi_members_finish(&channel->members);
  vsi_turnstile_finish(&channel->turnstile);
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
  channel->group = vsi_group_ref(group);
  channel->host = host;
  channel->epoch_max_bytes = epoch_max_bytes ? epoch_max_bytes : VSI_EPOCH_MAX_BYTES_DEFAULT;
  VSI_REFS_INIT(&channel->refs, 1);
  vsi_mutex_init(&channel->lock, VSI_LOCK_CHANNEL);
  vsi_turnstile_init(&channel->turnstile);
  vsi_members_init(&channel->members, host);
  *ret_channel = channel;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------- the turnstile -------- */

/* How many publishes this thread is inside, nested by hooks. Ending an idle encoder counts too: it calls a profile. */
static _Thread_local unsigned publishes_inside;

/* false: the turnstile is taken, and the caller must not wait for it. */
static bool enter(vsi_channel *channel, bool waits) {
  if (!waits) return vsi_turnstile_try(&channel->turnstile);
  vsi_turnstile_enter(&channel->turnstile);
  return true;
}

/* An encoder without members; NULL: there is none. */
static vsi_lane *find_idle_locked(vsi_channel *channel) {
  for (int i = 0; i < VSI_CODINGS_MAX; i++)
    if (channel->lanes[i].encoder && !channel->lanes[i].members_count) return &channel->lanes[i];
  return NULL;
}

/* What its history keeps can change inside the turnstile alone. */
static void note_kept_locked(vsi_channel *channel) {
  const vsi_history *history = atomic_load_explicit(&channel->history, memory_order_relaxed);
  channel->sums.kept_count = history ? history->stats.kept_count : 0;
  channel->sums.kept_bytes = history ? history->stats.kept_bytes : 0;
}

static void leave_turnstile(vsi_channel *channel) {
  vsi_mutex_lock(&channel->lock);
  note_kept_locked(channel);
  for (vsi_lane *idle; (idle = find_idle_locked(channel));) {
    vsi_mutex_unlock(&channel->lock);
    publishes_inside++;
    uint64_t alone = vsi_lane_end(idle);
    publishes_inside--;
    vsi_mutex_lock(&channel->lock);
    channel->stats.alone_count += alone;
  }
  vsi_turnstile_leave(
      &channel->turnstile); /* under the lock: a thread that takes out the last member finds it free, or is seen */
  vsi_mutex_unlock(&channel->lock);
}

vestry_err vsi_channel_go_in(vsi_channel *channel) {
  if (!enter(channel, !publishes_inside)) return VESTRY_BUSY;
  publishes_inside++;
  return VESTRY_OK;
}

bool vsi_channel_try(vsi_channel *channel) {
  if (!enter(channel, false)) return false;
  publishes_inside++;
  return true;
}

void vsi_channel_come_out(vsi_channel *channel) {
  publishes_inside--;
  leave_turnstile(channel);
}

/* ------------------------------------------------------------------------------------ joining and leaving --------- */

static void member_unref(vsi_member *member) {
  if (!VSI_REFS_DROP(&member->refs)) return;
  vsi_channel *channel = member->channel;
  vestry_connection_unref(member->connection);
  vsi_free(channel->host, member);
  vsi_channel_unref(channel);
}

/* The channel's lane for a connection's coding; NULL: the connection has no coding. */
static vsi_lane *lane_of(vsi_channel *channel, const vestry_connection *connection) {
  const vsi_coding *coding = vsi_connection_coding(connection);
  return coding ? &channel->lanes[coding->index] : NULL;
}

/* Take a member out. true: an encoder has become idle, and the caller is inside the turnstile to end it. */
static bool take_out_locked(vsi_channel *channel, vsi_member *member) {
  if (channel->cursor == member) channel->cursor = TAILQ_NEXT(member, in_order);
  vsi_members_remove(&channel->members, member);
  vsi_lane *lane = lane_of(channel, member->connection);
  return lane && --lane->members_count == 0 && vsi_turnstile_try(&channel->turnstile);
}

static void connection_closed(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection, (void)cause;
  vsi_member *member = (vsi_member *)node;
  vsi_channel *channel = member->channel;
  vsi_mutex_lock(&channel->lock);
  bool entered = member->in && take_out_locked(channel, member);
  vsi_mutex_unlock(&channel->lock);
  if (entered) leave_turnstile(channel);
  member_unref(member);
}

vestry_err vsi_channel_reserve(vsi_channel *channel, vsi_member **ret_member) {
  vsi_member *member = vsi_calloc(channel->host, 1, sizeof *member);
  if (!member) return VESTRY_NO_MEMORY;
  vsi_close_node_init(&member->at_close, connection_closed);
  VSI_REFS_INIT(&member->refs, 1);
  member->channel = vsi_channel_ref(channel);
  vsi_mutex_lock(&channel->lock);
  vestry_err error = vsi_members_reserve(&channel->members);
  vsi_mutex_unlock(&channel->lock);
  if (error)
    member_unref(member);
  else
    *ret_member = member;
  return error;
}

void vsi_channel_discard(vsi_member *member) {
  member_unref(member);
}

static bool is_of(const vsi_channel *channel, const vestry_connection *connection) {
  return connection->environment == vsi_group_environment(channel->group);
}

bool vsi_channel_has(vsi_channel *channel, const vestry_connection *connection) {
  vsi_mutex_lock(&channel->lock);
  bool is_in = vsi_members_find(&channel->members, connection);
  vsi_mutex_unlock(&channel->lock);
  return is_in;
}

void vsi_channel_let_claim(vsi_channel *channel, const vestry_connection *connection) {
  vsi_mutex_lock(&channel->lock);
  vsi_member *member = vsi_members_find(&channel->members, connection);
  if (member) member->is_fresh = false;
  vsi_mutex_unlock(&channel->lock);
}

vestry_err vsi_channel_admit(vsi_member *member, vestry_connection *connection) {
  vsi_channel *channel = member->channel;
  if (!is_of(channel, connection)) {
    member_unref(member);
    return VESTRY_INVALID;
  }
  VSI_REFS_TAKE(&member->refs); /* the node's; there is this thread's */
  member->connection = vestry_connection_ref(connection);
  vsi_mutex_lock(&channel->lock);
  vestry_err error = vsi_members_add(&channel->members, member);
  vsi_lane *lane = lane_of(channel, connection);
  if (!error && lane) {
    if (!lane->coding)
      lane->coding = vsi_connection_coding(connection); /* once: it is read inside the turnstile without the lock */
    lane->members_count++;
  }
  vsi_mutex_unlock(&channel->lock);
  if (error) {
    member_unref(member);
    member_unref(member);
    return error;
  }
  error = vsi_connection_at_close(connection, &member->at_close);
  vsi_mutex_lock(&channel->lock);
  bool left = !member->in, entered = false; /* left: taken out before the node was registered */
  if (error && !left) entered = take_out_locked(channel, member);
  vsi_mutex_unlock(&channel->lock);
  if (entered) leave_turnstile(channel);
  if (error || (left && vsi_connection_cancel_at_close(connection, &member->at_close))) member_unref(member);
  member_unref(member);
  return error;
}

vestry_err vsi_channel_join(vsi_channel *channel, vestry_connection *connection) {
  if (!channel || !connection || !is_of(channel, connection)) return VESTRY_INVALID;
  vsi_member *member;
  vestry_err error = vsi_channel_reserve(channel, &member);
  return error ? error : vsi_channel_admit(member, connection);
}

/* Take one out: that of the connection, or any; false: there is none. */
static bool take_out(vsi_channel *channel, const vestry_connection *connection) {
  bool entered = false;
  vsi_mutex_lock(&channel->lock);
  vsi_member *member =
      connection ? vsi_members_find(&channel->members, connection) : TAILQ_FIRST(&channel->members.list);
  if (member) {
    VSI_REFS_TAKE(&member->refs); /* the node's is not dropped under the lock */
    entered = take_out_locked(channel, member);
  }
  vsi_mutex_unlock(&channel->lock);
  if (!member) return false;
  if (entered) leave_turnstile(channel);
  if (vsi_connection_cancel_at_close(member->connection, &member->at_close)) member_unref(member);
  member_unref(member);
  return true;
}

vestry_err vsi_channel_leave(vsi_channel *channel, vestry_connection *connection) {
  if (!channel || !connection) return VESTRY_INVALID;
  return take_out(channel, connection) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

void vsi_channel_destroy(vsi_channel *channel) {
  if (!channel) return;
  while (take_out(channel, NULL)) continue;
  enter(channel, true); /* a thread may still be inside, ending an encoder */
  leave_turnstile(channel);
  vsi_channel_unref(channel);
}

/* ---------------------------------------------------------------------------------------------- publishing -------- */

static size_t lane_members(vsi_channel *channel, const vsi_lane *lane) {
  vsi_mutex_lock(&channel->lock);
  size_t count = lane->members_count;
  vsi_mutex_unlock(&channel->lock);
  return count;
}

/* The event's bytes for aligned members, in each coding that members have. */
static void encode(vsi_channel *channel, publishing *p) {
  vsi_lane_bytes lanes[VSI_CODINGS_MAX];
  uint32_t count = 0;
  uint64_t epochs = 0, alone = 0, plain_bytes = 0, encoded_bytes = 0, encodes = 0;
  for (int i = 0; i < VSI_CODINGS_MAX; i++) {
    vsi_lane *lane = &channel->lanes[i];
    size_t members = lane_members(channel, lane);
    bool begun;
    uint64_t ended_alone;
    if (!members) continue;
    if (vsi_lane_encode(lane, p->event, members, channel->epoch_max_bytes, &lanes[count], &begun, &ended_alone)) {
      plain_bytes += lanes[count].aligned->plain_len;
      encoded_bytes += lanes[count++].aligned->len;
      encodes++;
    }
    epochs += begun;
    alone += ended_alone;
  }
  if (count && !(p->broadcast = vsi_broadcast_create(channel->host, p->event, lanes, count)))
    for (uint32_t i = 0; i < count; i++) { /* no stream gets this event of the epochs, so they end */
      alone += vsi_lane_end(&channel->lanes[lanes[i].coding->index]);
      vsi_lane_bytes_finish(&lanes[i]);
    }
  vsi_mutex_lock(&channel->lock);
  channel->sums.encodes_count += encodes;
  channel->sums.plain_bytes += plain_bytes;
  channel->sums.encoded_bytes += encoded_bytes;
  channel->stats.epochs_count += epochs;
  channel->stats.alone_count += alone;
  vsi_mutex_unlock(&channel->lock);
}

static void note(publishing *p, vestry_err error) {
  if (!p->error && error != VESTRY_CLOSED) p->error = error;
}

static void fill_spares(const vsi_channel *channel, publishing *p) {
  while (p->spares < CHUNK && p->spares < p->left) {
    vsi_delivery *delivery = vsi_alloc(channel->host, sizeof *delivery);
    if (!delivery) return;
    p->spare[p->spares++] = delivery;
  }
}

/* Of few streams each is timed, of many one in 16: a clock that is read for all is felt. They take turns. */
static vsi_delivery_times times_of(const publishing *p, const vsi_member *member) {
  const bool is_timed = !p->turn || (member->number + p->turn) % VSI_GROUP_TALLY_ONE_IN == 0;
  return is_timed ? p->times : (vsi_delivery_times){.stamp = 0};
}

/* Put the event into one queue. */
static vestry_err post_locked(publishing *p, const vsi_member *member) {
  if (!p->spares) return VESTRY_NO_MEMORY;
  vsi_delivery *delivery = p->spare[p->spares - 1];
  vestry_event *event = member->is_fresh ? p->plain : p->event;
  vsi_broadcast *broadcast = event == p->event ? p->broadcast : NULL;
  /* Counted first: a runner may have it before the post returns. */
  if (broadcast)
    *delivery = (vsi_delivery){.event = event, .broadcast = vsi_broadcast_ref(broadcast), .times = times_of(p, member)};
  else
    *delivery = (vsi_delivery){.event = vestry_event_ref(event), .times = times_of(p, member)};
  vestry_err error = vsi_connection_post(member->connection, delivery);
  if (!error)
    p->spares--;
  else if (broadcast)
    vsi_broadcast_unref(broadcast); /* never the last: p's own is left, and so is the caller's of the event */
  else
    vestry_event_unref(event);
  return error;
}

/* The next members, at most CHUNK. Returns how many. */
static size_t post_chunk(vsi_channel *channel, publishing *p) {
  size_t count = 0;
  vsi_mutex_lock(&channel->lock);
  while (count < CHUNK && channel->cursor && channel->cursor->number <= p->last_number) {
    const vsi_member *member = channel->cursor;
    vestry_connection *connection = member->connection;
    channel->cursor = TAILQ_NEXT(member, in_order);
    vestry_err error = post_locked(p, member);
    channel->stats.accepted_count += !error;
    channel->stats.refused_count += error && error != VESTRY_CLOSED;
    p->said[count] = error;
    p->roused[count++] = vestry_connection_ref(connection);
  }
  p->left -= count;
  vsi_mutex_unlock(&channel->lock);
  return count;
}

static void rouse_chunk(publishing *p, size_t count) {
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = p->roused[i];
    vsi_connection_posted(connection, p->said[i]);
    if (p->is_kept && p->said[i]) /* it would claim by the next id to have this one */
      vestry_connection_close(connection, p->said[i] == VESTRY_FULL ? VESTRY_CAUSE_FULL : VESTRY_CAUSE_ERROR);
    if (!p->said[i])
      p->sent++;
    else if (vestry_connection_is_open(connection) && p->refused && p->said[i] != VESTRY_CLOSED)
      p->refused(connection, p->said[i], p->refused_ctx);
    else if (vestry_connection_is_open(connection))
      note(p, p->said[i]);
    vestry_connection_unref(connection);
  }
}

/* What members are sent of a channel with a history: a reference, or NULL. */
static vestry_event *take_id(vsi_channel *channel, publishing *p) {
  vsi_history *history = atomic_load_explicit(&channel->history, memory_order_relaxed); /* inside the turnstile */
  p->is_kept = history;
  if (!history) return NULL;
  vestry_event *own = vsi_history_take(history, p->event, vsi_now_ns(channel->host));
  if (own) p->event = own;
  return own;
}

vestry_err vsi_channel_publish(vsi_channel *channel, vestry_event *event, size_t *ret_sent_count) {
  return vsi_channel_publish_telling(channel, event, 0, NULL, NULL, ret_sent_count);
}

vestry_err vsi_channel_publish_telling(vsi_channel *channel, vestry_event *event, uint64_t changed_ns,
                                       vsi_refused_fn refused, void *ctx, size_t *ret_sent_count) {
  if (ret_sent_count) *ret_sent_count = 0;
  if (!channel || !event) return VESTRY_INVALID;
  publishing p;
  p.event = p.plain = event;
  p.times = vsi_group_tally_change(channel->host, changed_ns);
  p.broadcast = NULL;
  p.sent = p.spares = 0;
  p.error = VESTRY_OK;
  p.refused = refused;
  p.refused_ctx = ctx;
  vestry_err error = vsi_channel_go_in(channel);
  if (error) return error;
  vestry_event *own = take_id(channel, &p);
  vsi_mutex_lock(&channel->lock);
  channel->stats.published_count++;
  channel->cursor = TAILQ_FIRST(&channel->members.list);
  p.last_number = channel->members.last_number;
  p.left = channel->members.by_connection.count;
  p.turn = p.left > VSI_GROUP_TALLY_ONE_IN ? channel->stats.published_count : 0;
  vsi_mutex_unlock(&channel->lock);
  encode(channel, &p);
  size_t count;
  do {
    fill_spares(channel, &p);
    count = post_chunk(channel, &p);
    rouse_chunk(&p, count);
  } while (count);
  vsi_channel_come_out(channel);
  while (p.spares) vsi_free(channel->host, p.spare[--p.spares]);
  vsi_broadcast_unref(p.broadcast);
  vestry_event_unref(own);
  if (ret_sent_count) *ret_sent_count = p.sent;
  return p.error;
}

void vsi_channel_look(vsi_channel *channel, vestry_channel_stats *ret_stats, vsi_channel_sums *ret_sums) {
  vsi_mutex_lock(&channel->lock);
  *ret_stats = channel->stats;
  ret_stats->members_count = channel->members.by_connection.count;
  *ret_sums = channel->sums;
  vsi_mutex_unlock(&channel->lock);
}

void vsi_channel_stats_get(vsi_channel *channel, vestry_channel_stats *ret_stats) {
  bool entered = enter(channel, !publishes_inside);
  vestry_channel_stats stats;
  vsi_channel_sums sums;
  vsi_channel_look(channel, &stats, &sums);
  if (entered) { /* otherwise another thread uses the lanes */
    for (int i = 0; i < VSI_CODINGS_MAX; i++)
      if (channel->lanes[i].epoch)
        stats.alone_count += atomic_load_explicit(&channel->lanes[i].epoch->alone, memory_order_relaxed);
    leave_turnstile(channel);
  }
  VSI_RESULT_GIVE(vestry_channel_stats, ret_stats, stats);
}
