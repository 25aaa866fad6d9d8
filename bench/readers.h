/* SPDX-License-Identifier: MIT */
/* Readers of streams: some threads, each with an epoll and a share of the streams, compare every event with the
 * expected one, and time it. */
#ifndef BENCH_READERS_H
#define BENCH_READERS_H

#include "histogram.h"
#include "stream.h"

/* The data of one round. The publisher fills it in before readers_publish. */
typedef struct readers_round {
  char *line; /* the expected data line, without its line end */
  size_t len, capacity;
  uint64_t sent_ns;
  size_t target; /* keyed: the only reader that expects it */
} readers_round;

/* Counters from zero; exact while no event is on its way. */
typedef struct readers_counts {
  uint64_t opened;     /* received heads */
  uint64_t deliveries; /* complete expected events */
  uint64_t disorders;  /* unexpected events: of another round, changed, repeated, or of another reader */
  uint64_t broken;     /* streams that ended or could not be opened */
  uint64_t hints;      /* ends with a reconnect delay */
  uint64_t skipped;    /* deliveries counted for rounds that were replaced by a later one */
  uint64_t body_bytes; /* bytes on the wire, without heads */
} readers_counts;

typedef struct readers_options {
  size_t count, threads;
  size_t window; /* maximum number of concurrent rounds; keyed: 1 */
  bool keyed;
  bool skips;    /* a stream may skip rounds if a later one arrives: they count as delivered and as skipped */
  bool puts_off; /* data is timed at once but checked after all data has arrived, so that decoding causes no delay */
  const char *other;    /* beginning of lines that belong to no round; NULL: none */
  bool times_others;    /* record the time between such lines, for readers_beats */
  const char *path;     /* keyed: "?key=k" and the reader's number are appended */
  const char *encoding; /* to request; NULL: none */
  int port;
  const int *ports; /* instead of port: stream i uses port i modulo their number; borrowed */
  size_t ports_count;
  bool websockets;   /* of Socket.IO (websocket.c) */
  size_t h2_streams; /* of a connection of HTTP/2; 0: HTTP/1.1 */
  bool h2_plain;     /* without TLS */
  size_t h2_unread;  /* the first connections have a further stream that is never read */
} readers_options;

typedef struct readers readers;

/* Number of source addresses (bench_subscription.source), so that there are enough ports, and ports of the last run can
 * rest. */
enum { READERS_SOURCES = 8 };

/* Create the readers. NULL: no memory, or no thread. */
readers *readers_create(const readers_options *options);
/* Reset all connections and free. NULL is accepted. */
void readers_destroy(readers *all);

/* Subscribe all streams and wait for their heads. false: not all arrived; one line on stderr has the reason. */
bool readers_open(readers *all);

/* Get the next round, to be filled in; then publish it: from then on readers expect it. */
readers_round *readers_next_round(readers *all);
void readers_publish(readers *all);

/* Wait for a total number of events. false: none arrived for patience_ms, or a stream broke. */
bool readers_wait(readers *all, uint64_t deliveries, uint64_t patience_ms);

/* From now on, streams may end without counting as broken. */
void readers_expect_ends(readers *all);
/* Wait until all streams have ended. false: none ended for patience_ms. ret_busiest: number of ends within the busiest
 * second. */
bool readers_wait_ends(readers *all, uint64_t patience_ms, uint64_t *ret_busiest);

/* Stop reading: counts and latencies no longer change. Idempotent. */
void readers_stop(readers *all);

/* Assign the data that arrives from now on to a lane; the first is lane 0. */
enum { READERS_LANES = 3 };
void readers_lane_set(readers *all, unsigned lane);
/* Get the times between two lines of no round in a stream, the second in this lane; readers must be stopped. */
void readers_beats(const readers *all, unsigned lane, histogram *ret_beats);

void readers_count(const readers *all, readers_counts *ret_counts);
/* Get the latencies of events from sent_ns on, since the last call; readers must be idle or stopped. */
void readers_latency(readers *all, histogram *ret_latency);

#endif
