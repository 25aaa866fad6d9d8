/* SPDX-License-Identifier: MIT */
/* What is promised of actions that run once wherever they are kept: memory, SQLite and PostgreSQL run the same
 * tests. */
#ifndef TESTS_GUARD_ONCE_CONTRACT_H
#define TESTS_GUARD_ONCE_CONTRACT_H

#include <semaphore.h>

#include "serve/wire.h"
#include "vestry/app/once.h"

/* A node: POST /act answers "201 N", N being how many actions have run at all nodes. */
typedef struct once_node {
  site on;
  vestry_once *once;
  const vestry_once_storage_ops *ops; /* set by the world's open, and so is ctx */
  void *ctx, *world;
} once_node;

/* What the actions of all nodes do. */
typedef struct once_deed {
  _Atomic(int) done;
  vestry_err says;
  bool streams;
  sem_t *inside, *go; /* an action says that it is there, and waits; NULL: not */
} once_deed;
extern once_deed once_contract_deed;

typedef struct once_world {
  int nodes_count; /* that share what was done; at most 2 */
  void (*clear)(void);
  vestry_err (*open)(once_node *node); /* the host is there. NULL: memory */
  void (*close)(once_node *node);
  int64_t (*count)(once_node *node); /* of presses that are stored; NULL: not known */
} once_world;
/* Set before tests run. */
extern const once_world *once_contract_world;

enum { ONCE_BODY_LEN = 20 };
typedef char once_nonce[VESTRY_ONCE_NONCE_BYTES];

/* A page that shows its nonce. */
vestry_err once_page(const vestry_request *req, vestry_reply *reply, void *app);

/* Whatever is stored is gone, and nothing is done yet. */
void once_clear(void);
void once_open(once_node *node, vestry_once_options options);
void once_close(once_node *node);
void once_nonce_of(once_node *node, once_nonce nonce);
/* A POST, by a header, or by a form's field: "201 1 "; of this thread until the next. */
const char *once_post(once_node *node, const char *nonce);
const char *once_send(once_node *node, const char *nonce, const char *field);

/* Run all that is promised. Returns how many tests failed. */
int once_contract_run(const char *name);

#endif
