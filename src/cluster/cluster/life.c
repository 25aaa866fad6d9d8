/* SPDX-License-Identifier: MIT */
/* How a cluster is made and ended. */
#include <stdio.h>
#include <string.h>

#include "app/page/secret.h"
#include "app/presence/spread.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "cluster/cluster/ask.h"
#include "cluster/cluster/beat.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/digest.h"
#include "cluster/cluster/hearing.h"
#include "cluster/cluster/inward.h"
#include "cluster/cluster/letter.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/renewals.h"
#include "cluster/cluster/tell.h"
#include "cluster/cluster/ties.h"

enum { SECRET_LEAST = 32, HEARTBEAT_MS = 250, SUSPECT_MS = 1000, DEAD_MS = 3000, ANSWER_MS = 1000, MOST_MS = 60000 };
#define INWARD_BYTES  ((size_t)16 << 20)
#define WAITING_COUNT ((size_t)65536)

static void free_cluster(void *ctx) {
  vestry_cluster *cluster = ctx;
  const vestry_host *host = cluster->host;
  for (size_t i = 0; i < cluster->allow_count; i++) vsi_free(host, cluster->allow[i]);
  vsi_free(host, cluster->allow);
  vsi_buffer_finish(&cluster->refreshes);
  for (size_t i = 0; i < cluster->peers_count; i++) vsi_digests_drop(cluster, &cluster->peers[i]);
  vsi_asks_free(cluster);
  vsi_renewals_finish(cluster);
  vsi_keys_finish(&cluster->keys);
  pthread_cond_destroy(&cluster->reserved);
  pthread_cond_destroy(&cluster->quiet);
  vsi_mutex_finish(&cluster->lock);
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
  vsi_letter_subject(cluster, cluster->id, cluster->own_subject);
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
  cluster->max_remote_bytes = options->max_remote_bytes ? options->max_remote_bytes : INWARD_BYTES;
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
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_beat_due, cluster, &cluster->heartbeat);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_tell_due, cluster, &cluster->flush);
  if (!error) error = vestry_timer_create(cluster->runtime, vsi_asks_due, cluster, &cluster->deadline);
  if (!error) error = vsi_renewals_init(cluster, derive(options, 6));
  if (error) return error;
  const vestry_actor_options actor = {
      .run = vsi_inward_run, .drop = vsi_inward_drop, .done = free_cluster, .ctx = cluster};
  return vestry_actor_create(cluster->runtime, &actor, &cluster->actor);
}

static vestry_err start(vestry_cluster *cluster) {
  const vestry_broker *broker = &cluster->broker;
  const vestry_broker_events events = {.on_message = vsi_cluster_heard, .on_state = vsi_cluster_state, .ctx = cluster};
  const char *const subjects[] = {cluster->own_subject, cluster->all_subject};
  vestry_err error = broker->ops->start(broker->broker, subjects, sizeof subjects / sizeof *subjects, &events);
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
  if (VSI_OPTIONS_TAKE(vestry_cluster_options, options, given) || !VSI_OPS_ARE_KNOWN(vestry_broker_ops, broker->ops))
    return vsi_mistake(v->host, "vestry_cluster_create", "the options or the broker are of a later vestry");
  if (!make_sense(&options))
    return vsi_mistake(
        v->host, "vestry_cluster_create",
        "a node's name, a secret of 32 bytes or more, and heartbeat_ms < suspect_ms < dead_ms are wanted");
  if (options.strict && !broker->ops->reserve) return VESTRY_UNSUPPORTED;
  vestry_cluster *cluster = vsi_calloc(v->host, 1, sizeof *cluster);
  if (!cluster) return VESTRY_NO_MEMORY;
  cluster->v = v;
  cluster->host = v->host;
  cluster->runtime = v->runtime;
  cluster->broker = *broker;
  vsi_mutex_init(&cluster->lock, VSI_LOCK_CLUSTER);
  pthread_cond_init(&cluster->quiet, NULL);
  pthread_cond_init(&cluster->reserved, NULL);
  vsi_buffer_init(&cluster->refreshes, cluster->host);
  vsi_ring_init(&cluster->asked);
  vestry_err error = vsi_presences_use(v, &cluster->presences);
  if (!error) error = fill(cluster, &options);
  if (!error) error = vsi_ties_make(cluster);
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
  vsi_ties_end(cluster);
  vsi_asks_end(cluster, VESTRY_CLOSED);
  cluster->broker.ops->stop(cluster->broker.broker);
  vestry_timer_destroy(cluster->heartbeat);
  vestry_timer_destroy(cluster->flush);
  vestry_timer_destroy(cluster->deadline);
  vsi_renewals_stop(cluster);
  vsi_cluster_lock(cluster);
  while (cluster->is_running) vsi_mutex_wait(&cluster->lock, &cluster->quiet);
  vsi_cluster_unlock(cluster);
  if (cluster->actor)
    vestry_actor_unref(cluster->actor);
  else
    free_cluster(cluster);
}
