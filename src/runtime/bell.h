/* SPDX-License-Identifier: MIT */
/* A bell: a call of `answer` on a worker of a pool, which other threads request by one store. Of the workers that have
 * nothing to do, one sleeps on the bell itself. So a thread that rings then touches only the cache line of the bell,
 * which may contain what the ring is about. After a pause, each further line costs as much as a small system call. */
#ifndef VSI_RUNTIME_BELL_H
#define VSI_RUNTIME_BELL_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

typedef struct vsi_bell {
  _Atomic(uint32_t) state;               /* vsi_bell_state */
  void (*answer)(struct vsi_bell *bell); /* no lock held; short. The first job that it submits wakes no worker */
} vsi_bell;

typedef enum vsi_bell_state {
  VSI_BELL_QUIET,  /* not rung, and no worker sleeps on the bell */
  VSI_BELL_RUNG,   /* a worker will call `answer` */
  VSI_BELL_WATCHED /* not rung; a worker sleeps until the state changes */
} vsi_bell_state;

long syscall(long number, ...); /* of unistd.h, many of whose names are also names of static functions */

/* Wake the thread that sleeps on a bell. The C library's function would be in three further pages of memory: its own,
 * that of its address, and that of the code which reads the address. After a pause this costs about a microsecond. */
static inline void vsi_bell_wake(vsi_bell *bell) {
#if defined(__x86_64__) && defined(__LP64__)
  long result = SYS_futex;
  register const void *further __asm__("r10") = NULL; /* the time limit, which a wake-up has not */
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(&bell->state), "S"((long)FUTEX_WAKE_PRIVATE), "d"(1L), "r"(further)
                   : "rcx", "r11", "memory");
#else
  (void)syscall(SYS_futex, &bell->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
#endif
}

/* Sleep while a bell is WATCHED, or shorter. */
static inline void vsi_bell_sleep(vsi_bell *bell) {
  (void)syscall(SYS_futex, &bell->state, FUTEX_WAIT_PRIVATE, VSI_BELL_WATCHED, NULL, NULL, 0);
}

/* Ring. Any thread, also after the workers have ended. Returns false if no worker watches the bell, and it was not rung
 * before: the caller must call vsi_pool_rung. */
static inline bool vsi_bell_ring(vsi_bell *bell) {
  /* release pairs with the worker that answers */
  const uint32_t former = atomic_exchange_explicit(&bell->state, VSI_BELL_RUNG, memory_order_acq_rel);
  if (__builtin_expect(former == VSI_BELL_WATCHED, 1)) vsi_bell_wake(bell);
  return former != VSI_BELL_QUIET;
}

#endif
