/* SPDX-License-Identifier: MIT */
/* Workloads: the keys of a contestant, and their order. They depend only on the seed, and are made before the
 * measurement, so that the stores are measured and not the generators. All contestants of a run get the same bytes. */
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
  WORKLOAD_ZIPF,  /* get, and put after a miss; Zipf 0.99 over 10 times the capacity */
  WORKLOAD_HIT,   /* get of existing keys, uniform */
  WORKLOAD_HOT,   /* get of one key */
  WORKLOAD_MIXED, /* 90 % get, 9 % put, 1 % remove; keys as ZIPF */
  WORKLOAD_IDLE   /* as MIXED, uniform over a few keys, while many other keys expire */
} workload_kind;
enum { WORKLOAD_KINDS = WORKLOAD_IDLE + 1 };

enum { WORKLOAD_GET, WORKLOAD_PUT, WORKLOAD_REMOVE };

/* Number of keys of ZIPF, in capacities; maximum number of used keys during IDLE. */
enum { WORKLOAD_ZIPF_TIMES = 10, WORKLOAD_ACTIVE_KEYS = 10000 };

/* Form of the keys: bytes without a structure, or keys of an application: a session id of 32 hexadecimal digits as
 * scope, and a tuple of a name and a number. */
typedef enum workload_keys { WORKLOAD_KEYS_SESSION, WORKLOAD_KEYS_BYTES } workload_keys;

/* A session key as bytes: the digits, "counter" with its terminator, the number (little-endian). */
enum { WORKLOAD_SESSION_SCOPE = 32, WORKLOAD_SESSION_NUMBER = 40, WORKLOAD_SESSION_BYTES = 48 };
#define WORKLOAD_SESSION_NAME "counter"

typedef struct workload {
  workload_kind kind;
  uint64_t seed;
  size_t capacity, threads;
  workload_keys keys;
  size_t key_bytes; /* SESSION: 48; BYTES: at least 8, because 8 bytes make keys distinct */
  bool objects;     /* HIT: each key is in one object, which all operations with that key read; else each has a copy */
} workload;

/* The operations of one thread, which it repeats. */
typedef struct workload_stream {
  unsigned char *keys; /* count × key_bytes; of objects: capacity × key_bytes */
  uint32_t *objects;   /* the object of each operation; NULL: operation n has key n */
  unsigned char *ops;  /* WORKLOAD_GET, … one for each key; NULL: determined by the kind */
  size_t count;
} workload_stream;

bool workload_named(const char *name, workload_kind *ret_kind);
const char *workload_name(workload_kind kind);

/* Write the at-th initial key of a store, at < capacity. */
void workload_fill_key(const workload *work, size_t at, unsigned char *key);
/* Write the at-th key in use while others expire (IDLE). */
void workload_active_key(const workload *work, size_t at, unsigned char *key);
size_t workload_active_count(const workload *work);

/* Create the streams of all threads. False: out of memory. ret_checksum distinguishes the streams of two runs. */
bool workload_streams_create(const workload *work, workload_stream *streams, uint64_t *ret_checksum);
void workload_streams_destroy(const workload *work, workload_stream *streams);

#ifdef __cplusplus
}
#endif
#endif
