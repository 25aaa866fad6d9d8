/* SPDX-License-Identifier: MIT */
/* The memory of brotli's encoders: the next encoding reuses it without the host, up to a limit. */
#include "coding/brotli_follow.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "coding/coding.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

enum { LARGE_BYTES = 16 << 10, PAGE_BYTES = 12000, CHANGE_AT = 5000 };

/* A host that counts its memory in use now, and at most, and its large allocations. */
typedef struct meter {
  vestry_host host;
  size_t used_bytes, most_bytes, large_count;
} meter;

static void *metered(void *ctx, void *memory, size_t size) {
  meter *m = ctx;
  char *base = memory ? (char *)memory - alignof(max_align_t) : NULL;
  if (base) m->used_bytes -= *(size_t *)(void *)base;
  if (!size) {
    free(base);
    return NULL;
  }
  base = realloc(base, size + alignof(max_align_t));
  assert_non_null(base);
  *(size_t *)(void *)base = size;
  m->used_bytes += size;
  if (m->used_bytes > m->most_bytes) m->most_bytes = m->used_bytes;
  if (size >= LARGE_BYTES) m->large_count++;
  return base + alignof(max_align_t);
}

static void meter_init(meter *m) {
  *m = (meter){.host = *vestry_host_default()};
  m->host.reallocate = metered;
  m->host.ctx = m;
}

/* Encode a page, or its change, from `bytes`, as the runner of a stream does. */
static void encode(void *encoder, const vestry_profile *p, bool follows, char *bytes, size_t len) {
  static char previous[PAGE_BYTES];
  vsi_sink sink;
  vsi_sink_init(&sink, NULL);
  if (follows) {
    memcpy(previous, bytes, sizeof previous);
    bytes[CHANGE_AT] ^= 1;
    assert_int_equal(p->ops->follow(encoder, previous, sizeof previous, bytes, len, &sink), VESTRY_OK);
  } else {
    assert_int_equal(p->ops->encode(encoder, bytes, len, &sink), VESTRY_OK);
  }
  assert_true(sink.buffer.len > sizeof(vsi_segment));
  vsi_buffer_finish(&sink.buffer);
  assert_true(p->ops->reset(encoder));
}

static char *make_text(size_t len) {
  char *text = malloc(len);
  uint64_t seed = 3;
  assert_non_null(text);
  for (size_t i = 0; i < len; i++) text[i] = (char)('a' + random_below(&seed, 26));
  return text;
}

static void create(meter *m, vestry_profile *p, void **ret_encoder) {
  meter_init(m);
  assert_int_equal(vsi_profile_resolve(&(vestry_profile){.ops = &vestry_profile_brotli}, p), VESTRY_OK);
  assert_int_equal(p->ops->create(p, &m->host, ret_encoder), VESTRY_OK);
}

/* A heap whose top is released and requested with each page costs more than the page. */
TEST_CASE(next_page_needs_no_large_allocation) {
  char *page = make_text(PAGE_BYTES);
  for (int follows = 0; follows < 2; follows++) {
    meter m;
    vestry_profile p;
    void *encoder;
    create(&m, &p, &encoder);
    for (int round = 0; round < 2; round++) encode(encoder, &p, follows, page, PAGE_BYTES);
    size_t asked = m.large_count;
    assert_true(asked > 0);
    for (int round = 0; round < 20; round++) encode(encoder, &p, follows, page, PAGE_BYTES);
    assert_int_equal(m.large_count, asked);
    p.ops->destroy(encoder);
    assert_int_equal(m.used_bytes, 0);
  }
  free(page);
}

/* The library would write to half a MiB for each event. */
TEST_CASE(single_event_needs_little_memory) {
  char *page = make_text(PAGE_BYTES);
  for (uint32_t level = 2; level <= 4; level++) {
    meter m;
    vestry_profile p;
    void *encoder;
    meter_init(&m);
    assert_int_equal(vsi_profile_resolve(&(vestry_profile){.ops = &vestry_profile_brotli, .level = level}, &p),
                     VESTRY_OK);
    assert_int_equal(p.ops->create(&p, &m.host, &encoder), VESTRY_OK);
    assert_true(p.ops->reset(encoder));
    for (int round = 0; round < 3; round++) encode(encoder, &p, false, page, PAGE_BYTES);
    assert_int_equal(m.most_bytes < 20 * PAGE_BYTES, level <= 3);
    p.ops->destroy(encoder);
    assert_int_equal(m.used_bytes, 0);
  }
  free(page);
}

TEST_CASE(kept_memory_is_bounded) {
  size_t large = (size_t)4 << 20;
  char *text = make_text(large);
  meter m;
  vestry_profile p;
  void *encoder;
  create(&m, &p, &encoder);
  for (int round = 0; round < 3; round++) {
    encode(encoder, &p, false, text, large);
    encode(encoder, &p, true, text, PAGE_BYTES);
    encode(encoder, &p, false, text, PAGE_BYTES);
    assert_in_range(m.used_bytes, 1, VSI_BROTLI_KEPT_BYTES + 4096); /* and the encoder */
  }
  p.ops->destroy(encoder);
  assert_int_equal(m.used_bytes, 0);
  free(text);
}

/* When memory runs out, all pieces are freed nevertheless, and what was encoded before is complete. */
static vestry_err encode_again(test_host *th, void *ctx) {
  const char *text = ctx;
  vestry_profile p;
  void *encoder;
  vestry_err error = vsi_profile_resolve(&(vestry_profile){.ops = &vestry_profile_brotli}, &p);
  if (!error) error = p.ops->create(&p, &th->host, &encoder);
  if (error) return error;
  vsi_sink sink;
  vsi_sink_init(&sink, NULL);
  for (int round = 0; round < 2 && !error; round++) {
    error = p.ops->encode(encoder, text, PAGE_BYTES, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
    if (!error) error = p.ops->follow(encoder, text, PAGE_BYTES, text, PAGE_BYTES, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
    if (!error) error = p.ops->encode(encoder, text, PAGE_BYTES - 7, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
  }
  vsi_buffer_finish(&sink.buffer);
  p.ops->destroy(encoder);
  return error;
}

TEST_CASE(allocation_failure_frees_all_pieces) {
  char *page = make_text(PAGE_BYTES);
  test_host_fail_each(encode_again, page, false);
  free(page);
}
