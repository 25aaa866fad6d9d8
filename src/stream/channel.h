/* Channels, as the floors above make them. */
#ifndef VSI_STREAM_CHANNEL_H
#define VSI_STREAM_CHANNEL_H

#include "stream/group.h"
#include "vestry/channel.h"

/* OK | INVALID | NO_MEMORY */
vestry_err vsi_channel_create(vsi_group *group, const vestry_channel_options *options, vestry_channel **ret_channel);

#endif
