/* SPDX-License-Identifier: MIT */
/* A page: what it is made of, and which requests may see it. */
#ifndef VSI_PAGE_PAGE_H
#define VSI_PAGE_PAGE_H

#include "app/page/copy.h"
#include "app/page/pages.h"

bool vsi_page_allows(const vestry_page *page, vsi_request_copy *request);

#endif
