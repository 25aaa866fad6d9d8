/* SPDX-License-Identifier: MIT */
/* Observing the streams of a connection: which streams share it, its windows, and the reason why bytes wait. */
#include "support/listed.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/layout.h"
#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/channel.h"

enum { WINDOW = 65535, BYTES = 300000, MUCH = 1 << 20 };

static vsi_server s;
static vestry_observe *observe;

static void begin(const server_settings *settings) {
  server_start(&s, settings);
  assert_int_equal(vestry_observe_create(s.v, &(vestry_observe_options){.trusts_loopback = true}, &observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(observe, "/observe"), VESTRY_OK);
}

static void end(frames_client *c) {
  frames_close(c);
  vsi_server_stop_adapter(&s);
  vestry_observe_destroy(observe);
  vsi_server_finish(&s);
}

/* Read a member of a stream; -1: it is null. */
static int64_t number_of(uint64_t id, const char *name) {
  json_auto_t *info = listed_stream(observe, id);
  return listed_number(info, name);
}

/* Check what a stream waits for; NULL: nothing. */
static bool waits_for(uint64_t id, const char *what) {
  json_auto_t *info = listed_stream(observe, id);
  const char *found = listed_text(info, "waits_for");
  return what ? found && strcmp(found, what) == 0 : !found;
}

/* The stream has a connection from its first frame on. */
static bool has_connection(uint64_t id) {
  json_auto_t *info = listed_stream(observe, id);
  return json_object_get(info, "connection");
}

/* Open a stream of events. Returns its id at the instance; number: how many were opened before. */
static uint64_t open_stream(frames_client *c, uint32_t stream, size_t number) {
  frames_open(c, stream);
  assert_true(vsi_recorder_wait_opened(&s.recorder, number + 1));
  const uint64_t id = vestry_connection_look(vsi_recorder_connection(&s.recorder, number)).id;
  UNTIL(has_connection(id));
  return id;
}

static void send_much(size_t number) {
  char *large = malloc(BYTES);
  memset(large, 'x', BYTES);
  assert_int_equal(vestry_connection_patch_elements(vsi_recorder_connection(&s.recorder, number), large, BYTES, NULL),
                   VESTRY_OK);
  free(large);
}

/* Return the number of streams of a connection; 0: of all. */
static size_t streams_of(uint64_t connection_id) {
  char query[64] = "";
  if (connection_id) snprintf(query, sizeof query, "connection=%" PRIu64, connection_id);
  json_auto_t *all = listed(observe, vsi_list_streams, query);
  return json_array_size(json_object_get(all, "streams"));
}

/* capability: H1 */
TEST_CASE(streams_of_a_connection_have_its_number) {
  frames_client a, b;
  begin(NULL);
  frames_connect(&a, s.port, 0);
  frames_connect(&b, s.port, 0);
  const uint64_t first = open_stream(&a, 1, 0), second = open_stream(&a, 3, 1), other = open_stream(&b, 1, 2);
  assert_int_equal(number_of(second, "connection"), first);
  assert_int_equal(number_of(second, "connection_streams_count"), 2);
  assert_true(waits_for(second, NULL));
  assert_int_equal(number_of(second, "unsent_bytes"), 0);
  assert_int_equal(number_of(second, "stream_window_bytes"), WINDOW);
  assert_int_equal(number_of(second, "connection_window_bytes"), WINDOW);
  assert_true(number_of(second, "unacknowledged_bytes") >= 0);
  assert_int_equal(number_of(other, "connection"), other);
  assert_int_equal(streams_of(first), 2);
  assert_int_equal(streams_of(other), 1);
  assert_int_equal(streams_of(0), 3);
  frames_send_number(&a, FRAME_RST_STREAM, 1, 8);
  UNTIL(number_of(second, "connection_streams_count") == 1);
  assert_int_equal(number_of(second, "connection"), first); /* also after its end */
  frames_close(&b);
  end(&a);
}

/* capability: H1 */
TEST_CASE(unread_stream_waits_for_its_window) {
  frames_client c;
  begin(NULL);
  frames_connect(&c, s.port, 0);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, MUCH);
  const uint64_t first = open_stream(&c, 1, 0), second = open_stream(&c, 3, 1);
  send_much(0);
  UNTIL(waits_for(first, "stream window"));
  assert_int_equal(number_of(first, "stream_window_bytes"), 0);
  assert_int_equal(number_of(first, "connection_window_bytes"), MUCH);
  assert_true(number_of(first, "unsent_bytes") > 0);
  assert_true(waits_for(second, NULL));
  assert_int_equal(number_of(second, "stream_window_bytes"), WINDOW);
  end(&c);
}

/* capability: H1 */
TEST_CASE(unread_connection_makes_its_streams_wait) {
  frames_client c;
  begin(NULL);
  frames_connect(&c, s.port, 2 * BYTES);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, 1); /* it is raised: bytes are unread, not withheld (data.c) */
  const uint64_t first = open_stream(&c, 1, 0), second = open_stream(&c, 3, 1);
  send_much(0);
  UNTIL(waits_for(first, "connection window"));
  /* Its share is used up, and the other stream gets one of the rest. */
  const int64_t left = number_of(first, "connection_window_bytes");
  assert_true(left > WINDOW / 3 && left < WINDOW / 2);
  assert_true(waits_for(second, NULL));
  send_much(1);
  UNTIL(waits_for(second, "connection window"));
  assert_true(number_of(second, "connection_window_bytes") < left);
  assert_true(number_of(second, "stream_window_bytes") > 2 * BYTES - left);
  end(&c);
}

