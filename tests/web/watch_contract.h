/* SPDX-License-Identifier: MIT */
/* Watches, and clients that are lost: the requirements for every web server. */
#ifndef TESTS_WEB_WATCH_CONTRACT_H
#define TESTS_WEB_WATCH_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int watch_contract_run(const server_seam *seam);

#endif
