/* SPDX-License-Identifier: MIT */
/* A key is made from its index: the first eight bytes by a bijection, so that distinct indices give distinct keys, and
 * the other bytes from the first. The checksums in the output prove that all contestants got the same keys. */
#include "workload.h"

#include <endian.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#define ZIPF_EXPONENT 0.99

/* Indices: each use of keys has a separate range. */
#define INDEX_FILL   (UINT64_C(1) << 40)
#define INDEX_RANK   (UINT64_C(2) << 40)
#define INDEX_ACTIVE (UINT64_C(3) << 40)
#define INDEX_CHURN  (UINT64_C(4) << 40) /* + thread << 32 */

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

enum { STREAM_LEAST = 1 << 20, STREAM_CAPACITIES = 4 };

static const char *const names[WORKLOAD_KINDS] = {"churn", "zipf", "hit", "hot", "mixed", "idle"};

bool workload_named(const char *name, workload_kind *ret_kind) {
  for (int kind = 0; kind < WORKLOAD_KINDS; kind++) {
    if (strcmp(name, names[kind]) != 0) continue;
    *ret_kind = (workload_kind)kind;
    return true;
  }
  return false;
}

const char *workload_name(workload_kind kind) {
  return names[kind];
}

/* ------------------------------------------------------------------------------------------------ keys ---- */

/* splitmix64's finalizer: a bijection of 64 bits. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static void write_digits(uint64_t word, unsigned char *at) {
  for (int i = 0; i < 16; i++, word >>= 4) at[i] = (unsigned char)"0123456789abcdef"[word & 15];
}

static void write_session_key(uint64_t first, unsigned char *key) {
  uint64_t second = mix(first + GOLDEN), number = htole64(1 + second % 60);
  write_digits(first, key);
  write_digits(second, key + 16);
  memcpy(key + WORKLOAD_SESSION_SCOPE, WORKLOAD_SESSION_NAME, sizeof WORKLOAD_SESSION_NAME);
  memcpy(key + WORKLOAD_SESSION_NUMBER, &number, sizeof number);
}

static void write_key(const workload *work, uint64_t index, unsigned char *key) {
  uint64_t first = mix(mix(work->seed) + index * GOLDEN), word = first;
  if (work->keys == WORKLOAD_KEYS_SESSION) {
    write_session_key(first, key);
    return;
  }
  for (size_t at = 0; at < work->key_bytes; at += 8) {
    uint64_t bytes = htole64(word);
    memcpy(key + at, &bytes, work->key_bytes - at < 8 ? work->key_bytes - at : 8);
    word = mix(word + GOLDEN);
  }
}

void workload_fill_key(const workload *work, size_t at, unsigned char *key) {
  bool ranked = work->kind == WORKLOAD_ZIPF || work->kind == WORKLOAD_MIXED; /* the most popular last */
  write_key(work, ranked ? INDEX_RANK + (work->capacity - 1 - at) : INDEX_FILL + at, key);
}

void workload_active_key(const workload *work, size_t at, unsigned char *key) {
  write_key(work, INDEX_ACTIVE + at, key);
}

size_t workload_active_count(const workload *work) {
  return work->capacity < WORKLOAD_ACTIVE_KEYS ? work->capacity : WORKLOAD_ACTIVE_KEYS;
}

/* ------------------------------------------------------------------------------------------------ draws ---- */

typedef struct draws {
  uint64_t state;
} draws;

static uint64_t draw(draws *from) {
  return mix(from->state += GOLDEN);
}

static uint64_t draw_below(draws *from, uint64_t bound) { /* bound < 2^32 */
  return ((draw(from) >> 32) * bound) >> 32;
}

/* Write the sums of the weights of ranks: sums[r] is the sum of ranks 0 … r. */
static void sum_weights(double *sums, size_t count) {
  double sum = 0;
  for (size_t rank = 0; rank < count; rank++) sums[rank] = sum += pow((double)(rank + 1), -ZIPF_EXPONENT);
}

