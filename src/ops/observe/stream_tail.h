/* SPDX-License-Identifier: MIT */
/* The tail of a stream: a copy of the references to the events that it was sent, for an observer. For a stream without
 * a tail, the cost is one load of a byte for each event. */
#ifndef VSI_OBSERVE_STREAM_TAIL_H
#define VSI_OBSERVE_STREAM_TAIL_H

#include "connection/connection.h"

/* Maximum number of tails of all instances, and of events and bytes that wait in one tail. */
enum { VSI_TAILS_MAX = 16, VSI_TAIL_EVENTS_MAX = 256, VSI_TAIL_BYTES_MAX = 1 << 20 };

typedef struct vsi_tail vsi_tail;

/* Begin a tail: keep the events that the stream is sent from now on for the taker. The stream is not delayed: events
 * without room in the tail are counted and omitted here.
 * ret_tail  owned by the caller, who must end it
 * Returns   OK | CLOSED (the stream has ended) | INVALID (it shows tails of others) | LIMIT (VSI_TAILS_MAX) | NO_MEMORY
 * Threads   any that holds a reference */
vestry_err vsi_tail_begin(vestry_connection *connection, vsi_tail **ret_tail);
/* End a tail; it is freed soon, because a wake may still be running. NULL is accepted. Any thread. */
void vsi_tail_end(vsi_tail *tail);

/* Set a function that is called for each event that arrives in an empty tail, and when the stream has ended. It is
 * called on the stream's runner, no lock held, and must not block. to: a reference is held until the last call.
 * Once. */
void vsi_tail_rouse(vsi_tail *tail, void (*rouse)(vestry_connection *to), vestry_connection *to);

/* An event of a tail, and its state when it was taken. */
typedef struct vsi_tail_event {
  vestry_event *event;     /* a reference, owned by the taker; NULL: none is waiting */
  bool was_written;        /* false: the stream ended before */
  uint64_t left_out_count; /* events omitted since the last call */
  vestry_cause cause;      /* for which the stream has ended; NONE: it has not */
} vsi_tail_event;

/* Take the oldest event. Returns false if there is none now. One thread at a time. */
bool vsi_tail_take(vsi_tail *tail, vsi_tail_event *ret_event);

/* Prevent this stream from having a tail, because it shows the tails of others and would show its own without end. Any
 * thread. */
void vsi_tail_exclude(vestry_connection *connection);
bool vsi_tail_is_excluded(const vestry_connection *connection);

#endif
