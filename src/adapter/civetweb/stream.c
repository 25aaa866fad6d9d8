/* SPDX-License-Identifier: MIT */
/* A stream occupies one worker of the server, which does all its writes and waits between them until it is woken.
 *
 * The server reuses the connection object for other clients after the handler has returned. So only the worker uses
 * `conn`, and clears it at the end of the stream. Other threads may only wake the stream: they set a flag and signal
 * the condition. The memory exists until the last reference to the vestry connection is dropped, which may be long
 * after. */
#include "adapter/civetweb/stream.h"

#include <civetweb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "adapter/civetweb/answer.h"
#include "base/memory.h"

/* A run of events is sent as one chunk with one write. Small runs are assembled on the worker's stack, which is small,
 * too; a very large run is cut. CHUNK_HEAD: a size in hexadecimal, CR LF. */
enum { ON_STACK = 2048, PIECE_BYTES = 1 << 20, CHUNK_HEAD = 18, CHUNK_TAIL = 2 };

struct vsi_civetweb_stream {
  const vestry_host *host;
  vsi_civetweb_entry entry;

  /* Of the worker. */
  struct mg_connection *conn; /* NULL: the stream has ended */
  uint64_t timeout_ns;        /* civetweb's timeout of a write */
  char *head;                 /* until it is written */
  size_t head_len;
  bool is_chunked; /* otherwise the body ends when the connection closes */
  bool began;      /* a part of the head may have been written */
  bool broken;     /* a write was incomplete */

  vsi_mutex lock; /* innermost */
  pthread_cond_t woken;
  bool is_woken; /* guarded by lock */
};

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
  vestry_io io = write_bytes(stream, stream->head, stream->head_len);
  vsi_free(stream->host, stream->head);
  stream->head = NULL;
  return io;
}

/* Position of the next byte in a list of slices. */
typedef struct cursor {
  const vestry_slice *slice;
  size_t offset;
} cursor;

static void take(cursor *from, char *to, size_t len) {
  while (len) {
    size_t left = from->slice->len - from->offset, part = left < len ? left : len;
    if (part) memcpy(to, (const char *)from->slice->data + from->offset, part);
    to += part;
    len -= part;
    from->offset += part;
    if (from->offset == from->slice->len) {
      from->slice++;
      from->offset = 0;
    }
  }
}

/* Write the next len bytes of a list at once. buffer: room for them, CHUNK_HEAD and CHUNK_TAIL. */
static vestry_io write_piece(vsi_civetweb_stream *stream, cursor *from, size_t len, char *buffer) {
  char *data = buffer + CHUNK_HEAD, *begin = data, *end = data + len;
  take(from, data, len);
  if (stream->is_chunked) {
    char size[CHUNK_HEAD + 1];
    int size_len = snprintf(size, sizeof size, "%zx\r\n", len);
    begin = data - size_len; /* directly before the data */
    memcpy(begin, size, (size_t)size_len);
    memcpy(end, "\r\n", CHUNK_TAIL);
    end += CHUNK_TAIL;
  }
  return write_bytes(stream, begin, (size_t)(end - begin));
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)ret_written; /* never WOULD_BLOCK */
  vsi_civetweb_stream *stream = transport;
  size_t left = 0;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > SIZE_MAX - left) return VESTRY_IO_ERROR;
    left += slices[i].len;
  }
  size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
  char small[ON_STACK], *buffer = small;
  if (piece > sizeof small - CHUNK_HEAD - CHUNK_TAIL) {
    buffer = vsi_alloc(stream->host, piece + CHUNK_HEAD + CHUNK_TAIL);
    if (!buffer) return VESTRY_IO_ERROR;
  }
  cursor from = {slices, 0};
  vestry_io io = VESTRY_IO_OK;
  /* Without bytes no chunk is written, because an empty chunk would end the stream. */
  for (; left && io == VESTRY_IO_OK; left -= piece) {
    if (piece > left) piece = left;
    io = write_piece(stream, &from, piece, buffer);
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
  pthread_cond_destroy(&stream->woken);
  vsi_mutex_finish(&stream->lock);
  vsi_free(stream->host, stream->head);
  vsi_free(stream->host, stream);
}

