/* SPDX-License-Identifier: MIT */
/* Listing of channels, one page for each call. References to channels are taken under the lock of their table; each
 * channel is then read and passed on without it. */
#include "channel/channels.h"

#include <string.h>

#include "base/options.h"
#include "ops/observe/inside.h"
#include "ops/observe/shown.h"

static void put_name(const vestry_observe *observe, const vsi_channel *channel, vestry_channel_info *info) {
  uint32_t lens;
  memcpy(&lens, channel->name.bytes, sizeof lens);
  const vestry_scoped_key name = vsi_scoped_key_at(channel->name.bytes, lens, 0);
  vsi_shown_key key;
  vsi_shown_key_of(name.data + name.key_offset, name.len - name.key_offset, &key);
  memcpy(info->key, key.text, sizeof info->key);
  info->is_key_cut = key.is_cut;
  vsi_shown_scope(observe->v, name.scope, info->scope);
}

static void explain(const vestry_observe *observe, vsi_channel *channel, vestry_channel_info *info) {
  vestry_channel_stats stats;
  vsi_channel_sums sums;
  vsi_channel_look(channel, &stats, &sums);
  *info = (vestry_channel_info){
      .size = sizeof *info,
      .number = channel->name.number,
      .has_history = vsi_channel_keeps(channel),
      .members_count = stats.members_count,
      .published_count = stats.published_count,
      .accepted_count = stats.accepted_count,
      .refused_count = stats.refused_count,
      .epochs_count = stats.epochs_count,
      .alone_count = stats.alone_count,
      .encodes_count = sums.encodes_count,
      .plain_bytes = sums.plain_bytes,
      .encoded_bytes = sums.encoded_bytes,
      .ratio = sums.encoded_bytes ? (double)sums.plain_bytes / (double)sums.encoded_bytes : 0,
      .kept_count = sums.kept_count,
      .kept_bytes = sums.kept_bytes,
  };
  put_name(observe, channel, info);
}

/* Pass a channel to fn, if its key has the prefix, and drop the reference. Returns the number of channels passed: 0 or
 * 1. */
static size_t tell(const vestry_observe *observe, vsi_channel *channel, const vestry_channel_query *query,
                   vestry_channel_info_fn fn, void *ctx) {
  vestry_channel_info info;
  explain(observe, channel, &info);
  vsi_channel_unref(channel);
  if (!vsi_shown_begins(info.key, query->prefix)) return 0;
  fn(&info, ctx);
  return 1;
}

vestry_err vestry_observe_channels(vestry_observe *observe, const vestry_channel_query *given,
                                   vestry_channel_info_fn fn, void *ctx, vestry_stream_cursor *ret_next) {
  vestry_channel_query query;
  if (!observe || !fn || VSI_OPTIONS_TAKE(vestry_channel_query, query, given) || query.limit > VESTRY_STREAMS_MAX_COUNT)
    return VESTRY_INVALID;
  vsi_channel *found[VESTRY_STREAMS_MAX_COUNT];
  vsi_channels_place place = {query.from.value, query.from.id};
  size_t left = query.limit ? query.limit : VESTRY_STREAMS_MAX_COUNT;
  do {
    const size_t count = vsi_channels_next(observe->v->channels, &place, found, left);
    for (size_t i = 0; i < count; i++) left -= tell(observe, found[i], &query, fn, ctx);
  } while (left && (place.hash || place.number));
  if (ret_next) *ret_next = (vestry_stream_cursor){place.hash, place.number};
  return VESTRY_OK;
}
