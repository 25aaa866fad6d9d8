#include "adapter/civetweb/deadline.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include "adapter/web/host.h"

/* Where descriptors end, if no limit says so. */
enum { DESCRIPTORS_MOST = 1 << 20 };

static int descriptors_end(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > DESCRIPTORS_MOST) return DESCRIPTORS_MOST;
  return (int)limit.rlim_cur;
}

/* Shut the sockets of these for reading. The kernel gives the lowest number that is free, so the walk over all of them
 * is no longer than the process has descriptors. It ends when all were found, and is made for overdue clients alone.
 * The workers are kept from leaving, by the lock: a descriptor that was found cannot become another one meanwhile. */
static void shut_overdue_locked(vsi_civetweb_deadlines *deadlines, size_t count) {
  const int end = descriptors_end();
  for (int fd = 0; fd < end && count; fd++) {
    vsi_civetweb_peer peer;
    if (!vsi_civetweb_peer_of_descriptor(fd, &peer)) continue;
    for (vsi_civetweb_deadline *at = deadlines->first; at; at = at->next) {
      if (!at->is_overdue || !vsi_civetweb_peer_equal(&at->peer, &peer)) continue;
      shutdown(fd, SHUT_RD);
      at->is_overdue = false;
      count--;
      break;
    }
  }
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_civetweb_deadlines *deadlines = ctx;
  uint64_t now_ns = vsi_web_now_ns(deadlines->host);
  size_t count = 0;
  pthread_mutex_lock(&deadlines->lock);
  for (vsi_civetweb_deadline *at = deadlines->first; at; at = at->next) {
    /* Once: one that is not found was reset, of which its worker is told. */
    at->is_overdue = !at->has_passed && at->due_ns <= now_ns;
    at->has_passed |= at->is_overdue;
    count += at->is_overdue;
  }
  if (count) shut_overdue_locked(deadlines, count);
  pthread_mutex_unlock(&deadlines->lock);
}

vestry_err vsi_civetweb_deadlines_init(vsi_civetweb_deadlines *deadlines, vestry_runtime *runtime,
                                       const vestry_host *host, uint64_t period_ms) {
  deadlines->host = host;
  vestry_err error = vestry_timer_create(runtime, look, deadlines, &deadlines->timer);
  if (error) return error;
  pthread_mutex_init(&deadlines->lock, NULL);
  return vestry_timer_set(deadlines->timer, period_ms, period_ms);
}

void vsi_civetweb_deadlines_finish(vsi_civetweb_deadlines *deadlines) {
  if (!deadlines->timer) return;
  vestry_timer_destroy(deadlines->timer);
  pthread_mutex_destroy(&deadlines->lock);
  deadlines->timer = NULL;
}

void vsi_civetweb_deadline_set(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline,
                               const vsi_civetweb_peer *peer, uint64_t due_ns) {
  deadline->peer = *peer;
  deadline->due_ns = due_ns;
  deadline->is_set = true;
  deadline->has_passed = false;
  pthread_mutex_lock(&deadlines->lock);
  deadline->next = deadlines->first;
  deadline->link = &deadlines->first;
  if (deadline->next) deadline->next->link = &deadline->next;
  deadlines->first = deadline;
  pthread_mutex_unlock(&deadlines->lock);
}

bool vsi_civetweb_deadline_clear(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline) {
  if (!deadline->is_set) return false;
  pthread_mutex_lock(&deadlines->lock);
  *deadline->link = deadline->next;
  if (deadline->next) deadline->next->link = deadline->link;
  bool has_passed = deadline->has_passed;
  pthread_mutex_unlock(&deadlines->lock);
  deadline->is_set = false;
  return has_passed;
}
