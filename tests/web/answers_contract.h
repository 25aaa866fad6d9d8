/* SPDX-License-Identifier: MIT */
/* The memory that answers of each kind hold, requested by clients that read nothing, beside clients that read. */
#ifndef TESTS_WEB_ANSWERS_CONTRACT_H
#define TESTS_WEB_ANSWERS_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int answers_contract_run(const server_seam *seam);

#endif
