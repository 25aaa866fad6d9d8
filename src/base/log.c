/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/held_log.h"
#include "base/siphash.h"

/* The innermost hold of this thread; NULL: none. */
static _Thread_local vsi_held_log *holding;

void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
  if (!host->log) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  /* Text from clients must not forge, reorder or hide lines. */
  char *to = line;
  for (const char *at = line, *end = line + strlen(line); at < end;) {
    const size_t control = vsi_control_len(at, end);
    *to++ = control ? '?' : *at;
    at += control ? control : 1;
  }
  *to = '\0';
  if (holding && level == VESTRY_LOG_ERROR && !*holding->line) {
    const size_t len = strnlen(line, sizeof holding->line - 1);
    memcpy(holding->line, line, len);
    holding->line[len] = '\0';
  } else {
    host->log(host->ctx, level, line);
  }
}

vestry_err vsi_option_ranges_check(const vestry_host *host, const char *function, const vsi_option_range *options,
                                   size_t count) {
  for (const vsi_option_range *at = options; at < options + count; at++) {
    if (!at->value || (at->value >= at->least && at->value <= at->most)) continue;
    vsi_log(host, VESTRY_LOG_ERROR, "%s: %s is %" PRIu64 ", but must be from %" PRIu64 " to %" PRIu64, function,
            at->name, at->value, at->least, at->most);
    return VESTRY_INVALID;
  }
  return VESTRY_OK;
}

void vsi_log_hold(vsi_held_log *held) {
  held->line[0] = '\0';
  held->outer = holding;
  holding = held;
}

void vsi_log_release(const vsi_held_log *held) {
  holding = held->outer;
}

bool vsi_log_is_due(vsi_repeated_log *last, const char *line, uint64_t now_ns, uint64_t *ret_left_out) {
  static const uint64_t every_ns = 60 * UINT64_C(1000000000);
  static const vsi_siphash_key key = {0, 0};
  const uint64_t hash = vsi_siphash_1_3(key, line, strlen(line));
  if (last->logged_ns && last->hash == hash && now_ns - last->logged_ns < every_ns) {
    last->left_out++;
    return false;
  }
  *ret_left_out = last->hash == hash ? last->left_out : 0;
  *last = (vsi_repeated_log){.hash = hash, .logged_ns = now_ns ? now_ns : 1};
  return true;
}
