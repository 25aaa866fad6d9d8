/* SPDX-License-Identifier: MIT */
/** The host: what the embedding program supplies to the library. Memory, time, randomness and a place to log.
 *
 *  vestry calls nothing else of the platform for these four, so a test can fail any allocation, turn the clock by hand
 *  and replay randomness from a seed. A host is borrowed by everything that is created with it and must outlive it;
 *  most are static. A NULL host anywhere means vestry_host_default(). (JSON values are jansson's, which has one
 *  allocator for the process; vestry never changes that one.) */
#ifndef VESTRY_HOST_H
#define VESTRY_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Given for a duration that is to have no end (a zero duration means "the default"). */
#define VESTRY_NEVER_MS UINT64_MAX

/** A read-only run of bytes, not terminated. */
typedef struct vestry_slice {
  const void *data;
  size_t len;
} vestry_slice;

/** How much a line of the log matters. */
typedef enum vestry_log_level {
  VESTRY_LOG_ERROR = 1, /**< something was lost or refused that should not have been */
  VESTRY_LOG_WARN = 2,  /**< it goes on, but a person should look */
  VESTRY_LOG_INFO = 3,
  VESTRY_LOG_DEBUG = 4
} vestry_log_level;

/** What an instance takes from its surroundings: memory, time, randomness and a place for its log. */
typedef struct vestry_host {
  size_t size; /**< sizeof(vestry_host), or 0 */
  /** Passed to every member below. */
  void *ctx;
  /** Like realloc: memory NULL allocates, size_bytes 0 frees and returns NULL, otherwise resizes. NULL = out of
   *  memory, memory untouched. Alignment as malloc. Any thread, concurrently; must not call vestry. Mandatory. */
  void *(*reallocate)(void *ctx, void *memory, size_t size_bytes);
  /** Nanoseconds of a monotonic clock with any origin. Any thread, concurrently. Mandatory. */
  uint64_t (*now_ns)(void *ctx);
  /** Fill a buffer with random bytes fit for keys and session ids. VESTRY_OK or VESTRY_IO. Any thread. Mandatory. */
  vestry_err (*random)(void *ctx, void *buffer, size_t len);
  /** Take one line of log (no newline, at most 1,023 bytes). Any thread, no lock held. NULL: nothing is logged. A
   *  client can cause lines, one a request or so: this function bounds what it keeps. */
  void (*log)(void *ctx, vestry_log_level level, const char *line);
  /** The clock of now_ns, but cheaper, and late by up to 10 ms: to note uses by, where that is exact enough. NULL:
   *  now_ns is asked. Any thread, concurrently. */
  uint64_t (*coarse_ns)(void *ctx);
  /** What is told where the time goes (vestry/trace.h). NULL: nothing is. Set before the host is given to anything. */
  const struct vestry_tracer *tracer;
} vestry_host;

/** malloc, CLOCK_MONOTONIC, getrandom; errors and warnings go to stderr, of the process 50 lines at once and then one a
 *  second, which says how many were left out. To be silent, copy it and set log to NULL.
 *  Returns  a static constant
 *  Threads  any; does not block */
VESTRY_API const vestry_host *vestry_host_default(void);

#ifdef __cplusplus
}
#endif
#endif
