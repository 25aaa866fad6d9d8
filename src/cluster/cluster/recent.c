/* SPDX-License-Identifier: MIT */
/* An event, or a dispatch, goes to the nodes that have told that they have members. A node that has told too late,
 * because its telling was under way, must not miss it without a word (receiver.c). Of several that share a place, only
 * the nodes that all of them were sent to are known; what was not sent at all is told from them by two filters, which
 * are filled by turns, each for as long as something is kept: of ten thousand channels that were not sent, one is taken
 * for one that was at 20,000 that were, ten at 36,000. */
#include "cluster/cluster/recent.h"

#include <string.h>

#include "base/memory.h"
#include "cluster/cluster/cluster.h"

enum { KEPT_MS = 2000 };

static uint64_t kept_ns(const vestry_cluster *cluster) {
  return cluster->dead_ns + KEPT_MS * VSI_NS_PER_MS;
}

/* Keys and channels have hashes of one parity each (keys.h). */
static vsi_recent *place_of(const vestry_cluster *cluster, uint64_t hash) {
  return (vsi_recent *)&cluster->recent[(hash >> 1) % VSI_RECENT_CHANNELS];
}

/* ------------------------------------------------------------------------------------------- what was sent -------- */

enum { BITS_EACH = 8 };

static uint64_t bit_of(uint64_t hash, unsigned i) {
  return ((hash >> 1) + i * (hash >> 32 | 1)) % VSI_RECENT_BITS;
}

static void set_bits(vestry_cluster *cluster, uint64_t hash, uint64_t now_ns) {
  const uint64_t since_ns = now_ns - cluster->recent_since_ns;
  if (!cluster->recent_since_ns || since_ns > kept_ns(cluster)) {
    memcpy(cluster->recent_bits[1], cluster->recent_bits[0], sizeof *cluster->recent_bits);
    memset(cluster->recent_bits[0], 0, sizeof *cluster->recent_bits);
    if (since_ns > 2 * kept_ns(cluster)) memset(cluster->recent_bits[1], 0, sizeof *cluster->recent_bits);
    cluster->recent_since_ns = now_ns ? now_ns : 1;
  }
  for (unsigned i = 0; i < BITS_EACH; i++) {
    const uint64_t bit = bit_of(hash, i);
    cluster->recent_bits[0][bit / 64] |= UINT64_C(1) << bit % 64;
  }
}

static bool has_bits(const uint64_t *bits, uint64_t hash) {
  for (unsigned i = 0; i < BITS_EACH; i++) {
    const uint64_t bit = bit_of(hash, i);
    if (!(bits[bit / 64] >> bit % 64 & 1)) return false;
  }
  return true;
}

/* false: for certain not, for as long as it is kept. */
static bool may_have_been_sent(const vestry_cluster *cluster, uint64_t hash) {
  return has_bits(cluster->recent_bits[0], hash) || has_bits(cluster->recent_bits[1], hash);
}

/* ------------------------------------------------------------------------------------------- to which nodes ------- */

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, uint64_t sent) {
  vsi_recent *recent = place_of(cluster, hash);
  uint64_t now_ns = vsi_now_ns(cluster->host);
  set_bits(cluster, hash, now_ns);
  bool is_old = !recent->at_ns || now_ns - recent->at_ns > kept_ns(cluster);
  if (is_old)
    *recent = (vsi_recent){hash, sent, now_ns};
  else
    *recent = (vsi_recent){recent->hash == hash ? hash : 0, recent->sent & sent, now_ns};
}

bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns) {
  const vsi_recent *recent = place_of(cluster, hash);
  if (!may_have_been_sent(cluster, hash)) return false;
  return recent->at_ns && recent->at_ns >= since_ns && (!recent->hash || recent->hash == hash) &&
         !(recent->sent >> node & 1);
}

bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node) {
  uint64_t now_ns = vsi_now_ns(cluster->host);
  if (!vsi_recent_was_without(cluster, hash, node, now_ns > kept_ns(cluster) ? now_ns - kept_ns(cluster) : 0))
    return false;
  place_of(cluster, hash)->sent |= UINT64_C(1) << node;
  return true;
}
