/* SPDX-License-Identifier: MIT */
/* Requests that parsers could read in two ways: every web server must refuse them. */
#ifndef TESTS_WEB_HOSTILE_CONTRACT_H
#define TESTS_WEB_HOSTILE_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int hostile_contract_run(const server_seam *seam);

#endif
