/* Names of channels and topics: a scope and a key, packed as the store packs those of streams. */
#ifndef VSI_CHANNEL_NAME_H
#define VSI_CHANNEL_NAME_H

#include "http/reply.h"
#include "instance/instance.h"
#include "store/store.h"
#include "vestry/channel.h"

/* OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY */
static inline vestry_err vsi_name_pack(const vestry *v, vsi_scoped_key *name, vestry_scope scope,
                                       const vestry_key *key) {
  return vsi_store_pack(v->store, name, scope, key);
}

/* The channel of that name, with a reference. OK | NOT_FOUND (there is none) | as vsi_name_pack */
vestry_err vsi_name_find(const vestry *v, vestry_scope scope, const vestry_key *key, vestry_channel **ret_channel);

/* For what a reply's stream is to be a part of. Returns as vsi_name_pack, or LIMIT; the reply knows of errors. */
vestry_err vsi_name_pack_for(vestry_reply *reply, vsi_scoped_key *name, const vestry_scope *scope,
                             const vestry_key *key);

/* An attachment was made, or there is an error: the reply has it. Returns the error. */
static inline vestry_err vsi_name_attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment) {
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (!error) vsi_attachments_add_counted(&reply->attachments, attachment);
  return error;
}

#endif
