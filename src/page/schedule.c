/* When which view is rendered, and by whom.
 *
 * A view that was marked waits in a heap, for the time at which it is due: at once, or an interval after its last
 * render began. So the first change shows at once, and the last one always (a throttle that leads and trails); and
 * since the one that is due longest goes first, none starves however busy the others are. A private page whose stream
 * has not written what it was sent is in no heap: it is blocked, and costs nothing until the stream's runner says that
 * all is written. The worker says that it waits for that before it asks to be told, and both look at the queue behind
 * what the other one has said: so it is told, or finds the queue empty.
 *
 * All views are in one array, of which the heap is the first part: so a view that begins to wait needs no memory, and
 * one that does nothing is in no list beside. Who begins to wait changes places with the first that does not.
 *
 * A refresh of everything counts (all_number), and walks along the second part. A view that waits is to be run anyway,
 * and looks then; one that runs is in the second part. Behind all_at is what the walk has not seen. A view that ends
 * leaves a hole in front of it: that is closed by the one just before all_at, and the hole that this leaves by the last
 * one, which so stays among those that are still to be seen.
 *
 * Workers are actors on the pages' own threads: as many as there are, so one that waits for a database holds up nobody
 * but those behind it when all do. Who has nothing to do is in a list, and is roused by who makes work. */
#include "base/memory.h"
#include "page/page.h"

enum { FIRST_ROOM = 64, RUNS_IN_A_ROW = 16 };
#define FIRST_AGAIN_NS (UINT64_C(1000) * VSI_NS_PER_MS)
enum { MOST_DOUBLINGS = 5 };
#define MOST_AGAIN_NS (UINT64_C(30000) * VSI_NS_PER_MS)

/* ---------------------------------------------------------------------------------- all views, and the heap ------- */

static void set(vestry_pages *pages, size_t place, vsi_view *view) {
  pages->views[place] = view;
  view->place = (uint32_t)place;
}

