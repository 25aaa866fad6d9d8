/* SPDX-License-Identifier: MIT */
/* A lock for many readers or one writer, with a place in the order of locks. Continuous readers do not starve writers,
 * because a waiting writer blocks new readers (except with musl, which has no such lock). Therefore, a thread must not
 * take the lock for reading while it holds it for reading. Header only, like base/thread.h. */
#ifndef VSI_BASE_RW_LOCK_H
#define VSI_BASE_RW_LOCK_H

#include <pthread.h>

#include "base/lock_order.h"

typedef pthread_rwlock_t vsi_rw_lock;

static inline void vsi_rw_lock_init(vsi_rw_lock *lock) {
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
  pthread_rwlock_init(lock, &attributes);
  pthread_rwlockattr_destroy(&attributes);
}

static inline void vsi_rw_lock_finish(vsi_rw_lock *lock) {
  pthread_rwlock_destroy(lock);
}

/* rank: as for a vsi_spin_lock */
#define vsi_rw_lock_read(lock, rank)  (VSI_LOCK_TAKE(lock, rank), (void)pthread_rwlock_rdlock(lock))
#define vsi_rw_lock_write(lock, rank) (VSI_LOCK_TAKE(lock, rank), (void)pthread_rwlock_wrlock(lock))

static inline void vsi_rw_lock_give(vsi_rw_lock *lock) {
  VSI_LOCK_GIVE(lock);
  pthread_rwlock_unlock(lock);
}

#endif
