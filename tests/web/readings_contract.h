/* SPDX-License-Identifier: MIT */
/* Whatever a client sends, a handler sees its single valid reading, or the request is refused. Bytes after it are never
 * treated as a request. */
#ifndef TESTS_WEB_READINGS_CONTRACT_H
#define TESTS_WEB_READINGS_CONTRACT_H

#include "web/server.h"

/* Some thousand texts of readings.h: VESTRY_READINGS_COUNT of them, from VESTRY_READINGS_SEED on. The result of each is
 * written to the file VESTRY_READINGS_FILE, if set, so that two runs with different versions of a library can be
 * compared. Returns the number of failed tests. */
int readings_contract_run(const server_seam *tested);

#endif
