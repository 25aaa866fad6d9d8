/* The life of a cluster, and its ties to the instance. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "bus/publish.h"
#include "cluster/cluster.h"
#include "instance/instance.h"
#include "page/secret.h"
#include "page/topic.h"
#include "presence/spread.h"
#include "registry/anywhere.h"

enum { SECRET_LEAST = 32, HEARTBEAT_MS = 250, SUSPECT_MS = 1000, DEAD_MS = 3000, ANSWER_MS = 1000, MOST_MS = 60000 };
#define INWARD_BYTES  ((size_t)16 << 20)
#define WAITING_COUNT ((size_t)65536)

/* -------------------------------------------------------------------------------------- ties to the instance ------ */

static vestry_err key_comes(const vestry_scoped_key *key, vestry_put_policy policy, void *ctx) {
  (void)policy;
  vestry_cluster *cluster = ctx;
  bool is_first;
  vestry_err error = vsi_keys_come(&cluster->keys, vsi_cluster_hash_key(cluster, key), &is_first);
  if (is_first) vsi_tell_soon(cluster);
  return error;
}

static void key_left(const vestry_scoped_key *key, vestry_handle handle, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  vsi_keys_leave(&cluster->keys, vsi_cluster_hash_key(cluster, key), handle, &is_first);
  if (is_first) vsi_tell_soon(cluster);
}

static void key_came(const vestry_scoped_key *key, vestry_put_policy policy, vestry_handle handle, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  if (!handle) {
    key_left(key, 0, ctx);
  } else if (policy == VESTRY_PUT_REPLACE) {
    vsi_keys_replaced(&cluster->keys, vsi_cluster_hash_key(cluster, key), handle, &is_first);
    if (is_first) vsi_tell_soon(cluster);
  }
}

static vestry_err channel_comes(const void *bytes, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  vestry_err error = vsi_keys_come(&cluster->keys, vsi_cluster_hash_channel(cluster, bytes, len), &is_first);
  if (is_first) vsi_tell_soon(cluster);
  return error;
}

static void channel_left(const void *bytes, size_t len, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  vsi_keys_leave(&cluster->keys, vsi_cluster_hash_channel(cluster, bytes, len), 0, &is_first);
  if (is_first) vsi_tell_soon(cluster);
}

static vestry_err broadcast(const vestry_scoped_key *name, vestry_event *event, void *ctx) {
  return vsi_tell_event(ctx, name, event);
}

/* As a rule, a hash, a clock and two loads. */
static bool is_shared(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  vsi_keys_hit(&cluster->keys, vsi_cluster_hash_key(cluster, key),
               host->coarse_ns ? host->coarse_ns(host->ctx) : vsi_now_ns(host));
  return atomic_load_explicit(&cluster->keys.shared_count, memory_order_seq_cst) > 0; /* see recount_locked in keys.c */
}

static bool is_held(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  return vsi_keys_others(&cluster->keys, vsi_cluster_hash_key(cluster, key)) != 0;
}

/* The next heartbeat comes at once: it says so. */
static void drains(void *ctx) {
  vestry_cluster *cluster = ctx;
  (void)vestry_timer_set(cluster->heartbeat, 0, cluster->heartbeat_ns / VSI_NS_PER_MS); /* CLOSED: the end */
}

/* Nothing has been stored or joined yet, and there is no other cluster. */
static vestry_err tie(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  vestry_store_stats stored = {0};
  vsi_channels_stats joined;
  vestry_store_stats_get(v->store, &stored);
  vsi_channels_stats_get(v->channels, &joined);
  if (stored.live_count || joined.live) return VESTRY_INVALID;
  cluster->elsewhere = (vsi_elsewhere){
      .is_shared = is_shared,
      .dispatch = vsi_ask_and_wait,
      .broadcast = broadcast,
      .is_held = is_held,
      .drains = drains,
      .claim = cluster->is_strict ? vsi_claims_begin : NULL,
      .claimed = cluster->is_strict ? vsi_claims_end : NULL,
      .ctx = cluster,
  };
  cluster->store_watch = (vsi_store_watch){key_comes, key_came, key_left, cluster};
  cluster->channels_watch = (vsi_channels_watch){channel_comes, channel_left, cluster};
  cluster->presence_watch = (vsi_presence_watch){vsi_guests_soon, vsi_guests_begin, vsi_guests_are_known, cluster};
  const vsi_elsewhere *none = NULL;
  /* release pairs with vsi_instance_elsewhere */
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &none, &cluster->elsewhere, memory_order_release,
                                               memory_order_relaxed))
    return VESTRY_EXISTS;
  cluster->is_tied = true;
  vsi_store_watch_set(v->store, &cluster->store_watch);
  vsi_channels_watch_set(v->channels, &cluster->channels_watch);
  vsi_presences_begin(v->presences, &cluster->presence_watch);
  if (cluster->pages) vsi_pages_tell(cluster->pages, vsi_tell_refresh, cluster);
  return VESTRY_OK;
}

