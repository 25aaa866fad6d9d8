/* SPDX-License-Identifier: MIT */
/* Differences encoded as brotli: the decoder reads the event, whatever the stream contained before it. */
#include "coding/brotli_follow.h"

#include <stdlib.h>

#include "base/memory.h"
#include "coding/coding.h"
#include "decode/decode.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

enum { WINDOW_LEAST = 10, WINDOW_MOST = 18 };

/* How the stream's previous event was encoded. */
typedef enum manner { FRAMED, BY_LIBRARY, FOLLOWING, MANNERS } manner;

static void feed(decoder *d, vsi_sink *sink) {
  const char *bytes = sink->buffer.data + sizeof(vsi_segment);
  size_t len = sink->buffer.len - sizeof(vsi_segment);
  assert_int_equal(sink->buffer.error, VESTRY_OK);
  for (size_t at = 0; at < len; at += 1000) decoder_feed(d, bytes + at, len - at < 1000 ? len - at : 1000);
  vsi_buffer_finish(&sink->buffer);
  vsi_sink_init(sink, NULL);
}

/* previous: what the stream's text ends with; is_alone: the encoder does not learn it. Returns the number of bytes of
 * the event. */
static size_t check_how(unsigned window_bits, manner how, const char *previous, size_t previous_len, const char *text,
                        size_t len, bool is_alone) {
  const vestry_host *host = vestry_host_default();
  vestry_profile profile = {.ops = &vestry_profile_brotli, .window_bits = window_bits};
  assert_int_equal(profile.ops->resolve(&profile), VESTRY_OK);
  vsi_sink sink;
  decoder d;
  vsi_sink_init(&sink, NULL);
  decoder_init(&d, "br");
  assert_int_equal(profile.ops->primer(&profile, host, &sink), VESTRY_OK);
  feed(&d, &sink);
  size_t primer_len = d.text.len;
  vsi_brotli_room room;
  vsi_brotli_room_init(&room, host);
  if (how == FRAMED) {
    assert_int_equal(profile.ops->store(previous, previous_len, &sink), VESTRY_OK);
  } else if (how == BY_LIBRARY) {
    void *encoder = NULL;
    assert_int_equal(profile.ops->create(&profile, host, &encoder), VESTRY_OK);
    assert_int_equal(profile.ops->encode(encoder, previous, previous_len, &sink), VESTRY_OK);
    profile.ops->destroy(encoder);
  } else { /* what the primer ends with */
    assert_int_equal(vsi_brotli_follow(&room, window_bits, "  \n\n", 4, previous, previous_len, &sink), VESTRY_OK);
  }
  feed(&d, &sink);
  assert_int_equal(d.text.len, primer_len + previous_len);
  assert_int_equal(
      vsi_brotli_follow(&room, window_bits, is_alone ? NULL : previous, is_alone ? 0 : previous_len, text, len, &sink),
      VESTRY_OK);
  size_t wire_len = sink.buffer.len - sizeof(vsi_segment);
  feed(&d, &sink);
  assert_false(d.broken);
  assert_int_equal(d.text.len, primer_len + previous_len + len);
  assert_memory_equal(d.text.data + primer_len + previous_len, text, len);
  assert_int_equal(profile.ops->end(0, &sink), VESTRY_OK);
  feed(&d, &sink);
  assert_true(d.ended);
  decoder_finish(&d);
  vsi_brotli_room_finish(&room);
  vsi_buffer_finish(&sink.buffer);
  return wire_len;
}

static size_t check(unsigned window_bits, manner how, const char *previous, size_t previous_len, const char *text,
                    size_t len) {
  return check_how(window_bits, how, previous, previous_len, text, len, false);
}

