/* SPDX-License-Identifier: MIT */
/* The tabs of guard/tab_acts.h, over a ledger. */
#ifndef TESTS_SQLITE_TABS_H
#define TESTS_SQLITE_TABS_H

#include "guard/tab_acts.h"
#include "sqlite/ledger.h"

/* Open a followed pool of one connection, and tab states. Call this after ledger_open; ledger_close closes both. */
void tabs_open(ledger *s, const vestry_sql_tabs_options *options);
/* Run SQL with that connection. */
void tabs_run(ledger *s, const char *sql);
/* Valid as long as the ledger is. */
tab_node tabs_node(ledger *s);
vestry_err tabs_set(ledger *s, const char *cookie, const char *token, const void *data, size_t len);
const char *tabs_get(ledger *s, const char *cookie, const char *token);
void tabs_begin(ledger *s, const char *cookie, char token[TAB_TOKEN_BYTES]);

#endif
