/* SPDX-License-Identifier: MIT */
/* Channels by key. The name of a channel or topic is a scope and a key, packed as the store packs the names of streams.
 * The functions pack names, find channels, and publish on this node only. */
#ifndef VSI_CHANNEL_BROADCAST_H
#define VSI_CHANNEL_BROADCAST_H

#include "channel/channel.h"
#include "instance/instance.h"
#include "store/store.h"

/* Find a channel by name; returns it with a reference. OK | NOT_FOUND (there is none) | as vsi_store_pack */
VESTRY_API vestry_err vsi_name_find(const vestry *v, vestry_scope scope, const vestry_key *key,
                                    vsi_channel **ret_channel);

/* Get a reference to the channel of a name, which is created if there is none. Takes the name.
 * OK | LIMIT (channels) | CLOSED | NO_MEMORY */
vestry_err vsi_name_hold(vestry *v, vsi_scoped_key *name, vsi_channel **ret_channel);

/* Publish to the members on this node. Returns as vestry_broadcast. */
VESTRY_API vestry_err vsi_broadcast_here(vestry *v, const vestry_scoped_key *name, vestry_event *event);

#endif