static void untie(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  const vsi_elsewhere *own = &cluster->elsewhere;
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &own, NULL, memory_order_release, memory_order_relaxed))
    return;
  vsi_store_watch_set(v->store, NULL);
  vsi_channels_watch_set(v->channels, NULL);
  vsi_presences_end(v->presences);
  if (cluster->pages) vsi_pages_tell(cluster->pages, NULL, NULL);
}

/* ------------------------------------------------------------------------------------------------- its life ------- */

static void free_cluster(void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  for (size_t i = 0; i < cluster->allow_count; i++) vsi_free(host, cluster->allow[i]);
  vsi_free(host, cluster->allow);
  vsi_buffer_finish(&cluster->refreshes);
  for (size_t i = 0; i < cluster->peers_count; i++) vsi_digests_drop(cluster, &cluster->peers[i]);
  vsi_keys_finish(&cluster->keys);
  pthread_cond_destroy(&cluster->claimed);
  pthread_cond_destroy(&cluster->quiet);
  pthread_mutex_destroy(&cluster->lock);
  vsi_free(host, cluster);
}

/* From one secret several, by what they are for. */
static vsi_siphash_key derive(const vestry_cluster_options *options, uint64_t purpose) {
  vsi_hash_128 hash = vsi_siphash_128_of((vsi_siphash_key){purpose, 0}, options->secret, options->secret_len);
  return (vsi_siphash_key){hash.low, hash.high};
}

static vestry_err copy_allowed(vestry_cluster *cluster, const char *const *allow) {
  size_t count = 0;
  while (allow && allow[count]) count++;
  if (!count) return VESTRY_OK;
  cluster->allow = vsi_calloc(cluster->host, count, sizeof *cluster->allow);
  for (size_t i = 0; cluster->allow && i < count; i++) {
    cluster->allow[i] = vsi_strdup(cluster->host, allow[i], strlen(allow[i]));
    if (!cluster->allow[i]) return VESTRY_NO_MEMORY;
    cluster->allow_count++;
  }
  return cluster->allow ? VESTRY_OK : VESTRY_NO_MEMORY;
}

/* A tab that comes to another node is known there. */
static void share_secret(vestry_pages *pages, const vestry_cluster_options *options) {
  const vsi_siphash_key tags = derive(options, 5);
  vsi_pages_share_secret(pages, &tags, sizeof tags);
}

static void name_subjects(vestry_cluster *cluster, const vestry_cluster_options *options) {
  vsi_siphash_key subjects = derive(options, 4);
  cluster->subject_hash = subjects.k0;
  cluster->id = vsi_siphash_1_3(cluster->name_key, cluster->name, strlen(cluster->name));
  snprintf(cluster->all_subject, sizeof cluster->all_subject, "vestry.%016llx.all",
           (unsigned long long)cluster->subject_hash);
  vsi_members_subject_of(cluster, cluster->id, cluster->own_subject);
}

static uint64_t in_ns(uint32_t ms, uint32_t by_default) {
  return (ms ? ms : by_default) * VSI_NS_PER_MS;
}

static vestry_err take_options(vestry_cluster *cluster, const vestry_cluster_options *options) {
  memcpy(cluster->name, options->node, strlen(options->node) + 1);
  cluster->pages = options->pages;
  cluster->is_strict = options->strict;
  cluster->on_gap = options->on_gap;
  cluster->on_member = options->on_member;
  cluster->ctx = options->ctx;
  cluster->heartbeat_ns = in_ns(options->heartbeat_ms, HEARTBEAT_MS);
  cluster->suspect_ns = in_ns(options->suspect_ms, SUSPECT_MS);
  cluster->dead_ns = in_ns(options->dead_ms, DEAD_MS);
  cluster->answer_ns = in_ns(options->answer_ms, ANSWER_MS);
  cluster->max_inward_bytes = options->max_inward_bytes ? options->max_inward_bytes : INWARD_BYTES;
  cluster->max_waiting_count = options->max_waiting_count ? options->max_waiting_count : WAITING_COUNT;
  cluster->seal_key = derive(options, 1);
  cluster->hash_key = derive(options, 2);
  cluster->name_key = derive(options, 3);
  name_subjects(cluster, options);
  cluster->begun_ns = vsi_now_ns(cluster->host);
  cluster->proofs_before = 1;
  if (vsi_siphash_key_random(cluster->host, &cluster->challenge_key)) return VESTRY_IO;
  if (cluster->host->random(cluster->host->ctx, &cluster->epoch, sizeof cluster->epoch)) return VESTRY_IO;
  cluster->epoch |= 1; /* 0 is none */
  return copy_allowed(cluster, options->allow);
}

