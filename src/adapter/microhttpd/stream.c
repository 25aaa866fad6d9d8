/* SPDX-License-Identifier: MIT */
/* essay: a response whose socket vestry writes */
/* The transport of a stream: libmicrohttpd writes the head, vestry the following bytes.
 *
 * libmicrohttpd sends the head of a response of unknown length, and then calls a callback for content. At the first
 * call the head is sent, and vestry takes over the socket. From then on the connection's runner writes chunks to it
 * without waiting (wire.c), the watch detects room and ends (watch.c), and libmicrohttpd is not involved. The takeover
 * depends on the connection:
 *
 *   plain  the socket is handed over, and libmicrohttpd frees the connection
 *   TLS    libmicrohttpd keeps the connection, with the session in it, suspended until the stream ends
 *
 * The alternative is to pass the bytes through the callback: resume, get called, copy, get called again, suspend. Both
 * were built and measured (2 processors, 9,900 streams, 100 bytes):
 *
 *   a broadcast            7.9–8.3 µs of CPU a delivery if written directly, 8.5–9.1 µs through the callback
 *   one event, one stream  32 µs against 98 µs, including its request; 99th percentile 0.1 ms against 1.5 ms
 *
 * The callback is slow because libmicrohttpd looks at every suspended connection of the thread to find the connections
 * to resume, under a lock for which each resume waits. A stream that is handed over uses libmicrohttpd only at its
 * beginning, and its senders never use it.
 *
 * This design relies on three properties of libmicrohttpd; the contract tests fail with a version that lacks one:
 * - it does not touch a suspended connection;
 * - no part of the head stays in its memory;
 * - chunks need no state between them.
 *
 * The head has "Connection: close", and the connection is closed after the stream. If a page leaves a stream whose
 * connection could be reused, Chromium reads on for some seconds before it closes, and the stream keeps its place until
 * then. Nearly all streams end because their pages leave, so a reusable connection would gain little. (It is possible:
 * MHD_add_connection can return a socket to libmicrohttpd after the final chunk.)
 *
 * References: libmicrohttpd's response holds a reference to the vestry connection until it is freed, and the connection
 * releases its transport last. So the transport outlives the response. The place (in the gate, and in the watch's
 * table) is released where the socket is closed: after a handover at the stream's end, otherwise when the response is
 * freed. */
#include "adapter/microhttpd/adapter.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { UNSENT_BYTES = 128 << 10 };

/* ------------------------------------------------------------------------------------- the owner of the socket ---- */

/* essay: the thread that owns a stream's socket */
/* The owner of the socket (watch.h defines the states):
 *
 *                 reader                 end
 *        HEAD ------------------> OURS --------+---> closed (plain)
 *         |  \                                 |           reader
 *         |   \-------------> CLEAN/ABORTED <--+ (TLS) ------------> libmicrohttpd's
 *         |     end                                    end() does nothing in GONE
 *         +---> GONE
 *           freed, or the reader could not take it
 *
 * `reader` and `freed` run on libmicrohttpd's thread of the connection. `end` and writes run on any thread that runs
 * the vestry connection, one at a time. Therefore HEAD is left by a compare-and-swap: one side wins, and the other sees
 * the new state. Only `end` leaves OURS. The socket is used in OURS only.
 *
 * Other threads read from the socket of an open stream how many bytes its peer has not acknowledged. They do so in
 * OURS, under a lock that `end` takes before anything else, so that the descriptor cannot be reused meanwhile. */

/* Leave HEAD. Returns the state before; if it is not HEAD, another thread has left HEAD, and nothing is done. */
static uint8_t leave_head(vsi_microhttpd_stream *stream, uint8_t next) {
  uint8_t state = VSI_MICROHTTPD_HEAD;
  /* release: the other side sees the wire, or the verdict; acquire: this thread sees them */
  (void)atomic_compare_exchange_strong_explicit(&stream->state, &state, next, memory_order_acq_rel,
                                                memory_order_acquire);
  return state;
}

