/* SPDX-License-Identifier: MIT */
/* The members that every store has, whatever its type. */
#ifndef VSI_STORE_FRONT_H
#define VSI_STORE_FRONT_H

#include "base/mutex.h"
#include "store/exit.h"
#include "vestry/runtime.h"

struct vestry_store {
  const vestry_host *host;
  const vestry_store_ops *ops;
  void *self; /* the state of the implementation */
  vestry_store_exit exit;
  _Atomic(uint64_t) put, hits, misses;
  _Atomic(uint64_t) armed_ns; /* time of the driver's next tick; 0: no driver; written under driver_lock */
  vsi_mutex driver_lock;
  vestry_timer *timer; /* of the driver; guarded by driver_lock; NULL: no driver */
};

#endif
