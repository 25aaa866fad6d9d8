/* SPDX-License-Identifier: MIT */
/* Streams that are read: some threads, each with an epoll and its share of the streams, check every event that comes
 * against the one that is due, and time it. */
#ifndef BENCH_READERS_H
#define BENCH_READERS_H

#include "histogram.h"
#include "stream.h"

/* What is published in one round. Whoever publishes fills it in before readers_publish. */
typedef struct readers_round {
  char *line; /* the line of data that readers must see, without its end */
  size_t len, capacity;
  uint64_t sent_ns;
  size_t target; /* keyed: the only reader that must see it */
} readers_round;

/* From zero on; exact when nothing is under way. */
typedef struct readers_counts {
  uint64_t opened;     /* heads that came */
  uint64_t deliveries; /* events that were due, whole */
  uint64_t disorders;  /* events that were not: of another round, changed, twice, or somebody else's */
  uint64_t broken;     /* streams that ended, or were none */
  uint64_t hints;      /* that said when to come back */
  uint64_t skipped;    /* of the deliveries: rounds that did not come, as a later one did */
  uint64_t body_bytes; /* on the wire, without the heads */
} readers_counts;

typedef struct readers_options {
  size_t count, threads;
  size_t window; /* so many rounds may be under way at once; keyed: 1 */
  bool keyed;
  bool skips;        /* a stream may leave rounds out, if a later one comes: they count as delivered, and as skipped */
  bool puts_off;     /* what comes is timed, and looked at only once nothing more comes: decoding is not in the way */
  const char *other; /* lines that begin so are of no round; NULL: there are none */
  bool times_others; /* readers_beats is asked how long there was between two of them */
  const char *path;  /* keyed: "?key=k" and the reader's number are added */
  const char *encoding; /* to ask for; NULL: none */
  int port;
  const int *ports; /* instead, one after the other: stream i is of the i-th, modulo their number; borrowed */
  size_t ports_count;
  bool websockets; /* of Socket.IO (websocket.c) */
} readers_options;

typedef struct readers readers;

/* How many sources bench_subscription.source are used, so that ports suffice and those of the last run may rest. */
enum { READERS_SOURCES = 8 };

/* NULL: no memory, or no thread. */
readers *readers_create(const readers_options *options);
/* Reset all connections and free. NULL is accepted. */
void readers_destroy(readers *all);

/* Subscribe all and wait for their heads. false: not all came; one line on stderr says why. */
bool readers_open(readers *all);

/* The round that is next, to be filled in; then publish it: readers expect it from here on. */
readers_round *readers_next_round(readers *all);
void readers_publish(readers *all);

/* Wait until so many events came in all. false: for so long none came, or a stream broke. */
bool readers_wait(readers *all, uint64_t deliveries, uint64_t patience_ms);

/* Streams may end from now on, and do not count as broken. */
void readers_expect_ends(readers *all);
/* Wait until all have ended: false, for so long none did. ret_busiest: how many ended within the busiest second. */
bool readers_wait_ends(readers *all, uint64_t patience_ms, uint64_t *ret_busiest);

/* Read no more: counts and latencies stay as they are. Idempotent. */
void readers_stop(readers *all);

/* What comes from now on is of this lane; at first it is of lane 0. */
enum { READERS_LANES = 3 };
void readers_lane_set(readers *all, unsigned lane);
/* How long there was between two lines of no round in a stream, the second of them in that lane; readers must be
 * stopped. */
void readers_beats(const readers *all, unsigned lane, histogram *ret_beats);

void readers_count(const readers *all, readers_counts *ret_counts);
/* How long events took from sent_ns on, since it was asked last; readers must be idle, or stopped. */
void readers_latency(readers *all, histogram *ret_latency);

#endif
