/* SPDX-License-Identifier: MIT */
/* essay: the number of threads that render pages */
/* Workers are actors on the threads of the pages, one for each thread. So a worker that waits for a database delays no
 * other worker; when all of them wait, due fragments wait too. Idle workers are in a list, and each new piece of work
 * wakes one (vsi_schedule_wake).
 *
 * If there are several, one more of them is spare: not more than without it (quick_most) run at the same time, except
 * for runs that take longer than VSI_LATE_MS. So while one handler sleeps, the others take as long as before. */
#include "app/page/render_run.h"

#include <string.h>

#include "app/page/sent.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/topic.h"
#include "base/memory.h"
#include "base/probe.h"
#include "base/trace.h"
#include "connection/runner.h"
#include "connection/send.h"
#include "html/builder.h"
#include "runtime/runtime.h"

/* RUNS_IN_A_ROW: number of runs before a worker gives its thread to other actors, unless the runs are quick
 * (goes_on). */
enum { WALKS_IN_A_ROW = 16, RUNS_IN_A_ROW = 16 };

static const char *name_of(const vsi_fragment *fragment) {
  return vsi_fragment_is_part(fragment) ? vsi_shared_of(fragment)->id : fragment->request->path;
}

/* The cause of a run, taken from the fragment because it may be marked again during the run. */
typedef struct cause {
  bool is_dirty, is_to_check, is_guessed;
  uint64_t marked_seq, seq;
} cause;

static cause take_cause(vsi_fragment *fragment) {
  const cause is = {fragment->is_dirty, fragment->is_to_check, fragment->is_guessed, fragment->marked_seq,
                    fragment->page->pages->seq};
  fragment->is_dirty = fragment->is_to_check = fragment->is_guessed = false;
  fragment->marked_seq = 0;
  return is;
}

/* Refresh the changes until now that are not refreshed yet, which marks the fragments that show them. Returns whether
 * these are certainly all. The caller holds the lock; it is released meanwhile. */
static bool refresh_changes(vestry_pages *pages) {
  vsi_pages_unlock(pages);
  bool is_sure = vsi_observers_settle(pages);
  vsi_pages_lock(pages);
  bool is_walking = is_sure;
  for (int i = 0; i < WALKS_IN_A_ROW && is_walking && (is_walking = vsi_topics_walk(pages)); i++) {
    vsi_pages_unlock(pages); /* let other threads take the lock */
    vsi_pages_lock(pages);
  }
  return is_sure && !is_walking;
}

/* Before a run: check a fragment that only a submission has marked, and the submissions of its stream (sent.c). Returns
 * whether the fragment shows all changes until now, so that nothing is rendered. The caller holds the lock; it is
 * released meanwhile.
 *
 * A submission that comes meanwhile is not covered. If it only marks the fragment, the mark stays for the next run. If
 * its mark is taken together with a refresh, the fragment is marked again, so that the next run checks it. */
static bool check(vestry_pages *pages, vsi_fragment *fragment, cause *in_out_cause) {
  const bool is_only_check = in_out_cause->is_to_check && !fragment->is_first;
  if (!is_only_check && !vsi_sent_unchecked(fragment)) return false;
  vsi_sent_begin_check(fragment);
  /* as a rule nothing is rendered here, and this worker runs the marked fragments next */
  const bool looked_after = vsi_schedule_look_after(pages, true), is_sure = refresh_changes(pages);
  (void)vsi_schedule_look_after(pages, looked_after);
  if (fragment->is_over) return true;
  vsi_sent_end_check(fragment, is_sure);
  if (is_only_check && is_sure && (!fragment->is_dirty || fragment->is_to_check)) return true;
  const cause more = take_cause(fragment);
  if (more.marked_seq && more.marked_seq < in_out_cause->marked_seq) {
    in_out_cause->marked_seq = more.marked_seq;
    in_out_cause->is_guessed = more.is_guessed;
  }
  in_out_cause->seq = more.seq;
  const uint64_t later = vsi_sent_unchecked(fragment);
  if (later) vsi_schedule_check(fragment, later);
  vsi_schedule_hand_over(pages, vsi_now_ns(pages->host)); /* this worker renders */
  return false;
}

/* End a run. The caller holds the lock, which may be released meanwhile. */
static void end_run(const vsi_worker *worker, vsi_fragment *fragment, vsi_run_result result, const cause *of) {
  vestry_pages *pages = worker->pages;
  vsi_schedule_put_back(fragment, result, of->marked_seq, of->is_guessed);
  vsi_sent_settle(fragment, worker);
  /* before running_count is decremented, because the destruction of the pages waits for it */
  if (pages->dead_fragments || !SLIST_EMPTY(&pages->dead_subscriptions)) {
    vsi_pages_reap(pages);
    vsi_pages_lock(pages);
  }
  pages->running_count--;
  pthread_cond_broadcast(&pages->quiet);
}

