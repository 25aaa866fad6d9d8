/* SPDX-License-Identifier: MIT */
/* The far end of an encoded stream: the decoders that browsers use, fed piece by piece. */
#ifndef TESTS_DECODE_DECODE_H
#define TESTS_DECODE_DECODE_H

#include "base/buffer.h"
#include "vestry/profile.h"

typedef struct decoder {
  const char *coding;
  void *state;
  vsi_buffer text; /* everything so far */
  bool ended;      /* the stream said so, whole, and with the right checksum */
  bool broken;     /* it is no stream of this coding, or goes on behind its end */
} decoder;

/* coding: "identity", "gzip", "br", or that of the profile below. */
void decoder_init(decoder *d, const char *coding);
void decoder_finish(decoder *d);
void decoder_feed(decoder *d, const void *bytes, size_t len);

/* An application's own profile, "x-chain": each record is scrambled by a key that is made of the one before it, so that
 * a record in the wrong place is not read. ctx: unused. It has no idle, no reset and no check; test_chain_checked has
 * all of them, test_chain_private is for private streams only. */
extern const vestry_profile_ops test_chain, test_chain_checked, test_chain_private;

#endif
