/* SPDX-License-Identifier: MIT */
/* What answers hold, and that it is bounded and given back. */
#include "web/answers_contract.h"

#include <malloc.h>

#include "microhttpd/server.h"

int main(void) {
  mallopt(M_TRIM_THRESHOLD, 1 << 20); /* what is freed shows */
  return answers_contract_run(&microhttpd_seam);
}
