/* SPDX-License-Identifier: MIT */
/* What has changed, as brotli: one event for a stream whose text ends with another one. */
#ifndef VSI_CODING_BROTLI_FOLLOW_H
#define VSI_CODING_BROTLI_FOLLOW_H

#include "vestry/profile.h"

/* Longer ones are UNSUPPORTED: it is a bound on memory, about eight times the two texts. */
enum { VSI_BROTLI_FOLLOW_MAX_BYTES = 1 << 20 };

/* Encode data for a stream whose window is full, of so many bits, and whose text ends with previous; flushed.
 * OK | NO_MEMORY | UNSUPPORTED (too long) */
vestry_err vsi_brotli_follow(const vestry_host *host, unsigned window_bits, const void *previous, size_t previous_len,
                             const void *data, size_t len, vestry_sink *sink);

#endif
