/* SPDX-License-Identifier: MIT */
/* What a stream's bytes decode to, by the decoders that others wrote: zlib for gzip, libbrotlidec for br. */
#ifndef BENCH_DECODE_H
#define BENCH_DECODE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bench_decoder bench_decoder;

/* Called with what came out. */
typedef void (*bench_bytes_fn)(const char *data, size_t len, void *ctx);

/* "identity", "gzip" or "br". */
bool bench_decoder_knows(const char *encoding);
/* NULL: no memory, or no such encoding. */
bench_decoder *bench_decoder_create(const char *encoding);
/* All that can be known from these bytes comes out before it returns. false: they are not of this encoding. */
bool bench_decoder_feed(bench_decoder *decoder, const char *data, size_t len, bench_bytes_fn fn, void *ctx);
/* NULL is accepted. */
void bench_decoder_destroy(bench_decoder *decoder);

#endif
