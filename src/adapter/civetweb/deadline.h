/* SPDX-License-Identifier: MIT */
/* Deadlines of requests and limits of memory:
 * - A request that still waits for bytes of its client at its deadline is unblocked.
 * - If requests together hold too many bytes, those that hold most are unblocked.
 * - Responses have no deadline. But if responses together hold too many bytes, the threads that write the largest ones
 *   to clients that do not read are unblocked.
 *
 * mg_read waits up to request_timeout_ms for each byte, and civetweb gives no access to its socket. Therefore a timer
 * looks for overdue requests, finds the descriptor by its peer, and shuts it for reading. Then mg_read returns at once,
 * and the response can still be written. The socket of a response is shut for reading and writing, so that mg_write
 * fails. */
#ifndef VSI_CIVETWEB_DEADLINE_H
#define VSI_CIVETWEB_DEADLINE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "adapter/civetweb/peer.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

/* Part of a request, zeroed at first. Guarded by deadlines->lock while it is set. */
typedef struct vsi_civetweb_deadline {
  LIST_ENTRY(vsi_civetweb_deadline) in;
  const vsi_civetweb_peer *peer;
  uint64_t due_ns;            /* constant while it is set */
  bool is_response;           /* held_bytes are those of a response; constant while it is set */
  bool is_set;                /* used only by the worker */
  bool has_passed;            /* the timer has found it overdue */
  bool is_overdue;            /* the current round has not found its socket yet */
  uint64_t going;             /* bytes that it held when it was cut for holding most; 0: not cut. The worker may read it
                                 when the deadline is cleared */
  _Atomic(size_t) held_bytes; /* of the body, received so far or to be sent; relaxed: only a number */
} vsi_civetweb_deadline;

typedef struct vsi_civetweb_deadlines {
  vestry *v;
  const vestry_host *host;
  vestry_timer *timer; /* NULL: never created */
  vsi_mutex lock;
  LIST_HEAD(, vsi_civetweb_deadline) list; /* guarded by lock */
  /* Bytes of all requests [0] and responses [1] that were cut and are not cleared yet. Changed under lock; relaxed,
   * because a worker that reads an old value checks again at its next piece. */
  _Atomic(uint64_t) going[2];
} vsi_civetweb_deadlines;

/* Look for overdue requests every period_ms. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_deadlines_init(vsi_civetweb_deadlines *deadlines, vestry *v, uint64_t period_ms);
/* Stop the timer; no deadline may be set. A struct that was only zeroed is accepted. */
void vsi_civetweb_deadlines_finish(vsi_civetweb_deadlines *deadlines);

/* Set a deadline, which is not set.
 * peer          borrowed; its socket must stay open until the deadline is cleared
 * due_ns        from then on, the worker that waits for bytes of the peer is unblocked; UINT64_MAX: never
 * response_bytes  0: it is a request's. Otherwise the bytes of a response that is being written to the peer */
void vsi_civetweb_deadline_set(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline,
                               const vsi_civetweb_peer *peer, uint64_t due_ns, size_t response_bytes);
/* Set the number of bytes that the incomplete body holds. If all requests together hold more than seven eighths of
 * their maximum, those that hold most are unblocked to make room for new ones, as in adapter/microhttpd/socket.c. */
void vsi_civetweb_deadline_holds(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline, size_t bytes);
/* Unblock the largest responses, if all together hold too many bytes. */
void vsi_civetweb_deadlines_relieve(vsi_civetweb_deadlines *deadlines);
/* Clear a deadline. A deadline that is not set is accepted. */
void vsi_civetweb_deadline_clear(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline);

#endif
