/* SPDX-License-Identifier: MIT */
/* A process of an application in a cluster. */
#include "vestry/cluster/nats.h"

vestry_err vestry_nats_join(vestry_application *app, void *ctx) {
  vestry_nats_node *node = ctx;
  if (!node->name) return VESTRY_OK;
  vestry_nats_options nats = node->nats ? *node->nats : (vestry_nats_options){0};
  vestry_cluster_options options = node->other ? *node->other : (vestry_cluster_options){0};
  if (node->url) nats.servers = &node->url, nats.servers_count = 1;
  if (!nats.name) nats.name = node->name;
  options.node = node->name;
  options.pages = app->pages;
  vestry_err error = vestry_nats_create(&nats, &node->broker);
  return error ? error : vestry_cluster_create(app->instance, &node->broker, &options, &node->cluster);
}

void vestry_nats_leave(vestry_application *app, void *ctx) {
  vestry_nats_node *node = ctx;
  (void)app;
  vestry_cluster_destroy(node->cluster);
  if (node->broker.ops) node->broker.ops->destroy(node->broker.broker);
  node->cluster = NULL;
  node->broker = (vestry_broker){0};
}
