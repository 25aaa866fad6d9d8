/* SPDX-License-Identifier: MIT */
/* essay: an answer whose socket vestry writes */
/* The transport of a stream: libmicrohttpd writes the head, vestry the following bytes.
 *
 * libmicrohttpd sends the head of an answer of unknown length, and then calls a callback for content. At the first call
 * the head is sent, and vestry takes over the socket. From then on the connection's runner writes chunks to it without
 * waiting (wire.c), the watch detects room and ends (watch.c), and libmicrohttpd is not involved. The takeover depends
 * on the connection:
 *
 *   plain  the socket is handed over, and libmicrohttpd frees the connection (handover.c)
 *   TLS    libmicrohttpd keeps the connection, with the session in it, suspended until the stream ends (suspended.c)
 *
 * The alternative is to pass the bytes through the callback: resume, get called, copy, get called again, suspend. Both
 * were built and measured (2 processors, 9,900 streams, 100 bytes):
 *
 *   a broadcast            7.9–8.3 µs of CPU a delivery if written directly, 8.5–9.1 µs through the callback
 *   one event, one stream  32 µs against 98 µs, its request included; in one of a hundred cases 0.1 ms against 1.5 ms
 *
 * The callback is slow because libmicrohttpd, to find the connections to resume, looks at every suspended connection of
 * the thread, under a lock for which each resume waits. After a handover, a stream uses libmicrohttpd once in its life,
 * and senders never do.
 *
 * This design relies on three properties of libmicrohttpd, which the contract's tests would find broken in another
 * version: it does not touch a suspended connection; no part of the head stays in its memory; chunks need no state
 * between them.
 *
 * The head has "Connection: close", and the connection is closed after the stream. When a page leaves an answer whose
 * connection could be reused, Chromium reads on for some seconds and closes only then, and the stream keeps its place
 * until then. Streams end because their pages leave, hardly ever cleanly, so a reusable connection would gain little.
 * (It is possible: MHD_add_connection can return a socket to libmicrohttpd after the final chunk.)
 *
 * References: libmicrohttpd's answer holds a reference to the vestry connection until it is freed, and the connection
 * releases its transport last. So the transport outlives the answer. The place (in the gate, and in the watch's table)
 * is released where the socket is closed: after a handover at the stream's end, otherwise when the answer is freed. */
#include "adapter/microhttpd/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "adapter/microhttpd/answer.h"
#include "adapter/microhttpd/handover.h"
#include "adapter/microhttpd/place.h"
#include "adapter/microhttpd/refused.h"
#include "adapter/microhttpd/stream.h"
#include "adapter/microhttpd/suspended.h"
#include "adapter/microhttpd/verdict.h"
#include "base/memory.h"

/* ------------------------------------------------------------------------ functions of the connection's runner ---- */

/* libmicrohttpd writes the head. */
static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  vsi_microhttpd_stream *stream = transport;
  /* acquire: pairs with taken and lost */
  uint8_t state = atomic_load_explicit(&stream->state, memory_order_acquire);
  if (state == VSI_MICROHTTPD_HEAD) {
    *ret_written = 0;
    return VESTRY_IO_WOULD_BLOCK; /* the takeover reports room */
  }
  if (state != VSI_MICROHTTPD_OURS) return VESTRY_IO_HANGUP;
  vestry_io io = vsi_microhttpd_wire_write(&stream->wire, slices, count, ret_written);
  if (io == VESTRY_IO_WOULD_BLOCK && !stream->asked_room) {
    stream->asked_room = true;
    vsi_microhttpd_watch_room(&stream->adapter->watch, stream->key);
  }
  /* The watch may not have found the reason yet; the first cause counts. */
  if (io == VESTRY_IO_HANGUP)
    vestry_connection_close(stream->connection, vsi_microhttpd_verdict(stream->wire.fd, stream->wire.error));
  return io;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)cause;
  vsi_microhttpd_stream *stream = transport;
  if (!vsi_microhttpd_stream_ended(stream, clean)) return;
  if (stream->wire.tls)
    vsi_microhttpd_suspended_end(stream, clean);
  else
    vsi_microhttpd_handover_end(stream, clean);
}

static void stream_release(void *transport) {
  vsi_microhttpd_stream *stream = transport;
  const vestry_host *host = stream->host;
  if (!stream->is_begun) { /* it was given up before libmicrohttpd got it */
    MHD_destroy_response(stream->response);
    vsi_microhttpd_place_give(stream->adapter, stream->key);
  }
  vsi_free(host, stream);
}

