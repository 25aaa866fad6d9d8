/* SPDX-License-Identifier: MIT */
/* Whatever a client sends: what a handler sees of it is the one reading that it has, or it is refused, and nothing that
 * stands behind it is taken for a request. */
#ifndef TESTS_WEB_READINGS_CONTRACT_H
#define TESTS_WEB_READINGS_CONTRACT_H

#include "web/server.h"

/* Some thousand texts of readings.h; as many as the variable VESTRY_READINGS_COUNT says, from VESTRY_READINGS_SEED on.
 * What came of each is written to the file VESTRY_READINGS_FILE, if there is one, so that two runs, with other versions
 * of a library, can be compared. Returns how many tests failed. */
int readings_contract_run(const server_seam *tested);

#endif
