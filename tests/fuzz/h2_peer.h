/* SPDX-License-Identifier: MIT */
/* A client of the HTTP/2 adapter, whose session runs on the client's thread, over a pair of sockets. The server checks
 * nothing else: the bytes that it returns are checked here, whatever it was sent.
 *
 * - They are frames of known types and of allowed lengths, and the first is SETTINGS.
 * - A response belongs to a request that was sent; nothing follows its end, and its head comes before its body.
 * - After the session, no memory of requests is left. */
#ifndef TESTS_FUZZ_H2_PEER_H
#define TESTS_FUZZ_H2_PEER_H

#include "adapter/h2/adapter.h"
#include "fuzz/target.h"

enum { PEER_STREAMS = 256 };

/* What came for a stream. */
typedef struct peer_stream {
  bool is_requested, has_head, has_ended, is_reset;
  int statuses;
} peer_stream;

typedef struct peer {
  vsi_h2_session *session; /* NULL: it has ended */
  int fd;
  uint8_t *out; /* received, not checked yet */
  size_t out_len;
  size_t frames, data_bytes;         /* received */
  uint64_t window;                   /* bytes of DATA that the server may have sent */
  peer_stream streams[PEER_STREAMS]; /* by id */
} peer;

/* Return the instance, which the first call creates with a server on a free port. */
vestry *peer_vestry(void);

/* Begin a session, with the preface and SETTINGS of the client. has_table: it has not confirmed that HPACK has no
 * table. */
void peer_begin(peer *p, bool has_table);
/* Let the session read bytes, and check what it returns. */
void peer_send(peer *p, const void *bytes, size_t len);
/* Send a frame, and note what it permits. */
void peer_frame(peer *p, uint8_t type, uint8_t flags, uint32_t id, const void *bytes, size_t len);
/* Close, and end the session. */
void peer_end(peer *p);

#endif
