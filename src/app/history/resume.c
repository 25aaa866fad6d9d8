/* SPDX-License-Identifier: MIT */
/* essay: a stream that joins where it left off, and a gap that lasts until it is filled */
/* Resuming a stream where it left off.
 *
 * While the channel's semaphore is held, no event is published. So the events that the stream has missed are put into
 * its queue, and the stream becomes a member, with nothing in between. If its queue has no room for all of them, it
 * gets none of them, and a gap is reported.
 *
 * The application answers a gap by sending the state, while other threads publish. An event published meanwhile stands
 * in the stream's queue before or after the state. Its id would claim that the stream has everything up to this event,
 * but the stream may break before the state arrives. So these events go to the stream without ids. After the state, the
 * id of the last event is put into the queue while the semaphore is held, so that all events up to it precede the id. A
 * stream that breaks before it has seen this id must not return with its old id, as if no part of the state had
 * arrived. Therefore, the first event in its queue is an id that always results in a gap. */
#include "app/history/resume.h"

#include "base/memory.h"
#include "connection/connection.h"
#include "connection/send.h"

/* The progress of a resume. */
typedef struct resuming {
  vestry_resume_answer answer;
  size_t count;  /* number of replayed events */
  bool is_sent;  /* an event is in its queue */
  bool is_fresh; /* the application sends the state; then the stream gets an id */
} resuming;

static vsi_history *history_of(const vsi_channel *channel) {
  return (vsi_history *)atomic_load_explicit(&channel->recording, memory_order_relaxed); /* the semaphore is held */
}

static bool has_room(const vestry_connection *connection, size_t len) {
  uint32_t count;
  size_t bytes;
  vsi_queue_load(&connection->queue, &count, &bytes, NULL);
  return count < connection->queue.max_count && len <= connection->max_queued_bytes &&
         bytes <= connection->max_queued_bytes - len;
}

/* Put an event, and drop the reference to it. Checks for room first, because a full queue would count the event as a
 * refused send. */
static bool put_event(vestry_connection *connection, vestry_event *event) {
  bool is_put = has_room(connection, vestry_event_bytes(event).len) && !vsi_connection_put(connection, &event, 1, 0);
  vestry_event_unref(event);
  return is_put;
}

static bool put_mark(const vsi_history *history, bool is_current, vestry_connection *connection) {
  vestry_event *mark;
  return !vsi_history_mark(history, is_current, &mark) && put_event(connection, mark);
}

/* Put the last count events into the stream's queue. Returns whether the queue has accepted them. */
static bool replay(const vsi_history *history, size_t count, vestry_connection *connection, size_t *ret_bytes) {
  vestry_event *event;
  if (vsi_history_missed(history, count, &event)) return false;
  *ret_bytes = vestry_event_bytes(event).len;
  return put_event(connection, event);
}

/* Put the missed events into the stream's queue. OK | FULL: not even the gap could be sent */
static vestry_err catch_up(vsi_history *history, vestry_connection *connection, const vsi_history_last *last,
                           bool has_state, resuming *r) {
  uint64_t now_ns = vsi_now_ns(history->host);
  size_t bytes = 0;
  vsi_history_settle(history);
  vsi_history_expire(history, now_ns);
  history->used_ns = now_ns;
  r->answer = vsi_history_answer(history, last, &r->count);
  if (r->count && !(r->is_sent = replay(history, r->count, connection, &bytes))) {
    r->answer = VESTRY_RESUME_GAP;
    r->count = bytes = 0;
  }
  bool is_over = r->answer == VESTRY_RESUME_FRESH || r->answer == VESTRY_RESUME_GAP;
  r->is_fresh = is_over && has_state;
  if (is_over && (r->answer == VESTRY_RESUME_GAP || !has_state)) {
    r->is_sent = put_mark(history, !has_state, connection);
    if (!r->is_sent) return VESTRY_FULL;
  }
  vsi_history_count(history, r->answer, r->count, bytes);
  return VESTRY_OK;
}

/* Put the id of the last event after the state, which is in the stream's queue. If the queue has no room, the next
 * event brings the first id; a stream that breaks before that has a gap again. */
static void give_id(vsi_channel *channel, vestry_connection *connection) {
  vsi_channel_let_claim(channel, connection);
  if (vsi_channel_go_in(channel)) return;
  vsi_history *history = history_of(channel);
  if (history) vsi_history_settle(history);
  bool is_sent = history && put_mark(history, true, connection);
  vsi_channel_come_out(channel);
  if (is_sent) vsi_connection_posted(connection, VESTRY_OK);
}

/* Catch up and join while the semaphore is held. Takes the member. */
static vestry_err let_in(vsi_member *member, vestry_connection *connection, const vsi_history_last *last,
                         bool has_state, resuming *r) {
  vsi_channel *channel = member->channel;
  vsi_history *history = history_of(channel);
  vestry_err error = vsi_channel_has(channel, connection) ? VESTRY_EXISTS : VESTRY_OK;
  if (!error && !vestry_connection_is_open(connection)) error = VESTRY_CLOSED;
  if (!error && history) error = catch_up(history, connection, last, has_state, r);
  if (error) {
    vsi_member_unref(member);
    return error;
  }
  member->is_fresh = r->is_fresh;
  return vsi_channel_admit(member, connection);
}

vestry_err vsi_channel_resume(vsi_channel *channel, vestry_connection *connection, const vsi_history_last *last,
                              vestry_resume_fn on_resume, void *ctx) {
  resuming r = {.answer = VESTRY_RESUME_GAP};
  vsi_member *member;
  vestry_err error = vsi_channel_reserve(channel, &member);
  if (error) return error;
  error = vsi_channel_go_in(channel);
  if (error) {
    vsi_member_unref(member);
  } else {
    error = let_in(member, connection, last, on_resume, &r);
    vsi_channel_come_out(channel);
  }
  if (r.is_sent) vsi_connection_posted(connection, VESTRY_OK);
  if (!error && on_resume) {
    error = on_resume(connection, &(vestry_resumed){r.answer, r.count}, ctx);
    /* The stream must not continue without the current state: its client reconnects. */
    if (error) vestry_connection_close(connection, VESTRY_CAUSE_ERROR);
  }
  if (!error && r.is_fresh) give_id(channel, connection);
  return error;
}
