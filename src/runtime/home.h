/* SPDX-License-Identifier: MIT */
/* The process that a runtime was made in. A child that was forked off has the memory, but no thread: a call that waits
 * there waits for ever, also for a lock that some thread held when it was forked. So what would wait asks first. */
#ifndef VSI_RUNTIME_HOME_H
#define VSI_RUNTIME_HOME_H

#include <stdatomic.h>

#include "vestry/host.h"

/* A page that the kernel wipes in a child, so that to ask is one load: getpid is a system call. */
typedef _Atomic(bool) vsi_home;

/* NULL: out of memory. */
vsi_home *vsi_home_create(void);
/* At home. NULL is accepted. */
void vsi_home_destroy(vsi_home *home);

static inline bool vsi_is_at_home(vsi_home *home) {
  return __builtin_expect(atomic_load_explicit(home, memory_order_relaxed), 1); /* set once, before anybody asks */
}

#endif
