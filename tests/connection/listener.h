/* SPDX-License-Identifier: MIT */
/* A stream of any encoding on a bench, and the events that its page must receive. */
#ifndef TESTS_CONNECTION_LISTENER_H
#define TESTS_CONNECTION_LISTENER_H

#include "coding/coder.h"
#include "connection/probe.h"
#include "decode/decode.h"

typedef struct listener {
  probe p;
  decoder d;
  size_t fed;             /* bytes of the probe that were decoded */
  size_t looked, matched; /* bytes of the decoded text, and of the expected text: complete events that were compared */
  vsi_buffer expected;
  vestry_connection *connection; /* NULL: none */
  vestry_profile profile;
} listener;

/* Connect. Returns OK, or the error if memory is exhausted. profile: NULL or identity: a plain stream. */
vestry_err listener_open(listener *l, bench *b, const vestry_profile *profile,
                         const vestry_connection_options *options);
/* Expect an event that the queue has accepted. */
void listener_expect(listener *l, const vestry_event *event);
/* Decode the received bytes. Except for comments, they must be the beginning of the expected text; whole: all of it. */
void listener_check(listener *l, bool whole);
/* After the connection was closed and has run: check how it ended and that its sums are right. Drops the reference. */
void listener_finish(listener *l, bool clean);

#endif