static vestry_err fill(vestry_cluster *cluster, const vestry_cluster_options *options) {
  vestry_err error = take_options(cluster, options);
  if (!error) error = vsi_keys_init(&cluster->keys, cluster->host);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_cluster_beat, cluster, &cluster->heartbeat);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_tell_due, cluster, &cluster->flush);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_asks_due, cluster, &cluster->deadline);
  if (error) return error;
  const vestry_actor_options actor = {
      .run = vsi_inward_run, .drop = vsi_inward_drop, .done = free_cluster, .ctx = cluster};
  return vestry_actor_create(cluster->runtime, &actor, &cluster->actor);
}

static vestry_err start(vestry_cluster *cluster) {
  const vestry_broker *broker = &cluster->broker;
  const vestry_broker_events events = {.on_message = vsi_cluster_heard, .on_state = vsi_cluster_state, .ctx = cluster};
  vestry_err error = broker->ops->subscribe(broker->broker, cluster->own_subject);
  if (!error) error = broker->ops->subscribe(broker->broker, cluster->all_subject);
  if (!error) error = broker->ops->start(broker->broker, &events);
  uint64_t heartbeat_ms = cluster->heartbeat_ns / VSI_NS_PER_MS;
  if (!error) error = vestry_timer_set(cluster->heartbeat, heartbeat_ms, heartbeat_ms);
  return error;
}

static bool make_sense(const vestry_cluster_options *options) {
  size_t len = options->node ? strnlen(options->node, VESTRY_NODE_MAX_BYTES + 1) : 0;
  uint64_t heartbeat_ns = in_ns(options->heartbeat_ms, HEARTBEAT_MS),
           suspect_ns = in_ns(options->suspect_ms, SUSPECT_MS);
  uint64_t dead_ns = in_ns(options->dead_ms, DEAD_MS);
  return len && len <= VESTRY_NODE_MAX_BYTES && options->secret && options->secret_len >= SECRET_LEAST &&
         heartbeat_ns < suspect_ns && suspect_ns < dead_ns && dead_ns <= MOST_MS * VSI_NS_PER_MS &&
         options->answer_ms <= MOST_MS;
}

vestry_err vestry_cluster_create(vestry *v, const vestry_broker *broker, const vestry_cluster_options *given,
                                 vestry_cluster **ret_cluster) {
  vestry_cluster_options options;
  if (!v || !broker || !broker->ops || !ret_cluster) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(options, given) || !VSI_OPS_ARE_KNOWN(broker->ops))
    return vsi_mistake(v->host, "vestry_cluster_create", "the options or the broker are of a later vestry");
  if (!make_sense(&options))
    return vsi_mistake(
        v->host, "vestry_cluster_create",
        "a node's name, a secret of 32 bytes or more, and heartbeat_ms < suspect_ms < dead_ms are wanted");
  if (options.strict && !broker->ops->claim) return VESTRY_UNSUPPORTED;
  vestry_cluster *cluster = vsi_calloc(v->host, 1, sizeof *cluster);
  if (!cluster) return VESTRY_NO_MEMORY;
  cluster->v = v;
  cluster->host = v->host;
  cluster->runtime = v->runtime;
  cluster->broker = *broker;
  pthread_mutex_init(&cluster->lock, NULL);
  pthread_cond_init(&cluster->quiet, NULL);
  pthread_cond_init(&cluster->claimed, NULL);
  vsi_buffer_init(&cluster->refreshes, cluster->host);
  vestry_err error = fill(cluster, &options);
  if (!error) error = tie(cluster);
  if (!error && cluster->pages) share_secret(cluster->pages, &options);
  if (!error) error = start(cluster);
  if (error) {
    vestry_cluster_destroy(cluster);
    return error;
  }
  *ret_cluster = cluster;
  return VESTRY_OK;
}

void vestry_cluster_destroy(vestry_cluster *cluster) {
  if (!cluster || vestry_is_forked(cluster->v)) return;
  vsi_cluster_lock(cluster);
  if (cluster->is_tied && !cluster->has_left && !cluster->is_refused) vsi_members_say_goodbye(cluster);
  cluster->has_ended = true;
  vsi_cluster_unlock(cluster);
  untie(cluster);
  vsi_asks_end(cluster, VESTRY_CLOSED);
  cluster->broker.ops->stop(cluster->broker.broker);
  vestry_timer_destroy(cluster->heartbeat);
  vestry_timer_destroy(cluster->flush);
  vestry_timer_destroy(cluster->deadline);
  vsi_cluster_lock(cluster);
  while (cluster->is_running) pthread_cond_wait(&cluster->quiet, &cluster->lock);
  vsi_cluster_unlock(cluster);
  if (cluster->actor)
    vestry_actor_unref(cluster->actor);
  else
    free_cluster(cluster);
}

