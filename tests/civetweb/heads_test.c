/* SPDX-License-Identifier: MIT */
/* Heads of today's clients, at the defaults and beyond. */
#include "vestry/civetweb.h"
#include "web/heads_contract.h"

int main(void) {
  return heads_contract_run(&vestry_server_civetweb, &(vestry_server_options){.threads_count = 16});
}
