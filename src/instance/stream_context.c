/* SPDX-License-Identifier: MIT */
#include "instance/stream_context.h"

#include <string.h>

#include "connection/connection.h"

static bool has_hooks(const vsi_stream_given *given) {
  return given->hooks->on_open || given->hooks->on_close || given->hooks->on_error;
}

static bool has_data(const vsi_stream_given *given) {
  return given->data->data || given->data->destroy;
}

size_t vsi_stream_context_bytes(const void *ctx) {
  const vsi_stream_given *given = ctx;
  return sizeof(vsi_stream_context) + (has_hooks(given) ? sizeof *given->hooks : 0) +
         (has_data(given) ? sizeof *given->data : 0) + (given->has_parts ? sizeof(vsi_stream_part *) : 0) +
         given->scope.len;
}

void vsi_stream_context_make(void *context, const void *ctx) {
  vsi_stream_context *stream = context;
  const vsi_stream_given *given = ctx;
  stream->has_hooks = has_hooks(given);
  stream->has_data = has_data(given);
  stream->has_parts = given->has_parts;
  stream->scope_len = given->scope.len & 0x7ff;
  if (stream->has_hooks) memcpy(stream->tail, given->hooks, sizeof *given->hooks);
  if (stream->has_data) memcpy((void *)(uintptr_t)vsi_stream_context_data(stream), given->data, sizeof *given->data);
  const vestry_scope scope = vsi_stream_context_first_scope(stream);
  if (scope.len) memcpy((void *)(uintptr_t)scope.data, given->scope.data, scope.len);
}

void vsi_stream_context_add_part(vsi_stream_context *stream, vsi_stream_part *part) {
  _Atomic(vsi_stream_part *) *at = vsi_stream_context_first_part(stream);
  for (vsi_stream_part *other = vsi_stream_context_parts(stream); other; other = vsi_stream_part_next(other))
    at = &other->next;
  atomic_store_explicit(at, part, memory_order_release); /* pairs with vsi_stream_context_parts, vsi_stream_part_next */
}

void vestry_connection_wake(vestry_connection *connection) {
  const vsi_stream_context *stream = vsi_stream_context_of(connection);
  if (!stream) return;
  for (vsi_stream_part *part = vsi_stream_context_parts(stream); part; part = vsi_stream_part_next(part))
    part->ops->woken(part);
}