static void run_first(vsi_run *r, vsi_shared *part);

/* Begin a run. The caller holds the lock, which is released. */
static void begin_run(vsi_run *r, vsi_worker *worker, struct vsi_paper *paper, vsi_fragment *fragment,
                      const cause *of) {
  vestry_pages *pages = worker->pages;
  const bool is_known = of->marked_seq && !of->is_guessed;
  r->pages = pages;
  r->worker = worker;
  r->run_first = run_first;
  r->fragment = fragment;
  r->shared = fragment->is_shared ? vsi_shared_of(fragment) : NULL;
  r->private = fragment->is_shared ? NULL : vsi_private_of(fragment);
  r->is_first = fragment->is_first;
  r->has_hash = fragment->has_hash;
  r->has_version = fragment->has_version;
  r->failures = fragment->is_poor ? 0 : fragment->failures;
  r->kept = fragment->kept && fragment->kept->event ? vestry_event_ref(fragment->kept->event) : NULL;
  r->units = fragment->kept ? vsi_unit_list_ref(fragment->kept->units) : NULL;
  r->started_seq = of->seq;
  r->changed_ns = is_known ? vsi_delays_find(&pages->delays, of->marked_seq) : 0;
  r->reason.kind = fragment->is_first && !of->marked_seq ? VESTRY_REFRESH_FIRST : VESTRY_REFRESH_NONE;
  r->reason.name[0] = '\0';
  if (is_known) (void)vsi_reasons_find(&pages->reasons, of->marked_seq, &r->reason);
  vsi_pages_unlock(pages);
  r->event = r->patches = NULL;
  r->next_units = NULL;
  r->few.count = 0;
  r->put_bytes = 0;
  r->is_again = false;
  r->render.parts_count = 0;
  r->render.pages = pages;
  r->render.tag = (vsi_state_tag){.build = pages->build};
  vsi_reply_init(&r->reply, pages->host);
  r->html = &paper->html;
  vestry_html_clear(r->html);
  r->names = &paper->names;
  vsi_buffer_clear(r->names);
}

/* The data that each worker keeps between runs. INSIDE: of parts that are rendered inside a run (run_first). */
enum { HTML_KEPT_BYTES = 1 << 18, INSIDE_KEPT_BYTES = 1 << 14, NAMES_KEPT_BYTES = 1 << 10 };

static void finish_run(vsi_run *r) {
  vestry_event_unref(r->event);
  vestry_event_unref(r->patches);
  vestry_event_unref(r->kept);
  vsi_unit_list_unref(r->units, r->pages->host);
  vsi_unit_list_unref(r->next_units, r->pages->host);
  vsi_render_finish(&r->render);
  vsi_reply_finish(&r->reply);
  if (vsi_html_of(r->html)->capacity > HTML_KEPT_BYTES) vestry_html_finish(r->html);
  if (r->names->capacity > NAMES_KEPT_BYTES) vsi_buffer_finish(r->names);
}

/* ------------------------------------------------------------------------------------------------ writes ---------- */

/* The write of a private page's event costs about as much as its render, if the page is small, and writes that are
 * passed to the kernel together cost less (runtime/sends.c). So a worker that renders many private pages in a row puts
 * the events into the queues of their streams, and writes them together: when no other fragment is due, when it gives
 * its thread to other actors, before a run that is usually long, and when the first one has waited for WAIT_NS. Only
 * renders that were quick leave their events.
 *
 * The next render may nevertheless be long, because it waits for a database or a lock. Other streams must not wait for
 * it. So while a worker has unwritten streams and renders, a timer of the instance's runtime is set, whose function
 * wakes the runners of streams that have waited for VSI_LATE_MS. Then the runners write the events. */
#define QUICK_NS UINT64_C(100000)
#define WAIT_NS  UINT64_C(500000)

/* Return whether the write of a run is left until further fragments have run. */
static bool may_leave(const vsi_run *r) {
  return r->pages->late && r->ended_ns - r->fragment->at_ns < QUICK_NS &&
         vsi_connection_may_batch(r->private->viewer.connection, r->put_bytes);
}

