/* SPDX-License-Identifier: MIT */
/* What the server does with each violation of the protocol: RFC 9113 (frames, states, windows), RFC 7541 (compressed
 * heads) and RFC 9218 (priorities). A violation ends the session or its stream, with the code that the section of the
 * case's name requires, and nothing else. Heads are checked in requests_test.c. */
#include <string.h>
#include <sys/socket.h>

#include "h2/frames.h"
#include "h2/server.h"
#include "support/test.h"

enum { NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE, REFUSED, CANCEL };
enum { COMPRESSION = 9, LAST_STREAM = 99 };

static vsi_server s;

/* A frame to send. One of type RAW is sent as it is. */
enum { RAW = 255 };
typedef struct step {
  uint8_t type, flags;
  uint32_t stream;
  const char *bytes;
  size_t len;
} step;

#define TEXT(bytes) (bytes), sizeof(bytes) - 1
/* Heads as indices of the static table and literals without an index; the table has size 0. */
#define GET_ECHO                                                                                                       \
  "\x20\x82\x86\x01\x01"                                                                                               \
  "a"                                                                                                                  \
  "\x04\x05/echo"
#define POST_ECHO                                                                                                      \
  "\x20\x83\x86\x01\x01"                                                                                               \
  "a"                                                                                                                  \
  "\x04\x05/echo"
#define GET_STREAM                                                                                                     \
  "\x20\x82\x86\x01\x01"                                                                                               \
  "a"                                                                                                                  \
  "\x04\x07/stream"                                                                                                    \
  "\x00\x10"                                                                                                           \
  "datastar-request"                                                                                                   \
  "\x04"                                                                                                               \
  "true"
#define ENDS (FLAG_END_STREAM | FLAG_END_HEADERS)
#define GET(id)                                                                                                        \
  { FRAME_HEADERS, ENDS, id, TEXT(GET_ECHO) }
#define POST(id)                                                                                                       \
  { FRAME_HEADERS, FLAG_END_HEADERS, id, TEXT(POST_ECHO) }
#define STREAM(id)                                                                                                     \
  { FRAME_HEADERS, ENDS, id, TEXT(GET_STREAM) }
#define RESET(id)                                                                                                      \
  { FRAME_RST_STREAM, 0, id, TEXT("\0\0\0\x8") }
#define WINDOW(id, bytes)                                                                                              \
  { FRAME_WINDOW_UPDATE, 0, id, TEXT(bytes) }
#define SETTINGS(bytes)                                                                                                \
  { FRAME_SETTINGS, 0, 0, TEXT(bytes) }
#define LARGEST "\x7f\xff\xff\xff" /* 2^31 − 1 */

typedef enum outcome {
  SESSION, /* the session ends: GOAWAY with the code */
  ENDED,   /* the stream 1 ends: RST_STREAM with the code, or its session as above */
  SERVED   /* the stream 1 gets this status, unless it is 0, and the session goes on */
} outcome;

typedef struct rule {
  const char *name;
  outcome outcome;
  int64_t code;
  step steps[6];
} rule;

