/* SPDX-License-Identifier: MIT */
/* TLS of HTTP/2, and the decision which protocol a connection begins with. */
#include "adapter/h2/adapter.h"

gnutls_session_t vsi_h2_tls_begin(vsi_h2 *adapter, int fd) {
  static const char *const protocols[] = {"h2", NULL};
  gnutls_session_t session;
  if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) return NULL;
  if (!vsi_tls_secure(adapter->tls, session, protocols)) {
    gnutls_deinit(session);
    return NULL;
  }
  gnutls_handshake_set_timeout(session, GNUTLS_INDEFINITE_TIMEOUT); /* the deadline is that of the session */
  gnutls_transport_set_int(session, fd);
  return session;
}

/* --------------------------------------------------------------------------------------------- the first bytes ---- */

/* A part of a message that is read from its beginning. Reading beyond its end sets is_short. */
typedef struct reader {
  const uint8_t *at, *end;
  bool is_short;
} reader;

static size_t take_number(reader *from, size_t bytes) {
  size_t number = 0;
  if ((size_t)(from->end - from->at) < bytes) {
    from->is_short = true;
    return 0;
  }
  while (bytes--) number = number << 8 | *from->at++;
  return number;
}

/* Take a part whose length precedes it in this number of bytes. */
static reader take_part(reader *from, size_t length_bytes) {
  const size_t len = take_number(from, length_bytes);
  if ((size_t)(from->end - from->at) < len) from->is_short = true;
  if (from->is_short) return (reader){from->at, from->at, true};
  const uint8_t *begin = from->at;
  from->at += len;
  return (reader){begin, from->at, false};
}

static bool offers_h2(reader protocols) {
  while (protocols.at < protocols.end && !protocols.is_short) {
    const reader name = take_part(&protocols, 1);
    if (!name.is_short && name.end - name.at == 2 && memcmp(name.at, "h2", 2) == 0) return true;
  }
  return false;
}

enum { HANDSHAKE = 22, CLIENT_HELLO = 1, MESSAGE_HEAD = 4, FIXED = 34, ALPN = 16 };

/* Look for ALPN in the whole message. */
static vsi_h2_hello find_protocols(reader message) {
  (void)take_number(&message, 1);
  reader hello = take_part(&message, 3);
  (void)take_number(&hello, FIXED);
  (void)take_part(&hello, 1);
  (void)take_part(&hello, 2);
  (void)take_part(&hello, 1);
  reader extensions = take_part(&hello, 2);
  while (!extensions.is_short && extensions.at < extensions.end) {
    const size_t type = take_number(&extensions, 2);
    reader data = take_part(&extensions, 2);
    if (type == ALPN && !data.is_short) return offers_h2(take_part(&data, 2)) ? VSI_H2_HELLO_H2 : VSI_H2_HELLO_H1;
  }
  return VSI_H2_HELLO_H1;
}

/* A ClientHello (RFC 8446, 4.1.2; RFC 7301, 3.1), in one record or several (RFC 8446, 5.1), whose parts are joined at
 * the beginning of the bytes:
 *
 *   record      22, version (2), length (2)
 *   handshake   1, length (3), version (2), random (32), session id <1>, ciphers <2>, compression <1>, extensions <2>
 *   extension   type (2), data <2>; ALPN: 16, names <2>, each <1> */
static vsi_h2_hello read_client_hello(uint8_t *bytes, size_t len) {
  reader all = {bytes, bytes + len, false};
  size_t joined = 0, wanted = MESSAGE_HEAD;
  while (joined < wanted) {
    if (all.at == all.end) return VSI_H2_HELLO_PART;
    if (take_number(&all, 1) != HANDSHAKE) return VSI_H2_HELLO_H1;
    (void)take_number(&all, 2);
    const size_t announced = take_number(&all, 2), left = (size_t)(all.end - all.at);
    if (all.is_short) return VSI_H2_HELLO_PART;
    if (!announced) return VSI_H2_HELLO_H1; /* not permitted */
    const size_t part = announced < left ? announced : left;
    memmove(bytes + joined, all.at, part);
    all.at += part;
    joined += part;
    if (joined && *bytes != CLIENT_HELLO) return VSI_H2_HELLO_H1;
    if (joined >= MESSAGE_HEAD) wanted = MESSAGE_HEAD + (vsi_h2_number_at(bytes) & 0xffffff);
  }
  return find_protocols((reader){bytes, bytes + wanted, false});
}

vsi_h2_hello vsi_h2_hello_read(uint8_t *bytes, size_t len, bool is_tls) {
  if (is_tls) return read_client_hello(bytes, len);
  const size_t part = len < NGHTTP2_CLIENT_MAGIC_LEN ? len : NGHTTP2_CLIENT_MAGIC_LEN;
  if (memcmp(bytes, NGHTTP2_CLIENT_MAGIC, part) != 0) return VSI_H2_HELLO_H1;
  return part < NGHTTP2_CLIENT_MAGIC_LEN ? VSI_H2_HELLO_PART : VSI_H2_HELLO_H2;
}
