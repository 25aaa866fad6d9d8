/* SPDX-License-Identifier: MIT */
#include "keys_json.h"

#include <stdlib.h>
#include <string.h>

/* Number of shown digits of a scope: enough to distinguish sessions, but too few to impersonate one (96 of 128 bits are
 * hidden). */
enum { SHOWN_LEN = 8 };

static void add_key(const vestry_listed *listed, void *ctx) {
  char scope[SHOWN_LEN * 6 + 1] = "", name[512];
  size_t shown = listed->scope.len / 4 < SHOWN_LEN ? listed->scope.len / 4 : SHOWN_LEN, len;
  memcpy(scope, listed->scope.data, shown);
  strcat(scope, "…");
  if (vestry_key_format(listed->key, listed->key_len, name, sizeof name, &len) != VESTRY_OK) return;
  json_array_append_new(ctx, json_pack("{s:s,s:o,s:I}", "scope", scope, "key", json_loadb(name, len, 0, NULL),
                                       "connections", (json_int_t)listed->values_count));
}

vestry_err keys_json_reply(vestry *v, vestry_reply *reply) {
  json_t *keys = json_array(), *causes = json_object();
  vestry_list_cursor cursor = {0};
  vestry_err err = VESTRY_OK;
  while (err == VESTRY_OK && !cursor.done)
    err = vestry_store_list(vestry_parts_of(v)->store, NULL, 0, &cursor, add_key, keys);
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  for (int cause = VESTRY_CAUSE_NONE + 1; cause < VESTRY_CAUSE_COUNT; cause++)
    json_object_set_new(causes, vestry_cause_name(cause), json_integer((json_int_t)stats.closed_by_cause[cause]));
  json_t *all = json_pack("{s:o,s:I,s:I,s:I,s:o}", "keys", keys, "opened", (json_int_t)stats.opened_count, "open",
                          (json_int_t)stats.open_count, "closed", (json_int_t)stats.closed_count, "causes", causes);
  char *text = err == VESTRY_OK && all ? json_dumps(all, JSON_COMPACT) : NULL;
  if (err == VESTRY_OK && !text) err = VESTRY_NO_MEMORY;
  if (err == VESTRY_OK) {
    vestry_reply_header(reply, "Cache-Control", "no-store");
    err = vestry_reply_body(reply, "application/json", text, strlen(text));
  }
  free(text);
  json_decref(all);
  return err;
}
