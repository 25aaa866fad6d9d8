/* SPDX-License-Identifier: MIT */
/* What the loaded libmicrohttpd does with ambiguous heads. */
#ifndef TESTS_MICROHTTPD_LIBRARY_H
#define TESTS_MICROHTTPD_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the loaded libmicrohttpd, if strict, refuses ambiguous heads by itself: since 1.0. If it does and is not
 * strict, it redirects spaces in a target. */
bool server_library_refuses(void);
/* Implements vestry_contract_adapter.is_blind_to. */
bool server_is_blind_to(const char *text, size_t len);

#endif
