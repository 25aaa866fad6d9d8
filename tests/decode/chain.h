/* SPDX-License-Identifier: MIT */
/* The decoder of the x-chain profile (decode.h).
 *
 * A stream is 'C', then records: kind, 4 bytes of length, the bytes scrambled by a key. Kinds: 0 key 0; 1 the key that
 * the record before it left; 2 plain; 3 the end, whose 8 bytes are the checksum, or zeros. Each record but that of
 * length 0 leaves a key made of what it decodes to. */
#ifndef TESTS_DECODE_CHAIN_H
#define TESTS_DECODE_CHAIN_H

#include "base/buffer.h"

void *chain_decoder_create(void);
void chain_decoder_destroy(void *ctx);
void chain_decoder_feed(void *ctx, const void *bytes, size_t len, vsi_buffer *text, bool *ret_ended, bool *ret_broken);

#endif
