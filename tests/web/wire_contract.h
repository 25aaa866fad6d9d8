/* SPDX-License-Identifier: MIT */
/* What is on the wire: methods, paths, framing, connections that are kept: as it must be with every web server. */
#ifndef TESTS_WEB_WIRE_CONTRACT_H
#define TESTS_WEB_WIRE_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int wire_contract_run(const server_seam *seam);

#endif
