/* SPDX-License-Identifier: MIT */
/* Uploads that outlive the process of their server; each adapter runs this. */
#ifndef TESTS_WEB_RESUMED_CONTRACT_H
#define TESTS_WEB_RESUMED_CONTRACT_H

#include "web/server.h"

int resumed_contract_run(const server_seam *seam);

#endif