/* --------------------------------------------------------------------------------------------- what it is told ---- */

/* What came of it here is all there is. */
static void answer_now(vestry_answer_fn on_answer, vestry_err error, uint32_t count, void *ctx) {
  vsi_cluster_inside++;
  if (on_answer) on_answer(error, count, ctx);
  vsi_cluster_inside--;
}

static vestry_err dispatch(vestry_cluster *cluster, const vestry_scoped_key *key, json_t *effects,
                           const vestry_dispatch_options *options, vestry_answer_fn on_answer, void *ctx) {
  vestry_dispatch_result here = {0};
  vestry_err error = vsi_dispatch_here(cluster->v, key, effects, options, &here);
  bool is_found = here.connections_count > 0;
  if (error == VESTRY_CLOSED && !is_found) return error;
  if (options->only_here || (is_found ? !is_shared(key, cluster) : error != VESTRY_NOT_FOUND)) {
    answer_now(on_answer, error, here.connections_count, ctx);
    return VESTRY_OK;
  }
  const vsi_asking asking = {
      .key = key,
      .effects = effects,
      .data = options->data,
      .is_found = is_found,
      .is_fail_fast = options->fail_fast,
      .count = here.connections_count,
      .error = is_found ? error : VESTRY_OK,
      .on_answer = on_answer,
      .ctx = ctx,
  };
  return vsi_ask_begin(cluster, &asking, NULL);
}

vestry_err vestry_cluster_dispatch(vestry_cluster *cluster, json_t *effects, const vestry_dispatch_options *given,
                                   vestry_answer_fn on_answer, void *ctx) {
  vestry_dispatch_options options;
  if (!cluster || !json_is_array(effects) || VSI_OPTIONS_TAKE(options, given)) return VESTRY_INVALID;
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
  vsi_wire_end(&buffer);
  vsi_cluster_lock(cluster);
  vestry_err error = vsi_peers_send(cluster, vsi_members_alive(cluster), &buffer, VSI_WIRE_PUBLISH, 0, true);
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

/* --------------------------------------------------------------------------------------------- what it is asked --- */

static vestry_member_state own_state(const vestry_cluster *cluster) {
  if (cluster->is_refused) return VESTRY_MEMBER_REFUSED;
  if (cluster->has_left) return VESTRY_MEMBER_LEFT;
  return vsi_instance_is_draining(cluster->v) ? VESTRY_MEMBER_DRAINING : VESTRY_MEMBER_ALIVE;
}

vestry_member_state vestry_cluster_member(vestry_cluster *cluster, const char *node) {
  vestry_member_state state = VESTRY_MEMBER_NONE;
  if (!cluster || !node) return state;
  vsi_cluster_lock(cluster);
  if (strcmp(node, cluster->name) == 0) state = own_state(cluster);
  for (size_t i = 0; i < cluster->peers_count && state == VESTRY_MEMBER_NONE; i++)
    if (strcmp(node, cluster->peers[i].name) == 0) state = cluster->peers[i].state;
  vsi_cluster_unlock(cluster);
  return state;
}

vestry_err vestry_cluster_holders(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                  size_t *ret_count) {
  if (!cluster || !ret_count) return VESTRY_INVALID;
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(cluster->v->store, &name, scope, key);
  if (error) return error;
  *ret_count = vsi_keys_holders(&cluster->keys, vsi_cluster_hash_key(cluster, &name.key));
  vsi_scoped_key_finish(&name);
  return VESTRY_OK;
}

void vestry_cluster_stats_get(vestry_cluster *cluster, vestry_cluster_stats *ret_stats) {
  uint64_t sum, count;
  vsi_cluster_lock(cluster);
  vestry_cluster_stats stats = cluster->stats;
  stats.alive_count = (size_t)__builtin_popcountll(vsi_members_alive(cluster));
  stats.unsynced_count = (size_t)__builtin_popcountll(vsi_members_unsynced(cluster));
  vsi_keys_told_sum(&cluster->keys, &stats.keys_count, &sum);
  for (unsigned i = 0; i < cluster->peers_count; i++) {
    vsi_keys_sum_of(&cluster->keys, i, &count, &sum);
    stats.others_keys_count += count;
  }
  vsi_presences_sum(cluster->v->presences, &stats.present_count, &sum);
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i])) stats.others_present_count += cluster->peers[i].guests_count;
  stats.keys_bytes = vsi_keys_memory_bytes(&cluster->keys);
  stats.inward_bytes = atomic_load_explicit(&cluster->inward_bytes, memory_order_relaxed);
  vsi_cluster_unlock(cluster);
  VSI_RESULT_GIVE(ret_stats, stats);
}
