/* SPDX-License-Identifier: MIT */
/* A stream of any encoding on a bench, and what its page should have read. */
#ifndef TESTS_CONNECTION_LISTENER_H
#define TESTS_CONNECTION_LISTENER_H

#include "coding/coder.h"
#include "connection/probe.h"
#include "decode/decode.h"

typedef struct listener {
  probe p;
  decoder d;
  size_t fed;             /* of what the probe got */
  size_t looked, matched; /* of the decoded text, of what is expected: whole events that have been compared */
  vsi_buffer expected;
  vestry_connection *connection; /* NULL: none */
  vestry_profile profile;
} listener;

/* Connect, unless memory or places run out: OK or the error. profile: NULL or identity: a plain stream. */
vestry_err listener_open(listener *l, bench *b, const vestry_profile *profile,
                         const vestry_connection_options *options);
/* Have it expect an event that its queue has accepted. */
void listener_expect(listener *l, const vestry_event *event);
/* Decode what has come. What is not a comment must be the beginning of what is expected; whole: all of it. */
void listener_check(listener *l, bool whole);
/* The connection has been closed and has run: check, that it ended as it should, and that its sums are right. Drops the
 * reference. */
void listener_finish(listener *l, bool clean);

#endif
