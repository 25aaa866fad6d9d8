/* SPDX-License-Identifier: MIT */
/** The memory adapter: requests made by hand and streams that record what they were sent. For tests, of vestry and of
 *  applications; no socket is involved.
 *
 *      vestry_memory_exchange *page;
 *      vestry_memory_request(v, &(vestry_memory_call){.method = "PUT", .path = "/", .datastar = true}, start,
 *                            &app, &page);
 *      vestry_memory_settle(v);                           // stepped runtime: let everything that is ready run
 *      vestry_slice bytes = vestry_memory_look(page).received; // the stream's bytes so far, without HTTP framing
 *      vestry_memory_mode_set(page, VESTRY_MEMORY_HANGS_UP); // the client goes away */
#ifndef VESTRY_MEMORY_H
#define VESTRY_MEMORY_H

#include "vestry/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One request and what came of it. */
typedef struct vestry_memory_exchange vestry_memory_exchange;

/** A request to make. Zero is GET / with nothing in it. */
typedef struct vestry_memory_call {
  size_t size;        /**< sizeof(vestry_memory_call), or 0 */
  const char *method; /**< NULL: "GET" */
  const char *path;   /**< NULL: "/" */
  const char *query;  /**< NULL: none */
  bool datastar;      /**< adds Datastar-Request: true */
  const vestry_header *headers;
  size_t headers_count;
  const void *body;
  size_t body_len;
  bool no_length; /**< the body's length is not told beforehand, as with chunked bodies */
  /** The client promised more than body, and reading beyond it answers this, IO or TIMEOUT. OK: nothing of the kind. */
  vestry_err body_error;
  bool no_room;               /**< the server refuses to open a stream */
  const char *peer;           /**< the client's address; NULL: "memory", which is none */
  uint32_t streams, capacity; /**< how many streams the server says that there are, and may be; 0, 0: it has room */
} vestry_memory_call;

/** How a stream's far end behaves. */
typedef enum vestry_memory_mode {
  VESTRY_MEMORY_READS = 0, /**< takes everything */
  VESTRY_MEMORY_BLOCKS,    /**< takes nothing more: writes answer WOULD_BLOCK */
  VESTRY_MEMORY_TRICKLES,  /**< takes one byte a write, then WOULD_BLOCK and at once writable again */
  VESTRY_MEMORY_STALLS,    /**< writes answer STALLED */
  VESTRY_MEMORY_FAILS,     /**< writes answer ERROR */
  VESTRY_MEMORY_HANGS_UP   /**< has closed, for good: the connection closes for HANGUP, at its next write or now */
} vestry_memory_mode;

/** Serve one request on this thread through vestry_serve.
 *  handler, app  NULL: by the instance's routes
 *  call          borrowed; NULL: GET /
 *  ret_exchange  owned by the caller; untouched on failure
 *  Returns  OK | NO_MEMORY | what vestry_serve returns
 *  Threads  any */
VESTRY_API vestry_err vestry_memory_request(vestry *v, const vestry_memory_call *call, vestry_handler_fn handler,
                                            void *app, vestry_memory_exchange **ret_exchange);
/** Hang up if the stream is open, and free. Its connection closes on the instance's runtime; what it still does is not
 *  recorded. NULL is accepted.
 *  Threads  any, once; also after the instance was destroyed */
VESTRY_API void vestry_memory_destroy(vestry_memory_exchange *exchange);

/** Step a stepped instance until nothing is ready and no timer is due. Does not turn any clock.
 *  Threads  one at a time; runs callbacks on this thread */
VESTRY_API void vestry_memory_settle(vestry *v);

/* All below: any thread; take the exchange's lock briefly. */

/** What has come of a request so far. */
typedef struct vestry_memory_seen {
  int status; /**< of the answer or of the stream's head; 0: no answer yet (a stream's head is written when it
                               first runs) */
  vestry_slice received; /**< bytes of the body or of the stream; terminated, valid until the next call on this exchange
                               or the next write. For stepped runtimes and for streams that have ended */
  size_t writes_count;   /**< that the stream has taken, the head not counted */
  vestry_connection *connection; /**< the stream's, borrowed from the exchange; NULL: the request opened none */
  bool ended;                    /**< the stream has ended */
  bool clean;                    /**< and cleanly */
} vestry_memory_seen;

/** What has come so far: vestry_memory_look(page).status. */
VESTRY_API vestry_memory_seen vestry_memory_look(vestry_memory_exchange *exchange);
/** Value of the answer's header, name in any case; of several with that name the one at index, from 0. NULL: none, or
 *  no answer yet. Valid while the exchange lives. */
VESTRY_API const char *vestry_memory_header(vestry_memory_exchange *exchange, const char *name, size_t index);
/** What has come since it was last asked for by this function; the first time all. As
 *  vestry_memory_seen.received otherwise. */
VESTRY_API vestry_slice vestry_memory_since(vestry_memory_exchange *exchange);
/** Change how the far end behaves; going back to READS makes a blocked stream writable. */
VESTRY_API void vestry_memory_mode_set(vestry_memory_exchange *exchange, vestry_memory_mode mode);

#ifdef __cplusplus
}
#endif
#endif
