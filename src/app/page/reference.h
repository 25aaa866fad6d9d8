/* SPDX-License-Identifier: MIT */
/* References to pages: the owner's, each worker's, each stream's. */
#ifndef VSI_PAGE_REFERENCE_H
#define VSI_PAGE_REFERENCE_H

#include "app/page/pages.h"

/* No lock. The last one frees them. */
void vsi_pages_unref(vestry_pages *pages);

#endif
