/* SPDX-License-Identifier: MIT */
/* essay: chunks that can be cut anywhere */
/* Chunks on a socket that may take any part of the bytes.
 *
 * All bytes of a write become one chunk (several, if there are more than CHUNK_MAX bytes), "SIZE CR LF data CR LF", and
 * one sendmsg: head and tail surround the caller's slices, and only short parts are copied. If the socket takes only a
 * part, the next write begins with the rest of that chunk, because its size is sent and cannot change any more. The
 * position of the cut is one number, chunk_done, because the head can be made again from chunk_len:
 *
 *   "1a" CR LF   26 bytes of data   CR LF      chunk_len is 26, and the whole chunk has 32 bytes.
 *   head         data               tail       chunk_done counts the sent bytes of all three parts.
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

#include "base/hex.h"

enum { HEAD_ROOM = 20, SLICES_MAX = 64, RECORD_BYTES = 16384, CHUNK_MAX = 1 << 20, LITTLE_BYTES = 2048 };
static const char line_end[] = "\r\n", final_chunk[] = "0\r\n\r\n";
enum { FINAL_BYTES = sizeof final_chunk - 1 };

/* Bytes in several places; those before `first` were passed over. */
typedef struct parts {
  size_t first, count, len; /* len: bytes of all that are left */
  struct iovec all[SLICES_MAX + 2];
} parts;

static void add(parts *to, const void *data, size_t len) {
  to->all[to->count++] = (struct iovec){(void *)(uintptr_t)data, len};
  to->len += len;
}

static void pass(parts *from, size_t len) {
  from->len -= len;
  while (len) {
    struct iovec *at = &from->all[from->first];
    const size_t part = at->iov_len < len ? at->iov_len : len;
    at->iov_base = (char *)at->iov_base + part;
    at->iov_len -= part;
    len -= part;
    if (!at->iov_len) from->first++;
  }
}

/* The lengths of a chunk's parts; without chunks head and tail are empty. */
typedef struct chunk {
  size_t head_len, data_len, tail_len, whole;
} chunk;

static chunk chunk_of(const vsi_microhttpd_wire *wire) {
  chunk c = {.data_len = wire->chunk_len};
  if (wire->is_chunked) {
    const int bits = 32 - __builtin_clz(wire->chunk_len | 1);
    c.head_len = ((size_t)bits + 3) / 4 + sizeof line_end - 1; /* four bits in a digit */
    c.tail_len = sizeof line_end - 1;
  }
  c.whole = c.head_len + c.data_len + c.tail_len;
  return c;
}

/* Write the head, by hand: printf takes a fiftieth of a delivery. */
static void put_head(const chunk *c, char *to) {
  if (!c->head_len) return;
  size_t at = c->head_len;
  to[--at] = '\n';
  to[--at] = '\r';
  for (size_t rest = c->data_len; at; rest >>= 4) to[--at] = vsi_hex_of((unsigned)rest);
}

/* Return the number of data bytes of a chunk that were reported as taken, when `done` of its bytes are sent. */
static size_t data_told(const chunk *c, size_t done) {
  const size_t data = done > c->head_len ? done - c->head_len : 0;
  if (data < c->data_len) return data;
  return done < c->whole ? c->data_len - 1 : c->data_len;
}

/* Get the rest of a chunk, as far as the caller's bytes contain it; their first is data byte `told`. head: for the
 * chunk's head. */
static void get_rest(const chunk *c, const parts *offer, size_t told, size_t done, char head[HEAD_ROOM], parts *rest) {
  size_t left = c->data_len - told;
  rest->first = rest->count = rest->len = 0;
  put_head(c, head);
  add(rest, head, c->head_len);
  for (size_t i = offer->first; i < offer->count && left; i++) {
    const size_t part = offer->all[i].iov_len < left ? offer->all[i].iov_len : left;
    add(rest, offer->all[i].iov_base, part);
    left -= part;
  }
  if (!left) add(rest, line_end, c->tail_len);
  pass(rest, done - told);
}

/* Copy up to `room` bytes. Returns their number. */
static size_t gather(const parts *from, char *to, size_t room) {
  size_t len = 0;
  for (size_t i = from->first; i < from->count && len < room; i++) {
    const size_t left = room - len, part = from->all[i].iov_len < left ? from->all[i].iov_len : left;
    memcpy(to + len, from->all[i].iov_base, part);
    len += part;
  }
  return len;
}

/* Note the errno. lacks_memory: the peer may still be there. */
static vestry_io fail(vsi_microhttpd_wire *wire, int error, bool lacks_memory) {
  wire->error = (int16_t)error;
  return lacks_memory ? VESTRY_IO_ERROR : VESTRY_IO_HANGUP;
}

/* Take the result of a send: the number of bytes, or the negative errno. */
static vestry_io take_result(vsi_microhttpd_wire *wire, ssize_t result) {
  if (result == -EAGAIN || result == -EWOULDBLOCK) return VESTRY_IO_WOULD_BLOCK;
  if (result < 0) return fail(wire, (int)-result, result == -ENOMEM || result == -ENOBUFS);
  wire->chunk_done += (uint32_t)result;
  return VESTRY_IO_OK;
}

