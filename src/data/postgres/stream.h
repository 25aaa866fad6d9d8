/* SPDX-License-Identifier: MIT */
/* A server's WAL, as it is written: a connection for replication, without a slot. It keeps nothing on the server, and
 * confirms nothing, so that no commit ever waits for it. One thread at a time. */
#ifndef VSI_POSTGRES_STREAM_H
#define VSI_POSTGRES_STREAM_H

#include "data/postgres/fault.h"
#include "data/postgres/wal.h"

typedef struct vsi_postgres_stream {
  PGconn *db;
  vsi_postgres_wal wal;
  uint64_t end;         /* of the server's WAL, as far as it has said */
  uint64_t told_at_ns;  /* when it was told last how far this is */
  uint64_t heard_at_ns; /* when something came last */
  uint64_t asked_at_ns; /* when it was asked for a word since; 0: it was not */
} vsi_postgres_stream;

/* Where the WAL is now. */
typedef struct vsi_postgres_place {
  uint64_t at;
  uint32_t timeline;
  char started[64]; /* when the server was, as it writes it: two connections to one server have the same */
} vsi_postgres_place;

/* Connect for replication, and find out where the WAL is. The log is told why not. Finish it in any case.
 * OK | NO_MEMORY | LIMIT (it cannot be reached, or has no place for one more) | IO */
vestry_err vsi_postgres_stream_open(vsi_postgres_stream *stream, const vsi_call *call, const char *url,
                                    vsi_postgres_place *ret_place);
/* Have it sent, from the page on in which that place is. options->at is set here. Errors as above. */
vestry_err vsi_postgres_stream_start(vsi_postgres_stream *stream, const vsi_call *call, const vsi_postgres_place *place,
                                     const vsi_postgres_wal_options *options);
/* Read what has come, without waiting.
 *  ret_more  there may be more: ask again before waiting for the socket
 *  Returns   OK | CLOSED (the server has ended it: PQerrorMessage says why) | what reading the WAL says: wal.reason */
vestry_err vsi_postgres_stream_read(vsi_postgres_stream *stream, bool *ret_more);
/* Tell the server how far this is, if that is due. */
void vsi_postgres_stream_tell(vsi_postgres_stream *stream, bool is_asked);
/* After all that has come was read: ask for a word if nothing has come for so long.
 *  ret_ms   so long there is nothing to be done
 *  Returns  OK | TIMEOUT (nothing came for as long again: wal.reason) */
vestry_err vsi_postgres_stream_rouse(vsi_postgres_stream *stream, uint32_t silence_ms, uint32_t *ret_ms);
void vsi_postgres_stream_finish(vsi_postgres_stream *stream);

#endif
