/* SPDX-License-Identifier: MIT */
/* What is to be so, whatever happens; all of it from the record of a world. Order and repetition are looked at as
 * messages come (world.c). */
#ifndef TESTS_ROUNDS_CHECK_H
#define TESTS_ROUNDS_CHECK_H

#include "rounds/world.h"

enum { TOLD_WITHIN_MS = 1000, EQUAL_WITHIN_MS = 2000 };

typedef struct verdict {
  size_t pending;               /* may still be told */
  size_t messages, lost, asked; /* lost: what a receiver did not get, and was told of */
  size_t ok, not_found, unknown, failed;
  uint64_t longest_ns; /* until a loss was told, of those who could hear each other */
} verdict;

/* Judge all messages from this one on which can be judged: what a receiver did not get it was told of in time, and who
 * asked was answered, in time, and rightly. Others are pending. */
void check_messages(world *w, size_t from, uint64_t answer_ms, verdict *v);
/* Everybody knows who lives, and everybody's keys. */
bool check_digests(world *w);
/* Of those that REPLACE each other one is left. */
bool check_replaced(const world *w);
/* And not none: those that were replaced were so by somebody. */
void check_survivors(world *w);
size_t open_under(const world *w, char kind, const char *name);

#endif