static const rule rules[] = {
    /* Frames. */
    {"4.1 frame of an unknown type is ignored", SERVED, 200, {{0x16, 0, 0, TEXT("12345678")}, GET(1)}},
    {"4.1 unknown flags are ignored", SERVED, 200, {{FRAME_PING, 0x16, 0, TEXT("12345678")}, GET(1)}},
    {"4.1 reserved bit is ignored", SERVED, 200, {{FRAME_PING, 0, 1U << 31, TEXT("12345678")}, GET(1)}},
    {"4.2 DATA beyond SETTINGS_MAX_FRAME_SIZE",
     ENDED,
     FRAME_SIZE,
     {POST(1), {RAW, 0, 0, TEXT("\0\x40\x01\0\0\0\0\0\x1")}}},
    {"4.2 HEADERS beyond SETTINGS_MAX_FRAME_SIZE", SESSION, FRAME_SIZE, {{RAW, 0, 0, TEXT("\0\x40\x01\1\5\0\0\0\x1")}}},
    {"4.2 SETTINGS beyond SETTINGS_MAX_FRAME_SIZE", SESSION, FRAME_SIZE, {{RAW, 0, 0, TEXT("\0\x40\x02\4\0\0\0\0\0")}}},
    {"4.3 PRIORITY inside a head",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, 0, 1, TEXT(GET_ECHO)}, {FRAME_PRIORITY, 0, 1, TEXT("\0\0\0\0\x1")}}},
    {"4.3 head of another stream inside a head", SESSION, PROTOCOL, {{FRAME_HEADERS, 0, 1, TEXT(GET_ECHO)}, GET(3)}},
    {"5.5 unknown frame inside a head",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, 0, 1, TEXT(GET_ECHO)}, {0x16, 0, 1, TEXT("1")}, {FRAME_CONTINUATION, ENDS, 1, TEXT("")}}},

    /* States of streams. */
    {"5.1 idle: DATA", SESSION, PROTOCOL, {{FRAME_DATA, 0, 1, TEXT("1")}}},
    {"5.1 idle: RST_STREAM", SESSION, PROTOCOL, {RESET(1)}},
    {"5.1 idle: WINDOW_UPDATE", SESSION, PROTOCOL, {WINDOW(1, "\0\0\0\x1")}},
    {"5.1 idle: CONTINUATION", SESSION, PROTOCOL, {{FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT(GET_ECHO)}}},
    {"5.1 half-closed: DATA", ENDED, STREAM_CLOSED, {STREAM(1), {FRAME_DATA, 0, 1, TEXT("1")}}},
    {"5.1 half-closed: HEADERS", ENDED, STREAM_CLOSED, {STREAM(1), GET(1)}},
    {"5.1 half-closed: CONTINUATION",
     SESSION,
     PROTOCOL,
     {STREAM(1), {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT(GET_ECHO)}}},
    {"5.1 half-closed: WINDOW_UPDATE, PRIORITY",
     SERVED,
     200,
     {STREAM(1), WINDOW(1, "\0\0\0\x1"), {FRAME_PRIORITY, 0, 1, TEXT("\0\0\0\0\x1")}}},
    {"5.1 closed: WINDOW_UPDATE, RST_STREAM, PRIORITY",
     SERVED,
     0,
     {STREAM(1), RESET(1), WINDOW(1, "\0\0\0\x1"), RESET(1), {FRAME_PRIORITY, 0, 1, TEXT("\0\0\0\0\x1")}}},
    {"5.1 closed: DATA after a reset is ignored", SERVED, 0, {POST(1), RESET(1), {FRAME_DATA, 1, 1, TEXT("1")}}},
    /* nghttp2 remembers no closed stream, so it cannot know whether the client has seen the reset of its trailers'
     * stream. It ignores these heads. */
    {"5.1 closed: HEADERS after a reset are ignored", SERVED, 0, {STREAM(1), RESET(1), GET(1)}},
    {"5.1 closed: CONTINUATION after a reset",
     SESSION,
     PROTOCOL,
     {STREAM(1), RESET(1), {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT(GET_ECHO)}}},
    {"5.1.1 even identifier", SESSION, PROTOCOL, {GET(2)}},
    {"5.1.1 identifier below the last one is ignored", SERVED, 0, {GET(5), GET(3)}},
    {"5.3.1 PRIORITY without meaning, of a stream that depends on itself",
     SERVED,
     200,
     {{FRAME_PRIORITY, 0, 1, TEXT("\0\0\0\x1\x1")}, GET(1)}},
    {"5.3.1 HEADERS with a dependency on itself",
     ENDED,
     PROTOCOL,
     {{FRAME_HEADERS, ENDS | 0x20, 1, TEXT("\0\0\0\x1\x10" GET_ECHO)}}},

    /* DATA and HEADERS. */
    {"6.1 DATA of the stream 0", SESSION, PROTOCOL, {POST(1), {FRAME_DATA, 0, 0, TEXT("1")}}},
    {"6.1 padding as long as the payload",
     SESSION,
     PROTOCOL,
     {POST(1), {FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1, TEXT("\x6test!")}}},
    {"6.1 padding longer than an empty payload", SESSION, PROTOCOL, {POST(1), {FRAME_DATA, FLAG_PADDED, 1, TEXT("")}}},
    {"6.1 padding is no content",
     SERVED,
     200,
     {POST(1),
      {FRAME_DATA, FLAG_PADDED | FLAG_END_STREAM, 1,
       TEXT("\x4"
            "1\0\0\0\0")}}},
    {"6.2 HEADERS of the stream 0", SESSION, PROTOCOL, {GET(0)}},
    {"6.2 padding longer than the head",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, ENDS | FLAG_PADDED, 1, TEXT("\x7f" GET_ECHO)}}},
    {"6.2 padding of a head is ignored",
     SERVED,
     200,
     {{FRAME_HEADERS, ENDS | FLAG_PADDED, 1, TEXT("\x3" GET_ECHO "\0\0\0")}}},
    {"6.2 priority in a head that is too short", SESSION, FRAME_SIZE, {{FRAME_HEADERS, ENDS | 0x20, 1, TEXT("\0\0")}}},

    /* PRIORITY and RST_STREAM. */
    {"6.3 PRIORITY of the stream 0", SESSION, PROTOCOL, {{FRAME_PRIORITY, 0, 0, TEXT("\0\0\0\x1\x1")}}},
    {"6.3 PRIORITY of 4 bytes", ENDED, FRAME_SIZE, {POST(1), {FRAME_PRIORITY, 0, 1, TEXT("\0\0\0\x1")}}},
    {"6.4 RST_STREAM of the stream 0", SESSION, PROTOCOL, {RESET(0)}},
    {"6.4 RST_STREAM of 3 bytes", SESSION, FRAME_SIZE, {STREAM(1), {FRAME_RST_STREAM, 0, 1, TEXT("\0\0\x8")}}},
    {"7 RST_STREAM with an unknown code", SERVED, 0, {STREAM(1), {FRAME_RST_STREAM, 0, 1, TEXT("\0\0\0\xff")}}},

    /* SETTINGS. */
    {"6.5 ACK with a payload", SESSION, FRAME_SIZE, {{FRAME_SETTINGS, FLAG_ACK, 0, TEXT("\0\3\0\0\0\1")}}},
    {"6.5 SETTINGS of a stream", SESSION, PROTOCOL, {{FRAME_SETTINGS, 0, 1, TEXT("\0\3\0\0\0\1")}}},
    {"6.5 SETTINGS of 3 bytes", SESSION, FRAME_SIZE, {SETTINGS("\0\3\0")}},
    {"6.5.2 ENABLE_PUSH neither 0 nor 1", SESSION, PROTOCOL, {SETTINGS("\0\2\0\0\0\2")}},
    {"6.5.2 INITIAL_WINDOW_SIZE above 2^31 − 1", SESSION, FLOW_CONTROL, {SETTINGS("\0\4\x80\0\0\0")}},
    {"6.5.2 MAX_FRAME_SIZE below 2^14", SESSION, PROTOCOL, {SETTINGS("\0\5\0\0\x3f\xff")}},
    {"6.5.2 MAX_FRAME_SIZE above 2^24 − 1", SESSION, PROTOCOL, {SETTINGS("\0\5\1\0\0\0")}},
    {"6.5.2 unknown setting is ignored", SERVED, 200, {SETTINGS("\0\xff\0\0\0\1"), GET(1)}},
    {"6.5.3 the last of equal settings counts", SERVED, 200, {SETTINGS("\0\4\0\0\0\1\0\4\0\0\xff\xff"), GET(1)}},
    {"6.5.3 ACK that was not requested",
     SESSION,
     PROTOCOL,
     {{FRAME_SETTINGS, 1, 0, TEXT("")}, {FRAME_SETTINGS, 1, 0, TEXT("")}}},
    {"RFC 9218, 2.1: NO_RFC7540_PRIORITIES above 1", SESSION, PROTOCOL, {SETTINGS("\0\x9\0\0\0\2")}},

    /* PUSH_PROMISE, PING and GOAWAY. */
    {"8.4 PUSH_PROMISE of a client",
     SESSION,
     PROTOCOL,
     {POST(1), {FRAME_PUSH, FLAG_END_HEADERS, 1, TEXT("\0\0\0\x2" GET_ECHO)}}},
    {"6.7 PING with ACK is ignored", SERVED, 200, {{FRAME_PING, FLAG_ACK, 0, TEXT("12345678")}, GET(1)}},
    {"6.7 PING of a stream", SESSION, PROTOCOL, {{FRAME_PING, 0, 1, TEXT("12345678")}}},
    {"6.7 PING of 7 bytes", SESSION, FRAME_SIZE, {{FRAME_PING, 0, 0, TEXT("1234567")}}},
    {"6.8 GOAWAY of a stream", SESSION, PROTOCOL, {{FRAME_GOAWAY, 0, 1, TEXT("\0\0\0\0\0\0\0\0")}}},
    {"6.8 GOAWAY of 7 bytes", SESSION, FRAME_SIZE, {{FRAME_GOAWAY, 0, 0, TEXT("\0\0\0\0\0\0\0")}}},

    /* Windows. */
    {"6.9 WINDOW_UPDATE 0 of the connection", SESSION, PROTOCOL, {WINDOW(0, "\0\0\0\0")}},
    {"6.9 WINDOW_UPDATE 0 of a stream", ENDED, PROTOCOL, {STREAM(1), WINDOW(1, "\0\0\0\0")}},
    {"6.9 WINDOW_UPDATE of 3 bytes", SESSION, FRAME_SIZE, {WINDOW(0, "\0\0\1")}},
    {"6.9.1 window of the connection above 2^31 − 1", SESSION, FLOW_CONTROL, {WINDOW(0, LARGEST), WINDOW(0, LARGEST)}},
    {"6.9.1 window of a stream above 2^31 − 1", ENDED, FLOW_CONTROL, {STREAM(1), WINDOW(1, LARGEST)}},
    {"6.9.2 SETTINGS make a window larger than 2^31 − 1",
     ENDED,
     FLOW_CONTROL,
     {SETTINGS("\0\4\0\0\0\0"), STREAM(1), WINDOW(1, LARGEST), SETTINGS("\0\4\0\0\0\1")}},

    /* CONTINUATION. */
    {"6.10 several CONTINUATION frames",
     SERVED,
     200,
     {{FRAME_HEADERS, FLAG_END_STREAM, 1, TEXT("\x20\x82\x86\x01")},
      {FRAME_CONTINUATION, 0, 1,
       TEXT("\x01"
            "a"
            "\x04\x05/")},
      {FRAME_CONTINUATION, 0, 1, TEXT("")},
      {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT("echo")}}},
    {"6.10 CONTINUATION of the stream 0",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, 1, 1, TEXT(GET_ECHO)}, {FRAME_CONTINUATION, FLAG_END_HEADERS, 0, TEXT("")}}},
    {"6.10 CONTINUATION of another stream",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, 1, 1, TEXT(GET_ECHO)}, {FRAME_CONTINUATION, FLAG_END_HEADERS, 3, TEXT("")}}},
    {"6.10 CONTINUATION after a complete head",
     SESSION,
     PROTOCOL,
     {POST(1), {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT("")}}},
    {"6.10 CONTINUATION after DATA",
     SESSION,
     PROTOCOL,
     {POST(1), {FRAME_DATA, 0, 1, TEXT("1")}, {FRAME_CONTINUATION, FLAG_END_HEADERS, 1, TEXT("")}}},
    {"6.10 DATA inside a head",
     SESSION,
     PROTOCOL,
     {{FRAME_HEADERS, 0, 1, TEXT(POST_ECHO)}, {FRAME_DATA, 1, 1, TEXT("1")}}},

    /* Compressed heads. */
    {"RFC 7541, 6.1: index 0", SESSION, COMPRESSION, {{FRAME_HEADERS, ENDS, 1, TEXT(GET_ECHO "\x80")}}},
    {"RFC 7541, 2.3.3: index beyond the tables",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1, TEXT(GET_ECHO "\xbe")}}},
    {"RFC 7541, 2.3.3: literal whose name is beyond the tables",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1,
       TEXT(GET_ECHO "\x0f\x7f\1"
                     "a")}}},
    {"RFC 7541, 4.2: size of the table at the end of a head",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1, TEXT(GET_ECHO "\x20")}}},
    {"RFC 7541, 6.3: size of the table above the limit",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1, TEXT("\x3f\xff\xff\x7f" GET_ECHO)}}},
    {"RFC 7541, 5.1: integer without end",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1, TEXT(GET_ECHO "\xff\xff\xff\xff\xff\xff\xff\xff\x1")}}},
    {"RFC 7541, 5.2: string that is longer than the head",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1,
       TEXT(GET_ECHO "\0\x7e"
                     "a")}}},
    {"RFC 7541, 5.2: Huffman padding of 8 bits",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1,
       TEXT(GET_ECHO "\0\1"
                     "a"
                     "\x82\x1f\xff")}}},
    {"RFC 7541, 5.2: Huffman padding of zeros",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1,
       TEXT(GET_ECHO "\0\1"
                     "a"
                     "\x81\x18")}}},
    {"RFC 7541, 5.2: Huffman code of EOS",
     SESSION,
     COMPRESSION,
     {{FRAME_HEADERS, ENDS, 1,
       TEXT(GET_ECHO "\0\1"
                     "a"
                     "\x84\xff\xff\xff\xff")}}},

    /* Messages. */
    {"8.1 second head without END_STREAM",
     ENDED,
     PROTOCOL,
     {POST(1),
      {FRAME_HEADERS, 4, 1,
       TEXT("\0\1"
            "a\1"
            "b")}}},
    {"8.1 trailers end the body",
     SERVED,
     200,
     {POST(1),
      {FRAME_DATA, 0, 1, TEXT("1")},
      {FRAME_HEADERS, ENDS, 1,
       TEXT("\0\1"
            "a\1"
            "b")}}},
    {"8.1 pseudo-header field in trailers",
     ENDED,
     PROTOCOL,
     {POST(1), {FRAME_DATA, 0, 1, TEXT("1")}, {FRAME_HEADERS, ENDS, 1, TEXT("\x82")}}},
    {"8.1.1 DATA shorter than content-length",
     ENDED,
     PROTOCOL,
     {{FRAME_HEADERS, 4, 1,
       TEXT(POST_ECHO "\0\xe"
                      "content-length\1"
                      "2")},
      {FRAME_DATA, 1, 1, TEXT("1")}}},
    {"8.1.1 DATA longer than content-length",
     ENDED,
     PROTOCOL,
     {{FRAME_HEADERS, 4, 1,
       TEXT(POST_ECHO "\0\xe"
                      "content-length\1"
                      "2")},
      {FRAME_DATA, 0, 1, TEXT("12")},
      {FRAME_DATA, 1, 1, TEXT("3")}}},
    {"8.1.1 trailers before all of content-length",
     ENDED,
     PROTOCOL,
     {{FRAME_HEADERS, 4, 1,
       TEXT(POST_ECHO "\0\xe"
                      "content-length\1"
                      "2")},
      {FRAME_DATA, 0, 1, TEXT("1")},
      {FRAME_HEADERS, ENDS, 1,
       TEXT("\0\1"
            "a\1"
            "b")}}},
    {"8.1.1 DATA as long as content-length",
     SERVED,
     200,
     {{FRAME_HEADERS, 4, 1,
       TEXT(POST_ECHO "\0\xe"
                      "content-length\1"
                      "2")},
      {FRAME_DATA, 0, 1, TEXT("1")},
      {FRAME_DATA, FLAG_PADDED | 1, 1,
       TEXT("\2"
            "2\0\0")}}},
};

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void send_steps(frames_client *c, const rule *of) {
  for (const step *at = of->steps; at->bytes; at++) {
    if (at->type == RAW)
      frames_put(c, at->bytes, at->len);
    else
      frames_send(c, at->type, at->flags, at->stream, at->bytes, at->len);
  }
}

