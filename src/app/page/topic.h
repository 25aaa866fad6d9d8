/* SPDX-License-Identifier: MIT */
/* Topics: what fragments depend on. With the lock held but where it says otherwise. */
#ifndef VSI_PAGE_TOPIC_H
#define VSI_PAGE_TOPIC_H

#include "app/page/fragment.h"
#include "base/buffer.h"

/* Note that a render has named a topic, which is used from then on; no lock. Errors stick in the buffer. */
void vsi_topics_note(vestry_pages *pages, vsi_buffer *names, const char *name, size_t len);
/* The render is over, and its fragment depends on what it has named, or never will. Once for each buffer. */
void vsi_topics_noted(vestry_pages *pages, const vsi_buffer *names);
/* A fragment has missed a refresh that came while it was rendered. */
typedef struct vsi_missed {
  uint64_t seq;    /* the first, or one that came before it; 0: none */
  bool is_guessed; /* it may be one that came before it */
} vsi_missed;

/* Have the fragment depend on all that its render has named; forget: and on nothing else. started_seq: pages->seq when
 * the render began. ret_missed: what was refreshed since. OK | NO_MEMORY: not on all of them. Takes as long as there
 * are names and links. */
vestry_err vsi_topics_name(vsi_fragment *fragment, const vsi_buffer *names, bool forget, uint64_t started_seq,
                           vsi_missed *ret_missed);
/* A topic's name; valid under the lock. */
vestry_slice vsi_topic_name(const vsi_page_topic *topic);
/* Forget all of them. */
void vsi_topics_forget(vsi_fragment *fragment);
/* Mark some of the fragments whose topics were refreshed. Returns whether there is more to do. */
bool vsi_topics_walk(vestry_pages *pages);
/* No lock, at the end: free those that no fragment depends on any more. */
void vsi_topics_free(vestry_pages *pages);

/* No lock: as vestry_refresh, but not told to other nodes; len: at most VESTRY_PAGE_TOPIC_MAX_BYTES, 0: every page. */
VESTRY_API void vsi_pages_refresh(vestry_pages *pages, const char *topic, size_t len);
/* No lock: refreshed is called from now on; NULL: nothing is. ctx must outlive what is under way. */
VESTRY_API void vsi_pages_tell(vestry_pages *pages, vsi_refreshed_fn refreshed, void *ctx);

#endif
