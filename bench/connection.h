/* SPDX-License-Identifier: MIT */
/* Connections for stores: a reference count and a closed flag. All are created in advance. A closed connection without
 * references is reused, preferably by the thread that dropped it, as an allocator does. */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Occupies a separate cache line. The two words are atomic (compiler builtins, because C++ has no _Atomic). */
typedef struct connection {
  uint32_t refs, closed;
  uint64_t id;             /* read after a lookup */
  uint64_t due_ns;         /* time of its idle expiry; 0: not expected */
  struct connection *next; /* free */
} __attribute__((aligned(64))) connection;

/* Counters of all connections. Exact while no thread uses any. */
typedef struct connection_counts {
  uint64_t taken, closed;
  uint64_t closed_twice; /* closed a second time */
  uint64_t freed_open;   /* the last reference was dropped before the close */
  uint64_t live;         /* not free */
  uint64_t early;        /* expired before due_ns */
  uint64_t late_count;   /* expired after due_ns */
} connection_counts;

/* Create `count` connections, and spare ones for each of `threads` threads. One set for each process. False: no
 * memory. */
bool connections_create(size_t count, size_t threads);
void connections_destroy(void);
/* Get the counters. ret_lateness: of expired connections; may be NULL. */
void connections_count(connection_counts *ret_counts, histogram *ret_lateness);

/* Take an open connection with one reference, which its close drops. NULL: none is left. */
connection *connection_take(void);
void connection_ref(void *connection);
void connection_unref(void *connection);
void connection_close(void *connection);
/* Close a connection that has expired. */
void connection_close_idle(void *connection);

#ifdef __cplusplus
}
#endif
#endif
