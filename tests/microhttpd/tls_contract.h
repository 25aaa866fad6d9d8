/* SPDX-License-Identifier: MIT */
/* The cases of certificates, their renewal, and session tickets, for each adapter with TLS; and certificates for other
 * tests. */
#ifndef TESTS_MICROHTTPD_TLS_CONTRACT_H
#define TESTS_MICROHTTPD_TLS_CONTRACT_H

#include <gnutls/gnutls.h>
#include <stdint.h>

#include "microhttpd/tls.h"
#include "testing/contract/server.h"
#include "vestry/server.h"

enum { TLS_PEM_BYTES = 8192, TLS_LARGE_BYTES = 4 << 20 };

/* A key, and a certificate whose serial number tells it apart. */
typedef struct tls_pair {
  char key[TLS_PEM_BYTES], chain[TLS_PEM_BYTES];
} tls_pair;

/* names: ended by NULL. It is valid for some days from now on, which may be below 0. */
void tls_pair_make(tls_pair *made, uint8_t number, const char *const *names, int from_days, int until_days);

/* The options of a server, for both libraries. address and threads_count: as the adapter's tests set them */
typedef struct tls_contract_options {
  const char *key, *certificate;
  const char *const *pairs, *const *files;
} tls_contract_options;

typedef struct tls_contract_adapter {
  const char *create; /* the function that the log names */
  vestry_contract_adapter (*contract)(void);
  vestry_err (*start)(vestry *v, const tls_contract_options *options, vestry_server **ret_server);
  vestry_err (*renew)(vestry_server *server, const char *const *pairs);
  const vsi_client_tls_ops *ops;       /* of clients that trust tls_key_pair; those of HTTP/1.1 are used, too */
  const char *const *const *protocols; /* each ALPN with which clients get a certificate; ended by NULL */
  bool sends_first;                    /* with the first of them, the server sends bytes before it has a request */
} tls_contract_adapter;

/* Mount /large, whose response is TLS_LARGE_BYTES times the letter l. */
void tls_contract_mount_large(const vsi_server *s);
/* Run the cases. Returns the number of failed ones. */
int tls_contract_run(const tls_contract_adapter *adapter);

#endif
