/* SPDX-License-Identifier: MIT */
/* The contract of actions that run once, for each storage: memory, SQLite and PostgreSQL run the same tests. */
#ifndef TESTS_GUARD_ONCE_CONTRACT_H
#define TESTS_GUARD_ONCE_CONTRACT_H

#include <semaphore.h>

#include "serve/wire.h"
#include "vestry/app/once.h"

/* A node. POST /act answers "201 N", where N counts the actions that have run at all nodes. */
typedef struct once_node {
  site on;
  vestry_once *once;
  const vestry_once_storage_ops *ops; /* the world's open sets ops and ctx */
  void *ctx, *world;
} once_node;

/* The behaviour of the actions of all nodes, and their count. */
typedef struct once_action {
  _Atomic(int) done;
  vestry_err says;
  bool streams;
  size_t more_len;    /* of the body, in addition to ONCE_BODY_LEN; at most ONCE_MORE_MAX */
  sem_t *inside, *go; /* an action posts inside and waits for go; NULL: neither */
} once_action;
extern once_action once_contract_action;

typedef struct once_world {
  int nodes_count; /* nodes that share one storage; at most 2 */
  void (*clear)(void);
  vestry_err (*open)(once_node *node); /* called after the host is set up; NULL: memory */
  void (*close)(once_node *node);
  int64_t (*count)(once_node *node); /* stored submissions; NULL: not known */
} once_world;
/* Set before the tests run. */
extern const once_world *once_contract_world;

enum { ONCE_BODY_LEN = 20, ONCE_MORE_MAX = 8192 };
typedef char once_nonce[VESTRY_ONCE_NONCE_BYTES];

/* A page that shows its nonce. */
vestry_err once_page(const vestry_request *req, vestry_reply *reply, void *app);

/* Empty the storage, and reset the actions. */
void once_clear(void);
void once_open(once_node *node, vestry_once_options options);
void once_close(once_node *node);
void once_nonce_of(once_node *node, once_nonce nonce);
/* POST with the nonce in a header, or in a form's field. Returns for example "201 made 1 ", valid until this
 * thread's next call. */
const char *once_post(once_node *node, const char *nonce);
const char *once_send(once_node *node, const char *nonce, const char *field);

/* Run the contract's tests. Returns the number of failed tests. */
int once_contract_run(const char *name);

#endif
