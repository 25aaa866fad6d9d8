/* SPDX-License-Identifier: MIT */
/* Messages that were sent to some nodes only.
 *
 * An event or a dispatch goes to the nodes that have announced members or streams. A node whose announcement was still
 * in transit must not miss it without a report (receiver.c). Two structures remember which messages were sent:
 * - A table with one entry for each slot of hashes: the nodes to which the message went. If several keys share an
 *   entry, it keeps only the nodes to which the messages of all of them went.
 * - Two filters, which separate keys with a message from other keys of the same slot. They are filled in turns, each
 *   for the time that an entry is kept (dead_ms + 2 s). The share of other keys that count as keys with a message by
 *   mistake is 1 of 10,000 if 20,000 keys had a message, and 10 of 10,000 if 36,000 had one. */
#include <string.h>

#include "base/memory.h"
#include "cluster/cluster/cluster.h"

enum { KEPT_MS = 2000 };

static uint64_t kept_ns(const vestry_cluster *cluster) {
  return cluster->dead_ns + KEPT_MS * VSI_NS_PER_MS;
}

/* The lowest bit is constant for keys, and for channels (keys.h), so it is not used. */
static vsi_recent *place_of(const vestry_cluster *cluster, uint64_t hash) {
  return (vsi_recent *)&cluster->recent[(hash >> 1) % VSI_RECENT_CHANNELS];
}

/* ------------------------------------------------------------------------------------------- filters -------------- */

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

/* false: certainly no message was sent within the time that filters are kept. */
static bool may_have_been_sent(const vestry_cluster *cluster, uint64_t hash) {
  return has_bits(cluster->recent_bits[0], hash) || has_bits(cluster->recent_bits[1], hash);
}

/* -------------------------------------------------------------------------------- the nodes that got a message ---- */

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, const vsi_bits *sent) {
  vsi_recent *recent = place_of(cluster, hash);
  uint64_t now_ns = vsi_now_ns(cluster->host);
  set_bits(cluster, hash, now_ns);
  bool is_old = !recent->at_ns || now_ns - recent->at_ns > kept_ns(cluster);
  if (is_old)
    *recent = (vsi_recent){hash, *sent, now_ns};
  else
    *recent = (vsi_recent){recent->hash == hash ? hash : 0, vsi_bits_both(recent->sent, sent), now_ns};
}

bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns) {
  const vsi_recent *recent = place_of(cluster, hash);
  if (!may_have_been_sent(cluster, hash)) return false;
  return recent->at_ns && recent->at_ns >= since_ns && (!recent->hash || recent->hash == hash) &&
         !vsi_bits_has(&recent->sent, node);
}

bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node) {
  uint64_t now_ns = vsi_now_ns(cluster->host);
  if (!vsi_recent_was_without(cluster, hash, node, now_ns > kept_ns(cluster) ? now_ns - kept_ns(cluster) : 0))
    return false;
  vsi_bits_add(&place_of(cluster, hash)->sent, node);
  return true;
}
