/* SPDX-License-Identifier: MIT */
/* The tail of a stream: the events that it has been sent, for people who look on. A stream without one pays a load of a
 * byte of its own for each event. */
#ifndef VSI_CONNECTION_TAIL_H
#define VSI_CONNECTION_TAIL_H

#include "base/mutex.h"
#include "connection/connection.h"

/* Of one group: so many at a time; and of one tail: so many events, or bytes of them, wait to be taken. */
enum { VSI_TAILS_MAX = 16, VSI_TAIL_EVENTS_MAX = 256, VSI_TAIL_BYTES_MAX = 1 << 20 };

typedef struct vsi_tail vsi_tail;

/* A group's. */
typedef struct vsi_tails {
  vsi_mutex lock;                /* nothing is called while it is held */
  vsi_tail *list[VSI_TAILS_MAX]; /* guarded by lock; references; NULL: a free place */
} vsi_tails;

void vsi_tails_init(vsi_tails *tails);
void vsi_tails_finish(vsi_tails *tails);

/* Have what a stream is sent from now on kept for the taker. The stream goes on as ever: what there is no room for is
 * left out here, and counted.
 * ret_tail: the caller's, to be ended. OK | CLOSED (the stream has ended) | INVALID (it shows others' tails) |
 * LIMIT (VSI_TAILS_MAX) | NO_MEMORY. Any thread that holds a reference */
VESTRY_API vestry_err vsi_tail_begin(vestry_connection *connection, vsi_tail **ret_tail);
/* Keep nothing more, and free it, soon: a rouse may still be under way. NULL is accepted. Any thread. */
VESTRY_API void vsi_tail_end(vsi_tail *tail);

/* Have a function called for each event that finds none before it, and when the stream has ended: on the stream's
 * runner, no lock held; it must not block. to: a reference is held until the last call. Once. */
VESTRY_API void vsi_tail_rouse(vsi_tail *tail, void (*rouse)(vestry_connection *to), vestry_connection *to);

/* What there is to take. */
typedef struct vsi_tail_event {
  vestry_event *event; /* a reference, the taker's */
  bool was_written;    /* false: the stream ended before */
} vsi_tail_event;

/* Take the oldest event. false: there is none now. One thread at a time. */
VESTRY_API bool vsi_tail_take(vsi_tail *tail, vsi_tail_event *ret_event);
/* Events that were left out since the last call. Any thread. */
VESTRY_API uint64_t vsi_tail_take_left_out(vsi_tail *tail);
/* Why the stream has ended; NONE: it has not. Ask before the last event is taken. Any thread. */
VESTRY_API vestry_cause vsi_tail_cause(vsi_tail *tail);

/* From now on the stream has no tail: it shows those of others, and would show its own without end. Any thread. */
VESTRY_API void vsi_tail_exclude(vestry_connection *connection);
VESTRY_API bool vsi_tail_is_excluded(const vestry_connection *connection);

/* An event is done with. */
void vsi_tail_tell(vestry_connection *connection, vestry_event *event, bool was_written);

#endif
