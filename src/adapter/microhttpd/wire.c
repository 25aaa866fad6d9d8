/* SPDX-License-Identifier: MIT */
/* essay: chunks that can be cut anywhere */
/* Chunks on a socket that may take any part of the bytes.
 *
 * All bytes of a write become one chunk (several, if there are more than CHUNK_MAX bytes), "SIZE CR LF data CR LF", and
 * one sendmsg: head and tail surround the caller's slices, and nothing is copied unless it is little. If the socket
 * takes only a part, the next write begins with the rest of that chunk, because its size is sent and cannot change any
 * more. The position of the cut is one number, chunk_done, because the head can be made again from chunk_len.
 *
 * The caller gets a number of data bytes, which does not include framing. Therefore the last byte of a chunk counts as
 * taken only when the tail is sent, too: the caller passes that byte again, and that call sends the tail. When all
 * bytes are taken, nothing is left to send, and a clean end can follow.
 *
 * With TLS, chunks are cut into records. If the socket does not take a record, gnutls keeps it, already encrypted, and
 * it must be sent before another record is made (gnutls_record_send with no data). Its bytes count as sent only
 * then. */
#include "adapter/microhttpd/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { HEAD_ROOM = 20, SLICES_MAX = 64, RECORD_BYTES = 16384, CHUNK_MAX = 1 << 20, LITTLE_BYTES = 2048 };

/* The parts of a chunk; without chunks head and tail are empty. */
typedef struct chunk {
  char head[HEAD_ROOM];
  size_t head_len, data_len, tail_len;
} chunk;

/* Write "SIZE CR LF", in hexadecimal. Returns its length. */
static size_t put_head(char head[HEAD_ROOM], uint32_t size) {
  size_t digits_count = 1, len;
  while (digits_count < 8 && size >> 4 * digits_count) digits_count++;
  len = digits_count;
  for (size_t i = digits_count; i-- > 0; size >>= 4) head[i] = "0123456789abcdef"[size & 15];
  head[len++] = '\r';
  head[len++] = '\n';
  return len;
}

static chunk chunk_of(const vsi_microhttpd_wire *wire) {
  chunk c = {.data_len = wire->chunk_len};
  if (wire->is_chunked) {
    c.head_len = put_head(c.head, wire->chunk_len);
    c.tail_len = 2;
  }
  return c;
}

/* Return the number of data bytes of the chunk that are sent, and the number that was reported to the caller. */
static size_t data_done(const chunk *c, size_t done) {
  size_t data = done > c->head_len ? done - c->head_len : 0;
  return data < c->data_len ? data : c->data_len;
}

static size_t data_told(const chunk *c, size_t done) {
  size_t data = data_done(c, done);
  return data == c->data_len && done < c->head_len + c->data_len + c->tail_len ? data - 1 : data;
}

/* The bytes of the caller that were not reported as taken. */
typedef struct offer {
  vestry_slice slices[SLICES_MAX];
  size_t first, count, left; /* left: bytes */
} offer;

static void pass(offer *rest, size_t len) {
  rest->left -= len;
  while (len) {
    vestry_slice *at = &rest->slices[rest->first];
    size_t part = at->len < len ? at->len : len;
    at->data = (const char *)at->data + part;
    at->len -= part;
    len -= part;
    if (!at->len) rest->first++;
  }
}

/* Get the rest of the chunk, as far as the offer contains it; the offer's first byte is data byte `told`. Returns the
 * number of vectors, at most SLICES_MAX + 2. */
static size_t rest_of(const vsi_microhttpd_wire *wire, const chunk *c, const offer *rest, size_t told,
                      struct iovec *vectors) {
  static const char tail[] = "\r\n";
  size_t done = wire->chunk_done, used = 0, data = data_done(c, done), skip = data - told;
  if (done < c->head_len) vectors[used++] = (struct iovec){(char *)(uintptr_t)c->head + done, c->head_len - done};
  for (size_t i = rest->first; i < rest->count && data < c->data_len; i++) {
    const vestry_slice *slice = &rest->slices[i];
    size_t skipped = skip < slice->len ? skip : slice->len, part = slice->len - skipped;
    if (part > c->data_len - data) part = c->data_len - data;
    if (part) vectors[used++] = (struct iovec){(char *)(uintptr_t)slice->data + skipped, part};
    skip -= skipped;
    data += part;
  }
  if (data == c->data_len && c->tail_len) {
    size_t behind = done > c->head_len + c->data_len ? done - c->head_len - c->data_len : 0;
    vectors[used++] = (struct iovec){(char *)(uintptr_t)tail + behind, c->tail_len - behind};
  }
  return used;
}

/* Copy the vectors if they are short, because that is faster than passing them to the kernel one by one. Returns 0 if
 * they are longer. */
