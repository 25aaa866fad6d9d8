/* SPDX-License-Identifier: MIT */
/* essay: which view is rendered when: first, last, and fairly in between; what many see before what one sees; one whose
 * stream takes nothing; everything at once */
/* When which view is rendered.
 *
 * A view that was marked waits in a heap, for the time at which it is due: at once, or an interval after its last
 * render began. So the first change shows at once, and the last one always (a throttle that leads and trails). The view
 * that has been due longest goes first: so no view starves, however busy the others are. A private page is blocked
 * while its stream has events to write: it is in no heap, and costs nothing until the stream's runner says that all is
 * written. No such message is lost: the worker marks the view as blocked before it asks the runner to tell, and a run
 * of the runner, which looks at the mark and the queue, follows each time it is asked.
 *
 * What many see goes first. There may be a private page for each tab, and one commit may concern them all: two thousand
 * renders, which take tenths of a second, and a message that a hundred tabs are to show would come after them. So
 * shared views wait in a heap of their own. A shared view that is due goes before every private view, unless the
 * private view was due more than HEAD_START_NS before it. So no private view starves. As a rule this costs private
 * views nothing: there are few shared views, and each is rendered once an interval, however many tabs see it.
 *
 * All views are in one array. Its first part is the heap of the private views that wait; all other views follow. A
 * private view that begins to wait changes places with the first view that is not in the heap: so it needs no memory,
 * and an idle view is in no other list. A shared view keeps its place in the array; the heap of shared views is an
 * array of its own, with room for all of them.
 *
 * A refresh of everything increments all_number, and marks the views of the second part, in a walk. A private view that
 * waits will run anyway, and compares all_number then; a view that runs is in the second part. The walk has not seen
 * the views from all_at on. A view that ends leaves a hole. If the walk has passed the hole, the last view that the
 * walk has seen is moved into it, and leaves a hole in turn, at all_at. The last view of all is moved there, and so is
 * still to be seen. */
#include "app/page/schedule.h"

#include "base/array.h"
#include "base/memory.h"

enum { MOST_DOUBLINGS = 5 };
#define HEAD_START_NS  (UINT64_C(1000) * VSI_NS_PER_MS)
#define FIRST_AGAIN_NS (UINT64_C(1000) * VSI_NS_PER_MS)
#define MOST_AGAIN_NS  (UINT64_C(30000) * VSI_NS_PER_MS)

/* --------------------------------------------------------------------------------- all views, and the heaps ------- */

typedef struct heap {
  vsi_view **views;
  size_t *count;
} heap;

static heap heap_of(const vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  return view->is_shared ? (heap){pages->shared_waiting, &pages->shared_waiting_count}
                         : (heap){pages->views, &pages->waiting_count};
}

/* Put a view at a place among all views. */
static void set(vestry_pages *pages, size_t place, vsi_view *view) {
  pages->views[place] = view;
  view->place = (uint32_t)place;
}

static void set_waiting(heap h, size_t place, vsi_view *view) {
  h.views[place] = view;
  if (view->is_shared)
    vsi_shared_of(view)->waiting_place = (uint32_t)place;
  else
    view->place = (uint32_t)place;
}

