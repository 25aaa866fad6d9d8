/* SPDX-License-Identifier: MIT */
/* The additional cost of an event because some events are timed, and because its stream or another one has a tail,
 * alternately with and without. The time runs from the send until the event is written, including the display of a
 * tail. */
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "observe.h"

enum { BATCH = 64 }; /* fewer than the capacity of a tail, so that none is skipped */

typedef struct comparison {
  double plain_ns, other_ns, ratio, more_ns; /* medians of all turns; the last two of pairs */
} comparison;

/* Return the nanoseconds for an event to one stream. 0: it was not accepted. */
static double time_events(looked_into *l, uint64_t number) {
  vestry_memory_exchange *stream = l->streams[number];
  vestry_connection *connection = vestry_memory_look(stream).connection;
  const uint64_t since_ns = bench_now_ns();
  for (uint64_t sent = 0; sent < l->events_count; sent += BATCH) {
    for (int i = 0; i < BATCH; i++)
      if (vestry_connection_send(connection, l->event)) return 0;
    looked_into_step(l);
    (void)vestry_memory_since(stream);
  }
  return (double)(bench_now_ns() - since_ns) / (double)((l->events_count + BATCH - 1) / BATCH * BATCH);
}

typedef struct way {
  bool (*begin)(looked_into *l, vestry_memory_exchange **ret_viewer);
  void (*end)(looked_into *l, vestry_memory_exchange *viewer);
  uint64_t number; /* number of the stream that receives the events */
} way;

static bool time_pair(looked_into *l, const way *how, bool is_first, double *plain_ns, double *other_ns) {
  for (int i = 0; i < 2; i++) {
    vestry_memory_exchange *viewer = NULL;
    if ((i == 0) != is_first) {
      *plain_ns = time_events(l, how->number);
    } else {
      if (!how->begin(l, &viewer)) return false;
      *other_ns = time_events(l, how->number);
      how->end(l, viewer);
    }
  }
  return *plain_ns > 0 && *other_ns > 0;
}

static bool compare(looked_into *l, const way *how, comparison *ret) {
  static double plain[OBSERVE_TURNS_MOST], other[OBSERVE_TURNS_MOST], ratios[OBSERVE_TURNS_MOST],
      more[OBSERVE_TURNS_MOST];
  for (uint64_t turn = 0; turn < l->turns; turn++) {
    if (!time_pair(l, how, turn % 2, &plain[turn], &other[turn])) return false;
    ratios[turn] = other[turn] / plain[turn];
    more[turn] = other[turn] - plain[turn];
  }
  *ret = (comparison){bench_share(plain, l->turns, 0.5), bench_share(other, l->turns, 0.5),
                      bench_share(ratios, l->turns, 0.5), bench_share(more, l->turns, 0.5)};
  return true;
}

/* ------------------------------------------------------------------------------------------------- observers ----- */

static bool begin_observer(looked_into *l, vestry_memory_exchange **ret_viewer) {
  (void)ret_viewer;
  return looked_into_observe(l);
}

static void end_observer(looked_into *l, vestry_memory_exchange *viewer) {
  (void)viewer;
  looked_into_cease(l);
}

bool observe_events(looked_into *l) {
  comparison found;
  if (!compare(l, &(way){begin_observer, end_observer, 0}, &found)) return false;
  printf("events count=%" PRIu64 " turns=%" PRIu64 " plain_ns=%.1f observed_ns=%.1f ratio=%.4f more_ns=%.1f\n",
         l->events_count, l->turns, found.plain_ns, found.other_ns, found.ratio, found.more_ns);
  return true;
}

/* ----------------------------------------------------------------------------------------------------- tails ----- */

/* Open a tail of the first stream. */
static bool begin_tail(looked_into *l, vestry_memory_exchange **ret_viewer) {
  char path[64];
  const uint64_t id = vestry_connection_look(vestry_memory_look(l->streams[0]).connection).id;
  snprintf(path, sizeof path, "/observe/streams/%" PRIu64 "/tail", id);
  vestry_memory_exchange *viewer = looked_into_ask(l, path, NULL);
  looked_into_step(l);
  *ret_viewer = viewer;
  return viewer && vestry_memory_look(viewer).connection;
}

static void end_tail(looked_into *l, vestry_memory_exchange *viewer) {
  looked_into_drop(l, viewer);
}

bool observe_tails(looked_into *l) {
  comparison own, others;
  if (!looked_into_observe(l) || !compare(l, &(way){begin_tail, end_tail, 0}, &own) ||
      !compare(l, &(way){begin_tail, end_tail, 10}, &others))
    return false;
  printf("tails count=%" PRIu64 " turns=%" PRIu64 " plain_ns=%.1f tailed_ns=%.1f more_ns=%.1f other_plain_ns=%.1f "
         "other_tailed_ns=%.1f other_ratio=%.4f other_more_ns=%.1f\n",
         l->events_count, l->turns, own.plain_ns, own.other_ns, own.more_ns, others.plain_ns, others.other_ns,
         others.ratio, others.more_ns);
  return true;
}
