/* Channels of an instance. */
#include "channel/channel.h"

#include "instance/instance.h"

vestry_err vestry_channel_create(vestry *v, const vestry_channel_options *options, vestry_channel **ret_channel) {
  return v ? vsi_channel_create(v->group, options, ret_channel) : VESTRY_INVALID;
}
