/* SPDX-License-Identifier: MIT */
/* TLS for tests: a generated key and certificate, and clients that verify it. */
#ifndef TESTS_MICROHTTPD_TLS_H
#define TESTS_MICROHTTPD_TLS_H

#include <gnutls/gnutls.h>

#include "testing/contract/client.h"

/* PEM texts of this process, for 127.0.0.1 and localhost. */
void tls_key_pair(const char **ret_key, const char **ret_certificate);

/* Create the client's side over a connected socket, with the handshake done. NULL: it failed. */
gnutls_session_t tls_connect(int fd);
/* The same, with this protocol as ALPN, which the server must select; NULL: none. */
gnutls_session_t tls_connect_as(int fd, const char *protocol);

/* A client that trusts every certificate. All members may be NULL. */
typedef struct tls_hello {
  const char *name;                /* that it requests (SNI) */
  const char *const *protocols;    /* of its ALPN, ended by NULL */
  const char *priorities;          /* of GnuTLS */
  gnutls_handshake_hook_func hook; /* called for each ClientHello */
  const gnutls_datum_t *ticket;    /* of a session to resume (gnutls_session_get_data2); data NULL: none */
  size_t record_bytes;             /* of the server's records (RFC 8449); 0: any number */
  size_t hello_bytes;              /* of the records that its ClientHello is cut into; 0: one record */
} tls_hello;

/* Shake hands over a connected socket. Returns 0, or the error of GnuTLS. ret_session: to be ended in both cases */
int tls_shake(int fd, const tls_hello *hello, gnutls_session_t *ret_session);
/* Connect, and do the same. */
int tls_reach(uint16_t port, const tls_hello *hello, gnutls_session_t *ret_session);
/* Close, without a farewell of TLS. */
void tls_end(gnutls_session_t session);

/* For client_tls_ops_used. */
extern const vsi_client_tls_ops tls_client_ops;

#endif
