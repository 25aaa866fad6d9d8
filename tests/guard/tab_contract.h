/* SPDX-License-Identifier: MIT */
/* What is promised of states of tabs, in whichever database they are: each runs the same tests. */
#ifndef TESTS_GUARD_TAB_CONTRACT_H
#define TESTS_GUARD_TAB_CONTRACT_H

#include "guard/tab_acts.h"

/* Zero is the database's default. */
typedef struct tab_bounds {
  uint32_t ttl_s, per_scope_count, max_count;
  size_t max_bytes;
} tab_bounds;

typedef struct tab_world {
  size_t nodes_count; /* that can have one database at a time: 1 or 2 */
  void (*clear)(void);
  /* A node, with scopes by cookie; world: its own. The database, if it is the first one. */
  void (*open)(size_t node, const tab_bounds *bounds, tab_node *ret_site);
  void (*close)(size_t node);
  void (*settle)(size_t node); /* all that was committed has been rendered */
  int64_t (*count)(void);      /* states that are there */
  void (*clock)(int64_t now_s);
} tab_world;

/* Run all that is promised. Returns how many tests failed. */
int tab_contract_run(const char *name, const tab_world *world);

#endif
