/* SPDX-License-Identifier: MIT */
/* Bodies that come in pieces, over sockets: on every adapter the same. */
#ifndef TESTS_WEB_UPLOADS_CONTRACT_H
#define TESTS_WEB_UPLOADS_CONTRACT_H

#include "web/server.h"

/* How many tests failed. */
int uploads_contract_run(const server_seam *seam);

#endif
