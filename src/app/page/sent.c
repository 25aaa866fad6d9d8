/* SPDX-License-Identifier: MIT */
/* essay: when the result of a submission is shown */
/* Determining when a page shows the result of a submission.
 *
 * A page shows "saving…" until it shows the result of a submission. The response to the submission is not sufficient
 * for this: it arrives on one connection, and the content on another, after a render that may not have begun. A change
 * of the page is not sufficient either, because it may belong to another submission, or the submission may change
 * nothing visible.
 *
 * Therefore the page numbers its submissions. It sends each number together with a number that identifies the page. The
 * request of the page's stream contains the same number. When the handler of a submission has returned, the stream's
 * private fragment, or its shared page, is marked. The mark acts as a refresh after all refreshes of the handler.
 *
 * Before a worker runs the marked fragment, it refreshes all changes until then: those that the handler refreshed, and
 * those that observers of renders find, such as commits. This marks every fragment that shows one of them, the parts of
 * the page included. If nothing but the submission marks the fragment, it shows all changes, and is not rendered. So a
 * submission renders only the fragments that it has changed, and costs one check, however many parts the page has. If
 * an observer is unsure, all parts are marked, too. The results of a submission on another node, or before the stream,
 * may not be known here yet; then everything is rendered.
 *
 * A fragment shows a submission if it has no mark up to the number of the submission, and is not running. When this
 * holds for all fragments of a stream, and the check has been made, the stream is sent the submission's number, after
 * the events of the renders. A failed render shows nothing; a render without a change shows the result.
 *
 * A new stream reports which submissions were answered while there was none; its first renders show them.
 *
 * A stream waits for one fragment at a time: the one that shows the oldest state. Each shared fragment has a list of
 * the streams that wait for it; only its own stream waits for a private fragment. */
#include "app/page/sent.h"

#include <stdio.h>
#include <string.h>

#include "app/page/page_script.h"
#include "app/page/schedule.h"
#include "app/page/topic.h"
#include "base/ascii.h"
#include "base/memory.h"
#include "connection/send.h"

enum { SUBMISSIONS = 16, DIGITS = 9 }; /* submissions of a stream at one time; digits of their numbers */

/* A report of a page: its number as 16 hexadecimal digits, then the numbers of submissions, each after a dot. */
typedef struct report {
  uint64_t number;
  size_t count;
  uint32_t submissions[SUBMISSIONS];
} report;

struct vsi_sent {
  vsi_map_link in; /* first; in pages->sents while the stream is open */
  vsi_viewer *viewer;
  vsi_fragment *own;     /* private fragment; NULL for a shared page */
  vsi_ring at;           /* in shared->sents of the fragment for which it waits; otherwise alone */
  bool is_in;            /* it is in pages->sents */
  size_t checked_count;  /* submissions, from the first on, whose changes were refreshed, so that the fragments that
                                 show them are marked. If there are others, the private fragment is marked, or runs */
  size_t checking_count; /* during a check: the number of submissions that it covers */
  report of;             /* number of the page, and the submissions that it does not show yet */
  uint64_t seqs[SUBMISSIONS]; /* for each, the number of a refresh when its handler had returned, or after its check;
                                 ascending among those that were checked */
};

static bool read_report(const char *text, size_t len, report *ret) {
  char number[17];
  if (len < 16) return false;
  memcpy(number, text, 16);
  number[16] = '\0';
  *ret = (report){.number = vsi_document_read(number)};
  for (size_t i = 16; i < len;) {
    uint32_t submission = 0;
    size_t digits = 0;
    if (text[i++] != '.') return false;
    for (; i < len && vsi_is_digit(text[i]) && digits <= DIGITS; i++, digits++)
      submission = submission * 10 + (uint32_t)(text[i] - '0');
    if (!digits || digits > DIGITS || ret->count == SUBMISSIONS) return false;
    ret->submissions[ret->count++] = submission;
  }
  return ret->number;
}

static uint64_t hash_of(const vestry_pages *pages, uint64_t number) {
  return vsi_siphash_1_3(pages->buckets_secret, &number, sizeof number);
}

static vsi_sent *find(const vestry_pages *pages, uint64_t number) {
  for (vsi_map_link *at = vsi_map_first(&pages->sents, hash_of(pages, number)); at; at = vsi_map_further(at))
    if (((vsi_sent *)at)->of.number == number) return (vsi_sent *)at;
  return NULL;
}

