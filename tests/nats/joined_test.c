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

static void finish(vsi_nats_send_queue *send_queue) {
  vsi_nats_messages messages;
  vsi_nats_send_queue_take(send_queue, &messages);
  for (vsi_nats_message *message; (message = vsi_nats_messages_take(&messages)) != NULL;) {
    send_queue->bytes -= message->cost;
    vsi_nats_message_free(&th.host, message);
  }
  assert_int_equal(send_queue->bytes, 0);
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
  vsi_nats_message *a = STAILQ_FIRST(&send_queue.messages), *b = STAILQ_NEXT(a, in), *c = STAILQ_NEXT(b, in);
  assert_string_equal(a->subject, "v.n.a");
  assert_string_equal(contents_of(a->data, a->len), "1||\1x|");
  assert_int_equal(a->count, 3);
  assert_string_equal(contents_of(b->data, b->len), "2|3|");
  assert_int_equal(c->len, 5); /* a single message gets no header */
  assert_memory_equal(c->data, "alone", 5);
  assert_null(STAILQ_NEXT(c, in));
  finish(&send_queue);
  assert_int_equal(add(&send_queue, "v.n.a", "later"), VESTRY_OK); /* messages that were taken accept no others */
  assert_int_equal(STAILQ_FIRST(&send_queue.messages)->len, 5);
  finish(&send_queue);
}

/* Both subjects end alike, so they share a slot. Each is only joined less often. */
TEST_CASE(subjects_that_share_a_slot_are_not_mixed) {
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
  for (int i = 0; i < 6; i++) {
    char text[2] = {(char)('0' + i), 0};
    assert_int_equal(add(&send_queue, i % 3 ? "v.n.1a" : "v.n.2a", text), VESTRY_OK);
  }
  char reported[2][64] = {"", ""};
  for (vsi_nats_message *at = STAILQ_FIRST(&send_queue.messages); at; at = STAILQ_NEXT(at, in)) {
    char *to = reported[strcmp(at->subject, "v.n.1a") == 0];
    strcat(to, at->count > 1 ? contents_of(at->data, at->len) : "");
    if (at->count == 1) strncat(to, (const char *)at->data, at->len);
  }
  assert_string_equal(reported[0], "03");
  assert_string_equal(reported[1], "1|2|4|5|");
  finish(&send_queue);
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
  vsi_nats_joined joined;
  const vsi_nats_message *first = STAILQ_FIRST(&send_queue.messages);
  assert_true(vsi_nats_joined_open(first->data, first->len, &joined));
  assert_int_equal(joined.count, 1);
  vestry_slice letter = vsi_nats_joined_next(&joined);
  assert_int_equal(letter.len, sizeof looks);
  assert_memory_equal(letter.data, looks, sizeof looks);
  finish(&send_queue);
}

static size_t count_messages(const vsi_nats_send_queue *send_queue, size_t max_len) {
  size_t count = 0, letters = 0, cost = 0;
  for (const vsi_nats_message *at = STAILQ_FIRST(&send_queue->messages); at; at = STAILQ_NEXT(at, in)) {
    vsi_nats_joined joined;
    assert_true(at->len <= max_len);
    if (vsi_nats_joined_open(at->data, at->len, &joined)) assert_int_equal(joined.count, at->count);
    letters += at->count;
    cost += at->cost;
    count++;
  }
  assert_int_equal(cost, send_queue->bytes);
  assert_true(letters >= count);
  return count;
}

/* capability: G9 */
TEST_CASE(joined_messages_are_limited_in_count_and_bytes) {
  enum { LARGE = 20000, SMALL_MESSAGES = 10, ANSWER = 77 };
  static char large[LARGE];
  vsi_nats_send_queue send_queue;
  vsi_nats_send_queue_init(&send_queue, &th.host, (size_t)ROOM);
  for (int i = 0; i < SMALL_MESSAGES * VSI_NATS_JOINED_MOST; i++)
    assert_int_equal(add(&send_queue, "n", ""), VESTRY_OK);
  assert_int_equal(count_messages(&send_queue, VSI_NATS_JOINED_BYTES), SMALL_MESSAGES);
  finish(&send_queue);
  for (int i = 0; i < 9; i++) /* three fit */
    assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM), VESTRY_OK);
  assert_int_equal(count_messages(&send_queue, VSI_NATS_JOINED_BYTES), 3);
  finish(&send_queue);
  for (int i = 0; i < 9; i++) /* the server accepts less */
    assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, ANSWER, 2 * ANSWER), VESTRY_OK);
  assert_int_equal(count_messages(&send_queue, 2 * ANSWER), 9);
  finish(&send_queue);
  while (vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM) == VESTRY_OK) continue;
  assert_int_equal(vsi_nats_send_queue_add(&send_queue, "n", large, LARGE, ROOM), VESTRY_FULL);
  assert_in_range(send_queue.bytes, ROOM - LARGE - 128, ROOM);
  finish(&send_queue);
}

/* Each allocation fails once: a message is refused as a whole, or sent alone, and none is lost or duplicated. */
TEST_CASE(failed_allocation_loses_no_accepted_message) {
  bool has_failed = true;
  for (long failing = 0; has_failed; failing++) {
    vsi_nats_send_queue send_queue;
    vsi_nats_send_queue_init(&send_queue, &th.host, ROOM);
    char expected[64] = "", reported[64] = "";
    test_host_fail_in(&th, failing);
    for (int i = 0; i < 6; i++) {
      char text[4] = {i % 2 ? '\1' : 'a', (char)('0' + i), 0};
      if (add(&send_queue, "n", text) == VESTRY_OK) strcat(expected, text);
    }
    has_failed = test_host_has_failed(&th);
    for (vsi_nats_message *at = STAILQ_FIRST(&send_queue.messages); at; at = STAILQ_NEXT(at, in)) {
      vsi_nats_joined joined;
      if (!vsi_nats_joined_open(at->data, at->len, &joined)) {
        strncat(reported, (const char *)at->data, at->len);
        continue;
      }
      while (joined.count) {
        vestry_slice letter = vsi_nats_joined_next(&joined);
        strncat(reported, letter.data, letter.len);
      }
    }
    assert_string_equal(reported, expected);
    finish(&send_queue);
  }
}

/* For any data of other users of the server: it counts as joined only if each byte is consistent. */
TEST_CASE(inconsistent_data_is_not_taken_for_joined) {
  unsigned char good[64];
  size_t len = vsi_nats_joined_add(good, 0, "one", 3);
  len = vsi_nats_joined_add(good, len, "", 0);
  len = vsi_nats_joined_add(good, len, "three", 5);
  vsi_nats_joined joined;
  assert_string_equal(contents_of(good, len), "one||three|");
  for (size_t shorter = 0; shorter < len; shorter++) {
    /* of its exact size, so that a sanitizer reports a read past the end */
    unsigned char *copy = malloc(shorter ? shorter : 1);
    memcpy(copy, good, shorter);
    assert_false(vsi_nats_joined_open(copy, shorter, &joined));
    free(copy);
  }
  assert_false(vsi_nats_joined_open(good, len + 1, &joined));
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
