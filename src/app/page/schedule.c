/* SPDX-License-Identifier: MIT */
/* essay: the order of renders: throttling, fairness, shared fragments first, blocked streams, refreshes of all pages */
/* The schedule of renders. A fragment is a unit of rendering: a private page, a shared page, or a part of pages
 * (fragment.h, which also explains the flags of a fragment). To mark a fragment is to note that it must be rendered
 * again (is_dirty); seq is the number of the refresh that causes it.
 *
 * A marked fragment waits in a heap for the time when it is due: at once, or an interval after the start of its last
 * render. So the first change is shown at once, and the last change is always shown (a throttle with leading and
 * trailing edge). The fragment that has been due longest runs first, so no fragment starves, however busy the others
 * are. A private page is blocked while its stream has unwritten events: it is in no heap and costs nothing until the
 * stream's runner reports that all events are written. This report is never lost: the worker sets is_blocked before it
 * requests the report, and each request is followed by a run of the runner, which checks is_blocked and the queue.
 *
 * Shared fragments run before private ones. If each tab has a private page, one commit may concern all of them: two
 * thousand renders take tenths of a second, and a message for a hundred tabs would wait behind them. Therefore shared
 * fragments have a separate heap. A due shared fragment runs before every private fragment, unless the private fragment
 * was due more than HEAD_START_NS earlier, so that no private fragment starves. As a rule this costs private fragments
 * little: there are few shared fragments, and each is rendered once per interval for all its tabs.
 *
 * All fragments that one refresh marks have the same due time, unless their interval has not passed. So if a topic has
 * thousands of private pages, neither marking them nor taking one of them moves other fragments in the heap.
 *
 * All fragments are in one array:
 *
 *     0                        waiting_count                      all_at                  fragments_count
 *     | waiting, private: a heap | others that the walk has marked  | others still unmarked |
 *
 * A private fragment that begins to wait is swapped with the first fragment after the heap. Therefore waiting needs no
 * memory, and an idle fragment is in no other list. A shared fragment keeps its place in this array; the heap of shared
 * fragments is a second array with room for all of them.
 *
 * A refresh of all pages increments all_number, and a walk marks the fragments after the heap. A waiting private
 * fragment needs no mark: it runs anyway, and compares all_number then. A running fragment is after the heap, so the
 * walk reaches it, too. No unmarked fragment may get in front of all_at, where the walk has been already. So when a
 * fragment there ends, two fragments move:
 * 1. The last fragment in front of all_at, which is marked, moves into the free place, and all_at decreases by one.
 * 2. The last fragment of the array moves to the new all_at, where the walk still reaches it. */
#include "app/page/schedule.h"

#include "base/array.h"
#include "base/memory.h"
#include "connection/connection.h"

enum { MOST_DOUBLINGS = 5 };
#define HEAD_START_NS  (UINT64_C(1000) * VSI_NS_PER_MS)
#define FIRST_AGAIN_NS (UINT64_C(1000) * VSI_NS_PER_MS)
#define MOST_AGAIN_NS  (UINT64_C(30000) * VSI_NS_PER_MS)

/* ------------------------------------------------------------------------------- all fragments, and the heaps ----- */

typedef struct heap {
  vsi_fragment **fragments;
  size_t *count;
} heap;

static heap heap_of(const vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  return fragment->is_shared ? (heap){pages->shared_waiting, &pages->shared_waiting_count}
                             : (heap){pages->fragments, &pages->waiting_count};
}

/* Put a fragment at a place in pages->fragments. */
static void set(vestry_pages *pages, size_t place, vsi_fragment *fragment) {
  pages->fragments[place] = fragment;
  fragment->place = (uint32_t)place;
}

static void set_waiting(heap h, size_t place, vsi_fragment *fragment) {
  h.fragments[place] = fragment;
  if (fragment->is_shared)
    vsi_shared_of(fragment)->waiting_place = (uint32_t)place;
  else
    fragment->place = (uint32_t)place;
}