static int64_t stream_unacknowledged(void *transport) {
  return vsi_microhttpd_stream_unacknowledged(transport);
}

static const vestry_transport_ops stream_ops = {
    .size = sizeof(vestry_transport_ops),
    .open = stream_open,
    .write = stream_write,
    .end = stream_end,
    .release = stream_release,
    .wake = NULL, /* writes never block: the pool runs the connection */
    .name = "microhttpd",
    .unacknowledged = stream_unacknowledged,
};

/* ------------------------------------------------------------------------- functions on libmicrohttpd's thread ---- */

/* Set from END_WITH_ERROR until the answer is freed, because libmicrohttpd logs a line about it. */
static _Thread_local bool is_closing;

bool vsi_microhttpd_transport_is_closing(void) {
  return is_closing;
}

static ssize_t stream_read(void *cls, uint64_t position, char *buffer, size_t capacity) {
  (void)position, (void)buffer, (void)capacity;
  vsi_microhttpd_stream *stream = cls;
  ssize_t result = MHD_CONTENT_READER_END_WITH_ERROR;
  switch (atomic_load_explicit(&stream->state, memory_order_acquire)) { /* pairs with end */
  case VSI_MICROHTTPD_HEAD:
    result = stream->wire.tls ? vsi_microhttpd_suspended_take(stream) : vsi_microhttpd_handover_take(stream);
    break;
  case VSI_MICROHTTPD_CLEAN: result = MHD_CONTENT_READER_END_OF_STREAM; break;
  case VSI_MICROHTTPD_OURS: break; /* handed over: libmicrohttpd's socket is the placeholder */
  default: break;
  }
  is_closing = result == MHD_CONTENT_READER_END_WITH_ERROR;
  return result;
}

/* Called when the answer is over, or the connection was lost. */
static void stream_freed(void *cls) {
  vsi_microhttpd_stream *stream = cls;
  is_closing = false;
  if (!stream->is_begun) return; /* it was never begun: release frees it */
  vestry_connection *connection = stream->connection;
  vsi_microhttpd_stream_lost(stream, VESTRY_CAUSE_HANGUP);
  /* acquire: as in end. A stream that was handed over keeps its place until its own end. */
  if (atomic_load_explicit(&stream->state, memory_order_acquire) != VSI_MICROHTTPD_OURS)
    vsi_microhttpd_place_give(stream->adapter, stream->key);
  vestry_connection_unref(connection);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

/* Set socket options. lost_ms is only for streams, because TCP_USER_TIMEOUT also ends a connection whose client only
 * pauses; on a UNIX socket it has no effect. The acceptor's connections have the other options already. */
static void tune(const vsi_microhttpd *adapter, int fd) {
  static const int on = 1;
  const unsigned lost_ms = adapter->lost_ms;
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
  if (stream->response && (vsi_microhttpd_add_headers(stream->response, head) ||
                           MHD_add_response_header(stream->response, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_NO)) {
    MHD_destroy_response(stream->response);
    stream->response = NULL;
  }
  if (!stream->response) {
    vsi_free(host, stream);
    return NULL;
  }
  /* So that libmicrohttpd and wire.c agree about chunks in every version. */
  if (!request->is_http11) MHD_set_response_options(stream->response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
  stream->host = host;
  stream->adapter = request->adapter;
  stream->conn = request->conn;
  stream->wire.is_chunked = request->is_http11;
  stream->wire.fd = MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  const union MHD_ConnectionInfo *tls = MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  if (tls) stream->wire.tls = tls->tls_session;
  tune(request->adapter, stream->wire.fd);
  atomic_init(&stream->state, VSI_MICROHTTPD_HEAD);
  return stream;
}

vestry_err vsi_microhttpd_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  vsi_microhttpd_request *request = server_request;
  vsi_microhttpd *adapter = request->adapter;
  if (request->is_head) return VESTRY_UNSUPPORTED;
  vsi_microhttpd_key key;
  vestry_err error = vsi_microhttpd_place_take(adapter, &key);
  if (error) return error;
  request->stream = create(request, head);
  if (!request->stream) {
    vsi_microhttpd_place_give(adapter, key);
    return VESTRY_NO_MEMORY;
  }
  request->stream->key = key;
  request->stream_status = (unsigned)head->status;
  *ret_ops = &stream_ops;
  *ret_transport = request->stream;
  return VESTRY_OK;
}

vestry_err vsi_microhttpd_transport_begin(vsi_microhttpd_request *request, vestry_connection *connection) {
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
