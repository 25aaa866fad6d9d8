/* SPDX-License-Identifier: MIT */
/* Joined messages: they are separated unchanged, in order and within limits, and any other message is passed on
 * unchanged. */
#include <stdlib.h>

#include "cluster/nats/send_queue.h"
#include "support/test.h"
#include "support/test_host.h"

enum { ROOM = 1 << 20 };

static test_host th;

static int begin(void **state) {
  test_host_init(&th);
  return 0;
}

static int end(void **state) {
  test_host_assert_clean(&th);
  return 0;
}

/* Return the content of a message: all messages joined in it, each followed by a '|'. */
static const char *contents_of(const void *data, size_t len) {
  static char reported[4096];
  size_t at = 0;
  vsi_nats_joined joined;
  if (!vsi_nats_joined_open(data, len, &joined)) {
    snprintf(reported, sizeof reported, "%.*s", (int)len, (const char *)data);
    return reported;
  }
  while (joined.count) {
    vestry_slice letter = vsi_nats_joined_next(&joined);
    assert_true(at + letter.len + 2 < sizeof reported);
    if (letter.len) memcpy(reported + at, letter.data, letter.len);
    at += letter.len;
    reported[at++] = '|';
  }
  reported[at] = '\0';
  return reported;
}

/* The messages of a queue, as they are given to libnats. */
static struct {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1], contents[256];
  size_t len, count;
} taken[4096];

/* Take all messages from a queue. Returns their number. */
static size_t take(vsi_nats_send_queue *send_queue, size_t most) {
  static unsigned char room[VSI_NATS_JOINED_BYTES];
  vsi_nats_parts slots[VSI_NATS_SEND_QUEUE_SLOTS];
  size_t count = 0;
  vsi_nats_send_queue_take(send_queue, slots);
  for (size_t i = 0; i < VSI_NATS_SEND_QUEUE_SLOTS; i++)
    for (; !STAILQ_EMPTY(&slots[i]); count++) {
      const vsi_nats_message message = vsi_nats_parts_join(&slots[i], most, room);
      vsi_nats_joined joined;
      const bool is_joined = vsi_nats_joined_open(message.data.data, message.data.len, &joined);
      assert_int_equal(message.count, is_joined ? joined.count : 1);
      assert_true(count < sizeof taken / sizeof *taken && message.data.len <= most);
      strcpy(taken[count].subject, message.subject);
      taken[count].len = message.data.len;
      taken[count].count = message.count;
      snprintf(taken[count].contents, sizeof taken->contents, "%s",
               message.data.len < 256 ? contents_of(message.data.data, message.data.len) : "");
      send_queue->bytes -= message.cost;
      vsi_nats_parts_remove(&slots[i], message.count, &th.host);
    }
  assert_int_equal(send_queue->bytes + send_queue->count, 0);
  return count;
}

static vestry_err add(vsi_nats_send_queue *send_queue, const char *subject, const char *text) {
  return vsi_nats_send_queue_add(send_queue, subject, text, strlen(text), ROOM);
}

TEST_CASE(messages_to_one_subject_are_joined_in_order) {
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
  const char *const said[][2] = {{"v.n.a", "1"},   {"v.n.b", "2"}, {"v.n.a", ""},
                                 {"v.n.a", "\1x"}, {"v.n.b", "3"}, {"v.n.c", "alone"}};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++)
    assert_int_equal(add(&send_queue, said[i][0], said[i][1]), VESTRY_OK);
  assert_int_equal(take(&send_queue, ROOM), 3);
  assert_string_equal(taken[0].subject, "v.n.a");
  assert_string_equal(taken[0].contents, "1||\1x|");
  assert_string_equal(taken[1].contents, "2|3|");
  assert_int_equal(taken[2].len, 5); /* a single message gets no header */
  assert_string_equal(taken[2].contents, "alone");
  assert_int_equal(add(&send_queue, "v.n.a", "dropped"), VESTRY_OK);
  assert_int_equal(vsi_nats_send_queue_drop(&send_queue), 1);
  assert_int_equal(take(&send_queue, ROOM), 0);
}

/* Both subjects end alike, so they share a slot. Each is only joined less often. */
TEST_CASE(subjects_that_share_a_slot_are_not_mixed) {
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
  for (int i = 0; i < 6; i++) {
    char text[2] = {(char)('0' + i), 0};
    assert_int_equal(add(&send_queue, i % 3 ? "v.n.1a" : "v.n.2a", text), VESTRY_OK);
  }
  assert_int_equal(take(&send_queue, ROOM), 4);
  const char *const expected[][2] = {{"v.n.2a", "0"}, {"v.n.1a", "1|2|"}, {"v.n.2a", "3"}, {"v.n.1a", "4|5|"}};
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(taken[i].subject, expected[i][0]);
    assert_string_equal(taken[i].contents, expected[i][1]);
  }
}

