/* SPDX-License-Identifier: MIT */
/* essay: chunks cut anywhere */
/* Chunks on a socket that takes what it likes.
 *
 * All that is to be written becomes one chunk (several, if it is more than CHUNK_MAX bytes), "SIZE CR LF data CR LF",
 * and one sendmsg of it: the head and the tail stand around the caller's slices, and nothing is copied, unless it is
 * little. When the socket takes only a part, the rest of that chunk goes first next time; its size is on the wire and
 * cannot be changed any more. Where it was cut is one number, chunk_done, as the head can be made again from chunk_len.
 *
 * What the caller is told is a count of data bytes, and framing has none. So the last byte of a chunk counts as taken
 * only when the tail is on the wire too: the caller offers that byte again, and the tail is sent by that call. When
 * everything was taken, nothing is left to do, and a clean end can follow.
 *
 * With TLS, chunks are cut into records. A record that the socket does not take stays with gnutls, encrypted already,
 * and has to be pushed before another one is made (gnutls_record_send with no data). Its bytes are on the wire only
 * then. */
#include "adapter/microhttpd/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { HEAD_ROOM = 20, SLICES_MAX = 64, RECORD_BYTES = 16384, CHUNK_MAX = 1 << 20, LITTLE_BYTES = 2048 };

/* What a chunk is made of; without chunks head and tail are empty. */
typedef struct chunk {
  char head[HEAD_ROOM];
  size_t head_len, data_len, tail_len;
} chunk;

/* "SIZE CR LF", in hex. Returns its length. */
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

/* How many data bytes of the chunk are on the wire, and how many the caller knows of. */
static size_t data_done(const chunk *c, size_t done) {
  size_t data = done > c->head_len ? done - c->head_len : 0;
  return data < c->data_len ? data : c->data_len;
}

static size_t data_told(const chunk *c, size_t done) {
  size_t data = data_done(c, done);
  return data == c->data_len && done < c->head_len + c->data_len + c->tail_len ? data - 1 : data;
}

/* What the caller offers and has not been told of as taken. */
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

/* The rest of the chunk as far as the offer reaches, whose first byte is data byte `told`.
 * Returns the number of vectors, at most SLICES_MAX + 2. */
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

/* Little is quicker copied here than described to the kernel, piece by piece. Returns 0 if it is more than that. */
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

/* The outcome of gnutls for a record of so many bytes of the chunk. */
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
  wire->error = (int16_t)errno; /* gnutls passes the socket's on, unless the failure was its own */
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

/* One attempt: the record that waits, or as much as the socket takes of the chunk. */
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
  /* A chunk that nothing was taken of may still become another one. */
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

/* ---- the end ----------------------------------------------------------------------------------------------------- */

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
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return true; /* no peer is there */
  if (sent > 0) wire->left = (uint8_t)(wire->left - sent);
  return !wire->left;
}
