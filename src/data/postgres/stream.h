/* SPDX-License-Identifier: MIT */
/* The stream of a server's WAL: a connection for replication without a slot. It stores nothing on the server, and
 * confirms nothing, so that no commit ever waits for it. One thread at a time. */
#ifndef VSI_POSTGRES_STREAM_H
#define VSI_POSTGRES_STREAM_H

#include "data/postgres/link.h"
#include "data/postgres/wal.h"

typedef struct vsi_postgres_stream {
  PGconn *db;
  vsi_postgres_wal wal;
  uint64_t end;            /* end of the server's WAL, according to its last message */
  uint64_t reported_at_ns; /* when the position was reported to the server last */
  uint64_t heard_at_ns;    /* when a message came last */
  uint64_t asked_at_ns;    /* when a reply was requested since; 0: not requested */
} vsi_postgres_stream;

/* The current position of the WAL. */
typedef struct vsi_postgres_place {
  uint64_t at;
  uint32_t timeline;
  char started[64]; /* start time of the server, as text; two connections with the same time have the same server */
} vsi_postgres_place;

/* Connect for replication, and find the position of the WAL. Failures are logged. Call vsi_postgres_stream_finish in
 * any case. OK | NO_MEMORY | LIMIT (the server cannot be reached, or has no free connection) | IO */
vestry_err vsi_postgres_stream_open(vsi_postgres_stream *stream, const vsi_call *call, const char *url,
                                    vsi_postgres_place *ret_place);
/* Start the stream, from the page that contains the position. Sets options->at. Errors as vsi_postgres_stream_open. */
vestry_err vsi_postgres_stream_start(vsi_postgres_stream *stream, const vsi_call *call, const vsi_postgres_place *place,
                                     const vsi_postgres_wal_options *options);
/* Read the messages that have come, without waiting.
 *  ret_more  there may be more: call again before waiting for the socket
 *  Returns   OK | CLOSED (the server has ended the stream; PQerrorMessage has the reason) | an error in the WAL, with
 *            wal.reason */
vestry_err vsi_postgres_stream_read(vsi_postgres_stream *stream, bool *ret_more);
/* Report the position to the server, if that is due. */
void vsi_postgres_stream_report(vsi_postgres_stream *stream, bool is_asked);
/* Check for silence, after all messages that have come were read: request a reply if nothing has come for silence_ms.
 *  ret_ms   time until the next call
 *  Returns  OK | TIMEOUT (no reply came within silence_ms; see wal.reason) */
vestry_err vsi_postgres_stream_rouse(vsi_postgres_stream *stream, uint32_t silence_ms, uint32_t *ret_ms);
void vsi_postgres_stream_finish(vsi_postgres_stream *stream);

#endif
