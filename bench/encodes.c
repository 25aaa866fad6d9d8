/* SPDX-License-Identifier: MIT */
#include "encodes.h"

#include <stdatomic.h>

static const vestry_profile_ops *inner;
static _Atomic(int64_t) encodes;

static void count(void) {
  atomic_fetch_add_explicit(&encodes, 1, memory_order_relaxed); /* only a counter */
}

static vestry_err encode(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  count();
  return inner->encode(encoder, data, len, sink);
}

static vestry_err follow(void *encoder, const void *previous, size_t previous_len, const void *data, size_t len,
                         vestry_sink *sink) {
  count();
  return inner->follow(encoder, previous, previous_len, data, len, sink);
}

const vestry_profile_ops *bench_counting_profile(const vestry_profile_ops *of) {
  static vestry_profile_ops counted;
  inner = of;
  counted = *of;
  counted.encode = encode;
  if (of->follow) counted.follow = follow;
  return &counted;
}

int64_t bench_encodes_count(void) {
  return atomic_load_explicit(&encodes, memory_order_relaxed);
}
