/* SPDX-License-Identifier: MIT */
/* Places, stalled readers, and the end of streams and of the adapter: the requirements for every web server. */
#ifndef TESTS_WEB_LIFECYCLE_CONTRACT_H
#define TESTS_WEB_LIFECYCLE_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int life_contract_run(const server_seam *seam);

#endif
