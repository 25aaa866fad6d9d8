/* SPDX-License-Identifier: MIT */
/* Bodies that come in pieces. */
#include "web/uploads_contract.h"

#include "microhttpd/server.h"

int main(void) {
  return uploads_contract_run(&microhttpd_seam);
}
