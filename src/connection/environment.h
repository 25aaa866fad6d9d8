/* SPDX-License-Identifier: MIT */
/* What a connection needs of its surroundings. The group, which keeps connections together, fills it in (group.c). */
#ifndef VSI_CONNECTION_ENVIRONMENT_H
#define VSI_CONNECTION_ENVIRONMENT_H

#include "connection/budget.h"
#include "connection/tally.h"
#include "vestry/connection.h"
#include "vestry/runtime.h"

typedef struct vsi_environment vsi_environment;

/* Constant; lives as long as the last reference to a connection. No lock is held when a function is called. */
struct vsi_environment {
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_event *heartbeat; /* a comment */
  vestry_event *sign;      /* the heartbeat of connections whose page looks for it: the stream is alive */
  vsi_budget *budget;      /* what all queues may hold together */
  struct vsi_tails *tails; /* of its connections (tail.h) */
  vsi_group_tally *tally;
  _Atomic(uint32_t) observers_count; /* changes: soon after it is not 0, events are timed; relaxed */
  /* The queue of the connection holds more than its rank says. Any thread, before what it holds can be given back. */
  void (*grew)(const vsi_environment *environment, vestry_connection *connection);
  /* The budget is pressed: make room. Any thread; does not block. */
  void (*relieve)(const vsi_environment *environment);
  /* The connection has ended and its hooks have returned. Once, on its runner. */
  void (*ended)(const vsi_environment *environment, vestry_connection *connection);
  /* The connection is freed, and does not need the environment any more. Once. */
  void (*let_go)(const vsi_environment *environment);
};

#endif