/* Read until the stream 1 is reset, or the session ends. Returns the code; -1: the server has closed without one. */
static int64_t code_of_end(frames_client *c) {
  while (frames_read(c)) {
    if (c->last.type == FRAME_RST_STREAM && c->last.stream == 1) return frames_number(c->last.bytes);
    if (c->last.type == FRAME_GOAWAY) return frames_number(c->last.bytes + 4);
  }
  return -1;
}

/* Return what is wrong; NULL: nothing. */
static const char *check(frames_client *c, const rule *of) {
  static char text[200];
  const int64_t code = of->outcome == SESSION ? frames_end(c)
                       : of->outcome == ENDED ? code_of_end(c)
                       : of->code             ? frames_status(c, 1)
                                              : 0;
  snprintf(text, sizeof text, "%lld instead of %lld", (long long)code, (long long)of->code);
  if (code != of->code) return text;
  if (of->outcome != SERVED && (c->has_ended || c->last.type == FRAME_GOAWAY)) return NULL;
  frames_get(c, LAST_STREAM, "/echo");
  return frames_status(c, LAST_STREAM) == 200 ? NULL : "the session does not go on";
}

TEST_CASE(violations_end_the_session_or_its_stream) {
  unsigned wrong = 0;
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    frames_client c;
    frames_connect(&c, s.port, 0);
    send_steps(&c, &rules[i]);
    const char *fault = check(&c, &rules[i]);
    if (fault) print_error("%s: %s\n", rules[i].name, fault);
    wrong += fault != NULL;
    frames_close(&c);
  }
  assert_int_equal(wrong, 0);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

