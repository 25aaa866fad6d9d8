/* SPDX-License-Identifier: MIT */
/* Memory that an encoder gave back: the next one has it, its host does not see it, and it is bounded. */
#include "coding/spare.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "coding/coding.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

enum { LARGE_BYTES = 16 << 10, PAGE_BYTES = 12000, CHANGE_AT = 5000 };

/* A host that knows how much of it is in use, and how often a large piece was asked for. */
typedef struct meter {
  vestry_host host;
  size_t used_bytes, large_count;
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
  if (size >= LARGE_BYTES) m->large_count++;
  return base + alignof(max_align_t);
}

static void meter_init(meter *m) {
  *m = (meter){.host = *vestry_host_default()};
  m->host.reallocate = metered;
  m->host.ctx = m;
}

/* Encode a page, or what has changed in it, of the text `bytes`, as a stream's runner has it done. */
static void encode(void *encoder, const vestry_profile *p, bool follows, char *bytes, size_t len) {
  static char previous[PAGE_BYTES];
  vestry_sink sink;
  vsi_sink_init(&sink, NULL);
  if (follows) {
    memcpy(previous, bytes, sizeof previous);
    bytes[CHANGE_AT] ^= 1;
    assert_int_equal(p->ops->follow(encoder, previous, sizeof previous, bytes, len, &sink), VESTRY_OK);
  } else {
    assert_int_equal(p->ops->encode(encoder, bytes, len, &sink), VESTRY_OK);
  }
  assert_true(sink.buffer.len > sizeof(vsi_segment));
  vsi_sink_finish(&sink);
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
  assert_int_equal(p->ops->create(p, &m->host, VESTRY_ENCODER_SEGMENT, ret_encoder), VESTRY_OK);
}

/* A heap whose top comes and goes with each page costs more than the page. */
static void the_next_page_asks_the_host_for_no_large_piece(void **state) {
  (void)state;
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

static void what_is_kept_is_bounded(void **state) {
  (void)state;
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
    /* beside it: the encoder, and what stands in front of each piece */
    assert_in_range(m.used_bytes, 1, VSI_SPARE_MOST_BYTES + 4096);
  }
  p.ops->destroy(encoder);
  assert_int_equal(m.used_bytes, 0);
  free(text);
}

/* A stream's own encoder, or an epoch's, keeps nothing beside what its library has. */
static void what_is_not_reset_keeps_nothing(void **state) {
  (void)state;
  meter m;
  meter_init(&m);
  vsi_spare spare;
  vsi_spare_init(&spare, &m.host);
  void *one = vsi_alloc(&spare.host, LARGE_BYTES), *other = vsi_alloc(&spare.host, 1);
  assert_true(one && other);
  vsi_spare_free(&spare, one);
  assert_in_range(m.used_bytes, 1, 100);
  vsi_spare_free(&spare, NULL);
  vsi_spare_finish(&spare); /* what is lent, too */
  assert_int_equal(m.used_bytes, 0);
}

static void a_piece_is_lent_again_if_it_fits(void **state) {
  (void)state;
  meter m;
  meter_init(&m);
  vsi_spare spare;
  vsi_spare_init(&spare, &m.host);
  void *first = vsi_alloc(&spare.host, 100000);
  assert_int_equal((uintptr_t)first % alignof(max_align_t), 0);
  vsi_free(&spare.host, first);
  assert_true(spare.kept_bytes >= 100000);
  void *small = vsi_alloc(&spare.host, 1000), *fitting = vsi_alloc(&spare.host, 90000);
  assert_ptr_not_equal(small, first);
  assert_ptr_equal(fitting, first);
  memset(fitting, 7, 90000);
  char *grown = vsi_realloc(&spare.host, fitting, 200000);
  assert_non_null(grown);
  for (int i = 0; i < 90000; i++) assert_int_equal(grown[i], 7);
  assert_ptr_equal(vsi_realloc(&spare.host, grown, 200001), grown); /* there was some room */
  assert_null(vsi_alloc(&spare.host, SIZE_MAX - 10));
  vsi_free(&spare.host, small);
  vsi_free(&spare.host, grown);
  vsi_spare_finish(&spare);
  assert_int_equal(m.used_bytes, 0);
}

/* What is lent and kept when memory runs out is given back all the same; and what was encoded before it is whole. */
static vestry_err encode_again(test_host *th, void *ctx) {
  const char *text = ctx;
  vestry_profile p;
  void *encoder;
  vestry_err error = vsi_profile_resolve(&(vestry_profile){.ops = &vestry_profile_brotli}, &p);
  if (!error) error = p.ops->create(&p, &th->host, VESTRY_ENCODER_SEGMENT, &encoder);
  if (error) return error;
  vestry_sink sink;
  vsi_sink_init(&sink, NULL);
  for (int round = 0; round < 2 && !error; round++) {
    error = p.ops->encode(encoder, text, PAGE_BYTES, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
    if (!error) error = p.ops->follow(encoder, text, PAGE_BYTES, text, PAGE_BYTES, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
    if (!error) error = p.ops->encode(encoder, text, PAGE_BYTES - 7, &sink);
    if (!error) assert_true(p.ops->reset(encoder));
  }
  vsi_sink_finish(&sink);
  p.ops->destroy(encoder);
  return error;
}

static void memory_runs_out(void **state) {
  (void)state;
  char *page = make_text(PAGE_BYTES);
  test_host_fail_each(encode_again, page, false);
  free(page);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_next_page_asks_the_host_for_no_large_piece),
      cmocka_unit_test(what_is_kept_is_bounded),
      cmocka_unit_test(what_is_not_reset_keeps_nothing),
      cmocka_unit_test(a_piece_is_lent_again_if_it_fits),
      cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
