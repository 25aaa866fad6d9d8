/* SPDX-License-Identifier: MIT */
/* TLS for tests: a key and a certificate made on the spot, and clients that check it. */
#ifndef TESTS_MICROHTTPD_TLS_H
#define TESTS_MICROHTTPD_TLS_H

#include <gnutls/gnutls.h>

#include "web/client.h"

/* PEM texts, of this process; for 127.0.0.1 and localhost. */
void tls_key_pair(const char **ret_key, const char **ret_certificate);

/* A client's side over a connected socket; handshake done. NULL: it failed. */
gnutls_session_t tls_connect(int fd);

/* For client_tls_ops_used. */
extern const client_tls_ops tls_client_ops;

#endif
