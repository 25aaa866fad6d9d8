/* SPDX-License-Identifier: MIT */
/* What a private page also has while what its tab said counts, if it has parts, and if it tells of submissions. */
#ifndef VSI_PAGE_EXTRA_H
#define VSI_PAGE_EXTRA_H

#include "app/page/fragment.h"

/* What the tab said that it has; NULL: nothing, or it does not count any more. */
static inline const vsi_state_tag *vsi_private_extra_tag(const vsi_private *page) {
  return page->extra ? page->extra->tag : NULL;
}
/* Before the stream begins: its document, 0: none; what its tab said, NULL: nothing; and what tells of submissions,
 * NULL: nothing, which is the page's now in any case; hold_ms: of an answer. OK | NO_MEMORY */
vestry_err vsi_private_extra_take(vsi_private *page, uint64_t document, const vsi_state_tag *tag, vsi_sent *seen,
                                  vsi_long_poll poll);
/* With the lock: the stream ends, and what its tab has is remembered for when it comes back, if that can be known. */
void vsi_private_extra_remember(const vsi_private *page);

#endif