/* --------------------------------------------------------------------------------- content that is shown ---------- */

/* Return the number of the last refresh up to which the fragment shows all refreshes. running: the fragment that this
 * thread runs; seq: the number of the last refresh when its run began. */
static uint64_t shown_by(const vsi_fragment *fragment, const vsi_fragment *running, uint64_t seq) {
  if (fragment == running) return seq;
  if (fragment->state == VSI_FRAGMENT_RUNNING || fragment->is_first) return 0;
  if (fragment->marked_seq) return fragment->marked_seq - 1;
  return fragment->is_dirty ? 0 : UINT64_MAX;
}

/* Return the number of the first submission that was not checked yet; 0: none. */
static uint64_t first_unchecked(const vsi_sent *sent) {
  return sent->checked_count < sent->of.count ? sent->seqs[sent->checked_count] : 0;
}

/* Return the number up to which the stream shows all refreshes. ret_last: the shared fragment that shows the oldest
 * state; NULL: the stream's private fragment does, or there is none. */
static uint64_t shown(const vsi_sent *sent, const vsi_fragment *running, uint64_t seq, vsi_shared **ret_last) {
  uint64_t least = sent->own ? shown_by(sent->own, running, seq) : UINT64_MAX;
  const uint64_t unchecked = first_unchecked(sent);
  if (unchecked && unchecked <= least) least = unchecked - 1;
  *ret_last = NULL;
  const vsi_subscription *subscription;
  SLIST_FOREACH(subscription, &sent->viewer->subscriptions, of_viewer) {
    uint64_t by = subscription->is_in ? shown_by(&subscription->shared->fragment, running, seq) : 0;
    if (by >= least) continue;
    least = by;
    *ret_last = subscription->shared;
  }
  return least;
}

static void stop_waiting(vsi_sent *sent) {
  vsi_ring_remove(&sent->at);
  vsi_ring_init(&sent->at);
}

/* Return how many submissions are shown, from the first on. If there are others, the stream waits for a fragment. */
static size_t look(vsi_sent *sent, const vsi_fragment *running, uint64_t seq) {
  vsi_shared *last;
  size_t seen = 0;
  stop_waiting(sent);
  if (!sent->checked_count) return 0; /* the next check looks again */
  uint64_t up_to = shown(sent, running, seq, &last);
  while (seen < sent->of.count && sent->seqs[seen] <= up_to) seen++;
  if (seen < sent->of.count && last) vsi_ring_add_last(&last->sents, &sent->at);
  return seen;
}

static void mark_parts(const vsi_sent *sent, uint64_t seq, void (*mark)(vsi_fragment *fragment, uint64_t seq)) {
  const vsi_subscription *subscription;
  SLIST_FOREACH(subscription, &sent->viewer->subscriptions, of_viewer) {
    mark(&subscription->shared->fragment, seq);
  }
}

/* Add submissions, which are shown once everything that the stream shows was checked. is_here: they were performed on
 * this node, so a check finds their changes; otherwise everything is rendered. */
static void add(vsi_sent *sent, const report *what, bool is_here) {
  vestry_pages *pages = sent->viewer->pages;
  const bool are_checked = sent->checked_count == sent->of.count;
  uint64_t seq = vsi_topics_number(pages);
  vsi_reasons_add(&pages->reasons, seq, VESTRY_REFRESH_SUBMISSION, "", 0);
  /* submissions without room are reported by the page again */
  for (size_t i = 0; i < what->count && sent->of.count < SUBMISSIONS; i++) {
    sent->of.submissions[sent->of.count] = what->submissions[i];
    sent->seqs[sent->of.count++] = seq;
  }
  void (*mark)(vsi_fragment * fragment, uint64_t seq) = is_here ? vsi_schedule_check : vsi_schedule_mark;
  if (sent->own) mark(sent->own, seq);
  const bool needs_check = sent->own && is_here && !SLIST_EMPTY(&sent->viewer->subscriptions);
  if (!needs_check) mark_parts(sent, seq, mark);
  if (!needs_check && are_checked) sent->checked_count = sent->of.count;
  (void)look(sent, NULL, 0);
}

