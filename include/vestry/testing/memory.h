/* SPDX-License-Identifier: MIT */
/** The memory adapter: tests make requests without a socket, and read the bytes of each response or stream. For tests
 *  of vestry and of applications.
 *
 *      vestry_memory_exchange *page;
 *      vestry_memory_request(v, &(vestry_memory_call){.method = "PUT", .path = "/", .datastar = true}, start,
 *                            &app, &page);
 *      vestry_memory_settle(v);                           // stepped runtime: run all ready work
 *      vestry_slice bytes = vestry_memory_look(page).received; // the stream's bytes so far, without HTTP framing
 *      vestry_memory_mode_set(page, VESTRY_MEMORY_HANGS_UP); // the client disconnects */
#ifndef VESTRY_MEMORY_H
#define VESTRY_MEMORY_H

#include "vestry/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One request and its response. */
typedef struct vestry_memory_exchange vestry_memory_exchange;

/** A request. Zero is GET / without headers and body. */
typedef struct vestry_memory_call {
  const char *method; /**< NULL: "GET" */
  const char *path;   /**< NULL: "/" */
  const char *query;  /**< NULL: none */
  bool datastar;      /**< adds Datastar-Request: true */
  const vestry_header *headers;
  size_t headers_count;
  const void *body;
  size_t body_len;
  bool no_length; /**< the length of the body is not known beforehand, as with chunked bodies */
  /** The client has announced more bytes than body has; reading beyond them returns this error, IO or TIMEOUT. OK: no
   *  such error. */
  vestry_err body_error;
  bool no_room;               /**< the server refuses to open a stream */
  const char *peer;           /**< the client's address; NULL: "memory", which is not an address */
  uint32_t streams, capacity; /**< number of open streams that the server reports, and its maximum; 0, 0: none is open,
                                   and the maximum is never reached */
} vestry_memory_call;

/** Behaviour of a stream's client. */
typedef enum vestry_memory_mode {
  VESTRY_MEMORY_READS = 0, /**< reads everything */
  VESTRY_MEMORY_BLOCKS,    /**< reads nothing more: writes return WOULD_BLOCK */
  VESTRY_MEMORY_TRICKLES,  /**< reads one byte of each write, then WOULD_BLOCK and at once writable again */
  VESTRY_MEMORY_STALLS,    /**< writes return STALLED */
  VESTRY_MEMORY_FAILS,     /**< writes return ERROR */
  VESTRY_MEMORY_HANGS_UP   /**< has disconnected: the connection closes with cause HANGUP, at the next write or at
                                once */
} vestry_memory_mode;

/** Serve one request on this thread through vestry_serve.
 *  handler, app  NULL: the instance's routes
 *  call          borrowed; NULL: GET /
 *  ret_exchange  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a call of a later version) | NO_MEMORY | the error of vestry_serve
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_request(vestry *v, const vestry_memory_call *call, vestry_handler_fn handler,
                                            void *app, vestry_memory_exchange **ret_exchange);
/** Free an exchange, and hang up if its stream is open. The stream's connection closes on the instance's runtime; later
 *  writes are not recorded. NULL is accepted.
 *  Threads  any, once; also after the instance was destroyed */
VESTRY_API void vestry_memory_destroy(vestry_memory_exchange *exchange);

/** Step a stepped instance until nothing is ready and no timer is due. Does not advance the clock.
 *  Threads  one at a time; runs callbacks on this thread */
VESTRY_API void vestry_memory_settle(vestry *v);

/* All functions below: any thread; they take the exchange's lock briefly. */

/** The response to a request so far. */
typedef struct vestry_memory_seen {
  int status;                    /**< of the response or of the stream's head; 0: no response yet (a stream's head is
                                      written when its connection first runs) */
  vestry_slice received;         /**< bytes of the body or of the stream; terminated, valid until the next call on this
                                      exchange or the next write. Read it on a stepped runtime, or after the end of the
                                      stream */
  size_t writes_count;           /**< number of successful writes to the stream, without the head */
  vestry_connection *connection; /**< of the stream, borrowed from the exchange; NULL: the request opened no stream */
  bool ended;                    /**< the stream has ended */
  bool clean;                    /**< the stream has ended cleanly */
} vestry_memory_seen;

/** Get the response so far: vestry_memory_look(page).status. */
VESTRY_API vestry_memory_seen vestry_memory_look(vestry_memory_exchange *exchange);
/** Get the value of a header of the response. name: in any case. index: position among the headers of that name, from
 *  0.
 *  Returns  NULL: none, or no response yet. Valid while the exchange exists */
VESTRY_API const char *vestry_memory_header(vestry_memory_exchange *exchange, const char *name, size_t index);
/** Get the bytes received since the last call of this function; all at the first call. Otherwise as
 *  vestry_memory_seen.received. */
VESTRY_API vestry_slice vestry_memory_since(vestry_memory_exchange *exchange);
/** Change the behaviour of a stream's client; READS makes a blocked stream writable again. */
VESTRY_API void vestry_memory_mode_set(vestry_memory_exchange *exchange, vestry_memory_mode mode);

#ifdef __cplusplus
}
#endif
#endif
