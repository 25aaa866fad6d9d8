/* SPDX-License-Identifier: MIT */
/* What a reply's stream is a part of from its beginning: channels, and topics. What is needed for it is made when the
 * reply says so, before there is a stream: a channel is held by a member without a stream, and letting it in needs no
 * memory; a subscription can be given back untold. */
#include "base/memory.h"
#include "bus/bus.h"
#include "channel/channel.h"
#include "channel/histories.h"
#include "channel/name.h"
#include "http/reply.h"
#include "vestry/bus.h"
#include "vestry/channel.h"

/* Returns as vsi_name_pack, or LIMIT; the reply knows of errors. */
static vestry_err pack(vestry_reply *reply, vsi_scoped_key *name, vestry_scope scope, const vestry_key *key) {
  vestry_err error = vsi_reply_may_join(reply);
  if (error) return error;
  error = vsi_name_pack(reply->v, name, scope, key);
  if (error && error != VESTRY_NO_MEMORY)
    return vsi_reply_refuse(reply, error, "the key of a channel or topic is not well formed or too large");
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  return error;
}

/* An attachment was made, or there is an error: the reply has it. Returns the error. */
static vestry_err attach(vestry_reply *reply, vestry_err error, vsi_attachment *attachment) {
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (!error) vsi_attachments_add_counted(&reply->attachments, attachment);
  return error;
}

/* -------------------------------------------------------------------------------------------------- channels ------ */

typedef struct joining {
  vsi_attachment attachment; /* first */
  const vestry_host *host;
  vsi_resuming is; /* its member alone, if it does not resume */
} joining;

static void begin_member(vsi_attachment *attachment, vestry_connection *connection) {
  joining *one = (joining *)attachment;
  (void)vsi_channel_admit(one->is.member, connection); /* EXISTS: it is in it; CLOSED: it has ended */
  vsi_free(one->host, one);
}

static void begin_resuming(vsi_attachment *attachment, vestry_connection *connection) {
  joining *one = (joining *)attachment;
  vestry_err error = vsi_resume(&one->is, connection);
  if (error && error != VESTRY_EXISTS) vestry_connection_close(connection, VESTRY_CAUSE_ERROR); /* it comes back */
  vsi_free(one->host, one);
}

static void drop_member(vsi_attachment *attachment) {
  joining *one = (joining *)attachment;
  vsi_channel_discard(one->is.member);
  vsi_free(one->host, one);
}

/* A member was reserved, or there is an error. */
static vestry_err attach_member(vestry_reply *reply, vestry_err error, const vsi_resuming *is,
                                void (*begin)(vsi_attachment *attachment, vestry_connection *connection)) {
  joining *one = error ? NULL : vsi_calloc(reply->host, 1, sizeof *one);
  if (!one) {
    if (!error) vsi_channel_discard(is->member);
    return attach(reply, error ? error : VESTRY_NO_MEMORY, NULL);
  }
  *one = (joining){.attachment = {.begin = begin, .drop = drop_member}, .host = reply->host, .is = *is};
  return attach(reply, VESTRY_OK, &one->attachment);
}

vestry_err vestry_reply_join(vestry_reply *reply, vestry_scope scope, const vestry_key *key) {
  vsi_scoped_key name;
  vsi_resuming is = {.member = NULL};
  vestry_err error = pack(reply, &name, scope, key);
  if (error) return error;
  error = vsi_name_reserve(reply->v, &name, &is.member);
  return attach_member(reply, error, &is, begin_member);
}

vestry_err vestry_reply_resume(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                               vestry_resume_fn on_resume, void *ctx) {
  vsi_scoped_key name;
  vsi_resuming is = {NULL, vsi_history_last_of(reply->last_event_id), on_resume, ctx, false};
  vestry_err error = pack(reply, &name, scope, key);
  if (error) return error;
  error = vsi_name_reserve_kept(reply->v, &name, &is.member);
  if (error == VESTRY_NOT_FOUND) return error; /* it may have ended this moment: the handler's to decide */
  return attach_member(reply, error, &is, begin_resuming);
}

/* ---------------------------------------------------------------------------------------------------- topics ------ */

typedef struct subscribing {
  vsi_attachment attachment; /* first */
  const vestry_host *host;
  vestry_subscription *subscription;
} subscribing;

static void begin_subscription(vsi_attachment *attachment, vestry_connection *connection) {
  subscribing *one = (subscribing *)attachment;
  vsi_bus_begin(one->subscription, connection);
  vsi_free(one->host, one);
}

static void drop_subscription(vsi_attachment *attachment) {
  subscribing *one = (subscribing *)attachment;
  vsi_bus_give_up(one->subscription);
  vsi_free(one->host, one);
}

vestry_err vestry_reply_subscribe(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                  const vestry_subscriber *subscriber) {
  vsi_scoped_key name;
  vestry_err error = pack(reply, &name, scope, key);
  if (error) return error;
  /* First what can be given back without telling anybody. */
  subscribing *one = vsi_calloc(reply->host, 1, sizeof *one);
  const vestry_slice topic = {name.key.data, name.key.len};
  vsi_bus *bus;
  error = one ? vsi_bus_use(reply->v, &bus) : VESTRY_NO_MEMORY;
  if (!error) error = vsi_bus_prepare(bus, topic, subscriber, &one->subscription);
  vsi_scoped_key_finish(&name);
  if (error == VESTRY_INVALID) (void)vsi_reply_refuse(reply, error, "a subscriber has no function, or a connection");
  if (error) {
    vsi_free(reply->host, one);
    return attach(reply, error, NULL);
  }
  one->attachment.begin = begin_subscription;
  one->attachment.drop = drop_subscription;
  one->host = reply->host;
  return attach(reply, VESTRY_OK, &one->attachment);
}
