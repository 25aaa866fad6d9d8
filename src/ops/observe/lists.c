/* SPDX-License-Identifier: MIT */
#include "ops/observe/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster/cluster/cluster.h"
#include "ops/observe/inside.h"
#include "ops/observe/json.h"
#include "store/store.h"
#include "vestry/app/history.h"
#include "vestry/channel.h"

enum { PREFIX_MAX_LEN = VESTRY_SHOWN_KEY_BYTES - 1 };

/* ------------------------------------------------------------------------------------------ query ----------------- */

/* Find the index of a value among names; 0 if the query has none. false: it has another value. */
static bool get_choice(const vestry_request *req, const char *name, const char *const *names, size_t count,
                       unsigned *ret_choice) {
  const char *value = vestry_request_value(req, VESTRY_IN_QUERY, name);
  *ret_choice = 0;
  for (unsigned i = 0; value && i < count; i++)
    if (strcmp(value, names[i]) == 0) {
      *ret_choice = i;
      return true;
    }
  return !value;
}

static bool get_limit(const vestry_request *req, int64_t *ret_limit) {
  *ret_limit = 0;
  const vestry_into into = vestry_into_between(ret_limit, 1, VESTRY_STREAMS_MAX_COUNT);
  const vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, "limit", into);
  return !error || error == VESTRY_NOT_FOUND;
}

static bool add_digit(uint64_t *number, char digit) {
  const unsigned value = (unsigned)(digit - '0');
  if (value > 9 || *number > (UINT64_MAX - value) / 10) return false;
  *number = *number * 10 + value;
  return true;
}

/* Read a cursor, as put_cursor writes it: two numbers and a dash between them. */
static bool get_cursor(const vestry_request *req, vestry_stream_cursor *ret_cursor) {
  const char *text = vestry_request_value(req, VESTRY_IN_QUERY, "cursor");
  vestry_stream_cursor cursor = {0, 0};
  uint64_t *part = &cursor.value;
  for (const char *at = text; at && *at; at++) {
    if (*at == '-' && part == &cursor.value && at > text)
      part = &cursor.id;
    else if (!add_digit(part, *at))
      return false;
  }
  if (text && part == &cursor.value) return false;
  *ret_cursor = cursor;
  return true;
}

static bool get_prefix(const vestry_request *req, const char **ret_prefix) {
  *ret_prefix = vestry_request_value(req, VESTRY_IN_QUERY, "prefix");
  return !*ret_prefix || strlen(*ret_prefix) <= PREFIX_MAX_LEN;
}

/* Read prefix, limit and cursor. Returns NULL, or a message about the first mistake. */
static const char *get_page(const vestry_request *req, const char **ret_prefix, size_t *ret_limit,
                            vestry_stream_cursor *ret_from) {
  int64_t limit;
  if (!get_limit(req, &limit)) return "limit: a number from 1 to 100 is expected\n";
  if (!get_cursor(req, ret_from)) return "cursor: the value of `next` in the previous answer is expected\n";
  if (!get_prefix(req, ret_prefix)) return "prefix: at most 128 bytes are allowed\n";
  *ret_limit = (size_t)limit;
  return NULL;
}

static void put_cursor(vsi_json_writer *json, vestry_stream_cursor cursor) {
  char text[48];
  snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, cursor.value, cursor.id);
  vsi_json_str(json, "next", cursor.value || cursor.id ? text : NULL);
}

/* ------------------------------------------------------------------------------------------------- streams -------- */

static const char *state_name(vestry_connection_state state) {
  static const char *const names[] = {"opening", "open", "closing", "closed"};
  return names[state];
}

static void put_ago(vsi_json_writer *json, const char *name, uint64_t ms) {
  if (ms == VESTRY_NEVER_MS)
    vsi_json_null(json, name);
  else
    vsi_json_count(json, name, ms);
}

static void put_page(vsi_json_writer *json, const vestry_stream_info *info) {
  if (!info->is_page) return;
  vsi_json_str(json, "path", info->path);
  vsi_json_open(json, "topics", '[');
  for (uint32_t i = 0; i < info->topics_count && i < VESTRY_SHOWN_TOPICS_COUNT; i++)
    vsi_json_str(json, NULL, info->topics[i]);
  vsi_json_close(json, ']');
  vsi_json_count(json, "topics_count", info->topics_count);
}