/* RFC 9113, 3.4: the preface is followed by SETTINGS. Other texts than the preface are HTTP/1.1, which refuses them. */
TEST_CASE(preface_is_followed_by_settings) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static const char *const others[] = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "PRI * HTTP/2.0\r\n\r\n\0\0\0\4\0\0\0\0\0",
                                       "PRI / HTTP/2.0\r\n\r\n"};
  frames_client c;
  server_start(&s, NULL);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char answer[16] = "";
    frames_reach(&c, s.port);
    assert_true(frames_put(&c, others[i], strlen(others[i]) + (i == 1 ? 9 : 0)));
    const ssize_t len = recv(c.fd, answer, sizeof answer - 1, 0);
    assert_true(len <= 0 || strncmp(answer, "HTTP/1.1 4", 10) == 0 || strncmp(answer, "HTTP/1.1 5", 10) == 0);
    frames_close(&c);
  }
  frames_reach(&c, s.port);
  assert_true(frames_put(&c, preface, sizeof preface - 1));
  assert_true(frames_send(&c, FRAME_PING, 0, 0, "12345678", 8));
  const int64_t code = frames_end(&c);
  assert_true(code == PROTOCOL || code == -1);
  frames_close(&c);
  /* The preface may arrive in parts. */
  frames_reach(&c, s.port);
  for (size_t i = 0; i < sizeof preface - 1; i++) assert_true(frames_put(&c, preface + i, 1));
  assert_true(frames_send(&c, FRAME_SETTINGS, 0, 0, NULL, 0));
  frames_get(&c, 1, "/echo");
  assert_int_equal(frames_status(&c, 1), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* RFC 9113, 6.5.3 and 6.7: SETTINGS are acknowledged, and PING with the same payload. */
TEST_CASE(settings_and_pings_are_acknowledged) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  do assert_true(frames_wait(&c, FRAME_SETTINGS, 0));
  while (!(c.last.flags & FLAG_ACK));
  assert_int_equal(c.last.len, 0);
  assert_true(frames_send(&c, FRAME_PING, 0, 0, "\1\2\3\4\5\6\7\0", 8));
  assert_true(frames_wait(&c, FRAME_PING, 0));
  assert_int_equal(c.last.flags, FLAG_ACK);
  assert_memory_equal(c.last.bytes, "\1\2\3\4\5\6\7\0", 8);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* RFC 9113, 6.9.2: a window that SETTINGS have made negative must be opened again before a byte may be sent. */
TEST_CASE(negative_windows_must_be_opened) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 3);
  frames_open(&c, 1);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
  assert_true(frames_wait(&c, FRAME_DATA, 1));
  assert_int_equal(c.last.len, 3);
  assert_true(frames_send(&c, FRAME_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6)); /* the window is now -3 */
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 1, 3);
  frames_get(&c, 3, "/stream"); /* its window is 0: only its head arrives */
  while (frames_read(&c) && c.last.stream != 3) assert_int_not_equal(c.last.type, FRAME_DATA);
  frames_send_number(&c, FRAME_WINDOW_UPDATE, 1, 1);
  assert_true(frames_wait(&c, FRAME_DATA, 1));
  assert_int_equal(c.last.len, 1);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* RFC 9113, 6.8: after GOAWAY of the client, its streams go on. */
