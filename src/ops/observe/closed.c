/* SPDX-License-Identifier: MIT */
#include "ops/observe/handlers.h"

#include <string.h>

#include "ops/observe/inside.h"
#include "ops/observe/json.h"

#define HOUR_MS UINT64_C(3600000)

static void put_close(const vestry_close_info *info, void *ctx) {
  vsi_json_writer *json = ctx;
  vsi_json_open(json, NULL, '{');
  vsi_json_count(json, "number", info->number);
  vsi_json_count(json, "id", info->id);
  vsi_json_str(json, "scope", info->scope);
  vsi_json_str(json, "key", info->key);
  vsi_json_bool(json, "key_cut", info->is_key_cut);
  if (info->is_console) vsi_json_bool(json, "console", true);
  vsi_json_str(json, "state", "closed");
  vsi_json_str(json, "cause", vestry_cause_name(info->cause));
  vsi_json_count(json, "age_ms", info->age_ms);
  vsi_json_count(json, "ago_ms", info->ago_ms);
  vsi_json_str(json, "adapter", info->adapter);
  vsi_json_str(json, "coding", info->coding);
  vsi_json_count(json, "written_count", info->written_count);
  vsi_json_count(json, "conflated_count", info->conflated_count);
  vsi_json_count(json, "refused_count", info->refused_count);
  vsi_json_count(json, "discarded_count", info->discarded_count);
  vsi_json_count(json, "discarded_bytes", info->discarded_bytes);
  vsi_json_count(json, "written_bytes", info->written_bytes);
  vsi_json_count(json, "wire_bytes", info->wire_bytes);
  vsi_json_str(json, "last_error", info->last_error ? vestry_strerror(info->last_error) : NULL);
  vsi_json_close(json, '}');
}

/* ------------------------------------------------------------------------------------------- counts --------------- */

typedef struct last_hour {
  bool is_over; /* a close before that hour was reached */
  uint64_t counts[VESTRY_CAUSES_MAX], consoles[VESTRY_CAUSES_MAX];
} last_hour;

static void count(const vestry_close_info *info, void *ctx) {
  last_hour *hour = ctx;
  hour->is_over = info->ago_ms > HOUR_MS;
  if (hour->is_over) return;
  hour->counts[info->cause]++;
  hour->consoles[info->cause] += info->is_console;
}

static void count_hour(vestry_observe *observe, last_hour *hour) {
  vestry_close_query query = {.before = 0};
  do vsi_closes_look(observe->closes, &query, count, hour, &query.before);
  while (query.before && !hour->is_over);
}

vestry_err vsi_closed_put(vestry_observe *observe, uint64_t id, vsi_json_writer *json) {
  vestry_close_info info;
  vestry_err error = vsi_closes_find(observe->closes, id, &info);
  if (!error) put_close(&info, json);
  return error;
}

/* -------------------------------------------------------------------------------------------- request ------------- */

static bool get_number(const vestry_request *req, const char *name, int64_t most, uint64_t *ret_number) {
  int64_t number = 0;
  const vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, name, vestry_into_between(&number, 1, most));
  *ret_number = (uint64_t)number;
  return !error || error == VESTRY_NOT_FOUND;
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

/* consoles=no: leave them out; missing or yes: include them. */
static bool get_consoles(const vestry_request *req, bool *ret_none) {
  const char *value = vestry_request_value(req, VESTRY_IN_QUERY, "consoles");
  *ret_none = value && strcmp(value, "no") == 0;
  return !value || *ret_none || strcmp(value, "yes") == 0;
}

vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vestry_close_query query = {.before = 0};
  uint64_t limit, next = 0, counts[VESTRY_CAUSES_MAX] = {0}, consoles[VESTRY_CAUSES_MAX] = {0};
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (!get_cause(req, &query.cause)) return vsi_show_text(reply, 400, "cause: unknown name\n");
  if (!get_number(req, "before", INT64_MAX, &query.before) || !get_number(req, "after", INT64_MAX, &query.after))
    return vsi_show_text(reply, 400, "before, after: the number of a close, from 1, is expected\n");
  if (!get_number(req, "limit", VESTRY_STREAMS_MAX_COUNT, &limit))
    return vsi_show_text(reply, 400, "limit: a number from 1 to 100 is expected\n");
  if (!get_consoles(req, &query.no_consoles)) return vsi_show_text(reply, 400, "consoles: yes or no is expected\n");
  query.limit = (size_t)limit;
  last_hour hour = {.is_over = false};
  vsi_json_writer json;
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_open(&json, "closed", '[');
  vsi_closes_look(observe->closes, &query, put_close, &json, &next);
  vsi_json_close(&json, ']');
  if (next)
    vsi_json_count(&json, "next", next);
  else
    vsi_json_null(&json, "next");
  count_hour(observe, &hour);
  vsi_closes_count(observe->closes, counts, consoles);
  vsi_json_causes(&json, "last_hour", hour.counts);
  vsi_json_causes(&json, "last_hour_consoles", hour.consoles);
  vsi_json_causes(&json, "all", counts);
  vsi_json_causes(&json, "all_consoles", consoles);
  vsi_json_close(&json, '}');
  return vsi_show_json(reply, &json);
}
