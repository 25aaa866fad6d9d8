/* SPDX-License-Identifier: MIT */
/* An HTTP/2 server with vestry on its own port. */
#ifndef TESTS_H2_SERVER_H
#define TESTS_H2_SERVER_H

#include "support/patience.h"
#include "testing/contract/check.h"
#include "testing/contract/server.h"
#include "vestry/h2.h"

typedef struct server_settings {
  vestry_h2_options adapter; /* address NULL: 127.0.0.1; threads_count 0: 2 */
  bool is_tls;               /* with its own key and certificate; clients use TLS as well */
  vestry_options options;    /* all but the host */
} server_settings;

/* settings: NULL: the defaults. */
void server_start(vsi_server *s, const server_settings *settings);

/* Connect a socket. */
int server_connect(const vsi_server *s);

/* Advance the server's clock by a deadline, again and again, until the socket has bytes or its end. */
void server_wait_late(int fd, uint64_t deadline_ms);

/* The contract, with clients of HTTP/2; and with clients of HTTP/1.1 on the same port. */
vestry_contract_adapter h2_contract(void);
vestry_contract_adapter h2_http1_contract(void);

#endif
