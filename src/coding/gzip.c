/* SPDX-License-Identifier: MIT */
/* essay: the state that a stream carries from one meta-block, or block, to the next */
/* The profile gzip (RFC 1951, RFC 1952), spliced: a stream is put together from segments of raw deflate that different
 * encoders have made.
 *
 * Why segments need no long primer here. The only state that deflate carries from block to block is the 32 KiB of
 * output into which distances reach back. There is no cache of distances and there are no contexts, and each block
 * contains its own codes or selects the fixed ones. An encoder refers back only to its own input, by distances that
 * count from the current position. So the output of a fresh encoder can follow any data that ends at a byte boundary,
 * and its later output can follow its own earlier output if nothing else came between. A sync flush ends each output at
 * such a boundary, with an empty stored block. The primer is only the header of the gzip member.
 *
 * If an event is encoded as the difference from the event before it, its encoding refers back to the text of that
 * event, by distances that count from the end of this text. The text is passed to zlib as a dictionary, of which zlib
 * keeps as much as fits into the window. How the previous event was encoded does not matter.
 *
 * The trailer requires the CRC-32 and the length of the whole text. A stream stores both in 64 bits. The CRC of an
 * event is computed once, together with the operator that appends its number of bytes to any CRC (crc32_combine_gen of
 * zlib). So an event costs a stream one multiplication of polynomials. */
#include <zlib.h>

#include "base/memory.h"
#include "coding/ops.h"

enum { CHUNK_BYTES = 4096, STORED_MAX_BYTES = 65535, DEFAULT_LEVEL = 6, DEFAULT_STORED_BYTES = 128 };
enum { WINDOW_BITS_MIN = 9, WINDOW_BITS_MAX = 15, WINDOW_MAX_BYTES = 1 << WINDOW_BITS_MAX };
enum { MEMORY_LEVEL_MAX = 9, MEMORY_LEVEL = 8 };

typedef struct gzip_encoder {
  z_stream z;
  const vestry_host *host;
} gzip_encoder;

static vestry_err gzip_resolve(vestry_profile *profile) {
  if (!profile->level) profile->level = DEFAULT_LEVEL;
  if (!profile->window_bits) profile->window_bits = WINDOW_BITS_MAX;
  if (!profile->memory_level) profile->memory_level = MEMORY_LEVEL;
  if (!profile->stored_bytes) profile->stored_bytes = DEFAULT_STORED_BYTES;
  if (profile->level > Z_BEST_COMPRESSION || profile->memory_level > MEMORY_LEVEL_MAX) return VESTRY_INVALID;
  if (profile->window_bits < WINDOW_BITS_MIN || profile->window_bits > WINDOW_BITS_MAX) return VESTRY_INVALID;
  return VESTRY_OK;
}

static voidpf allocate(voidpf host, uInt count, uInt size) {
  return vsi_calloc(host, count, size);
}

static void release(voidpf host, voidpf memory) {
  vsi_free(host, memory);
}

static vestry_err gzip_create(const vestry_profile *profile, const vestry_host *host, void **ret_encoder) {
  gzip_encoder *encoder = vsi_calloc(host, 1, sizeof *encoder);
  if (!encoder) return VESTRY_NO_MEMORY;
  encoder->host = host;
  encoder->z.zalloc = allocate;
  encoder->z.zfree = release;
  encoder->z.opaque = (voidpf)host;
  int made = deflateInit2(&encoder->z, (int)profile->level, Z_DEFLATED, -(int)profile->window_bits /* raw deflate */,
                          (int)profile->memory_level, Z_DEFAULT_STRATEGY);
  if (made != Z_OK) {
    vsi_free(host, encoder);
    return made == Z_MEM_ERROR ? VESTRY_NO_MEMORY : VESTRY_FAILED;
  }
  *ret_encoder = encoder;
  return VESTRY_OK;
}

/* Compress the input, and take all output of zlib. */
static vestry_err gzip_encode(void *ctx, const void *text, size_t len, vsi_sink *sink) {
  gzip_encoder *encoder = ctx;
  const unsigned char *data = text;
  unsigned char chunk[CHUNK_BYTES];
  z_stream *z = &encoder->z;
  do {
    uInt piece = len > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)len;
    z->next_in = (Bytef *)data;
    z->avail_in = piece;
    data += piece;
    len -= piece;
    do {
      z->next_out = chunk;
      z->avail_out = sizeof chunk;
      if (deflate(z, len ? Z_NO_FLUSH : Z_SYNC_FLUSH) == Z_STREAM_ERROR) return VESTRY_FAILED;
      vestry_err error = vsi_sink_put(sink, chunk, sizeof chunk - z->avail_out);
      if (error) return error;
    } while (!z->avail_out);
  } while (len);
  return VESTRY_OK;
}

