/* SPDX-License-Identifier: MIT */
/* A client of HTTP/2 for the contract of adapters, whose cases speak HTTP/1.1: it sends their requests as streams, and
 * shows them the responses as HTTP/1.1. A reset is shown as the close of the connection. */
#ifndef TESTS_H2_CLIENT_H
#define TESTS_H2_CLIENT_H

#include "testing/contract/client.h"

/* For vsi_client_tls_ops_used: HTTP/2 by prior knowledge, and over TLS. */
extern const vsi_client_tls_ops h2_plain_ops, h2_tls_ops;

#endif
