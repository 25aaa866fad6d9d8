/* SPDX-License-Identifier: MIT */
/* The budget of answers is kept, and their memory is released. */
#include "web/answers_contract.h"

#include <malloc.h>

#include "microhttpd/server.h"

int main(void) {
  mallopt(M_TRIM_THRESHOLD, 1 << 20); /* so that freed memory is returned, and visible */
  return answers_contract_run(&microhttpd_seam) + answers_contract_run(&microhttpd_attached_seam);
}
