/* SPDX-License-Identifier: MIT */
#include "instance/stream_context.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"
#include "connection/connection.h"

vsi_stream_context *vsi_stream_context_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks,
                                              const vsi_data *data, bool has_parts) {
  bool has_hooks = hooks->on_open || hooks->on_close || hooks->on_error, has_data = data->data || data->destroy;
  size_t before = (has_hooks ? sizeof *hooks : 0) + (has_data ? sizeof *data : 0);
  size_t parts = has_parts ? sizeof(vsi_stream_part *) : 0;
  vsi_stream_context *stream = vsi_calloc(v->host, 1, sizeof *stream + before + parts + scope.len);
  if (!stream) return NULL;
  stream->v = v;
  stream->has_hooks = has_hooks;
  stream->has_data = has_data;
  stream->has_parts = has_parts;
  if (has_hooks) memcpy(stream->tail, hooks, sizeof *hooks);
  if (has_data) memcpy(stream->tail + before - sizeof *data, data, sizeof *data);
  VSI_REFS_INIT(&stream->refs, 2);
  if (has_parts) atomic_init(vsi_stream_context_first_part(stream), NULL);
  atomic_init(&stream->ended, false);
  stream->scope_len = scope.len & 0x7ff;
  if (scope.len) memcpy((void *)vsi_stream_context_first_scope(stream).data, scope.data, scope.len);
  return stream;
}

void vsi_stream_context_unref(vsi_stream_context *stream, const vestry_host *host) {
  if (stream && VSI_REFS_DROP(&stream->refs)) vsi_free(host, stream);
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
