/* SPDX-License-Identifier: MIT */
/* Topics by key, on this node alone. */
#ifndef VSI_BUS_PUBLISH_H
#define VSI_BUS_PUBLISH_H

#include "store/scoped_key.h"
#include "vestry/app/bus.h"

/* Publish to the subscribers of a topic by key. Returns as vestry_publish. */
VESTRY_API vestry_err vsi_publish_here(vestry *v, const vestry_scoped_key *name, const void *data, size_t len);

#endif
