/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <brotli/decode.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { OUTPUT_BYTES = 32768, GZIP_WINDOW_BITS = 15 + 16 /* with gzip's header */ };

typedef enum encoding { IDENTITY, GZIP, BR, ENCODINGS } encoding;
static const char *const names[ENCODINGS] = {"identity", "gzip", "br"};

struct bench_decoder {
  encoding encoding;
  bool ended; /* gzip: the trailer has arrived */
  z_stream gzip;
  BrotliDecoderState *br;
};

static encoding encoding_of(const char *name) {
  int i = 0;
  while (i < ENCODINGS && strcmp(names[i], name) != 0) i++;
  return (encoding)i;
}

bool bench_decoder_knows(const char *name) {
  return encoding_of(name) != ENCODINGS;
}

bench_decoder *bench_decoder_create(const char *name) {
  encoding found = encoding_of(name);
  bench_decoder *decoder = found == ENCODINGS ? NULL : calloc(1, sizeof *decoder);
  if (!decoder) return NULL;
  decoder->encoding = found;
  bool made = true;
  if (found == GZIP) made = inflateInit2(&decoder->gzip, GZIP_WINDOW_BITS) == Z_OK;
  if (found == BR) made = (decoder->br = BrotliDecoderCreateInstance(NULL, NULL, NULL)) != NULL;
  if (made) return decoder;
  free(decoder);
  return NULL;
}

void bench_decoder_destroy(bench_decoder *decoder) {
  if (!decoder) return;
  if (decoder->encoding == GZIP) inflateEnd(&decoder->gzip);
  if (decoder->encoding == BR) BrotliDecoderDestroyInstance(decoder->br);
  free(decoder);
}

static bool feed_gzip(bench_decoder *decoder, const char *data, size_t len, bench_bytes_fn fn, void *ctx) {
  char output[OUTPUT_BYTES];
  z_stream *gzip = &decoder->gzip;
  gzip->next_in = (Bytef *)(uintptr_t)data;
  gzip->avail_in = (uInt)len;
  do {
    gzip->next_out = (Bytef *)output;
    gzip->avail_out = sizeof output;
    int result = decoder->ended ? Z_DATA_ERROR : inflate(gzip, Z_SYNC_FLUSH);
    decoder->ended |= result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return false;
    if (gzip->avail_out < sizeof output) fn(output, sizeof output - gzip->avail_out, ctx);
    if (result == Z_BUF_ERROR) break; /* no further output from this input */
  } while (gzip->avail_in || (!gzip->avail_out && !decoder->ended));
  return true;
}

static bool feed_br(bench_decoder *decoder, const char *data, size_t len, bench_bytes_fn fn, void *ctx) {
  uint8_t output[OUTPUT_BYTES];
  const uint8_t *next = (const uint8_t *)data;
  for (;;) {
    uint8_t *out = output;
    size_t room = sizeof output;
    BrotliDecoderResult result = BrotliDecoderDecompressStream(decoder->br, &len, &next, &room, &out, NULL);
    if (result == BROTLI_DECODER_RESULT_ERROR) return false;
    if (room < sizeof output) fn((const char *)output, sizeof output - room, ctx);
    if (result == BROTLI_DECODER_RESULT_SUCCESS) return !len;
    /* The decoder may hold output that did not fit, although it requests input. */
    if (result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT && !BrotliDecoderHasMoreOutput(decoder->br)) return true;
  }
}

bool bench_decoder_feed(bench_decoder *decoder, const char *data, size_t len, bench_bytes_fn fn, void *ctx) {
  switch (decoder->encoding) {
  case GZIP: return feed_gzip(decoder, data, len, fn, ctx);
  case BR: return feed_br(decoder, data, len, fn, ctx);
  default: fn(data, len, ctx); return true;
  }
}