/* Take the socket: HEAD → OURS, and notify the connection. false: the stream has ended meanwhile. */
static bool take(vsi_microhttpd_stream *stream, bool is_watched) {
  if (leave_head(stream, VSI_MICROHTTPD_OURS) != VSI_MICROHTTPD_HEAD) return false;
  /* The stream may end from here on, on another thread; but its response is freed on this one. */
  if (is_watched)
    vestry_connection_writable(stream->connection);
  else
    vestry_connection_close(stream->connection, VESTRY_CAUSE_ERROR);
  return true;
}

/* Note that the socket cannot be taken: HEAD → GONE. */
static void lose(vsi_microhttpd_stream *stream, vestry_cause cause) {
  if (leave_head(stream, VSI_MICROHTTPD_GONE) == VSI_MICROHTTPD_HEAD)
    vestry_connection_close(stream->connection, cause);
}

/* Note the end of the vestry connection: HEAD → CLEAN or ABORTED. Returns whether the socket is OURS; then the caller
 * must close it, or return it to libmicrohttpd. */
static bool end_is_ours(vsi_microhttpd_stream *stream, bool clean) {
  vsi_spin_lock_take(&stream->asking, VSI_LOCK_MICROHTTPD_ASKING);
  stream->has_ended = true;
  vsi_spin_lock_give(&stream->asking);
  return leave_head(stream, clean ? VSI_MICROHTTPD_CLEAN : VSI_MICROHTTPD_ABORTED) == VSI_MICROHTTPD_OURS;
}

/* --------------------------------------------------------------------------------------------------- its place ---- */

/* The place of a stream: one of the streams that the gate admits, and an entry of the watch. Both are taken and
 * released together. OK | NO_MEMORY | LIMIT */
static vestry_err take_place(vsi_microhttpd *adapter, vsi_microhttpd_key *ret_key) {
  if (!vsi_web_gate_take_place(&adapter->gate)) {
    vsi_web_gate_log_full(&adapter->gate, adapter->host, "libmicrohttpd", "raise max_streams");
    return VESTRY_LIMIT;
  }
  vestry_err error = vsi_microhttpd_watch_reserve(&adapter->watch, ret_key);
  if (error) vsi_web_gate_give_place(&adapter->gate);
  return error;
}

/* Release a place. The caller must not use the adapter afterwards, because a thread that waits at its gate may free
 * it. */
static void give_place(vsi_microhttpd *adapter, vsi_microhttpd_key key) {
  vsi_microhttpd_watch_release(&adapter->watch, key);
  vsi_web_gate_give_place(&adapter->gate);
}

/* ------------------------------------------------------------------------------------------------ the handover ---- */

/* essay: taking a socket away from libmicrohttpd */
/* Handing the socket of a stream over from libmicrohttpd to vestry.
 *
 * libmicrohttpd has no call that gives a socket away, but documented calls can exchange it:
 *
 *   1  MHD_suspend_connection takes the descriptor out of its event loop;
 *   2  F_DUPFD creates a second descriptor of the socket, which vestry keeps;
 *   3  dup3 makes the first descriptor refer to a placeholder, a socket that is never connected, one for the adapter;
 *   4  after MHD_resume_connection the callback returns END_WITH_ERROR. libmicrohttpd shuts down and closes the
 *      placeholder's descriptor, and frees the connection's memory: 4.9 kB.
 *
 * The memory is freed at the next visit of the connection. In its epoll mode, libmicrohttpd visits a connection that
 * was closed by the callback only if it is the longest silent one, or has its own timeout. Therefore the connection
 * gets such a timeout; otherwise descriptor and memory would remain as long as any connection is idle.
 *
 * The peer notices nothing, and an idle stream uses only vestry's memory. Without the suspension, libmicrohttpd would
 * try to remove the placeholder from its epoll, which does not contain it, and would end the process because of this
 * error. If no second descriptor can be created, only this stream is closed.
 *
 * vestry ends the connection in the place of libmicrohttpd. A clean end is the final chunk, then the close; any other
 * end is only the close. If a socket is closed with unread bytes, the connection is reset, and sent data may be lost.
 * Therefore the bytes that have arrived are read and discarded first.
 *
 * If the peer reads slowly, there may be no room for the final chunk. Then the stream lingers (watch.c): its socket
 * stays in the watch. The stream keeps its place, and a reference to the vestry connection so that its memory
 * remains. */

