/* SPDX-License-Identifier: MIT */
/* Workers: by which views are rendered. */
#ifndef VSI_PAGE_WORKER_H
#define VSI_PAGE_WORKER_H

#include "app/page/pages.h"

/* As many, idle, each with a reference to the pages. OK | NO_MEMORY: those that there are stay */
vestry_err vsi_workers_create(vestry_pages *pages, size_t count);
/* No view is run any more: they end, now or soon. */
void vsi_workers_end(vestry_pages *pages);

#endif
