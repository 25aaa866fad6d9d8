/* SPDX-License-Identifier: MIT */
/* Comparison of an answer with the result that the official Datastar SDK suite expects. */
#ifndef TESTS_EVENT_CONFORMANCE_RULE_H
#define TESTS_EVENT_CONFORMANCE_RULE_H

#include "event/sse_parser.h"

/* Compare by the official rule: event by event the same type, id and retry, and for each first word of the data lines
 * the same lines in the same order; the order across words does not count. Returns NULL, or the difference. */
const char *conformance_compare(sse_text got, sse_text expected);

/* Our own rule is stricter and compares bytes. Returns the expected text with the data lines of each event in the order
 * in which vestry writes them (stable within a word). */
sse_text conformance_canonical(sse_text expected);

/* Read the whole file; data is NULL on failure. */
sse_text conformance_read(const char *directory, const char *file);

#endif
