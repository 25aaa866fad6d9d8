/* SPDX-License-Identifier: MIT */
/* The process in which a runtime was created. A forked child has a copy of the memory, but none of the threads. So a
 * call that waits there waits for ever, also for a lock that another thread held at the time of the fork. Therefore,
 * functions that would wait check this first. */
#ifndef VSI_RUNTIME_HOME_H
#define VSI_RUNTIME_HOME_H

#include <stdatomic.h>

#include "vestry/host.h"

/* A page that the kernel zeroes in a child, so that the check is one load; getpid would be a system call. */
typedef _Atomic(bool) vsi_home;

/* Create the page, in the runtime's process. NULL: out of memory. */
vsi_home *vsi_home_create(void);
/* Free the page, in the runtime's process. NULL is accepted. */
void vsi_home_destroy(vsi_home *home);

static inline bool vsi_is_at_home(vsi_home *home) {
  return __builtin_expect(atomic_load_explicit(home, memory_order_relaxed), 1); /* set once, before any check */
}

#endif