/* capability: D16, F1 */
TEST_CASE(change_in_a_page_is_encoded_briefly) {
  static char page[20000], changed[20000];
  size_t len = 0, changed_len = 0;
  for (int i = 0; i < 100; i++) {
    char message[200];
    int message_len =
        snprintf(message, sizeof message,
                 "<li id=\"m%d\"><b>user%d</b> <span class=\"text\">what number %d says, %d</span></li>\n", i,
                 i * 7 % 13, i, i * 7919 % 1000);
    if (i < 99) memcpy(page + len, message, (size_t)message_len), len += (size_t)message_len;
    memcpy(changed + changed_len, message, (size_t)message_len), changed_len += (size_t)message_len;
  }
  memcpy(page + len, "</ul>", 5), len += 5;
  memcpy(changed + changed_len, "</ul>", 5), changed_len += 5;
  for (unsigned bits = WINDOW_LEAST; bits <= WINDOW_MOST; bits++)
    for (int m = 0; m < MANNERS; m++) {
      size_t wire = check(bits, m, page, len, changed, changed_len);
      if (bits >= 14) assert_in_range(wire, 1, 100);
      wire = check(bits, m, page, len, page, len);
      if (bits >= 14) assert_in_range(wire, 1, 20); /* no change */
    }
}

/* Texts of many kinds that repeat themselves and each other over lengths of all classes. */
static size_t make_text(uint64_t *random, char *text, size_t most, const char *other, size_t other_len) {
  size_t len = 1 + random_below(random, random_below(random, 3) ? 3000 : most - 1), at = 0;
  unsigned alphabet = (unsigned[]){1, 2, 3, 4, 5, 26, 255, 256}[random_below(random, 8)];
  while (at < len) {
    size_t left = len - at, wanted = (size_t)1 << random_below(random, 15);
    wanted += random_below(random, wanted);
    size_t piece = wanted < left ? wanted : left;
    const char *source = random_below(random, 3) && at ? text : other;
    size_t source_len = source == text ? at : other_len;
    if (source_len && random_below(random, 3)) {
      size_t from = random_below(random, source_len);
      if (source == other && piece > source_len - from) piece = source_len - from;
      for (size_t i = 0; i < piece; i++) text[at + i] = source[from + i]; /* may overlap the bytes that it writes */
    } else {
      if (piece > 2000) piece = 2000;
      for (size_t i = 0; i < piece; i++) { /* low symbols more often, so that codes are deep */
        unsigned symbol = (unsigned)random_below(random, alphabet);
        if (random_below(random, 2)) symbol = symbol ? (unsigned)random_below(random, symbol) : 0;
        text[at + i] = (char)symbol;
      }
    }
    at += piece;
  }
  return len;
}

/* capability: D16, F1 */
TEST_CASE(differences_of_random_texts_decode) {
  enum { MOST = 200000, ROUNDS = TEST_ROUNDS(3000) };
  char *previous = malloc(MOST), *text = malloc(MOST);
  assert_true(previous && text);
  const uint64_t seed = random_setting("VESTRY_SEED", 0), first = seed ? seed : 1, last = seed ? seed : ROUNDS;
  for (uint64_t at = first; at <= last; at++) {
    uint64_t random = at;
    if (at % 100 == 1) print_message("seeds from %d\n", (int)at);
    size_t previous_len = make_text(&random, previous, MOST, "", 0);
    size_t len = make_text(&random, text, MOST, previous, previous_len);
    unsigned bits = WINDOW_LEAST + (unsigned)random_below(&random, WINDOW_MOST - WINDOW_LEAST + 1);
    check_how(bits, (manner)random_below(&random, MANNERS), previous, previous_len, text, len,
              random_below(&random, 3) == 0);
  }
  free(previous);
  free(text);
}

