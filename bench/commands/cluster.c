/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef BENCH_NATS
#include <vestry/cluster/nats.h>
#endif

struct bench_cluster {
  vestry_broker broker;
  vestry_cluster *cluster;
};

#ifdef BENCH_NATS
vestry_err bench_cluster_create(vestry *v, const char *url, const char *node, vestry_pages *pages,
                                bench_cluster **ret_cluster) {
  static const char secret[] = "the same for all nodes of a bench";
  static const char *const allow[] = {"patch-signals", NULL};
  bench_cluster *made = calloc(1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_err error = vestry_nats_create(&(vestry_nats_options){.servers = &url, .servers_count = 1}, &made->broker);
  const vestry_cluster_options options = {
      .node = node ? node : "bench", .secret = secret, .secret_len = sizeof secret, .pages = pages, .allow = allow};
  if (!error) error = vestry_cluster_create(v, &made->broker, &options, &made->cluster);
  if (error)
    bench_cluster_destroy(made);
  else
    *ret_cluster = made;
  return error;
}
#else
vestry_err bench_cluster_create(vestry *v, const char *url, const char *node, vestry_pages *pages,
                                bench_cluster **ret_cluster) {
  (void)v, (void)url, (void)node, (void)pages, (void)ret_cluster;
  return VESTRY_UNSUPPORTED;
}
#endif

void bench_cluster_destroy(bench_cluster *cluster) {
  if (!cluster) return;
  vestry_cluster_destroy(cluster->cluster);
  if (cluster->broker.ops) cluster->broker.ops->destroy(cluster->broker.broker);
  free(cluster);
}

vestry_cluster *bench_cluster_of(const bench_cluster *cluster) {
  return cluster->cluster;
}

json_t *bench_cluster_stats(const bench_cluster *cluster) {
  vestry_cluster_stats s = {0};
  vestry_cluster_stats_get(cluster->cluster, &s);
  const struct {
    const char *name;
    uint64_t number;
  } fields[] = {{"alive", s.alive_count},
                {"unsynced", s.unsynced_count},
                {"keys", s.keys_count},
                {"others_keys", s.others_keys_count},
                {"keys_bytes", s.keys_bytes},
                {"remote_requests", s.remote_requests_count},
                {"ok", s.ok_count},
                {"not_found", s.not_found_count},
                {"timeout", s.timeout_count},
                {"unsent", s.unsent_count},
                {"refused", s.refused_count},
                {"waiting", s.waiting_count},
                {"answered", s.answered_count},
                {"sent", s.sent_count},
                {"send_failed", s.send_failed_count},
                {"received", s.received_count},
                {"taken", s.taken_count},
                {"duplicates", s.duplicates_count},
                {"malformed", s.malformed_count},
                {"stale", s.stale_count},
                {"gaps", s.gaps_count},
                {"lost", s.lost_count},
                {"over_budget", s.over_budget_count},
                {"inward_bytes", s.remote_bytes},
                {"replaced", s.replaced_count}};
  json_t *object = json_object();
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    json_object_set_new(object, fields[i].name, json_integer((json_int_t)fields[i].number));
  return object;
}

vestry_err bench_cluster_answer(vestry_reply *reply, vestry_err error, uint32_t count) {
  char number[16];
  snprintf(number, sizeof number, "%" PRIu32, count);
  vestry_err failed = vestry_reply_header(reply, "Vestry-Delivered", number);
  if (failed) return failed;
  return vestry_reply_status(reply, !error                      ? 204
                                    : error == VESTRY_NOT_FOUND ? 404
                                    : error == VESTRY_TIMEOUT   ? 504
                                                                : 503);
}
