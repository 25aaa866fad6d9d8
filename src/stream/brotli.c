/* br, spliced (RFC 7932).
 *
 * A brotli decoder carries four things from one meta-block to the next: the window, the last four distances, the last
 * two bytes (contexts of literals), and where the stream stands, as far as that is less than the window, since it
 * decides which distances are references to the static dictionary. An encoder that is told BROTLI_PARAM_STREAM_OFFSET
 * writes no header, uses none of the distances of others, and writes its first two bytes without regard to what was
 * before them. What is left is the place: with the offset at the window's size it takes the window for full, and so
 * does the decoder once so many bytes have come. Hence the primer: a header, and a comment as long as a window. After
 * it the output of a fresh encoder can follow anything that was flushed, and its later output its own earlier one.
 *
 * Its distances then reach into what it has seen itself, and into the static dictionary just behind a full window;
 * never into what it does not know.
 *
 * Qualities: 0 and 1 keep no history from flush to flush; from 10 on an event costs milliseconds.
 *
 * Memory is malloc's. When an allocator says no, libbrotlienc calls exit (memory.c there, BROTLI_ENCODER_EXIT_ON_OOM),
 * so the host's, which may say no, is kept from it: only the first allocation, of the encoder's own struct, is checked
 * by it and reported. The number of encoders is what bounds them (coding.c). */
#include <brotli/encode.h>
#include <string.h>

#include "base/memory.h"
#include "vestry/profile.h"

enum { LEVEL_MIN = 2, LEVEL_MAX = 9, DEFAULT_LEVEL = 3, DEFAULT_STORED_BYTES = 128 };
enum { WINDOW_BITS_MIN = 10, WINDOW_BITS_MAX = 18, DEFAULT_WINDOW_BITS = 16 };

static vestry_err brotli_resolve(vestry_profile *profile) {
  if (!profile->level) profile->level = DEFAULT_LEVEL;
  if (!profile->window_bits) profile->window_bits = DEFAULT_WINDOW_BITS;
  if (!profile->stored_bytes) profile->stored_bytes = DEFAULT_STORED_BYTES;
  if (profile->level < LEVEL_MIN || profile->level > LEVEL_MAX || profile->memory_level) return VESTRY_INVALID;
  if (profile->window_bits < WINDOW_BITS_MIN || profile->window_bits > WINDOW_BITS_MAX) return VESTRY_INVALID;
  return VESTRY_OK;
}

static vestry_err brotli_create(const vestry_profile *profile, const vestry_host *host, vestry_encoder_kind kind,
                                void **ret_encoder) {
  (void)host;
  BrotliEncoderState *encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
  if (!encoder) return VESTRY_NO_MEMORY;
  bool set = BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, profile->level) &&
             BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, profile->window_bits);
  if (set && kind == VESTRY_ENCODER_SEGMENT)
    set = BrotliEncoderSetParameter(encoder, BROTLI_PARAM_STREAM_OFFSET, UINT32_C(1) << profile->window_bits);
  if (!set) {
    BrotliEncoderDestroyInstance(encoder);
    return VESTRY_UNSUPPORTED;
  }
  *ret_encoder = encoder;
  return VESTRY_OK;
}

static vestry_err run(BrotliEncoderState *encoder, const void *data, size_t len, BrotliEncoderOperation operation,
                      vestry_sink *sink) {
  const uint8_t *next = data;
  size_t ready;
  do { /* until there was nothing to take: input that it has taken itself may still wait for room to be put out */
    size_t no_room = 0;
    ready = 0;
    if (!BrotliEncoderCompressStream(encoder, operation, &len, &next, &no_room, NULL, NULL)) return VESTRY_FAILED;
    const uint8_t *output = BrotliEncoderTakeOutput(encoder, &ready);
    vestry_err error = vestry_sink_put(sink, output, ready);
    if (error) return error;
  } while (len || ready);
  return VESTRY_OK;
}

static vestry_err brotli_encode(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  return run(encoder, data, len, BROTLI_OPERATION_FLUSH, sink);
}

static vestry_err brotli_finish(void *encoder, vestry_sink *sink) {
  return run(encoder, "", 0, BROTLI_OPERATION_FINISH, sink);
}

static void brotli_destroy(void *encoder) {
  BrotliEncoderDestroyInstance(encoder);
}

static vestry_err brotli_primer(const vestry_profile *profile, const vestry_host *host, vestry_sink *sink) {
  static const char end[] = "\n\n";
  size_t window = (size_t)1 << profile->window_bits, len = window + sizeof end;
  char *comment = vsi_alloc(host, len);
  if (!comment) return VESTRY_NO_MEMORY;
  memset(comment, ' ', len);
  comment[0] = ':';
  memcpy(comment + len - (sizeof end - 1), end, sizeof end - 1);
  void *encoder = NULL;
  vestry_err error = brotli_create(profile, host, VESTRY_ENCODER_STREAM, &encoder);
  if (!error) {
    error = brotli_encode(encoder, comment, len, sink);
    brotli_destroy(encoder);
  }
  vsi_free(host, comment);
  return error;
}

static vestry_err brotli_idle(const vestry_profile *profile, vestry_sink *sink) {
  static const unsigned char empty_metadata = 0x06; /* not last, no nibbles of length, reserved, no bytes to skip */
  (void)profile;
  return vestry_sink_put(sink, &empty_metadata, 1);
}

/* The header of an uncompressed meta-block (section 9.2): ISLAST 0, MNIBBLES, MLEN - 1, ISUNCOMPRESSED 1, and zeros to
 * the boundary. */
static vestry_err put_uncompressed(const void *data, size_t len, vestry_sink *sink) {
  unsigned nibbles = len <= 1u << 16 ? 4 : len <= 1u << 20 ? 5 : 6; /* as few as will do: the last must not be zero */
  uint32_t bits = (nibbles - 4) << 1 | (uint32_t)(len - 1) << 3 | UINT32_C(1) << (3 + 4 * nibbles);
  const unsigned char head[] = {bits & 0xff, bits >> 8 & 0xff, bits >> 16 & 0xff, bits >> 24 & 0xff};
  vestry_err error = vestry_sink_put(sink, head, nibbles == 6 ? 4 : 3);
  return error ? error : vestry_sink_put(sink, data, len);
}

static vestry_err brotli_store(const vestry_profile *profile, const void *data, size_t len, vestry_sink *sink) {
  (void)profile;
  vestry_err error = VESTRY_OK;
  for (const unsigned char *at = data; len && !error;) {
    size_t piece = len > (size_t)1 << 24 ? (size_t)1 << 24 : len;
    error = put_uncompressed(at, piece, sink);
    at += piece;
    len -= piece;
  }
  return error;
}

static vestry_err brotli_end(const vestry_profile *profile, uint64_t check, vestry_sink *sink) {
  static const unsigned char last_and_empty = 0x03;
  (void)profile, (void)check;
  return vestry_sink_put(sink, &last_and_empty, 1);
}

const vestry_profile_ops vestry_profile_brotli = {
    .version = VESTRY_PROFILE_OPS_VERSION,
    .coding = "br",
    .resolve = brotli_resolve,
    .create = brotli_create,
    .encode = brotli_encode,
    .finish = brotli_finish,
    .destroy = brotli_destroy,
    .primer = brotli_primer,
    .idle = brotli_idle,
    .store = brotli_store,
    .end = brotli_end,
};
