/* SPDX-License-Identifier: MIT */
/* Uploads of clients that are far away, as a suite for each adapter. */
#ifndef TESTS_WEB_FAR_H
#define TESTS_WEB_FAR_H

#include "vestry/testing/contract.h"

/* Run the suite, once more with the TLS that the adapter offers. Returns the number of failed cases. */
int far_run(const vestry_contract_adapter *adapter);

#endif
