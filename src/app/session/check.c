/* SPDX-License-Identifier: MIT */
/* essay: a session that has ended at another node */
/* Another process or node that has the same storage ends a session by removing its row. This process finds that within
 * a second, if the storage can be read:
 *
 * - Sessions with streams are in a list. CHECK_MS after its last pass, a timer asks the storage which of them have no
 *   row any more, 256 with one call, and closes their streams. A pass over N sessions takes N / 256 calls: if these
 *   take more than half a second, the streams end later than a second after the removal.
 * - A request whose session was checked longer ago than FRESH_MS reads its row first. So a session without streams
 *   costs nothing until its next request.
 *
 * A message of the other node can only make this faster: nothing depends on it.
 *
 * A session enters the list with its first stream, and the timer removes it when it has none: a stream that begins
 * meanwhile is either seen by the timer, under the session's lock, or adds the session again. The same timer closes the
 * streams of sessions whose lifetime is over; without a storage it is slower. */
#include "app/session/check.h"

#include "runtime/runtime.h"

enum { CHECK_MS = 500, FRESH_MS = 1000, MEMORY_CHECK_MS = 60000, AT_ONCE = 256 };

typedef vsi_session_user record;

bool vsi_session_is_current(vsi_sessions *sessions, record *session) {
  const uint64_t now_ns = vsi_now_ns(sessions->host);
  const uint64_t checked_ns = atomic_load_explicit(&session->checked_ns, memory_order_acquire);
  if (!checked_ns) return false;
  if (session->ends_ns <= now_ns) {
    vsi_session_remove(sessions, session->hash, VESTRY_CAUSE_EXPIRED);
    return false;
  }
  if (!sessions->options.storage || now_ns < vsi_add_saturating(checked_ns - 1, vsi_ms_to_ns(FRESH_MS))) return true;
  if (vsi_session_find_row(sessions, session) == VESTRY_CLOSED) {
    vsi_session_end_here(sessions, session);
    return false;
  }
  vsi_session_record_note_check(session, now_ns);
  return true;
}

/* ---- sessions with streams --------------------------------------------------------------------------------------- */

/* Find out which sessions the storage does not have. Returns whether it could be read. */
static bool find_missing(vsi_sessions *sessions, record *const some[AT_ONCE], size_t count, bool missing[AT_ONCE]) {
  const vestry_session_options *options = &sessions->options;
  const char *hashes[AT_ONCE];
  if (options->storage->missing) {
    for (size_t i = 0; i < count; i++) hashes[i] = some[i]->hash;
    return !options->storage->missing(options->storage_ctx, hashes, count, missing);
  }
  for (size_t i = 0; i < count; i++) missing[i] = vsi_session_find_row(sessions, some[i]) == VESTRY_CLOSED;
  return true;
}

static void check_some(vsi_sessions *sessions, record *const some[AT_ONCE], size_t count) {
  const uint64_t now_ns = vsi_now_ns(sessions->host);
  bool missing[AT_ONCE] = {false};
  const bool is_known = sessions->options.storage && find_missing(sessions, some, count, missing);
  for (size_t i = 0; i < count; i++) {
    if (some[i]->ends_ns <= now_ns)
      vsi_session_remove(sessions, some[i]->hash, VESTRY_CAUSE_EXPIRED);
    else if (is_known && missing[i])
      vsi_session_end_here(sessions, some[i]);
    else if (is_known)
      vsi_session_record_note_check(some[i], now_ns);
    vsi_session_record_unref(some[i]);
  }
}

static void fire(vestry_timer *timer, void *ctx) {
  vsi_sessions *sessions = ctx;
  vsi_session_checks *checks = &sessions->checks;
  record *some[AT_ONCE];
  (void)timer;
  vsi_mutex_lock(&checks->checks_lock);
  size_t left = checks->open_count;
  vsi_mutex_unlock(&checks->checks_lock);
  for (size_t count; (count = vsi_session_checks_take(checks, some, AT_ONCE, &left));)
    check_some(sessions, some, count);
  vsi_mutex_lock(&checks->checks_lock);
  if (checks->open_count) (void)vestry_timer_set(checks->timer, checks->every_ms, 0);
  vsi_mutex_unlock(&checks->checks_lock);
}

vestry_err vsi_session_checks_begin(vsi_sessions *sessions) {
  sessions->checks.every_ms = sessions->options.storage ? CHECK_MS : MEMORY_CHECK_MS;
  return vestry_timer_create(sessions->v->runtime, fire, sessions, &sessions->checks.timer);
}

void vsi_session_checks_end(vsi_sessions *sessions) {
  vestry_timer_destroy(sessions->checks.timer);
  sessions->checks.timer = NULL;
}
