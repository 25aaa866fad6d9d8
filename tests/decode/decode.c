/* SPDX-License-Identifier: MIT */
#include "decode/decode.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "decode/chain.h"
#include "support/test.h"

void decoder_init(decoder *d, const char *coding) {
  *d = (decoder){.coding = coding};
  vsi_buffer_init(&d->text, NULL);
  if (!strcmp(coding, "br")) {
    d->state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
  } else if (!strcmp(coding, "gzip")) {
    d->state = calloc(1, sizeof(z_stream));
    assert_int_equal(inflateInit2(d->state, 15 + 16), Z_OK); /* accepts only gzip, and checks the trailer */
  } else if (!strcmp(coding, "x-chain")) {
    d->state = chain_decoder_create();
  }
  assert_true(d->state || !strcmp(coding, "identity"));
}

void decoder_finish(decoder *d) {
  if (!strcmp(d->coding, "br")) BrotliDecoderDestroyInstance(d->state);
  if (!strcmp(d->coding, "gzip")) inflateEnd(d->state);
  if (!strcmp(d->coding, "gzip")) free(d->state);
  if (!strcmp(d->coding, "x-chain")) chain_decoder_destroy(d->state);
  vsi_buffer_finish(&d->text);
}

static void feed_brotli(decoder *d, const uint8_t *bytes, size_t len) {
  BrotliDecoderResult result;
  do { /* the decoder may request input while it still has output */
    uint8_t chunk[4096], *at = chunk;
    size_t room = sizeof chunk;
    result = BrotliDecoderDecompressStream(d->state, &len, &bytes, &room, &at, NULL);
    vsi_buffer_append(&d->text, chunk, sizeof chunk - room);
  } while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT || BrotliDecoderHasMoreOutput(d->state));
  d->ended = result == BROTLI_DECODER_RESULT_SUCCESS;
  d->broken = result == BROTLI_DECODER_RESULT_ERROR || len;
}

static void feed_gzip(decoder *d, const unsigned char *bytes, size_t len) {
  z_stream *z = d->state;
  z->next_in = (Bytef *)bytes;
  z->avail_in = (uInt)len;
  do {
    unsigned char chunk[4096];
    z->next_out = chunk;
    z->avail_out = sizeof chunk;
    int result = inflate(z, Z_SYNC_FLUSH);
    vsi_buffer_append(&d->text, chunk, sizeof chunk - z->avail_out);
    d->ended = result == Z_STREAM_END;
    d->broken = result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR;
  } while (!z->avail_out && !d->broken && !d->ended);
  d->broken |= z->avail_in > 0;
}

void decoder_feed(decoder *d, const void *bytes, size_t len) {
  if (!len || d->broken) return;
  if (d->ended) {
    d->broken = true; /* data after the end */
    return;
  }
  if (!strcmp(d->coding, "br"))
    feed_brotli(d, bytes, len);
  else if (!strcmp(d->coding, "gzip"))
    feed_gzip(d, bytes, len);
  else if (!strcmp(d->coding, "x-chain"))
    chain_decoder_feed(d->state, bytes, len, &d->text, &d->ended, &d->broken);
  else
    vsi_buffer_append(&d->text, bytes, len);
}
