/* SPDX-License-Identifier: MIT */
/* What is promised of states of tabs, in whichever database they are: each runs the same tests. */
#ifndef TESTS_GUARD_TAB_CONTRACT_H
#define TESTS_GUARD_TAB_CONTRACT_H

#include "support/site.h"
#include "vestry/tab.h"

enum { TABS_TOKEN_BYTES = 100, TABS_READ_BYTES = 300 };

/* A site over a database, and how its handlers and renders use states. */
typedef struct tabs_site {
  site *on;
  void *ctx;
  vestry_err (*get)(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                    size_t *ret_len);
  vestry_err (*set)(void *ctx, const vestry_request *req, const void *data, size_t len);
} tabs_site;

/* What a tab's handler does. */
typedef struct tabs_act {
  const tabs_site *s;
  vestry_err error;
  const char *write; /* NULL: it reads */
  size_t write_len;
  char read[TABS_READ_BYTES];
  size_t read_len, capacity;
  char token[TABS_TOKEN_BYTES]; /* of a tab that begins: what its signal says */
} tabs_act;

/* A request of a tab's. token: what its signal says; "": its first. */
void tabs_ask(tabs_act *a, const char *cookie, const char *token);
vestry_err tabs_set(const tabs_site *s, const char *cookie, const char *token, const void *data, size_t len);
/* The state as text, valid until the next one. It must be readable. */
const char *tabs_get(const tabs_site *s, const char *cookie, const char *token);
/* A tab's first request. */
void tabs_begin(const tabs_site *s, const char *cookie, char token[TABS_TOKEN_BYTES]);

/* Zero is the database's default. */
typedef struct tabs_bounds {
  uint32_t ttl_s, per_scope_count, max_count;
  size_t max_bytes;
} tabs_bounds;

typedef struct tabs_world {
  size_t nodes_count; /* that can have one database at a time: 1 or 2 */
  void (*clear)(void);
  /* A node, with scopes by cookie; world: its own. The database, if it is the first one. */
  void (*open)(size_t node, const tabs_bounds *bounds, tabs_site *ret_site);
  void (*close)(size_t node);
  void (*settle)(size_t node); /* all that was committed has been rendered */
  int64_t (*count)(void);      /* states that are there */
  void (*clock)(int64_t now_s);
} tabs_world;

/* Run all that is promised. Returns how many tests failed. */
int tabs_contract_run(const char *name, const tabs_world *world);

#endif
