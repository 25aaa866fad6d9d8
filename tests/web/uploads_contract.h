/* SPDX-License-Identifier: MIT */
/* Bodies that arrive in pieces over sockets, with the same requirements for each adapter. */
#ifndef TESTS_WEB_UPLOADS_CONTRACT_H
#define TESTS_WEB_UPLOADS_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int uploads_contract_run(const server_seam *seam);

#endif
