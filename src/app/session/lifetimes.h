/* SPDX-License-Identifier: MIT */
/* When sessions end, whenever they were loaded: a heap, and a timer for the first of it. */
#ifndef VSI_SESSION_LIFETIMES_H
#define VSI_SESSION_LIFETIMES_H

#include "app/session/record.h"
#include "base/mutex.h"
#include "vestry/runtime.h"

typedef struct vsi_session_lifetimes {
  const vestry_host *host;
  vestry_timer *timer;
  void (*end)(vsi_session_user *record); /* no lock held; may remove records */
  vsi_mutex lock;
  size_t count, room;      /* guarded by lock */
  vsi_session_user **heap; /* guarded by lock; the one that ends first comes first */
} vsi_session_lifetimes;

/* Zeroed before. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_session_lifetimes_init(vsi_session_lifetimes *lifetimes, const vestry_host *host,
                                      vestry_runtime *runtime, void (*end)(vsi_session_user *record));
/* Waits for an end that is under way. Zeroed ones are accepted. */
void vsi_session_lifetimes_finish(vsi_session_lifetimes *lifetimes);

/* Let a session end at that time of the host's clock, unless it is removed before. No reference is kept. OK |
 * NO_MEMORY */
vestry_err vsi_session_lifetimes_add(vsi_session_lifetimes *lifetimes, vsi_session_user *record, uint64_t ends_ns);
/* As often as one likes. */
void vsi_session_lifetimes_remove(vsi_session_lifetimes *lifetimes, vsi_session_user *record);

#endif