/* Short parts are copied, because that is faster than passing them to the kernel one by one. */
static vestry_io send_plain(vsi_microhttpd_wire *wire, parts *rest) {
  struct msghdr message = {.msg_iov = rest->all + rest->first, .msg_iovlen = rest->count - rest->first};
  char little[LITTLE_BYTES];
  const size_t len = rest->len <= sizeof little ? gather(rest, little, sizeof little) : 0;
  ssize_t sent;
  do
    sent = len ? send(wire->fd, little, len, MSG_NOSIGNAL | MSG_DONTWAIT)
               : sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return take_result(wire, sent < 0 ? -errno : sent);
}

/* Send a record, or the pending one, which gnutls holds (rest: NULL). gnutls passes the socket's errno on, unless it
 * failed itself. */
static vestry_io send_tls(vsi_microhttpd_wire *wire, const parts *rest) {
  char record[RECORD_BYTES];
  const size_t len = rest ? gather(rest, record, sizeof record) : wire->pending;
  errno = 0;
  const ssize_t sent = gnutls_record_send(wire->tls, rest ? record : NULL, rest ? len : 0);
  const bool blocks = sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED;
  if (sent > 0) wire->chunk_done += (uint32_t)sent;
  if (sent > 0 || blocks) wire->pending = blocks ? (uint16_t)len : 0;
  if (blocks) return VESTRY_IO_WOULD_BLOCK;
  return sent > 0 ? VESTRY_IO_OK : fail(wire, errno, sent == GNUTLS_E_MEMORY_ERROR);
}

/* Try to send once: the pending record, or as much of the chunk as the socket takes. offer: the caller's bytes that
 * were not reported as taken. */
static vestry_io send_once(vsi_microhttpd_wire *wire, parts *offer) {
  if (!wire->chunk_len) {
    wire->chunk_len = offer->len < CHUNK_MAX ? (uint32_t)offer->len : CHUNK_MAX;
    wire->chunk_done = 0;
  }
  const chunk c = chunk_of(wire);
  const size_t told = data_told(&c, wire->chunk_done);
  vestry_io io;
  if (wire->pending) {
    io = send_tls(wire, NULL);
  } else {
    parts rest;
    char head[HEAD_ROOM];
    get_rest(&c, offer, told, wire->chunk_done, head, &rest);
    io = wire->tls ? send_tls(wire, &rest) : send_plain(wire, &rest);
  }
  pass(offer, data_told(&c, wire->chunk_done) - told);
  /* If none of its bytes was taken, the chunk may be composed anew. */
  if (wire->chunk_done == c.whole || (!wire->chunk_done && !wire->pending)) wire->chunk_len = 0;
  return io;
}

vestry_io vsi_microhttpd_wire_write(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count,
                                    size_t *ret_written) {
  parts offer = {.count = 0};
  if (count > SLICES_MAX) return VESTRY_IO_ERROR;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > SIZE_MAX / 2 - offer.len) return VESTRY_IO_ERROR;
    add(&offer, slices[i].data, slices[i].len);
  }
  const size_t offered = offer.len;
  vestry_io io = VESTRY_IO_OK;
  while (offer.len && io == VESTRY_IO_OK) io = send_once(wire, &offer); /* until nothing is left, or no room */
  if (io == VESTRY_IO_WOULD_BLOCK) *ret_written = offered - offer.len;
  return io;
}

size_t vsi_microhttpd_wire_compose(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count, void *buffer,
                                   size_t room) {
  size_t len = 0;
  if (wire->tls || wire->chunk_len) return 0;
  for (size_t i = 0; i < count; i++) {
    if (slices[i].len > room - len) return 0;
    len += slices[i].len;
  }
  wire->chunk_len = (uint32_t)len;
  wire->chunk_done = 0;
  const chunk c = chunk_of(wire);
  if (c.whole > room) {
    wire->chunk_len = 0;
    return 0;
  }
  char *to = buffer;
  put_head(&c, to);
  to += c.head_len;
  for (size_t i = 0; i < count; to += slices[i++].len) memcpy(to, slices[i].data, slices[i].len);
  if (c.tail_len) memcpy(to, line_end, sizeof line_end - 1);
  return c.whole;
}

vestry_io vsi_microhttpd_wire_sent(vsi_microhttpd_wire *wire, int result, size_t *ret_written) {
  const chunk c = chunk_of(wire);
  vestry_io io = take_result(wire, result);
  if (wire->chunk_done == c.whole) {
    wire->chunk_len = 0;
    return io;
  }
  *ret_written = data_told(&c, wire->chunk_done);
  if (!wire->chunk_done) wire->chunk_len = 0;
  return io == VESTRY_IO_OK ? VESTRY_IO_WOULD_BLOCK : io;
}

/* ----------------------------------------------------------------------------------------------------- the end ---- */

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
