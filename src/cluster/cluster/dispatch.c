/* SPDX-License-Identifier: MIT */
#include "cluster/cluster/dispatch.h"

#include "app/bus/publish.h"
#include "base/memory.h"
#include "base/options.h"
#include "cluster/cluster/ask.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/letter.h"
#include "cluster/cluster/peers.h"
#include "registry/dispatch.h"

/* As a rule, a hash, a clock and two loads. */
bool vsi_dispatch_is_shared(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  vsi_keys_hit(&cluster->keys, vsi_cluster_hash_key(cluster, key),
               host->coarse_ns ? host->coarse_ns(host->ctx) : vsi_now_ns(host));
  return atomic_load_explicit(&cluster->keys.shared_count, memory_order_seq_cst) > 0; /* see recount_locked in keys.c */
}

vestry_err vsi_dispatch_to_others(const vestry_scoped_key *key, json_t *effects, const vestry_dispatch_options *options,
                                  bool is_found, uint32_t *ret_count, void *cluster) {
  const vsi_asking asking = {
      .key = key, .effects = effects, .data = options->data, .is_found = is_found, .is_fail_fast = options->fail_fast};
  return vsi_ask_wait(cluster, &asking, ret_count);
}

static vestry_err dispatch(vestry_cluster *cluster, const vestry_scoped_key *key, json_t *effects,
                           const vestry_dispatch_options *options, vestry_answer_fn on_answer, void *ctx) {
  uint32_t here;
  vestry_err error = vsi_dispatch_here(cluster->v, key, effects, options, false, NULL, &here);
  bool is_found = here > 0;
  if (error == VESTRY_CLOSED && !is_found) return error;
  if (options->only_here || (is_found ? !vsi_dispatch_is_shared(key, cluster) : error != VESTRY_NOT_FOUND)) {
    vsi_ask_answer(on_answer, error, here, ctx);
    return VESTRY_OK;
  }
  const vsi_asking asking = {
      .key = key,
      .effects = effects,
      .data = options->data,
      .is_found = is_found,
      .is_fail_fast = options->fail_fast,
      .count = here,
      .error = is_found ? error : VESTRY_OK,
      .on_answer = on_answer,
      .ctx = ctx,
  };
  return vsi_ask_begin(cluster, &asking, NULL);
}

vestry_err vestry_cluster_dispatch(vestry_cluster *cluster, json_t *effects, const vestry_dispatch_options *given,
                                   vestry_answer_fn on_answer, void *ctx) {
  vestry_dispatch_options options;
  if (!cluster || !json_is_array(effects) || VSI_OPTIONS_TAKE(vestry_dispatch_options, options, given))
    return VESTRY_INVALID;
  if (!options.key || options.connection || (options.data && !json_is_object(options.data))) return VESTRY_INVALID;
  options.results = NULL;
  vsi_scoped_key key;
  vestry_err error = vsi_store_pack(cluster->v->store, &key, options.scope, options.key);
  if (error) return error;
  error = dispatch(cluster, &key.key, effects, &options, on_answer, ctx);
  vsi_scoped_key_finish(&key);
  return error;
}

static vestry_err publish(vestry_cluster *cluster, const vestry_scoped_key *key, const void *data, size_t len) {
  vsi_buffer buffer;
  vsi_wire_begin(&buffer, cluster->host);
  vsi_wire_put_name(&buffer, vsi_cluster_name_of(key));
  vsi_buffer_append(&buffer, data, len);
  uint8_t flags = vsi_wire_put_trace(&buffer, vsi_trace_carried(cluster->host));
  vsi_wire_end(&buffer);
  vsi_cluster_lock(cluster);
  vestry_err error = vsi_letter_send_all(cluster, vsi_peers_alive(cluster), &buffer, VSI_WIRE_PUBLISH, flags, true);
  vsi_cluster_unlock(cluster);
  vsi_buffer_finish(&buffer);
  vestry_err here = vsi_publish_here(cluster->v, key, data, len);
  return here && here != VESTRY_NOT_FOUND ? here : error;
}

vestry_err vestry_cluster_publish(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key, const void *data,
                                  size_t len) {
  if (!cluster || (len && !data)) return VESTRY_INVALID;
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(cluster->v->store, &name, scope, key);
  if (error) return error;
  error = publish(cluster, &name.key, data, len);
  vsi_scoped_key_finish(&name);
  return error;
}
