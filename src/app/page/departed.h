/* SPDX-License-Identifier: MIT */
/* What tabs had when their streams ended: for those that come back. */
#ifndef VSI_PAGE_DEPARTED_H
#define VSI_PAGE_DEPARTED_H

#include "app/page/state_tag.h"
#include "vestry/host.h"

typedef struct vsi_departed vsi_departed;

/* A table with room for max_count tabs. When it is full, the tab that came first goes. The lock of the table's user
 * guards it. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_departed_create(const vestry_host *host, size_t max_count, vsi_departed **ret_departed);
void vsi_departed_destroy(vsi_departed *departed); /* NULL is accepted */

/* The tab of that document has what the tag says, if the last id that it has seen is that of a part with this hash.
 * Without memory the tab is forgotten. */
void vsi_departed_put(vsi_departed *departed, uint64_t document, uint64_t last, const vsi_state_tag *tag);
/* The tab of that document is back. false: nothing is known of it, or it has seen another id last. The tab is forgotten
 * in any case. */
bool vsi_departed_take(vsi_departed *departed, uint64_t document, uint64_t last, vsi_state_tag *ret_tag);

#endif
