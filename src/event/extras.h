/* What other floors keep with an event for as long as it lives: encoded forms of it, made once for all streams. */
#ifndef VSI_EVENT_EXTRAS_H
#define VSI_EVENT_EXTRAS_H

#include "vestry/event.h"

/* Embedded first in what is kept. */
typedef struct vsi_event_extra {
  struct vsi_event_extra *next; /* set by vsi_event_extra_add, constant from then on */
  /* Frees it, with the event; whoever drops the event's last reference. */
  void (*release)(struct vsi_event_extra *extra);
} vsi_event_extra;

/* The extras of an event, the youngest first; they stay as long as a reference to the event is held. Any thread,
 * wait-free. */
vsi_event_extra *vsi_event_extras(const vestry_event *event);

/* Give an event another. Any thread, lock-free. */
void vsi_event_extra_add(vestry_event *event, vsi_event_extra *extra);

/* The host the event was made with. */
const vestry_host *vsi_event_host(const vestry_event *event);

#endif
