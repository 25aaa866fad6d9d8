/* SPDX-License-Identifier: MIT */
/* Decoding of a stream by independent decoders: zlib for gzip, libbrotlidec for br. */
#ifndef BENCH_DECODE_H
#define BENCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bench_decoder bench_decoder;

/* Called with decoded bytes. */
typedef void (*bench_bytes_fn)(const char *data, size_t len, void *ctx);

/* Return whether an encoding is known: "identity", "gzip" or "br". */
bool bench_decoder_knows(const char *encoding);
/* Create a decoder. NULL: no memory, or an unknown encoding. */
bench_decoder *bench_decoder_create(const char *encoding);
/* Decode bytes. All bytes that can be decoded are passed to fn before it returns. false: invalid bytes. */
bool bench_decoder_feed(bench_decoder *decoder, const char *data, size_t len, bench_bytes_fn fn, void *ctx);
/* NULL is accepted. */
void bench_decoder_destroy(bench_decoder *decoder);

#endif
