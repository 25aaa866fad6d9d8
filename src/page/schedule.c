/* When which view is rendered, and by whom.
 *
 * A view that was marked waits in a heap, for the time at which it is due: at once, or an interval after its last
 * render began. So the first change shows at once, and the last one always (a throttle that leads and trails); and
 * since the one that is due longest goes first, none starves however busy the others are.
 *
 * Workers are actors on the pages' own threads: as many as there are, so one that waits for a database holds up nobody
 * but those behind it when all do. Who has nothing to do is in a list, and is roused by who makes work. */
#include "base/memory.h"
#include "page/page.h"

enum { FIRST_ROOM = 64, RUNS_IN_A_ROW = 16 };
#define LATER_NS       (UINT64_C(15) * VSI_NS_PER_MS)
#define FIRST_AGAIN_NS (UINT64_C(1000) * VSI_NS_PER_MS)
enum { MOST_DOUBLINGS = 5 };
#define MOST_AGAIN_NS (UINT64_C(30000) * VSI_NS_PER_MS)

/* ------------------------------------------------------------------------------------------------- the heap ------- */

static void set(vestry_pages *pages, size_t at, vsi_view *view) {
  pages->heap[at] = view;
  view->heap_at = (uint32_t)at;
}

static void move_up(vestry_pages *pages, size_t at) {
  vsi_view *view = pages->heap[at];
  while (at && pages->heap[(at - 1) / 2]->due_ns > view->due_ns) {
    set(pages, at, pages->heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  set(pages, at, view);
}

static void move_down(vestry_pages *pages, size_t at) {
  vsi_view *view = pages->heap[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= pages->heap_count) break;
    if (child + 1 < pages->heap_count && pages->heap[child + 1]->due_ns < pages->heap[child]->due_ns) child++;
    if (pages->heap[child]->due_ns >= view->due_ns) break;
    set(pages, at, pages->heap[child]);
    at = child;
  }
  set(pages, at, view);
}

vestry_err vsi_schedule_reserve(vestry_pages *pages) {
  if (pages->views_count == pages->heap_size) {
    size_t size = pages->heap_size ? pages->heap_size * 2 : FIRST_ROOM;
    vsi_view **heap = vsi_realloc(pages->host, pages->heap, size * sizeof *heap);
    if (!heap) return VESTRY_NO_MEMORY;
    pages->heap = heap;
    pages->heap_size = size;
  }
  pages->views_count++;
  return VESTRY_OK;
}

void vsi_schedule_remove(vsi_view *view) {
  vestry_pages *pages = view->pages;
  size_t at = view->heap_at;
  view->state = VSI_VIEW_IDLE;
  vsi_view *last = pages->heap[--pages->heap_count];
  if (last == view) return;
  set(pages, at, last);
  move_up(pages, at);
  move_down(pages, last->heap_at);
}

void vsi_schedule_at(vsi_view *view, uint64_t due_ns) {
  vestry_pages *pages = view->pages;
  if (view->state == VSI_VIEW_WAITING) vsi_schedule_remove(view);
  view->state = VSI_VIEW_WAITING;
  view->due_ns = due_ns;
  set(pages, pages->heap_count++, view);
  move_up(pages, pages->heap_count - 1);
  if (pages->heap[0] == view) vsi_schedule_wake(pages);
}

static uint64_t due_after(const vsi_view *view) {
  const vestry_pages *pages = view->pages;
  uint64_t now = vsi_now_ns(pages->host), next = view->started_ns + pages->interval_ns;
  return view->is_first || next < now ? now : next;
}

void vsi_schedule_mark(vsi_view *view, uint64_t seq) {
  view->is_dirty = true;
  if (seq && !view->marked_seq) view->marked_seq = seq;
  if (view->state == VSI_VIEW_IDLE && !view->is_over) vsi_schedule_at(view, due_after(view));
}

/* ------------------------------------------------------------------------------------------------- workers -------- */

void vsi_schedule_wake(vestry_pages *pages) {
  vsi_worker *worker = pages->idle;
  if (!worker || pages->is_closed) return;
  pages->idle = worker->next_idle;
  worker->is_idle = false;
  vestry_actor_notify(worker->actor);
}

/* Have somebody look when the first one is due. */
static void set_timer(vestry_pages *pages, uint64_t now) {
  uint64_t due = pages->heap[0]->due_ns;
  if (pages->timer_ns && pages->timer_ns <= due && pages->timer_ns > now) return; /* who looks then sets it anew */
  /* CLOSED: the runtime ends, nothing is rendered any more */
  uint64_t ms = (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS;
  pages->timer_ns = vestry_timer_set(pages->timer, ms, 0) ? 0 : due;
}

/* The next one that is due; NULL: none, and the timer is set for when one will be. */
static vsi_view *next_due(vestry_pages *pages) {
  if (!pages->heap_count || pages->is_closed) return NULL;
  vsi_view *first = pages->heap[0];
  uint64_t now = vsi_now_ns(pages->host);
  if (first->due_ns <= now || pages->is_hasty) {
    vsi_schedule_remove(first);
    return first;
  }
  set_timer(pages, now);
  return NULL;
}

/* Somebody else is to look for the others, however long this run takes. */
static void hand_over(vestry_pages *pages) {
  uint64_t now = vsi_now_ns(pages->host);
  if (pages->first_dirty || pages->all_walk || (pages->heap_count && pages->heap[0]->due_ns <= now))
    vsi_schedule_wake(pages);
  else if (pages->heap_count)
    set_timer(pages, now);
}

static uint64_t again_ns(const vsi_view *view) {
  unsigned doublings = view->failures - 1u < MOST_DOUBLINGS ? view->failures - 1u : MOST_DOUBLINGS;
  uint64_t ns = FIRST_AGAIN_NS << doublings;
  return ns < MOST_AGAIN_NS ? ns : MOST_AGAIN_NS;
}

/* After a run: idle, or due again. */
static void put_back(vsi_view *view, vsi_run_result result, uint64_t marked_seq) {
  vestry_pages *pages = view->pages;
  uint64_t now = vsi_now_ns(pages->host);
  view->state = VSI_VIEW_IDLE;
  if (result == VSI_RUN_DONE) {
    view->failures = 0;
  } else {
    view->is_dirty = true;
    if (marked_seq) view->marked_seq = marked_seq;
  }
  if (result == VSI_RUN_FAILED && view->failures < UINT8_MAX) view->failures++;
  if (view->is_over) {
    vsi_view_bury(view);
  } else if (result == VSI_RUN_LATER) {
    vsi_schedule_at(view, now + LATER_NS);
  } else if (result == VSI_RUN_FAILED) {
    vsi_schedule_at(view, now + again_ns(view));
  } else if (view->is_dirty) {
    vsi_schedule_at(view, due_after(view));
  } else if (view->shared && view->shared->joining) {
    vsi_schedule_at(view, now);
  }
}

/* With the lock, which it gives up meanwhile. */
static void run_view(vsi_worker *worker, vsi_view *view) {
  vestry_pages *pages = worker->pages;
  bool is_dirty = view->is_dirty;
  uint64_t marked_seq = view->marked_seq, seq = pages->seq;
  view->state = VSI_VIEW_RUNNING;
  view->is_dirty = false;
  view->marked_seq = 0;
  pages->running_count++;
  hand_over(pages);
  vsi_pages_unlock(pages);
  vsi_run_result result = vsi_view_run(view, &worker->html, is_dirty, seq);
  vsi_pages_lock(pages);
  put_back(view, result, marked_seq);
  if (pages->dead_views || pages->dead_seats) { /* while it counts: the end of the pages waits for it */
    vsi_pages_unlock(pages);
    vsi_pages_lock(pages);
  }
  pages->running_count--;
  pthread_cond_broadcast(&pages->quiet);
}

void vsi_worker_run(vestry_actor *self, void *ctx) {
  vsi_worker *worker = ctx;
  vestry_pages *pages = worker->pages;
  vsi_pages_lock(pages);
  bool is_more = !pages->is_closed;
  for (size_t i = 0; i < RUNS_IN_A_ROW && is_more; i++) {
    bool is_walking = vsi_topics_walk(pages);
    vsi_view *view = next_due(pages);
    if (view) run_view(worker, view);
    is_more = (view || is_walking) && !pages->is_closed;
  }
  if (is_more) {
    vestry_actor_notify(self);
  } else if (!worker->is_idle) {
    worker->is_idle = true;
    worker->next_idle = pages->idle;
    pages->idle = worker;
  }
  vsi_pages_unlock(pages);
}

void vsi_schedule_fire(vestry_timer *timer, void *ctx) {
  vestry_pages *pages = ctx;
  (void)timer;
  vsi_pages_lock(pages);
  pages->timer_ns = 0;
  vsi_schedule_wake(pages);
  vsi_pages_unlock(pages);
}