/* Leave a write, and begin to fetch what it uses. Takes the reference. The caller holds the lock. */
static void leave_unwritten(vsi_worker *worker, const vsi_run *r, vestry_connection *connection) {
  if (!worker->unwritten_count) worker->unwritten_ns = r->ended_ns;
  worker->unwritten[worker->unwritten_count++] = connection;
  vsi_prefetch_lines_to_write(connection->transport, 0, 1);
}

/* Write what is left. The caller holds the lock; it is released meanwhile. Returns false if nothing was left. */
static bool write_all(vsi_worker *worker) {
  vestry_connection *streams[VSI_UNWRITTEN_MOST];
  const size_t count = worker->unwritten_count;
  if (!count) return false;
  memcpy(streams, worker->unwritten, count * sizeof *streams);
  worker->unwritten_count = 0;
  vsi_pages_unlock(worker->pages);
  vsi_connections_posted_here(streams, count, &worker->pages->runtime->pool);
  vsi_pages_lock(worker->pages);
  return true;
}

/* Before a run: write what is left, or set the timer. The caller holds the lock; it may be released meanwhile. */
static void write_before(vsi_worker *worker, const vsi_fragment *fragment, const cause *of, uint64_t now_ns) {
  vestry_pages *pages = worker->pages;
  if (!worker->unwritten_count) return;
  if (fragment->is_shared || of->is_to_check || now_ns > worker->unwritten_ns + WAIT_NS)
    (void)write_all(worker);
  else if (!pages->late_is_set)
    pages->late_is_set = !vestry_timer_set(pages->late, VSI_LATE_MS, 0);
}

/* Take the streams of a worker that have waited for VSI_LATE_MS. ret_is_waiting: set if others wait. The caller holds
 * the lock. */
static size_t take_late(vsi_worker *worker, vestry_connection **streams, bool *ret_is_waiting) {
  const size_t count = worker->unwritten_count;
  if (!count) return 0;
  const bool is_late = vsi_now_ns(worker->pages->host) - worker->unwritten_ns >= VSI_LATE_MS * VSI_NS_PER_MS;
  *ret_is_waiting |= !is_late;
  if (!is_late) return 0;
  memcpy(streams, worker->unwritten, count * sizeof *streams);
  worker->unwritten_count = 0;
  return count;
}

void vsi_workers_fire(vestry_timer *timer, void *ctx) {
  vestry_pages *pages = ctx;
  bool is_waiting = false;
  for (size_t i = 0; i < pages->workers_count; i++) {
    vestry_connection *streams[VSI_UNWRITTEN_MOST];
    vsi_pages_lock(pages);
    const size_t count = take_late(&pages->workers[i], streams, &is_waiting);
    vsi_pages_unlock(pages);
    for (size_t at = 0; at < count; at++) {
      vsi_connection_posted(streams[at], VESTRY_OK);
      vestry_connection_unref(streams[at]);
    }
  }
  vsi_pages_lock(pages);
  pages->late_is_set = is_waiting && !vestry_timer_set(timer, VSI_LATE_MS, 0);
  pages->is_full = false;
  vsi_schedule_hand_over(pages, vsi_now_ns(pages->host));
  vsi_pages_unlock(pages);
}

/* ------------------------------------------------------------------------------------------------ runs ------------ */

/* Perform a run, which was counted. The caller holds the lock; it is released meanwhile. */
static void perform(vsi_worker *worker, struct vsi_paper *paper, vsi_fragment *fragment, const cause *of) {
  vestry_pages *pages = worker->pages;
  const vsi_traced refresh = pages->traced[of->marked_seq % VSI_TRACED];
  vsi_run run;
  begin_run(&run, worker, paper, fragment, of);
  vsi_span span;
  vsi_span_begin(&span, pages->host, VESTRY_SPAN_RENDER,
                 of->marked_seq && refresh.seq == of->marked_seq ? &refresh.trace : NULL);
  VSI_PROBE1(render, name_of(fragment));
  vsi_run_result result = run.shared ? vsi_shared_run(&run, of->is_dirty) : vsi_private_run(&run);
  if (result == VSI_RUN_DONE && run.is_again) result = VSI_RUN_AGAIN;
  const bool is_left = run.put_bytes && may_leave(&run);
  if (run.put_bytes && !is_left) vsi_connection_posted_here(run.private->viewer.connection, NULL);
  finish_run(&run);
  VSI_PROBE2(rendered, name_of(fragment), result);
  if (result == VSI_RUN_BLOCKED) span.record.trace.is_sampled = false; /* nothing was rendered */
  vsi_span_end(&span, name_of(fragment), 0, result == VSI_RUN_FAILED ? VESTRY_FAILED : VESTRY_OK);
  vsi_pages_lock(pages);
  if (is_left) leave_unwritten(worker, &run, vestry_connection_ref(run.private->viewer.connection));
  if (worker->unwritten_count + run.few.count > VSI_UNWRITTEN_MOST) (void)write_all(worker);
  for (size_t i = 0; i < run.few.count; i++) leave_unwritten(worker, &run, run.few.streams[i]);
  end_run(worker, fragment, result, of);
  if (run.few.count) (void)write_all(worker); /* together with the events that end_run has added */
}

