/* SPDX-License-Identifier: MIT */
/* essay: when what was sent is seen */
/* A page says "saving…" until it shows what became of a submission. That the submission was answered does not say so:
 * the answer is on one connection, what the page shows comes by another one, after a render that may not have begun.
 * Nor does a change of the page: it may be another's, and the submission may change nothing that is to be seen.
 *
 * So the page numbers its submissions and sends the number along, with a number of its own that its stream has said,
 * too. When a submission's handler has ended, all that its stream sees (its private fragment, the parts in it, or its
 * shared page) is marked, as by a refresh that comes after all that the handler refreshed. A fragment that nothing else
 * has marked is asked: the worker has all changes until then refreshed (what the handler refreshed, what observers of
 * renders find, such as commits), and if that does not mark the fragment, it shows them, and is not rendered. So a
 * submission renders what it has changed. What a submission did on another node, or before the stream, may not be known
 * here yet: then all is rendered.
 *
 * A fragment that has no mark up to that one, and is not being run, shows all. When this is true of all fragments, the
 * stream is told the numbers, after what renders sent. A render that fails shows nothing; one that changes nothing
 * does.
 *
 * A stream that begins says which submissions were answered while there was none: its first renders show them.
 *
 * A stream waits for one fragment at a time: the one that shows the oldest state. Each fragment that many see has a
 * list of the streams that wait for it; a private fragment has none but its own. */
#include "app/page/sent.h"

#include <stdio.h>
#include <string.h>

#include "app/page/page_script.h"
#include "app/page/schedule.h"
#include "base/memory.h"

enum { SUBMISSIONS = 16, DIGITS = 9 }; /* of a stream at one time; of a submission's number */

struct vsi_sent {
  vsi_map_link in; /* first; in pages->sents while it has begun */
  uint64_t number; /* the page's own */
  vsi_viewer *viewer;
  vsi_fragment *own; /* NULL: a shared page's */
  vsi_ring at;       /* among those that wait for a fragment that many see; otherwise alone */
  bool is_in;        /* pages->sents */
  size_t count;
  uint32_t submissions[SUBMISSIONS];
  uint64_t seqs[SUBMISSIONS]; /* in ascending order: when their handlers had ended */
};

/* ---------------------------------------------------------------------------------------------- what is said ----- */

/* What a page says: its number, 16 hexadecimal digits, and submissions' numbers, with a dot before each. */
typedef struct said {
  uint64_t number;
  size_t count;
  uint32_t submissions[SUBMISSIONS];
} said;

