/* SPDX-License-Identifier: MIT */
/* essay: the state that a stream carries from one meta-block, or block, to the next */
/* The profile br: brotli (RFC 7932), spliced. A spliced stream is put together from segments that different encoders
 * have made.
 *
 * A brotli decoder carries four things from one meta-block to the next:
 * - the window;
 * - the last four distances;
 * - the last two bytes (contexts of literals);
 * - the position in the stream while it is less than the window, because it determines which distances are references
 *   to the static dictionary.
 *
 * An encoder with BROTLI_PARAM_STREAM_OFFSET writes no header, uses none of the distances before its own, and writes
 * its first two bytes independently of the bytes before them. So only the position matters. With the offset at the
 * window's size, the encoder takes the window for full, and so does the decoder once that number of bytes has arrived.
 * Therefore, the stream begins with a primer: a header, and a comment as long as a window. After it, the output of a
 * fresh encoder can follow any flushed output, and its later output can follow its own earlier output. The distances
 * that an encoder writes then mean text that it has encoded itself, or words of the static dictionary, whose distances
 * begin just beyond a full window. They never mean text that the encoder does not know.
 *
 * Output that follows a certain event, and refers back to it, is not made by the library: brotli_follow.c gives the
 * reason.
 *
 * Qualities: 0 and 1 keep no history from flush to flush; from 10 on an event costs milliseconds.
 *
 * Memory comes from the host, which may refuse. libbrotlienc, as it is usually built, cannot handle this: it calls exit
 * (memory.c there, BROTLI_ENCODER_EXIT_ON_OOM). So its allocator never returns NULL. Instead it jumps out of the
 * library, back to the interrupted call, which then frees everything that the encoder had. This is sound for two
 * reasons:
 * - longjmp out of a callback to a function that has not returned is defined (C11, 7.13.2.1), needs no unwind tables,
 *   and skips only frames of C, in which no code runs at their end.
 * - The encoder holds nothing but memory, and every piece of it is in our list: no lock, file or thread, and no static
 *   data that it writes to. Unfinished work is in its own memory, of which no byte is read again.
 *
 * The alternative, a reserve as large as a call can need, would have to be proven again for each release: 1.0.9, 1.1
 * and 1.2 allocate differently, and the library can be replaced without us. A build of it that can report missing
 * memory loses nothing by the jump.
 *
 * For the maximum number of encoders, see coding.c. */
#include <brotli/encode.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "base/memory.h"
#include "coding/brotli_follow.h"
#include "coding/coding.h"

/* OWN_LEVEL_MAX, OWN_MAX_BYTES: single events up to this level and length are encoded by brotli_follow.c. */
enum { LEVEL_MIN = 2, LEVEL_MAX = 9, DEFAULT_LEVEL = 3, DEFAULT_STORED_BYTES = 128 };
enum { OWN_LEVEL_MAX = DEFAULT_LEVEL, OWN_MAX_BYTES = 1 << 16 };
enum { WINDOW_BITS_MIN = 10, WINDOW_BITS_MAX = 18, DEFAULT_WINDOW_BITS = 16 };

