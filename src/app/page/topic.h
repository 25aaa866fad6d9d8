/* SPDX-License-Identifier: MIT */
/* Topics, on which fragments depend. The caller holds the lock unless the comment states otherwise. */
#ifndef VSI_PAGE_TOPIC_H
#define VSI_PAGE_TOPIC_H

#include "app/page/fragment.h"
#include "app/page/inbox.h"
#include "base/buffer.h"

/* Note a topic that a render names; it counts as used from then on. Called without the lock. Errors are kept in the
 * buffer. */
void vsi_topics_note(vestry_pages *pages, vsi_buffer *names, const char *name, size_t len);
/* Release the notes of a render that has ended, after its fragment was linked to the topics, or if it never will be.
 * Call it once for each buffer. */
void vsi_topics_noted(vestry_pages *pages, const vsi_buffer *names);
/* A refresh that came while a fragment rendered, and that this render may not show. */
typedef struct vsi_missed {
  uint64_t seq;    /* number of the first such refresh, or of an earlier refresh; 0: none */
  bool is_guessed; /* seq may be the number of an earlier refresh */
} vsi_missed;

/* Link a fragment to all topics that its render noted; forget: also drop its links to all other topics. The time is
 * proportional to the number of names and links.
 * started_seq: pages->seq when the render began. ret_missed: refreshes since then. Returns OK | NO_MEMORY: some links
 * are missing. */
vestry_err vsi_topics_name(vsi_fragment *fragment, const vsi_buffer *names, bool forget, uint64_t started_seq,
                           vsi_missed *ret_missed);
/* Get the name of a topic; valid while the lock is held. */
vestry_slice vsi_topic_name(const vsi_page_topic *topic);
/* Drop all links of a fragment. */
void vsi_topics_forget(vsi_fragment *fragment);
/* Mark some of the fragments whose topics were refreshed. Returns whether more are left. */
bool vsi_topics_walk(vestry_pages *pages);
/* Take the refreshes out of the inbox. */
void vsi_topics_take(vestry_pages *pages);
/* Do the same, and return a number for another event. */
uint64_t vsi_topics_number(vestry_pages *pages);
/* Let refreshes of pages with separate threads use the inbox (inbox.h). Called without the lock, before the pages are
 * used. */
void vsi_topics_open_inbox(vestry_pages *pages);
/* Free the topics without fragments when the pages end. Called without the lock. */
void vsi_topics_free(vestry_pages *pages);

/* Refresh a topic as vestry_refresh, without forwarding it to other nodes. len: at most VESTRY_PAGE_TOPIC_MAX_BYTES; 0:
 * every page. Called without the lock. */
VESTRY_API void vsi_pages_refresh(vestry_pages *pages, const char *topic, size_t len);
/* A topic to refresh if it is used. */
typedef struct vsi_used_topic {
  const char *name; /* not empty, at most VESTRY_PAGE_TOPIC_MAX_BYTES */
  size_t len;
  vestry_change change;
  /* Set by the call. */
  uint64_t hash;
  size_t fragments_count; /* fragments that depend on it */
  bool is_used;
} vsi_used_topic;

/* Refresh topics as vestry_refresh_for: those that are used, as vestry_topic_fragments defines this. Many at once take
 * the lock once, wait for their memory together, and have one number if they have the same change. Returns the number
 * of the last refresh; 0: no topic is used.
 * Called without the lock. */
VESTRY_API uint64_t vsi_pages_refresh_used(vestry_pages *pages, vsi_used_topic *topics, size_t count);
/* Set the function that receives each refresh of this process; NULL: none, and wait for running calls. Called without
 * the lock. */
VESTRY_API void vsi_pages_set_refreshed(vestry_pages *pages, vsi_refreshed_fn refreshed, void *ctx);
/* Release the lock, which the caller holds, and call that function if is_forwarded. */
void vsi_pages_forward(vestry_pages *pages, bool is_report, const char *topic, size_t len, bool is_forwarded);

#endif