static void put_down(vsi_microhttpd_stream *stream) {
  vsi_microhttpd *adapter = stream->adapter;
  int fd = stream->wire.fd;
  if (vsi_microhttpd_is_attached(adapter)) { /* its connections are not counted, so they cannot be bounded */
    shutdown(fd, SHUT_WR);
    (void)vsi_microhttpd_has_left(fd);
    close(fd);
  } else {
    vsi_microhttpd_sockets_linger(&adapter->sockets, fd, stream->address);
  }
  give_place(adapter, stream->key);
}

void vsi_microhttpd_stream_over(vsi_microhttpd_stream *stream) {
  vestry_connection *connection = stream->connection;
  put_down(stream);
  vestry_connection_unref(connection);
}

/* End a stream that is OURS. Afterwards only the watch uses it, if it lingers. */
static void end_plain(vsi_microhttpd_stream *stream, bool clean) {
  if (clean) vsi_microhttpd_wire_finish(&stream->wire);
  if (!vsi_microhttpd_wire_flush(&stream->wire)) {
    vestry_connection_ref(stream->connection);
    if (vsi_microhttpd_watch_linger(&stream->adapter->watch, stream)) return;
    vestry_connection_unref(stream->connection); /* the runner holds one */
  }
  vsi_microhttpd_watch_remove(&stream->adapter->watch, stream->key);
  put_down(stream);
}

static void no_descriptor(vsi_microhttpd_stream *stream) {
  vestry_reject(stream->adapter->v, VESTRY_REFUSAL_DESCRIPTORS);
  lose(stream, VESTRY_CAUSE_ERROR);
}

/* Take the socket, on libmicrohttpd's thread, when the head is sent and libmicrohttpd calls for content. Returns the
 * result for libmicrohttpd. */
