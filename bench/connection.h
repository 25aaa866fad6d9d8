/* SPDX-License-Identifier: MIT */
/* Connections as a store sees them: a count of references, and closed or not. All are created ahead; one that is closed
 * and no longer referenced is taken again, by the thread that dropped it first, as an allocator would have it. */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A cache line of its own. The two words are atomic (compiler builtins: C++ has no _Atomic). */
typedef struct connection {
  uint32_t refs, closed;
  uint64_t id;             /* what those who find it read */
  uint64_t due_ns;         /* when it should leave for being idle; 0: nobody waits for that */
  struct connection *next; /* free */
} __attribute__((aligned(64))) connection;

/* What happened to all of them. Exact when no thread uses any. */
typedef struct connection_counts {
  uint64_t taken, closed;
  uint64_t closed_twice; /* closed when it was closed already */
  uint64_t freed_open;   /* the last reference was dropped before the close */
  uint64_t live;         /* not free */
  uint64_t early;        /* left for being idle before due_ns */
  uint64_t late_count;   /* left for being idle after it */
} connection_counts;

/* Make `count` connections, and some to spare for each of `threads` threads. One set a process. False: no memory. */
bool connections_create(size_t count, size_t threads);
void connections_destroy(void);
/* ret_lateness, of those that left for being idle, may be NULL. */
void connections_count(connection_counts *ret_counts, histogram *ret_lateness);

/* An open connection with one reference: its own, dropped by its close. NULL: none is left. */
connection *connection_take(void);
void connection_ref(void *connection);
void connection_unref(void *connection);
void connection_close(void *connection);
/* Close for having been idle. */
void connection_close_idle(void *connection);

#ifdef __cplusplus
}
#endif
#endif
