/* SPDX-License-Identifier: MIT */
/* The states of tabs whose streams have ended, for tabs that reconnect. */
#ifndef VSI_PAGE_RESUME_CACHE_H
#define VSI_PAGE_RESUME_CACHE_H

#include "app/page/state_tag.h"
#include "vestry/host.h"

typedef struct vsi_resume_cache vsi_resume_cache;

/* Create a table for max_count tabs. When it is full, a new tab replaces the oldest one. The caller's lock guards the
 * table. Returns OK | NO_MEMORY | IO (no randomness). */
vestry_err vsi_resume_cache_create(const vestry_host *host, size_t max_count, vsi_resume_cache **ret_departed);
void vsi_resume_cache_destroy(vsi_resume_cache *resume_cache); /* NULL is accepted */

/* Store the state of the tab with that document. The tag is valid if the last event id that the tab received is that of
 * a part whose hash is `last`. Without memory the tab is not stored. */
void vsi_resume_cache_put(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, const vsi_state_tag *tag);
/* Remove the tab with that document and return its state. Returns false if it is not stored, or if the last event id
 * that it received differs; it is removed in that case, too. */
bool vsi_resume_cache_take(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, vsi_state_tag *ret_tag);

#endif