static ssize_t hand_over(vsi_microhttpd_stream *stream) {
  static const int off = 0;
  vsi_microhttpd *adapter = stream->adapter;
  struct MHD_Connection *conn = stream->conn;
  int theirs = stream->wire.fd, own = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
  /* The callback closes this connection in every case below. The timeout makes libmicrohttpd visit the connection (see
   * above). */
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_TIMEOUT);
  MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT, info->connection_timeout + 1);
  if (own < 0) {
    no_descriptor(stream);
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  MHD_suspend_connection(conn);
  if (dup3(adapter->placeholder, theirs, O_CLOEXEC) < 0) {
    close(own);
    no_descriptor(stream);
    MHD_resume_connection(conn);
    return 0;
  }
  /* Without the cork the kernel sends the head, which it holds back for more bytes. */
  setsockopt(own, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
  stream->wire.fd = own;
  stream->address = (vsi_address){0}; /* shares its memory with stream->conn, which is no longer used */
  if (!vsi_microhttpd_is_attached(adapter)) {
    vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
    socket->is_handed_over = true;
    stream->address = socket->address;
  }
  bool is_watched = vsi_microhttpd_watch_add(&adapter->watch, stream->key, own);
  if (!take(stream, is_watched)) {
    /* No other thread uses the state now. */
    uint8_t verdict = atomic_load_explicit(&stream->state, memory_order_relaxed);
    atomic_store_explicit(&stream->state, VSI_MICROHTTPD_OURS, memory_order_relaxed);
    end_plain(stream, verdict == VSI_MICROHTTPD_CLEAN);
  }
  MHD_resume_connection(conn);
  return 0;
}

/* --------------------------------------------------------------------------------------------------------- TLS ---- */

/* Streams on TLS connections.
 *
 * A TLS session cannot be taken out of libmicrohttpd, so the connection stays there, suspended: libmicrohttpd neither
 * reads from its socket nor writes to it, no timeout runs, and it is not closed. From then on vestry writes records
 * through the session (MHD_CONNECTION_INFO_GNUTLS_SESSION). At the end the connection is resumed, and the callback,
 * called for the second and last time, returns the kind of end. After END_OF_STREAM libmicrohttpd sends the final chunk
 * and closes; after END_WITH_ERROR it closes without one. The connection of libmicrohttpd is alive when end() runs,
 * because it is suspended until end() resumes it.
 *
 * To find the connections to resume, libmicrohttpd looks at every suspended connection of the thread. */

/* Suspend a TLS connection (a plain one is handed over instead). Add the stream to the watch before the socket is OURS,
 * so that the first write can wait for room. Until then the watch can report only that the peer is gone. */
static ssize_t suspend(vsi_microhttpd_stream *stream) {
  static const int off = 0;
  vsi_microhttpd_watch *watch = &stream->adapter->watch;
  struct MHD_Connection *conn = stream->conn;
  setsockopt(stream->wire.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off); /* libmicrohttpd has corked it */
  MHD_suspend_connection(conn);
  bool is_watched = vsi_microhttpd_watch_add(watch, stream->key, stream->wire.fd);
  if (take(stream, is_watched)) return 0;
  vsi_microhttpd_watch_remove(watch, stream->key);
  MHD_resume_connection(conn);
  return 0;
}

/* End a stream that is OURS. */
static void end_tls(vsi_microhttpd_stream *stream, bool clean) {
  struct MHD_Connection *conn = stream->conn;
  vsi_microhttpd_watch_remove(&stream->adapter->watch, stream->key);
  /* release: pairs with the reader's load */
  atomic_store_explicit(&stream->state, clean ? VSI_MICROHTTPD_CLEAN : VSI_MICROHTTPD_ABORTED, memory_order_release);
  MHD_resume_connection(conn);
}

/* ------------------------------------------------------------------------ functions of the connection's runner ---- */

/* libmicrohttpd writes the head. */
static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

/* Act on the result of a write, and return it. */
static vestry_io after_write(vsi_microhttpd_stream *stream, vestry_io io) {
  if (io == VESTRY_IO_WOULD_BLOCK && !stream->asked_room) {
    stream->asked_room = true;
    vsi_microhttpd_watch_room(&stream->adapter->watch, stream->key);
  }
  /* The watch may not have found the reason yet; the first cause counts. */
  if (io == VESTRY_IO_HANGUP)
    vestry_connection_close(stream->connection, vsi_microhttpd_verdict(stream->wire.fd, stream->wire.error));
  return io;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  vsi_microhttpd_stream *stream = transport;
  /* acquire: pairs with leave_head */
  uint8_t state = atomic_load_explicit(&stream->state, memory_order_acquire);
  if (state == VSI_MICROHTTPD_HEAD) {
    *ret_written = 0;
    return VESTRY_IO_WOULD_BLOCK; /* the takeover reports room */
  }
  if (state != VSI_MICROHTTPD_OURS) return VESTRY_IO_HANGUP;
  return after_write(stream, vsi_microhttpd_wire_write(&stream->wire, slices, count, ret_written));
}

/* The socket stays open until the result is taken: only stream_end closes it. */
static size_t stream_compose(void *transport, const vestry_slice *slices, size_t count, void *buffer, size_t room,
                             int *ret_descriptor) {
  vsi_microhttpd_stream *stream = transport;
  /* acquire: pairs with leave_head */
  if (atomic_load_explicit(&stream->state, memory_order_acquire) != VSI_MICROHTTPD_OURS) return 0;
  *ret_descriptor = stream->wire.fd;
  return vsi_microhttpd_wire_compose(&stream->wire, slices, count, buffer, room);
}

static vestry_io stream_sent(void *transport, int result, size_t *ret_written) {
  vsi_microhttpd_stream *stream = transport;
  vestry_io io = after_write(stream, vsi_microhttpd_wire_sent(&stream->wire, result, ret_written));
  /* After a part, there may be room for more: the next write finds out. */
  if (io == VESTRY_IO_WOULD_BLOCK && result > 0) vestry_connection_writable(stream->connection);
  return io;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)cause;
  vsi_microhttpd_stream *stream = transport;
  if (!end_is_ours(stream, clean)) return;
  if (stream->wire.tls)
    end_tls(stream, clean);
  else
    end_plain(stream, clean);
}

