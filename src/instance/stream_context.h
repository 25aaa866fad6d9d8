/* SPDX-License-Identifier: MIT */
/* The context of a stream: the data that the instance keeps for it, from its beginning until the connection is freed.
 * Each stream that vestry_serve opens has one; its hooks receive it. */
#ifndef VSI_INSTANCE_STREAM_CONTEXT_H
#define VSI_INSTANCE_STREAM_CONTEXT_H

#include <stdatomic.h>
#include <stddef.h>

#include "connection/connection.h"
#include "instance/instance.h"

/* The part of an extension in a stream, for example a watch. It is a member of the extension's struct, and exists from
 * the stream's beginning until the connection is freed. The list of a stream only grows, and only while the stream
 * begins. */
typedef struct vsi_stream_part {
  const struct vsi_stream_part_ops *ops;
  _Atomic(struct vsi_stream_part *) next;
} vsi_stream_part;

typedef struct vsi_stream_part_ops {
  /* The stream is open. Called on its runner, after its open hooks. */
  void (*opened)(vsi_stream_part *part);
  /* Data may have been written. Called on its runner. Returns whether to call it after the next write, too. */
  bool (*written)(vsi_stream_part *part, const vestry_connection *connection);
  /* vestry_connection_wake was called. Any thread. */
  void (*woken)(vsi_stream_part *part);
  /* The connection is freed. host: of the instance, which may be freed already. */
  void (*free)(vsi_stream_part *part, const vestry_host *host);
} vsi_stream_part_ops;

/* The application's data of a stream, and the function that frees it. */
typedef struct vsi_data {
  void *data;
  vestry_destroy_fn destroy; /* NULL: none is necessary */
} vsi_data;

/* It is the end of its connection's memory (vsi_connection_hooks.make). */
typedef struct vsi_stream_context {
  /* The entries of the stream in stores (stream_entries.h), and a scope that has replaced the first one. Guarded by the
   * connection's lock until `ended` is set, then constant. */
  union {
    vestry_handle handle;         /* of the only entry, which is in v->store; 0: a put of it is running */
    struct vsi_stream_list *list; /* owned */
  } entries;
  bool has_list : 1, has_one : 1; /* which of the two is set */
  bool one_has_left : 1;          /* the only entry has left before its put was over */
  bool has_new_scope : 1;         /* it is in the list */
  /* constant, as are the next three members, which share its memory: any sending thread reads them */
  uint16_t scope_len : 11;
  bool has_hooks : 1;
  bool has_data : 1;
  bool has_parts : 1;
  _Atomic(bool) ended; /* its close hook has begun; set under the connection's lock */
  bool given_up;       /* the stream must never open; set before abandon, which runs the hook on the same thread */
  bool is_moving;      /* a thread changes the scope; guarded by the connection's lock */
  /* The reply's hooks, data and parts, if there are any; then the bytes of the first scope. Few streams have hooks,
   * data or parts, and most streams are idle, so these are not members, to save memory. */
  _Alignas(vestry_connection_hooks) unsigned char tail[];
} vsi_stream_context;
enum { VSI_STREAM_KEYS_MAX = UINT16_MAX };
_Static_assert(VESTRY_SCOPE_MAX_BYTES < 1 << 11, "bits");
_Static_assert(sizeof(vsi_stream_context) == 16, "there is one a stream");

/* The parts of a context, from the request and its reply. The data belongs to the reply until the connection exists. */
typedef struct vsi_stream_given {
  vestry_scope scope;
  const vestry_connection_hooks *hooks;
  const vsi_data *data;
  bool has_parts;
} vsi_stream_given;
/* For vsi_connection_hooks: the size of a context, and a context in zeroed memory. given: vsi_stream_given. */
size_t vsi_stream_context_bytes(const void *given);
void vsi_stream_context_make(void *context, const void *given);

/* Return the context of a connection; NULL: it belongs to no instance, because `make` fills only contexts of streams
 * (serve/hooks.c). */
static inline vsi_stream_context *vsi_stream_context_of(const vestry_connection *connection) {
  return connection->hooks->make ? (vsi_stream_context *)(uintptr_t)connection->context : NULL;
}
/* Return the instance of a stream. */
static inline vestry *vsi_stream_context_v(const vsi_stream_context *stream) {
  const void *connection = (const char *)stream - offsetof(struct vestry_connection, context);
  return ((const vestry_connection *)connection)->environment->owner;
}

/* Return the application's data; NULL: none. */
static inline const vsi_data *vsi_stream_context_data(const vsi_stream_context *stream) {
  if (!stream->has_data) return NULL;
  return (const vsi_data *)(const void *)(stream->tail + (stream->has_hooks ? sizeof(vestry_connection_hooks) : 0));
}

/* Free the application's data; once. */
static inline void vsi_data_destroy(const vsi_data *data) {
  if (data->destroy) data->destroy(data->data);
}

/* Return where the first part is stored; only with has_parts. */
static inline _Atomic(vsi_stream_part *) *vsi_stream_context_first_part(const vsi_stream_context *stream) {
  size_t before = (stream->has_hooks ? sizeof(vestry_connection_hooks) : 0) + (stream->has_data ? sizeof(vsi_data) : 0);
  return (_Atomic(vsi_stream_part *) *)(uintptr_t)(stream->tail + before);
}

/* Return the scope of the request that opened the stream. See vestry_connection_scope_get. */
static inline vestry_scope vsi_stream_context_first_scope(const vsi_stream_context *stream) {
  return (vestry_scope){vsi_stream_context_first_part(stream) + stream->has_parts, stream->scope_len};
}

/* Return the first part, and the next one; NULL: none. Any thread that has a reference to the connection. */
static inline vsi_stream_part *
vsi_stream_context_parts(const vsi_stream_context *stream) { /* acquire pairs with the release of an append */
  return stream->has_parts ? atomic_load_explicit(vsi_stream_context_first_part(stream), memory_order_acquire) : NULL;
}
static inline vsi_stream_part *vsi_stream_part_next(const vsi_stream_part *part) {
  return atomic_load_explicit(&part->next, memory_order_acquire);
}
/* Append a part. Only while the stream begins, on the thread that begins it, and with has_parts. */
VESTRY_API void vsi_stream_context_add_part(vsi_stream_context *stream, vsi_stream_part *part);

#endif
