/* SPDX-License-Identifier: MIT */
/* How an answer is compared with what the official Datastar SDK suite expects. */
#ifndef TESTS_EVENT_CONFORMANCE_RULE_H
#define TESTS_EVENT_CONFORMANCE_RULE_H

#include "event/sse_parser.h"

/* The official rule: event by event the same type, id and retry, and for each first word of the data lines the same
 * lines in the same order; order across words does not count. NULL, or what differs. */
const char *conformance_compare(sse_text got, sse_text expected);

/* Our own rule is stricter, bytes: this is the expected text with the data lines of each event in the one order that
 * vestry writes them in (stable within a word). */
sse_text conformance_canonical(sse_text expected);

/* The whole file; data NULL when it cannot be read. */
sse_text conformance_read(const char *directory, const char *file);

#endif
