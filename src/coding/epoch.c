/* SPDX-License-Identifier: MIT */
/* essay: the end of an epoch that has cost enough */
#include "coding/epoch.h"

/* The epochs of a channel's encoder for one coding.
 *
 * When to begin a new epoch. Until the next epoch, each event costs each stream that is not in sync the difference
 * between the standalone bytes and the bytes in sync. A new epoch costs this difference once for every stream. The
 * number of future events is unknown, so this is the rent-or-buy problem: rent until the rent paid equals the price,
 * then buy. Therefore, a new epoch begins when the number of events written standalone in this epoch equals the number
 * of streams. The total is then at most twice the optimum with knowledge of the future (Karlin, Manasse, Rudolph and
 * Sleator, "Competitive snoopy caching", 1988). */

uint64_t vsi_lane_end(vsi_lane *lane) {
  if (!lane->encoder) return 0;
  lane->coding->profile.ops->destroy(lane->encoder);
  lane->encoder = NULL;
  vsi_codings_unreserve(lane->coding->all, VESTRY_PROFILE_SHARED);
  /* relaxed: counts that runners add from now on are lost */
  uint64_t alone = atomic_load_explicit(&lane->epoch->alone, memory_order_relaxed);
  vsi_epoch_unref(lane->epoch);
  lane->epoch = NULL;
  return alone;
}

static bool begin(vsi_lane *lane) {
  vsi_codings *codings = lane->coding->all;
  const vestry_profile *profile = &lane->coding->profile;
  const vestry_host *host = vsi_codings_host(codings);
  if (!vsi_codings_reserve(codings, VESTRY_PROFILE_SHARED)) return false;
  lane->epoch = vsi_epoch_create(host, vsi_codings_epoch(codings));
  if (!lane->epoch || profile->ops->create(profile, host, VESTRY_ENCODER_SEGMENT, &lane->encoder)) {
    vsi_epoch_unref(lane->epoch);
    lane->epoch = NULL;
    vsi_codings_unreserve(codings, VESTRY_PROFILE_SHARED);
    return false;
  }
  lane->sequence = 0;
  lane->bytes = 0;
  return true;
}

bool vsi_lane_encode(vsi_lane *lane, vestry_event *event, size_t members_count, uint64_t epoch_max_bytes,
                     vsi_lane_bytes *ret_bytes, bool *ret_begun, uint64_t *ret_ended_alone) {
  *ret_begun = false;
  *ret_ended_alone = 0;
  if (lane->encoder && (atomic_load_explicit(&lane->epoch->alone, memory_order_relaxed) >= members_count ||
                        lane->bytes >= epoch_max_bytes))
    *ret_ended_alone = vsi_lane_end(lane);
  if (!lane->encoder) {
    if (!begin(lane)) return false;
    *ret_begun = true;
  }
  vsi_segment *segment = NULL;
  if (vsi_coding_encode(lane->coding, vsi_codings_host(lane->coding->all), VSI_ENCODE_ALIGNED, lane->encoder, event,
                        &segment)) {
    /* the encoder has seen an event that no stream receives */
    *ret_ended_alone += vsi_lane_end(lane);
    return false;
  }
  *ret_bytes = (vsi_lane_bytes){lane->coding, vsi_epoch_ref(lane->epoch), lane->sequence++, segment};
  lane->bytes += segment->plain_len;
  return true;
}