/* Run a fragment. The caller holds the lock; it is released meanwhile. */
static void run_fragment(vsi_worker *worker, vsi_fragment *fragment, uint64_t now_ns) {
  vestry_pages *pages = worker->pages;
  cause of = take_cause(fragment);
  pages->running_count++;
  worker->run_ns = now_ns;
  vsi_schedule_hand_over(pages, now_ns);
  write_before(worker, fragment, &of, now_ns);
  if (check(pages, fragment, &of))
    end_run(worker, fragment, VSI_RUN_DONE, &of);
  else if (worker->is_lent && !fragment->is_shared)
    end_run(worker, fragment, VSI_RUN_BLOCKED, &of); /* it must be rendered, and waits for another worker */
  else
    perform(worker, &worker->papers[0], fragment, &of);
  worker->run_ns = 0;
}

static void run_first(vsi_run *r, vsi_shared *part) {
  vestry_pages *pages = r->pages;
  vsi_fragment *fragment = &part->fragment;
  struct vsi_paper *paper = &r->worker->papers[1];
  vsi_pages_lock(pages);
  if (fragment->is_first && fragment->state == VSI_FRAGMENT_IDLE) {
    fragment->state = VSI_FRAGMENT_RUNNING;
    const cause of = take_cause(fragment);
    pages->running_count++;
    perform(r->worker, paper, fragment, &of);
    if (fragment->is_poor) fragment->failures = 0; /* the run that lets the stream join follows at once, and counts */
  }
  vsi_pages_unlock(pages);
  if (vsi_html_of(&paper->html)->capacity > INSIDE_KEPT_BYTES) vestry_html_finish(&paper->html);
}

/* Return whether a worker runs further fragments, or lets other actors of the runtime have their turn. */
static bool goes_on(size_t runs_count, uint64_t began_ns, uint64_t now_ns) {
  return runs_count < RUNS_IN_A_ROW || (runs_count < VSI_UNWRITTEN_MOST && now_ns - began_ns < WAIT_NS);
}

static void rest(vsi_worker *worker) {
  vestry_pages *pages = worker->pages;
  worker->is_idle = true;
  worker->next_idle = pages->idle;
  pages->idle = worker;
  pages->awake_count--;
  pages->is_full = false;
}

/* Run due fragments, until other actors get their turn. Without more work, the worker becomes idle. After vestry_close
 * nothing is rendered, and vestry_stop waits for renders that have begun before. */
static void run_worker(vestry_actor *self, void *ctx) {
  vsi_worker *worker = ctx;
  vestry_pages *pages = worker->pages;
  vsi_inside inside;
  vsi_inside_begin(&inside, pages->v);
  vsi_pages_lock(pages);
  const bool is_held = !pages->is_closed && vsi_group_hold(pages->v->group);
  bool is_more = is_held;
  uint64_t began_ns = 0, now_ns = 0;
  for (size_t i = 0; is_more && goes_on(i, began_ns, now_ns); i++) {
    pages->is_looked_after = true; /* before the run of the first fragment, another worker is woken for the others */
    bool is_walking = vsi_topics_walk(pages);
    pages->is_looked_after = false;
    vsi_fragments_end_changed(pages); /* freed with the next fragments */
    now_ns = vsi_now_ns(pages->host);
    if (!i) began_ns = now_ns;
    vsi_fragment *fragment = vsi_schedule_next(pages, now_ns);
    if (fragment) run_fragment(worker, fragment, now_ns);
    const bool has_written = !fragment && write_all(worker); /* without the lock, so look again */
    is_more = (fragment || is_walking || has_written) && !pages->is_closed;
  }
  is_more |= write_all(worker);
  if (is_more) {
    vestry_actor_notify(self);
  } else if (!worker->is_idle) {
    rest(worker);
  }
  vsi_pages_unlock(pages);
  if (is_held) vsi_group_release(pages->v->group);
  vsi_inside_end(&inside);
}

/* ------------------------------------------------------------------------------------- threads of requests -------- */

