/* SPDX-License-Identifier: MIT */
/* Takes and fills the structs of what an instance is given after its creation: sessions, secrets, topics, leases. */
#ifndef TESTS_ABI_SIZES_EXTENSIONS_H
#define TESTS_ABI_SIZES_EXTENSIONS_H

#include "vestry/app/secret.h"

/* Each takes on an instance of its own. */
vestry_err sizes_take_sessions(const void *given);
vestry_err sizes_take_storage(const void *given);
vestry_err sizes_take_secret(const void *given);
vestry_err sizes_take_bus(const void *given);
extern const vestry_secret sizes_secret;

void sizes_fill_bus_stats(void *ret);
void sizes_fill_session_stats(void *ret);
void sizes_fill_watch_stats(void *ret);
void sizes_fill_lease_stats(void *ret);
void sizes_fill_histories_stats(void *ret);

#endif
