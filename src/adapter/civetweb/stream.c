/* SPDX-License-Identifier: MIT */
/* A stream occupies one worker of the server, which does all its writes and waits between them until it is woken.
 *
 * The server reuses the connection object for other clients after the handler has returned. So only the worker uses
 * `conn`, and clears it at the end of the stream. Other threads may only wake the stream: they post its semaphore. The
 * memory exists until the last reference to the vestry connection is dropped, which may be long after. */
#include <civetweb.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "adapter/civetweb/request.h"
#include "base/memory.h"

/* A run of events is sent as one chunk with one write. Small runs are assembled on the worker's stack, which is small,
 * too; a very large run is cut. CHUNK_HEAD: a size in hexadecimal, CR LF. */
enum { ON_STACK = 2048, PIECE_BYTES = 1 << 20, CHUNK_HEAD = 18, CHUNK_TAIL = 2 };

typedef struct vsi_civetweb_stream {
  const vestry_host *host;
  vsi_civetweb_entry entry;
  sem_t wakes; /* not settled by the worker yet */

  /* Of the worker. */
  struct mg_connection *conn; /* NULL: the stream has ended */
  uint64_t timeout_ns;        /* civetweb's timeout of a write */
  bool is_chunked;            /* otherwise the body ends when the connection closes */
  bool began;                 /* a part of the head may have been written */
  bool broken;                /* a write was incomplete */
  size_t head_len;
  char head[];
} vsi_civetweb_stream;

/* Write bytes. mg_write does not report why it wrote fewer: if the peer is gone, it fails at once; if the peer does not
 * read, it fails after the server's request_timeout_ms. */
static vestry_io write_bytes(vsi_civetweb_stream *stream, const char *data, size_t len) {
  uint64_t since = vsi_now_ns(stream->host);
  if (mg_write(stream->conn, data, len) == (int)len) return VESTRY_IO_OK;
  stream->broken = true;
  uint64_t passed = vsi_now_ns(stream->host) - since;
  return passed >= stream->timeout_ns ? VESTRY_IO_STALLED : VESTRY_IO_HANGUP;
}

static vestry_io stream_open(void *transport) {
  vsi_civetweb_stream *stream = transport;
  stream->began = true;
  return write_bytes(stream, stream->head, stream->head_len);
}

/* Write bytes at once, before and after which the buffer has room for CHUNK_HEAD and CHUNK_TAIL. */
static vestry_io write_piece(vsi_civetweb_stream *stream, char *data, size_t len) {
  if (!stream->is_chunked) return write_bytes(stream, data, len);
  char size[CHUNK_HEAD + 1];
  size_t size_len = (size_t)snprintf(size, sizeof size, "%zx\r\n", len);
  memcpy(data - size_len, size, size_len);
  memcpy(data + len, "\r\n", CHUNK_TAIL);
  return write_bytes(stream, data - size_len, size_len + len + CHUNK_TAIL);
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)ret_written; /* never WOULD_BLOCK */
  vsi_civetweb_stream *stream = transport;
  size_t left = 0, filled = 0;
  for (size_t i = 0; i < count; i++) left += slices[i].len;
  const size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
  char small[ON_STACK], *buffer = small;
  if (piece > sizeof small - CHUNK_HEAD - CHUNK_TAIL) {
    buffer = vsi_alloc(stream->host, piece + CHUNK_HEAD + CHUNK_TAIL);
    if (!buffer) return VESTRY_IO_ERROR;
  }
  vestry_io io = VESTRY_IO_OK;
  /* Without bytes no chunk is written, because an empty chunk would end the stream. */
  for (size_t i = 0, at = 0, part; left && io == VESTRY_IO_OK; left -= part) {
    part = slices[i].len - at < piece - filled ? slices[i].len - at : piece - filled;
    if (part) memcpy(buffer + CHUNK_HEAD + filled, (const char *)slices[i].data + at, part);
    filled += part;
    if (filled == piece || part == left) {
      io = write_piece(stream, buffer + CHUNK_HEAD, filled);
      filled = 0;
    }
    at += part;
    if (at == slices[i].len) {
      i++;
      at = 0;
    }
  }
  if (buffer != small) vsi_free(stream->host, buffer);
  return io;
}

