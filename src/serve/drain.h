/* SPDX-License-Identifier: MIT */
/* What the assembly must know of a drain. */
#ifndef VSI_SERVE_DRAIN_H
#define VSI_SERVE_DRAIN_H

#include "instance/instance.h"

/* Free it, if there is one; before the runtime. */
void vsi_drain_destroy(vestry *v);

#endif