static void put_stream(const vestry_stream_info *info, void *ctx) {
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  vsi_json_count(json, "id", info->id);
  vsi_json_str(json, "scope", info->scope);
  vsi_json_str(json, "key", info->key);
  vsi_json_bool(json, "key_cut", info->is_key_cut);
  vsi_json_count(json, "keys_count", info->keys_count);
  vsi_json_str(json, "state", state_name(info->state));
  vsi_json_str(json, "cause", info->cause ? vestry_cause_name(info->cause) : NULL);
  vsi_json_count(json, "age_ms", info->age_ms);
  vsi_json_str(json, "adapter", info->adapter);
  vsi_json_str(json, "coding", info->coding);
  vsi_json_number(json, "ratio", info->ratio);
  vsi_json_count(json, "queued_count", info->queued_count);
  vsi_json_count(json, "queued_bytes", info->queued_bytes);
  vsi_json_count(json, "accepted_count", info->accepted_count);
  vsi_json_count(json, "written_count", info->written_count);
  vsi_json_count(json, "discarded_count", info->discarded_count);
  vsi_json_count(json, "conflated_count", info->conflated_count);
  vsi_json_count(json, "refused_count", info->refused_count);
  vsi_json_count(json, "written_bytes", info->written_bytes);
  vsi_json_count(json, "wire_bytes", info->wire_bytes);
  put_ago(json, "last_write_ms", info->last_write_ms);
  if (info->unacknowledged_bytes < 0)
    vsi_json_null(json, "unacknowledged_bytes");
  else
    vsi_json_count(json, "unacknowledged_bytes", (uint64_t)info->unacknowledged_bytes);
  vsi_json_str(json, "last_error", info->last_error ? vestry_strerror(info->last_error) : NULL);
  if (info->is_console) vsi_json_bool(json, "console", true);
  put_page(json, info);
  vsi_json_close(json, '}');
}

vestry_err vsi_list_streams(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"newest", "oldest", "queued", "bytes"};
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  unsigned order;
  vestry_stream_query query = {.prefix = NULL};
  if (!get_choice(req, "sort", orders, sizeof orders / sizeof *orders, &order))
    return vsi_show_text(reply, 400, "sort: newest, oldest, queued or bytes is expected\n");
  const char *wrong = get_page(req, &query.prefix, &query.limit, &query.from);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  query.order = (vestry_stream_order)order;
  vsi_json_writer json;
  vestry_stream_cursor next = {0, 0};
  vestry_stats stats = {0};
  vestry_stats_get(observe->v, &stats);
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_count(&json, "open_count", stats.open_count);
  vsi_json_open(&json, "streams", '[');
  vestry_err error = vestry_observe_streams(observe, &query, put_stream, &json, &next);
  vsi_json_close(&json, ']');
  put_cursor(&json, next);
  vsi_json_close(&json, '}');
  if (error) json.text.error = error;
  return vsi_show_json(reply, &json);
}

vestry_err vsi_list_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  int64_t id;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&id, 1, INT64_MAX)))
    return vsi_show_text(reply, 400, "the number of a stream consists of digits\n");
  vestry_stream_info info = {0};
  vestry_err error = vestry_observe_stream(observe, (uint64_t)id, &info);
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  if (!error)
    put_stream(&info, &json);
  else if (error == VESTRY_NOT_FOUND)
    error = vsi_closed_put(observe, (uint64_t)id, &json);
  if (!error) return vsi_show_json(reply, &json);
  vsi_json_finish(&json);
  return error == VESTRY_NOT_FOUND
             ? vsi_show_text(reply, 404, "unknown stream: neither open nor among the last closed streams\n")
             : error;
}

/* ------------------------------------------------------------------------------------------------ channels -------- */

