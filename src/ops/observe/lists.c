/* SPDX-License-Identifier: MIT */
/* Listings as JSON. Each struct has a table of its members, in the order in which they are written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "channel/channels.h"
#include "cluster/cluster/cluster.h"
#include "ops/observe/inside.h"
#include "store/store.h"
#include "vestry/app/history.h"

/* A member of a vestry_…_info, and of a vestry_…_stats. */
#define COUNT(of, member)          VSI_JSON_MEMBER(COUNT, vestry_##of##_info, member)
#define MEMBER(kind, of, member)   VSI_JSON_MEMBER(kind, vestry_##of##_info, member)
#define AS(name, kind, of, member) VSI_JSON_AS(name, kind, vestry_##of##_info, member)
#define CHARS(of, member)          MEMBER(CHARS, of, member)
#define STR(of, member)            MEMBER(STR, of, member)
#define STAT(of, member)           VSI_JSON_MEMBER(COUNT, vestry_##of##_stats, member)

enum { PREFIX_MAX_LEN = VESTRY_SHOWN_KEY_BYTES - 1 };

/* ------------------------------------------------------------------------------------------ query ----------------- */

/* Find the index of a value among names; 0 if the query has none. false: it has another value. */
static bool get_choice(const vestry_request *req, const char *name, const char *const *names, unsigned count,
                       unsigned *ret_choice) {
  const char *value = vestry_request_value(req, VESTRY_IN_QUERY, name);
  unsigned i = 0;
  while (value && i < count && strcmp(value, names[i]) != 0) i++;
  *ret_choice = i;
  return i < count;
}

/* Read a number from 1; 0: there is none. */
static bool get_number(const vestry_request *req, const char *name, int64_t most, uint64_t *ret_number) {
  int64_t number = 0;
  const vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, name, vestry_into_between(&number, 1, most));
  *ret_number = (uint64_t)number;
  return !error || error == VESTRY_NOT_FOUND;
}

/* Read the limit. Returns NULL, or a message. */
static const char *get_limit(const vestry_request *req, size_t *ret_limit) {
  uint64_t limit;
  if (!get_number(req, "limit", VESTRY_STREAMS_MAX_COUNT, &limit)) return "limit: a number from 1 to 100 is expected\n";
  *ret_limit = (size_t)limit;
  return NULL;
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

/* Read prefix, limit and cursor. Returns NULL, or a message about the first mistake. */
static const char *get_page(const vestry_request *req, const char **ret_prefix, size_t *ret_limit,
                            vestry_stream_cursor *ret_from) {
  const char *wrong = get_limit(req, ret_limit);
  if (wrong) return wrong;
  if (!get_cursor(req, ret_from)) return "cursor: the value of `next` in the previous answer is expected\n";
  *ret_prefix = vestry_request_value(req, VESTRY_IN_QUERY, "prefix");
  return *ret_prefix && strlen(*ret_prefix) > PREFIX_MAX_LEN ? "prefix: at most 128 bytes are allowed\n" : NULL;
}

/* End the outermost object and send it. */
static vestry_err answer(vestry_reply *reply, vsi_json_writer *json, vestry_err error) {
  vsi_json_close(json, '}');
  if (error) json->text.error = error;
  return vsi_show_json(reply, json);
}

static void put_cursor(vsi_json_writer *json, vestry_stream_cursor cursor) {
  char text[48];
  snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, cursor.value, cursor.id);
  vsi_json_str(json, "next", cursor.value || cursor.id ? text : NULL);
}

/* ------------------------------------------------------------------------------------------------- streams -------- */

static void put_page(vsi_json_writer *json, const vestry_stream_info *info) {
  if (!info->is_page) return;
  vsi_json_str(json, "path", info->path);
  vsi_json_open(json, "topics", '[');
  for (uint32_t i = 0; i < info->topics_count && i < VESTRY_SHOWN_TOPICS_COUNT; i++)
    vsi_json_str(json, NULL, info->topics[i]);
  vsi_json_close(json, ']');
  vsi_json_count(json, "topics_count", info->topics_count);
}

