#include "registry/named/name.h"

vestry_err vsi_name_pack_for(vestry_reply *reply, vsi_scoped_key *name, const vestry_scope *scope,
                             const vestry_key *key) {
  if (reply->attachments.count >= VSI_ATTACHMENTS_MAX) return VESTRY_LIMIT;
  vestry_err error = vsi_name_pack(reply->v, name, scope ? *scope : reply->scope, key);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the key of a channel or topic is not well formed or too large");
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  return error;
}
