/* SPDX-License-Identifier: MIT */
/* Topics by key: they are topics of the instance's bus, named by the packed scope and key. */

#include <string.h>

#include "app/bus/bus.h"
#include "base/log.h"
#include "base/memory.h"
#include "channel/broadcast.h"
#include "http/reply.h"
#include "instance/elsewhere.h"

/* ------------------------------------------------------------------------------------- an instance's bus -------- */

static vestry_err create(vestry *v, void **ret_state) {
  vsi_bus *bus;
  vestry_err error = vsi_bus_create(v->host, &bus);
  if (!error) *ret_state = bus;
  return error;
}

static void close(void *state) {
  vsi_bus_close(state);
}

static void destroy(vestry *v, void *state) {
  (void)v;
  vsi_bus_destroy(state); /* ends the subscriptions that have no connection */
}

static const vsi_extension kind = {.name = "vestry_bus_create", .create = create, .close = close, .destroy = destroy};

vestry_err vsi_bus_use(vestry *v, vsi_bus **ret_bus) {
  void *bus;
  vestry_err error = vsi_extension_use(v, &kind, &bus);
  if (!error) *ret_bus = bus;
  return error;
}

vestry_err vestry_bus_create(vestry *v, const vestry_bus_options *given) {
  vsi_bus *bus;
  if (!v) return VESTRY_INVALID;
  vestry_bus_options options = given ? *given : (vestry_bus_options){0};
  vestry_err error = vsi_bus_use(v, &bus);
  if (error) return error;
  return vsi_bus_bound(bus, options.max_subscriptions_count) ? VESTRY_OK : vsi_extension_repeated(v, &kind);
}

/* ---------------------------------------------------------------------------------------------------- topics ------ */

vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_subscriber *subscriber,
                            vestry_subscription **ret_subscription) {
  vsi_scoped_key name;
  if (!v) return VESTRY_INVALID;
  vestry_subscriber own = subscriber ? *subscriber : (vestry_subscriber){0};
  if (!own.call) return vsi_mistake(v->host, "vestry_subscribe", "the subscriber has no function");
  if (own.connection && !vsi_group_has(v->group, own.connection))
    return vsi_mistake(v->host, "vestry_subscribe", "subscriber->connection belongs to another instance");
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_subscribe", error);
  vsi_bus *bus;
  error = vsi_bus_use(v, &bus);
  if (!error) error = vsi_bus_subscribe(bus, (vestry_slice){name.key->data, name.key->len}, &own, ret_subscription);
  vsi_scoped_key_finish(&name);
  return error;
}

static vestry_err publish(vestry *v, const vestry_scoped_key *name, const void *data, size_t len, size_t *ret_count) {
  vestry_bus_message message = {
      .topic = {name->data + name->key_offset, name->len - name->key_offset},
      .data = data,
      .len = len,
      .scope = {name->scope.data, name->scope.len},
  };
  vsi_inside inside;
  vsi_inside_begin(&inside, v);
  vsi_bus *bus;
  vestry_err error = vsi_bus_use(v, &bus);
  if (!error) error = vsi_bus_publish(bus, (vestry_slice){name->data, name->len}, &message, ret_count);
  vsi_inside_end(&inside);
  return error;
}

vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                          size_t *ret_count) {
  vsi_scoped_key name;
  size_t count;
  if (!v) return VESTRY_INVALID;
  vestry_err error = vsi_store_pack(v->store, &name, scope, key);
  if (error) return vsi_key_refuse(v->host, "vestry_publish", error);
  error = publish(v, name.key, data, len, &count);
  vsi_scoped_key_finish(&name);
  if (error) return error;
  if (ret_count) *ret_count = count;
  return count ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_publish_here(vestry *v, const vestry_scoped_key *name, const void *data, size_t len) {
  size_t count;
  vestry_err error = publish(v, name, data, len, &count);
  return error || count ? error : VESTRY_NOT_FOUND;
}

void vestry_bus_stats_get(vestry *v, vestry_bus_stats *ret_stats) {
  vsi_bus *bus = vsi_extension_find(v, &kind);
  const vestry_bus_stats none = {0};
  if (bus)
    vsi_bus_stats_get(bus, ret_stats);
  else if (ret_stats)
    *ret_stats = none;
}

/* ------------------------------------------------------------------------- subscriptions of a reply's stream ---- */

/* Copies of the arguments, until the stream begins. `over` is called exactly once: by drop, also if the stream cannot
 * begin, or at the end of the subscription. */
typedef struct subscribing {
  vsi_attachment attachment; /* first */
  const vestry_host *host;
  vsi_bus *bus;
  vestry_subscriber subscriber;
  size_t len;
  unsigned char topic[];
} subscribing;

static vestry_err begin_subscription(vsi_attachment *attachment, vestry_connection *connection) {
  subscribing *one = (subscribing *)attachment;
  one->subscriber.connection = connection;
  vestry_err error = vsi_bus_subscribe(one->bus, (vestry_slice){one->topic, one->len}, &one->subscriber, NULL);
  if (!error) vsi_free(one->host, one);
  return error;
}

static void drop_subscription(vsi_attachment *attachment) {
  subscribing *one = (subscribing *)attachment;
  vsi_bus_call_over(&one->subscriber);
  vsi_free(one->host, one);
}

vestry_err vestry_reply_subscribe(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                  const vestry_subscriber *subscriber) {
  vsi_scoped_key name;
  vsi_bus *bus;
  vestry_err error = vsi_reply_pack(reply, &name, scope, key);
  if (error) return error;
  if (!subscriber || !subscriber->call || subscriber->connection)
    error = vsi_reply_refuse(reply, VESTRY_INVALID, "the subscriber has no function, or has a connection");
  if (!error) error = vsi_bus_use(reply->v, &bus);
  if (!error) error = vsi_bus_may_subscribe(bus);
  const size_t len = name.key->len;
  subscribing *one = error ? NULL : vsi_alloc(reply->host, sizeof *one + len);
  if (one) {
    *one = (subscribing){{.begin = begin_subscription, .drop = drop_subscription}, reply->host, bus, *subscriber, len};
    memcpy(one->topic, name.key->data, len);
  }
  vsi_scoped_key_finish(&name);
  return vsi_reply_attach(reply, error, one ? &one->attachment : NULL);
}
