/* SPDX-License-Identifier: MIT */
/* The decoder of the x-chain profile (decode.h).
 *
 * A stream is the byte 'C', then records. A record is its kind (1 byte), its length (4 bytes), and its bytes:
 *
 *   0   scrambled by the key 0
 *   1   scrambled by the key of the previous record
 *   2   plain
 *   3   the end: 8 bytes with the checksum, or zeros
 *
 * The key of a record is derived from its decoded bytes; a record of length 0 has none. */
#ifndef TESTS_DECODE_CHAIN_H
#define TESTS_DECODE_CHAIN_H

#include "base/buffer.h"

void *chain_decoder_create(void);
void chain_decoder_destroy(void *ctx);
void chain_decoder_feed(void *ctx, const void *bytes, size_t len, vsi_buffer *text, bool *ret_ended, bool *ret_broken);

#endif