static void put_channel(const vestry_channel_info *info, void *ctx) {
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  vsi_json_count(json, "number", info->number);
  vsi_json_str(json, "scope", info->scope);
  vsi_json_str(json, "key", info->key);
  vsi_json_bool(json, "key_cut", info->is_key_cut);
  vsi_json_count(json, "members_count", info->members_count);
  vsi_json_count(json, "published_count", info->published_count);
  vsi_json_count(json, "accepted_count", info->accepted_count);
  vsi_json_count(json, "refused_count", info->refused_count);
  vsi_json_count(json, "epochs_count", info->epochs_count);
  vsi_json_count(json, "alone_count", info->alone_count);
  vsi_json_count(json, "encodes_count", info->encodes_count);
  vsi_json_count(json, "plain_bytes", info->plain_bytes);
  vsi_json_count(json, "encoded_bytes", info->encoded_bytes);
  vsi_json_number(json, "ratio", info->ratio);
  vsi_json_bool(json, "history", info->has_history);
  vsi_json_count(json, "kept_count", info->kept_count);
  vsi_json_count(json, "kept_bytes", info->kept_bytes);
  vsi_json_close(json, '}');
}

vestry_err vsi_list_channels(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_channel_query query = {.prefix = NULL};
  const char *wrong = get_page(req, &query.prefix, &query.limit, &query.from);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  vsi_json_writer json;
  vestry_stream_cursor next = {0, 0};
  vestry_channels_stats stats = {0};
  vestry_channels_stats_get(observe->v, &stats);
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_count(&json, "live_count", stats.live_count);
  vsi_json_count(&json, "made_count", stats.made_count);
  vsi_json_count(&json, "ended_count", stats.ended_count);
  vsi_json_count(&json, "refused_count", stats.refused_count);
  vsi_json_open(&json, "channels", '[');
  vestry_err error = vestry_observe_channels(observe, &query, put_channel, &json, &next);
  vsi_json_close(&json, ']');
  put_cursor(&json, next);
  vsi_json_close(&json, '}');
  if (error) json.text.error = error;
  return vsi_show_json(reply, &json);
}

/* --------------------------------------------------------------------------------------------------- store -------- */

/* Write how long the entries evicted for SIZE had been unused, as a histogram of one in 16 evictions. unused_ms: upper
 * bound of a bucket; null: none. */
static void put_evictions(vsi_json_writer *json, const vestry_store *store) {
  vsi_histogram_counts ages;
  vsi_store_evictions(store, &ages);
  vsi_json_open(json, "evictions", '[');
  for (size_t i = 0; i <= VSI_HISTOGRAM_BOUNDS_COUNT; i++) {
    if (!ages.counts[i]) continue;
    vsi_json_open(json, NULL, '{');
    if (i < VSI_HISTOGRAM_BOUNDS_COUNT)
      vsi_json_count(json, "unused_ms", (uint64_t)(ages.bounds_s[i] * 1000));
    else
      vsi_json_null(json, "unused_ms");
    vsi_json_count(json, "count", ages.counts[i]);
    vsi_json_close(json, '}');
  }
  vsi_json_close(json, ']');
}

vestry_err vsi_list_store(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_store_stats store = {0};
  vestry_stats stats = {0};
  vestry_store_stats_get(observe->v->store, &store);
  vestry_stats_get(observe->v, &stats);
  vestry_histories_stats histories = {0};
  vestry_histories_stats_get(observe->v, &histories);
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_count(&json, "entries_count", store.live_count);
  vsi_json_count(&json, "max_count", observe->v->max_count);
  vsi_json_count(&json, "put_count", store.put_count);
  vsi_json_count(&json, "hits_count", store.hits_count);
  vsi_json_count(&json, "misses_count", store.misses_count);
  vsi_json_causes(&json, "removed", store.removed_by_cause);
  put_evictions(&json, observe->v->store);
  vsi_json_count(&json, "streams_open_count", stats.open_count);
  vsi_json_count(&json, "streams_opened_count", stats.opened_count);
  vsi_json_causes(&json, "streams_closed", stats.closed_by_cause);
  vsi_json_count(&json, "queued_bytes", stats.queued_bytes);
  vsi_json_count(&json, "histories_count", histories.live_count);
  vsi_json_close(&json, '}');
  return vsi_show_json(reply, &json);
}

/* --------------------------------------------------------------------------------------------------- pages -------- */

