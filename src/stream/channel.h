/* Channels, as the floors above make them. */
#ifndef VSI_STREAM_CHANNEL_H
#define VSI_STREAM_CHANNEL_H

#include "stream/group.h"
#include "vestry/channel.h"

/* OK | INVALID | NO_MEMORY */
vestry_err vsi_channel_create(vsi_group *group, const vestry_channel_options *options, vestry_channel **ret_channel);

/* Told of a member that could not take an event, and stays open. Inside the publish, as hooks are. */
typedef void (*vsi_refused_fn)(vestry_connection *connection, vestry_err error, void *ctx);
/* vestry_channel_publish; with refused, what members refuse is told to it, and is no error of the publish. */
vestry_err vsi_channel_publish(vestry_channel *channel, vestry_event *event, vsi_refused_fn refused, void *ctx,
                               size_t *ret_sent_count);

#endif
