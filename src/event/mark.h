/* SPDX-License-Identifier: MIT */
/* essay: the content that a tab claims to have, and when the claim is valid */
/* Events followed by a mark, which identifies the content that the page then has.
 *
 * The client stores an id as soon as its line has arrived, before it has read the rest of the event. If the stream
 * breaks in between, the client reconnects and claims content that it never received. So the id of such content stands
 * in a separate block after the event. A block without data has no effect except its id (WHATWG HTML, section 9.2.6).
 * Both blocks form one event of vestry, so neither is dropped or sent without the other. The stream may also break
 * between the two. Then the former id would claim the content that the event has just replaced. So the event itself
 * resets the former id by an empty one.
 *
 * The client does not expose ids to the page. A page that begins requests itself, for example to change its address,
 * finds the mark in the event's data, too, which the client reports when all data has arrived. */
#ifndef VSI_EVENT_MARK_H
#define VSI_EVENT_MARK_H

#include "vestry/event.h"

/* A patch of elements. */
typedef struct vsi_patch {
  vestry_patch_mode mode;
  const char *selector; /* one line; NULL: none, which the modes OUTER and REPLACE allow */
  vestry_slice html;    /* mode is REMOVE: len 0 */
} vsi_patch;

/* Make one event of patches, at least one, followed by a block with the id. The client performs them in their order,
 * with no other event in between. state: the name of the state that they show; NULL: none. mark: not empty, no line
 * break. is_in_data: the mark is also in the data. OK | TOO_LARGE | NO_MEMORY */
VESTRY_API vestry_err vsi_event_marked_patches(const vestry_host *host, const vsi_patch *all, size_t count,
                                               const char *state, const char *mark, bool is_in_data,
                                               vestry_event **ret_event);
/* Keep with such an event the event of the whole content, of which a reference is taken. It is sent instead if the
 * event before it, whose content the patches change, has left a queue in favour of it. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_event_set_whole(vestry_event *patches, vestry_event *whole);
/* Return the event of the whole content, borrowed; NULL: none was set. */
vestry_event *vsi_event_whole(const vestry_event *patches);
/* Make an event of the id's block alone, for content that is in several events before it. */
VESTRY_API vestry_err vsi_event_mark(const vestry_host *host, const char *mark, vestry_event **ret_event);

#endif
