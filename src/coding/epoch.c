/* SPDX-License-Identifier: MIT */
/* essay: when an epoch has cost enough */
#include "coding/epoch.h"

/* When to begin anew. Until the next epoch a stream that is not aligned costs, with each event, the difference between
 * the event alone and its aligned bytes. A new epoch costs that difference once, for every stream. It is not known how
 * many events are still to come, which is the old question of whether to rent or to buy: rent until the rent paid is
 * the price, then buy. So a new epoch begins when as many events have gone out alone in this one as there are streams;
 * the total is then at most twice what it would have been with foresight (Karlin, Manasse, Rudolph and Sleator,
 * "Competitive snoopy caching", 1988). */

uint64_t vsi_lane_end(vsi_lane *lane) {
  if (!lane->encoder) return 0;
  lane->coding->profile.ops->destroy(lane->encoder);
  lane->encoder = NULL;
  vsi_codings_unreserve(lane->coding->all, VESTRY_PROFILE_SHARED);
  /* what runners still count from here on is not seen any more */
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
    /* it has seen an event that no stream will have had */
    *ret_ended_alone += vsi_lane_end(lane);
    return false;
  }
  *ret_bytes = (vsi_lane_bytes){lane->coding, vsi_epoch_ref(lane->epoch), lane->sequence++, segment};
  lane->bytes += segment->plain_len;
  return true;
}
