/* SPDX-License-Identifier: MIT */
/* The effects of a reply as an effect list: [["patch-signals", {…}], …]. */
#ifndef TESTS_SUPPORT_REPLY_EFFECTS_H
#define TESTS_SUPPORT_REPLY_EFFECTS_H

#include <string.h>

#include "http/reply.h"
#include "vestry/event.h"

/* The lines of an event with this prefix, without the prefix; JSON. */
static inline json_t *reply_effect_lines(const vestry_event *event, const char *key) {
  vestry_slice bytes = vestry_event_bytes(event);
  const char *at = bytes.data, *end = at + bytes.len;
  char *text = malloc(bytes.len + 1);
  size_t len = 0;
  while (text && at < end) {
    const char *line_end = memchr(at, '\n', (size_t)(end - at));
    const size_t line_len = (size_t)(line_end - at), key_len = strlen(key);
    if (line_len >= key_len && memcmp(at, key, key_len) == 0) {
      if (len) text[len++] = '\n';
      memcpy(text + len, at + key_len, line_len - key_len);
      len += line_len - key_len;
    }
    at = line_end + 1;
  }
  json_t *lines = json_stringn(text, len);
  free(text);
  return lines;
}

/* Returns a new reference. */
static inline json_t *reply_effects(const vestry_reply *reply) {
  json_t *all = json_array();
  for (size_t i = 0; i < reply->effects_count; i++) {
    const vsi_effect_item *effect = &reply->effects[i];
    if (effect->list) {
      json_array_append(all, effect->list);
    } else if (strcmp(effect->name, "patch-signals") == 0) {
      json_t *text = reply_effect_lines(effect->event, "data: signals ");
      json_t *signals = json_loads(json_string_value(text), 0, NULL);
      json_array_append_new(all, json_pack("[s,o]", effect->name, signals));
      json_decref(text);
    } else {
      json_array_append_new(all,
                            json_pack("[s,o]", effect->name, reply_effect_lines(effect->event, "data: elements ")));
    }
  }
  return all;
}

#endif
