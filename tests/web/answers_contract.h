/* SPDX-License-Identifier: MIT */
/* What answers hold: of every kind, asked for by clients that read nothing, beside clients that do. */
#ifndef TESTS_WEB_ANSWERS_CONTRACT_H
#define TESTS_WEB_ANSWERS_CONTRACT_H

#include "web/server.h"

/* How many tests failed. */
int answers_contract_run(const server_seam *seam);

#endif