static void move_up(vestry_pages *pages, size_t at) {
  vsi_view *view = pages->views[at];
  while (at && pages->views[(at - 1) / 2]->at_ns > view->at_ns) {
    set(pages, at, pages->views[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  set(pages, at, view);
}

static void move_down(vestry_pages *pages, size_t at) {
  vsi_view *view = pages->views[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= pages->waiting_count) break;
    if (child + 1 < pages->waiting_count && pages->views[child + 1]->at_ns < pages->views[child]->at_ns) child++;
    if (pages->views[child]->at_ns >= view->at_ns) break;
    set(pages, at, pages->views[child]);
    at = child;
  }
  set(pages, at, view);
}

vestry_err vsi_schedule_reserve(vestry_pages *pages) {
  if (pages->reserved_count == pages->views_room) {
    size_t room = pages->views_room ? pages->views_room * 2 : FIRST_ROOM;
    if (room > UINT32_MAX) return VESTRY_NO_MEMORY;
    vsi_view **views = vsi_realloc(pages->host, pages->views, room * sizeof *views);
    if (!views) return VESTRY_NO_MEMORY;
    pages->views = views;
    pages->views_room = room;
  }
  pages->reserved_count++;
  return VESTRY_OK;
}

void vsi_schedule_give_back(vestry_pages *pages) {
  pages->reserved_count--;
}

void vsi_schedule_enter(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  view->all_number = pages->all_number;
  set(pages, pages->views_count++, view);
}

/* Out of the heap; to the first place behind it. */
static void stop_waiting(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  size_t at = view->place;
  view->state = VSI_VIEW_IDLE;
  vsi_view *last = pages->views[--pages->waiting_count];
  set(pages, pages->waiting_count, view);
  if (last == view) return;
  set(pages, at, last);
  move_up(pages, at);
  move_down(pages, last->place);
}

void vsi_schedule_leave(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  if (view->state == VSI_VIEW_WAITING) stop_waiting(view);
  size_t hole = view->place;
  if (hole < pages->all_at) {
    set(pages, hole, pages->views[--pages->all_at]);
    hole = pages->all_at;
  }
  if (hole != --pages->views_count) set(pages, hole, pages->views[pages->views_count]);
  pages->reserved_count--;
}

void vsi_schedule_at(vsi_view *view, uint64_t due_ns) {
  vestry_pages *pages = view->page->pages;
  if (view->state == VSI_VIEW_WAITING) stop_waiting(view);
  view->state = VSI_VIEW_WAITING;
  view->at_ns = due_ns;
  set(pages, view->place, pages->views[pages->waiting_count]);
  set(pages, pages->waiting_count++, view);
  move_up(pages, pages->waiting_count - 1);
  if (pages->views[0] == view) vsi_schedule_wake(pages);
}

/* ------------------------------------------------------------------------------------------------- when ----------- */

/* Now, or an interval after its last render. */
static uint64_t due_after(const vsi_view *view) {
  const vestry_pages *pages = view->page->pages;
  uint64_t now = vsi_now_ns(pages->host), next = view->at_ns + pages->interval_ns;
  return view->is_first || next < now ? now : next;
}

void vsi_schedule_mark(vsi_view *view, uint64_t seq) {
  view->is_dirty = true;
  if (seq && !view->marked_seq) view->marked_seq = seq;
  if (view->state == VSI_VIEW_IDLE && !view->is_over && !view->is_blocked) vsi_schedule_at(view, due_after(view));
}

void vsi_schedule_unblock(vsi_view *view) {
  view->is_blocked = false;
  if (view->state == VSI_VIEW_IDLE && !view->is_over) vsi_schedule_at(view, due_after(view));
}

void vsi_schedule_began(vsi_view *view, vsi_shared *shared, uint64_t now_ns) {
  view->at_ns = now_ns;
  if (shared) shared->started_ns = now_ns;
}

/* A refresh of everything that came while it waited. */
static void catch_up(vsi_view *view) {
  const vestry_pages *pages = view->page->pages;
  if (view->all_number == pages->all_number) return;
  view->all_number = pages->all_number;
  vsi_schedule_mark(view, 1); /* of some earlier one: nobody knows which */
}

/* It is to be run: whether it renders or not, its interval is that of its last render. A private one that waits, waits
 * to be rendered, and so was due that long after it. */
static void begin_run(vsi_view *view) {
  uint64_t interval_ns = view->page->pages->interval_ns, due_ns = view->at_ns;
  stop_waiting(view);
  view->state = VSI_VIEW_RUNNING;
  view->at_ns = view->is_shared ? vsi_shared_of(view)->started_ns : due_ns > interval_ns ? due_ns - interval_ns : 0;
  catch_up(view);
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
  uint64_t due = pages->views[0]->at_ns;
  if (pages->timer_ns && pages->timer_ns <= due && pages->timer_ns > now) return; /* who looks then sets it anew */
  /* CLOSED: the runtime ends, nothing is rendered any more */
  uint64_t ms = (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS;
  pages->timer_ns = vestry_timer_set(pages->timer, ms, 0) ? 0 : due;
}

/* The next one that is due; NULL: none, and the timer is set for when one will be. */
static vsi_view *next_due(vestry_pages *pages) {
  if (!pages->waiting_count || pages->is_closed) return NULL;
  vsi_view *first = pages->views[0];
  uint64_t now = vsi_now_ns(pages->host);
  if (first->at_ns <= now || pages->is_hasty) {
    begin_run(first);
    return first;
  }
  set_timer(pages, now);
  return NULL;
}

/* Somebody else is to look for the others, however long this run takes. */
static void hand_over(vestry_pages *pages) {
  uint64_t now = vsi_now_ns(pages->host);
  if (pages->first_dirty || pages->is_all_walked || (pages->waiting_count && pages->views[0]->at_ns <= now))
    vsi_schedule_wake(pages);
  else if (pages->waiting_count)
    set_timer(pages, now);
}

static uint64_t again_ns(const vsi_view *view) {
  unsigned doublings = view->failures - 1u < MOST_DOUBLINGS ? view->failures - 1u : MOST_DOUBLINGS;
  uint64_t ns = FIRST_AGAIN_NS << doublings;
  return ns < MOST_AGAIN_NS ? ns : MOST_AGAIN_NS;
}

/* After a run: idle, or due again. */
static void put_back(vsi_view *view, vsi_run_result result, uint64_t marked_seq) {
  uint64_t now = vsi_now_ns(view->page->pages->host);
  view->state = VSI_VIEW_IDLE;
  if (result == VSI_RUN_DONE) {
    view->failures = 0;
  } else {
    view->is_dirty = true;
    if (marked_seq) view->marked_seq = marked_seq;
  }
  if (result == VSI_RUN_FAILED && view->failures < VSI_FAILURES_MOST) view->failures++;
  if (view->is_over) {
    vsi_view_bury(view);
  } else if (result == VSI_RUN_BLOCKED) {
    if (!view->is_blocked) vsi_schedule_at(view, due_after(view)); /* it was told already */
  } else if (result == VSI_RUN_FAILED) {
    vsi_schedule_at(view, now + again_ns(view));
  } else if (view->is_dirty) {
    vsi_schedule_at(view, due_after(view));
  } else if (view->is_shared && vsi_shared_of(view)->joining) {
    vsi_schedule_at(view, now);
  }
}

/* With the lock, which it gives up meanwhile. */
static void run_view(vsi_worker *worker, vsi_view *view) {
  vestry_pages *pages = worker->pages;
  bool is_dirty = view->is_dirty;
  uint64_t marked_seq = view->marked_seq, seq = pages->seq;
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