/* End the stream. A clean end is the final chunk. An abort closes the connection without it, which browsers treat as a
 * failure, and they reconnect. A body that ends when the connection closes cannot show the difference.
 *
 * The connection is closed with the stream, as its head announces. If the connection were reusable, a browser that
 * leaves the stream would read on for seconds to reuse it, and close only then. */
static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)cause;
  static const char final_chunk[] = "0\r\n\r\n";
  vsi_civetweb_stream *stream = transport;
  if (clean && stream->began && !stream->broken && stream->is_chunked)
    write_bytes(stream, final_chunk, sizeof final_chunk - 1);
  if (stream->began) mg_disable_connection_keep_alive(stream->conn);
  stream->conn = NULL;
}

static void stream_release(void *transport) {
  vsi_civetweb_stream *stream = transport;
  sem_destroy(&stream->wakes);
  vsi_free(stream->host, stream);
}

static void stream_wake(void *transport) {
  sem_post(&((vsi_civetweb_stream *)transport)->wakes);
}

static void wait_for_wake(vsi_civetweb_stream *stream) {
  while (sem_wait(&stream->wakes)) continue; /* interrupted by a signal handler */
}

/* Return the value of the watch's last round, because the socket itself belongs to civetweb. */
static int64_t stream_unacknowledged(void *transport) {
  const vsi_civetweb_stream *stream = transport;
  return atomic_load_explicit(&stream->entry.unacked_bytes, memory_order_relaxed);
}

static const vestry_transport_ops stream_ops = {
    .open = stream_open,
    .write = stream_write,
    .end = stream_end,
    .release = stream_release,
    .wake = stream_wake,
    .name = "civetweb",
    .unacknowledged = stream_unacknowledged,
};

static vsi_civetweb_stream *create(const vsi_civetweb_request *request, const vestry_response *head) {
  const char *framing = request->is_http11 ? "Transfer-Encoding: chunked\r\n" : "";
  int64_t unix_s = (int64_t)time(NULL);
  size_t head_len = vsi_civetweb_head_format(NULL, 0, head, framing, false, unix_s);
  vsi_civetweb_stream *stream = vsi_calloc(request->adapter->host, 1, sizeof *stream + head_len + 1);
  if (!stream) return NULL;
  vsi_civetweb_head_format(stream->head, head_len + 1, head, framing, false, unix_s);
  stream->head_len = head_len;
  stream->host = request->adapter->host;
  stream->conn = request->conn;
  stream->timeout_ns = vsi_ms_to_ns(request->adapter->settings.request_timeout_ms);
  stream->is_chunked = request->is_http11;
  stream->entry.peer = request->peer;
  stream->entry.has_peer = request->has_peer;
  atomic_init(&stream->entry.unacked_bytes, -1);
  sem_init(&stream->wakes, 0, 0); /* cannot fail: the value is small */
  return stream;
}

vestry_err vsi_civetweb_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                             void **ret_transport) {
  vsi_civetweb_request *request = server_request;
  if (request->is_head) return VESTRY_UNSUPPORTED;
  if (!vsi_civetweb_take_place(request->adapter)) return VESTRY_LIMIT;
  request->holds_place = true; /* until the request is over, because it occupies the worker */
  vsi_civetweb_request_answers(request, 0);
  request->stream = create(request, head);
  if (!request->stream) return VESTRY_NO_MEMORY;
  *ret_ops = &stream_ops;
  *ret_transport = request->stream;
  return VESTRY_OK;
}

void vsi_civetweb_park(vsi_civetweb_request *request, vestry_connection *connection) {
  vsi_civetweb *adapter = request->adapter;
  vsi_civetweb_stream *stream = request->stream;
  stream->entry.connection = connection;
  request->status = 200;
  vsi_civetweb_watch_add(&adapter->watch, &stream->entry);
  /* A stop that did not find this entry has shut the gate before. */
  if (vsi_web_gate_is_shut(&adapter->gate)) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
  do wait_for_wake(stream);
  while (vestry_connection_run(connection) != VESTRY_STATE_CLOSED);
  vsi_civetweb_watch_remove(&adapter->watch, &stream->entry);
}
