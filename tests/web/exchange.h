/* SPDX-License-Identifier: MIT */
/* The contract's seam for any server, with a client over a socket. */
#ifndef TESTS_WEB_EXCHANGE_H
#define TESTS_WEB_EXCHANGE_H

#include "testing/contract.h"

/* Sets all members but closes_broken. start: creates a server with calloc, without its own handlers. */
contract_seam web_contract_seam(const char *name, void *(*start)(const vestry_options *options, unsigned room));

#endif
