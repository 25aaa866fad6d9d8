/* SPDX-License-Identifier: MIT */
/* The wire format: methods, paths, framing, kept connections. These are the requirements for every web server. */
#ifndef TESTS_WEB_WIRE_CONTRACT_H
#define TESTS_WEB_WIRE_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int wire_contract_run(const server_seam *seam);

#endif