static size_t draw_rank(draws *from, const double *sums, size_t count) {
  double target = (double)(draw(from) >> 11) * 0x1p-53 * sums[count - 1];
  size_t low = 0, high = count - 1; /* the first sum above the target */
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (sums[middle] > target)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* ------------------------------------------------------------------------------------------------ streams ---- */

/* Allocate separate pages, so that the measured heap contains only the store. */
static void *map(size_t bytes) {
  void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? NULL : pages;
}

static void unmap(void *pages, size_t bytes) {
  if (pages) munmap(pages, bytes);
}

/* Return the length of a stream: long enough that a key of CHURN is evicted before it is repeated, whatever the other
 * threads do. */
static size_t stream_length(const workload *work) {
  if (work->kind == WORKLOAD_HOT) return 1;
  size_t length = 1 << 10;
  while (length * work->threads < STREAM_LEAST || length < STREAM_CAPACITIES * work->capacity) length *= 2;
  return length;
}

static uint64_t next_index(const workload *work, size_t thread, size_t at, draws *from, const double *sums) {
  switch (work->kind) {
  case WORKLOAD_CHURN: return INDEX_CHURN + ((uint64_t)thread << 32) + at;
  case WORKLOAD_HIT: return INDEX_FILL + draw_below(from, work->capacity);
  case WORKLOAD_HOT: return INDEX_FILL;
  case WORKLOAD_IDLE: return INDEX_ACTIVE + draw_below(from, workload_active_count(work));
  default: return INDEX_RANK + draw_rank(from, sums, work->capacity * WORKLOAD_ZIPF_TIMES);
  }
}

static unsigned char next_op(draws *from) {
  uint64_t percent = draw_below(from, 100);
  return percent < 90 ? WORKLOAD_GET : percent < 99 ? WORKLOAD_PUT : WORKLOAD_REMOVE;
}

static uint64_t checksum_key(uint64_t checksum, const unsigned char *key, unsigned char op) {
  uint64_t first;
  memcpy(&first, key, sizeof first);
  return (checksum ^ (le64toh(first) + op)) * UINT64_C(0x100000001b3);
}

static size_t keys_bytes(const workload *work, const workload_stream *stream) {
  return (work->objects ? work->capacity : stream->count) * work->key_bytes;
}

static bool create_stream(const workload *work, size_t thread, const double *sums, workload_stream *stream,
                          uint64_t *checksum) {
  bool mixed = work->kind == WORKLOAD_MIXED || work->kind == WORKLOAD_IDLE;
  stream->count = stream_length(work);
  stream->keys = map(keys_bytes(work, stream));
  stream->objects = work->objects ? map(stream->count * sizeof *stream->objects) : NULL;
  stream->ops = mixed ? map(stream->count) : NULL;
  if (!stream->keys || (work->objects && !stream->objects) || (mixed && !stream->ops)) return false;
  draws from = {mix(work->seed + (thread + 1) * GOLDEN)};
  for (size_t at = 0; at < stream->count; at++) {
    const uint64_t index = next_index(work, thread, at, &from, sums);
    unsigned char *key = stream->keys + (work->objects ? index - INDEX_FILL : at) * work->key_bytes;
    if (work->objects) stream->objects[at] = (uint32_t)(index - INDEX_FILL);
    write_key(work, index, key);
    unsigned char op = mixed ? next_op(&from) : WORKLOAD_GET;
    if (mixed) stream->ops[at] = op;
    *checksum = checksum_key(*checksum, key, op);
  }
  return true;
}

bool workload_streams_create(const workload *work, workload_stream *streams, uint64_t *ret_checksum) {
  memset(streams, 0, work->threads * sizeof *streams);
  bool ranked = work->kind == WORKLOAD_ZIPF || work->kind == WORKLOAD_MIXED;
  size_t ranks = work->capacity * WORKLOAD_ZIPF_TIMES, sums_bytes = ranks * sizeof(double);
  double *sums = ranked ? map(sums_bytes) : NULL;
  if (ranked && !sums) return false;
  if (ranked) sum_weights(sums, ranks);
  bool made = true;
  uint64_t checksum = 0;
  for (size_t thread = 0; made && thread < work->threads; thread++)
    made = create_stream(work, thread, sums, &streams[thread], &checksum);
  unmap(sums, sums_bytes);
  if (!made) workload_streams_destroy(work, streams);
  *ret_checksum = checksum;
  return made;
}

void workload_streams_destroy(const workload *work, workload_stream *streams) {
  for (size_t thread = 0; thread < work->threads; thread++) {
    unmap(streams[thread].keys, keys_bytes(work, &streams[thread]));
    unmap(streams[thread].objects, streams[thread].count * sizeof *streams[thread].objects);
    unmap(streams[thread].ops, streams[thread].count);
  }
}
