/* SPDX-License-Identifier: MIT */
/* An observed instance with many streams in memory, and its measurements. */
#ifndef BENCH_COMMANDS_OBSERVE_H
#define BENCH_COMMANDS_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "pages.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { OBSERVE_TURNS_MOST = 10000 };

/* Every second stream belongs to a live page, and the others are stored under separate keys. Streams have received some
 * events, and every tenth stream does not read, so its events wait. One thread steps the runtime. */
typedef struct looked_into {
  uint64_t streams_count, turns, events_count;
  vestry *v;
  bench_pages *pages;
  vestry_observe *observe; /* NULL: not observed */
  vestry_memory_exchange **streams;
  vestry_event *event;
  uint64_t others; /* number of additional streams, each with a separate key */
} looked_into;

/* Open the instance. host: NULL: the default. false: failed; call close nevertheless. */
bool looked_into_open(looked_into *l, const vestry_host *host, bool is_observed);
void looked_into_close(looked_into *l);
/* Begin and end the observation, with pages and endpoints. */
bool looked_into_observe(looked_into *l);
void looked_into_cease(looked_into *l);
/* Run all ready work. */
void looked_into_step(looked_into *l);
/* Add and end a stream with a key. */
vestry_memory_exchange *looked_into_add(looked_into *l);
void looked_into_drop(looked_into *l, vestry_memory_exchange *stream);
/* Send a local request to an endpoint. NULL: rejected. The caller destroys the result. */
vestry_memory_exchange *looked_into_ask(looked_into *l, const char *path, const char *query);

/* The measurements. Each prints a line; false: failed. They begin with open streams and without observation, except
 * memory, which has separate streams. */
bool observe_looks(looked_into *l);
bool observe_writers(looked_into *l);
bool observe_events(looked_into *l);
bool observe_tails(looked_into *l);
bool observe_memory(const looked_into *l);

#endif
