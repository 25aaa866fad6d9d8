/* SPDX-License-Identifier: MIT */
#include "decode/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "decode/decode.h"

enum { FRESH, CHAINED, PLAIN, END, HEAD_BYTES = 5 };

static uint64_t key_of(const unsigned char *data, size_t len) {
  uint64_t key = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
  for (size_t i = 0; i < len; i++) key = (key ^ data[i]) * UINT64_C(0x100000001b3);
  return key;
}

static void scramble(unsigned char *data, size_t len, uint64_t key) {
  for (size_t i = 0; i < len; i++) data[i] ^= (unsigned char)(key >> 8 * (i % 8));
}

/* ---- the far end ------------------------------------------------------------------------------------------------- */

typedef struct chain_decoder {
  bool begun;
  unsigned char head[HEAD_BYTES];
  size_t head_len, left; /* left: remaining bytes of the record */
  vsi_buffer record;     /* received bytes of the record */
  uint64_t key, sum;
} chain_decoder;

void *chain_decoder_create(void) {
  chain_decoder *c = calloc(1, sizeof *c);
  if (c) vsi_buffer_init(&c->record, NULL);
  return c;
}

void chain_decoder_destroy(void *ctx) {
  vsi_buffer_finish(&((chain_decoder *)ctx)->record);
  free(ctx);
}

static void end_record(chain_decoder *c, vsi_buffer *text, bool *ret_ended, bool *ret_broken) {
  unsigned char *data = (unsigned char *)c->record.data;
  size_t len = c->record.len;
  c->head_len = 0;
  if (c->head[0] == END) {
    uint64_t sum = 0;
    memcpy(&sum, data, len < 8 ? len : 8);
    *ret_ended = len == 8 && (!sum || sum == c->sum + 1);
    *ret_broken = !*ret_ended;
    return;
  }
  if (c->head[0] != PLAIN) scramble(data, len, c->head[0] == CHAINED ? c->key : 0);
  c->key = key_of(data, len);
  c->sum = c->sum * 3 + c->key;
  vsi_buffer_append(text, data, len);
}

void chain_decoder_feed(void *ctx, const void *bytes, size_t len, vsi_buffer *text, bool *ret_ended, bool *ret_broken) {
  chain_decoder *c = ctx;
  for (const unsigned char *at = bytes; len && !*ret_broken; at++, len--) {
    if (!c->begun) {
      c->begun = true;
      *ret_broken = *at != 'C';
    } else if (*ret_ended) {
      *ret_broken = true;
    } else if (c->head_len < HEAD_BYTES) {
      c->head[c->head_len++] = *at;
      if (c->head_len < HEAD_BYTES) continue;
      c->left = 0;
      for (int i = 4; i; i--) c->left = c->left << 8 | c->head[i];
      vsi_buffer_clear(&c->record);
      *ret_broken = c->head[0] > END;
      if (!c->left) c->head_len = 0; /* a record of length 0 contains no data */
    } else {
      vsi_buffer_append(&c->record, at, 1);
      if (!--c->left) end_record(c, text, ret_ended, ret_broken);
    }
  }
}

/* ---- the profile ------------------------------------------------------------------------------------------------- */

typedef struct chain_encoder {
  const vestry_host *host;
  bool begun;
  uint64_t key;
} chain_encoder;

static vestry_err put_record(unsigned char kind, const void *data, size_t len, uint64_t key, vsi_sink *sink) {
  unsigned char head[HEAD_BYTES] = {kind, len & 0xff, len >> 8 & 0xff, len >> 16 & 0xff, len >> 24 & 0xff};
  vestry_err error = vsi_sink_put(sink, head, sizeof head);
  for (size_t at = 0; at < len && !error; at += 64) { /* a multiple of the key's length */
    unsigned char piece[64];
    size_t piece_len = len - at < sizeof piece ? len - at : sizeof piece;
    memcpy(piece, (const unsigned char *)data + at, piece_len);
    scramble(piece, piece_len, key);
    error = vsi_sink_put(sink, piece, piece_len);
  }
  return error;
}

static vestry_err chain_resolve(vestry_profile *profile) {
  return profile->level ? VESTRY_INVALID : VESTRY_OK;
}

static vestry_err chain_create(const vestry_profile *profile, const vestry_host *host, void **ret_encoder) {
  chain_encoder *encoder = vsi_calloc(host, 1, sizeof *encoder);
  if (!encoder) return VESTRY_NO_MEMORY;
  encoder->host = host;
  *ret_encoder = encoder;
  return VESTRY_OK;
}

static vestry_err chain_encode(void *ctx, const void *data, size_t len, vsi_sink *sink) {
  chain_encoder *encoder = ctx;
  vestry_err error = put_record(encoder->begun ? CHAINED : FRESH, data, len, encoder->begun ? encoder->key : 0, sink);
  encoder->begun = true;
  encoder->key = key_of(data, len);
  return error;
}

static vestry_err chain_follow(void *ctx, const void *previous, size_t previous_len, const void *data, size_t len,
                               vsi_sink *sink) {
  return put_record(CHAINED, data, len, key_of(previous, previous_len), sink);
}

static vestry_err chain_end(uint64_t check, vsi_sink *sink) {
  uint64_t sum = check ? check + 1 : 0;
  return put_record(END, &sum, sizeof sum, 0, sink);
}

static vestry_err chain_primer(const vestry_profile *profile, const vestry_host *host, vsi_sink *sink) {
  return vsi_sink_put(sink, "C", 1);
}

static void chain_destroy(void *ctx) {
  chain_encoder *encoder = ctx;
  vsi_free(encoder->host, encoder);
}

static bool chain_reset(void *ctx) {
  ((chain_encoder *)ctx)->begun = false;
  return true;
}

static const unsigned char chain_idle[HEAD_BYTES] = {PLAIN};

static vestry_err chain_store(const void *data, size_t len, vsi_sink *sink) {
  return put_record(PLAIN, data, len, 0, sink);
}

static uint64_t chain_check(const void *data, size_t len) {
  return key_of(data, len);
}

static uint64_t chain_combine(uint64_t stream, uint64_t event, size_t len) {
  return stream * 3 + event;
}

#define MEMBERS                                                                                                        \
  .coding = "x-chain", .resolve = chain_resolve, .create = chain_create, .encode = chain_encode,                       \
  .destroy = chain_destroy, .reset = chain_reset, .primer = chain_primer, .store = chain_store, .end = chain_end

const vestry_profile_ops test_chain = {MEMBERS};
const vestry_profile_ops test_chain_checked = {MEMBERS, .idle = {chain_idle, sizeof chain_idle}, .check = chain_check,
                                               .combine = chain_combine, .follow = chain_follow};
