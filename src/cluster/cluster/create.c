/* SPDX-License-Identifier: MIT */
/* The public functions of a cluster, except dispatch and publish; its hooks in the instance. */
#include "cluster/cluster/cluster.h"

#include <stdio.h>
#include <string.h>

#include "app/page/topic.h"
#include "app/presence/spread.h"
#include "app/session/seal.h"
#include "base/log.h"
#include "base/memory.h"
#include "cluster/cluster/announcements.h"
#include "cluster/cluster/heartbeat.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "cluster/cluster/remote_request.h"
#include "cluster/cluster/renewals.h"
#include "cluster/cluster/served_requests.h"

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
    if (strcmp(node, cluster->peers[i]->name) == 0) state = cluster->peers[i]->state;
  vsi_cluster_unlock(cluster);
  return state;
}

static void describe(const vestry_cluster *cluster, const char *name, vestry_member_state state, const vsi_gaps *gaps,
                     vsi_cluster_member *member) {
  const uint64_t now_ns = vsi_now_ns(cluster->host);
  strcpy(member->node, name);
  member->state = state;
  member->gaps_count = gaps->count;
  member->lost_count = gaps->lost_count;
  member->gap_ago_ms = gaps->count ? (now_ns - gaps->last_ns) / VSI_NS_PER_MS : VESTRY_NEVER_MS;
}

vestry_err vsi_cluster_members(vestry_cluster *cluster, vsi_cluster_member_fn fn, void *ctx) {
  const vestry_host *host = cluster->v->host;
  vsi_cluster_member *members = vsi_calloc(host, VESTRY_CLUSTER_MAX_COUNT, sizeof *members);
  size_t count = 0;
  if (!members) return VESTRY_NO_MEMORY;
  vsi_cluster_lock(cluster);
  describe(cluster, cluster->name, own_state(cluster), &cluster->own_gaps, &members[count++]);
  for (const vsi_peer *peer; count <= cluster->peers_count; count++) {
    peer = cluster->peers[count - 1];
    describe(cluster, peer->name, peer->state, &peer->gaps, &members[count]);
  }
  vsi_cluster_unlock(cluster);
  for (size_t i = 0; i < count; i++) fn(&members[i], ctx);
  vsi_free(host, members);
  return VESTRY_OK;
}

void vestry_cluster_stats_get(vestry_cluster *cluster, vestry_cluster_stats *ret_stats) {
  uint64_t sum, count;
  vsi_cluster_lock(cluster);
  vestry_cluster_stats stats = cluster->stats;
  const vsi_bits unsynced = vsi_peers_unsynced(cluster);
  stats.alive_count = vsi_bits_count(&cluster->alive);
  stats.unsynced_count = vsi_bits_count(&unsynced);
  vsi_keys_sum_of(&cluster->keys, VSI_KEYS_OWN, &stats.keys_count, &sum);
  for (unsigned i = 0; i < cluster->peers_count; i++) {
    vsi_keys_sum_of(&cluster->keys, i, &count, &sum);
    stats.others_keys_count += count;
  }
  stats.keys_bytes = vsi_keys_memory_bytes(&cluster->keys);
  stats.remote_bytes = atomic_load_explicit(&cluster->remote_bytes, memory_order_relaxed);
  vsi_cluster_unlock(cluster);
  if (ret_stats) *ret_stats = stats;
}

/* Hooks in the instance: functions that the instance calls for other nodes, and watches of its store, channels and
 * presences. */

/* Let a change of a key be announced. Channels do not wait for long, because a node that joins one late has a gap. */
static void announce(vestry_cluster *cluster, uint64_t hash, bool is_first) {
  if (!is_first) return;
  if (hash & VSI_KEYS_CHANNEL)
    vsi_cluster_announce_soon(cluster);
  else
    vsi_cluster_announce_keys(cluster);
}

static vestry_err come(vestry_cluster *cluster, uint64_t hash) {
  bool is_first;
  vestry_err error = vsi_keys_come(&cluster->keys, hash, &is_first);
  announce(cluster, hash, is_first);
  return error;
}

static void leave(vestry_cluster *cluster, uint64_t hash, vestry_handle handle) {
  bool is_first;
  vsi_keys_leave(&cluster->keys, hash, handle, &is_first);
  announce(cluster, hash, is_first);
}

