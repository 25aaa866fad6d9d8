/* SPDX-License-Identifier: MIT */
/* Tabs of a site over a database, which write and read their states. */
#ifndef TESTS_SQLITE_TABS_H
#define TESTS_SQLITE_TABS_H

#include "sqlite/ledger.h"
#include "vestry/tab.h"

enum { TABS_TOKEN_BYTES = 100 };

/* What a tab's handler and render do. */
typedef struct tabs_act {
  ledger *s;
  vestry_err error;
  const char *write; /* NULL: none */
  size_t write_len;
  char read[128];
  size_t read_len, capacity;
  char token[TABS_TOKEN_BYTES]; /* of a tab that begins: what its signal says */
} tabs_act;

/* A request of a tab's. token: what its signal says; "": its first. */
void tabs_ask(tabs_act *a, const char *cookie, const char *token);
vestry_err tabs_set(ledger *s, const char *cookie, const char *token, const void *data, size_t len);
/* The state as text, valid until the next one. It must be readable. */
const char *tabs_get(ledger *s, const char *cookie, const char *token);
/* A tab's first request. */
void tabs_begin(ledger *s, const char *cookie, char token[TABS_TOKEN_BYTES]);

#endif
