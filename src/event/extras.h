/* SPDX-License-Identifier: MIT */
/* Functions for the layers that send events: data that they keep with an event for its lifetime, such as encoded forms
 * of it, made once for all streams; and references for many streams. */
#ifndef VSI_EVENT_EXTRAS_H
#define VSI_EVENT_EXTRAS_H

#include <stdatomic.h>

#include "vestry/event.h"

/* First member of such data. */
typedef struct vsi_event_extra {
  struct vsi_event_extra *next; /* set by vsi_event_extra_add, then constant */
  /* Frees the data together with the event, on the thread that drops the event's last reference. */
  void (*release)(struct vsi_event_extra *extra);
} vsi_event_extra;

/* Get the extras of an event, the youngest first. They exist as long as a reference to the event is held. Any thread,
 * wait-free. */
vsi_event_extra *vsi_event_extras(const vestry_event *event);

/* Add an extra to an event. Any thread, lock-free. */
void vsi_event_extra_add(vestry_event *event, vsi_event_extra *extra);
/* Add an extra unless the event has an extra with the same release function. Returns the extra that the event has
 * afterwards. */
vsi_event_extra *vsi_event_extra_add_once(vestry_event *event, vsi_event_extra *extra);

/* Return the event's number; give it one at the first call. Numbers of one counter are unique among events. Any thread,
 * lock-free. */
uint64_t vsi_event_number(vestry_event *event, _Atomic(uint64_t) *counter);

/* Take the event that this one follows (vestry_event_follow): a reference for the caller; NULL: none, or it was taken
 * before. Any thread, lock-free. */
vestry_event *vsi_event_take_previous(vestry_event *event);

/* Take or drop several references to an event at once, at least one. */
void vsi_event_ref_many(vestry_event *event, size_t count);
void vsi_event_unref_many(vestry_event *event, size_t count);

/* Get the host with which the event was made. */
const vestry_host *vsi_event_host(const vestry_event *event);

/* Report that a stream's transport has taken an event of len bytes completely. extras: the event's. No lock held. */
void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len);

#endif
