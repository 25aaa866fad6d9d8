/* SPDX-License-Identifier: MIT */
/* The heads that browsers, phones, proxies and sign-on systems send, at the defaults of README's ten-line server and
 * beyond: each request gets exactly one well-formed answer. */
#ifndef TESTS_WEB_HEADS_CONTRACT_H
#define TESTS_WEB_HEADS_CONTRACT_H

#include "vestry/server.h"

/* options: a key and certificate, say; clients are set up for them (client_tls_ops_used, client_path_used). Returns how
 * many tests failed. */
int heads_contract_run(const vestry_server_adapter *adapter, const vestry_server_options *options);

#endif
