/* SPDX-License-Identifier: MIT */
/* Channels, and the topics and histories of extensions, that a reply's stream joins from its beginning. The memory is
 * allocated when the reply declares it, before there is a stream: a channel gets a member without a stream, and to
 * admit the stream later needs no memory. */
#include "base/memory.h"
#include "channel/channel.h"
#include "channel/name.h"
#include "http/reply.h"
#include "vestry/channel.h"

vestry_err vsi_reply_pack(vestry_reply *reply, vsi_scoped_key *name, vestry_scope scope, const vestry_key *key) {
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  error = vsi_name_pack(reply->v, name, scope, key);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the key of a channel or topic is not well formed or too large");
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  return error;
}

vestry_err vsi_reply_attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment) {
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (!error) vsi_attachments_add_counted(&reply->attachments, attachment);
  return error;
}

typedef struct joining {
  vsi_attachment attachment; /* first member */
  const vestry_host *host;
  vsi_member *member;
} joining;

static void begin(vsi_attachment *attachment, vestry_connection *connection) {
  joining *one = (joining *)attachment;
  (void)vsi_channel_admit(one->member, connection); /* EXISTS: it is a member already; CLOSED: it has ended */
  vsi_free(one->host, one);
}

static void drop(vsi_attachment *attachment) {
  joining *one = (joining *)attachment;
  vsi_channel_discard(one->member);
  vsi_free(one->host, one);
}

vestry_err vestry_reply_join(vestry_reply *reply, vestry_scope scope, const vestry_key *key) {
  vsi_scoped_key name;
  vsi_member *member;
  vestry_err error = vsi_reply_pack(reply, &name, scope, key);
  if (error) return error;
  error = vsi_name_reserve(reply->v, &name, &member);
  joining *one = error ? NULL : vsi_calloc(reply->host, 1, sizeof *one);
  if (!error && !one) {
    vsi_channel_discard(member);
    error = VESTRY_NO_MEMORY;
  }
  if (one) *one = (joining){{.begin = begin, .drop = drop}, reply->host, member};
  return vsi_reply_attach(reply, error, one ? &one->attachment : NULL);
}