static vestry_err brotli_resolve(vestry_profile *profile) {
  if (!profile->level) profile->level = DEFAULT_LEVEL;
  if (!profile->window_bits) profile->window_bits = DEFAULT_WINDOW_BITS;
  if (!profile->stored_bytes) profile->stored_bytes = DEFAULT_STORED_BYTES;
  if (profile->level < LEVEL_MIN || profile->level > LEVEL_MAX || profile->memory_level) return VESTRY_INVALID;
  if (profile->window_bits < WINDOW_BITS_MIN || profile->window_bits > WINDOW_BITS_MAX) return VESTRY_INVALID;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ memory --------- */

/* Stands in front of each piece of the library's memory. */
typedef struct held {
  alignas(max_align_t) LIST_ENTRY(held) in;
} held;

typedef struct brotli_encoder {
  const vestry_host *host;
  LIST_HEAD(, held) pieces; /* all memory of the library */
  vsi_brotli_room room;     /* of single events, and of differences */
  bool is_again;            /* it was reset: each output is a single event. The encoder of an epoch is never reset */
  bool is_first;            /* it writes the beginning of a stream */
  vestry_profile profile;
  BrotliEncoderState *state; /* NULL: it is new or was reset, and is created when it is needed */
  jmp_buf refused;           /* jump target when there is no memory; set while the library runs */
} brotli_encoder;

static void *allocate(void *ctx, size_t size) {
  brotli_encoder *encoder = ctx;
  held *made = size > SIZE_MAX - sizeof *made ? NULL : vsi_alloc(encoder->host, sizeof *made + size);
  if (!made) longjmp(encoder->refused, 1);
  LIST_INSERT_HEAD(&encoder->pieces, made, in);
  return made + 1;
}

static void release(void *ctx, void *memory) {
  if (!memory) return;
  held *it = (held *)memory - 1;
  LIST_REMOVE(it, in);
  vsi_free(((brotli_encoder *)ctx)->host, it);
}

/* Free the memory of the library. BrotliEncoderDestroyInstance is not called, because it would read an encoder that may
 * have been interrupted. */
static void release_all(brotli_encoder *encoder) {
  while (!LIST_EMPTY(&encoder->pieces)) release(encoder, LIST_FIRST(&encoder->pieces) + 1);
  encoder->state = NULL;
}

static void brotli_destroy(void *ctx) {
  brotli_encoder *encoder = ctx;
  release_all(encoder);
  vsi_brotli_room_finish(&encoder->room);
  vsi_free(encoder->host, encoder);
}

static bool brotli_reset(void *ctx) {
  release_all(ctx); /* libbrotlienc cannot reset an encoder */
  ((brotli_encoder *)ctx)->is_again = true;
  return true;
}

/* Create the library's encoder. This and `step` are the only calls of the library that allocate. No variable is changed
 * between setjmp and longjmp. */

static vestry_err make_state(brotli_encoder *encoder) {
  if (setjmp(encoder->refused)) return VESTRY_NO_MEMORY;
  encoder->state = BrotliEncoderCreateInstance(allocate, release, encoder);
  return encoder->state ? VESTRY_OK : VESTRY_NO_MEMORY;
}

/* Encode once. len, next: the rest of the input. After a failure only destroy may follow. */
static vestry_err step(brotli_encoder *encoder, BrotliEncoderOperation operation, size_t *len, const uint8_t **next) {
  if (setjmp(encoder->refused)) return VESTRY_NO_MEMORY;
  return BrotliEncoderCompressStream(encoder->state, operation, len, next, &(size_t){0}, NULL, NULL) ? VESTRY_OK
                                                                                                     : VESTRY_FAILED;
}

/* ----------------------------------------------------------------------------------------------- encoding -------- */

static vestry_err begin(brotli_encoder *encoder) {
  const vestry_profile *profile = &encoder->profile;
  if (make_state(encoder)) return VESTRY_NO_MEMORY;
  bool set = BrotliEncoderSetParameter(encoder->state, BROTLI_PARAM_QUALITY, profile->level) &&
             BrotliEncoderSetParameter(encoder->state, BROTLI_PARAM_LGWIN, profile->window_bits);
  if (set && !encoder->is_first)
    set = BrotliEncoderSetParameter(encoder->state, BROTLI_PARAM_STREAM_OFFSET, UINT32_C(1) << profile->window_bits);
  return set ? VESTRY_OK : VESTRY_UNSUPPORTED;
}

static vestry_err brotli_create(const vestry_profile *profile, const vestry_host *host, void **ret_encoder) {
  brotli_encoder *encoder = vsi_calloc(host, 1, sizeof *encoder);
  if (!encoder) return VESTRY_NO_MEMORY;
  encoder->host = host;
  LIST_INIT(&encoder->pieces);
  vsi_brotli_room_init(&encoder->room, host);
  encoder->profile = *profile;
  *ret_encoder = encoder;
  return VESTRY_OK;
}

static vestry_err run(brotli_encoder *encoder, const void *data, size_t len, BrotliEncoderOperation operation,
                      vsi_sink *sink) {
  const uint8_t *next = data;
  size_t ready;
  do { /* until there is no more output, because input that the library has taken may still wait for room in the
          output */
    vestry_err error = step(encoder, operation, &len, &next);
    if (error) return error;
    ready = 0;
    const uint8_t *output = BrotliEncoderTakeOutput(encoder->state, &ready);
    error = vsi_sink_put(sink, output, ready);
    if (error) return error;
  } while (len || ready);
  return VESTRY_OK;
}

/* Write an uncompressed meta-block (section 9.2). Its header is ISLAST 0, MNIBBLES, MLEN - 1, ISUNCOMPRESSED 1, and
 * zeros up to the byte boundary. */
static vestry_err put_uncompressed(const void *data, size_t len, vsi_sink *sink) {
  unsigned nibbles = len <= 1u << 16 ? 4 : len <= 1u << 20 ? 5 : 6; /* the minimum: the last nibble must not be zero */
  uint32_t bits = (nibbles - 4) << 1 | (uint32_t)(len - 1) << 3 | UINT32_C(1) << (3 + 4 * nibbles);
  const unsigned char head[] = {bits & 0xff, bits >> 8 & 0xff, bits >> 16 & 0xff, bits >> 24 & 0xff};
  vestry_err error = vsi_sink_put(sink, head, nibbles == 6 ? 4 : 3);
  return error ? error : vsi_sink_put(sink, data, len);
}

static vestry_err brotli_store(const void *data, size_t len, vsi_sink *sink) {
  vestry_err error = VESTRY_OK;
  for (const unsigned char *at = data; len && !error;) {
    size_t piece = len > (size_t)1 << 24 ? (size_t)1 << 24 : len;
    error = put_uncompressed(at, piece, sink);
    at += piece;
    len -= piece;
  }
  return error;
}

/* Encode a single event, by the default's quality. If it cannot be compressed, it is framed. */
static vestry_err encode_single(brotli_encoder *encoder, const void *data, size_t len, vsi_sink *sink) {
  const size_t before = sink->buffer.len;
  vestry_err error = vsi_brotli_follow(&encoder->room, encoder->profile.window_bits, NULL, 0, data, len, sink);
  if (error || sink->buffer.len - before <= len) return error;
  sink->buffer.len = before;
  return brotli_store(data, len, sink);
}

static vestry_err brotli_encode(void *ctx, const void *data, size_t len, vsi_sink *sink) {
  brotli_encoder *encoder = ctx;
  if (encoder->is_again && encoder->profile.level <= OWN_LEVEL_MAX && len <= OWN_MAX_BYTES)
    return encode_single(encoder, data, len, sink);
  vestry_err error = encoder->state ? VESTRY_OK : begin(encoder);
  return error ? error : run(encoder, data, len, BROTLI_OPERATION_FLUSH, sink);
}

static vestry_err brotli_follow(void *ctx, const void *previous, size_t previous_len, const void *data, size_t len,
                                vsi_sink *sink) {
  brotli_encoder *encoder = ctx;
  return vsi_brotli_follow(&encoder->room, encoder->profile.window_bits, previous, previous_len, data, len, sink);
}

static vestry_err brotli_primer(const vestry_profile *profile, const vestry_host *host, vsi_sink *sink) {
  static const char end[] = "\n\n";
  size_t window = (size_t)1 << profile->window_bits, len = window + sizeof end;
  char *comment = vsi_alloc(host, len);
  if (!comment) return VESTRY_NO_MEMORY;
  memset(comment, ' ', len);
  comment[0] = ':';
  memcpy(comment + len - (sizeof end - 1), end, sizeof end - 1);
  void *encoder = NULL;
  vestry_err error = brotli_create(profile, host, &encoder);
  if (!error) {
    ((brotli_encoder *)encoder)->is_first = true;
    error = brotli_encode(encoder, comment, len, sink);
    brotli_destroy(encoder);
  }
  vsi_free(host, comment);
  return error;
}

static vestry_err brotli_end(uint64_t check, vsi_sink *sink) {
  static const unsigned char last_and_empty = 0x03;
  (void)check;
  return vsi_sink_put(sink, &last_and_empty, 1);
}

static vestry_err brotli_whole(const vestry_profile *profile, const vestry_host *host, const void *data, size_t len,
                               vsi_sink *sink) {
  void *made = NULL;
  vestry_err error = brotli_create(profile, host, &made);
  if (error) return error;
  brotli_encoder *encoder = made;
  encoder->is_first = true;
  error = begin(encoder);
  if (!error) error = run(encoder, data, len, BROTLI_OPERATION_FINISH, sink);
  brotli_destroy(encoder);
  return error;
}

const vestry_profile_ops vestry_profile_brotli = {
    .coding = "br",
    .resolve = brotli_resolve,
    .create = brotli_create,
    .encode = brotli_encode,
    .destroy = brotli_destroy,
    .reset = brotli_reset,
    .primer = brotli_primer,
    .idle = {"\x06", 1}, /* not last, no nibbles of length, reserved bit, no bytes to skip */
    .store = brotli_store,
    .end = brotli_end,
    .whole = brotli_whole,
    .follow = brotli_follow,
};