static size_t move_up(heap h, size_t at) {
  vsi_fragment *fragment = h.fragments[at];
  while (at && h.fragments[(at - 1) / 2]->at_ns > fragment->at_ns) {
    set_waiting(h, at, h.fragments[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  set_waiting(h, at, fragment);
  return at;
}

static void move_down(heap h, size_t at) {
  vsi_fragment *fragment = h.fragments[at];
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= *h.count) break;
    if (child + 1 < *h.count && h.fragments[child + 1]->at_ns < h.fragments[child]->at_ns) child++;
    if (h.fragments[child]->at_ns >= fragment->at_ns) break;
    set_waiting(h, at, h.fragments[child]);
    at = child;
  }
  set_waiting(h, at, fragment);
}

/* Reserve memory for one more than count. Returns OK | NO_MEMORY. */
static vestry_err make_room(const vestry_pages *pages, vsi_fragment ***fragments, size_t *room, size_t count) {
  return count < UINT32_MAX ? VSI_ARRAY_RESERVE(pages->host, *fragments, count, *room, 1) : VESTRY_NO_MEMORY;
}

vestry_err vsi_schedule_enter(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  vestry_err error = make_room(pages, &pages->fragments, &pages->fragments_room, pages->fragments_count);
  if (!error && fragment->is_shared)
    error = make_room(pages, &pages->shared_waiting, &pages->shared_waiting_room, pages->shared.count);
  if (!error && fragment->request) error = vsi_requests_take(pages, fragment->request->bytes);
  if (error) return error;
  fragment->is_first = true;
  fragment->all_number = pages->all_number;
  set(pages, pages->fragments_count++, fragment);
  return VESTRY_OK;
}

/* Take a fragment out of its heap; a private fragment moves to the first place after the heap. */
static void stop_waiting(vsi_fragment *fragment) {
  heap h = heap_of(fragment);
  size_t at = fragment->is_shared ? vsi_shared_of(fragment)->waiting_place : fragment->place;
  fragment->state = VSI_FRAGMENT_IDLE;
  vsi_fragment *last = h.fragments[--*h.count];
  if (!fragment->is_shared) set(fragment->page->pages, *h.count, fragment);
  if (last == fragment) return;
  set_waiting(h, at, last);
  move_down(h, move_up(h, at));
}

void vsi_schedule_leave(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  if (fragment->state == VSI_FRAGMENT_WAITING) stop_waiting(fragment);
  size_t hole = fragment->place;
  if (hole < pages->all_at) {
    set(pages, hole, pages->fragments[--pages->all_at]);
    hole = pages->all_at;
  }
  if (hole != --pages->fragments_count) set(pages, hole, pages->fragments[pages->fragments_count]);
  if (fragment->request) pages->requests_bytes -= fragment->request->bytes;
}

void vsi_schedule_at(vsi_fragment *fragment, uint64_t due_ns) {
  vestry_pages *pages = fragment->page->pages;
  if (fragment->state == VSI_FRAGMENT_WAITING) stop_waiting(fragment);
  heap h = heap_of(fragment);
  fragment->state = VSI_FRAGMENT_WAITING;
  fragment->at_ns = due_ns;
  if (!fragment->is_shared)
    set(pages, fragment->place, pages->fragments[pages->waiting_count]); /* half of a swap; then set_waiting */
  set_waiting(h, (*h.count)++, fragment);
  if (move_up(h, *h.count - 1) == 0) vsi_schedule_wake(pages);
}

/* ------------------------------------------------------------------------------------------------- when ----------- */

static uint64_t now_ns_of(const vsi_fragment *fragment) {
  return vsi_now_ns(fragment->page->pages->host);
}

/* Return the time when the fragment may render: now, or an interval after its last render. */
static uint64_t due_after(const vsi_fragment *fragment, uint64_t now_ns) {
  const uint64_t next_ns = fragment->at_ns + fragment->page->pages->interval_ns;
  return fragment->is_first || next_ns < now_ns ? now_ns : next_ns;
}

/* Run the fragment soon instead of at its retry, because the data that it lacked may be available now. */
static void hasten(vsi_fragment *fragment, uint64_t now_ns) {
  const uint64_t soon_ns = now_ns + fragment->page->pages->interval_ns;
  if (fragment->at_ns > soon_ns) vsi_schedule_at(fragment, soon_ns);
}

static void mark(vsi_fragment *fragment, uint64_t seq, uint64_t now_ns) {
  if (vsi_fragment_lingers(fragment) && !fragment->is_dirty) vsi_fragment_linger_no_more(fragment);
  fragment->is_dirty = true;
  if (seq && !fragment->marked_seq) fragment->marked_seq = seq;
  if (fragment->state == VSI_FRAGMENT_IDLE && !fragment->is_over && !fragment->is_blocked)
    vsi_schedule_at(fragment, due_after(fragment, now_ns));
  if (fragment->state == VSI_FRAGMENT_WAITING && fragment->is_poor) hasten(fragment, now_ns);
}

void vsi_schedule_mark(vsi_fragment *fragment, uint64_t seq) {
  vsi_schedule_mark_at(fragment, seq, now_ns_of(fragment));
}

void vsi_schedule_mark_at(vsi_fragment *fragment, uint64_t seq, uint64_t now_ns) {
  fragment->is_to_check = false;
  mark(fragment, seq, now_ns);
}

void vsi_schedule_check(vsi_fragment *fragment, uint64_t seq) {
  if (!fragment->is_dirty) fragment->is_to_check = true;
  mark(fragment, seq, now_ns_of(fragment));
}

void vsi_schedule_unblock(vsi_fragment *fragment) {
  fragment->is_blocked = false;
  if (fragment->state == VSI_FRAGMENT_IDLE && !fragment->is_over)
    vsi_schedule_at(fragment, due_after(fragment, now_ns_of(fragment)));
}

/* Mark the fragment for a refresh of all pages that came while it waited. */
static void catch_up(vsi_fragment *fragment) {
  const vestry_pages *pages = fragment->page->pages;
  if (fragment->all_number == pages->all_number) return;
  fragment->all_number = pages->all_number;
  if (!fragment->marked_seq) fragment->is_guessed = true;
  vsi_schedule_mark(fragment, 1); /* 1 stands for an earlier refresh, because the number of this one is not known */
}

/* Take the fragment out of its heap, and let it run. While a fragment waits, at_ns is its due time. Otherwise at_ns is
 * the start of its last render, from which the interval counts if this run renders nothing. A shared fragment has
 * stored this start. A private fragment has not; for it at_ns becomes the due time minus one interval, so that it may
 * run again at once. */
static void begin_run(vsi_fragment *fragment) {
  uint64_t interval_ns = fragment->page->pages->interval_ns, due_ns = fragment->at_ns;
  stop_waiting(fragment);
  fragment->state = VSI_FRAGMENT_RUNNING;
  fragment->at_ns = fragment->is_shared    ? vsi_shared_of(fragment)->started_ns
                    : due_ns > interval_ns ? due_ns - interval_ns
                                           : 0;
  catch_up(fragment);
}

/* ------------------------------------------------------------------------------------------------- workers -------- */

static _Thread_local const vestry_pages *looked_after_here;

bool vsi_schedule_look_after(vestry_pages *pages, bool does) {
  const bool did = looked_after_here == pages;
  if (does == did) return did;
  pages->watched_count += does ? 1 : SIZE_MAX;
  pages->take_refreshes(pages); /* closes the inbox, so that this thread's refreshes do not ring, or opens it */
  looked_after_here = does ? pages : NULL;
  return did;
}

/* Return whether one more worker may run. A run that takes long, because it waits for a database, does not count. If
 * all others are young, the timer `late` looks again. */
static bool may_wake(vestry_pages *pages) {
  if (pages->awake_count < pages->quick_most) return true;
  if (pages->is_full) return false;
  const uint64_t now_ns = vsi_now_ns(pages->host);
  size_t quick_count = pages->awake_count;
  for (const vsi_worker *at = pages->workers; at < pages->workers + pages->workers_count; at++)
    quick_count -= at->run_ns && now_ns >= at->run_ns + VSI_LATE_MS * VSI_NS_PER_MS;
  if (quick_count < pages->quick_most) return true;
  pages->is_full = true;
  if (!pages->late_is_set) pages->late_is_set = !vestry_timer_set(pages->late, VSI_LATE_MS, 0);
  return false;
}

void vsi_schedule_wake(vestry_pages *pages) {
  vsi_worker *worker = pages->idle;
  if (!worker || pages->is_closed || pages->is_looked_after || looked_after_here == pages || !may_wake(pages)) return;
  pages->idle = worker->next_idle;
  pages->awake_count++;
  worker->is_idle = false;
  worker->woken = (vsi_woken){.actor = worker->actor};
  vsi_woken **at = &pages->woken;
  while (*at) at = &(*at)->next;
  *at = &worker->woken;
}

/* Return the waiting fragment that runs first, due or not; NULL: none waits. ret_due_ns: the earliest time when one is
 * due. */
static vsi_fragment *first_waiting(const vestry_pages *pages, uint64_t now, uint64_t *ret_due_ns) {
  vsi_fragment *own = pages->waiting_count ? pages->fragments[0] : NULL;
  vsi_fragment *shared = pages->shared_waiting_count ? pages->shared_waiting[0] : NULL;
  if (!own || !shared) {
    vsi_fragment *only = own ? own : shared;
    if (only) *ret_due_ns = only->at_ns;
    return only;
  }
  *ret_due_ns = own->at_ns < shared->at_ns ? own->at_ns : shared->at_ns;
  bool is_due = shared->at_ns <= now || pages->is_hasty;
  return shared->at_ns <= own->at_ns || (is_due && shared->at_ns - own->at_ns <= HEAD_START_NS) ? shared : own;
}

/* Set the timer, which wakes a worker at that time. */
static void set_timer(vestry_pages *pages, uint64_t due, uint64_t now) {
  if (pages->timer_ns && pages->timer_ns <= due && pages->timer_ns > now)
    return; /* the worker that it wakes sets it again */
  uint64_t ms = (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS;
  pages->timer_ns =
      vestry_timer_set(pages->timer, ms, 0) ? 0 : due; /* on failure the runtime is closed, and nothing renders */
}

/* Begin to fetch what the next private fragments use, because after a refresh of many none of it is in a cache. If all
 * are due at the same time, the last ones of the heap run next (stop_waiting). */
static void fetch_next(const vestry_pages *pages) {
  enum { NEAR = 2, FAR = 4 };
  if (pages->waiting_count < FAR) return;
  vsi_fragment *const *end = pages->fragments + pages->waiting_count;
  const vsi_private *near = vsi_private_of(end[-NEAR]), *far = vsi_private_of(end[-FAR]); /* `near` was `far` before */
  vsi_prefetch_lines_to_write(far, 0, 2);
  vsi_prefetch_lines_to_write(near->fragment.request, 0, 1);
  vsi_connection_fetch(near->viewer.connection);
  vsi_connection_fetch_written(near->viewer.connection);
}

vsi_fragment *vsi_schedule_next(vestry_pages *pages, uint64_t now) {
  uint64_t due;
  vsi_fragment *first = pages->is_closed ? NULL : first_waiting(pages, now, &due);
  if (!first) return NULL;
  if (due <= now || pages->is_hasty) {
    begin_run(first);
    fetch_next(pages);
    return first;
  }
  set_timer(pages, due, now);
  return NULL;
}

/* Return whether a run of a fragment is probably short. */
static bool is_quick(const vsi_fragment *fragment) {
  enum { STREAMS_MOST = 16 }; /* more are written by other threads (channel/channel.c) */
  if (!fragment->is_shared) return fragment->is_to_check && !fragment->is_first;
  const vsi_shared *shared = vsi_shared_of(fragment);
  return shared->is_quick && !shared->checks_allow && shared->subscriptions_count <= STREAMS_MOST;
}

vsi_fragment *vsi_schedule_next_quick(vestry_pages *pages, uint64_t now) {
  uint64_t due;
  vsi_fragment *own = pages->waiting_count ? pages->fragments[0] : NULL;
  const bool is_checked_first = own && own->at_ns <= now && is_quick(own);
  vsi_fragment *first = pages->is_closed ? NULL : is_checked_first ? own : first_waiting(pages, now, &due);
  if (!first || first->at_ns > now || !is_quick(first)) return NULL;
  begin_run(first);
  return first;
}

void vsi_schedule_hand_over(vestry_pages *pages, uint64_t now) {
  uint64_t due;
  bool is_waiting = first_waiting(pages, now, &due) != NULL;
  if (!STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked || (is_waiting && due <= now))
    vsi_schedule_wake(pages);
  else if (is_waiting)
    set_timer(pages, due, now);
}

static uint64_t again_ns(const vsi_fragment *fragment) {
  unsigned doublings = fragment->failures - 1u < MOST_DOUBLINGS ? fragment->failures - 1u : MOST_DOUBLINGS;
  uint64_t ns = FIRST_AGAIN_NS << doublings;
  return ns < MOST_AGAIN_NS ? ns : MOST_AGAIN_NS;
}

void vsi_schedule_put_back(vsi_fragment *fragment, vsi_run_result result, uint64_t marked_seq, bool is_guessed) {
  const vestry_host *host = fragment->page->pages->host;
  fragment->state = VSI_FRAGMENT_IDLE;
  const bool is_poor = result == VSI_RUN_AGAIN;
  const bool has_joining = fragment->is_shared && !vsi_ring_is_empty(&vsi_shared_of(fragment)->joining);
  if (result != VSI_RUN_BLOCKED) fragment->is_poor = is_poor;
  if (result == VSI_RUN_DONE) {
    fragment->failures = 0;
  } else if (!is_poor) {
    fragment->is_dirty = true;
    fragment->is_to_check = false;
    if (marked_seq) {
      fragment->marked_seq = marked_seq;
      fragment->is_guessed = is_guessed;
    }
  }
  if ((is_poor || result == VSI_RUN_FAILED) && fragment->failures < VSI_FAILURES_MOST) fragment->failures++;
  if (fragment->is_over) {
    vsi_fragment_bury(fragment);
  } else if (result == VSI_RUN_BLOCKED) {
    if (!fragment->is_blocked)
      vsi_schedule_at(fragment, due_after(fragment, now_ns_of(fragment))); /* it was unblocked meanwhile */
  } else if (result == VSI_RUN_FAILED || (is_poor && !fragment->is_dirty)) {
    fragment->is_dirty = true;
    vsi_schedule_at(fragment, vsi_now_ns(host) + (is_poor && has_joining ? 0 : again_ns(fragment)));
  } else if (fragment->is_dirty) {
    vsi_schedule_at(fragment, due_after(fragment, now_ns_of(fragment)));
  } else if (has_joining) {
    vsi_schedule_at(fragment, vsi_now_ns(host));
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
