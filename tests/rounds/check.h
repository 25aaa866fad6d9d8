/* SPDX-License-Identifier: MIT */
/* The guarantees of a cluster, checked with the record of a world. Order and duplicates are checked when messages
 * arrive (world.c). */
#ifndef TESTS_ROUNDS_CHECK_H
#define TESTS_ROUNDS_CHECK_H

#include "rounds/world.h"

enum { TOLD_WITHIN_MS = 1000, EQUAL_WITHIN_MS = 2000 };

typedef struct verdict {
  size_t pending;               /* may still be reported */
  size_t messages, lost, asked; /* lost: messages that a receiver missed, with a report */
  size_t ok, not_found, unknown, failed;
  uint64_t longest_ns; /* until a loss was reported, between nodes that were connected */
} verdict;

/* Judge all messages from this one on that can be judged: each missed message was reported in time, and each request
 * was answered in time and correctly. Others are pending. */
void check_messages(world *w, size_t from, uint64_t answer_ms, verdict *v);
/* Return whether each node knows the alive nodes and their keys. */
bool check_digests(world *w);
/* Return whether one is left of streams that REPLACE each other. */
bool check_replaced(const world *w);
/* Assert that one is left: each replaced stream was replaced by another one. */
void check_survivors(world *w);
size_t open_under(const world *w, char kind, const char *name);

#endif
