/* SPDX-License-Identifier: MIT */
/* The data that a connection needs from its surroundings, filled in by the group that holds the connections
 * (group.c). */
#ifndef VSI_CONNECTION_ENVIRONMENT_H
#define VSI_CONNECTION_ENVIRONMENT_H

#include "connection/budget.h"
#include "connection/tally.h"
#include "vestry/connection.h"
#include "vestry/runtime.h"

typedef struct vsi_environment vsi_environment;

/* Constant, except observers_count. Lives as long as the last reference to a connection. Functions are called without a
 * lock. */
struct vsi_environment {
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_event *heartbeat; /* a comment */
  vestry_event *sign;      /* the heartbeat of connections whose page checks that the stream is alive */
  vsi_budget *budget;      /* bounds what all queues hold together */
  struct vsi_tails *tails; /* of its connections (tail.h) */
  vsi_group_tally *tally;
  _Atomic(uint32_t) observers_count; /* changes at any time; soon after it is not 0, events are timed; relaxed */
  /* The connection's queue holds more than its rank stands for. Any thread; called before these bytes can be
   * released. */
  void (*grew)(const vsi_environment *environment, vestry_connection *connection);
  /* The budget is under pressure: close connections. Any thread; does not block. */
  void (*relieve)(const vsi_environment *environment);
  /* The connection has ended and its hooks have returned. Once, on its runner. */
  void (*ended)(const vsi_environment *environment, vestry_connection *connection);
  /* The connection is freed and no longer needs the environment. Once. */
  void (*let_go)(const vsi_environment *environment);
};

#endif