/* capability: H1 */
TEST_CASE(full_socket_makes_streams_wait) {
  frames_client c;
  begin(&(server_settings){.options.connection = &(vestry_connection_options){.max_queued_bytes = 64 * MUCH}});
  frames_connect(&c, s.port, INT32_MAX);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 0, INT32_MAX - WINDOW);
  const uint64_t first = open_stream(&c, 1, 0);
  /* The buffers of both sockets take several megabytes. */
  for (int i = 0; !waits_for(first, "socket"); i++) {
    if (i < 100) send_much(0);
    sched_yield();
  }
  assert_true(number_of(first, "unacknowledged_bytes") > 0);
  end(&c);
}

/* Reads the events of a stream, whose signal `a` counts them. */
typedef struct reader {
  frames_client c;
  uint32_t stream;
  unsigned received;
  size_t kept;
  char text[2 * FRAME_MOST_BYTES];
} reader;

static void read_until(reader *r, unsigned count) {
  char wanted[32];
  while (r->received < count) {
    assert_true(frames_wait(&r->c, FRAME_DATA, r->stream));
    memcpy(r->text + r->kept, r->c.last.bytes, r->c.last.len);
    r->kept += r->c.last.len;
    r->text[r->kept] = '\0';
    char *at = r->text;
    for (char *next; (next = strstr(at, "\n\n")) != NULL; at = next + 2, r->received++) {
      snprintf(wanted, sizeof wanted, "{\"a\":\"%u.0", r->received);
      const char *found = strstr(at, wanted);
      assert_true(found && found < next);
    }
    r->kept -= (size_t)(at - r->text);
    memmove(r->text, at, r->kept);
  }
}

/* Connect, and open a stream whose windows are never used up. */
static uint64_t open_reader(reader *r, bool is_tls, uint32_t stream, size_t number) {
  static const char *const protocols[] = {"h2", NULL};
  if (is_tls)
    assert_int_equal(frames_reach_tls(&r->c, s.port, &(tls_hello){.protocols = protocols}), 0);
  else
    frames_reach(&r->c, s.port);
  r->stream = stream;
  r->received = 0;
  r->kept = 0;
  frames_begin(&r->c, INT32_MAX);
  frames_send_number(&r->c, FRAME_WINDOW_UPDATE, 0, INT32_MAX - WINDOW);
  return open_stream(&r->c, stream, number);
}

/* Small events go in batches of the runtime, whose sends may find the socket full. What it did not take is sent later,
 * in order. The client reads only when the socket is full. */
TEST_CASE(batched_events_survive_a_full_socket) {
  static const vestry_connection_options queues = {.max_queued_count = 1000000, .max_queued_bytes = 64 * MUCH};
  for (int is_tls = 0; is_tls < 2; is_tls++) {
    static reader r;
    char json[300];
    unsigned sent = 0;
    begin(&(server_settings){.adapter.lost_ms = VESTRY_NEVER_MS, .options.connection = &queues, .is_tls = is_tls});
    const uint64_t id = open_reader(&r, is_tls, 1, 0);
    for (unsigned more = 0; more < 10; sent++) {
      snprintf(json, sizeof json, "{\"a\":\"%u.%0200d\"}", sent, 0);
      vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), json);
      UNTIL(!number_of(id, "queued_count") || waits_for(id, "socket"));
      more += waits_for(id, "socket");
    }
    read_until(&r, sent);
    end(&r.c);
  }
}

/* Without TLS, the first two streams are sent equal frames in one batch, and the third one another frame. What the full
 * socket of the second does not take is still its own. */
TEST_CASE(a_full_socket_keeps_its_own_bytes_beside_equal_ones) {
  enum { READERS = 3, FULL = 1 };
  static const vestry_connection_options queues = {.max_queued_count = 1000000, .max_queued_bytes = 64 * MUCH};
  static reader all[READERS];
  uint64_t id[READERS];
  char json[1900];
  for (int is_tls = 0; is_tls < 2; is_tls++) {
    unsigned sent = 0;
    begin(&(server_settings){
        .adapter.lost_ms = VESTRY_NEVER_MS, .is_tls = is_tls, .options = {.connection = &queues, .threads_count = 1}});
    for (size_t i = 0; i < READERS; i++) {
      id[i] = open_reader(&all[i], is_tls, i == 2 ? 3 : 1, i);
      assert_int_equal(vestry_join(s.v, (vestry_scope){0}, VESTRY_KEY("all"), vsi_recorder_connection(&s.recorder, i)),
                       VESTRY_OK);
    }
    for (int rounds = 0; rounds < 3; rounds++) {
      for (bool is_full = false; !is_full; sent++) {
        snprintf(json, sizeof json, "{\"a\":\"%u.%01800d\"}", sent, 0);
        vestry_event *event = NULL;
        assert_int_equal(vsi_event_signals_text(&s.th.host, json, strlen(json), NULL, &event), VESTRY_OK);
        assert_int_equal(vestry_broadcast(s.v, (vestry_scope){0}, VESTRY_KEY("all"), event, NULL), VESTRY_OK);
        vestry_event_unref(event);
        for (size_t i = 0; i < READERS; i++)
          if (i != FULL) read_until(&all[i], sent + 1);
        UNTIL(!number_of(id[FULL], "queued_count") || waits_for(id[FULL], "socket"));
        is_full = waits_for(id[FULL], "socket");
      }
      read_until(&all[FULL], sent);
    }
    for (size_t i = 1; i < READERS; i++) frames_close(&all[i].c);
    end(&all[0].c);
  }
}
