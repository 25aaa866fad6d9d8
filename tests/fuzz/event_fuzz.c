/* SPDX-License-Identifier: MIT */
/* Events from any text and any fields: a made event must read back unchanged (tests/event/roundtrip.h).
 * Input: a byte for the kind, one for mode and namespace, one for flags, one for retry; id, selector and a third
 * field, each ended by a NUL; the text. Flag bits select the fields that are set. */
#include <stdio.h>

#include "event/roundtrip.h"
#include "fuzz/target.h"

enum { HAS_ID = 1, HAS_SELECTOR = 2, HAS_THIRD = 4, FIRST_SWITCH = 8 };

/* Cut a field off the input; NULL: it is not terminated. */
static const char *cut(const char **at, const char *end) {
  const char *field = *at, *zero = memchr(field, 0, (size_t)(end - field));
  if (!zero) return NULL;
  *at = zero + 1;
  return field;
}

static const char *round_trip(const uint8_t *head, const char *const *fields, const char *text, size_t len) {
  uint8_t flags = head[2];
  vestry_event_options common = {.id = flags & HAS_ID ? fields[0] : NULL, .retry_ms = head[3] * 100U};
  const char *third = flags & HAS_THIRD ? fields[2] : NULL;
  bool on = flags & FIRST_SWITCH;
  switch (head[0] % 5) {
  case 0: {
    vestry_elements_options options = {.event = common,
                                       .selector = flags & HAS_SELECTOR ? fields[1] : NULL,
                                       .mode = (vestry_patch_mode)(head[1] % 9),
                                       .use_view_transition = on,
                                       .view_transition_selector = third,
                                       .ns = (vestry_namespace)(head[1] / 9 % 4)};
    return roundtrip_elements(text, len, &options);
  }
  case 1: {
    vestry_signals_options options = {.event = common, .only_if_missing = on};
    return roundtrip_signals(text, len, &options);
  }
  case 2: {
    vsi_script_options options = {.event = common, .keep = on};
    return roundtrip_script(text, len, &options, third);
  }
  case 3: {
    const vestry_event_options options = common;
    return roundtrip_plain(flags & HAS_SELECTOR ? fields[1] : NULL, text, len, &options);
  }
  default: return roundtrip_comment(flags & HAS_ID ? fields[0] : NULL);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  const char *at = (const char *)data + 4, *end = (const char *)data + size, *fields[3];
  for (int i = 0; i < 3; i++) {
    if (!(fields[i] = cut(&at, end))) return 0;
  }
  const char *why = round_trip(data, fields, at, (size_t)(end - at));
  if (!why) return 0;
  fprintf(stderr, "%s\n", why);
  abort();
}