static vestry_err gzip_follow(void *ctx, const void *previous, size_t previous_len, const void *data, size_t len,
                              vsi_sink *sink) {
  gzip_encoder *encoder = ctx;
  size_t known = previous_len < WINDOW_MAX_BYTES ? previous_len : WINDOW_MAX_BYTES;
  const Bytef *end = (const Bytef *)previous + previous_len;
  if (deflateSetDictionary(&encoder->z, end - known, (uInt)known) != Z_OK) return VESTRY_FAILED;
  return gzip_encode(encoder, data, len, sink);
}

static void gzip_destroy(void *ctx) {
  gzip_encoder *encoder = ctx;
  (void)deflateEnd(&encoder->z);
  vsi_free(encoder->host, encoder);
}

static bool gzip_reset(void *encoder) {
  return deflateReset(&((gzip_encoder *)encoder)->z) == Z_OK;
}

static vestry_err gzip_primer(const vestry_profile *profile, const vestry_host *host, vsi_sink *sink) {
  /* magic, deflate, no flags, no time, no level, system unknown */
  static const unsigned char header[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
  (void)profile, (void)host;
  return vsi_sink_put(sink, header, sizeof header);
}

static vestry_err gzip_store(const void *data, size_t len, vsi_sink *sink) {
  for (const unsigned char *at = data; len;) {
    unsigned piece = len > STORED_MAX_BYTES ? STORED_MAX_BYTES : (unsigned)len, inverse = ~piece;
    const unsigned char head[] = {0, piece & 0xff, piece >> 8 & 0xff, inverse & 0xff, inverse >> 8 & 0xff};
    vestry_err error = vsi_sink_put(sink, head, sizeof head);
    if (!error) error = vsi_sink_put(sink, at, piece);
    if (error) return error;
    at += piece;
    len -= piece;
  }
  return VESTRY_OK;
}

/* The check of an event has its CRC in the low half, and the operator for its length in the high half. The check of a
 * stream has its CRC in the low half, and its length in the high half. */
static uint64_t gzip_check(const void *data, size_t len) {
  uint64_t append = crc32_combine_gen((z_off_t)len);
  return append << 32 | crc32_z(0, data, len);
}

static uint64_t gzip_combine(uint64_t stream, uint64_t event, size_t len) {
  uint64_t crc = crc32_combine_op((uLong)(uint32_t)stream, (uLong)(uint32_t)event, (uLong)(event >> 32));
  return (uint64_t)((uint32_t)(stream >> 32) + (uint32_t)len) << 32 | crc;
}

static vestry_err gzip_end(uint64_t check, vsi_sink *sink) {
  unsigned char trailer[10] = {3, 0}; /* the last block: empty, with the fixed codes */
  /* CRC, then length, both little-endian */
  for (int i = 0; i < 8; i++) trailer[2 + i] = (unsigned char)(check >> (8 * i));
  return vsi_sink_put(sink, trailer, sizeof trailer);
}

static vestry_err gzip_whole(const vestry_profile *profile, const vestry_host *host, const void *data, size_t len,
                             vsi_sink *sink) {
  void *encoder = NULL;
  vestry_err error = gzip_create(profile, host, &encoder);
  if (error) return error;
  error = gzip_primer(profile, host, sink);
  if (!error) error = gzip_encode(encoder, data, len, sink);
  gzip_destroy(encoder);
  return error ? error : gzip_end(gzip_combine(0, gzip_check(data, len), len), sink);
}

const vestry_profile_ops vestry_profile_gzip = {
    .coding = "gzip",
    .resolve = gzip_resolve,
    .create = gzip_create,
    .encode = gzip_encode,
    .destroy = gzip_destroy,
    .reset = gzip_reset,
    .primer = gzip_primer,
    .idle = {"\0\0\0\xff\xff", 5}, /* an empty stored block */
    .store = gzip_store,
    .check = gzip_check,
    .combine = gzip_combine,
    .end = gzip_end,
    .whole = gzip_whole,
    .follow = gzip_follow,
};
