/* SPDX-License-Identifier: MIT */
/* The last closes of an instance. */
#ifndef VSI_OBSERVE_CLOSES_H
#define VSI_OBSERVE_CLOSES_H

#include "instance/instance.h"
#include "vestry/observe.h"

typedef struct vsi_closes vsi_closes;

enum { VSI_CLOSES_MOST = 1000000 };

/* Note closes from here on. count: so many are kept; 0: the default. OK | INVALID (count) | NO_MEMORY */
vestry_err vsi_closes_create(vestry *v, size_t count, vsi_closes **ret_closes);
/* Waits for threads that are just noting one. NULL is accepted. */
void vsi_closes_destroy(vsi_closes *closes);

#endif
