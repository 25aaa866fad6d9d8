/* SPDX-License-Identifier: MIT */
/* The contract's seam for any server, with a client over a socket. */
#ifndef TESTS_WEB_EXCHANGE_H
#define TESTS_WEB_EXCHANGE_H

#include "testing/contract.h"

/* All but closes_broken. start: makes a server with calloc, without handlers of its own. */
contract_seam web_contract_seam(const char *name, void *(*start)(const vestry_options *options, unsigned room));

#endif
