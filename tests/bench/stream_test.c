/* SPDX-License-Identifier: MIT */
/* The receiving end of streams parses heads, chunks, encodings and lines wherever they are cut, and refuses invalid
 * answers. */
#include <brotli/encode.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "stream.h"
#include "support/test.h"

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
static const char events[] = "event: a\ndata: 1\n\n: a comment\ndata: 22\r\n\ndata: 333\n\n";
static const char lines[] = "event: a|data: 1||data: 22||data: 333||";

static void note_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  char *all = ctx;
  size_t at = strlen(all);
  memcpy(all + at, line, len);
  strcpy(all + at + len, "|");
}

/* Feed these bytes in two parts, cut at `cut`; false: they were refused. seen: the received lines. */
static bool feed(const char *data, size_t len, size_t cut, const char *encoding, char *seen, bool *ret_clean) {
  bench_stream stream = {.fd = -1, .encoding = encoding};
  stream.decoder = bench_decoder_create(encoding ? encoding : "identity");
  assert_non_null(stream.decoder);
  seen[0] = '\0';
  bool ok = bench_stream_feed(&stream, data, cut, note_line, seen) &&
            bench_stream_feed(&stream, data + cut, len - cut, note_line, seen);
  if (ret_clean) *ret_clean = stream.ended_cleanly;
  if (ok && stream.at != STREAM_HEAD)
    assert_int_equal(stream.body_bytes + (size_t)(strstr(data, "\r\n\r\n") + 4 - data), len);
  bench_stream_finish(&stream, false);
  return ok;
}

/* Write a head with these additional lines, and the complete body in chunks of this size (0: none). */
static size_t make(char *to, const char *more, const char *body, size_t len, size_t chunk) {
  size_t at = (size_t)sprintf(to, "%s%s%s\r\n", head, more, chunk ? "Transfer-Encoding: chunked\r\n" : "");
  if (!chunk) {
    memcpy(to + at, body, len);
    return at + len;
  }
  for (size_t from = 0; from < len; from += chunk) {
    size_t part = len - from < chunk ? len - from : chunk;
    at += (size_t)sprintf(to + at, "%zX\r\n", part);
    memcpy(to + at, body + from, part);
    at += part;
    at += (size_t)sprintf(to + at, "\r\n");
  }
  return at + (size_t)sprintf(to + at, "0\r\n\r\n");
}

static void check_everywhere(const char *more, const char *body, size_t len, const char *encoding) {
  char data[2048], seen[1024];
  for (size_t chunk = 0; chunk <= 20; chunk += 4) {
    size_t whole = make(data, more, body, len, chunk);
    for (size_t cut = 0; cut <= whole; cut++) {
      bool clean;
      assert_true(feed(data, whole, cut, encoding, seen, &clean));
      assert_string_equal(seen, lines);
      assert_int_equal(clean, chunk != 0);
    }
  }
}

TEST_CASE(lines_are_parsed_wherever_they_are_cut) {
  check_everywhere("", events, sizeof events - 1, NULL);
  check_everywhere("X-Other: \r\n", events, sizeof events - 1, "identity");
}

TEST_CASE(requested_encodings_are_decoded) {
  unsigned char coded[512];
  size_t len = sizeof coded;
  assert_true(BrotliEncoderCompress(5, 16, BROTLI_MODE_TEXT, sizeof events - 1, (const uint8_t *)events, &len, coded));
  check_everywhere("content-encoding: br\r\n", (char *)coded, len, "br");
  z_stream z = {.next_in = (Bytef *)(uintptr_t)events,
                .avail_in = sizeof events - 1,
                .next_out = coded,
                .avail_out = sizeof coded};
  assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  len = sizeof coded - z.avail_out;
  deflateEnd(&z);
  check_everywhere("Content-Encoding: gzip\r\n", (char *)coded, len, "gzip");
}

TEST_CASE(invalid_answers_are_refused) {
  static const struct {
    const char *bytes, *encoding;
  } cases[] = {
      {"HTTP/1.1 204 No Content\r\n\r\n", NULL},
      {"ICY 200 OK\r\n\r\n", NULL},
      {"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n", "br"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", "br"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip at all", "gzip"},
      {"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nnot brotli at all, is it\n", "br"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", NULL},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab!\r\n", NULL},
  };
  char seen[1024];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t len = strlen(cases[i].bytes);
    for (size_t cut = 0; cut <= len; cut++) assert_false(feed(cases[i].bytes, len, cut, cases[i].encoding, seen, NULL));
  }
  assert_false(bench_decoder_knows("zstd"));
  assert_null(bench_decoder_create("zstd"));
}

/* A long text that is short when encoded, flushed but not ended, is decoded completely: a primer and an event after
 * it. */
