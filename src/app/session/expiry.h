/* SPDX-License-Identifier: MIT */
/* What databases that keep sessions have in common: how long a session is kept, and how many a user has, unless the
 * application says something else. Header only: libraries of their own do not see the core's functions. */
#ifndef VSI_SESSION_EXPIRY_H
#define VSI_SESSION_EXPIRY_H

#include <stdint.h>
#include <time.h>

enum { VSI_SESSIONS_MAX_PER_USER = 100, VSI_SESSIONS_EXPIRED_AT_ONCE = 64 };
#define VSI_SESSIONS_IDLE_MS     (UINT64_C(7) * 86400000)
#define VSI_SESSIONS_LIFETIME_MS (UINT64_C(30) * 86400000)

/* The members of a database's options that are not set. */
#define VSI_SESSIONS_SET_DEFAULTS(options)                                                                             \
  do {                                                                                                                 \
    if (!(options)->idle_ms) (options)->idle_ms = VSI_SESSIONS_IDLE_MS;                                                \
    if (!(options)->lifetime_ms) (options)->lifetime_ms = VSI_SESSIONS_LIFETIME_MS;                                    \
    if (!(options)->max_per_user_count) (options)->max_per_user_count = VSI_SESSIONS_MAX_PER_USER;                     \
    if (!(options)->expired_at_once) (options)->expired_at_once = VSI_SESSIONS_EXPIRED_AT_ONCE;                        \
    if (!(options)->now_s) (options)->now_s = vsi_sessions_system_s;                                                   \
  } while (0)

static inline int64_t vsi_sessions_system_s(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

/* What was then is over now. */
static inline int64_t vsi_sessions_ago_s(int64_t now_s, uint64_t ms) {
  uint64_t seconds = ms / 1000;
  return seconds > INT64_MAX / 2 ? INT64_MIN / 2 : now_s - (int64_t)seconds;
}
/* One that was used last by then is over: a use is noted to a tenth of idle_ms. */
static inline int64_t vsi_sessions_idle_since_s(int64_t now_s, uint64_t idle_ms) {
  return vsi_sessions_ago_s(now_s, idle_ms + idle_ms / 10);
}

#endif
