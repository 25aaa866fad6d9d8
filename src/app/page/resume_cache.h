/* SPDX-License-Identifier: MIT */
/* What tabs had when their streams ended: for those that come back. */
#ifndef VSI_PAGE_RESUME_CACHE_H
#define VSI_PAGE_RESUME_CACHE_H

#include "app/page/state_tag.h"
#include "vestry/host.h"

typedef struct vsi_resume_cache vsi_resume_cache;

/* A table with room for max_count tabs. When it is full, the tab that came first goes. The lock of the table's user
 * guards it. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_resume_cache_create(const vestry_host *host, size_t max_count, vsi_resume_cache **ret_departed);
void vsi_resume_cache_destroy(vsi_resume_cache *resume_cache); /* NULL is accepted */

/* The tab of that document has what the tag says, if the last id that it has seen is that of a part with this hash.
 * Without memory the tab is forgotten. */
void vsi_resume_cache_put(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, const vsi_state_tag *tag);
/* The tab of that document is back. false: nothing is known of it, or it has seen another id last. The tab is forgotten
 * in any case. */
bool vsi_resume_cache_take(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, vsi_state_tag *ret_tag);

#endif
