/* SPDX-License-Identifier: MIT */
/* What other layers keep with an event for as long as it lives: encoded forms of it, made once for all streams. */
#ifndef VSI_EVENT_EXTRAS_H
#define VSI_EVENT_EXTRAS_H

#include <stdatomic.h>

#include "vestry/event.h"

/* Embedded first in what is kept. */
typedef struct vsi_event_extra {
  struct vsi_event_extra *next; /* set by vsi_event_extra_add, constant from then on */
  /* Frees it, with the event; on the thread that drops the event's last reference. */
  void (*release)(struct vsi_event_extra *extra);
} vsi_event_extra;

/* The extras of an event, the youngest first; they stay as long as a reference to the event is held. Any thread,
 * wait-free. */
vsi_event_extra *vsi_event_extras(const vestry_event *event);

/* Give an event another. Any thread, lock-free. */
void vsi_event_extra_add(vestry_event *event, vsi_event_extra *extra);
/* The same, unless it has one with the same release: which of both it has from then on. */
vsi_event_extra *vsi_event_extra_add_once(vestry_event *event, vsi_event_extra *extra);

/* A number that no other event has which was numbered by this counter. Any thread, lock-free. */
uint64_t vsi_event_number(vestry_event *event, _Atomic(uint64_t) *counter);

/* The event that this one follows (vestry_event_follow): the caller's reference; NULL: none, or it was taken. Any
 * thread, lock-free. */
vestry_event *vsi_event_take_previous(vestry_event *event);

/* The host the event was made with. */
const vestry_host *vsi_event_host(const vestry_event *event);

#endif
