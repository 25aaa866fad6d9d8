/* SPDX-License-Identifier: MIT */
/* Heads of today's clients, at the default limits and above; plain and with TLS. */
#include "microhttpd/tls.h"
#include "vestry/microhttpd.h"
#include "web/client.h"
#include "web/heads_contract.h"

int main(void) {
  int failed = heads_contract_run(&vestry_server_microhttpd, &(vestry_server_options){.threads_count = 2});
  vestry_server_options secure = {.threads_count = 2};
  tls_key_pair(&secure.tls_key, &secure.tls_certificate);
  client_tls_ops_used = &tls_client_ops;
  return failed + heads_contract_run(&vestry_server_microhttpd, &secure);
}