static size_t gather(const struct iovec *vectors, size_t count, char little[LITTLE_BYTES]) {
  size_t len = 0;
  for (size_t i = 0; i < count; i++) {
    if (vectors[i].iov_len > LITTLE_BYTES - len) return 0;
    memcpy(little + len, vectors[i].iov_base, vectors[i].iov_len);
    len += vectors[i].iov_len;
  }
  return len;
}

static vestry_io send_plain(vsi_microhttpd_wire *wire, struct iovec *vectors, size_t count) {
  struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
  char little[LITTLE_BYTES];
  size_t little_len = gather(vectors, count, little);
  ssize_t sent;
  do
    sent = little_len ? send(wire->fd, little, little_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                      : sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    wire->chunk_done += (uint32_t)sent;
    return VESTRY_IO_OK;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return VESTRY_IO_WOULD_BLOCK;
  wire->error = (int16_t)errno;
  return errno == ENOMEM || errno == ENOBUFS ? VESTRY_IO_ERROR : VESTRY_IO_HANGUP;
}

/* Handle the result of gnutls for a record with len bytes of the chunk. */
static vestry_io take_record(vsi_microhttpd_wire *wire, ssize_t sent, size_t len) {
  if (sent > 0) {
    wire->chunk_done += (uint32_t)sent;
    wire->pending = 0;
    return VESTRY_IO_OK;
  }
  if (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED) {
    wire->pending = (uint16_t)len;
    return VESTRY_IO_WOULD_BLOCK;
  }
  wire->error = (int16_t)errno; /* gnutls passes the socket's errno on, unless it failed itself */
  return sent == GNUTLS_E_MEMORY_ERROR ? VESTRY_IO_ERROR : VESTRY_IO_HANGUP;
}

static vestry_io send_tls(vsi_microhttpd_wire *wire, const struct iovec *vectors, size_t count) {
  char record[RECORD_BYTES];
  size_t len = 0;
  for (size_t i = 0; i < count && len < sizeof record; i++) {
    size_t part = vectors[i].iov_len < sizeof record - len ? vectors[i].iov_len : sizeof record - len;
    memcpy(record + len, vectors[i].iov_base, part);
    len += part;
  }
  errno = 0;
  return take_record(wire, gnutls_record_send(wire->tls, record, len), len);
}

/* Try to send once: the pending record, or as much of the chunk as the socket takes. */
static vestry_io send_once(vsi_microhttpd_wire *wire, offer *rest) {
  if (!wire->chunk_len) {
    wire->chunk_len = rest->left < CHUNK_MAX ? (uint32_t)rest->left : CHUNK_MAX;
    wire->chunk_done = 0;
  }
  chunk c = chunk_of(wire);
  size_t told = data_told(&c, wire->chunk_done), whole = c.head_len + c.data_len + c.tail_len;
  vestry_io io;
  if (wire->pending) {
    errno = 0;
    io = take_record(wire, gnutls_record_send(wire->tls, NULL, 0), wire->pending);
  } else {
    struct iovec vectors[SLICES_MAX + 2];
    size_t count = rest_of(wire, &c, rest, told, vectors);
    io = wire->tls ? send_tls(wire, vectors, count) : send_plain(wire, vectors, count);
  }
  pass(rest, data_told(&c, wire->chunk_done) - told);
  /* If none of its bytes was taken, the chunk may be composed anew. */
  if (wire->chunk_done == whole || (!wire->chunk_done && !wire->pending)) wire->chunk_len = 0;
  return io;
}

vestry_io vsi_microhttpd_wire_write(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count,
                                    size_t *ret_written) {
  offer rest = {.count = count};
  if (count > SLICES_MAX) return VESTRY_IO_ERROR;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > SIZE_MAX / 2 - rest.left) return VESTRY_IO_ERROR;
    rest.left += slices[i].len;
    rest.slices[i] = slices[i];
  }
  size_t offered = rest.left;
  vestry_io io = VESTRY_IO_OK;
  while (rest.left && io == VESTRY_IO_OK) io = send_once(wire, &rest); /* until nothing is left, or no room */
  if (io == VESTRY_IO_WOULD_BLOCK) *ret_written = offered - rest.left;
  return io;
}

/* ----------------------------------------------------------------------------------------------------- the end ---- */

static const char final_chunk[] = "0\r\n\r\n";
enum { FINAL_BYTES = sizeof final_chunk - 1 };

void vsi_microhttpd_wire_finish(vsi_microhttpd_wire *wire) {
  wire->left = wire->is_chunked ? FINAL_BYTES : 0;
}

bool vsi_microhttpd_wire_flush(vsi_microhttpd_wire *wire) {
  if (!wire->left) return true;
  ssize_t sent;
  do sent = send(wire->fd, final_chunk + FINAL_BYTES - wire->left, wire->left, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return true; /* the peer is gone */
  if (sent > 0) wire->left = (uint8_t)(wire->left - sent);
  return !wire->left;
}
