/* SPDX-License-Identifier: MIT */
/* Streams and channels: one stream, and listings. Nothing is stored for them. Their data is in the connection, the key
 * in the store (by the handle in the context), and the page in the pages (by the node that waits for the stream's end).
 * So streams that are older than the observer have the same data as others. */
#include <string.h>

#include "app/page/serve.h"
#include "base/callback.h"
#include "base/log.h"
#include "channel/channels.h"
#include "connection/connection.h"
#include "ops/observe/inside.h"
#include "ops/observe/stream_tail.h"

/* ----------------------------------------------------------------------------------------------- one stream ------- */

static int64_t unacknowledged_of(const vestry_connection *connection) {
  const vestry_transport_ops *ops = connection->ops;
  return ops->unacknowledged ? ops->unacknowledged(connection->transport) : -1;
}

static void put_connection(const vestry_connection *connection, vestry_stream_info *info) {
  const vestry_transport_ops *ops = connection->ops;
  vestry_shared_connection shared = {0};
  if (!ops->shared || !ops->shared(connection->transport, &shared)) return;
  info->connection_id = shared.id;
  info->connection_streams_count = shared.streams_count;
  info->unsent_bytes = shared.unsent_bytes;
  info->stream_window_bytes = shared.stream_window_bytes;
  info->connection_window_bytes = shared.connection_window_bytes;
  info->waits_for = shared.waits_for;
}

static void take_path(const char *path, void *ctx) {
  vestry_stream_info *info = ctx;
  vsi_shown_name(path, strlen(path), info->path, sizeof info->path);
}

static void take_topic(const char *name, size_t len, void *ctx) {
  vestry_stream_info *info = ctx;
  const uint32_t number = info->topics_count++;
  if (number < VESTRY_SHOWN_TOPICS_COUNT) vsi_shown_name(name, len, info->topics[number], sizeof *info->topics);
}

static void put_name(const vestry_observe *observe, vestry_connection *connection, vestry_stream_info *info) {
  char scope[VESTRY_SCOPE_MAX_BYTES];
  vsi_shown_key key;
  vsi_shown_scope(observe->v, vestry_connection_scope_get(connection, scope), info->scope);
  vsi_shown_key_of_stream(connection, &key);
  memcpy(info->key, key.text, sizeof info->key);
  info->is_key_cut = key.is_cut;
  info->keys_count = (uint32_t)vsi_stream_entries_copy(connection, NULL, 0);
}

static void put_counts(const vestry_connection *connection, vestry_stream_info *info) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  const uint64_t now_ns = vsi_now_ns(vsi_connection_host(connection));
  info->state = stats.state;
  info->cause = stats.cause;
  info->age_ms = vsi_shown_ms(now_ns, stats.opened_ns);
  info->ratio = stats.wire_bytes ? (double)stats.written_bytes / (double)stats.wire_bytes : 0;
  info->queued_count = stats.queued_count;
  info->queued_bytes = stats.queued_bytes;
  info->accepted_count = stats.accepted_count;
  info->written_count = stats.written_count;
  info->discarded_count = stats.discarded_count;
  info->conflated_count = stats.conflated_count;
  info->refused_count = stats.refused_count;
  info->written_bytes = stats.written_bytes;
  info->wire_bytes = stats.wire_bytes;
  info->last_write_ms = stats.last_write_ns ? vsi_shown_ms(now_ns, stats.last_write_ns) : VESTRY_NEVER_MS;
  info->last_error = vsi_shown_refusal(connection);
}

/* The caller holds a reference to the connection. */
static void explain(const vestry_observe *observe, vestry_connection *connection, vestry_stream_info *info) {
  *info = (vestry_stream_info){.id = connection->id};
  info->adapter = vsi_shown_adapter(connection);
  info->coding = vsi_shown_coding(connection);
  info->unacknowledged_bytes = unacknowledged_of(connection);
  info->is_console = vsi_tail_is_excluded(connection);
  put_name(observe, connection, info);
  put_counts(connection, info);
  put_connection(connection, info);
  vestry_pages *pages = observe->options.pages;
  info->is_page = pages && vsi_page_explain(pages, connection, &(vsi_page_sink){take_path, take_topic, info});
}

