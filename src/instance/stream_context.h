/* SPDX-License-Identifier: MIT */
/* The context of a stream: what the instance keeps for it, from its beginning until the connection is freed. Each
 * stream that vestry_serve opens has one, which its hooks get. */
#ifndef VSI_INSTANCE_STREAM_CONTEXT_H
#define VSI_INSTANCE_STREAM_CONTEXT_H

#include <stdatomic.h>

#include "instance/instance.h"

/* What an extension has at a stream: a watch, say. A member of its own struct, from the stream's beginning until the
 * connection is freed; the list of a stream's only grows, and while the stream begins. */
typedef struct vsi_stream_part {
  const struct vsi_stream_part_ops *ops;
  _Atomic(struct vsi_stream_part *) next;
} vsi_stream_part;

typedef struct vsi_stream_part_ops {
  /* The stream is open. On its runner, after its open hooks. */
  void (*opened)(vsi_stream_part *part);
  /* Something may have been written. On its runner. Returns whether to be told of the next write, too. */
  bool (*written)(vsi_stream_part *part, const vestry_connection *connection);
  /* vestry_connection_wake was called. Any thread. */
  void (*woken)(vsi_stream_part *part);
  /* The connection is freed. host: the instance's, which may be gone. */
  void (*free)(vsi_stream_part *part, const vestry_host *host);
} vsi_stream_part_ops;

/* What the application wants to find again at a stream, and how it is disposed of. */
typedef struct vsi_data {
  void *data;
  vestry_destroy_fn destroy; /* NULL: it needs none */
} vsi_data;

/* Two hold it: the connection, as long as anybody holds that, and the serving thread, until it is done with it. */
typedef struct vsi_stream_context {
  vestry *v;
  _Atomic(vestry_handle) handle; /* where the stream registration stored it; 0: nowhere */
  _Atomic(uint8_t) refs;
  bool has_parts; /* constant */
  /* constant, and so is what shares its memory: any thread that sends reads it */
  uint16_t more_keys_count;
  uint16_t scope_len : 11;
  bool has_hooks : 1;
  bool has_data : 1;
  _Atomic(bool) ended; /* its close hook has begun */
  bool given_up;       /* it was never to open; set before abandon, which runs the hook on that thread */
  /* The reply's hooks, data and parts, if it has any, the handles of its other keys, then the bytes of the scope: few
   * streams have the former, and all are idle. */
  _Alignas(vestry_connection_hooks) unsigned char tail[];
} vsi_stream_context;
enum { VSI_STREAM_KEYS_MAX = UINT16_MAX };
_Static_assert(VESTRY_SCOPE_MAX_BYTES < 1 << 11, "bits");
_Static_assert(sizeof(vsi_stream_context) == 24, "there is one a stream");

/* hooks, data, has_parts: the reply's. Two references, one for the connection: NULL when out of memory. The data
 * stays the reply's until the connection has the context. */
vsi_stream_context *vsi_stream_context_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks,
                                              const vsi_data *data, bool has_parts, size_t more_keys_count);
/* host: the instance's, which may be gone. NULL is accepted. */
void vsi_stream_context_unref(vsi_stream_context *stream, const vestry_host *host);

/* NULL: the connection is of no instance. */
VESTRY_API vsi_stream_context *vsi_stream_context_of(const vestry_connection *connection);

/* NULL: none. */
static inline const vsi_data *vsi_stream_context_data(const vsi_stream_context *stream) {
  if (!stream->has_data) return NULL;
  return (const vsi_data *)(const void *)(stream->tail + (stream->has_hooks ? sizeof(vestry_connection_hooks) : 0));
}

/* Dispose of data; once. */
static inline void vsi_data_destroy(const vsi_data *data) {
  if (data->destroy) data->destroy(data->data);
}

/* Where the first of its parts stands; it has_parts. */
static inline _Atomic(vsi_stream_part *) *vsi_stream_context_first_part(const vsi_stream_context *stream) {
  size_t before = (stream->has_hooks ? sizeof(vestry_connection_hooks) : 0) + (stream->has_data ? sizeof(vsi_data) : 0);
  return (_Atomic(vsi_stream_part *) *)(uintptr_t)(stream->tail + before);
}

/* Where the stream registration stored it under its other keys, as `handle`. */
static inline _Atomic(vestry_handle) *vsi_stream_context_handles(const vsi_stream_context *stream) {
  return (_Atomic(vestry_handle) *)(uintptr_t)(vsi_stream_context_first_part(stream) + stream->has_parts);
}

static inline vestry_scope vsi_stream_context_scope(const vsi_stream_context *stream) {
  return (vestry_scope){vsi_stream_context_handles(stream) + stream->more_keys_count, stream->scope_len};
}

/* NULL: none, and no further one. Any thread that has a reference to the connection. */
static inline vsi_stream_part *
vsi_stream_context_parts(const vsi_stream_context *stream) { /* acquire pairs with the release of an append */
  return stream->has_parts ? atomic_load_explicit(vsi_stream_context_first_part(stream), memory_order_acquire) : NULL;
}
static inline vsi_stream_part *vsi_stream_part_next(const vsi_stream_part *part) {
  return atomic_load_explicit(&part->next, memory_order_acquire);
}
/* While the stream begins, by the thread that begins it; it has_parts. */
VESTRY_API void vsi_stream_context_add_part(vsi_stream_context *stream, vsi_stream_part *part);

#endif
