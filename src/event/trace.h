/* SPDX-License-Identifier: MIT */
/* The trace that an event belongs to, and the spans of its writes. */
#ifndef VSI_EVENT_TRACE_H
#define VSI_EVENT_TRACE_H

#include "base/trace.h"
#include "event/extras.h"

/* Make an extra for an event that is made now, if this thread is in a sampled trace. NULL: it is not, or there is no
 * memory; then the event's writes are not reported. */
vsi_event_extra *vsi_event_trace_make(const vestry_host *host);
/* Report that a stream's transport has taken an event of len bytes completely. extras: the event's. No lock held. */
void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len);

#endif
