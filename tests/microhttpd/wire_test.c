/* SPDX-License-Identifier: MIT */
/* Writing to a socket pair with a small buffer, cut at every possible position. */
#include "adapter/microhttpd/wire.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"

enum { SMALL_BUFFER = 1, CHUNK_BYTES = 1 << 20 /* wire.c */ };

static uint64_t seed;

static uint64_t next_random(void) {
  seed += UINT64_C(0x9E3779B97F4A7C15);
  uint64_t z = seed;
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* The received bytes. */
typedef struct received {
  char *text;
  size_t len;
} received;

static size_t read_some(int fd, received *r, size_t most) {
  ssize_t got = recv(fd, r->text + r->len, most, MSG_DONTWAIT);
  if (got > 0) r->len += (size_t)got;
  return got > 0 ? (size_t)got : 0;
}

/* Check the content: complete chunks, or plain bytes. */
static void assert_says(const received *r, bool is_chunked, const char *data, size_t len) {
  size_t at = 0, passed = 0;
  if (!is_chunked) {
    assert_int_equal(r->len, len);
    assert_memory_equal(r->text, data, len);
    return;
  }
  while (at < r->len) {
    char *end;
    size_t size = strtoul(r->text + at, &end, 16);
    assert_true(size > 0 && size <= len - passed);
    assert_memory_equal(end, "\r\n", 2);
    at = (size_t)(end + 2 - r->text);
    assert_true(r->len - at >= size + 2);
    assert_memory_equal(r->text + at, data + passed, size);
    assert_memory_equal(r->text + at + size, "\r\n", 2);
    at += size + 2;
    passed += size;
  }
  assert_int_equal(passed, len);
}

/* Return the number of data bytes of the largest chunk. */
static size_t largest_chunk(const received *r) {
  size_t largest = 0, size;
  for (const char *at = r->text; at < r->text + r->len; at += size + 2) {
    char *end;
    size = strtoul(at, &end, 16);
    at = end + 2;
    if (size > largest) largest = size;
  }
  return largest;
}

/* Write all data as a runner does: in slices of many sizes, repeating the part that was not taken, sometimes with more
 * data after it and sometimes with less. Returns the data bytes of the largest chunk. */
static size_t write_all(bool is_chunked, size_t data_len, size_t most_sliced, size_t most_read) {
  int pair[2], small = SMALL_BUFFER;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  vsi_microhttpd_wire wire = {.fd = pair[0], .is_chunked = is_chunked};
  char *data = malloc(data_len);
  for (size_t i = 0; i < data_len; i++) data[i] = (char)('a' + i % 23);
  received r = {malloc(data_len * 8), 0};
  size_t reported = 0, blocks = 0;
  while (reported < data_len) {
    vestry_slice slices[64];
    size_t count = 1 + next_random() % 64, offered = 0;
    for (size_t i = 0; i < count; i++) {
      size_t left = data_len - reported - offered, len = next_random() % (next_random() % 4 ? 40 : most_sliced);
      if (len > left) len = left;
      slices[i] = (vestry_slice){data + reported + offered, len};
      offered += len;
    }
    size_t written = SIZE_MAX;
    vestry_io io = vsi_microhttpd_wire_write(&wire, slices, count, &written);
    if (io == VESTRY_IO_OK) {
      reported += offered;
    } else {
      assert_int_equal(io, VESTRY_IO_WOULD_BLOCK);
      assert_true(written < offered || !offered);
      reported += written;
      blocks++;
      read_some(pair[1], &r, 1 + next_random() % most_read);
    }
  }
  assert_int_equal(wire.chunk_len, 0); /* nothing is left to be sent, so a final chunk may follow */
  while (read_some(pair[1], &r, data_len)) continue;
  r.text[r.len] = '\0';
  assert_true(blocks > 0);
  assert_says(&r, is_chunked, data, data_len);
  size_t largest = is_chunked ? largest_chunk(&r) : 0;
  free(data);
  free(r.text);
  close(pair[0]);
  close(pair[1]);
  return largest;
}

TEST_CASE(partial_writes_send_all_data) {
  for (seed = 1; seed < 60; seed++) {
    uint64_t first = seed;
    write_all(true, 200000, 9000, 1 + first * 37 % 3000);
    write_all(false, 200000, 9000, 1 + first * 37 % 3000);
    seed = first;
  }
}

/* Data larger than a chunk is split. */
TEST_CASE(data_over_chunk_size_is_split) {
  for (seed = 1; seed < 4; seed++) {
    uint64_t first = seed;
    assert_int_equal(write_all(true, CHUNK_BYTES * 7 / 2, CHUNK_BYTES * 2, 90000), CHUNK_BYTES);
    seed = first;
  }
}

TEST_CASE(write_skips_empty_input_and_reports_errors) {
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  vsi_microhttpd_wire wire = {.fd = pair[0], .is_chunked = true};
  const vestry_slice slices[] = {{"abc", 3}, {"", 0}, {"de", 2}};
  size_t written = 7;
  assert_int_equal(vsi_microhttpd_wire_write(&wire, slices, 3, &written), VESTRY_IO_OK);
  assert_int_equal(written, 7); /* untouched */
  char got[32];
  assert_int_equal(recv(pair[1], got, sizeof got, MSG_DONTWAIT), 10);
  assert_memory_equal(got, "5\r\nabcde\r\n", 10);
  assert_int_equal(vsi_microhttpd_wire_write(&wire, slices + 1, 1, &written), VESTRY_IO_OK);
  /* empty input writes no chunk, because it would be the end */
  assert_int_equal(recv(pair[1], got, sizeof got, MSG_DONTWAIT), -1);
  close(pair[1]);
  assert_int_equal(vsi_microhttpd_wire_write(&wire, slices, 3, &written), VESTRY_IO_HANGUP);
  assert_int_equal(vsi_microhttpd_wire_write(&wire, slices, 65, &written), VESTRY_IO_ERROR);
  const vestry_slice too_long[] = {{"a", SIZE_MAX / 2}, {"b", 2}};
  assert_int_equal(vsi_microhttpd_wire_write(&wire, too_long, 2, &written), VESTRY_IO_ERROR);
  close(pair[0]);
}
