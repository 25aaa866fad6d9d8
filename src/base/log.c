/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/callback.h"
#include "base/held_log.h"
#include "base/siphash.h"

/* The innermost hold of this thread; NULL: none. */
static _Thread_local vsi_held_log *holding;

/* How many calls of a host's log this thread is in. */
static _Thread_local unsigned logging;

enum { LINE_BYTES = 1024, COUNT_BYTES = 40 };

ssize_t vsi_write_quietly(int fd, const void *bytes, size_t len) {
  sigset_t pipe_only, pending, before;
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const ssize_t written = write(fd, bytes, len);
  const int error = errno;
  if (written < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
    (void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0}); /* the signal of this write */
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return written;
}

/* Return whether a line of this level is held back. */
static bool is_held(vestry_log_level level) {
  return holding && level == VESTRY_LOG_ERROR && !*holding->line;
}

/* Hold or log a line. Text from clients must not forge, reorder or hide lines, so it is changed. */
static void put_line(const vestry_host *host, vestry_log_level level, char line[LINE_BYTES]) {
  char *to = line;
  for (const char *at = line, *end = line + strlen(line); at < end;) {
    const size_t control = vsi_control_len(at, end);
    *to++ = control ? '?' : *at;
    at += control ? control : 1;
  }
  *to = '\0';
  if (is_held(level)) {
    const size_t len = strnlen(line, sizeof holding->line - 1);
    memcpy(holding->line, line, len);
    holding->line[len] = '\0';
  } else if (logging < 2) { /* otherwise a log whose own calls are logged would never return */
    logging++;
    vsi_callback_begin();
    host->log(host->ctx, level, line);
    vsi_callback_end();
    logging--;
  }
}

void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) {
  if (!host->log) return;
  char line[LINE_BYTES];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  put_line(host, level, line);
}

void vsi_log_mistake(const vestry_host *host, const char *function, const char *why) {
  vsi_log(host, VESTRY_LOG_ERROR, "%s: %s", function, why);
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

uint32_t vsi_log_reason(const char *line) {
  static const vsi_siphash_key key = {0, 0};
  const uint32_t hash = (uint32_t)vsi_siphash_1_3(key, line, strlen(line));
  return hash ? hash : 1;
}

/* One number for each reason implements the limit (GCRA, ITU-T I.371): the time until which the logged lines would last
 * if they were logged at the rate. Each line advances it. If it would be more than a burst ahead of the clock, the line
 * is left out. Time is counted in units of 2^24 ns, 17 ms, so that a reason and its time are one word, which one thread
 * of several can change. The count begins anew every two years. */
enum { UNIT_BITS = 24 };

/* Return how far a time is ahead of the clock; 0: it has passed. Another thread may have set it a moment after now. */
static uint32_t ahead_of(uint64_t until, uint32_t now, uint32_t most) {
  const uint32_t ahead = (uint32_t)until - now;
  return until && ahead <= 2 * most ? ahead : 0;
}

/* Relaxed: the words order nothing. */
bool vsi_log_is_due(vsi_repeated_log *log, vsi_log_rate rate, uint32_t reason, uint64_t now_ns,
                    uint32_t *ret_left_out) {
  const uint32_t now = (uint32_t)(now_ns >> UNIT_BITS), each = (uint32_t)(rate.each_ns >> UNIT_BITS);
  const uint32_t most = rate.burst * each;
  for (;;) {
    struct vsi_repeated_reason *own = NULL;
    uint64_t was = 0;
    for (size_t i = 0; i < VSI_REPEATED_REASONS && was >> 32 != reason; i++) {
      const uint64_t until = atomic_load_explicit(&log->reasons[i].until, memory_order_relaxed);
      if (until >> 32 != reason && (own || ahead_of(until, now, most))) continue;
      own = &log->reasons[i];
      was = until;
    }
    if (!own) return false;
    const uint32_t next = ahead_of(was, now, most) + each;
    const bool is_same = was >> 32 == reason;
    if (next > most) {
      atomic_fetch_add_explicit(&own->left_out, 1, memory_order_relaxed);
      return false;
    }
    if (!atomic_compare_exchange_strong_explicit(&own->until, &was, (uint64_t)reason << 32 | (uint32_t)(now + next),
                                                 memory_order_relaxed, memory_order_relaxed))
      continue;
    const uint32_t left_out = atomic_exchange_explicit(&own->left_out, 0, memory_order_relaxed);
    if (ret_left_out) *ret_left_out = is_same ? left_out : 0;
    return true;
  }
}

bool vsi_log_repeated(const vestry_host *host, vsi_repeated_log *log, uint32_t reason, vestry_log_level level,
                      const char *format, ...) {
  if (!host->log) return false;
  char line[LINE_BYTES];
  uint32_t left_out = 0;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line - COUNT_BYTES, format, arguments);
  va_end(arguments);
  if (log && level != VESTRY_LOG_DEBUG && !is_held(level) &&
      !vsi_log_is_due(log, VSI_ONCE_A_MINUTE, reason ? reason : vsi_log_reason(line), host->now_ns(host->ctx),
                      &left_out))
    return false;
  if (left_out) snprintf(line + strlen(line), COUNT_BYTES, " (and %" PRIu32 " times before)", left_out);
  put_line(host, level, line);
  return true;
}
