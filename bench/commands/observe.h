/* SPDX-License-Identifier: MIT */
/* An instance with many streams in memory, to be looked into; and what of it is measured. */
#ifndef BENCH_COMMANDS_OBSERVE_H
#define BENCH_COMMANDS_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "pages.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { OBSERVE_TURNS_MOST = 10000 };

/* Every other stream is one of a live page, the others are each kept under a key of its own. Streams have been sent
 * some events, and every tenth does not read: its events wait. Its runtime is stepped, by one thread. */
typedef struct looked_into {
  uint64_t streams_count, turns, events_count;
  vestry *v;
  bench_pages *pages;
  vestry_observe *observe; /* NULL: nothing looks in */
  vestry_memory_exchange **streams;
  vestry_event *event;
  uint64_t others; /* so many streams came beside these: each has a key of its own */
} looked_into;

/* host: NULL: the default. false: something was refused; close it all the same. */
bool looked_into_open(looked_into *l, const vestry_host *host, bool is_observed);
void looked_into_close(looked_into *l);
/* Look in, with pages and endpoints; and no more. */
bool looked_into_observe(looked_into *l);
void looked_into_cease(looked_into *l);
/* Do all that is ready. */
void looked_into_step(looked_into *l);
/* One more stream of a key, and its end. */
vestry_memory_exchange *looked_into_add(looked_into *l);
void looked_into_drop(looked_into *l, vestry_memory_exchange *stream);
/* A request of this machine to an endpoint. NULL: it was refused. The caller's, to be destroyed. */
vestry_memory_exchange *looked_into_ask(looked_into *l, const char *path, const char *query);

/* Each prints a line; false: something was refused. They begin with streams that are open and nothing that looks in,
 * but for memory, which has streams of its own. */
bool observe_looks(looked_into *l);
bool observe_writers(looked_into *l);
bool observe_events(looked_into *l);
bool observe_tails(looked_into *l);
bool observe_memory(const looked_into *l);

/* The number that so much of all does not exceed; sorts. */
double observe_share(double *numbers, uint64_t count, double share);

#endif