/* With Fibonacci numbers as symbol counts, the code of the rarest symbol would be deeper than the format allows. */
/* capability: D16, F1 */
TEST_CASE(too_deep_code_is_limited) {
  static char text[400000];
  size_t len = 0;
  uint64_t random = 7;
  for (size_t symbol = 0, count = 1, next = 1; len + count < sizeof text && symbol < 26; symbol++) {
    memset(text + len, (int)(symbol * 9 + 1), count);
    len += count;
    size_t sum = count + next;
    count = next;
    next = sum;
  }
  for (size_t i = len; i > 1; i--) { /* shuffled, so that most become literals */
    size_t other = random_below(&random, i);
    char swapped = text[i - 1];
    text[i - 1] = text[other];
    text[other] = swapped;
  }
  check(12, FRAMED, "before", 6, text, len);
  check(18, BY_LIBRARY, text, len / 2, text, len);
  check_how(16, BY_LIBRARY, text, len / 2, text, len, true);
}

/* capability: F1 */
TEST_CASE(copy_and_insert_lengths_at_each_class_border) {
  static char previous[30000], text[60000];
  uint64_t random = 3;
  for (size_t i = 0; i < sizeof previous; i++) previous[i] = (char)random_below(&random, 256);
  static const size_t borders[] = {
      1,   2,   5,   6,   9,   10,  13,   14,   17,   18,   21,   22,   29,   30,   33,   34,   37,    38,    49,   50,
      53,  54,  65,  66,  69,  70,  97,   98,   101,  102,  129,  130,  133,  134,  193,  194,  197,   198,   321,  322,
      325, 326, 577, 578, 581, 582, 1089, 1090, 1093, 1094, 2113, 2114, 2117, 2118, 6209, 6210, 22593, 22594, 25000};
  for (size_t i = 0; i < sizeof borders / sizeof *borders; i++)
    for (size_t j = 0; j < 3; j++) { /* this number of new bytes, then a copy of as many, then new bytes or none */
      size_t count = borders[i], len = 0;
      for (; len < count; len++) text[len] = (char)random_below(&random, 256);
      memcpy(text + len, previous + 100 + j, count);
      len += count;
      for (size_t k = 0; k < j; k++) text[len++] = (char)random_below(&random, 256);
      check(16, FRAMED, previous, sizeof previous, text, len);
    }
}

TEST_CASE(large_differences_decode_up_to_the_limit) {
  size_t most = VSI_BROTLI_FOLLOW_MAX_BYTES;
  char *text = malloc(most + 1);
  assert_non_null(text);
  uint64_t random = 5;
  for (size_t i = 0; i <= most; i++) text[i] = (char)random_below(&random, i % 5000 < 2500 ? 256 : 3);
  check(18, FRAMED, text, most, text, most);
  check(10, BY_LIBRARY, text, most, text, most);
  check(16, FRAMED, text, 1, text, 65536);
  check_how(10, FRAMED, text, most, text, most, true);
  check_how(18, BY_LIBRARY, text, most, text, 65536, true);
  check(16, FRAMED, text, 1, text, 65537);
  vsi_sink sink;
  vsi_brotli_room room;
  vsi_sink_init(&sink, NULL);
  vsi_brotli_room_init(&room, vestry_host_default());
  assert_int_equal(vsi_brotli_follow(&room, 16, text, 1, text, most + 1, &sink), VESTRY_UNSUPPORTED);
  sink.buffer.error = VESTRY_NO_MEMORY;
  assert_int_equal(vsi_brotli_follow(&room, 16, text, 1, text, 5000, &sink), VESTRY_NO_MEMORY);
  vsi_brotli_room_finish(&room);
  vsi_buffer_finish(&sink.buffer);
  free(text);
}

static vestry_err follow(test_host *th, void *ctx) {
  vsi_sink sink;
  vsi_brotli_room room;
  vsi_sink_init(&sink, vestry_host_default());
  vsi_brotli_room_init(&room, &th->host);
  vestry_err error = vsi_brotli_follow(&room, 16, ctx, 2500, ctx, 5000, &sink);
  vsi_brotli_room_finish(&room);
  vsi_buffer_finish(&sink.buffer);
  return error;
}

TEST_CASE(encoding_survives_every_allocation_failure) {
  static char text[5000];
  uint64_t random = 9;
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)random_below(&random, 3);
  test_host_fail_each(follow, text, false);
}