static vsi_sent *sent_of(const vsi_fragment *fragment) {
  const vsi_private_extra *extra = fragment->is_shared ? NULL : vsi_private_of(fragment)->extra;
  return extra ? extra->seen : NULL;
}

uint64_t vsi_sent_unchecked(const vsi_fragment *fragment) {
  const vsi_sent *sent = sent_of(fragment);
  return sent ? first_unchecked(sent) : 0;
}

void vsi_sent_begin_check(const vsi_fragment *fragment) {
  vsi_sent *sent = sent_of(fragment);
  if (sent) sent->checking_count = sent->of.count;
}

/* The marks that the check has made have higher numbers than the submissions had, so the submissions get a number after
 * these marks. (Submissions that came during the check have a lower one, and hold back those before them until the next
 * check.) */
void vsi_sent_end_check(const vsi_fragment *fragment, bool is_sure) {
  vsi_sent *sent = sent_of(fragment);
  if (!sent || sent->checked_count == sent->checking_count) return;
  const uint64_t seq = vsi_topics_number(sent->viewer->pages);
  while (sent->checked_count < sent->checking_count) sent->seqs[sent->checked_count++] = seq;
  if (!is_sure) mark_parts(sent, seq, vsi_schedule_mark);
}

static void drop(vsi_sent *sent, size_t count) {
  report *of = &sent->of;
  of->count -= count;
  sent->checked_count -= count; /* only checked ones are shown */
  memmove(of->submissions, of->submissions + count, of->count * sizeof *of->submissions);
  memmove(sent->seqs, sent->seqs + count, of->count * sizeof *sent->seqs);
}

/* Signals that report shown submissions. Each submission has a separate signal, whose value is null, so that the
 * page keeps no signal. */
typedef struct seen_text {
  char json[32 + SUBMISSIONS * (DIGITS + 8)];
} seen_text;

static void write_seen(const vsi_sent *sent, size_t count, seen_text *ret) {
  size_t len = (size_t)snprintf(ret->json, sizeof ret->json, "{\"_vestry\":{\"seen\":{");
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(ret->json + len, sizeof ret->json - len, "%s\"%lu\":null", i ? "," : "",
                            (unsigned long)sent->of.submissions[i]);
  snprintf(ret->json + len, sizeof ret->json - len, "}}}");
}

static vestry_event *make_event(const vestry_pages *pages, const seen_text *text) {
  vestry_event *event = NULL;
  (void)vestry_event_signals(pages->host, VESTRY_VALUES(text->json), NULL, &event);
  return event;
}

vestry_event *vsi_sent_event(vsi_run *r, size_t *ret_count) {
  vestry_pages *pages = r->pages;
  seen_text text;
  *ret_count = 0;
  if (!r->private->extra) return NULL;
  vsi_pages_lock(pages); /* because the end of the stream clears `seen` */
  vsi_sent *sent = r->fragment->is_over ? NULL : r->private->extra->seen;
  size_t count = sent ? look(sent, r->fragment, r->started_seq) : 0;
  if (count) write_seen(sent, count, &text);
  vsi_pages_unlock(pages);
  if (!count) return NULL;
  vestry_event *event = make_event(pages, &text);
  if (event) *ret_count = count;
  return event;
}

void vsi_sent_drop(vsi_run *r, size_t count) {
  if (!count) return;
  vsi_pages_lock(r->pages);
  if (r->private->extra->seen) drop(r->private->extra->seen, count);
  vsi_pages_unlock(r->pages);
}

/* Return whether the worker is going to write a stream. The caller holds the lock. */
static bool is_left(const vsi_worker *worker, const vestry_connection *connection) {
  size_t at = 0;
  while (at < worker->unwritten_count && worker->unwritten[at] != connection) at++;
  return at < worker->unwritten_count;
}