/* A message that begins like a joined one is passed on unchanged. */
TEST_CASE(message_that_looks_joined_is_passed_on_unchanged) {
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
  static const unsigned char looks[] = {VSI_NATS_JOINED_MARK, 1, 1, 0, 0, 0, 'x'};
  const size_t more = VSI_NATS_JOINED_HEAD + VSI_NATS_JOINED_EACH;
  assert_int_equal(vsi_nats_send_queue_add(&send_queue, "a", looks, sizeof looks, sizeof looks), VESTRY_TOO_LARGE);
  assert_int_equal(vsi_nats_send_queue_add(&send_queue, "a", looks, sizeof looks, sizeof looks + more - 1),
                   VESTRY_TOO_LARGE);
  assert_int_equal(vsi_nats_send_queue_add(&send_queue, "a", looks, sizeof looks, sizeof looks + more), VESTRY_OK);
  assert_int_equal(take(&send_queue, ROOM), 1);
  assert_int_equal(taken[0].len, sizeof looks + more);
  assert_memory_equal(taken[0].contents, looks, 2); /* the length follows, which contains zeroes */
}

/* capability: G9 */
TEST_CASE(joined_messages_are_limited_in_count_and_bytes) {
  enum { LARGE = 20000, SMALL_MESSAGES = 10, ANSWER = 77 };
  static char large[LARGE];
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, (size_t)ROOM);
  for (int i = 0; i < SMALL_MESSAGES * VSI_NATS_JOINED_MOST; i++)
    assert_int_equal(add(&send_queue, "n", ""), VESTRY_OK);
  assert_int_equal(take(&send_queue, VSI_NATS_JOINED_BYTES), SMALL_MESSAGES);
  for (int i = 0; i < 9; i++) /* three fit */
    assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM), VESTRY_OK);
  assert_int_equal(take(&send_queue, VSI_NATS_JOINED_BYTES), 3);
  for (int i = 0; i < 9; i++) /* the server accepts less */
    assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, ANSWER, 2 * ANSWER), VESTRY_OK);
  assert_int_equal(take(&send_queue, 2 * ANSWER), 9);
  while (vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM) == VESTRY_OK) continue;
  assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM), VESTRY_FULL);
  assert_in_range(send_queue.bytes, ROOM - LARGE - 128, ROOM);
  (void)take(&send_queue, ROOM);
}

/* Each allocation fails once: a message is refused as a whole, and none is lost or duplicated. */
TEST_CASE(failed_allocation_loses_no_accepted_message) {
  bool has_failed = true;
  for (long failing = 0; has_failed; failing++) {
    vsi_nats_send_queue send_queue;
    vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
    char expected[64] = "";
    test_host_fail_in(&th, failing);
    for (int i = 0; i < 6; i++) {
      char text[4] = {i % 2 ? '\1' : 'a', (char)('0' + i), 0};
      if (!add(&send_queue, "n", text)) strcat(strcat(expected, text), "|");
    }
    has_failed = test_host_has_failed(&th);
    assert_int_equal(take(&send_queue, ROOM), 1);
    assert_string_equal(taken[0].contents, expected);
  }
}

/* For any data of other users of the server: it counts as joined only if each byte is consistent. */
TEST_CASE(inconsistent_data_is_not_taken_for_joined) {
  static const unsigned char good[] = {1, 3, 3, 0, 0, 0, 'o', 'n', 'e', 0,   0,
                                       0, 0, 5, 0, 0, 0, 't', 'h', 'r', 'e', 'e'};
  const size_t len = sizeof good;
  vsi_nats_joined joined;
  assert_string_equal(contents_of(good, len), "one||three|");
  for (size_t shorter = 0; shorter < len; shorter++) {
    /* of its exact size, so that a sanitizer reports a read past the end */
    unsigned char *copy = malloc(shorter ? shorter : 1);
    memcpy(copy, good, shorter);
    assert_false(vsi_nats_joined_open(copy, shorter, &joined));
    free(copy);
  }
  unsigned char longer[64] = {0};
  memcpy(longer, good, len);
  assert_false(vsi_nats_joined_open(longer, len + 1, &joined));
  const struct {
    size_t at;
    unsigned char is;
  } wrong[] = {{0, 0}, {0, 2}, {0, 'v'}, {1, 0}, {1, 2}, {1, 4}, {1, 255}, {2, 2}, {2, 4}, {5, 1}, {5, 0xff}, {9, 1}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    unsigned char copy[64];
    memcpy(copy, good, len);
    copy[wrong[i].at] = wrong[i].is;
    assert_false(vsi_nats_joined_open(copy, len, &joined));
  }
}

int main(void) {
  return cases_run_each("nats/joined", begin, end);
}