TEST_CASE(streams_survive_goaway_of_their_client) {
  frames_client c;
  server_start(&s, NULL);
  frames_connect(&c, s.port, 0);
  frames_open(&c, 1);
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  assert_true(frames_send(&c, FRAME_GOAWAY, 0, 0,
                          "\0\0\0\0\0\0\0\xff"
                          "why",
                          11));
  vsi_server_patch(vsi_recorder_connection(&s.recorder, 0), "{\"a\":1}");
  assert_true(frames_wait(&c, FRAME_DATA, 1));
  assert_true(memmem(c.last.bytes, c.last.len, "{\"a\":1}", 7));
  frames_close(&c);
  assert_int_equal(vsi_server_cause(&s, vsi_recorder_connection(&s.recorder, 0)), VESTRY_CAUSE_HANGUP);
  vsi_server_stop(&s);
}

/* RFC 9113, 6.8: a request on its way when the server says that it ends is served. The second stream has no place. */
TEST_CASE(goaway_names_a_last_stream_after_a_round_trip) {
  frames_client c;
  server_start(&s, &(server_settings){.adapter.max_streams = 1});
  frames_connect(&c, s.port, 0);
  frames_open(&c, 1);
  frames_open_stream(&c, 3);
  assert_true(frames_wait(&c, FRAME_GOAWAY, 0));
  assert_int_equal(frames_number(c.last.bytes), INT32_MAX);
  frames_get(&c, 5, "/echo");
  assert_int_equal(frames_status(&c, 5), 200);
  assert_true(frames_send(&c, FRAME_PING, FLAG_ACK, 0, "\0\0\0\0\0\0\0\0", 8));
  assert_true(frames_wait(&c, FRAME_GOAWAY, 0));
  assert_int_equal(frames_number(c.last.bytes), 5);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* RFC 9113, 5.1.2: a stream too many is an error of that stream. */
TEST_CASE(stream_above_the_limit_is_refused_alone) {
  frames_client c;
  server_start(&s, &(server_settings){.adapter.max_per_connection = 2});
  frames_connect(&c, s.port, 0);
  assert_true(frames_wait(&c, FRAME_SETTINGS, 0));
  assert_memory_equal(c.last.bytes, "\0\3\0\0\0\2", 6);
  for (uint32_t id = 1; id < 5; id += 2) {
    frames_open(&c, id);
  }
  for (uint32_t id = 5; id < 45; id += 2) {
    frames_get(&c, id, "/echo");
    assert_true(frames_wait(&c, FRAME_RST_STREAM, id));
    assert_int_equal(frames_number(c.last.bytes), 7 /* REFUSED_STREAM */);
  }
  assert_true(frames_send_number(&c, FRAME_RST_STREAM, 1, 8));
  frames_get(&c, 45, "/echo");
  assert_int_equal(frames_status(&c, 45), 200);
  frames_close(&c);
  vsi_server_stop(&s);
}

/* PINGs do not keep a connection open that has no requests. */
TEST_CASE(idle_connection_with_pings_ends) {
  enum { IDLE_S = 3 };
  frames_client c;
  bool is_told = false;
  server_start(&s, &(server_settings){.adapter.timeout_s = IDLE_S});
  frames_connect(&c, s.port, 0);
  frames_get(&c, 1, "/echo");
  assert_int_equal(frames_status(&c, 1), 200);
  while (frames_send(&c, FRAME_PING, 0, 0, "12345678", 8) && frames_read(&c)) {
    is_told |= c.last.type == FRAME_GOAWAY;
    if (c.last.type == FRAME_PING) atomic_fetch_add(&vsi_server_clock_ahead_ns, UINT64_C(100000000));
  }
  assert_true(is_told);
  frames_close(&c);
  vsi_server_stop(&s);
}
