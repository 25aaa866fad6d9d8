/* SPDX-License-Identifier: MIT */
/* Workloads: which keys a contender gets, in which order. Everything follows from the seed, and is made before the
 * clock runs, so that stores are measured and not generators; contenders of one run get the same bytes. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum workload_kind {
  WORKLOAD_CHURN, /* put a key that the store does not hold into a full store */
  WORKLOAD_ZIPF,  /* get, on a miss put; Zipf 0.99 over 10 times the capacity */
  WORKLOAD_HIT,   /* get of keys that are there, uniform */
  WORKLOAD_HOT,   /* get of one key */
  WORKLOAD_MIXED, /* 90 % get, 9 % put, 1 % remove; keys as ZIPF */
  WORKLOAD_IDLE   /* as MIXED, uniform over a few keys, while many others expire */
} workload_kind;
enum { WORKLOAD_KINDS = WORKLOAD_IDLE + 1 };

enum { WORKLOAD_GET, WORKLOAD_PUT, WORKLOAD_REMOVE };

/* Keys that ZIPF draws from, in capacities; keys in use during IDLE, at most. */
enum { WORKLOAD_ZIPF_TIMES = 10, WORKLOAD_ACTIVE_KEYS = 10000 };

/* What keys look like: bytes without a structure, or as an application has them: a session id of 32 hexadecimal digits
 * as scope, and a tuple of a name and a number. */
typedef enum workload_keys { WORKLOAD_KEYS_SESSION, WORKLOAD_KEYS_BYTES } workload_keys;

/* A session key in one run of bytes: the digits, "counter" with its end, the number (little-endian). */
enum { WORKLOAD_SESSION_SCOPE = 32, WORKLOAD_SESSION_NUMBER = 40, WORKLOAD_SESSION_BYTES = 48 };
#define WORKLOAD_SESSION_NAME "counter"

typedef struct workload {
  workload_kind kind;
  uint64_t seed;
  size_t capacity, threads;
  workload_keys keys;
  size_t key_bytes; /* SESSION: 48; BYTES: at least 8, which are what makes keys distinct */
} workload;

/* What one thread does, over and over. */
typedef struct workload_stream {
  unsigned char *keys; /* count × key_bytes */
  unsigned char *ops;  /* WORKLOAD_GET, … one a key; NULL: the kind says it all */
  size_t count;
} workload_stream;

bool workload_named(const char *name, workload_kind *ret_kind);
const char *workload_name(workload_kind kind);

/* Bytes of the at-th key that a store of this workload holds when it starts, at < capacity. */
void workload_fill_key(const workload *work, size_t at, unsigned char *key);
/* Of the at-th key in use while others expire (IDLE). */
void workload_active_key(const workload *work, size_t at, unsigned char *key);
size_t workload_active_count(const workload *work);

/* Make the streams of all threads. False: out of memory. ret_checksum tells two runs' streams apart. */
bool workload_streams_create(const workload *work, workload_stream *streams, uint64_t *ret_checksum);
void workload_streams_destroy(const workload *work, workload_stream *streams);

#ifdef __cplusplus
}
#endif
#endif