/* Report submissions to the stream. The caller holds the lock; it is released meanwhile. */
static void report_shown(vestry_pages *pages, vsi_sent *sent, size_t count, const vsi_worker *worker) {
  vestry_connection *connection = vestry_connection_ref(sent->viewer->connection);
  bool is_written_later = is_left(worker, connection);
  seen_text text;
  write_seen(sent, count, &text);
  drop(sent, count);
  vsi_pages_unlock(pages);
  vestry_event *event = make_event(pages, &text);
  const vestry_err error = event ? vsi_connection_put(connection, &event, 1, 0) : VESTRY_OK;
  if (is_written_later) { /* unless another thread has written it, because that was late (vsi_workers_fire) */
    vsi_pages_lock(pages);
    is_written_later = is_left(worker, connection);
    vsi_pages_unlock(pages);
  }
  if (error)
    vsi_connection_posted(connection, error);
  else if (event && !is_written_later)
    vsi_connection_posted_here(connection, NULL); /* to wake another thread would cost as much as the write */
  vestry_event_unref(event);
  vestry_connection_unref(connection);
  vsi_pages_lock(pages);
}

void vsi_sent_settle(vsi_fragment *fragment, const vsi_worker *worker) {
  vestry_pages *pages = fragment->page->pages;
  vsi_ring here;
  vsi_ring_init(&here);
  if (fragment->is_over) return;
  if (fragment->is_shared) { /* move the streams to `here`, because some may have to wait for the fragment again */
    vsi_ring *sents = &vsi_shared_of(fragment)->sents;
    if (vsi_ring_is_empty(sents)) return;
    vsi_ring_add_first(sents, &here);
    stop_waiting(VSI_RING_OWNER(sents, vsi_sent, at));
  } else {
    vsi_sent *own = sent_of(fragment);
    if (!own) return;
    stop_waiting(own);
    vsi_ring_add_last(&here, &own->at);
  }
  while (!vsi_ring_is_empty(&here)) {
    vsi_sent *sent = VSI_RING_OWNER(here.next, vsi_sent, at);
    size_t seen = look(sent, NULL, 0);
    if (seen) report_shown(pages, sent, seen, worker);
  }
}

/* -------------------------------------------------------------------------------------------- life cycle ---------- */

vestry_err vsi_sent_create(vestry_pages *pages, const vestry_request *req, vsi_sent **ret_sent) {
  const char *text = vestry_request_header(req, "Vestry-Sent");
  report what;
  *ret_sent = NULL;
  if (!text || !read_report(text, strlen(text), &what)) return VESTRY_OK;
  vsi_sent *sent = vsi_calloc(pages->host, 1, sizeof *sent);
  if (!sent) return VESTRY_NO_MEMORY;
  sent->of = what;
  vsi_ring_init(&sent->at);
  *ret_sent = sent;
  return VESTRY_OK;
}

void vsi_sent_begin(vsi_sent *sent, vsi_viewer *viewer, vsi_fragment *own) {
  vestry_pages *pages = viewer->pages;
  const report what = sent->of;
  sent->of.count = 0;
  sent->viewer = viewer;
  sent->own = own;
  vsi_sent *former = find(pages, what.number);
  if (former) { /* the previous stream of the page, whose end is not known yet */
    vsi_map_remove(&pages->sents, &former->in);
    former->is_in = false;
  }
  sent->is_in = !vsi_map_reserve(&pages->sents, pages->host, pages->sents.count + 1);
  if (sent->is_in) vsi_map_add(&pages->sents, &sent->in, hash_of(pages, what.number));
  if (what.count) add(sent, &what, false);
}

void vsi_sent_end(vsi_sent *sent) {
  if (!sent) return;
  vestry_pages *pages = sent->viewer->pages;
  stop_waiting(sent);
  if (sent->is_in) vsi_map_remove(&pages->sents, &sent->in);
  vsi_free(pages->host, sent);
}

static bool add_to(vestry_pages *pages, const report *what, bool is_here) {
  vsi_sent *sent = find(pages, what->number);
  if (sent) add(sent, what, is_here);
  return sent;
}

void vsi_sent_done(const vestry_bus_message *message, void *ctx) {
  vestry_pages *pages = ctx;
  report what;
  if (!read_report(message->data, message->len, &what)) return;
  vsi_pages_lock(pages);
  const bool is_here = add_to(pages, &what, true);
  vsi_pages_forward(pages, true, message->data, message->len, !is_here); /* after the refreshes of the handler */
}

void vsi_sent_done_elsewhere(vestry_pages *pages, const char *text, size_t len) {
  report what;
  if (!read_report(text, len, &what)) return;
  vsi_pages_lock(pages);
  (void)add_to(pages, &what, false);
  vsi_pages_unlock(pages);
}