static bool read_said(const char *text, size_t len, said *ret) {
  char number[17];
  if (len < 16) return false;
  memcpy(number, text, 16);
  number[16] = '\0';
  *ret = (said){.number = vsi_document_read(number)};
  for (size_t i = 16; i < len;) {
    uint32_t submission = 0;
    size_t digits = 0;
    if (text[i++] != '.') return false;
    for (; i < len && text[i] >= '0' && text[i] <= '9' && digits <= DIGITS; i++, digits++)
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
    if (((vsi_sent *)at)->number == number) return (vsi_sent *)at;
  return NULL;
}

/* -------------------------------------------------------------------------------------------- what is shown ------ */

/* Up to which refresh the fragment shows all. running: the one that this thread runs, which has begun at seq. */
static uint64_t shown_by(const vsi_fragment *fragment, const vsi_fragment *running, uint64_t seq) {
  if (fragment == running) return seq;
  if (fragment->state == VSI_FRAGMENT_RUNNING || fragment->is_first) return 0;
  if (fragment->marked_seq) return fragment->marked_seq - 1;
  return fragment->is_dirty ? 0 : UINT64_MAX;
}

/* Up to which refresh the stream shows all. ret_last: the fragment, of those that many see, that shows least; NULL: the
 * stream's own does, or none. */
static uint64_t shown(const vsi_sent *sent, const vsi_fragment *running, uint64_t seq, vsi_shared **ret_last) {
  uint64_t least = sent->own ? shown_by(sent->own, running, seq) : UINT64_MAX;
  *ret_last = NULL;
  for (const vsi_subscription *subscription = sent->viewer->subscriptions; subscription;
       subscription = subscription->next_of_viewer) {
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

/* How many submissions are seen, the first ones; for the others it waits. */
static size_t look(vsi_sent *sent, const vsi_fragment *running, uint64_t seq) {
  vsi_shared *last;
  size_t seen = 0;
  stop_waiting(sent);
  if (!sent->count) return 0;
  uint64_t up_to = shown(sent, running, seq, &last);
  while (seen < sent->count && sent->seqs[seen] <= up_to) seen++;
  if (seen < sent->count && last) vsi_ring_add_last(&last->sents, &sent->at);
  return seen;
}

/* They are shown once all that the stream sees has been looked at.
 * mark: vsi_schedule_ask, or vsi_schedule_mark where what they did may not be known here yet */
static void add(vsi_sent *sent, const said *what, void (*mark)(vsi_fragment *fragment, uint64_t seq)) {
  vestry_pages *pages = sent->viewer->pages;
  uint64_t seq = ++pages->seq;
  vsi_reasons_add(&pages->reasons, seq, VESTRY_REFRESH_SUBMISSION, "", 0);
  for (size_t i = 0; i < what->count && sent->count < SUBMISSIONS; i++) { /* those for which there is no room, the page
                                                                         asks for again */
    sent->submissions[sent->count] = what->submissions[i];
    sent->seqs[sent->count++] = seq;
  }
  if (sent->own) mark(sent->own, seq);
  for (const vsi_subscription *subscription = sent->viewer->subscriptions; subscription;
       subscription = subscription->next_of_viewer)
    mark(&subscription->shared->fragment, seq);
  (void)look(sent, NULL, 0);
}

static void drop(vsi_sent *sent, size_t count) {
  sent->count -= count;
  memmove(sent->submissions, sent->submissions + count, sent->count * sizeof *sent->submissions);
  memmove(sent->seqs, sent->seqs + count, sent->count * sizeof *sent->seqs);
}

/* Signals that say so: each submission has its own, so that none takes another one's place in a queue. Their value is
 * null, so that the page keeps none. */
typedef struct seen_text {
  char json[32 + SUBMISSIONS * (DIGITS + 8)];
} seen_text;

static void write_seen(const vsi_sent *sent, size_t count, seen_text *ret) {
  size_t len = (size_t)snprintf(ret->json, sizeof ret->json, "{\"_vestry\":{\"seen\":{");
  for (size_t i = 0; i < count; i++)
    len += (size_t)snprintf(ret->json + len, sizeof ret->json - len, "%s\"%lu\":null", i ? "," : "",
                            (unsigned long)sent->submissions[i]);
  snprintf(ret->json + len, sizeof ret->json - len, "}}}");
}

static vestry_event *make_event(const vestry_pages *pages, const seen_text *text) {
  vestry_event *event = NULL;
  (void)vestry_event_signals_text(pages->host, text->json, strlen(text->json), NULL, &event);
  return event;
}

vestry_event *vsi_sent_event(vsi_run *r, size_t *ret_count) {
  vestry_pages *pages = r->pages;
  seen_text text;
  *ret_count = 0;
  if (!r->private->extra) return NULL;
  vsi_pages_lock(pages); /* the stream's end takes `seen` away */
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

/* With the lock, which it gives up meanwhile. */
static void tell(vestry_pages *pages, vsi_sent *sent, size_t count) {
  vestry_connection *connection = vestry_connection_ref(sent->viewer->connection);
  seen_text text;
  write_seen(sent, count, &text);
  drop(sent, count);
  vsi_pages_unlock(pages);
  vestry_event *event = make_event(pages, &text);
  if (event) (void)vestry_connection_send(connection, event);
  vestry_event_unref(event);
  vestry_connection_unref(connection);
  vsi_pages_lock(pages);
}

void vsi_sent_settle(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  vsi_ring here;
  vsi_ring_init(&here);
  if (fragment->is_over) return;
  if (fragment->is_shared) { /* all that wait for it wait here: some wait for it again */
    vsi_ring *sents = &vsi_shared_of(fragment)->sents;
    if (vsi_ring_is_empty(sents)) return;
    vsi_ring_add_first(sents, &here);
    stop_waiting(VSI_RING_OWNER(sents, vsi_sent, at));
  } else {
    const vsi_private_extra *extra = vsi_private_of(fragment)->extra;
    if (!extra || !extra->seen) return;
    stop_waiting(extra->seen);
    vsi_ring_add_last(&here, &extra->seen->at);
  }
  while (!vsi_ring_is_empty(&here)) {
    vsi_sent *sent = VSI_RING_OWNER(here.next, vsi_sent, at);
    size_t seen = look(sent, NULL, 0);
    if (seen) tell(pages, sent, seen);
  }
}

/* ------------------------------------------------------------------------------------------------- its life ------ */

vestry_err vsi_sent_create(vestry_pages *pages, const vestry_request *req, vsi_sent **ret_sent) {
  const char *text = vestry_request_header(req, "Vestry-Sent");
  said what;
  *ret_sent = NULL;
  if (!text || !read_said(text, strlen(text), &what)) return VESTRY_OK;
  vsi_sent *sent = vsi_calloc(pages->host, 1, sizeof *sent);
  if (!sent) return VESTRY_NO_MEMORY;
  sent->number = what.number;
  sent->count = what.count;
  memcpy(sent->submissions, what.submissions, sizeof what.submissions);
  vsi_ring_init(&sent->at);
  *ret_sent = sent;
  return VESTRY_OK;
}

void vsi_sent_begin(vsi_sent *sent, vsi_viewer *viewer, vsi_fragment *own) {
  vestry_pages *pages = viewer->pages;
  said what = {.number = sent->number, .count = sent->count};
  memcpy(what.submissions, sent->submissions, sizeof what.submissions);
  sent->count = 0;
  sent->viewer = viewer;
  sent->own = own;
  vsi_sent *former = find(pages, sent->number);
  if (former) { /* the page's last stream, whose end is not known yet */
    vsi_map_remove(&pages->sents, &former->in);
    former->is_in = false;
  }
  sent->is_in = !vsi_map_reserve(&pages->sents, pages->host, pages->sents.count + 1);
  if (sent->is_in) vsi_map_add(&pages->sents, &sent->in, hash_of(pages, sent->number));
  if (what.count) add(sent, &what, vsi_schedule_mark);
}

void vsi_sent_end(vsi_sent *sent) {
  if (!sent) return;
  vestry_pages *pages = sent->viewer->pages;
  stop_waiting(sent);
  if (sent->is_in) vsi_map_remove(&pages->sents, &sent->in);
  vsi_free(pages->host, sent);
}

static bool add_to(vestry_pages *pages, const said *what, void (*mark)(vsi_fragment *fragment, uint64_t seq)) {
  vsi_sent *sent = find(pages, what->number);
  if (sent) add(sent, what, mark);
  return sent;
}

void vsi_sent_done(const vestry_bus_message *message, void *ctx) {
  vestry_pages *pages = ctx;
  char topic[1 + 16 + 1 + DIGITS + 1] = {VSI_SENT_MARK};
  said what;
  if (message->len > sizeof topic - 2 || !read_said(message->data, message->len, &what)) return;
  vsi_pages_lock(pages);
  vsi_refreshed_fn refreshed = add_to(pages, &what, vsi_schedule_ask) ? NULL : pages->refreshed;
  void *refreshed_ctx = pages->refreshed_ctx;
  vsi_pages_unlock(pages);
  if (!refreshed) return;
  memcpy(topic + 1, message->data, message->len);
  refreshed(topic, message->len + 1, refreshed_ctx); /* after the refreshes of the handler's */
}

void vsi_sent_done_elsewhere(vestry_pages *pages, const char *text, size_t len) {
  said what;
  if (!read_said(text, len, &what)) return;
  vsi_pages_lock(pages);
  (void)add_to(pages, &what, vsi_schedule_mark);
  vsi_pages_unlock(pages);
}