static vestry_err key_comes(const vestry_scoped_key *key, vestry_keep_policy policy, void *cluster) {
  (void)policy;
  return come(cluster, vsi_cluster_hash_key(cluster, key));
}

static void key_left(const vestry_scoped_key *key, vestry_handle handle, void *cluster) {
  leave(cluster, vsi_cluster_hash_key(cluster, key), handle);
}

static void key_came(const vestry_scoped_key *key, vestry_keep_policy policy, vestry_handle handle, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  if (!handle) {
    key_left(key, 0, ctx);
  } else if (policy == VESTRY_KEEP_REPLACE) {
    const uint64_t hash = vsi_cluster_hash_key(cluster, key);
    vsi_keys_replaced(&cluster->keys, hash, handle, &is_first);
    announce(cluster, hash, is_first);
  }
}

static vestry_err channel_comes(const void *bytes, size_t len, void *cluster) {
  return come(cluster, vsi_cluster_hash_channel(cluster, bytes, len));
}

static void channel_left(const void *bytes, size_t len, void *cluster) {
  leave(cluster, vsi_cluster_hash_channel(cluster, bytes, len), 0);
}

static bool is_held(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  const vsi_bits others = vsi_keys_others(&cluster->keys, vsi_cluster_hash_key(cluster, key));
  return !vsi_bits_is_empty(&others);
}

/* Send the next heartbeat at once, because it has the flag DRAINS. */
static void drains(void *ctx) {
  vestry_cluster *cluster = ctx;
  (void)vestry_timer_set(cluster->heartbeat, 0, cluster->heartbeat_ns / VSI_NS_PER_MS); /* CLOSED: stopping */
}

static void presence_waits(void *cluster) {
  vsi_cluster_announce_soon(cluster);
}

/* Request full announcements, because a new presence has missed earlier ones. */
static void presence_begins(void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) vsi_peer_must_sync(cluster->peers[i]);
  vsi_cluster_unlock(cluster);
}

static bool presence_is_known(void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  const vsi_bits unsynced = vsi_peers_unsynced(cluster);
  bool are = vsi_peers_are_known(cluster) && vsi_bits_is_empty(&unsynced);
  vsi_cluster_unlock(cluster);
  return are;
}

/* Set the hooks, if nothing was stored or joined yet and the instance has no other cluster. OK | INVALID | EXISTS */
static vestry_err hooks_add(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  vestry_store_stats stored = {0};
  vsi_channels_stats joined;
  vestry_store_stats_get(v->store, &stored);
  vsi_channels_stats_get(v->channels, &joined);
  if (stored.live_count || joined.live_count)
    return vsi_mistake(v->host, "vestry_cluster_create",
                       "the instance already has streams or channels; create the cluster before the server");
  cluster->elsewhere = (vsi_elsewhere){
      .is_shared = vsi_dispatch_is_shared,
      .dispatch = vsi_dispatch_to_others,
      .broadcast = vsi_announce_event,
      .is_held = is_held,
      .drains = drains,
      .address = vsi_renewals_address,
      .renew = vsi_renewals_add,
      .ctx = cluster,
  };
  cluster->store_watch = (vsi_store_watch){key_comes, key_came, key_left, cluster};
  cluster->channels_watch = (vsi_channels_watch){channel_comes, channel_left, cluster};
  cluster->presence_watch =
      (vsi_presence_watch){presence_waits, presence_begins, presence_is_known, vsi_presences_fit, cluster};
  const vsi_elsewhere *none = NULL;
  /* release pairs with vsi_instance_elsewhere */
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &none, &cluster->elsewhere, memory_order_release,
                                               memory_order_relaxed)) {
    vsi_log_mistake(v->host, "vestry_cluster_create", "the instance is in a cluster already; destroy that one first");
    return VESTRY_EXISTS;
  }
  cluster->has_hooks = true;
  vsi_store_watch_set(v->store, &cluster->store_watch);
  vsi_channels_watch_set(v->channels, &cluster->channels_watch);
  vsi_presences_begin(cluster->presences, &cluster->presence_watch);
  if (cluster->pages) vsi_pages_set_refreshed(cluster->pages, vsi_announce_refresh, cluster);
  return VESTRY_OK;
}

