/* SPDX-License-Identifier: MIT */
/* Heads of today's clients, at the default limits and above; plain and with TLS. */
#include "microhttpd/tls.h"
#include "testing/contract/client.h"
#include "vestry/microhttpd.h"
#include "web/heads.h"

int main(void) {
  const char *key, *certificate;
  tls_key_pair(&key, &certificate);
  vsi_client_tls_ops_offered = &tls_client_ops;
  return heads_run_tls(&vestry_server_microhttpd, &(vestry_server_options){.threads_count = 2}, key, certificate);
}
