/* SPDX-License-Identifier: MIT */
/* Which requests may see what is mounted. */
#ifndef VSI_OBSERVE_MAY_H
#define VSI_OBSERVE_MAY_H

#include "vestry/observe.h"

/* From this machine, and by no proxy; a page of another site is not let in by a name of its own. Any thread. */
bool vsi_may_is_from_here(const vestry_request *req);

/* Whether the options let the request see what all see that may; and tails, which say more. */
bool vsi_may_see(const vestry_observe_options *options, const vestry_request *req);
bool vsi_may_see_tails(const vestry_observe_options *options, const vestry_request *req);

#endif
