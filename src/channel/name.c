/* SPDX-License-Identifier: MIT */
/* Finding a channel by its name, and reserving a member in it. */
#include "channel/name.h"

#include "channel/channel.h"
#include "channel/channels.h"

static vsi_channel *find(const vestry *v, const vsi_scoped_key *name) {
  return vsi_channels_find(v->channels, name->key.data, name->key.len, name->key.hash);
}

vestry_err vsi_name_find(const vestry *v, vestry_scope scope, const vestry_key *key, vsi_channel **ret_channel) {
  vsi_scoped_key name;
  vestry_err error = vsi_name_pack(v, &name, scope, key);
  if (error) return error;
  vsi_channel *found = find(v, &name);
  vsi_scoped_key_finish(&name);
  if (!found) return VESTRY_NOT_FOUND;
  *ret_channel = found;
  return VESTRY_OK;
}

vestry_err vsi_name_reserve(vestry *v, vsi_scoped_key *name, vsi_member **ret_member) {
  vsi_channel *channel;
  vestry_err error = vsi_channels_hold(v->channels, name->key.data, name->key.len, name->key.hash, &channel);
  vsi_scoped_key_finish(name);
  if (error) return error;
  error = vsi_channel_reserve(channel, ret_member);
  vsi_channel_unref(channel);
  return error;
}

vestry_err vsi_name_reserve_kept(vestry *v, vsi_scoped_key *name, vsi_member **ret_member) {
  vsi_channel *channel = find(v, name);
  vsi_scoped_key_finish(name);
  if (!channel) return VESTRY_NOT_FOUND;
  vestry_err error = vsi_channel_keeps(channel) ? vsi_channel_reserve(channel, ret_member) : VESTRY_NOT_FOUND;
  vsi_channel_unref(channel);
  return error;
}
