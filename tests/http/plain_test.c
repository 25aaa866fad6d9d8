/* SPDX-License-Identifier: MIT */
/* capability: K14 */
/* Plain events to readers that are not Datastar: opened by any client, sent through the queue, channels and effects,
 * with states. */
#include "serve/wire.h"
#include "vestry/app/history.h"
#include "vestry/channel.h"
#include "vestry/dispatch.h"

static vestry_err readings(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  vestry_reply_key(reply, ROOM("readings"));
  if (app) vestry_reply_stream(reply, &(vestry_stream_options){.connection = app});
  vestry_err error = vestry_reply_join(reply, NOWHERE, ROOM("channel"));
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* Request like an EventSource: without Datastar's header. */
static void read_from(site *w, wire *r, void *stream) {
  *r = (wire){.headers = {{"Accept", "text/event-stream"}}};
  wire_request(w, r, readings, stream);
  assert_int_equal(r->status, 200);
  assert_true(wire_has_header(r, "Content-Type: text/event-stream"));
}

static void broadcast(site *w, const char *name, const char *data) {
  assert_int_equal(vestry_broadcast_effect(w->v, NOWHERE, ROOM("channel"), VESTRY_LIST("send-event", name, data)),
                   VESTRY_OK);
}

TEST_CASE(plain_events_reach_any_client) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r, other;
  read_from(&w, &r, NULL);
  read_from(&w, &other, NULL);
  assert_int_equal(vestry_connection_effects(r.connection, VESTRY_LIST("send-event", "reading", "21\n22")), VESTRY_OK);
  assert_int_equal(vestry_connection_effects(r.connection, VESTRY_LIST("send-event", "a\nb", "")), VESTRY_INVALID);
  assert_int_equal(
      vestry_dispatch(w.v, NOWHERE, ROOM("readings"), VESTRY_LIST("send-event", "reading", VESTRY_OBJECT("t", 23))),
      VESTRY_OK);
  broadcast(&w, "", "all");
  site_settle(&w);
  wire_assert_text(&r, ":\n\nevent: reading\ndata: 21\ndata: 22\n\nevent: reading\ndata: {\"t\":23}\n\ndata: all\n\n");
  wire_assert_text(&other, ":\n\nevent: reading\ndata: {\"t\":23}\n\ndata: all\n\n");
  assert_true(vestry_connection_close(r.connection, VESTRY_CAUSE_CLOSED));
  assert_int_equal(vestry_connection_effects(r.connection, VESTRY_LIST("send-event", "reading", "24")), VESTRY_CLOSED);
  wires_end(&w, &r, &other);
}

/* The id that an EventSource sends when it reconnects resumes a history. */
static vestry_err resumed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  vestry_err error = vestry_reply_resume(reply, NOWHERE, ROOM("channel"), NULL, NULL);
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

TEST_CASE(reconnecting_client_resumes_plain_events) {
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_history_begin(w.v, NOWHERE, ROOM("channel"), NULL), VESTRY_OK);
  wire first = {0};
  wire_request(&w, &first, resumed, NULL);
  broadcast(&w, "n", "1");
  broadcast(&w, "n", "2");
  site_settle(&w);
  assert_int_equal(wire_count(&first, "event: n\ndata: "), 2);
  /* The id after the first event. */
  const char *at = strstr(first.text, "data: 1\n\nid: ");
  assert_non_null(at);
  char id[64];
  assert_int_equal(sscanf(at, "data: 1\n\nid: %63s", id), 1);
  wire again = {.headers = {{"Last-Event-ID", id}}};
  wire_request(&w, &again, resumed, NULL);
  site_settle(&w);
  assert_int_equal(wire_count(&again, "event: n\ndata: 2\n\n"), 1);
  assert_int_equal(wire_count(&again, "data: 1\n"), 0);
  wires_end(&w, &first, &again);
}

/* A slow reader receives each plain event, in order; of the events between them that show a state, the latest. */
TEST_CASE(plain_events_are_never_dropped) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_connection_options slow = {.max_queued_count = 40, .heartbeat_ms = VESTRY_NEVER_MS};
  static const vestry_elements_options shows = {.state = "d"};
  wire r;
  read_from(&w, &r, &slow);
  r.write_io = VESTRY_IO_WOULD_BLOCK; /* so nothing is taken from the queue until all is sent */
  char expected[4096] = "";
  for (int i = 0; i < 60; i++) {
    char text[64];
    if (i % 3 == 0) {
      snprintf(text, sizeof text, "%d", i);
      assert_int_equal(vestry_connection_effects(r.connection, VESTRY_LIST("send-event", "n", text)), VESTRY_OK);
      snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "event: n\ndata: %d\n\n", i);
    } else {
      assert_int_equal(vestry_connection_patch_elementsf(r.connection, &shows, "<div id=\"d\">%d</div>", i), VESTRY_OK);
    }
  }
  r.write_io = VESTRY_IO_OK;
  vestry_connection_writable(r.connection);
  site_settle(&w);
  char plain[4096] = "";
  for (const char *at = r.text, *end; *at; at = end + 2) {
    end = strstr(at, "\n\n");
    assert_non_null(end);
    if (strncmp(at, "event: n\n", 9) == 0) strncat(plain, at, (size_t)(end + 2 - at));
  }
  assert_string_equal(plain, expected);
  assert_in_range(wire_count(&r, "datastar-patch-elements"), 1, 20);
  wires_end(&w, &r);
}