static void put_connection(vsi_json_writer *json, const vestry_stream_info *info) {
  if (!info->connection_id) return;
  VSI_JSON_PUT(json, info, AS("connection", COUNT, stream, connection_id), COUNT(stream, connection_streams_count),
               COUNT(stream, unsent_bytes), MEMBER(BYTES, stream, stream_window_bytes),
               MEMBER(BYTES, stream, connection_window_bytes), MEMBER(WAIT, stream, waits_for));
}

static void put_stream(const vestry_stream_info *info, void *ctx) {
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  VSI_JSON_PUT(json, info, COUNT(stream, id), CHARS(stream, scope), CHARS(stream, key),
               AS("key_cut", BOOL, stream, is_key_cut), COUNT(stream, keys_count), MEMBER(STATE, stream, state),
               MEMBER(CAUSE, stream, cause), COUNT(stream, age_ms), STR(stream, adapter), STR(stream, coding),
               MEMBER(NUMBER, stream, ratio), COUNT(stream, queued_count), COUNT(stream, queued_bytes),
               COUNT(stream, accepted_count), COUNT(stream, written_count), COUNT(stream, discarded_count),
               COUNT(stream, conflated_count), COUNT(stream, refused_count), COUNT(stream, written_bytes),
               COUNT(stream, wire_bytes), MEMBER(AGO, stream, last_write_ms),
               MEMBER(BYTES, stream, unacknowledged_bytes), MEMBER(ERROR, stream, last_error),
               AS("console", FLAG, stream, is_console));
  put_connection(json, info);
  put_page(json, info);
  vsi_json_close(json, '}');
}

vestry_err vsi_list_streams(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"newest", "oldest", "queued", "bytes"};
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  unsigned order;
  vestry_stream_query query = {0};
  if (!get_choice(req, "sort", orders, 4, &order))
    return vsi_show_text(reply, 400, "sort: newest, oldest, queued or bytes is expected\n");
  const char *wrong = get_page(req, &query.prefix, &query.limit, &query.from);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  if (!get_number(req, "connection", INT64_MAX, &query.connection_id))
    return vsi_show_text(reply, 400, "connection: the number of a connection, from 1, is expected\n");
  query.order = (vestry_stream_order)order;
  vsi_json_writer json;
  vestry_stream_cursor next = {0, 0};
  vestry_stats stats = {0};
  vestry_stats_get(observe->v, &stats);
  vsi_json_begin_object(&json, observe->v->host);
  vsi_json_count(&json, "open_count", stats.open_count);
  vsi_json_open(&json, "streams", '[');
  vestry_err error = vestry_observe_streams(observe, &query, put_stream, &json, &next);
  vsi_json_close(&json, ']');
  put_cursor(&json, next);
  return answer(reply, &json, error);
}

/* ------------------------------------------------------------------------------------------- ended streams -------- */

static void put_close(const vestry_close_info *info, void *ctx) {
  VSI_JSON_OBJECT(ctx, info, COUNT(close, number), COUNT(close, id), CHARS(close, scope), CHARS(close, key),
                  AS("key_cut", BOOL, close, is_key_cut), AS("console", FLAG, close, is_console),
                  {"state", VSI_JSON_CLOSED, 0, 0}, MEMBER(CAUSE, close, cause), COUNT(close, age_ms),
                  COUNT(close, ago_ms), STR(close, adapter), STR(close, coding), COUNT(close, written_count),
                  COUNT(close, conflated_count), COUNT(close, refused_count), COUNT(close, discarded_count),
                  COUNT(close, discarded_bytes), COUNT(close, written_bytes), COUNT(close, wire_bytes),
                  MEMBER(ERROR, close, last_error));
}

static bool get_cause(const vestry_request *req, vestry_cause *ret_cause) {
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "cause");
  int cause = VESTRY_CAUSE_NONE;
  if (name) {
    cause = VESTRY_CAUSE_NONE + 1;
    while (cause < VESTRY_CAUSE_COUNT && strcmp(name, vestry_cause_name((vestry_cause)cause)) != 0) cause++;
  }
  *ret_cause = (vestry_cause)cause;
  return cause < VESTRY_CAUSE_COUNT;
}

vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const choices[] = {"yes", "no"};
  vestry_observe *observe = app;
  vestry_close_query query = {.before = 0};
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (!get_cause(req, &query.cause)) return vsi_show_text(reply, 400, "cause: unknown name\n");
  if (!get_number(req, "before", INT64_MAX, &query.before) || !get_number(req, "after", INT64_MAX, &query.after))
    return vsi_show_text(reply, 400, "before, after: the number of a close, from 1, is expected\n");
  const char *wrong = get_limit(req, &query.limit);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  unsigned consoles;
  if (!get_choice(req, "consoles", choices, 2, &consoles))
    return vsi_show_text(reply, 400, "consoles: yes or no is expected\n");
  query.no_consoles = consoles == 1;
  uint64_t next = 0;
  vsi_close_counts counts;
  vsi_json_writer json;
  vsi_json_begin_object(&json, observe->v->host);
  vsi_json_open(&json, "closed", '[');
  vestry_err error = vestry_observe_closes(observe, &query, put_close, &json, &next);
  vsi_json_close(&json, ']');
  if (next)
    vsi_json_count(&json, "next", next);
  else
    vsi_json_null(&json, "next");
  vsi_closes_count(observe->closes, &counts);
  VSI_JSON_PUT(&json, &counts, VSI_JSON_AS("last_hour", CAUSES, vsi_close_counts, hour),
               VSI_JSON_AS("last_hour_consoles", CAUSES, vsi_close_counts, hour_consoles),
               VSI_JSON_MEMBER(CAUSES, vsi_close_counts, all), VSI_JSON_MEMBER(CAUSES, vsi_close_counts, all_consoles));
  return answer(reply, &json, error);
}

/* ---------------------------------------------------------------------------------------------- one stream -------- */

vestry_err vsi_list_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  int64_t id;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&id, 1, INT64_MAX)))
    return vsi_show_text(reply, 400, "the number of a stream consists of digits\n");
  vestry_stream_info info = {0};
  vestry_close_info closed;
  vestry_err error = vestry_observe_stream(observe, (uint64_t)id, &info);
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  if (!error)
    put_stream(&info, &json);
  else if (error == VESTRY_NOT_FOUND && !(error = vsi_closes_find(observe->closes, (uint64_t)id, &closed)))
    put_close(&closed, &json);
  if (!error) return vsi_show_json(reply, &json);
  vsi_json_finish(&json);
  return error == VESTRY_NOT_FOUND
             ? vsi_show_text(reply, 404, "unknown stream: neither open nor among the last closed streams\n")
             : error;
}

/* ------------------------------------------------------------------------------------------------ channels -------- */

static void put_channel(const vestry_channel_info *info, void *ctx) {
  VSI_JSON_OBJECT(ctx, info, COUNT(channel, number), CHARS(channel, scope), CHARS(channel, key),
                  AS("key_cut", BOOL, channel, is_key_cut), COUNT(channel, members_count),
                  COUNT(channel, published_count), COUNT(channel, accepted_count), COUNT(channel, refused_count),
                  COUNT(channel, epochs_count), COUNT(channel, standalone_count), COUNT(channel, encodes_count),
                  COUNT(channel, plain_bytes), COUNT(channel, encoded_bytes), MEMBER(NUMBER, channel, ratio),
                  AS("history", BOOL, channel, has_history), COUNT(channel, kept_count), COUNT(channel, kept_bytes));
}

