/* SPDX-License-Identifier: MIT */
/* A run of a private page. */
#ifndef VSI_PAGE_PRIVATE_H
#define VSI_PAGE_PRIVATE_H

#include "app/page/run.h"
#include "app/page/schedule.h"

vsi_run_result vsi_private_run(vsi_run *r);

#endif
