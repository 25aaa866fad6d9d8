/* SPDX-License-Identifier: MIT */
/* Channels by key: finding a channel, reserving a member in it, joining and leaving; publishing to its members on this
 * node, then to those on other nodes. */
#include "channel/broadcast.h"

#include "base/log.h"
#include "base/memory.h"
#include "channel/channels.h"
#include "connection/refusal.h"
#include "instance/elsewhere.h"

static vsi_channel *find_channel(const vestry *v, const vestry_scoped_key *name) {
  return vsi_channels_find(v->channels, name->data, name->len, name->hash);
}

vestry_err vsi_name_find(const vestry *v, vestry_scope scope, const vestry_key *key, vsi_channel **ret_channel) {
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return error;
  vsi_channel *found = find_channel(v, name.key);
  vsi_scoped_key_finish(&name);
  if (!found) return VESTRY_NOT_FOUND;
  *ret_channel = found;
  return VESTRY_OK;
}

vestry_err vsi_name_hold(vestry *v, vsi_scoped_key *name, vsi_channel **ret_channel) {
  vestry_err error = vsi_channels_hold(v->channels, name->key->data, name->key->len, name->key->hash, ret_channel);
  vsi_scoped_key_finish(name);
  return error;
}

vestry_err vestry_join(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection) {
  vsi_scoped_key name;
  vsi_channel *channel;
  if (!v) return VESTRY_INVALID;
  if (!connection || !vsi_group_has(v->group, connection))
    return vsi_mistake(v->host, "vestry_join", "the connection is NULL, or belongs to another instance");
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_join", error);
  error = vsi_name_hold(v, &name, &channel);
  if (error) return error;
  error = vsi_channel_join(channel, connection);
  vsi_channel_unref(channel);
  return error;
}

vestry_err vestry_leave(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection) {
  vsi_channel *channel;
  if (!v) return VESTRY_INVALID;
  if (!connection) return vsi_mistake(v->host, "vestry_leave", "the connection is NULL");
  vestry_err error = vsi_name_find(v, scope, key, &channel);
  if (error) return vsi_key_refuse(v->host, "vestry_leave", error);
  error = vsi_channel_leave(channel, connection);
  vsi_channel_unref(channel);
  return error;
}

/* Publish, and drop the reference to the channel. */
static vestry_err publish(vsi_channel *channel, vestry_event *event, size_t *ret_sent_count) {
  size_t sent;
  bool is_kept = vsi_channel_keeps(channel);
  vestry_err error = vsi_channel_publish(channel, event, &sent);
  vsi_channel_unref(channel);
  if (ret_sent_count) *ret_sent_count = sent;
  return error || sent || is_kept ? error : VESTRY_NOT_FOUND; /* the channel is held only by a reply, or all its members
                                                                 are ending */
}

/* Publish on this node, then on other nodes. An error of this node takes precedence. event: NULL: it is made of the
 * effect if the channel exists. */
static vestry_err broadcast(vestry *v, const vestry_scoped_key *name, vestry_event *event, const vestry_value *effect,
                            size_t *ret_sent_count) {
  const vsi_elsewhere *elsewhere = vsi_instance_elsewhere(v);
  vsi_channel *channel = find_channel(v, name);
  if (!channel && !elsewhere) return VESTRY_NOT_FOUND;
  vestry_err error = VESTRY_OK;
  if (event)
    vestry_event_ref(event);
  else
    error = vestry_event_effect(v->host, effect, &event);
  if (error) {
    if (channel) vsi_channel_unref(channel);
    return error;
  }
  error = channel ? publish(channel, event, ret_sent_count) : VESTRY_NOT_FOUND;
  vestry_err there = elsewhere ? elsewhere->broadcast(name, event, elsewhere->ctx) : VESTRY_NOT_FOUND;
  vestry_event_unref(event);
  if (error == VESTRY_NOT_FOUND) return there;
  return error || there == VESTRY_NOT_FOUND ? error : there;
}

static vestry_err broadcast_by_key(vestry *v, const char *function, vestry_scope scope, const vestry_key *key,
                                   vestry_event *event, const vestry_value *effect, size_t *ret_sent_count) {
  vsi_scoped_key name;
  if (ret_sent_count) *ret_sent_count = 0;
  if (!v) return VESTRY_INVALID;
  if (!event && !effect) return vsi_mistake(v->host, function, "the event or effect is NULL");
  if (vsi_instance_is_closing(v)) return VESTRY_CLOSED;
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, function, error);
  error = broadcast(v, name.key, event, effect, ret_sent_count);
  vsi_scoped_key_finish(&name);
  return error;
}

vestry_err vestry_broadcast(vestry *v, vestry_scope scope, const vestry_key *key, vestry_event *event,
                            size_t *ret_sent_count) {
  return broadcast_by_key(v, "vestry_broadcast", scope, key, event, NULL, ret_sent_count);
}

vestry_err vestry_broadcast_effect(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_value *effect) {
  return broadcast_by_key(v, "vestry_broadcast_effect", scope, key, NULL, effect, NULL);
}

vestry_err vsi_broadcast_here(vestry *v, const vestry_scoped_key *name, vestry_event *event) {
  if (vsi_instance_is_closing(v)) return VESTRY_CLOSED;
  vsi_channel *channel = find_channel(v, name);
  return channel ? publish(channel, event, NULL) : VESTRY_NOT_FOUND;
}