static void stream_release(void *transport) {
  vsi_microhttpd_stream *stream = transport;
  const vestry_host *host = stream->host;
  if (!stream->is_begun) { /* it was given up before libmicrohttpd got it */
    MHD_destroy_response(stream->response);
    give_place(stream->adapter, stream->key);
  }
  vsi_free(host, stream);
}

/* Return the number of bytes that the peer has not acknowledged; of a UNIX socket, the memory of the bytes that the
 * peer has not read. -1: unknown. */
static int64_t stream_unacknowledged(void *transport) {
  vsi_microhttpd_stream *stream = transport;
  int bytes = -1;
  vsi_spin_lock_take(&stream->asking, VSI_LOCK_MICROHTTPD_ASKING);
  /* acquire: pairs with leave_head */
  bool is_ours = atomic_load_explicit(&stream->state, memory_order_acquire) == VSI_MICROHTTPD_OURS;
  if (is_ours && !stream->has_ended && ioctl(stream->wire.fd, SIOCOUTQ, &bytes) != 0) bytes = -1;
  vsi_spin_lock_give(&stream->asking);
  return bytes;
}

static const vestry_transport_ops stream_ops = {
    .open = stream_open,
    .write = stream_write,
    .end = stream_end,
    .release = stream_release,
    .wake = NULL, /* writes never block: the pool runs the connection */
    .name = "microhttpd",
    .unacknowledged = stream_unacknowledged,
    .compose = stream_compose,
    .sent = stream_sent,
};

/* ------------------------------------------------------------------------- functions on libmicrohttpd's thread ---- */

/* Set from END_WITH_ERROR until the response is freed. The line that libmicrohttpd logs about this end is not passed
 * on. */
static _Thread_local bool is_closing;

bool vsi_microhttpd_stream_is_closing(void) {
  return is_closing;
}

static ssize_t stream_read(void *cls, uint64_t position, char *buffer, size_t capacity) {
  (void)position, (void)buffer, (void)capacity;
  vsi_microhttpd_stream *stream = cls;
  ssize_t result = MHD_CONTENT_READER_END_WITH_ERROR; /* after a handover, libmicrohttpd's socket is the placeholder */
  const uint8_t state = atomic_load_explicit(&stream->state, memory_order_acquire); /* pairs with end */
  if (state == VSI_MICROHTTPD_HEAD) result = stream->wire.tls ? suspend(stream) : hand_over(stream);
  if (state == VSI_MICROHTTPD_CLEAN) result = MHD_CONTENT_READER_END_OF_STREAM;
  is_closing = result == MHD_CONTENT_READER_END_WITH_ERROR;
  return result;
}

/* Called when the response is over, or the connection was lost. */
static void stream_freed(void *cls) {
  vsi_microhttpd_stream *stream = cls;
  is_closing = false;
  if (!stream->is_begun) return; /* it was never begun: release frees it */
  vestry_connection *connection = stream->connection;
  lose(stream, VESTRY_CAUSE_HANGUP);
  /* acquire: as in end. A stream that was handed over keeps its place until its own end. */
  if (atomic_load_explicit(&stream->state, memory_order_acquire) != VSI_MICROHTTPD_OURS)
    give_place(stream->adapter, stream->key);
  vestry_connection_unref(connection);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

/* Set socket options. lost_ms is only for streams, because TCP_USER_TIMEOUT also ends a connection whose client only
 * pauses. The acceptor's connections have NODELAY and SNDBUF already. On a UNIX socket only SNDBUF has an effect.
 *
 * For a client that reads slowly, the kernel would take events until its buffer, which grows to megabytes, is full:
 * they are then too old when they arrive, and cannot be superseded any more. With NOTSENT_LOWAT, sendmsg takes no more
 * bytes while UNSENT_BYTES wait to be sent, and epoll reports room when half of them are sent. Bytes in flight do not
 * count, so it does not slow distant clients. */
static void tune(const vsi_microhttpd *adapter, int fd) {
  static const int on = 1, unsent_bytes = UNSENT_BYTES;
  const unsigned lost_ms = adapter->lost_ms;
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
  if (lost_ms) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
  if (!vsi_microhttpd_is_attached(adapter)) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (adapter->send_buffer_bytes)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &adapter->send_buffer_bytes, sizeof adapter->send_buffer_bytes);
}

