/* SPDX-License-Identifier: MIT */
/* The limit of heads of a server that vestry starts. */
#ifndef TESTS_WEB_HEADS_H
#define TESTS_WEB_HEADS_H

#include "vestry/server.h"

/* Run the suite `heads` of the contract of adapters, and check the limit's bounds. options: without TLS. Returns the
 * number of failed tests. */
int heads_run(const vestry_server_adapter *adapter, const vestry_server_options *options);
/* The same for a server that can also use TLS, with this key and certificate. */
int heads_run_tls(const vestry_server_adapter *adapter, const vestry_server_options *options, const char *key,
                  const char *certificate);

#endif
