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

/* For client_tls_ops_used. */
extern const vsi_client_tls_ops tls_client_ops;

#endif