static void put_info(const vestry_page_info *info, void *ctx) {
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  vsi_json_str(json, "path", info->path);
  vsi_json_str(json, "part", info->part);
  vsi_json_count(json, "streams_count", info->streams_count);
  vsi_json_count(json, "documents_count", info->documents_count);
  vsi_json_count(json, "renders_count", info->renders_count);
  vsi_json_count(json, "changed_count", info->changed_count);
  vsi_json_count(json, "unchanged_count", info->unchanged_count);
  vsi_json_count(json, "current_count", info->current_count);
  vsi_json_count(json, "failed_count", info->failed_count);
  vsi_json_count(json, "dropped_count", info->dropped_count);
  vsi_json_count(json, "renders_minute_count", info->renders_minute_count);
  vsi_json_count(json, "unchanged_minute_count", info->unchanged_minute_count);
  vsi_json_number(json, "handler_ms", (double)info->handler_ns / 1e6);
  vsi_json_number(json, "handler_longest_ms", (double)info->handler_longest_ns / 1e6);
  vsi_json_count(json, "sent_bytes", info->sent_bytes);
  vsi_json_str(json, "refreshed_by", info->refreshed_by);
  vsi_json_count(json, "refreshed_ago_ms", info->refreshed_ago_ms);
  vsi_json_str(json, "unchanged_by", info->unchanged_by);
  vsi_json_close(json, '}');
}

vestry_err vsi_list_pages(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"path", "handler", "renders", "unchanged"};
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  unsigned order;
  int64_t limit;
  if (!get_choice(req, "sort", orders, sizeof orders / sizeof *orders, &order))
    return vsi_show_text(reply, 400, "sort: path, handler, renders or unchanged is expected\n");
  if (!get_limit(req, &limit)) return vsi_show_text(reply, 400, "limit: a number from 1 to 100 is expected\n");
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_open(&json, "pages", '[');
  vestry_err error = vestry_observe_pages(observe, (vestry_pages_order)order, (size_t)limit, put_info, &json);
  vsi_json_close(&json, ']');
  vsi_json_close(&json, '}');
  if (error) json.text.error = error;
  return vsi_show_json(reply, &json);
}

/* ------------------------------------------------------------------------------------------------- cluster -------- */

static void put_member(const vsi_cluster_member *member, void *ctx) {
  static const char *const names[] = {
      [VESTRY_MEMBER_NONE] = "none",        [VESTRY_MEMBER_ALIVE] = "alive", [VESTRY_MEMBER_SUSPECT] = "suspect",
      [VESTRY_MEMBER_DEAD] = "dead",        [VESTRY_MEMBER_LEFT] = "left",   [VESTRY_MEMBER_REFUSED] = "refused",
      [VESTRY_MEMBER_DRAINING] = "draining"};
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  vsi_json_str(json, "node", member->node);
  vsi_json_str(json, "state", names[member->state]);
  vsi_json_count(json, "gaps_count", member->gaps_count);
  vsi_json_count(json, "lost_count", member->lost_count);
  put_ago(json, "gap_ago_ms", member->gap_ago_ms);
  vsi_json_close(json, '}');
}

vestry_err vsi_list_cluster(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vestry_cluster *cluster = observe->options.cluster;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_cluster_stats stats = {0};
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_open(&json, "members", '[');
  vestry_err error = cluster ? vsi_cluster_members(cluster, put_member, &json) : VESTRY_OK;
  vsi_json_close(&json, ']');
  if (cluster) {
    vestry_cluster_stats_get(cluster, &stats);
    vsi_json_count(&json, "alive_count", stats.alive_count);
    vsi_json_count(&json, "unsynced_count", stats.unsynced_count);
    vsi_json_count(&json, "keys_count", stats.keys_count);
    vsi_json_count(&json, "others_keys_count", stats.others_keys_count);
    vsi_json_count(&json, "sent_count", stats.sent_count);
    vsi_json_count(&json, "received_count", stats.received_count);
    vsi_json_count(&json, "gaps_count", stats.gaps_count);
    vsi_json_count(&json, "lost_count", stats.lost_count);
  }
  vsi_json_close(&json, '}');
  if (error) json.text.error = error;
  return vsi_show_json(reply, &json);
}