static void hooks_remove(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  const vsi_elsewhere *own = &cluster->elsewhere;
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &own, NULL, memory_order_release, memory_order_relaxed))
    return;
  vsi_store_watch_set(v->store, NULL);
  vsi_channels_watch_set(v->channels, NULL);
  vsi_presences_end(cluster->presences);
  if (cluster->pages) vsi_pages_set_refreshed(cluster->pages, NULL, NULL);
}

/* Creation and destruction. */

enum { SECRET_LEAST = 32, HEARTBEAT_MS = 250, DEAD_MS = 3000, ANSWER_MS = 1000, MOST_MS = 60000 };
#define INWARD_BYTES  ((size_t)16 << 20)
#define WAITING_COUNT ((size_t)65536)

static void free_cluster(void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  for (size_t i = 0; i < cluster->allow_count; i++) vsi_free(host, cluster->allow[i]);
  vsi_free(host, cluster->allow);
  vsi_buffer_finish(&cluster->refreshes);
  vsi_announcements_drop(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) vsi_free(host, cluster->peers[i]);
  vsi_map_finish(&cluster->requests, host);
  vsi_map_finish(&cluster->lines, host);
  vsi_keys_finish(&cluster->keys);
  pthread_cond_destroy(&cluster->quiet);
  vsi_mutex_finish(&cluster->lock);
  vsi_free(host, cluster);
}

/* Derive a key for one purpose from the secret. */
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

/* Derive the key of the pages' tags, so that a tab's tag is valid on every node. */
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
  vsi_message_subject(cluster, cluster->id, cluster->own_subject);
}

static uint64_t in_ns(uint32_t ms, uint32_t by_default) {
  return (ms ? ms : by_default) * VSI_NS_PER_MS;
}

static vestry_err take_options(vestry_cluster *cluster, const vestry_cluster_options *options) {
  memcpy(cluster->name, options->node, strlen(options->node) + 1);
  cluster->pages = options->pages;
  cluster->on_gap = options->on_gap;
  cluster->on_member = options->on_member;
  cluster->ctx = options->ctx;
  cluster->heartbeat_ns = in_ns(options->heartbeat_ms, HEARTBEAT_MS);
  cluster->dead_ns = in_ns(options->dead_ms, DEAD_MS);
  cluster->suspect_ns = cluster->dead_ns / 3;
  cluster->answer_ns = in_ns(options->answer_ms, ANSWER_MS);
  cluster->max_remote_bytes = options->max_remote_bytes ? options->max_remote_bytes : INWARD_BYTES;
  cluster->max_waiting_count = options->max_waiting_count ? options->max_waiting_count : WAITING_COUNT;
  cluster->seal_key = derive(options, 1);
  cluster->hash_key = derive(options, 2);
  cluster->name_key = derive(options, 3);
  cluster->renewals.key = derive(options, 6);
  name_subjects(cluster, options);
  cluster->begun_ns = cluster->beat_ns = vsi_now_ns(cluster->host);
  cluster->proofs_before = 1;
  cluster->peers_most = VSI_NODES_MAX;
  if (vsi_siphash_key_random(cluster->host, &cluster->challenge_key)) return VESTRY_IO;
  if (cluster->host->random(cluster->host->ctx, &cluster->epoch, sizeof cluster->epoch)) return VESTRY_IO;
  cluster->epoch |= 1; /* not 0, which means none */
  return copy_allowed(cluster, options->allow);
}

static vestry_err fill(vestry_cluster *cluster, const vestry_cluster_options *options) {
  vestry_err error = take_options(cluster, options);
  if (!error) error = vsi_keys_init(&cluster->keys, cluster->host);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_heartbeat_due, cluster, &cluster->heartbeat);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_announce_due, cluster, &cluster->flush);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_announce_due, cluster, &cluster->keys_flush);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_remote_requests_due, cluster, &cluster->deadline);
  if (!error)
    error = vestry_timer_create(cluster->runtime, vsi_remote_questions_due, cluster, &cluster->question_timer);
  if (error) return error;
  const vestry_actor_options actor = {
      .run = vsi_served_run, .drop = vsi_served_drop, .done = free_cluster, .ctx = cluster};
  return vestry_actor_create(cluster->runtime, &actor, &cluster->actor);
}

