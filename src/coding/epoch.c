/* SPDX-License-Identifier: MIT */
/* essay: the end of an epoch that has cost enough */
#include "coding/epoch.h"

#include "base/memory.h"

/* The epochs of a channel's encoder for one coding.
 *
 * When to begin a new epoch. Until the next epoch, each event costs each stream that is not in sync the difference
 * between the standalone bytes and the bytes in sync. A new epoch costs this difference once for every stream. The
 * number of future events is unknown, so this is the rent-or-buy problem: rent until the rent paid equals the price,
 * then buy. Therefore, a new epoch begins when the number of events written standalone in this epoch equals the number
 * of streams. The total is then at most twice the optimum with knowledge of the future (Karlin, Manasse, Rudolph and
 * Sleator, "Competitive snoopy caching", 1988).
 *
 * When not to begin one. If the streams of a channel receive other events between its events, such as those of the
 * other parts of a page, none of them is ever in sync. Then each event would be encoded twice, once for no stream.
 * Therefore, if most events of an epoch were written standalone, the next events have no epoch; after each such epoch
 * in a row, about twice as many. */

static vsi_epoch *epoch_create(const vestry_host *host, uint64_t id) {
  vsi_epoch *epoch = vsi_alloc(host, sizeof *epoch);
  if (!epoch) return NULL;
  VSI_REFS_INIT(&epoch->refs, 1);
  atomic_init(&epoch->alone, 0);
  epoch->host = host;
  epoch->id = id;
  return epoch;
}

static void epoch_unref(vsi_epoch *epoch) {
  if (epoch && VSI_REFS_DROP(&epoch->refs)) vsi_free(epoch->host, epoch);
}

void vsi_lane_bytes_finish(vsi_lane_bytes *lane) {
  epoch_unref(lane->epoch);
  vsi_segment_destroy(lane->aligned);
}

uint64_t vsi_lane_end(vsi_lane *lane) {
  if (!lane->encoder) return 0;
  lane->coding->profile.ops->destroy(lane->encoder);
  lane->encoder = NULL;
  vsi_codings_unreserve(lane->coding->all);
  /* relaxed: counts that runners add from now on are lost */
  uint64_t alone = atomic_load_explicit(&lane->epoch->alone, memory_order_relaxed);
  epoch_unref(lane->epoch);
  lane->epoch = NULL;
  return alone;
}

static bool begin(vsi_lane *lane) {
  vsi_codings *codings = lane->coding->all;
  const vestry_profile *profile = &lane->coding->profile;
  const vestry_host *host = codings->host;
  if (!vsi_codings_reserve(codings)) return false;
  lane->epoch = epoch_create(host, 1 + atomic_fetch_add_explicit(&codings->last_epoch, 1, memory_order_relaxed));
  if (!lane->epoch || profile->ops->create(profile, host, &lane->encoder)) {
    epoch_unref(lane->epoch);
    lane->epoch = NULL;
    vsi_codings_unreserve(codings);
    return false;
  }
  lane->sequence = 0;
  lane->bytes = 0;
  return true;
}

/* Choose how many events follow without an epoch, when an epoch ends because `alone` events were written standalone. */
static void rest(vsi_lane *lane, uint64_t alone, size_t members_count) {
  enum { REST_MOST = 63 };
  const uint64_t written =
      (lane->sequence - 1) * members_count; /* without the first event, for which all are in sync */
  const bool is_useless = alone >= written / 2;
  lane->rest = !is_useless ? 0 : lane->rest < REST_MOST ? 2u * lane->rest + 1 : REST_MOST;
  lane->rest_left = lane->rest;
}

bool vsi_lane_encode(vsi_lane *lane, vestry_event *event, size_t members_count, uint64_t epoch_max_bytes,
                     vsi_lane_bytes *ret_bytes, bool *ret_begun, uint64_t *ret_ended_alone) {
  *ret_begun = false;
  *ret_ended_alone = 0;
  const uint64_t alone = lane->encoder ? atomic_load_explicit(&lane->epoch->alone, memory_order_relaxed) : 0;
  if (lane->encoder && alone >= members_count) rest(lane, alone, members_count);
  if (lane->encoder && (alone >= members_count || lane->bytes >= epoch_max_bytes))
    *ret_ended_alone = vsi_lane_end(lane);
  if (!lane->encoder) {
    if (lane->rest_left) {
      lane->rest_left--;
      return false;
    }
    if (!begin(lane)) return false;
    *ret_begun = true;
  }
  vsi_segment *segment = NULL;
  if (vsi_coding_encode(lane->coding, lane->encoder, event, &segment)) {
    /* the encoder has seen an event that no stream receives */
    *ret_ended_alone += vsi_lane_end(lane);
    return false;
  }
  VSI_REFS_TAKE(&lane->epoch->refs);
  *ret_bytes = (vsi_lane_bytes){lane->coding, lane->epoch, lane->sequence++, segment};
  lane->bytes += segment->plain_len;
  return true;
}

/* --------------------------------------------------------------------------------------------- broadcasts ---- */

vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count) {
  vsi_broadcast *broadcast = vsi_alloc(host, sizeof *broadcast + lanes_count * sizeof *lanes);
  if (!broadcast) return NULL;
  VSI_REFS_INIT(&broadcast->refs, 1);
  broadcast->host = host;
  broadcast->event = vestry_event_ref(event);
  broadcast->lanes_count = lanes_count;
  for (uint32_t i = 0; i < lanes_count; i++) broadcast->lanes[i] = lanes[i];
  return broadcast;
}

void vsi_broadcast_ref(vsi_broadcast *broadcast, uint32_t count) {
  VSI_REFS_TAKE_MANY(&broadcast->refs, count);
}

void vsi_broadcast_unref(vsi_broadcast *broadcast, uint32_t count) {
  if (!broadcast || !VSI_REFS_DROP_MANY(&broadcast->refs, count)) return;
  for (uint32_t i = 0; i < broadcast->lanes_count; i++) vsi_lane_bytes_finish(&broadcast->lanes[i]);
  vestry_event_unref(broadcast->event);
  vsi_free(broadcast->host, broadcast);
}
