/* SPDX-License-Identifier: MIT */
/* Of which trace an event is, and that streams have it. */
#ifndef VSI_EVENT_TRACE_H
#define VSI_EVENT_TRACE_H

#include "base/trace.h"
#include "event/extras.h"

/* For an event that is made now, in the trace that this thread is in, if that is sampled. NULL: it is not, or there is
 * no memory: then its writes are not told. */
vsi_event_extra *vsi_event_trace_make(const vestry_host *host);
/* A stream's transport has taken all of an event, of so many bytes. extras: the event's. No lock held. */
void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len);

#endif
