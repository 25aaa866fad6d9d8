/* SPDX-License-Identifier: MIT */
/* A viewer of a tail is a stream with a watch. Its steps take the events that wait in the tail and send them, on a
 * thread of the runtime other than the runner of the observed stream. A viewer that reads slowly slows only
 * its own steps. Events for which the tail, or later the viewer's queue, has no room are left out and counted, and the
 * viewer receives that number. An event becomes larger as JSON, so a step stops when the queue is half full. */
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "connection/connection.h"
#include "ops/observe/inside.h"
#include "ops/observe/stream_tail.h"
#include "vestry/app/watch.h"

enum { EVENTS_A_STEP = 32, LOOK_MS = 1000, ROOM_MS = 100 /* after which a half-full queue is looked at again */ };

typedef struct tail_view {
  vsi_showing showing; /* first member */
  vsi_tail *tail;
  uint64_t stream_id;        /* whose tail it is */
  uint64_t unreported_count; /* of left-out events, which the viewer has not received */
  uint64_t ends_ns;
} tail_view;

/* --------------------------------------------------------------------------------------------- events ------------- */

static bool is_without_room(vestry_err error) {
  return error == VESTRY_FULL || error == VESTRY_TOO_LARGE;
}

/* why: "closed" with its cause, or "time". */
static vestry_err send_end(vestry_connection *connection, const char *why, vestry_cause cause) {
  vestry_err error = vsi_report_send_object(
      connection, "end", VESTRY_OBJECT("why", why, "cause", vsi_report_text(cause ? vestry_cause_name(cause) : NULL)));
  return is_without_room(error) ? VESTRY_OK : error; /* the tail ends in any case */
}

static vestry_err send_left_out(tail_view *viewer, vestry_connection *connection) {
  if (!viewer->unreported_count) return VESTRY_OK;
  vestry_err error = vsi_report_send_object(connection, "left-out", VESTRY_OBJECT("count", viewer->unreported_count));
  if (is_without_room(error)) return VESTRY_OK; /* the next step reports it */
  viewer->unreported_count = 0;
  return error;
}

static vestry_err send_tail_event(tail_view *viewer, vestry_connection *connection, const vsi_tail_event *event) {
  vsi_report report;
  const vestry_slice bytes = vestry_event_bytes(event->event);
  const bool is_cut = bytes.len > VESTRY_TAIL_EVENT_BYTES;
  vsi_report_begin(&report, viewer->showing.observe->v->host);
  vsi_report_put_bytes(&report, "text", bytes.data,
                       is_cut ? vsi_utf8_trim(bytes.data, VESTRY_TAIL_EVENT_BYTES) : bytes.len);
  vsi_report_put(&report, VESTRY_OBJECT("bytes", bytes.len, "cut", is_cut, "written", event->was_written));
  vestry_err error = vsi_report_send(&report, connection, "event");
  if (!is_without_room(error)) return error;
  viewer->unreported_count++;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ steps ----------- */

static vestry_err begin_view(tail_view *viewer, vestry_connection *connection) {
  viewer->ends_ns = vsi_add_saturating(vsi_now_ns(viewer->showing.observe->v->host), vsi_ms_to_ns(VESTRY_TAIL_MS));
  vsi_showing_begin(&viewer->showing, connection);
  vsi_tail_rouse(viewer->tail, vestry_connection_wake, connection);
  return vsi_report_send_object(connection, "begin",
                                VESTRY_OBJECT("stream", viewer->stream_id, "ends_in_ms", VESTRY_TAIL_MS));
}

static bool has_room_for_tail(const vestry_connection *connection) {
  size_t bytes;
  vsi_queue_load(&connection->queue, NULL, &bytes, NULL);
  return bytes <= connection->max_queued_bytes / 2;
}

/* The step of the viewer's watch: send the events that wait, and the end of the tail. */
static vestry_err step_tail(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  tail_view *viewer = ctx;
  vestry_err error = vestry_watch_is_first(watcher) ? begin_view(viewer, connection) : VESTRY_OK;
  vsi_tail_event event = {.event = NULL};
  int count = 0;
  bool is_empty = false;
  for (; !error && count < EVENTS_A_STEP && has_room_for_tail(connection); count++) {
    is_empty = !vsi_tail_take(viewer->tail, &event);
    viewer->unreported_count += event.left_out_count;
    if (is_empty) break;
    error = send_tail_event(viewer, connection, &event);
    vestry_event_unref(event.event);
  }
  if (!error) error = send_left_out(viewer, connection);
  if (error) return error;
  if (vsi_now_ns(viewer->showing.observe->v->host) >= viewer->ends_ns) {
    error = send_end(connection, "time", VESTRY_CAUSE_NONE);
    vestry_watch_finish(watcher);
  } else if (!is_empty) {
    vestry_watch_wait(watcher, count == EVENTS_A_STEP ? 0 : ROOM_MS);
  } else if (event.cause) {
    error = send_end(connection, "closed", event.cause);
    vestry_watch_finish(watcher);
  }
  return error;
}

static void end_tail(vestry_cause cause, void *ctx) {
  tail_view *viewer = ctx;
  (void)cause;
  vsi_tail_end(viewer->tail);
  vsi_showing_destroy(&viewer->showing);
}

/* ---------------------------------------------------------------------------------------------- request ----------- */

static vestry_err make_view(vestry_observe *observe, vestry_connection *connection, tail_view **ret_viewer) {
  vsi_showing *showing;
  vestry_err error = vsi_showing_create(observe, sizeof(tail_view), &showing);
  if (error) return error;
  tail_view *made = (tail_view *)showing;
  made->stream_id = connection->id;
  error = vsi_tail_begin(connection, &made->tail);
  if (error)
    vsi_showing_destroy(showing);
  else
    *ret_viewer = made;
  return error;
}

static vestry_err refuse_tail(vestry_reply *reply, vestry_err error) {
  switch (error) {
  case VESTRY_NOT_FOUND:
  case VESTRY_CLOSED: return vsi_show_text(reply, 404, "no open stream has this number\n");
  case VESTRY_INVALID: return vsi_show_text(reply, 409, "this stream is a tail or a console, and has no tail\n");
  case VESTRY_LIMIT: return vsi_show_text(reply, 503, "too many tails are open: close one\n");
  default: return error;
  }
}

vestry_err vsi_observe_tail(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  int64_t id;
  if (!vsi_may_see_tails(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&id, 1, INT64_MAX)))
    return vsi_show_text(reply, 400, "the number of a stream consists of digits\n");
  vestry_connection *connection = vsi_group_find(observe->v->group, (uint64_t)id);
  tail_view *viewer = NULL;
  vestry_err error = connection ? make_view(observe, connection, &viewer) : VESTRY_NOT_FOUND;
  vestry_connection_unref(connection);
  if (error) return refuse_tail(reply, error);
  vestry_reply_any_client(reply);
  return vestry_reply_watch(
      reply, &(vestry_watch){
                 .step = step_tail, .end = end_tail, .ctx = viewer, .every_ms = LOOK_MS, .ahead_count = EVENTS_A_STEP});
}
