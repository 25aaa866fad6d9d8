/* SPDX-License-Identifier: MIT */
/* The entries of a stream in stores, whether the stream registration or the application has put them: when the stream
 * ends, it leaves all of them. Also the scope of a stream, which can change while the stream is open. */
#ifndef VSI_INSTANCE_STREAM_ENTRIES_H
#define VSI_INSTANCE_STREAM_ENTRIES_H

#include "instance/stream_context.h"
#include "vestry/store.h"

/* One entry. */
typedef struct vsi_stream_entry {
  vestry_store *store;
  vestry_handle handle;
} vsi_stream_entry;

/* Make room for this number of entries. Any thread. OK | NO_MEMORY */
vestry_err vsi_stream_entries_reserve(vestry_connection *connection, size_t count);
/* Mark the stream as ended, and remove its entries from their stores with this cause. Later puts get CLOSED. Once, on
 * the runner. */
void vsi_stream_entries_end(vestry_connection *connection, vsi_stream_context *stream, vestry_cause cause);
/* Free the memory when the connection is freed. */
void vsi_stream_entries_free(vsi_stream_context *stream, const vestry_host *host);

/* Copy the first entries, at most `room`, in the order of their puts. Returns the number of all entries. Any thread. */
VESTRY_API size_t vsi_stream_entries_copy(vestry_connection *connection, vsi_stream_entry *to, size_t room);

/* Return the scope of a stream that has ended; it does not change any more. */
vestry_scope vsi_stream_last_scope(const vsi_stream_context *stream);
/* Return whether this is the scope of a stream. Any thread. */
bool vsi_stream_is_of(vestry_connection *connection, vestry_scope scope);

/* A change of a stream's scope, by one thread at a time, until vsi_scope_change_end. `begin` copies the scope of the
 * stream: OK | CLOSED | BUSY | NO_MEMORY. `commit` sets the new scope: OK | CLOSED (the stream has ended). `end` must
 * follow after a `begin` with OK, when the stream has left its old entries: a second change that began earlier could
 * take them for its new ones. */
typedef struct vsi_scope_change {
  struct vsi_stream_new_scope *to; /* owned; after the commit the former scope */
  vestry_scope from;               /* borrows from_bytes */
  char from_bytes[VESTRY_SCOPE_MAX_BYTES];
} vsi_scope_change;
vestry_err vsi_scope_change_begin(vsi_scope_change *change, vestry_connection *connection, vestry_scope to);
vestry_err vsi_scope_change_commit(vsi_scope_change *change, vestry_connection *connection);
void vsi_scope_change_end(vsi_scope_change *change, vestry_connection *connection);

#endif