static vsi_microhttpd_stream *create(const vsi_microhttpd_request *request, const vestry_response *head) {
  const vestry_host *host = request->adapter->host;
  vsi_microhttpd_stream *stream = vsi_calloc(host, 1, sizeof *stream);
  if (!stream) return NULL;
  /* Block size 1: the callback never provides content. */
  stream->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, stream_read, stream, stream_freed);
  if (!stream->response || vsi_microhttpd_add_headers(stream->response, head) ||
      MHD_add_response_header(stream->response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_NO) {
    if (stream->response) MHD_destroy_response(stream->response);
    vsi_free(host, stream);
    return NULL;
  }
  /* HTTP/1.0 has no chunks. With this option no version of libmicrohttpd announces chunks, and wire.c sends none. */
  if (!request->is_http11) MHD_set_response_options(stream->response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
  stream->host = host;
  stream->adapter = request->adapter;
  stream->conn = request->conn;
  stream->wire.is_chunked = request->is_http11;
  stream->wire.fd = request->socket->fd;
  stream->wire.tls = vsi_microhttpd_tls_of(request->conn);
  tune(request->adapter, stream->wire.fd);
  atomic_init(&stream->state, VSI_MICROHTTPD_HEAD);
  return stream;
}

/* Return whether a stream on this descriptor leaves enough of them to the program of an attached adapter. */
static bool has_descriptors(vsi_microhttpd *adapter, int fd) {
  const uint32_t most = vsi_microhttpd_descriptors_most();
  /* The kernel gives a new connection the lowest number that is free. */
  if (!most || fd < 0 || (uint32_t)fd < most) return true;
  vestry_reject(adapter->v, VESTRY_REFUSAL_DESCRIPTORS);
  vsi_log_repeated(
      adapter->host, &adapter->gate.full, 1, VESTRY_LOG_WARN,
      "libmicrohttpd: a stream got 503, because the process has used %d of its descriptors, and the others "
      "are kept for the program; raise RLIMIT_NOFILE (ulimit -n)",
      fd);
  return false;
}

vestry_err vsi_microhttpd_stream_open(vsi_microhttpd_request *request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport) {
  vsi_microhttpd *adapter = request->adapter;
  if (request->is_head) return VESTRY_UNSUPPORTED;
  if (vsi_microhttpd_is_attached(adapter) && !has_descriptors(adapter, request->socket->fd)) return VESTRY_LIMIT;
  vsi_microhttpd_key key;
  vestry_err error = take_place(adapter, &key);
  if (error) return error;
  request->stream = create(request, head);
  if (!request->stream) {
    give_place(adapter, key);
    return VESTRY_NO_MEMORY;
  }
  request->stream->key = key;
  request->stream_status = (unsigned)head->status;
  *ret_ops = &stream_ops;
  *ret_transport = request->stream;
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_stream_begin(vsi_microhttpd_request *request, vestry_connection *connection) {
  vsi_microhttpd_stream *stream = request->stream;
  vsi_microhttpd *adapter = request->adapter;
  struct MHD_Response *response = stream->response;
  stream->connection = connection;
  stream->is_begun = true;
  vsi_microhttpd_watch_name(&adapter->watch, stream->key, stream);
  /* If a stop did not find the stream, it has shut the gate before. */
  if (vsi_web_gate_is_shut(&adapter->gate)) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
  vsi_microhttpd_refused_queues(request);
  bool queued = MHD_queue_response(request->conn, request->stream_status, response) == MHD_YES;
  MHD_destroy_response(response); /* drops this reference; if it was not queued, stream_freed runs now */
  return queued ? VESTRY_OK : VESTRY_IO;
}
