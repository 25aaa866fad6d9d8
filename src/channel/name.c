#include "channel/name.h"

#include "channel/channels.h"

vestry_err vsi_name_find(const vestry *v, vestry_scope scope, const vestry_key *key, vestry_channel **ret_channel) {
  vsi_scoped_key name;
  vestry_err error = vsi_name_pack(v, &name, scope, key);
  if (error) return error;
  vestry_channel *found = vsi_channels_find(v->channels, name.key.data, name.key.len, name.key.hash);
  vsi_scoped_key_finish(&name);
  if (!found) return VESTRY_NOT_FOUND;
  *ret_channel = found;
  return VESTRY_OK;
}

vestry_err vsi_name_pack_for(vestry_reply *reply, vsi_scoped_key *name, const vestry_scope *scope,
                             const vestry_key *key) {
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  error = vsi_name_pack(reply->v, name, scope ? *scope : reply->scope, key);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the key of a channel or topic is not well formed or too large");
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  return error;
}
