/* SPDX-License-Identifier: MIT */
/* Reading, writing and sealing the messages between nodes (docs/cluster-wire.md). */
#include "cluster/cluster/wire.h"

#include <string.h>

#include "vestry/key.h"

/* Minimum size of the head in all versions of the format; the seal has been last in all of them. */
enum { LEAST_HEAD = 40 };

static const unsigned char zeroes[VSI_WIRE_HEAD];

void vsi_wire_begin(vsi_buffer *buffer, const vestry_host *host) {
  vsi_buffer_init(buffer, host);
  vsi_buffer_append(buffer, zeroes, VSI_WIRE_HEAD);
}

uint8_t vsi_wire_put_trace(vsi_buffer *buffer, const vestry_trace *trace) {
  if (!trace) return 0;
  vsi_buffer_append(buffer, trace->trace_id, sizeof trace->trace_id);
  vsi_buffer_append(buffer, trace->span_id, sizeof trace->span_id);
  return VSI_WIRE_TRACED;
}

static void put_at(unsigned char *at, uint64_t number, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i++) at[i] = (unsigned char)(number >> 8 * i);
}

static uint64_t get_at(const unsigned char *at, unsigned bytes) {
  uint64_t number = 0;
  for (unsigned i = 0; i < bytes; i++) number |= (uint64_t)at[i] << 8 * i;
  return number;
}

vestry_err vsi_wire_seal(vsi_buffer *buffer, vsi_siphash_key key, const vsi_wire_message *message) {
  const size_t len = buffer->len;
  vsi_buffer_append(buffer, zeroes, VSI_WIRE_SEAL);
  if (buffer->error) return buffer->error;
  unsigned char *at = (unsigned char *)buffer->data;
  at[0] = 'v';
  at[1] = VSI_WIRE_VERSION;
  at[2] = message->kind;
  at[3] = message->flags;
  put_at(at + 4, len - VSI_WIRE_HEAD, 4);
  put_at(at + 8, message->from, 8);
  put_at(at + 16, message->epoch, 8);
  put_at(at + 24, message->to, 8);
  put_at(at + 32, message->seq, 8);
  put_at(at + 40, message->turn, 8);
  vsi_hash_128 seal = vsi_siphash_128_of(key, at, len);
  put_at(at + len, seal.low, 8);
  put_at(at + len + 8, seal.high, 8);
  return VESTRY_OK;
}

/* Compares both halves in one operation, so that the time reveals nothing about the seal. */
static bool is_sealed(const unsigned char *at, size_t sealed, vsi_siphash_key key) {
  vsi_hash_128 seal = vsi_siphash_128_of(key, at, sealed);
  return !((seal.low ^ get_at(at + sealed, 8)) | (seal.high ^ get_at(at + sealed + 8, 8)));
}

uint8_t vsi_wire_other_version(const void *data, size_t len, vsi_siphash_key key) {
  const unsigned char *at = data;
  if (len < LEAST_HEAD + VSI_WIRE_SEAL || at[0] != 'v' || at[1] == VSI_WIRE_VERSION) return 0;
  return is_sealed(at, len - VSI_WIRE_SEAL, key) ? at[1] : 0;
}

/* Remove the trace from the end of the body. Only sampled traces are transmitted. */
static vestry_err open_trace(vsi_wire_message *message) {
  if (!(message->flags & VSI_WIRE_TRACED)) return VESTRY_OK;
  if (message->len < VSI_WIRE_TRACE) return VESTRY_MALFORMED;
  message->len -= VSI_WIRE_TRACE;
  message->flags &= (uint8_t)~VSI_WIRE_TRACED;
  vestry_trace *trace = &message->trace;
  memcpy(trace->trace_id, message->body + message->len, sizeof trace->trace_id);
  memcpy(trace->span_id, message->body + message->len + sizeof trace->trace_id, sizeof trace->span_id);
  message->is_traced = trace->is_sampled = true;
  return VESTRY_OK;
}

vestry_err vsi_wire_open(const void *data, size_t len, vsi_siphash_key key, vsi_wire_message *ret_message) {
  const unsigned char *at = data;
  if (len < VSI_WIRE_HEAD + VSI_WIRE_SEAL || at[0] != 'v' || at[1] != VSI_WIRE_VERSION) return VESTRY_MALFORMED;
  size_t sealed = len - VSI_WIRE_SEAL;
  if (!is_sealed(at, sealed, key)) return VESTRY_MALFORMED;
  if (!at[2] || at[2] >= VSI_WIRE_KINDS || get_at(at + 4, 4) != sealed - VSI_WIRE_HEAD) return VESTRY_MALFORMED;
  *ret_message = (vsi_wire_message){
      .kind = at[2],
      .flags = at[3],
      .from = get_at(at + 8, 8),
      .epoch = get_at(at + 16, 8),
      .to = get_at(at + 24, 8),
      .seq = get_at(at + 32, 8),
      .turn = get_at(at + 40, 8),
      .body = at + VSI_WIRE_HEAD,
      .len = sealed - VSI_WIRE_HEAD,
  };
  return ret_message->epoch ? open_trace(ret_message) : VESTRY_MALFORMED;
}

void vsi_wire_put(vsi_buffer *buffer, uint64_t number, unsigned bytes) {
  unsigned char *at = (unsigned char *)vsi_buffer_reserve(buffer, bytes);
  if (!at) return;
  put_at(at, number, bytes);
  buffer->len += bytes;
}

vestry_slice vsi_wire_bytes(vsi_wire_reader *reader, size_t len) {
  if (len > reader->left) *reader = (vsi_wire_reader){.has_failed = true};
  const vestry_slice bytes = {reader->at, reader->at ? len : 0};
  if (bytes.len) reader->at += len, reader->left -= len;
  return bytes;
}

uint64_t vsi_wire_number(vsi_wire_reader *reader, unsigned bytes) {
  const vestry_slice at = vsi_wire_bytes(reader, bytes);
  return at.len ? get_at(at.data, bytes) : 0;
}

void vsi_wire_put_name(vsi_buffer *buffer, vsi_wire_name name) {
  vsi_wire_put(buffer, name.scope.len, 2);
  vsi_wire_put(buffer, name.key.len, 2);
  vsi_buffer_append(buffer, name.scope.data, name.scope.len);
  vsi_buffer_append(buffer, name.key.data, name.key.len);
}

vsi_wire_name vsi_wire_read_name(vsi_wire_reader *reader) {
  size_t scope_len = vsi_wire_number(reader, 2), key_len = vsi_wire_number(reader, 2);
  if (!key_len || scope_len > VESTRY_SCOPE_MAX_BYTES || key_len > VESTRY_KEY_MAX_BYTES)
    *reader = (vsi_wire_reader){.has_failed = true};
  vsi_wire_name name = {.scope = vsi_wire_bytes(reader, scope_len)};
  name.key = vsi_wire_bytes(reader, key_len);
  return name;
}
