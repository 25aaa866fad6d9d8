/* SPDX-License-Identifier: MIT */
/* An event after another event, both any bytes: the decoders read both. Input: a byte each for the coding, the
 * window, the encoding of the former event, and its end in the rest; the remaining bytes are the event. */
#include "base/memory.h"
#include "coding/coding.h"
#include "decode/decode.h"
#include "fuzz/target.h"

static void pass(decoder *d, vsi_sink *sink) {
  require(!sink->buffer.error);
  decoder_feed(d, sink->buffer.data + sizeof(vsi_segment), sink->buffer.len - sizeof(vsi_segment));
  vsi_buffer_finish(&sink->buffer);
  vsi_sink_init(sink, NULL);
  require(!d->broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 6) return 0;
  const vestry_host *host = vestry_host_default();
  bool is_brotli = data[0] & 1;
  vestry_profile p = {.ops = is_brotli ? &vestry_profile_brotli : &vestry_profile_gzip,
                      .window_bits = is_brotli ? 10 + data[1] % 9u : 9 + data[1] % 7u,
                      .level = 2};
  require(p.ops->resolve(&p) == VESTRY_OK);
  const char *text = (const char *)data + 4;
  size_t len = size - 4, first_len = 1 + data[3] * (len - 2) / 255;
  decoder d;
  vsi_sink sink;
  void *encoder = NULL;
  decoder_init(&d, p.ops->coding);
  vsi_sink_init(&sink, NULL);
  require(p.ops->primer(&p, host, &sink) == VESTRY_OK);
  pass(&d, &sink);
  size_t primer_len = d.text.len;
  require(p.ops->create(&p, host, &encoder) == VESTRY_OK);
  if (data[2] % 3 == 0)
    require(p.ops->store(text, first_len, &sink) == VESTRY_OK);
  else if (data[2] % 3 == 1)
    require(p.ops->encode(encoder, text, first_len, &sink) == VESTRY_OK);
  else if (is_brotli) /* after the end of the primer */
    require(p.ops->follow(encoder, "\n\n", 2, text, first_len, &sink) == VESTRY_OK);
  else
    require(p.ops->store(text, first_len, &sink) == VESTRY_OK);
  pass(&d, &sink);
  p.ops->destroy(encoder);
  require(p.ops->create(&p, host, &encoder) == VESTRY_OK);
  require(p.ops->follow(encoder, text, first_len, text + first_len, len - first_len, &sink) == VESTRY_OK);
  p.ops->destroy(encoder);
  pass(&d, &sink);
  require(d.text.len == primer_len + len);
  require(memcmp(d.text.data + primer_len, text, len) == 0);
  vsi_buffer_finish(&sink.buffer);
  decoder_finish(&d);
  return 0;
}
