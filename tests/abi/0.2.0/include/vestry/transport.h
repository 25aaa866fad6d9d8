/* SPDX-License-Identifier: MIT */
/** Transports: how a connection's bytes reach its peer. For those who write adapters.
 *
 *  A transport takes bytes until it is ended. The transport chooses which thread runs its connection: without `wake`
 *  the runtime's pool does, and `write` must not block; with `wake` a thread of the adapter's does (a parked one), by
 *  calling vestry_connection_run each time it was woken. */
#ifndef VESTRY_TRANSPORT_H
#define VESTRY_TRANSPORT_H

#include "vestry/connection.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What became of a write. */
typedef enum vestry_io {
  VESTRY_IO_OK,          /**< everything was taken */
  VESTRY_IO_WOULD_BLOCK, /**< *ret_written bytes were taken; when there is room again the adapter calls
                              vestry_connection_writable, even if the room came before this write returned */
  VESTRY_IO_HANGUP,      /**< the peer is gone: the connection closes for HANGUP */
  VESTRY_IO_STALLED,     /**< the peer did not read for too long: it closes for STALLED */
  VESTRY_IO_ERROR        /**< anything else, memory too: it closes for ERROR */
} vestry_io;

/** A stream's way to its peer. All members are called by the connection's runner only, one at a time, no lock held,
 *  except those that say so. Mandatory: the first four. */
typedef struct vestry_transport_ops {
  size_t size; /**< sizeof(vestry_transport_ops), or 0 */
  /** Write the head of the answer and flush it. Called once, first, unless the connection ends before. May block only
   * on a parked thread. */
  vestry_io (*open)(void *transport);
  /** Take these bytes, in order, as one flushed write where the protocol can. slices: 1 to 64. May block only on a
   *  parked thread. *ret_written is set on WOULD_BLOCK only. */
  vestry_io (*write)(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written);
  /** The last I/O, always exactly once: end the stream cleanly, or abort it. Not clean when open was never called or
   *  failed. Nothing of the server's may be touched after it. */
  void (*end)(void *transport, bool clean, vestry_cause cause);
  /** The very last call, exactly once, after end: free the transport. Made when the last reference to the connection is
   *  dropped, on any thread, which may be long after end. */
  void (*release)(void *transport);
  /** Parked transports only: see to it that vestry_connection_run is called soon. Any thread, no lock held, must not
   *  block; may be called until release, after end it has nothing to do. NULL: the pool runs the connection. */
  void (*wake)(void *transport);
  /** Of the adapter, for people: "memory". Static; NULL: none is said. */
  const char *name;
  /** For people who look at the stream: how many bytes the peer's machine has not acknowledged yet; below 0: that is
   *  not known, or the stream has ended. Any thread, until release; must not block. NULL: it is never known. */
  int64_t (*unacknowledged)(void *transport);
} vestry_transport_ops;

/** Run a parked connection once: open it if it is new, write what waits, end it if it is to end.
 *  Returns  its state; after VESTRY_STATE_CLOSED the transport has been ended and must not be used
 *  Threads  the parked one; blocks in the transport's members; runs the hooks. Nothing happens when it was not woken */
VESTRY_API vestry_connection_state vestry_connection_run(vestry_connection *connection);

/** There is room again after WOULD_BLOCK. Make the room first, then call: the write that follows must find it. Threads
 *  any, while a reference is held; does not block. */
VESTRY_API void vestry_connection_writable(vestry_connection *connection);

#ifdef __cplusplus
}
#endif
#endif
