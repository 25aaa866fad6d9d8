/* SPDX-License-Identifier: MIT */
/* Signals from a client: any bytes, under any limits. The result is compared with jansson's, without limits.
 * Input: a byte each for max_depth, max_count and max_bytes (times 16), then the text. */
#include <strings.h>

#include "fuzz/target.h"
#include "vestry/signals.h"

/* Whether the text may have a value that vestry mends and jansson refuses: an escape of a zero character or of half a
 * surrogate pair, or an integer beyond 64 bits. */
static bool may_be_mended(const char *json, size_t len) {
  size_t digits = 0;
  for (size_t i = 0; i < len; i++) {
    digits = json[i] >= '0' && json[i] <= '9' ? digits + 1 : 0;
    if (digits >= 19) return true;
    if (len - i >= 6 && (memcmp(json + i, "\\u0000", 6) == 0 || strncasecmp(json + i, "\\ud", 3) == 0)) return true;
  }
  return false;
}

/* Compare both results for an accepted text. */
static void check_accepted(const char *json, size_t len, json_t *signals) {
  require(json_is_object(signals));
  json_t *other = len ? json_loadb(json, len, 0, NULL) : json_object();
  require(other ? json_equal(signals, other) : may_be_mended(json, len));
  json_decref(other);
}

static void check_refused(const char *json, size_t len, vestry_err error, const vestry_signals_error *why) {
  require(error == VESTRY_MALFORMED || error == VESTRY_TOO_LARGE);
  require(why->offset <= len && memchr(why->message, '\0', sizeof why->message) && why->message[0]);
  if (error != VESTRY_MALFORMED || memchr(json, 0, len)) return; /* jansson 2.14 ignores a NUL after a number */
  json_t *other = json_loadb(json, len, 0, NULL);
  require(!json_is_object(other));
  json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3) return 0;
  vestry_signals_limits limits = {.max_depth = data[0], .max_count = data[1], .max_bytes = data[2] * (size_t)16};
  const char *json = (const char *)data + 3;
  size_t len = size - 3;
  json_t *signals = NULL;
  vestry_signals_error why = {.offset = SIZE_MAX};
  vestry_err error = vestry_signals_parse(json, len, &limits, &signals, &why);
  if (error)
    check_refused(json, len, error, &why);
  else
    check_accepted(json, len, signals);
  json_decref(signals);
  return 0;
}