vestry_err vsi_list_channels(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_channel_query query = {.prefix = NULL};
  const char *wrong = get_page(req, &query.prefix, &query.limit, &query.from);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  vsi_json_writer json;
  vestry_stream_cursor next = {0, 0};
  vsi_channels_stats stats = {0};
  vsi_channels_stats_get(observe->v->channels, &stats);
  vsi_json_begin_object(&json, observe->v->host);
  VSI_JSON_PUT(&json, &stats, VSI_JSON_MEMBER(COUNT, vsi_channels_stats, live_count),
               VSI_JSON_MEMBER(COUNT, vsi_channels_stats, made_count),
               VSI_JSON_MEMBER(COUNT, vsi_channels_stats, ended_count),
               VSI_JSON_MEMBER(COUNT, vsi_channels_stats, refused_count));
  vsi_json_open(&json, "channels", '[');
  vestry_err error = vestry_observe_channels(observe, &query, put_channel, &json, &next);
  vsi_json_close(&json, ']');
  put_cursor(&json, next);
  return answer(reply, &json, error);
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
  vsi_json_begin_object(&json, observe->v->host);
  vsi_json_count(&json, "entries_count", store.live_count);
  vsi_json_count(&json, "max_count", observe->v->store->max_count);
  VSI_JSON_PUT(&json, &store, STAT(store, put_count), STAT(store, hits_count), STAT(store, misses_count),
               VSI_JSON_AS("removed", CAUSES, vestry_store_stats, removed_by_cause));
  put_evictions(&json, observe->v->store);
  VSI_JSON_PUT(&json, &stats, VSI_JSON_AS("streams_open_count", COUNT, vestry_stats, open_count),
               VSI_JSON_AS("streams_opened_count", COUNT, vestry_stats, opened_count),
               VSI_JSON_AS("streams_closed", CAUSES, vestry_stats, closed_by_cause),
               VSI_JSON_MEMBER(COUNT, vestry_stats, queued_bytes));
  vsi_json_count(&json, "histories_count", histories.live_count);
  return answer(reply, &json, VESTRY_OK);
}

/* --------------------------------------------------------------------------------------------------- pages -------- */

static void put_info(const vestry_page_info *info, void *ctx) {
  VSI_JSON_OBJECT(ctx, info, STR(page, path), STR(page, part), COUNT(page, streams_count), COUNT(page, documents_count),
                  COUNT(page, renders_count), COUNT(page, changed_count), COUNT(page, unchanged_count),
                  COUNT(page, current_count), COUNT(page, failed_count), COUNT(page, dropped_count),
                  COUNT(page, renders_minute_count), COUNT(page, unchanged_minute_count),
                  AS("handler_ms", MS, page, handler_ns), AS("handler_longest_ms", MS, page, handler_longest_ns),
                  COUNT(page, sent_bytes), STR(page, refreshed_by), COUNT(page, refreshed_ago_ms),
                  STR(page, unchanged_by));
}

vestry_err vsi_list_pages(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"path", "handler", "renders", "unchanged"};
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  unsigned order;
  size_t limit;
  if (!get_choice(req, "sort", orders, 4, &order))
    return vsi_show_text(reply, 400, "sort: path, handler, renders or unchanged is expected\n");
  const char *wrong = get_limit(req, &limit);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  vsi_json_writer json;
  vsi_json_begin_object(&json, observe->v->host);
  vsi_json_open(&json, "pages", '[');
  vestry_err error = vestry_observe_pages(observe, (vestry_pages_order)order, limit, put_info, &json);
  vsi_json_close(&json, ']');
  return answer(reply, &json, error);
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
  VSI_JSON_PUT(json, member, VSI_JSON_MEMBER(COUNT, vsi_cluster_member, gaps_count),
               VSI_JSON_MEMBER(COUNT, vsi_cluster_member, lost_count),
               VSI_JSON_MEMBER(AGO, vsi_cluster_member, gap_ago_ms));
  vsi_json_close(json, '}');
}

vestry_err vsi_list_cluster(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vestry_cluster *cluster = observe->options.cluster;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_cluster_stats stats = {0};
  vsi_json_writer json;
  vsi_json_begin_object(&json, observe->v->host);
  vsi_json_open(&json, "members", '[');
  vestry_err error = cluster ? vsi_cluster_members(cluster, put_member, &json) : VESTRY_OK;
  vsi_json_close(&json, ']');
  if (cluster) {
    vestry_cluster_stats_get(cluster, &stats);
    VSI_JSON_PUT(&json, &stats, STAT(cluster, alive_count), STAT(cluster, unsynced_count), STAT(cluster, keys_count),
                 STAT(cluster, others_keys_count), STAT(cluster, sent_count), STAT(cluster, received_count),
                 STAT(cluster, gaps_count), STAT(cluster, lost_count));
  }
  return answer(reply, &json, error);
}
