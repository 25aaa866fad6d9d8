/* SPDX-License-Identifier: MIT */
/** The host: functions of the embedding program for memory, time, randomness and the log.
 *
 *  vestry uses only these functions for these purposes, so a test can make any allocation fail, set the clock by hand,
 *  and replay randomness from a seed. Objects borrow the host that they are created with, and it must outlive them;
 *  most hosts are static. A NULL host means vestry_host_default(). Exception: JSON values are allocated by jansson,
 *  whose allocator is set for the whole process; vestry never changes it.
 *
 *      vestry_host host = *vestry_host_default();
 *      host.log = my_log;
 *      vestry_create(&(vestry_options){.host = &host}, &v); */
#ifndef VESTRY_HOST_H
#define VESTRY_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A duration without end (a zero duration means "the default"). */
#define VESTRY_NEVER_MS UINT64_MAX

/** A read-only run of bytes, not terminated. */
typedef struct vestry_slice {
  const void *data;
  size_t len;
} vestry_slice;

/** Severity of a log line. */
typedef enum vestry_log_level {
  VESTRY_LOG_ERROR = 1, /**< data was lost or refused, and should not have been */
  VESTRY_LOG_WARN = 2,  /**< operation continues, but an operator should check the cause */
  VESTRY_LOG_INFO = 3,
  VESTRY_LOG_DEBUG = 4
} vestry_log_level;

/** Functions for memory, time, randomness and the log. */
typedef struct vestry_host {
  /** Passed to every function below. */
  void *ctx;
  /** Allocate, resize or free memory, like realloc: allocate if memory is NULL; free and return NULL if size_bytes is
   *  0; otherwise resize. Return NULL if out of memory; memory is then unchanged. Alignment as malloc. Any thread,
   *  concurrently; must not call vestry. Mandatory. */
  void *(*reallocate)(void *ctx, void *memory, size_t size_bytes);
  /** Return the nanoseconds of a monotonic clock with any origin. Any thread, concurrently. Mandatory. */
  uint64_t (*now_ns)(void *ctx);
  /** Fill a buffer with random bytes fit for keys and session ids. VESTRY_OK or VESTRY_IO. Any thread. Mandatory. */
  vestry_err (*random)(void *ctx, void *buffer, size_t len);
  /** Log one line (no newline, at most 1,023 bytes). Any thread, no lock held. NULL: no log. Clients can cause about
   *  one line for each request, so this function must limit the number of lines: vestry_log_is_due does so. The first
   *  word of a line, up to a space or a colon, names its source, such as request or nats. */
  void (*log)(void *ctx, vestry_log_level level, const char *line);
  /** Return the time of now_ns at a lower cost and late by up to 10 ms; vestry records times of use with it. NULL:
   *  now_ns is called. Any thread, concurrently. */
  uint64_t (*coarse_ns)(void *ctx);
  /** Receives trace spans (vestry/trace.h). NULL: no traces. Set it before the host is used. */
  const struct vestry_tracer *tracer;
} vestry_host;

/** Return whether a line may be logged now, for the log of a host of the program. Each source, the first word of the
 *  lines, has its own limit for the whole process, so it displaces no line of another source: 20 lines at once, and
 *  then one every ten seconds.
 *  ret_omitted_count  lines of all sources that were omitted since the last true; 0 if the result is false
 *  Threads            any; does not block */
VESTRY_API bool vestry_log_is_due(const char *line, uint64_t *ret_omitted_count);

/** Get the default host: malloc, CLOCK_MONOTONIC, getrandom. Errors and warnings go to stderr, if vestry_log_is_due;
 *  the next line has the number of omitted lines. To turn the log off, copy the host and set log to NULL.
 *  The first call opens /dev/null for those of the descriptors 0, 1 and 2 that are closed, so that no socket or file
 *  gets the number to which the log, or printf, writes.
 *  Returns  a static constant
 *  Threads  any; does not block */
VESTRY_API const vestry_host *vestry_host_default(void);

#ifdef __cplusplus
}
#endif
#endif
