/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces. */
#include "web/uploads_contract.h"

#include "civetweb/server.h"

int main(void) {
  return uploads_contract_run(&civetweb_seam);
}
