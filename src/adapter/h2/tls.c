/* SPDX-License-Identifier: MIT */
/* TLS of HTTP/2, and the decision which protocol a connection begins with. */
#include "adapter/h2/adapter.h"

#include "base/log.h"

/* TLS 1.3, and the ciphers of TLS 1.2 that HTTP/2 permits (RFC 9113, 9.2.2). X25519 comes first, because browsers send
 * a key share for it, and for no other group that GnuTLS has: otherwise each handshake needs another round trip. */
#define PRIORITY                                                                                                       \
  "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"  \
  "+CHACHA20-POLY1305:-MAC-ALL:+AEAD:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                      \
  "+GROUP-SECP521R1:%SERVER_PRECEDENCE"

#define DAY_NS UINT64_C(86400000000000)

/* Certificates are never freed while the adapter exists, because sessions refer to them. */
typedef struct vsi_h2_certificates {
  gnutls_certificate_credentials_t credentials;
  struct vsi_h2_certificates *next;
} vsi_h2_certificates;

static gnutls_datum_t datum_of(const char *text) {
  return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

static void free_certificates(const vestry_host *host, vsi_h2_certificates *certificates) {
  if (certificates->credentials) gnutls_certificate_free_credentials(certificates->credentials);
  vsi_free(host, certificates);
}

/* Read pairs: OK | NO_MEMORY | IO (logged) */
static vestry_err read_pairs(const vestry_host *host, const char *function, const char *const *pairs,
                             vsi_h2_certificates **ret_certificates) {
  vsi_h2_certificates *made = vsi_calloc(host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  int error = gnutls_certificate_allocate_credentials(&made->credentials);
  for (size_t i = 0; error >= 0 && pairs[i]; i += 2) {
    const gnutls_datum_t key = datum_of(pairs[i]), certificate = datum_of(pairs[i + 1] ? pairs[i + 1] : "");
    error = gnutls_certificate_set_x509_key_mem(made->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (error < 0)
      vsi_log(host, VESTRY_LOG_ERROR,
              "%s: the key and the certificate of pair %zu cannot be used: %s; both must be texts in PEM that belong "
              "together",
              function, i / 2 + 1, gnutls_strerror(error));
  }
  if (error >= 0) {
    *ret_certificates = made;
    return VESTRY_OK;
  }
  free_certificates(host, made);
  return error == GNUTLS_E_MEMORY_ERROR ? VESTRY_NO_MEMORY : VESTRY_IO;
}

vestry_err vsi_h2_tls_init(vsi_h2 *adapter, const char *const *pairs) {
  if (gnutls_priority_init(&adapter->priority, PRIORITY, NULL) ||
      gnutls_session_ticket_key_generate(&adapter->ticket_key))
    return VESTRY_NO_MEMORY;
  adapter->ticket_ns = vsi_now_ns(adapter->host);
  adapter->is_tls = true;
  return read_pairs(adapter->host, "vestry_h2_create", pairs, &adapter->latest);
}

void vsi_h2_tls_finish(vsi_h2 *adapter) {
  for (vsi_h2_certificates *at = adapter->latest, *next; at; at = next) {
    next = at->next;
    free_certificates(adapter->host, at);
  }
  if (adapter->priority) gnutls_priority_deinit(adapter->priority);
  if (adapter->ticket_key.data) gnutls_memset(adapter->ticket_key.data, 0, adapter->ticket_key.size);
  gnutls_free(adapter->ticket_key.data);
}

vestry_err vsi_h2_tls_renew(vsi_h2 *adapter, const char *const *pairs) {
  vsi_h2_certificates *made;
  const vestry_err error = read_pairs(adapter->host, "vestry_h2_renew", pairs, &made);
  if (error) return error;
  vsi_mutex_lock(&adapter->tls_lock);
  made->next = adapter->latest;
  adapter->latest = made;
  vsi_mutex_unlock(&adapter->tls_lock);
  return VESTRY_OK;
}

/* GnuTLS derives keys for tickets from this one, and changes them every few hours. It is replaced once a day, so that a
 * later thief of this process's memory cannot read older sessions. */
static void renew_ticket_key_locked(vsi_h2 *adapter) {
  gnutls_datum_t made;
  const uint64_t now_ns = vsi_now_ns(adapter->host);
  if (now_ns - adapter->ticket_ns < DAY_NS || gnutls_session_ticket_key_generate(&made)) return;
  gnutls_memset(adapter->ticket_key.data, 0, adapter->ticket_key.size);
  gnutls_free(adapter->ticket_key.data);
  adapter->ticket_key = made;
  adapter->ticket_ns = now_ns;
}

/* Give a session the latest certificates, and a key for tickets. */
static bool secure(vsi_h2 *adapter, gnutls_session_t session) {
  vsi_mutex_lock(&adapter->tls_lock);
  renew_ticket_key_locked(adapter);
  const bool is_secure = !gnutls_priority_set(session, adapter->priority) &&
                         !gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, adapter->latest->credentials) &&
                         !gnutls_session_ticket_enable_server(session, &adapter->ticket_key);
  vsi_mutex_unlock(&adapter->tls_lock);
  return is_secure;
}

/* A session of HTTP/1.1 keeps what libmicrohttpd has given it if there is no memory for more. */
void vsi_h2_tls_secure(void *adapter, gnutls_session_t session) {
  (void)secure(adapter, session);
}

gnutls_session_t vsi_h2_tls_begin(vsi_h2 *adapter, int fd) {
  const gnutls_datum_t protocol = datum_of("h2");
  gnutls_session_t session;
  if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) return NULL;
  if (!secure(adapter, session) || gnutls_alpn_set_protocols(session, &protocol, 1, GNUTLS_ALPN_MANDATORY)) {
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

/* A ClientHello (RFC 8446, 4.1.2; RFC 7301, 3.1) in one record:
 *
 *   record      22, version (2), length (2)
 *   handshake   1, length (3), version (2), random (32), session id <1>, ciphers <2>, compression <1>, extensions <2>
 *   extension   type (2), data <2>; ALPN: 16, names <2>, each <1> */
static vsi_h2_hello read_client_hello(const uint8_t *bytes, size_t len) {
  enum { HANDSHAKE = 22, CLIENT_HELLO = 1, FIXED = 34, ALPN = 16 };
  reader all = {bytes, bytes + len, false};
  if (take_number(&all, 1) != HANDSHAKE && len) return VSI_H2_HELLO_H1;
  (void)take_number(&all, 2);
  reader record = take_part(&all, 2);
  if (record.is_short) return VSI_H2_HELLO_PART;
  if (take_number(&record, 1) != CLIENT_HELLO) return VSI_H2_HELLO_H1;
  reader hello = take_part(&record, 3);
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

vsi_h2_hello vsi_h2_hello_read(const uint8_t *bytes, size_t len, bool is_tls) {
  if (is_tls) return read_client_hello(bytes, len);
  const size_t part = len < NGHTTP2_CLIENT_MAGIC_LEN ? len : NGHTTP2_CLIENT_MAGIC_LEN;
  if (memcmp(bytes, NGHTTP2_CLIENT_MAGIC, part) != 0) return VSI_H2_HELLO_H1;
  return part < NGHTTP2_CLIENT_MAGIC_LEN ? VSI_H2_HELLO_PART : VSI_H2_HELLO_H2;
}
