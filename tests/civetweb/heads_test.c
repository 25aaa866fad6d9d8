/* SPDX-License-Identifier: MIT */
/* Heads of today's clients, at the default limits and above. */
#include "vestry/civetweb.h"
#include "web/heads.h"

int main(void) {
  return heads_run(&vestry_server_civetweb, &(vestry_server_options){.threads_count = 16});
}
