/* SPDX-License-Identifier: MIT */
/* Streams that are closed when their user is done with them, on every path. */
#include "vestry/connection.h"

vestry_err vestry_connection_with(vestry_connection *connection, vestry_connection_fn fn, void *ctx) {
  if (!vestry_connection_is_open(connection)) return VESTRY_CLOSED;
  vestry_connection_ref(connection); /* fn may drop the caller's */
  vestry_err error = fn(connection, ctx);
  vestry_connection_leave(&connection);
  return error;
}

void vestry_connection_leave(vestry_connection **connection) {
  if (!*connection) return;
  vestry_connection_close(*connection, VESTRY_CAUSE_CLOSED);
  *connection = vestry_connection_unref(*connection);
}
