/* SPDX-License-Identifier: MIT */
/* Topics by key: the instance's bus, whose topics are packed names. */
#include "bus/publish.h"

#include "base/memory.h"
#include "bus/bus.h"
#include "channel/name.h"
#include "instance/elsewhere.h"

static vestry_slice bytes_of(const vsi_scoped_key *name) {
  return (vestry_slice){name->key.data, name->key.len};
}

vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key, const vestry_subscriber *subscriber,
                            vestry_subscription **ret_subscription) {
  vsi_scoped_key name;
  if (!v) return VESTRY_INVALID;
  vestry_err error = vsi_name_pack(v, &name, scope, key);
  if (error) return error;
  error = vsi_bus_subscribe(v->bus, bytes_of(&name), subscriber, ret_subscription);
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
  vestry_err error = vsi_bus_publish(v->bus, (vestry_slice){name->data, name->len}, &message, ret_count);
  vsi_inside_end(&inside);
  return error;
}

vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                          size_t *ret_count) {
  vsi_scoped_key name;
  size_t count;
  if (!v) return VESTRY_INVALID;
  vestry_err error = vsi_name_pack(v, &name, scope, key);
  if (error) return error;
  error = publish(v, &name.key, data, len, &count);
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
  vsi_bus_stats_get(v->bus, ret_stats);
}
