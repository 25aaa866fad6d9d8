/* SPDX-License-Identifier: MIT */
/* Calls of a storage that must not be lost, such as the removal of a session that has ended. A call that fails is kept
 * and made again until it succeeds: before later calls of the storage, by a timer, and at the end. A storage that is
 * down is logged once, and once more, with the number of failures, when it works again. */
#ifndef VSI_SESSION_OWED_H
#define VSI_SESSION_OWED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/held_log.h"
#include "base/mutex.h"
#include "vestry/host.h"
#include "vestry/runtime.h"

/* A call that is kept; a member of the struct that describes it. */
typedef struct vsi_owed_call {
  TAILQ_ENTRY(vsi_owed_call) at, of_hash; /* in the lists of vsi_owed; guarded by `lock` */
  uint64_t hash;                          /* by which a vsi_owed_key finds it; set before the call is added */
} vsi_owed_call;

typedef TAILQ_HEAD(vsi_owed_calls, vsi_owed_call) vsi_owed_calls; /* in the order of their last attempts */

enum { VSI_OWED_CLASSES = 1024 };

/* Return the struct that embeds a call. `type` and `member`: as for offsetof. */
#define VSI_OWED_OWNER(call, type, member) ((type *)(uintptr_t)((const char *)(call)-offsetof(type, member)))

typedef struct vsi_owed_ops {
  vestry_err (*make)(void *ctx, const vsi_owed_call *call); /* no lock held; may block. Never returns NOT_FOUND */
  void (*drop)(void *ctx, vsi_owed_call *call);             /* free a call that has succeeded or is given up */
  const char *who, *what; /* for the log: the caller of the storage, and the kind of calls, such as "removing rows" */
  const char *lost;       /* for the log: the consequence if calls are given up */
} vsi_owed_ops;

/* Selects calls among those with a hash. The time to find one grows with the calls of the same class only. */
typedef struct vsi_owed_key {
  uint64_t hash;
  bool (*is_it)(const vsi_owed_call *call, const void *key); /* the list's lock is held */
  const void *key;
} vsi_owed_key;

typedef struct vsi_owed {
  const vestry_host *host;
  const vsi_owed_ops *ops;
  void *ctx;
  size_t max_count;
  vestry_timer *timer;
  vsi_mutex lock;
  pthread_cond_t tried;     /* a call was made */
  vsi_owed_calls calls;     /* guarded by lock, as are the next three */
  vsi_owed_calls *classes;  /* VSI_OWED_CLASSES: the same calls, by their hash modulo that number */
  vsi_owed_call *under_way; /* the call that a thread makes; NULL: none */
  size_t dropped;           /* calls given up since the storage first failed */
  _Atomic(size_t) count;    /* changed under lock, as is failed; relaxed where it only avoids the lock */
  _Atomic(size_t) failed;   /* calls that failed since the storage worked; 0: it works */
  /* A storage can fail and work again with each call. Then a failure that is left out of the log takes the line about
   * its end with it. Relaxed. */
  _Atomic(bool) is_silent;
  vsi_repeated_log failures;
} vsi_owed;

/* Initialize a list. Call vsi_owed_finish after a failure, too.
 * max_count  maximum number of calls; beyond it, the oldest is dropped
 * OK | NO_MEMORY | CLOSED */
vestry_err vsi_owed_init(vsi_owed *owed, const vestry_host *host, vestry_runtime *runtime, const vsi_owed_ops *ops,
                         void *ctx, size_t max_count);
/* Make the calls, until none is left or some have failed, and give up the others, which is logged. */
void vsi_owed_finish(vsi_owed *owed);

/* Keep a call that has failed. NULL: there is no memory for it, so it is given up. */
void vsi_owed_add(vsi_owed *owed, vsi_owed_call *call, vestry_err why);
/* Note that a call of the storage has succeeded. If no call is kept, the storage works again, which is logged. */
void vsi_owed_worked(vsi_owed *owed);
/* Make calls until one fails, at most 16. Does nothing while another thread makes one. */
void vsi_owed_pay(vsi_owed *owed);
/* Make all calls with this key, after waiting for another thread that makes one. OK | the error of the storage */
vestry_err vsi_owed_settle(vsi_owed *owed, const vsi_owed_key *of);
/* Take a call with this key out of the list, after waiting for another thread that makes it. NULL: there is none */
vsi_owed_call *vsi_owed_take(vsi_owed *owed, const vsi_owed_key *of);
/* Return whether a call with this key is kept. or_under_way: also if a thread makes it now. */
bool vsi_owed_has(vsi_owed *owed, const vsi_owed_key *of, bool or_under_way);

#endif
