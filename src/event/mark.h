/* SPDX-License-Identifier: MIT */
/* essay: what a tab claims to have, and when it may */
/* Events that are followed by a mark of what the page then has.
 *
 * The client remembers an id as soon as its line has come, before it has seen the rest of the event. If the stream
 * breaks in between, it comes back and claims to have what it never got. So the id of an event whose content is claimed
 * stands in a block of its own, after the event: that is a block without data, of which nothing but the id counts
 * (WHATWG HTML, section 9.2.6). The two are one event of vestry's: neither is conflated, or sent, without the other.
 * The stream may also break between the two. Then the former id would claim what the event has just replaced. So the
 * event takes the former id back by an empty one.
 *
 * The client shows no id to its page. A page that begins requests of its own, as one does that changes its address,
 * finds the mark in the event's data too, which the client tells of when all of them have come. */
#ifndef VSI_EVENT_MARK_H
#define VSI_EVENT_MARK_H

#include "vestry/event.h"

/* vestry_event_elements, and after it a block with the id. options: whole, without an id; mark: not empty, no line
 * break; is_told: it stands in the data, too. */
VESTRY_API vestry_err vsi_event_marked_elements(const vestry_host *host, const char *html, size_t len,
                                                const vestry_elements_options *options, const char *mark, bool is_told,
                                                vestry_event **ret_event);
/* The id's block alone, for what stands in several events before it. */
VESTRY_API vestry_err vsi_event_mark(const vestry_host *host, const char *mark, vestry_event **ret_event);

#endif
