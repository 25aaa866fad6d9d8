/* SPDX-License-Identifier: MIT */
/* Listings of channels. References to channels are taken under the lock of their table; each channel is then read and
 * written without it. */
#include <string.h>

#include "channel/channels.h"
#include "ops/observe/inside.h"

static void get_channel_key(const vestry *v, const vsi_channel *channel, vsi_shown_key *ret_key) {
  uint32_t lens;
  memcpy(&lens, channel->name.bytes, sizeof lens);
  const vestry_scoped_key name = vsi_scoped_key_at(channel->name.bytes, lens, 0);
  vsi_shown_key_of(name.data + name.key_offset, name.len - name.key_offset, ret_key);
  vsi_shown_scope(v, name.scope, ret_key);
}

/* Write a channel as an item of a list. key: its key and scope, for which the list is filtered. */
static void put_channel(vsi_report *report, vsi_channel *channel, const vsi_shown_key *key) {
  const bool has_history = vsi_channel_keeps(channel);
  vsi_channel_stats stats;
  vsi_channel_stats_get(channel, &stats);
  vsi_report_open(report, NULL, '{');
  vsi_report_put(report, VESTRY_OBJECT("number", channel->name.number, "scope", key->scope, "key", key->text, "key_cut",
                                       key->is_cut, "members_count", stats.members_count, "published_count",
                                       stats.published_count, "accepted_count", stats.accepted_count, "refused_count",
                                       stats.refused_count));
  vsi_report_put(report,
                 VESTRY_OBJECT("epochs_count", stats.epochs_count, "standalone_count", stats.standalone_count,
                               "encodes_count", stats.encodes_count, "plain_bytes", stats.plain_bytes, "encoded_bytes",
                               stats.encoded_bytes, "ratio", vsi_shown_ratio(stats.plain_bytes, stats.encoded_bytes)));
  vsi_report_put(report,
                 VESTRY_OBJECT("history", has_history, "kept_count", stats.kept_count, "kept_bytes", stats.kept_bytes));
  vsi_report_close(report, '}');
}

vestry_err vsi_list_channels(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vsi_list_page page;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  const char *wrong = vsi_query_page(req, &page);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  vsi_report report;
  vsi_channels_stats stats = {0};
  vsi_channels_stats_get(observe->v->channels, &stats);
  vsi_report_begin(&report, observe->v->host);
  vsi_report_put(&report, VESTRY_OBJECT("live_count", stats.live_count, "made_count", stats.made_count, "ended_count",
                                        stats.ended_count, "refused_count", stats.refused_count));
  vsi_report_open(&report, "channels", '[');
  vsi_channel *found[VSI_LIST_MAX_COUNT];
  vsi_channels_place place = {page.from.value, page.from.id};
  do {
    const size_t count = vsi_channels_next(observe->v->channels, &place, found, page.limit);
    for (size_t i = 0; i < count; i++) {
      vsi_shown_key key;
      get_channel_key(observe->v, found[i], &key);
      const bool is_listed = vsi_shown_begins(key.text, page.prefix);
      if (is_listed) put_channel(&report, found[i], &key);
      page.limit -= is_listed;
      vsi_channel_unref(found[i]);
    }
  } while (page.limit && (place.hash || place.number));
  vsi_report_close(&report, ']');
  vsi_report_put_next(&report, (vsi_list_cursor){place.hash, place.number});
  return vsi_show_json(reply, &report);
}
