/* SPDX-License-Identifier: MIT */
/* The lists of an observer that admits this machine, as JSON. */
#ifndef TESTS_SUPPORT_LISTED_H
#define TESTS_SUPPORT_LISTED_H

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "ops/observe/inside.h"
#include "support/test.h"
#include "vestry/testing/memory.h"

/* Request a list by its handler, or a path (handler NULL). The caller drops the reference; NULL: another status than
 * 200. */
static inline json_t *listed_by(vestry_observe *observe, vestry_handler_fn handler, const char *path,
                                const char *query) {
  static const vestry_header here = {"Host", "localhost"};
  const vestry_memory_call call = {
      .path = path, .query = query, .peer = "127.0.0.1", .headers = &here, .headers_count = 1};
  vestry_memory_exchange *exchange = NULL;
  json_t *json = NULL;
  if (vestry_memory_request(observe->v, &call, handler, observe, &exchange)) return NULL;
  const vestry_memory_seen seen = vestry_memory_look(exchange);
  if (seen.status == 200) {
    json = json_loadb(seen.received.data, seen.received.len, 0, NULL);
    assert_non_null(json);
  }
  vestry_memory_destroy(exchange);
  return json;
}

static inline json_t *listed(vestry_observe *observe, vestry_handler_fn handler, const char *query) {
  return listed_by(observe, handler, "/", query);
}

/* Request one stream. The observer is mounted at /observe. */
static inline json_t *listed_stream(vestry_observe *observe, uint64_t id) {
  char path[48];
  snprintf(path, sizeof path, "/observe/streams/%" PRIu64, id);
  return listed_by(observe, NULL, path, NULL);
}

/* Read a member. number: -1 for null. text: NULL for null. */
static inline int64_t listed_number(const json_t *of, const char *name) {
  const json_t *member = json_object_get(of, name);
  assert_true(json_is_integer(member) || json_is_null(member));
  return json_is_null(member) ? -1 : json_integer_value(member);
}
static inline const char *listed_text(const json_t *of, const char *name) {
  const json_t *member = json_object_get(of, name);
  assert_true(json_is_string(member) || json_is_null(member));
  return json_string_value(member);
}
static inline bool listed_is(const json_t *of, const char *name) {
  return json_is_true(json_object_get(of, name));
}

#endif
