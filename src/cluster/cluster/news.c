/* SPDX-License-Identifier: MIT */
/* How members are, and what was lost. No memory is needed for that: each peer has a place for its news, and news that
 * come before the last were told are told along with them. */
#include "cluster/cluster/news.h"

#include <string.h>

#include "app/history/histories.h"
#include "app/page/topic.h"
#include "base/log.h"
#include "cluster/cluster/cluster.h"

/* Something to be told, taken out. */
typedef struct news {
  char node[VESTRY_NODE_MAX_BYTES + 1];
  bool has_gap, has_state;
  uint64_t lost_count;
  vestry_member_state state;
  uint8_t other_version; /* of the wire; 0: no node speaks it */
  bool is_one_too_many;
  char placeless[VESTRY_NODE_MAX_BYTES + 1]; /* a node that has no place; "": none */
} news;

static void note_gap(vestry_cluster *cluster, vsi_gaps *gaps, uint64_t lost_count) {
  gaps->count++;
  gaps->lost_count += lost_count;
  gaps->last_ns = vsi_now_ns(cluster->host);
  cluster->stats.gaps_count++;
  cluster->stats.lost_count += lost_count;
}

static bool take_news(vestry_cluster *cluster, news *n) {
  *n = (news){.has_gap = cluster->has_own_gap, .has_state = cluster->has_own_news, .state = VESTRY_MEMBER_REFUSED};
  if (n->has_state) memcpy(n->node, cluster->name, sizeof n->node);
  n->other_version = cluster->other_version;
  n->is_one_too_many = cluster->is_one_too_many;
  memcpy(n->placeless, cluster->placeless, sizeof n->placeless);
  cluster->placeless[0] = '\0';
  cluster->has_own_gap = cluster->has_own_news = false;
  cluster->other_version = 0;
  vsi_gaps *gaps = &cluster->own_gaps;
  for (size_t i = 0; i < cluster->peers_count && !n->has_gap && !n->has_state; i++) {
    vsi_peer *peer = &cluster->peers[i];
    n->has_gap = peer->has_gap;
    n->has_state = peer->has_news;
    if (!n->has_gap && !n->has_state) continue;
    memcpy(n->node, peer->name, sizeof n->node);
    n->lost_count = peer->lost_count;
    n->state = peer->state;
    peer->has_gap = false;
    peer->lost_count = 0;
    gaps = &peer->gaps;
    if (n->has_state) peer->has_news = false;
  }
  if (n->has_gap) note_gap(cluster, gaps, n->lost_count);
  return n->has_gap || n->has_state || n->other_version || n->placeless[0];
}

static void tell(vestry_cluster *cluster, const news *n) {
  if (n->other_version)
    vsi_log(
        cluster->host, VESTRY_LOG_ERROR,
        "cluster: a node with this secret speaks version %u of the wire, this node %s version %u: neither hears the "
        "other; give all nodes one version of vestry",
        n->other_version, cluster->name, VSI_WIRE_VERSION);
  if (n->placeless[0])
    vsi_log(cluster->host, VESTRY_LOG_WARN,
            "cluster: no place for node %s: a cluster has at most %zu nodes; the youngest is refused", n->placeless,
            VESTRY_CLUSTER_MAX_COUNT);
  if (n->has_state && n->state == VESTRY_MEMBER_REFUSED && n->is_one_too_many)
    vsi_log(cluster->host, VESTRY_LOG_ERROR,
            "cluster: node %s takes no part: the cluster has %zu nodes already, as many as there may be; stop one, and "
            "start this one again",
            n->node, VESTRY_CLUSTER_MAX_COUNT);
  else if (n->has_state && n->state == VESTRY_MEMBER_REFUSED)
    vsi_log(cluster->host, VESTRY_LOG_ERROR, "cluster: there is a node %s already; this one takes no part", n->node);
  if (n->has_state && cluster->on_member) cluster->on_member(n->node, n->state, cluster->ctx);
  if (!n->has_gap) return;
  vsi_histories_lose(cluster->v);
  const vestry_gap gap = {.size = sizeof gap, .node = n->node, .lost_count = n->lost_count};
  if (cluster->on_gap) cluster->on_gap(&gap, cluster->ctx);
  if (cluster->pages) vsi_pages_refresh(cluster->pages, NULL, 0);
}

bool vsi_news_tell(vestry_cluster *cluster) {
  news n;
  vsi_cluster_lock(cluster);
  bool any = !cluster->has_ended && take_news(cluster, &n);
  vsi_cluster_unlock(cluster);
  if (any) tell(cluster, &n);
  return any;
}