static void stream_wake(void *transport) {
  vsi_civetweb_stream *stream = transport;
  vsi_mutex_lock(&stream->lock);
  stream->is_woken = true;
  pthread_cond_signal(&stream->woken);
  vsi_mutex_unlock(&stream->lock);
}

static void wait_for_wake(vsi_civetweb_stream *stream) {
  vsi_mutex_lock(&stream->lock);
  while (!stream->is_woken) vsi_mutex_wait(&stream->lock, &stream->woken);
  stream->is_woken = false;
  vsi_mutex_unlock(&stream->lock);
}

/* Return the value of the watch's last round, because the socket itself belongs to civetweb. */
static int64_t stream_unacknowledged(void *transport) {
  const vsi_civetweb_stream *stream = transport;
  return atomic_load_explicit(&stream->entry.unacked_bytes, memory_order_relaxed);
}

static const vestry_transport_ops stream_ops = {
    .size = sizeof(vestry_transport_ops),
    .open = stream_open,
    .write = stream_write,
    .end = stream_end,
    .release = stream_release,
    .wake = stream_wake,
    .name = "civetweb",
    .unacknowledged = stream_unacknowledged,
};

static vsi_civetweb_stream *create(const vsi_civetweb_request *request, const vestry_response *head) {
  const vestry_host *host = request->adapter->host;
  vsi_civetweb_framing framing = request->is_http11 ? VSI_CIVETWEB_CHUNKED : VSI_CIVETWEB_UNTIL_CLOSE;
  int64_t unix_s = vsi_civetweb_unix_s();
  vsi_civetweb_stream *stream = vsi_calloc(host, 1, sizeof *stream);
  if (!stream) return NULL;
  stream->head_len = vsi_civetweb_head_format(NULL, 0, head, framing, false, unix_s);
  stream->head = vsi_calloc(host, 1, stream->head_len + 1);
  if (!stream->head) {
    vsi_free(host, stream);
    return NULL;
  }
  vsi_civetweb_head_format(stream->head, stream->head_len + 1, head, framing, false, unix_s);
  stream->host = host;
  stream->conn = request->conn;
  stream->timeout_ns = vsi_ms_to_ns(request->adapter->settings.request_timeout_ms);
  stream->is_chunked = request->is_http11;
  atomic_init(&stream->entry.unacked_bytes, -1);
  vsi_mutex_init(&stream->lock, VSI_LOCK_CIVETWEB_STREAM);
  pthread_cond_init(&stream->woken, NULL);
  return stream;
}

vestry_err vsi_civetweb_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                             void **ret_transport) {
  vsi_civetweb_request *request = server_request;
  if (request->is_head) return VESTRY_UNSUPPORTED;
  if (!vsi_civetweb_neighbours_take_place(&request->adapter->neighbour)) return VESTRY_LIMIT;
  request->holds_place = true; /* until the request is over, because it occupies the worker */
  vsi_civetweb_request_answering(request);
  request->stream = create(request, head);
  if (!request->stream) return VESTRY_NO_MEMORY;
  *ret_ops = &stream_ops;
  *ret_transport = request->stream;
  return VESTRY_OK;
}

void vsi_civetweb_park(vsi_civetweb_request *request, vestry_connection *connection) {
  vsi_civetweb *adapter = request->adapter;
  vsi_civetweb_stream *stream = request->stream;
  const struct mg_request_info *info = request->info;
  stream->entry.connection = connection;
  stream->entry.has_peer =
      vsi_civetweb_peer_parse(info->remote_addr, info->remote_port, info->server_port, &stream->entry.peer);
  request->status = 200;
  vsi_civetweb_dedicated_add(&adapter->dedicated, &stream->entry);
  /* A stop that did not find this entry has shut the gate before. */
  if (vsi_web_gate_is_shut(&adapter->gate)) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
  do wait_for_wake(stream);
  while (vestry_connection_run(connection) != VESTRY_STATE_CLOSED);
  vsi_civetweb_dedicated_remove(&adapter->dedicated, &stream->entry);
}
