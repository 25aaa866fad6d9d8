/* SPDX-License-Identifier: MIT */
/* Publishing to the channel of a key, to its members on this node only. */
#ifndef VSI_CHANNEL_BROADCAST_H
#define VSI_CHANNEL_BROADCAST_H

#include "store/scoped_key.h"
#include "vestry/channel.h"

/* Publish to the members on this node. Returns as vestry_broadcast. */
VESTRY_API vestry_err vsi_broadcast_here(vestry *v, const vestry_scoped_key *name, vestry_event *event);

#endif