static size_t move_up(heap h, size_t at) {
  vsi_view *view = h.views[at];
  while (at && h.views[(at - 1) / 2]->at_ns > view->at_ns) {
    set_waiting(h, at, h.views[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  set_waiting(h, at, view);
  return at;
}

static void move_down(heap h, size_t at) {
  vsi_view *view = h.views[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= *h.count) break;
    if (child + 1 < *h.count && h.views[child + 1]->at_ns < h.views[child]->at_ns) child++;
    if (h.views[child]->at_ns >= view->at_ns) break;
    set_waiting(h, at, h.views[child]);
    at = child;
  }
  set_waiting(h, at, view);
}

/* Room for one more than count. OK | NO_MEMORY */
static vestry_err make_room(const vestry_pages *pages, vsi_view ***views, size_t *room, size_t count) {
  return count < UINT32_MAX ? VSI_ARRAY_RESERVE(pages->host, *views, count, *room, 1) : VESTRY_NO_MEMORY;
}

vestry_err vsi_schedule_reserve(vestry_pages *pages, bool is_shared) {
  vestry_err error = make_room(pages, &pages->views, &pages->views_room, pages->reserved_count);
  if (!error && is_shared)
    error = make_room(pages, &pages->shared_waiting, &pages->shared_waiting_room, pages->shared.count);
  pages->reserved_count += !error;
  return error;
}

void vsi_schedule_give_back(vestry_pages *pages) {
  pages->reserved_count--;
}

void vsi_schedule_enter(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  view->is_first = true;
  view->all_number = pages->all_number;
  set(pages, pages->views_count++, view);
}

/* Take a view out of its heap; a private view goes to the first place after the heap. */
static void stop_waiting(vsi_view *view) {
  heap h = heap_of(view);
  size_t at = view->is_shared ? vsi_shared_of(view)->waiting_place : view->place;
  view->state = VSI_VIEW_IDLE;
  vsi_view *last = h.views[--*h.count];
  if (!view->is_shared) set(view->page->pages, *h.count, view);
  if (last == view) return;
  set_waiting(h, at, last);
  move_down(h, move_up(h, at));
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
  heap h = heap_of(view);
  view->state = VSI_VIEW_WAITING;
  view->at_ns = due_ns;
  if (!view->is_shared) set(pages, view->place, pages->views[pages->waiting_count]); /* they change places */
  set_waiting(h, (*h.count)++, view);
  if (move_up(h, *h.count - 1) == 0) vsi_schedule_wake(pages);
}

/* ------------------------------------------------------------------------------------------------- when ----------- */

/* Now, or an interval after its last render. */
static uint64_t due_after(const vsi_view *view) {
  const vestry_pages *pages = view->page->pages;
  uint64_t now = vsi_now_ns(pages->host), next = view->at_ns + pages->interval_ns;
  return view->is_first || next < now ? now : next;
}

/* What it lacked may be there now: it does not wait for its time. */
static void hasten(vsi_view *view) {
  const uint64_t soon_ns = vsi_now_ns(view->page->pages->host) + view->page->pages->interval_ns;
  if (view->at_ns > soon_ns) vsi_schedule_at(view, soon_ns);
}

static void mark(vsi_view *view, uint64_t seq) {
  view->is_dirty = true;
  if (seq && !view->marked_seq) view->marked_seq = seq;
  if (view->state == VSI_VIEW_IDLE && !view->is_over && !view->is_blocked) vsi_schedule_at(view, due_after(view));
  if (view->state == VSI_VIEW_WAITING && view->is_poor) hasten(view);
}

void vsi_schedule_mark(vsi_view *view, uint64_t seq) {
  view->is_asked = false;
  mark(view, seq);
}

void vsi_schedule_ask(vsi_view *view, uint64_t seq) {
  if (!view->is_dirty) view->is_asked = true;
  mark(view, seq);
}

void vsi_schedule_unblock(vsi_view *view) {
  view->is_blocked = false;
  if (view->state == VSI_VIEW_IDLE && !view->is_over) vsi_schedule_at(view, due_after(view));
}

void vsi_schedule_began(vsi_view *view, vsi_shared *shared, uint64_t now_ns) {
  view->at_ns = now_ns;
  if (shared) shared->started_ns = now_ns;
}

/* Mark the view for a refresh of everything that came while it waited. */
static void catch_up(vsi_view *view) {
  const vestry_pages *pages = view->page->pages;
  if (view->all_number == pages->all_number) return;
  view->all_number = pages->all_number;
  if (!view->marked_seq) view->is_guessed = true;
  vsi_schedule_mark(view, 1); /* some earlier refresh: its number is not known */
}

/* Take the view out of its heap to run it. at_ns becomes the time of its last render again, so that its interval counts
 * from there even if this run renders nothing. For a private view that time is one interval before it was due. */
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

/* The waiting view that goes first, due or not; NULL: none waits. ret_due_ns: the earliest time at which one is due. */
static vsi_view *first_waiting(const vestry_pages *pages, uint64_t now, uint64_t *ret_due_ns) {
  vsi_view *own = pages->waiting_count ? pages->views[0] : NULL;
  vsi_view *shared = pages->shared_waiting_count ? pages->shared_waiting[0] : NULL;
  if (!own || !shared) {
    vsi_view *only = own ? own : shared;
    if (only) *ret_due_ns = only->at_ns;
    return only;
  }
  *ret_due_ns = own->at_ns < shared->at_ns ? own->at_ns : shared->at_ns;
  bool is_due = shared->at_ns <= now || pages->is_hasty;
  return shared->at_ns <= own->at_ns || (is_due && shared->at_ns - own->at_ns <= HEAD_START_NS) ? shared : own;
}

/* Set the timer, so that a worker looks then. */
static void set_timer(vestry_pages *pages, uint64_t due, uint64_t now) {
  if (pages->timer_ns && pages->timer_ns <= due && pages->timer_ns > now) return; /* the worker then sets it */
  /* CLOSED: the runtime ends, nothing is rendered any more */
  uint64_t ms = (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS;
  pages->timer_ns = vestry_timer_set(pages->timer, ms, 0) ? 0 : due;
}

vsi_view *vsi_schedule_next(vestry_pages *pages) {
  uint64_t now = vsi_now_ns(pages->host), due;
  vsi_view *first = pages->is_closed ? NULL : first_waiting(pages, now, &due);
  if (!first) return NULL;
  if (due <= now || pages->is_hasty) {
    begin_run(first);
    return first;
  }
  set_timer(pages, due, now);
  return NULL;
}

void vsi_schedule_hand_over(vestry_pages *pages) {
  uint64_t now = vsi_now_ns(pages->host), due;
  bool is_waiting = first_waiting(pages, now, &due) != NULL;
  if (!STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked || (is_waiting && due <= now))
    vsi_schedule_wake(pages);
  else if (is_waiting)
    set_timer(pages, due, now);
}

static uint64_t again_ns(const vsi_view *view) {
  unsigned doublings = view->failures - 1u < MOST_DOUBLINGS ? view->failures - 1u : MOST_DOUBLINGS;
  uint64_t ns = FIRST_AGAIN_NS << doublings;
  return ns < MOST_AGAIN_NS ? ns : MOST_AGAIN_NS;
}

void vsi_schedule_put_back(vsi_view *view, vsi_run_result result, uint64_t marked_seq, bool is_guessed) {
  uint64_t now = vsi_now_ns(view->page->pages->host);
  view->state = VSI_VIEW_IDLE;
  const bool is_poor = result == VSI_RUN_AGAIN;
  const bool has_joining = view->is_shared && !vsi_ring_is_empty(&vsi_shared_of(view)->joining);
  if (result != VSI_RUN_BLOCKED) view->is_poor = is_poor;
  if (result == VSI_RUN_DONE) {
    view->failures = 0;
  } else if (!is_poor) {
    view->is_dirty = true;
    view->is_asked = false;
    if (marked_seq) {
      view->marked_seq = marked_seq;
      view->is_guessed = is_guessed;
    }
  }
  if ((is_poor || result == VSI_RUN_FAILED) && view->failures < VSI_FAILURES_MOST) view->failures++;
  if (view->is_over) {
    vsi_view_bury(view);
  } else if (result == VSI_RUN_BLOCKED) {
    if (!view->is_blocked) vsi_schedule_at(view, due_after(view)); /* it was told already */
  } else if (result == VSI_RUN_FAILED || (is_poor && !view->is_dirty)) {
    view->is_dirty = true;
    vsi_schedule_at(view, is_poor && has_joining ? now : now + again_ns(view));
  } else if (view->is_dirty) {
    vsi_schedule_at(view, due_after(view));
  } else if (has_joining) {
    vsi_schedule_at(view, now);
  }
}

void vsi_schedule_fire(vestry_timer *timer, void *ctx) {
  vestry_pages *pages = ctx;
  (void)timer;
  vsi_pages_lock(pages);
  pages->timer_ns = 0;
  vsi_schedule_wake(pages);
  vsi_pages_unlock(pages);
}
