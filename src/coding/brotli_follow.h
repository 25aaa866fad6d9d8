/* SPDX-License-Identifier: MIT */
/* The difference between two events, encoded as brotli, for a stream whose text ends with the first event; or a single
 * event, for any stream. */
#ifndef VSI_CODING_BROTLI_FOLLOW_H
#define VSI_CODING_BROTLI_FOLLOW_H

#include "coding/ops.h"

/* Longer events are UNSUPPORTED, which bounds the memory: about eleven times the size of the two texts. */
enum { VSI_BROTLI_FOLLOW_MAX_BYTES = 1 << 20 };

/* Encode data for a stream whose window is full and has this number of bits, and whose text ends with previous;
 * previous_len 0: with anything. The output is flushed. OK | NO_MEMORY | UNSUPPORTED (too long) */
vestry_err vsi_brotli_follow(const vestry_host *host, unsigned window_bits, const void *previous, size_t previous_len,
                             const void *data, size_t len, vsi_sink *sink);

#endif
