/* SPDX-License-Identifier: MIT */
/* Requests that can be read in two ways: as they must be refused with every web server. */
#ifndef TESTS_WEB_HOSTILE_CONTRACT_H
#define TESTS_WEB_HOSTILE_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int hostile_contract_run(const server_seam *seam);

#endif
