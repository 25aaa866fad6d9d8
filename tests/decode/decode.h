/* SPDX-License-Identifier: MIT */
/* The receiver of an encoded stream: the decoders that browsers use, which receive the stream in pieces. */
#ifndef TESTS_DECODE_DECODE_H
#define TESTS_DECODE_DECODE_H

#include "base/buffer.h"
#include "coding/ops.h"

typedef struct decoder {
  const char *coding;
  void *state;
  vsi_buffer text; /* all decoded bytes so far */
  bool ended;      /* the stream has ended completely, with the correct checksum */
  bool broken;     /* the data is not a stream of this coding, or continues after its end */
} decoder;

/* Create a decoder for the coding "identity", "gzip", "br", or that of the profile below. */
void decoder_init(decoder *d, const char *coding);
void decoder_finish(decoder *d);
void decoder_feed(decoder *d, const void *bytes, size_t len);

/* "x-chain", a profile of an application. Each record is scrambled by a key that is derived from the previous record,
 * so a record in the wrong place cannot be decoded. ctx: unused. test_chain has no idle, no reset and no check;
 * test_chain_checked has all of them. */
extern const vestry_profile_ops test_chain, test_chain_checked;

#endif
