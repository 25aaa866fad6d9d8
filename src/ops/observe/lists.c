/* SPDX-License-Identifier: MIT */
/* Parameters of the lists, and the lists of the store and of the cluster. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "cluster/cluster/cluster.h"
#include "ops/observe/inside.h"
#include "store/store.h"
#include "vestry/app/history.h"

/* ------------------------------------------------------------------------------------------ query ----------------- */

bool vsi_query_choice(const vestry_request *req, const char *name, const char *const *names, unsigned count,
                      unsigned *ret_choice) {
  const char *value = vestry_request_value(req, VESTRY_IN_QUERY, name);
  unsigned i = 0;
  while (value && i < count && strcmp(value, names[i]) != 0) i++;
  *ret_choice = i;
  return i < count;
}

bool vsi_query_number(const vestry_request *req, const char *name, int64_t most, uint64_t *ret_number) {
  int64_t number = 0;
  const vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, name, vestry_into_between(&number, 1, most));
  *ret_number = (uint64_t)number;
  return !error || error == VESTRY_NOT_FOUND;
}

const char *vsi_query_limit(const vestry_request *req, size_t otherwise, size_t *ret_limit) {
  uint64_t limit;
  if (!vsi_query_number(req, "limit", VSI_LIST_MAX_COUNT, &limit)) return "limit: a number from 1 to 100 is expected\n";
  *ret_limit = limit ? (size_t)limit : otherwise;
  return NULL;
}

/* A cursor is two numbers of 16 hexadecimal digits, and a dash between them. */
static bool get_cursor(const vestry_request *req, vsi_list_cursor *ret_cursor) {
  const char *text = vestry_request_value(req, VESTRY_IN_QUERY, "cursor");
  *ret_cursor = (vsi_list_cursor){0, 0};
  if (!text) return true;
  if (strlen(text) != 33 || !vsi_hex_is(text, 16) || text[16] != '-' || !vsi_hex_is(text + 17, 16)) return false;
  *ret_cursor = (vsi_list_cursor){strtoull(text, NULL, 16), strtoull(text + 17, NULL, 16)};
  return true;
}

void vsi_report_put_next(vsi_report *report, vsi_list_cursor next) {
  char text[48];
  snprintf(text, sizeof text, "%016" PRIx64 "-%016" PRIx64, next.value, next.id);
  vsi_report_put(report, VESTRY_OBJECT("next", vsi_report_text(next.value || next.id ? text : NULL)));
}

const char *vsi_query_page(const vestry_request *req, vsi_list_page *ret_page) {
  const char *wrong = vsi_query_limit(req, VSI_LIST_MAX_COUNT, &ret_page->limit);
  if (wrong) return wrong;
  if (!get_cursor(req, &ret_page->from)) return "cursor: the value of `next` in the previous answer is expected\n";
  ret_page->prefix = vestry_request_value(req, VESTRY_IN_QUERY, "prefix");
  return ret_page->prefix && strlen(ret_page->prefix) >= VSI_SHOWN_KEY_BYTES ? "prefix: at most 128 bytes are allowed\n"
                                                                             : NULL;
}

/* --------------------------------------------------------------------------------------------------- store -------- */

/* Write how long the entries evicted for SIZE had been unused, as a histogram of one in 16 evictions. unused_ms: upper
 * bound of a bucket; null: none. */
static void put_evictions(vsi_report *report, const vestry_store *store) {
  vsi_histogram_counts ages;
  vsi_store_evictions(store, &ages);
  vsi_report_open(report, "evictions", '[');
  for (size_t i = 0; i <= VSI_HISTOGRAM_BOUNDS_COUNT; i++) {
    const bool has_bound = i < VSI_HISTOGRAM_BOUNDS_COUNT;
    const uint64_t bound_ms = has_bound ? (uint64_t)(ages.bounds_s[i] * 1000) : 0;
    if (ages.counts[i])
      vsi_report_add(report,
                     *VESTRY_OBJECT("unused_ms", vsi_report_count(has_bound, bound_ms), "count", ages.counts[i]));
  }
  vsi_report_close(report, ']');
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
  vsi_report report;
  vsi_report_begin(&report, observe->v->host);
  vsi_report_put(&report,
                 VESTRY_OBJECT("entries_count", store.live_count, "max_count", observe->v->store->max_count,
                               "put_count", store.put_count, "hits_count", store.hits_count, "misses_count",
                               store.misses_count, "streams_open_count", stats.open_count, "streams_opened_count",
                               stats.opened_count, "queued_bytes", stats.queued_bytes));
  vsi_report_put(&report, VESTRY_OBJECT("histories_count", histories.live_count));
  vsi_report_put_causes(&report, "removed", store.removed_by_cause);
  vsi_report_put_causes(&report, "streams_closed", stats.closed_by_cause);
  put_evictions(&report, observe->v->store);
  return vsi_show_json(reply, &report);
}

/* ------------------------------------------------------------------------------------------------- cluster -------- */

static void put_node(const vsi_cluster_member *member, void *ctx) {
  static const char *const names[] = {
      [VESTRY_MEMBER_NONE] = "none",        [VESTRY_MEMBER_ALIVE] = "alive", [VESTRY_MEMBER_SUSPECT] = "suspect",
      [VESTRY_MEMBER_DEAD] = "dead",        [VESTRY_MEMBER_LEFT] = "left",   [VESTRY_MEMBER_REFUSED] = "refused",
      [VESTRY_MEMBER_DRAINING] = "draining"};
  const bool has_gap = member->gap_ago_ms != VESTRY_NEVER_MS;
  vsi_report_add(ctx, *VESTRY_OBJECT("node", member->node, "state", names[member->state], "gaps_count",
                                     member->gaps_count, "lost_count", member->lost_count, "gap_ago_ms",
                                     vsi_report_count(has_gap, member->gap_ago_ms)));
}

vestry_err vsi_list_cluster(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vestry_cluster *cluster = observe->options.cluster;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_cluster_stats stats = {0};
  vsi_report report;
  vsi_report_begin(&report, observe->v->host);
  vsi_report_open(&report, "members", '[');
  vestry_err error = cluster ? vsi_cluster_members(cluster, put_node, &report) : VESTRY_OK;
  vsi_report_close(&report, ']');
  if (error) report.text.error = error;
  if (cluster) {
    vestry_cluster_stats_get(cluster, &stats);
    vsi_report_put(&report, VESTRY_OBJECT("alive_count", stats.alive_count, "unsynced_count", stats.unsynced_count,
                                          "keys_count", stats.keys_count, "others_keys_count", stats.others_keys_count,
                                          "sent_count", stats.sent_count, "received_count", stats.received_count,
                                          "gaps_count", stats.gaps_count, "lost_count", stats.lost_count));
  }
  return vsi_show_json(reply, &report);
}
