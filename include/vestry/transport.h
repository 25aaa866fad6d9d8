/* SPDX-License-Identifier: MIT */
/** Transports: how a connection's bytes reach its peer. For authors of adapters.
 *
 *  A transport takes bytes until its end. It decides which thread runs its connection. If `wake` is NULL, threads of
 *  the runtime's pool write to it, and `write` must not block. If `wake` is set, the adapter has a thread for each
 *  stream, which calls vestry_connection_run after each `wake`, and may block in `write`.
 *
 *      static const vestry_transport_ops ops = {.open = head, .write = send_all, .end = end, .release = release}; */
#ifndef VESTRY_TRANSPORT_H
#define VESTRY_TRANSPORT_H

#include "vestry/connection.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Result of a write. */
typedef enum vestry_io {
  VESTRY_IO_OK,          /**< all bytes were taken */
  VESTRY_IO_WOULD_BLOCK, /**< *ret_written bytes were taken. When the transport can take more, the adapter calls
                              vestry_connection_writable, even if the write has not returned yet */
  VESTRY_IO_HANGUP,      /**< the peer is gone: the connection ends with cause HANGUP */
  VESTRY_IO_STALLED,     /**< the peer did not read for too long: it ends with cause STALLED */
  VESTRY_IO_ERROR        /**< any other error, also out of memory: it ends with cause ERROR */
} vestry_io;

/** Reason why bytes that a transport has taken are not sent yet. */
typedef enum vestry_wait {
  VESTRY_WAIT_NONE,              /**< no bytes wait, or they are sent next */
  VESTRY_WAIT_STREAM_WINDOW,     /**< the client does not read this stream: its flow-control window is used up */
  VESTRY_WAIT_CONNECTION_WINDOW, /**< the stream's share of the connection's window is used up, by unread bytes */
  VESTRY_WAIT_SOCKET             /**< the socket is full: the network, or the client's machine, takes nothing */
} vestry_wait;

/** The connection of HTTP/2 that carries a stream, and others beside it. */
typedef struct vestry_shared_connection {
  uint64_t id;                     /**< the id (vestry_connection_now.id) of the first stream that it has carried */
  uint32_t streams_count;          /**< streams and requests that it carries now */
  uint32_t unsent_bytes;           /**< bytes of this stream that the transport has taken and not sent */
  int64_t stream_window_bytes;     /**< bytes that the client allows for this stream now */
  int64_t connection_window_bytes; /**< bytes that the client allows for all of its streams together */
  vestry_wait waits_for;
} vestry_shared_connection;

/** Functions of a transport. They are called by the connection's runner only, one at a time, no lock held, unless
 *  stated otherwise. The first four are mandatory. */
typedef struct vestry_transport_ops {
  /** Write the head of the response and flush it. Called once, first, unless the connection ends before. May block only
   *  on a dedicated thread. WOULD_BLOCK counts as ERROR. */
  vestry_io (*open)(void *transport);
  /** Write bytes in order, as one flushed write where the protocol can. slices: 1 to 64. May block only on a dedicated
   *  thread. If the runtime has threads, it may be called on the thread of a request, inside vestry_serve.
   *  *ret_written is set on WOULD_BLOCK only. */
  vestry_io (*write)(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written);
  /** End the stream cleanly, or abort it: the last I/O, always exactly once. Not clean if open was never called or
   *  failed. The transport must not use objects of the server after it. */
  void (*end)(void *transport, bool clean, vestry_cause cause);
  /** Free the transport: the very last call, exactly once, after end. Called when the last reference to the connection
   *  is dropped, on any thread, possibly long after end. */
  void (*release)(void *transport);
  /** Cause a call of vestry_connection_run soon, for transports with a dedicated thread. Called on any thread, no lock
   *  held, must not block; may be called until release, and does nothing after end. NULL: the pool runs the
   *  connection. */
  void (*wake)(void *transport);
  /** Name of the adapter for display: "memory". Static; NULL: none is shown. */
  const char *name;
  /** Return how many bytes the peer's machine has not acknowledged yet, for display; below 0: unknown, or the stream
   *  has ended. Called on any thread, until release; must not block. NULL: always unknown. */
  int64_t (*unacknowledged)(void *transport);
  /** Compose a small write, which a thread of the pool sends later, together with those of other streams, if the
   *  runtime batches writes (vestry_runtime_options.io). Put the slices and their framing into buffer, at most `room`
   *  bytes, and the socket into *ret_descriptor; it must stay open, and no other function of the transport is called,
   *  until `sent` was called on the same thread. A descriptor below 0 means that vestry sends nothing, and that `sent`
   *  takes the bytes, which stay in buffer until then. With a descriptor, buffer may be overwritten at once. Must not
   *  block. NULL: each write is a call of `write`.
   *  Returns  the number of bytes to send; 0: not possible now, and `write` is called instead; more than room: nothing
   *           is sent, and the connection ends with cause ERROR */
  size_t (*compose)(void *transport, const vestry_slice *slices, size_t count, void *buffer, size_t room,
                    int *ret_descriptor);
  /** Take the result of a composed write: the number of sent bytes, at least 1, or the negative errno, as send(2) sets
   *  it for a socket that does not block. Returns the same as `write`; *ret_written counts bytes of the slices. Must
   *  not block. NULL only if compose is NULL. */
  vestry_io (*sent)(void *transport, int result, size_t *ret_written);
  /** Describe the connection that the stream shares with others, for display. Called on any thread, until release;
   *  may wait for a few writes of the connection. NULL: no connection of this adapter is shared.
   *  ret_shared  untouched on failure
   *  Returns  false: it is not known (any more) */
  bool (*shared)(void *transport, vestry_shared_connection *ret_shared);
} vestry_transport_ops;

/** Run a connection once on its dedicated thread: open it if it is new, write queued events, end it if it is to end.
 *  Returns  its state; after VESTRY_STATE_CLOSED the transport has ended and must not be used
 *  Threads  the dedicated one; blocks in the transport's functions; runs the hooks. Does nothing if the connection was
 *           not woken */
VESTRY_API vestry_connection_state vestry_connection_run(vestry_connection *connection);

/** Report that a transport can take more bytes after WOULD_BLOCK. Call it when there is room already, because the next
 *  write may come at once. Threads any, while a reference is held; does not block. */
VESTRY_API void vestry_connection_writable(vestry_connection *connection);

#ifdef __cplusplus
}
#endif
#endif
