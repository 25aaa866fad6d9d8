/* SPDX-License-Identifier: MIT */
/* The contract of tab states, for each database: each runs the same tests. */
#ifndef TESTS_GUARD_TAB_CONTRACT_H
#define TESTS_GUARD_TAB_CONTRACT_H

#include "guard/tab_acts.h"

/* Zero selects the database's default. */
typedef struct tab_bounds {
  uint32_t ttl_s, per_scope_count, max_count;
  size_t max_bytes;
} tab_bounds;

typedef struct tab_world {
  size_t nodes_count; /* that can share one database: 1 or 2 */
  void (*clear)(void);
  /* Open a node with scopes by cookie, and the database if it is the first node. world: the node's own data. */
  void (*open)(size_t node, const tab_bounds *bounds, tab_node *ret_site);
  void (*close)(size_t node);
  void (*settle)(size_t node); /* render all that was committed */
  int64_t (*count)(void);      /* stored states */
  void (*clock)(int64_t now_s);
} tab_world;

/* Run the contract's tests. Returns the number of failed tests. */
int tab_contract_run(const char *name, const tab_world *world);

#endif