TEST_CASE(flushed_data_is_decoded_completely) {
  enum { LONG = 1 << 16 };
  static char text[LONG + 64], data[4096], seen[64];
  memset(text, ' ', LONG);
  text[0] = ':';
  size_t len = LONG + (size_t)sprintf(text + LONG, "\n\ndata: 1\n\n"), room = sizeof data, at = 0;
  BrotliEncoderState *encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
  assert_true(BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, 16));
  const uint8_t *in = (const uint8_t *)text;
  at = (size_t)sprintf(data, "%sContent-Encoding: br\r\n\r\n", head);
  uint8_t *out = (uint8_t *)data + at;
  room -= at;
  while (len || BrotliEncoderHasMoreOutput(encoder))
    assert_true(BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_FLUSH, &len, &in, &room, &out, NULL));
  BrotliEncoderDestroyInstance(encoder);
  size_t whole = sizeof data - room;
  for (size_t cut = 0; cut <= whole; cut++) {
    assert_true(feed(data, whole, cut, "br", seen, NULL));
    assert_string_equal(seen, "|data: 1||");
  }
}

static void count_line(bench_stream *stream, const char *line, size_t len, void *ctx) {
  *(size_t *)ctx += len;
}

/* A line of a megabyte is received completely; a comment of this size is not stored. */
TEST_CASE(long_lines_are_received_and_comments_are_not_stored) {
  enum { LONG = 1 << 20, PART = 1000 };
  for (int comment = 0; comment < 2; comment++) {
    bench_stream stream = {.fd = -1, .decoder = bench_decoder_create("identity")};
    char part[PART];
    size_t seen = 0;
    memset(part, 'x', sizeof part);
    assert_true(bench_stream_feed(&stream, "HTTP/1.1 200 OK\r\n\r\n", 19, count_line, &seen));
    assert_true(bench_stream_feed(&stream, comment ? ":" : "d", 1, count_line, &seen));
    for (size_t i = 0; i < LONG; i += PART) assert_true(bench_stream_feed(&stream, part, PART, count_line, &seen));
    assert_true(bench_stream_feed(&stream, "\ndata", 5, count_line, &seen));
    assert_int_equal(seen, comment ? 0 : 1 + (LONG + PART - 1) / PART * PART);
    assert_true(comment ? stream.line_capacity < 64 : stream.line_capacity >= LONG);
    bench_stream_finish(&stream, false);
  }
}

/* A text frame, with its payload padded to this length. */
static size_t make_frame(char *to, const char *text, size_t len) {
  size_t at = 0;
  to[at++] = (char)0x81;
  if (len < 126) {
    to[at++] = (char)len;
  } else {
    to[at++] = 126;
    to[at++] = (char)(len >> 8);
    to[at++] = (char)(len & 255);
  }
  memset(to + at, 'x', len);
  memcpy(to + at, text, strlen(text));
  return at + len;
}

/* Socket.IO messages are received completely wherever they are cut, and the client sends the packets that its server
 * expects. */
TEST_CASE(frames_are_parsed_wherever_they_are_cut) {
  static const char head_101[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
  static const char said[] = {(char)0x81, (char)0x82, 0, 0, 0, 0, '4', '0', (char)0x81, (char)0x81, 0, 0, 0, 0, '3'};
  char data[1024], seen[1024], heard[64];
  size_t whole = sizeof head_101 - 1;
  memcpy(data, head_101, whole);
  const char *const packets[] = {"0{}", "40{}", "42[1]", "2", "42["};
  for (size_t i = 0; i < 5; i++) whole += make_frame(data + whole, packets[i], i == 4 ? 300 : strlen(packets[i]));
  for (size_t cut = 0; cut <= whole; cut++) {
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    bench_stream stream = {.fd = ends[0], .is_websocket = true};
    seen[0] = '\0';
    assert_true(bench_stream_feed(&stream, data, cut, note_line, seen));
    assert_true(bench_stream_feed(&stream, data + cut, whole - cut, note_line, seen));
    assert_int_equal(strncmp(seen, "data: 42[1]||data: 42[xxx", 25), 0);
    assert_int_equal(strlen(seen), strlen("data: 42[1]||data: ||") + 300);
    assert_int_equal(recv(ends[1], heard, sizeof heard, 0), sizeof said);
    assert_memory_equal(heard, said, sizeof said);
    assert_int_equal(stream.at, STREAM_BODY);
    bench_stream_finish(&stream, false);
    close(ends[1]);
  }
}

/* Not an upgrade, a binary frame, an empty frame, an invalid message. */
TEST_CASE(invalid_frames_are_refused) {
  const char *const wrong[] = {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 S\r\n\r\n\x82\x01x",
                               "HTTP/1.1 101 S\r\n\r\n\x81\x01x"};
  char seen[64] = "";
  for (size_t i = 0; i < 3; i++) {
    bench_stream stream = {.fd = -1, .is_websocket = true};
    assert_false(bench_stream_feed(&stream, wrong[i], strlen(wrong[i]), note_line, seen));
    bench_stream_finish(&stream, false);
  }
  bench_stream stream = {.fd = -1, .is_websocket = true};
  assert_false(bench_stream_feed(&stream, "HTTP/1.1 101 S\r\n\r\n\x81\0", 20, note_line, seen));
  bench_stream_finish(&stream, false);
  assert_string_equal(seen, "");
}

int main(void) {
  return cases_run("bench/stream", NULL, NULL);
}
