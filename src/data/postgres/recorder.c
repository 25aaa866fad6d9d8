/* SPDX-License-Identifier: MIT */
/* The stack of the renders that run on a thread. */
#include "data/postgres/recorder.h"

#include <stddef.h>

static _Thread_local vsi_postgres_recorder *recorders;

void vsi_postgres_recorder_enter(vsi_postgres_recorder *recorder) {
  recorder->outer = recorders;
  recorders = recorder;
}

void vsi_postgres_recorder_leave(const vsi_postgres_recorder *recorder) {
  recorders = recorder->outer;
}

vsi_postgres_recorder *vsi_postgres_recorder_of(const vsi_postgres_pool *pool) {
  vsi_postgres_recorder *at = recorders;
  while (at && pool && at->pool != pool) at = at->outer;
  return at;
}

void vsi_postgres_recorder_fail(const vsi_postgres_pool *pool, vestry_err error) {
  vsi_postgres_recorder *of =
      error && error != VESTRY_NOT_FOUND && error != VESTRY_INVALID ? vsi_postgres_recorder_of(pool) : NULL;
  if (!of) return;
  of->is_unknown = true;
  of->wants_again |=
      error == VESTRY_LIMIT || error == VESTRY_BUSY || error == VESTRY_TIMEOUT || error == VESTRY_NO_MEMORY;
}
