/* SPDX-License-Identifier: MIT */
/* Deadlines of requests: a request that still waits for a client's bytes when its time is up is roused; and so are,
 * when requests hold too many bytes together, those that hold most. Answers have no deadline, but the same bound: a
 * thread that is writing one for a client that does not read is roused, when all together hold too much and its answer
 * holds most.
 *
 * mg_read waits anew for each byte, up to request_timeout_ms, and gives no access to its socket. So a timer looks which
 * are overdue, finds the descriptor by its peer, and shuts it for reading: mg_read returns at once, and the answer can
 * still be written. One that writes is shut altogether: mg_write fails. */
#ifndef VSI_CIVETWEB_DEADLINE_H
#define VSI_CIVETWEB_DEADLINE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "adapter/civetweb/peer.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

/* One request's; part of it, zeroed to begin with. All guarded by deadlines->lock while it is set. */
typedef struct vsi_civetweb_deadline {
  LIST_ENTRY(vsi_civetweb_deadline) in;
  vsi_civetweb_peer peer;
  uint64_t due_ns;            /* constant while it is set */
  bool is_answer;             /* what is held is one's; constant while it is set */
  bool is_set;                /* the worker's */
  bool has_passed;            /* the timer has seen it overdue */
  bool is_overdue;            /* the look that is under way has still to find its socket */
  uint64_t going;             /* what it held when it was cut, because that was most; 0: it was not. The worker may read
                                 it when the deadline is cleared */
  _Atomic(size_t) held_bytes; /* of the body, so far or to be sent; relaxed: a mere number */
} vsi_civetweb_deadline;

typedef struct vsi_civetweb_deadlines {
  vestry *v;
  const vestry_host *host;
  vestry_timer *timer; /* NULL: never made */
  vsi_mutex lock;
  LIST_HEAD(, vsi_civetweb_deadline) list; /* guarded by lock */
  /* Of all that were cut and are not cleared yet: requests, answers. Changed under lock; relaxed: a worker that reads
   * an old value looks again at its next piece. */
  _Atomic(uint64_t) going[2];
} vsi_civetweb_deadlines;

/* Where the process's descriptors end. */
int vsi_civetweb_descriptors_end(void);

/* Look which are overdue every period_ms. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_deadlines_init(vsi_civetweb_deadlines *deadlines, vestry *v, uint64_t period_ms);
/* No deadline is set. Takes one that was only zeroed. */
void vsi_civetweb_deadlines_finish(vsi_civetweb_deadlines *deadlines);

/* From due_ns on the worker that waits for bytes of this peer is roused. The socket must stay open until it is cleared.
 */
void vsi_civetweb_deadline_set(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline,
                               const vsi_civetweb_peer *peer, uint64_t due_ns);
/* The body that is waited for holds so much. From seven eighths of all requests' bytes on, those that hold most are
 * roused, so that newcomers get in: see socket.c of the other adapter. */
void vsi_civetweb_deadline_holds(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline, size_t bytes);
/* An answer of so many bytes is written to this peer, until it is cleared. */
void vsi_civetweb_deadline_answers(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline,
                                   const vsi_civetweb_peer *peer, size_t bytes);
/* Rouse those whose answers hold most, if all together hold too much. */
void vsi_civetweb_deadlines_relieve(vsi_civetweb_deadlines *deadlines);
/* Returns whether it had passed, and the worker was roused. One that is not set is accepted. */
bool vsi_civetweb_deadline_clear(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline);

#endif
