/* SPDX-License-Identifier: MIT */
/* Which tally counts what. All with the lock but where it says otherwise. */
#ifndef VSI_PAGE_TALLIES_H
#define VSI_PAGE_TALLIES_H

#include "app/page/view.h"

/* That of a page at the route of a request, or of a part in a page that is counted by `of`; made if there is none. When
 * there is no room or no memory it is that of all others. */
vsi_tally *vsi_tally_of_page(vestry_page *page, const vestry_request *req);
vsi_tally *vsi_tally_of_part(vestry_pages *pages, vsi_tally *of, const char *id);
/* That of a view. */
vsi_tally *vsi_tally_of(const vsi_view *view);
/* All as they are now: no lock. Returns how many there are. */
VESTRY_API size_t vsi_tallies_copy(vestry_pages *pages, vsi_tally ret[VSI_TALLIES]);

#endif