/* essay: the thread of an act renders what it has changed */
/* If an act commits, no thread need be woken as a rule: the act's own thread follows its commit when the request was
 * answered, and runs the fragments that the commit and the submission mark. It has the act's data in its caches, and
 * the connection that has committed need not read the pages of the file again. To wake another thread would cost both
 * threads together as much as the render of a small part.
 *
 * The thread belongs to the server, and other requests may wait for it. Therefore it runs few fragments, and only those
 * whose last render was quick; workers are woken for all others. If a turn takes longer anyway, because many fragments
 * depend on what was changed, or because a render was slower this time, no thread takes a turn for LENT_PAUSE times as
 * long. Meanwhile, the thread is a worker of the pages: it takes the place of an idle one, whose actor is not notified.
 * If all of them are at work, they take the fragments as they come. */
enum { LENT_RUNS = 4, LENT_PAUSE = 8 };
#define LENT_NS UINT64_C(2000000)

/* Run due fragments in the place of an idle worker. The caller holds the lock; it is released meanwhile. */
static void run_quick(vsi_worker *worker) {
  vestry_pages *pages = worker->pages;
  pages->idle = worker->next_idle;
  pages->awake_count++;
  worker->is_idle = false;
  worker->is_lent = true;
  pages->running_count++; /* so that the pages and the worker stay */
  bool is_walking = vsi_topics_walk(pages);
  for (size_t i = 0; i < LENT_RUNS && !is_walking; i++) {
    const uint64_t now_ns = vsi_now_ns(pages->host);
    vsi_fragment *fragment = vsi_schedule_next_quick(pages, now_ns);
    if (!fragment) break;
    run_fragment(worker, fragment, now_ns);
    is_walking = vsi_topics_walk(pages);
  }
  worker->is_lent = false;
  rest(worker);
  pages->running_count--;
  pthread_cond_broadcast(&pages->quiet);
}

static void run_last(void *ctx) {
  vestry_pages *pages = ctx;
  const uint64_t began_ns = vsi_now_ns(pages->host);
  (void)vsi_observers_settle(pages);
  vsi_pages_lock(pages);
  if (pages->awake_count < pages->quick_most && !pages->is_closed) run_quick(pages->idle);
  (void)vsi_schedule_look_after(pages, false);
  const uint64_t now_ns = vsi_now_ns(pages->host), took_ns = now_ns - began_ns;
  if (took_ns > LENT_NS)
    atomic_store_explicit(&pages->lent_again_ns, now_ns + LENT_PAUSE * took_ns, memory_order_relaxed);
  vsi_schedule_hand_over(pages, now_ns);
  vsi_pages_unlock(pages);
}

VSI_SIDE_BY_SIDE bool vsi_pages_lend(vestry_pages *pages) {
  const uint64_t again_ns = atomic_load_explicit(&pages->lent_again_ns, memory_order_relaxed);
  if (!pages->runtime_is_own || (again_ns && vsi_now_ns(pages->host) < again_ns)) return false;
  if (!vsi_inside_call_last(pages->v, run_last, pages)) return false;
  vsi_pages_lock(pages);
  (void)vsi_schedule_look_after(pages, true);
  vsi_pages_unlock(pages);
  return true;
}

static void end_worker(void *ctx) {
  vsi_worker *worker = ctx;
  for (size_t i = 0; i < 2; i++) vestry_html_finish(&worker->papers[i].html);
  for (size_t i = 0; i < 2; i++) vsi_buffer_finish(&worker->papers[i].names);
  vsi_pages_unref(worker->pages);
}

vestry_err vsi_workers_create(vestry_pages *pages, size_t count) {
  pages->workers = vsi_calloc(pages->host, count, sizeof *pages->workers);
  if (!pages->workers) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    vsi_worker *worker = &pages->workers[i];
    worker->pages = pages;
    for (size_t at = 0; at < 2; at++) vestry_html_init(&worker->papers[at].html, pages->host);
    for (size_t at = 0; at < 2; at++) vsi_buffer_init(&worker->papers[at].names, pages->host);
    const vestry_actor_options options = {.run = run_worker, .done = end_worker, .ctx = worker};
    pages->refs++;
    vestry_err error = vestry_actor_create(pages->runtime, &options, &worker->actor);
    if (error) {
      pages->refs--;
      return error;
    }
    pages->workers_count++;
    pages->awake_count++;
    rest(worker);
  }
  return VESTRY_OK;
}

void vsi_workers_end(vestry_pages *pages) {
  for (size_t i = 0; i < pages->workers_count; i++) vestry_actor_unref(pages->workers[i].actor);
}