static vestry_err start(vestry_cluster *cluster) {
  const vestry_broker *broker = &cluster->broker;
  const vestry_broker_events events = {
      .on_message = vsi_cluster_received, .on_state = vsi_cluster_state, .ctx = cluster};
  const char *const subjects[] = {cluster->own_subject, cluster->all_subject};
  vestry_err error = broker->ops->start(broker->broker, subjects, sizeof subjects / sizeof *subjects, &events);
  uint64_t heartbeat_ms = cluster->heartbeat_ns / VSI_NS_PER_MS;
  if (!error) error = vestry_timer_set(cluster->heartbeat, heartbeat_ms, heartbeat_ms);
  return error;
}

static bool make_sense(const vestry_cluster_options *options) {
  size_t len = options->node ? strnlen(options->node, VESTRY_NODE_MAX_BYTES + 1) : 0;
  const uint64_t dead_ns = in_ns(options->dead_ms, DEAD_MS);
  return len && len <= VESTRY_NODE_MAX_BYTES && options->secret && options->secret_len >= SECRET_LEAST &&
         in_ns(options->heartbeat_ms, HEARTBEAT_MS) < dead_ns / 3 && dead_ns <= MOST_MS * VSI_NS_PER_MS &&
         options->answer_ms <= MOST_MS;
}

vestry_err vestry_cluster_create(vestry *v, const vestry_broker *broker, const vestry_cluster_options *given,
                                 vestry_cluster **ret_cluster) {
  if (!v) return VESTRY_INVALID;
  if (!broker || !broker->ops || !ret_cluster)
    return vsi_mistake(v->host, "vestry_cluster_create", "the broker, its functions or ret_cluster is NULL");
  vestry_cluster_options options = given ? *given : (vestry_cluster_options){0};
  unsigned char derived[SECRET_LEAST];
  if (!options.secret && !options.secret_len && vsi_seals_derive(v, "vestry cluster", derived))
    options.secret = derived, options.secret_len = sizeof derived;
  if (!make_sense(&options))
    return vsi_mistake(v->host, "vestry_cluster_create",
                       "a node's name, a secret of at least 32 bytes (here or by vestry_secret_set), and heartbeat_ms "
                       "of less than a third of dead_ms are required");
  vestry_cluster *cluster = vsi_calloc(v->host, 1, sizeof *cluster);
  if (!cluster) return VESTRY_NO_MEMORY;
  cluster->v = v;
  cluster->host = v->host;
  cluster->runtime = v->runtime;
  cluster->broker = *broker;
  cluster->finish = vsi_remote_requests_finish;
  vsi_mutex_init(&cluster->lock, VSI_LOCK_CLUSTER);
  pthread_cond_init(&cluster->quiet, NULL);
  vsi_buffer_init(&cluster->refreshes, cluster->host);
  STAILQ_INIT(&cluster->announcements.waiting);
  atomic_init(&cluster->keys_ms, VSI_FLUSH_MS);
  vsi_ring_init(&cluster->remote_requests);
  vsi_ring_init(&cluster->questions);
  vestry_err error = vsi_presences_use(v, &cluster->presences);
  if (!error) error = fill(cluster, &options);
  if (!error) error = hooks_add(cluster);
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
  if (cluster->has_hooks && !cluster->has_left && !cluster->is_refused) vsi_members_send_goodbye(cluster);
  cluster->has_ended = true;
  vsi_cluster_unlock(cluster);
  hooks_remove(cluster);
  vsi_remote_requests_end(cluster, VESTRY_CLOSED);
  cluster->broker.ops->stop(cluster->broker.broker);
  vestry_timer_destroy(cluster->heartbeat);
  vestry_timer_destroy(cluster->flush);
  vestry_timer_destroy(cluster->keys_flush);
  vestry_timer_destroy(cluster->deadline);
  vestry_timer_destroy(cluster->question_timer);
  vsi_cluster_lock(cluster);
  while (cluster->is_running) vsi_mutex_wait(&cluster->lock, &cluster->quiet);
  vsi_cluster_unlock(cluster);
  if (cluster->actor)
    vestry_actor_unref(cluster->actor);
  else
    free_cluster(cluster);
}
