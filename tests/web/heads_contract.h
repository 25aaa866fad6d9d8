/* SPDX-License-Identifier: MIT */
/* Heads that browsers, phones, proxies and sign-on systems send, with the defaults of README's ten-line server and
 * above them: each request gets exactly one well-formed answer. */
#ifndef TESTS_WEB_HEADS_CONTRACT_H
#define TESTS_WEB_HEADS_CONTRACT_H

#include "vestry/server.h"

/* options: for example a key and a certificate; clients are configured for them (client_tls_ops_used,
 * client_path_used). Returns the number of failed tests. */
int heads_contract_run(const vestry_server_adapter *adapter, const vestry_server_options *options);

#endif
