/* SPDX-License-Identifier: MIT */
/* The gate of an adapter. It counts running requests and open streams, and waits until all have left. */
#ifndef VSI_WEB_GATE_H
#define VSI_WEB_GATE_H

#include <pthread.h>

#include "adapter/server.h"
#include "base/held_log.h"
#include "base/mutex.h"
#include "vestry/instance.h"

typedef struct vsi_web_gate {
  uint32_t capacity;     /* places for streams; constant */
  vsi_mutex lock;        /* innermost; nothing is called while it is held */
  pthread_cond_t left;   /* signalled when the last one has left */
  bool stopping;         /* guarded by lock */
  uint32_t inside;       /* guarded by lock: running requests */
  uint32_t streams;      /* guarded by lock: taken places */
  vsi_repeated_log full; /* lines about streams that found no place */
} vsi_web_gate;

void vsi_web_gate_init(vsi_web_gate *gate, uint32_t capacity);
void vsi_web_gate_finish(vsi_web_gate *gate);

/* Begin a request; false: the gate is shut. Each true needs one leave. */
bool vsi_web_gate_enter(vsi_web_gate *gate);
void vsi_web_gate_leave(vsi_web_gate *gate);
/* Take a place for a stream; false: there is none, or the gate is shut. Each true needs one give_place. */
bool vsi_web_gate_take_place(vsi_web_gate *gate);
void vsi_web_gate_give_place(vsi_web_gate *gate);
/* Log, at most once a minute, that a stream found no place, unless the gate is shut.
 *  remedy  what to raise */
void vsi_web_gate_log_full(vsi_web_gate *gate, const vestry_host *host, const char *adapter, const char *remedy);
bool vsi_web_gate_is_shut(vsi_web_gate *gate);
uint32_t vsi_web_gate_streams(vsi_web_gate *gate);
/* Get the number of taken places, and of all. Either pointer may be NULL. */
void vsi_web_gate_room(vsi_web_gate *gate, uint32_t *ret_streams, uint32_t *ret_capacity);

/* Shut the gate: no further request or stream enters. */
void vsi_web_gate_shut(vsi_web_gate *gate);
/* Wait until there are no requests and no taken places; from time to time, log what it waits for. A stepped runtime is
 * stepped meanwhile. until_ns: base/wait.h. OK | TIMEOUT */
vestry_err vsi_web_gate_wait(vsi_web_gate *gate, vestry *v, uint64_t until_ns);

#endif
