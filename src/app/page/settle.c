/* SPDX-License-Identifier: MIT */
/* Waiting until all that was refreshed is rendered and written: for tests. */
#include "app/page/schedule.h"
#include "base/wait.h"
#include "connection/connection.h"
#include "instance/instance.h"
#include "runtime/runtime.h"

enum { STEPS_A_VIEW = 100 };

static bool is_written(const vestry_connection *connection) {
  uint32_t count;
  bool is_shut;
  vsi_queue_load(&connection->queue, &count, NULL, &is_shut);
  return !count || is_shut;
}

static bool is_shared_written(const vsi_shared *shared) {
  for (const vsi_ring *at = shared->seats.next; at != &shared->seats; at = at->next)
    if (!is_written(VSI_RING_OWNER(at, vsi_seat, of_shared)->connection)) return false;
  return vsi_ring_is_empty(&shared->joining);
}

static bool is_view_settled(const vsi_view *view, uint64_t seq) {
  const vestry_connection *connection = view->is_shared ? NULL : vsi_private_of(view)->viewer.connection;
  if (connection && !vestry_connection_is_open(connection)) return true; /* its view is rendered no more */
  if (view->is_first || view->all_number != view->page->pages->all_number) return false;
  if (view->marked_seq && view->marked_seq <= seq) return false;
  return connection ? is_written(connection) : is_shared_written(vsi_shared_of(view));
}

static bool is_settled(const vestry_pages *pages, uint64_t seq) {
  if (pages->running_count || !STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked) return false;
  for (size_t i = 0; i < pages->views_count; i++)
    if (!is_view_settled(pages->views[i], seq)) return false;
  return true;
}

static vestry_err settle_by_steps(vestry_pages *pages, uint64_t seq) {
  bool settled = false, has_more = true;
  vsi_pages_lock(pages);
  size_t steps = STEPS_A_VIEW * (pages->reserved_count + 10);
  pages->is_hasty = true;
  for (; !settled && has_more && steps; steps--) {
    vsi_schedule_wake(pages);
    vsi_pages_unlock(pages);
    has_more = vestry_runtime_step(pages->runtime);
    if (pages->v->runtime != pages->runtime) has_more |= vestry_runtime_step(pages->v->runtime);
    vsi_pages_lock(pages);
    settled = is_settled(pages, seq);
  }
  pages->is_hasty = false;
  vsi_pages_unlock(pages);
  return settled ? VESTRY_OK : VESTRY_TIMEOUT;
}

/* Other threads write the streams, and do not tell when they are done: so this function looks every millisecond. */
vestry_err vestry_pages_settle(vestry_pages *pages, uint64_t seq, uint64_t timeout_ms) {
  if (!pages) return VESTRY_INVALID;
  if (vsi_runtime_is_stepped(pages->runtime)) return settle_by_steps(pages, seq);
  uint64_t end_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_pages_lock(pages);
  bool settled;
  while (!(settled = is_settled(pages, seq))) {
    uint64_t soon_ns = vsi_monotonic_in_ms(1);
    if (soon_ns >= end_ns) break;
    (void)vsi_wait_until(&pages->quiet, &pages->lock, soon_ns);
  }
  vsi_pages_unlock(pages);
  return settled ? VESTRY_OK : VESTRY_TIMEOUT;
}
