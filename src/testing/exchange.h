/* SPDX-License-Identifier: MIT */
/* An exchange of the memory adapter, or of a browser with a server on the network. */
#ifndef VSI_TESTING_EXCHANGE_H
#define VSI_TESTING_EXCHANGE_H

#include "base/buffer.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "vestry/testing/memory.h"

struct sockaddr_in;
typedef struct vsi_remote vsi_remote;

struct vestry_memory_exchange {
  const vestry_host *host;
  vsi_refs refs;
  vsi_remote *remote; /* its connection to a server; NULL: the memory adapter serves it */

  /* Of the serving thread, while vestry_serve runs. */
  const vestry_memory_call *call;
  size_t body_read;

  vestry_slice composed; /* of the stream's runner: bytes that wait in a batch */

  /* Set before the exchange is returned, then constant. */
  vestry_connection *connection; /* a reference; NULL: no stream was opened */

  vsi_mutex lock;
  /* Guarded by lock. */
  vestry_memory_mode mode;
  int status;          /* received by the client; 0: nothing yet */
  int head_status;     /* of the stream that was prepared */
  vsi_buffer headers;  /* name NUL value NUL …: of the response, or of the prepared stream */
  vsi_buffer received; /* has room for a terminator */
  size_t writes_count;
  size_t asked_len; /* length of the part that vestry_memory_since has returned */
  bool ended, ended_clean;
};

/* Copy what vestry_memory_since would return, with a NUL, behind the bytes of a buffer. Other threads may write
 * meanwhile. OK | NO_MEMORY (nothing is taken) */
vestry_err vsi_exchange_take(vestry_memory_exchange *exchange, vsi_buffer *ret_bytes);
/* Let the next vsi_exchange_take copy the last bytes again: an event that is not complete yet. */
void vsi_exchange_unread(vestry_memory_exchange *exchange, size_t bytes);

/* Create an exchange with one reference, which vestry_memory_destroy drops. NULL: no memory. */
vestry_memory_exchange *vsi_exchange_create(const vestry_host *host);

/* Send a request to a server, and wait for the head of its response; unless that is a stream of events, for all of it.
 * exchange: new. kept: a connection to the server that is used again, -1: none; replaced by one that can be used again.
 * OK | NO_MEMORY | IO (no connection, or it ended) | TIMEOUT | TOO_LARGE (its head) */
vestry_err vsi_remote_request(vestry_memory_exchange *exchange, const struct sockaddr_in *server, uint64_t timeout_ms,
                              int *kept, const vestry_memory_call *call);
/* Append the bytes that have arrived to `received`, without blocking. Bytes that vestry_memory_since has returned are
 * removed. */
void vsi_remote_receive(vestry_memory_exchange *exchange);
/* Return the socket of an exchange whose response may continue; -1: none. */
int vsi_remote_socket(const vestry_memory_exchange *exchange);
void vsi_remote_destroy(vsi_remote *remote, const vestry_host *host);

#endif