vestry_err vestry_observe_stream(vestry_observe *observe, uint64_t id, vestry_stream_info *ret_info) {
  if (!observe) return VESTRY_INVALID;
  if (!ret_info) return vsi_mistake(observe->v->host, "vestry_observe_stream", "ret_info is NULL");
  vestry_connection *connection = vsi_group_find(observe->v->group, id);
  if (!connection) return VESTRY_NOT_FOUND;
  vestry_stream_info info;
  explain(observe, connection, &info);
  vestry_connection_unref(connection);
  if (ret_info) *ret_info = info;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- listing -------- */

/* The best streams of many, the best first: greater values are better; of equal ones, smaller ids. */
typedef struct item {
  uint64_t value, id;
  vestry_connection *connection; /* a reference */
} item;

typedef struct best {
  size_t limit, count;
  item items[VESTRY_STREAMS_MAX_COUNT];
} best;

static bool is_better(uint64_t value, uint64_t id, uint64_t than_value, uint64_t than_id) {
  return value > than_value || (value == than_value && id < than_id);
}

static bool has_place(const best *all, const item *one) {
  const item *last = &all->items[all->limit - 1];
  return all->count < all->limit || is_better(one->value, one->id, last->value, last->id);
}

/* Insert an item that has a place. A full list drops its last one. */
static void insert(best *all, const item *one) {
  if (all->count == all->limit) vestry_connection_unref(all->items[--all->count].connection);
  size_t at = all->count++;
  for (; at && is_better(one->value, one->id, all->items[at - 1].value, all->items[at - 1].id); at--)
    all->items[at] = all->items[at - 1];
  all->items[at] = *one;
}

static uint64_t value_of(const vestry_connection *connection, vestry_stream_order order) {
  size_t bytes;
  switch (order) {
  case VESTRY_STREAMS_NEWEST: return connection->id;
  case VESTRY_STREAMS_OLDEST: return 0; /* equal values are in order of id */
  case VESTRY_STREAMS_QUEUED: vsi_queue_load(&connection->queue, NULL, &bytes, NULL); return bytes;
  case VESTRY_STREAMS_BYTES: return atomic_load_explicit(&connection->wire_bytes, memory_order_relaxed);
  }
  return 0;
}

static bool has_prefix(vestry_connection *connection, const char *prefix) {
  if (!prefix || !*prefix) return true;
  vsi_shown_key key;
  return vsi_shown_key_of_stream(connection, &key) && vsi_shown_begins(key.text, prefix);
}

static bool is_carried_by(const vestry_connection *connection, uint64_t connection_id) {
  vestry_stream_info info = {.connection_id = 0};
  if (connection_id) put_connection(connection, &info);
  return info.connection_id == connection_id;
}

/* Keep a stream if it is among the best; takes the reference. */
static void consider(best *all, const vestry_stream_query *query, vestry_connection *connection) {
  const item one = {value_of(connection, query->order), connection->id, connection};
  const vestry_stream_cursor *from = &query->from;
  const bool is_after = !from->id || is_better(from->value, from->id, one.value, one.id);
  if (is_after && has_place(all, &one) && has_prefix(connection, query->prefix) &&
      is_carried_by(connection, query->connection_id))
    insert(all, &one);
  else
    vestry_connection_unref(connection);
}

static void find_best(vsi_group *group, const vestry_stream_query *query, best *all) {
  vestry_connection *chunk[VSI_GROUP_CHUNK];
  vsi_group_walk walk;
  vsi_group_walk_begin(group, &walk);
  bool more = true; /* the walk ends even if streams keep opening */
  for (size_t count; more && (count = vsi_group_walk_next(group, &walk, VSI_GROUP_CHUNK, chunk)) != 0;) {
    more = chunk[count - 1]->id < walk.last_id;
    for (size_t i = 0; i < count; i++) consider(all, query, chunk[i]);
  }
  vsi_group_walk_end(group, &walk);
}

vestry_err vestry_observe_streams(vestry_observe *observe, const vestry_stream_query *given, vestry_stream_info_fn fn,
                                  void *ctx, vestry_stream_cursor *ret_next) {
  if (!observe) return VESTRY_INVALID;
  vestry_stream_query query = given ? *given : (vestry_stream_query){0};
  if (!fn || query.limit > VESTRY_STREAMS_MAX_COUNT || (unsigned)query.order > VESTRY_STREAMS_BYTES)
    return vsi_mistake(observe->v->host, "vestry_observe_streams",
                       "fn is NULL, the query's limit is too large, or its order is unknown");
  best all = {.limit = query.limit ? query.limit : VESTRY_STREAMS_MAX_COUNT};
  find_best(observe->v->group, &query, &all);
  const bool is_full = all.count == all.limit;
  const item *last = &all.items[all.count - is_full];
  if (ret_next) *ret_next = is_full ? (vestry_stream_cursor){last->value, last->id} : (vestry_stream_cursor){0, 0};
  for (size_t i = 0; i < all.count; i++) {
    vestry_stream_info info;
    explain(observe, all.items[i].connection, &info);
    vestry_connection_unref(all.items[i].connection);
    vsi_callback_begin();
    fn(&info, ctx);
    vsi_callback_end();
  }
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ channels -------- */

/* References to channels are taken under the lock of their table; each channel is then read and passed on without
 * it. */
static void put_channel_name(const vestry_observe *observe, const vsi_channel *channel, vestry_channel_info *info) {
  uint32_t lens;
  memcpy(&lens, channel->name.bytes, sizeof lens);
  const vestry_scoped_key name = vsi_scoped_key_at(channel->name.bytes, lens, 0);
  vsi_shown_key key;
  vsi_shown_key_of(name.data + name.key_offset, name.len - name.key_offset, &key);
  memcpy(info->key, key.text, sizeof info->key);
  info->is_key_cut = key.is_cut;
  vsi_shown_scope(observe->v, name.scope, info->scope);
}

static void explain_channel(const vestry_observe *observe, vsi_channel *channel, vestry_channel_info *info) {
  vsi_channel_stats stats;
  vsi_channel_stats_get(channel, &stats);
  *info = (vestry_channel_info){
      .number = channel->name.number,
      .has_history = vsi_channel_keeps(channel),
      .members_count = stats.members_count,
      .published_count = stats.published_count,
      .accepted_count = stats.accepted_count,
      .refused_count = stats.refused_count,
      .epochs_count = stats.epochs_count,
      .standalone_count = stats.standalone_count,
      .encodes_count = stats.encodes_count,
      .plain_bytes = stats.plain_bytes,
      .encoded_bytes = stats.encoded_bytes,
      .ratio = stats.encoded_bytes ? (double)stats.plain_bytes / (double)stats.encoded_bytes : 0,
      .kept_count = stats.kept_count,
      .kept_bytes = stats.kept_bytes,
  };
  put_channel_name(observe, channel, info);
}

/* Pass a channel to fn, if its key has the prefix, and drop the reference. Returns the number of channels passed: 0 or
 * 1. */
static size_t pass(const vestry_observe *observe, vsi_channel *channel, const vestry_channel_query *query,
                   vestry_channel_info_fn fn, void *ctx) {
  vestry_channel_info info;
  explain_channel(observe, channel, &info);
  vsi_channel_unref(channel);
  if (!vsi_shown_begins(info.key, query->prefix)) return 0;
  vsi_callback_begin();
  fn(&info, ctx);
  vsi_callback_end();
  return 1;
}

vestry_err vestry_observe_channels(vestry_observe *observe, const vestry_channel_query *given,
                                   vestry_channel_info_fn fn, void *ctx, vestry_stream_cursor *ret_next) {
  if (!observe) return VESTRY_INVALID;
  vestry_channel_query query = given ? *given : (vestry_channel_query){0};
  if (!fn || query.limit > VESTRY_STREAMS_MAX_COUNT)
    return vsi_mistake(observe->v->host, "vestry_observe_channels", "fn is NULL, or the query's limit is too large");
  vsi_channel *found[VESTRY_STREAMS_MAX_COUNT];
  vsi_channels_place place = {query.from.value, query.from.id};
  size_t left = query.limit ? query.limit : VESTRY_STREAMS_MAX_COUNT;
  do {
    const size_t count = vsi_channels_next(observe->v->channels, &place, found, left);
    for (size_t i = 0; i < count; i++) left -= pass(observe, found[i], &query, fn, ctx);
  } while (left && (place.hash || place.number));
  if (ret_next) *ret_next = (vestry_stream_cursor){place.hash, place.number};
  return VESTRY_OK;
}
