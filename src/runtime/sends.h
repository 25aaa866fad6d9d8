/* SPDX-License-Identifier: MIT */
/* Batched sends: the writes of a thread's streams, which the kernel gets together (io_uring). */
#ifndef VSI_RUNTIME_SENDS_H
#define VSI_RUNTIME_SENDS_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/actor.h"

typedef struct vsi_sends vsi_sends;

/* VSI_SEND_ROOM: maximum number of bytes of a send. Larger ones gain little: they are written directly. */
enum { VSI_SEND_ROOM = 2048 };

/* Return the batch of this thread, on which a job of the pool `here` runs, for sends of actors of the pool `of`; NULL:
 * the job must write directly. Both are the same pool, unless the job does the work of another runtime's actors: it
 * must flush the batch itself then, and `of` outlives `here`. */
vsi_sends *vsi_sends_here(vsi_pool *here, vsi_pool *of);

/* Get VSI_SEND_ROOM bytes for the next send. If the batch is full, it is sent first. */
void *vsi_sends_room(vsi_sends *sends);
/* Queue the send of the bytes that were put there. The actor's run continues, with no thread inside, until the batch is
 * sent; then its class's `sent` is called, and the run ends. descriptor: a socket that stays open until then; below 0:
 * nothing is sent, and the result is `len`. */
void vsi_sends_add(vsi_sends *sends, vsi_actor *actor, int descriptor, size_t len);

#endif
