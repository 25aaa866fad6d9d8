/* SPDX-License-Identifier: MIT */
/* essay: an answer whose socket vestry writes */
/* The transport of a stream: libmicrohttpd's head, vestry's bytes.
 *
 * libmicrohttpd sends the head of an answer whose length is not known, and then asks a callback for content. When it
 * asks for the first time the head is out, and the socket becomes vestry's: from then on the connection's runner writes
 * chunks to it (wire.c) without waiting, the watch sees room and ends (watch.c), and libmicrohttpd has nothing to do
 * with it. How it becomes vestry's depends on the connection:
 *
 *   plain  the socket is handed over, and libmicrohttpd forgets it (handover.c)
 *   TLS    libmicrohttpd keeps the connection, with the session in it, suspended until the stream ends (suspended.c)
 *
 * The other way is to hand the bytes over to the callback, each time anew: resume, be asked, copy, be asked again, be
 * suspended. Both were built and measured (2 processors, 9,900 streams, 100 bytes). A broadcast takes 7.9–8.3 µs of CPU
 * a delivery written directly and 8.5–9.1 µs through the callback. But one event to one stream, its request included,
 * takes 32 against 98 µs, and 0.1 against 1.5 ms in one of a hundred cases: to find which are to be resumed,
 * libmicrohttpd looks at every suspended connection of the thread, under a lock that each resume waits for. Handed
 * over, a stream meets libmicrohttpd once in its life, and senders never do.
 *
 * What this rests on, and what the contract's tests would notice if another libmicrohttpd did it differently: it leaves
 * a suspended connection alone; nothing of the head stays in its memory; chunks need no state between them.
 *
 * The head says "Connection: close", and so it is done: nothing follows a stream. Chromium reads on for some seconds
 * when a page leaves an answer whose connection it could use again, and only then closes; the place of the stream is
 * taken until then. Streams end because their pages go, hardly ever cleanly, so there is little to be reused. (It could
 * be: a socket can be given back to libmicrohttpd after the final chunk, MHD_add_connection.)
 *
 * References: libmicrohttpd's answer holds one to the vestry connection until it is freed, and the connection releases
 * its transport last. So the transport outlives the answer. The place (in the gate, and in the watch's table) is given
 * back where the socket is closed: handed over, its end; otherwise the freeing of the answer. */
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

/* ---- what the connection's runner does --------------------------------------------------------------------------- */

/* The head is libmicrohttpd's to write. */
static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  vsi_microhttpd_stream *stream = transport;
  /* acquire pairs with taken and lost */
  uint8_t state = atomic_load_explicit(&stream->state, memory_order_acquire);
  if (state == VSI_MICROHTTPD_HEAD) {
    *ret_written = 0;
    return VESTRY_IO_WOULD_BLOCK; /* when it is taken over it is told that there is room */
  }
  if (state != VSI_MICROHTTPD_OURS) return VESTRY_IO_HANGUP;
  vestry_io io = vsi_microhttpd_wire_write(&stream->wire, slices, count, ret_written);
  if (io == VESTRY_IO_WOULD_BLOCK && !stream->asked_room) {
    stream->asked_room = true;
    vsi_microhttpd_watch_room(&stream->adapter->watch, stream->key);
  }
  /* The watch may not have seen yet why; the first cause counts. */
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
  if (!stream->is_begun) { /* it was given up, and libmicrohttpd has never heard of it */
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

/* ---- what libmicrohttpd's thread does ---------------------------------------------------------------------------- */

/* On the way from END_WITH_ERROR to the freeing of its answer: libmicrohttpd writes a line about it. */
static _Thread_local bool is_closing;

bool vsi_microhttpd_transport_is_closing(void) {
  return is_closing;
}

static ssize_t stream_read(void *cls, uint64_t position, char *buffer, size_t capacity) {
  (void)position, (void)buffer, (void)capacity;
  vsi_microhttpd_stream *stream = cls;
  ssize_t told = MHD_CONTENT_READER_END_WITH_ERROR;
  switch (atomic_load_explicit(&stream->state, memory_order_acquire)) { /* pairs with end */
  case VSI_MICROHTTPD_HEAD:
    told = stream->wire.tls ? vsi_microhttpd_suspended_take(stream) : vsi_microhttpd_handover_take(stream);
    break;
  case VSI_MICROHTTPD_CLEAN: told = MHD_CONTENT_READER_END_OF_STREAM; break;
  case VSI_MICROHTTPD_OURS: break; /* it was handed over: what libmicrohttpd has is no stream's */
  default: break;
  }
  is_closing = told == MHD_CONTENT_READER_END_WITH_ERROR;
  return told;
}

/* The answer is over, or the connection was lost. */
static void stream_freed(void *cls) {
  vsi_microhttpd_stream *stream = cls;
  is_closing = false;
  if (!stream->is_begun) return; /* it was never begun: release does it */
  vestry_connection *connection = stream->connection;
  vsi_microhttpd_stream_lost(stream, VESTRY_CAUSE_HANGUP);
  /* acquire: as in end. One that was handed over has its place until its own end. */
  if (atomic_load_explicit(&stream->state, memory_order_acquire) != VSI_MICROHTTPD_OURS)
    vsi_microhttpd_place_give(stream->adapter, stream->key);
  vestry_connection_unref(connection);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* lost_ms is of streams alone: TCP_USER_TIMEOUT also ends a connection whose client merely pauses. The rest the door's
 * connections have already. On a UNIX socket it means nothing. */
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
  /* The block is for content that the callback gives, which is none. */
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
  /* So that libmicrohttpd and wire.c agree, whatever versions there are. */
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
  /* A stop that does not find us there has shut the gate before. */
  if (vsi_web_gate_is_shut(&adapter->gate)) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
  vsi_microhttpd_refused_queues(request);
  bool queued = MHD_queue_response(request->conn, request->stream_status, response) == MHD_YES;
  MHD_destroy_response(response); /* of ours; if it was not queued this frees it, and stream_freed runs */
  return queued ? VESTRY_OK : VESTRY_IO;
}
