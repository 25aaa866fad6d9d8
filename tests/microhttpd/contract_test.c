/* SPDX-License-Identifier: MIT */
/* The contract of adapters for libmicrohttpd, over real sockets, plain and with TLS: contract [SUITE]. Other suites run
 * the rest of it. */
#include <string.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "testing/contract/client.h"
#include "web/far.h"
#include "web/heads.h"

int main(int argc, char **argv) {
  const vestry_contract_adapter contract = microhttpd_contract();
  vsi_client_tls_ops_offered = &tls_client_ops;
  if (argc > 1 && strcmp(argv[1], "far") == 0) return far_run(&contract);
  if (argc > 1 && strcmp(argv[1], "heads") == 0) {
    const char *key, *certificate;
    tls_key_pair(&key, &certificate);
    return heads_run_tls(&vestry_server_microhttpd, &(vestry_server_options){.threads_count = 2}, key, certificate);
  }
  return (int)vestry_contract_run(&contract, argc > 1 ? argv[1] : "requests,readings,answers,uploads,resumed");
}
