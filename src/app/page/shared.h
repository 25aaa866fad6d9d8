/* SPDX-License-Identifier: MIT */
/* A run of a view that many see. */
#ifndef VSI_PAGE_SHARED_H
#define VSI_PAGE_SHARED_H

#include "app/page/run.h"
#include "app/page/schedule.h"

/* is_dirty: what it shows may have changed; otherwise streams wait to join. */
vsi_run_result vsi_shared_run(vsi_run *r, bool is_dirty);

#endif
