/* SPDX-License-Identifier: MIT */
/* essay: replacing a part by another one, without late events of the former */
/* Runs of private pages.
 *
 * A private page may replace a part by another one. Changes of the former part must not appear in the place of the new
 * part. Therefore a run works in this order:
 *
 * - Leave the channel of the former part. From then on, no event of that part is put into the stream.
 * - Send the content together with the content of the new part, with no event in between.
 * - Join the channel of the new part.
 *
 * The worker of the former part may be letting this stream join at the same time. Therefore the run marks the
 * subscription as over, under the lock, and that worker checks the mark under the same lock before it puts an event
 * into the stream. */
#include "app/page/render_run.h"

#include <string.h>

#include "app/page/sent.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "base/log.h"
#include "base/memory.h"
#include "channel/channel.h"
#include "connection/connection.h"
#include "connection/send.h"
#include "event/mark.h"

vestry_err vsi_private_extra_take(vsi_private *page, uint64_t document, const vsi_state_tag *tag, vsi_sent *seen,
                                  vsi_long_poll poll) {
  const vestry_host *host = page->fragment.page->pages->host;
  if (!document && !tag && !seen && !poll.hold_ms) return VESTRY_OK;
  vsi_private_extra *extra = page->extra = vsi_calloc(host, 1, sizeof *extra);
  if (!extra) {
    vsi_free(host, seen);
    return VESTRY_NO_MEMORY;
  }
  extra->seen = seen;
  extra->poll = poll;
  extra->document = document;
  if (!tag) return VESTRY_OK;
  extra->tag = vsi_alloc(host, sizeof *tag);
  if (!extra->tag) return VESTRY_NO_MEMORY;
  *extra->tag = *tag;
  return VESTRY_OK;
}

/* Drop the state that the tab reported, because it is not valid any more. Called by the running worker; takes the
 * lock. */
static void private_extra_forget_tag(vsi_private *page) {
  vestry_pages *pages = page->fragment.page->pages;
  vsi_private_extra *extra = page->extra;
  if (!extra) return;
  vsi_free(pages->host, extra->tag);
  extra->tag = NULL;
  vsi_pages_lock(pages); /* the thread that ends the stream reads the pointer, and clears `seen` */
  /* the page has parts, may have parts, or tracks submissions */
  bool is_needed = extra->document || extra->renders || extra->seen;
  if (!is_needed) page->extra = NULL;
  vsi_pages_unlock(pages);
  if (!is_needed) vsi_free(pages->host, extra);
}

static vsi_part_claim claim_of(const vsi_shared *part, uint64_t hash) {
  return (vsi_part_claim){part->claim.name, part->claim.content ^ hash};
}

/* Return the last send of a part's content to the stream: by a publish, or when the stream joined. */
static vsi_sending sending_to(const vsi_subscription *subscription) {
  const vsi_sending *published = &subscription->shared->sent;
  return published->from > subscription->joined ? *published
                                                : (vsi_sending){subscription->joined, subscription->joined};
}

/* Store the state of a tab if its last event was the event of a part, because the id of such an event claims this part
 * only. The stored state is valid for a tab that has received this event. If sends of several fragments overlapped, the
 * last event is not known, and nothing is stored. */
void vsi_private_extra_remember(const vsi_private *page) {
  const vsi_fragment *fragment = &page->fragment;
  vestry_pages *pages = fragment->page->pages;
  const vsi_private_extra *extra = page->extra;
  const vsi_subscription *subscription, *last = NULL;
  if (!extra || !extra->document || !fragment->has_hash || fragment->is_first) return;
  uint64_t from = extra->sent.from;
  vsi_state_tag tag = {.hash = fragment->hash,
                       .build = pages->build,
                       .has_version = fragment->has_version,
                       .version = fragment->version};
  SLIST_FOREACH(subscription, &page->viewer.subscriptions, of_viewer) {
    const vsi_shared *part = subscription->shared;
    if (!subscription->is_in || !part->fragment.has_hash || subscription->render != extra->renders ||
        tag.parts_count == VESTRY_PAGE_PARTS_MAX)
      return;
    uint64_t sent_from = sending_to(subscription).from;
    if (sent_from > from) {
      last = subscription;
      from = sent_from;
    }
    tag.parts[tag.parts_count++] = claim_of(part, part->fragment.hash.high);
  }
  if (!last || fragment->state == VSI_FRAGMENT_RUNNING) return;
  SLIST_FOREACH(subscription, &page->viewer.subscriptions, of_viewer) {
    uint64_t to = sending_to(subscription).to;
    if (to == UINT64_MAX || (subscription != last && to >= from)) return;
  }
  if (extra->sent.to >= from) return;
  vsi_resume_cache_put(pages->resume_cache, extra->document,
                       claim_of(last->shared, last->shared->fragment.hash.high).content, &tag);
}

/* A part of a private page, while the content of the page is sent. */
typedef struct change {
  vsi_subscription *subscription; /* an existing subscription, held; NULL: the part is new */
  vsi_subscription *taken;        /* a promised subscription, if the part is new */
  vestry_event *inside;
  uint64_t hash;
} change;

static const vsi_shared *shared_of(const change *c) {
  return (c->subscription ? c->subscription : c->taken)->shared;
}

static vsi_subscription *find_subscription(const vsi_viewer *viewer, const vsi_buffer *key) {
  vsi_subscription *subscription;
  SLIST_FOREACH(subscription, &viewer->subscriptions, of_viewer) {
    if (subscription->shared->key_len == key->len && memcmp(subscription->shared->key, key->data, key->len) == 0) break;
  }
  return subscription;
}

/* Set the tally of a part, unless it has one: the part is counted for the page that contained it first. The caller
 * holds the lock. */
static void name_tally(const vsi_fragment *fragment, const vestry_page_part *part, vsi_shared *shared) {
  if (!shared->tally) shared->tally = vsi_tally_of_part(fragment->page->pages, vsi_tally_of(fragment), part->id)->place;
}

/* Find the page's subscription to a part, or promise a new one. key: memory for its key, which is reused. */
static vestry_err find_or_promise(vsi_run *r, const vestry_page_part *part, vsi_buffer *key, change *c) {
  vestry_pages *pages = r->pages;
  vsi_viewer *viewer = &r->private->viewer;
  size_t share_at;
  vsi_buffer_clear(key);
  vsi_key_of_part(key, part, &share_at);
  vestry_err error = key->error;
  vsi_pages_lock(pages);
  if (!error && r->fragment->is_over) error = VESTRY_CLOSED;
  if (!error) c->subscription = find_subscription(viewer, key);
  if (c->subscription) {
    c->subscription->holds++;
    c->subscription->render = r->private->extra->renders;
  } else if (!error) {
    error = vsi_subscription_promise(pages, viewer, NULL, part, key, share_at, NULL, &c->taken);
    if (!error) name_tally(r->fragment, part, c->taken->shared);
  }
  vsi_pages_unlock(pages);
  if (!c->taken) return error;
  c->taken->render = r->private->extra->renders;
  c->taken->page = r->fragment->page;
  if (r->fragment->page->allow) c->taken->request = vsi_request_copy_ref(r->fragment->request);
  return error;
}

/* Render the content of a part that the tab lacks, to be sent with the content of the page. */
static vestry_err make_inside(vsi_run *r, const vestry_page_part *part, change *c) {
  vestry_html html;
  vestry_slice inside;
  vsi_hash_128 hash;
  vestry_html_init(&html, r->pages->host);
  vestry_err error = vsi_part_make(r->pages, part, &html, NULL, NULL, &inside, &hash);
  if (!error) {
    c->hash = hash.high;
    error = vsi_run_format_part(r->pages, part->id, part->share, inside, c->hash, &c->inside);
    if (error) vsi_render_log(&r->pages->parts, "part #", part->id, &html, error, vestry_strerror(error));
  }
  vestry_html_finish(&html);
  return error;
}

/* Take the current content of the part's fragment, unless the fragment is to be rendered again for a change. Returns
 * whether it was taken. */
static bool take_kept(const vsi_run *r, change *c) {
  const vsi_fragment *fragment = &c->taken->shared->fragment;
  vsi_pages_lock(r->pages);
  bool is_current =
      fragment->has_hash && fragment->kept && fragment->kept->event && (!fragment->is_dirty || fragment->is_poor);
  if (is_current) {
    c->inside = vestry_event_ref(fragment->kept->event);
    c->hash = fragment->hash.high;
  }
  vsi_pages_unlock(r->pages);
  return is_current;
}

/* Leave the parts that the page no longer contains. No event of them is put into the stream afterwards. */
static void leave_former(vsi_run *r) {
  vestry_pages *pages = r->pages;
  vsi_subscription *former[VESTRY_PAGE_PARTS_MAX];
  size_t former_count = 0;
  if (!r->private->extra) return; /* the page never had a part */
  vsi_pages_lock(pages);
  for (vsi_subscription *next, *at = SLIST_FIRST(&r->private->viewer.subscriptions); at; at = next) {
    next = SLIST_NEXT(at, of_viewer);
    if (at->render == r->private->extra->renders || former_count == VESTRY_PAGE_PARTS_MAX) continue;
    at->holds++;
    vsi_subscription_leave(at);
    former[former_count++] = at;
  }
  vsi_pages_unlock(pages);
  if (!former_count) return;
  for (size_t i = 0; i < former_count; i++)
    (void)vsi_channel_leave(former[i]->shared->channel, former[i]->connection); /* NOT_FOUND: it had not joined yet */
  vsi_pages_lock(pages);
  for (size_t i = 0; i < former_count; i++) vsi_subscription_release(former[i]);
  vsi_pages_reap(pages);
}

/* Return the hash of the part's content that the tab certainly has, or that is sent now; 0: not known. */
static uint64_t hash_of(const change *c) {
  const vsi_subscription *subscription = c->subscription;
  if (!subscription) return c->hash;
  if (subscription->is_in)
    return subscription->shared->fragment.has_hash ? subscription->shared->fragment.hash.high : 0;
  return subscription->has_hash ? subscription->hash : 0;
}

/* Write the tag of an event id: the state that the tab will have. before: the id comes before the contents of new
 * parts. Such an id has no version, because a version would claim that all contents have arrived. */
static void write_tag(const vsi_run *r, const change *changes, bool before, char text[VSI_STATE_TAG_BYTES]) {
  if (!r->render.parts_count) {
    (void)vsi_state_tag_write(&r->render.tag, text);
    return;
  }
  vsi_state_tag tag = r->render.tag;
  tag.has_version &= !before;
  tag.parts_count = 0;
  vsi_pages_lock(r->pages);
  for (size_t i = 0; i < r->render.parts_count; i++) {
    if (before && changes[i].inside) continue;
    tag.parts[tag.parts_count++] = claim_of(shared_of(&changes[i]), hash_of(&changes[i]));
  }
  vsi_pages_unlock(r->pages);
  (void)vsi_state_tag_write(&tag, text);
}

/* Correct the mark after the content was sent. A part may change while the content is sent, and its event may come
 * before the content, whose tag still claims the old content of the part. Therefore a new tag is sent after the
 * content. A page with a layout reads the tag in the data of the content, so the content is sent again with it. */
static vestry_err correct_mark(vsi_run *r, const change *changes, bool is_same, char text[VSI_STATE_TAG_BYTES],
                               uint64_t *sent_bytes) {
  char now[VSI_STATE_TAG_BYTES];
  const bool is_read = !is_same && r->fragment->page->layout;
  while (r->render.parts_count) {
    write_tag(r, changes, false, now);
    if (strcmp(text, now) == 0) return VESTRY_OK;
    vestry_event *mark = NULL;
    vestry_err error = is_read ? vsi_run_format(r, now) : vsi_event_mark(r->pages->host, now, &mark);
    if (!error) error = vestry_connection_send(r->private->viewer.connection, is_read ? r->event : mark);
    if (!error) *sent_bytes += vestry_event_bytes(is_read ? r->event : mark).len;
    vestry_event_unref(mark);
    if (error) return error;
    memcpy(text, now, sizeof now);
  }
  return VESTRY_OK;
}

/* Send with no event in between: the content, unless the tab has it; the contents of new parts; the id that claims all
 * of them; and the event for the submissions that they show. */
static vestry_err send_content(vsi_run *r, change *changes, bool is_same, uint64_t *sent_bytes) {
  vestry_event *events[3 + VESTRY_PAGE_PARTS_MAX], *mark = NULL;
  size_t events_count = 0, seen_count;
  char text[VSI_STATE_TAG_BYTES], before[VSI_STATE_TAG_BYTES];
  bool has_inside = false;
  for (size_t i = 0; i < r->render.parts_count; i++) has_inside |= changes[i].inside != NULL;
  if (is_same && !has_inside) return VESTRY_OK;
  write_tag(r, changes, false, text);
  if (has_inside) write_tag(r, changes, true, before);
  const char *tag = has_inside ? before : text;
  vestry_err error = is_same ? VESTRY_OK : vsi_run_format_patches(r, tag);
  if (!error && !is_same && !r->patches) error = vsi_run_format(r, tag);
  if (!error && has_inside) error = vsi_event_mark(r->pages->host, text, &mark);
  if (error) return error;
  if (!is_same) {
    vestry_event *event = r->patches ? r->patches : r->event;
    if (r->has_hash) vestry_event_follow(event, r->kept);
    events[events_count++] = event;
  }
  for (size_t i = 0; i < r->render.parts_count; i++)
    if (changes[i].inside) events[events_count++] = changes[i].inside;
  if (mark) events[events_count++] = mark;
  vestry_event *seen = vsi_sent_event(r, &seen_count);
  if (seen) events[events_count++] = seen;
  vsi_run_begin_sending(r);
  error = vsi_connection_put(r->private->viewer.connection, events, events_count, r->changed_ns);
  if (error) vsi_connection_posted(r->private->viewer.connection, error);
  for (size_t i = 0; i < events_count && !error; i++) r->put_bytes += vestry_event_bytes(events[i]).len;
  *sent_bytes += r->put_bytes;
  vestry_event_unref(mark);
  vestry_event_unref(seen);
  if (error) return error;
  vsi_sent_drop(r, seen_count);
  private_extra_forget_tag(r->private); /* the tab has other content now */
  return correct_mark(r, changes, is_same, text, sent_bytes);
}

/* Subscribe the stream to a new part, of which it has a content. Only a run of the part lets streams join its channel.
 * If this would be all that the run does, its work is done here for all such parts together: the part counts as running
 * meanwhile. Returns whether the caller lets the stream join. The caller holds the lock. */
static bool subscribe(vsi_subscription *taken) {
  vsi_fragment *part = &taken->shared->fragment;
  const bool joins = part->state == VSI_FRAGMENT_IDLE && !part->is_dirty && part->has_hash &&
                     part->hash.high == taken->hash && !taken->is_brief;
  vsi_subscription_take(taken, joins);
  if (!joins) return false;
  part->state = VSI_FRAGMENT_RUNNING;
  taken->holds++;
  return true;
}

/* Let the stream join the channels of parts that count as running. */
static void join_channels(vsi_run *r, vsi_subscription **subscriptions, size_t count) {
  vestry_pages *pages = r->pages;
  vestry_err errors[VESTRY_PAGE_PARTS_MAX];
  for (size_t i = 0; i < count; i++)
    errors[i] = vsi_channel_join(subscriptions[i]->shared->channel, subscriptions[i]->connection);
  vsi_pages_lock(pages);
  for (size_t i = 0; i < count; i++) {
    vsi_subscription *subscription = subscriptions[i];
    vsi_fragment *part = &subscription->shared->fragment;
    subscription->is_in = !errors[i] && !subscription->is_over;
    vsi_schedule_put_back(part, VSI_RUN_DONE, 0, false);
    if (errors[i] == VESTRY_NO_MEMORY && !subscription->is_over) vsi_subscription_join(subscription);
    vsi_sent_settle(part, r->worker);
    vsi_subscription_release(subscription);
  }
  vsi_pages_reap(pages);
}

/* Record the result of a run: new parts are subscribed if the content was sent, and otherwise dropped. Returns the
 * error of sending; NO_MEMORY: the fragment may lack a topic, and must be rendered and sent again. */
static vestry_err settle_private(vsi_run *r, change *changes, bool is_same, vestry_err error, uint64_t sent_bytes) {
  vestry_pages *pages = r->pages;
  vsi_fragment *fragment = r->fragment;
  vsi_subscription *joining[VESTRY_PAGE_PARTS_MAX];
  size_t joining_count = 0;
  vsi_pages_lock(pages);
  if (vsi_run_record(r, VSI_MADE_CONTENT) != VSI_MADE_CONTENT && !error) error = VESTRY_NO_MEMORY;
  bool is_sent = !error && !fragment->is_over;
  for (size_t i = 0; i < r->render.parts_count; i++) {
    vsi_subscription *taken = changes[i].taken;
    if (changes[i].subscription) vsi_subscription_release(changes[i].subscription);
    if (!taken) continue;
    taken->hash = changes[i].hash;
    taken->has_hash = true;
    taken->joined = r->private->extra->sent.from;
    if (!is_sent)
      vsi_subscription_drop(taken);
    else if (subscribe(taken))
      joining[joining_count++] = taken;
  }
  vsi_run_settle(r, is_same, error, sent_bytes);
  vsi_pages_reap(pages);
  if (joining_count) join_channels(r, joining, joining_count);
  return error;
}

/* End a failed run of a private page: report the failure to its stream, if it is the first in a row. */
static vsi_run_result fail(vsi_run *r) {
  vestry_connection *connection = r->private->viewer.connection;
  if (!vestry_connection_is_open(connection)) return VSI_RUN_DONE; /* there is no stream to inform */
  if (!r->failures) vsi_send_failing(connection, true);
  return VSI_RUN_FAILED;
}

/* Count the render of a page that has or had parts. Each subscription has the number of the last render that named its
 * part. */
static vestry_err count_render(vsi_run *r) {
  vsi_private *page = r->private;
  vsi_private_extra *extra = page->extra;
  if (!r->render.parts_count && !(extra && extra->renders)) return VESTRY_OK;
  if (!extra) extra = vsi_calloc(r->pages->host, 1, sizeof *extra);
  if (!extra) return VESTRY_NO_MEMORY;
  vsi_pages_lock(r->pages); /* the thread that ends the stream reads the pointer */
  page->extra = extra;
  extra->renders++;
  vsi_pages_unlock(r->pages);
  return VESTRY_OK;
}

/* Prepare each part: find or promise its subscription, and make its content if the tab lacks it. If the tab claims to
 * have a content, no content is sent here; the part's fragment sends its current content if that differs (shared.c). */
static vestry_err prepare_parts(vsi_run *r, change *changes) {
  const vsi_state_tag *tag = vsi_private_extra_tag(r->private);
  vestry_err error = count_render(r);
  vsi_buffer key;
  vsi_buffer_init(&key, r->pages->host);
  for (size_t i = 0; !error && i < r->render.parts_count; i++) {
    const vestry_page_part *part = &r->render.parts[i].part;
    error = find_or_promise(r, part, &key, &changes[i]);
    if (error || changes[i].subscription) continue;
    if (tag && vsi_secret_claimed(tag, changes[i].taken->shared->claim, &changes[i].hash)) continue;
    if (take_kept(r, &changes[i])) continue;
    r->run_first(r, changes[i].taken->shared);
    if (!take_kept(r, &changes[i])) error = make_inside(r, part, &changes[i]);
  }
  vsi_buffer_finish(&key);
  return error;
}

/* Send the content and the contents of new parts, in the order that the head of this file describes. */
static vsi_run_result deliver_private(vsi_run *r) {
  vsi_fragment *fragment = r->fragment;
  const vsi_state_tag *tag = vsi_private_extra_tag(r->private);
  const size_t parts_count = r->render.parts_count;
  change changes[VESTRY_PAGE_PARTS_MAX];
  memset(changes, 0, parts_count * sizeof *changes);
  const vsi_hash_128 *had = r->has_hash ? &fragment->hash : tag ? &tag->hash : NULL;
  bool is_same = had && vsi_hash_128_equal(*had, r->hash);
  uint64_t sent_bytes = 0;
  vestry_err error = prepare_parts(r, changes);
  if (!error) {
    leave_former(r);
    error = send_content(r, changes, is_same, &sent_bytes);
  }
  error = settle_private(r, changes, is_same, error, sent_bytes);
  for (size_t i = 0; i < parts_count; i++) vestry_event_unref(changes[i].inside);
  if (error) return fail(r);
  if (r->failures) vsi_send_failing(r->private->viewer.connection, false);
  if (r->private->viewer.connection->is_response) vsi_connection_await_written(r->private->viewer.connection);
  return VSI_RUN_DONE;
}

/* Postpone the render until the stream has written its events; the stream's runner then unblocks it
 * (vsi_page_written). */
static vsi_run_result block(vsi_run *r) {
  vsi_pages_lock(r->pages);
  r->pages->stats.postponed_count++;
  r->fragment->is_blocked = true;
  vsi_pages_unlock(r->pages);
  vsi_connection_await_written(r->private->viewer.connection);
  return VSI_RUN_BLOCKED;
}

/* Render and send, unless the stream has unwritten events. */
static vsi_run_result run_private(vsi_run *r) {
  vsi_fragment *fragment = r->fragment;
  vestry_connection *connection = r->private->viewer.connection;
  uint32_t queued_count;
  bool is_shut;
  vsi_queue_load(&connection->queue, &queued_count, NULL, &is_shut);
  if (is_shut) return VSI_RUN_DONE;                  /* the stream is about to end */
  if (queued_count && !r->is_first) return block(r); /* in the first run, these are the first events of the stream */
  vsi_outcome made = vsi_run_make(r);
  if (made == VSI_MADE_CONTENT) {
    vsi_run_result result = deliver_private(r);
    /* otherwise the content is sent in a later run, which needs the tag */
    if (result == VSI_RUN_DONE) private_extra_forget_tag(r->private);
    return result;
  }
  if (made == VSI_MADE_NOTHING) {
    vsi_pages_lock(r->pages);
    fragment->hash = r->render.had->hash;
    vsi_run_set_has_hash(r, true);
    vsi_run_set_version(r, true);
    vsi_pages_unlock(r->pages);
    private_extra_forget_tag(r->private);
    if (r->failures) vsi_send_failing(connection, false);
    return VSI_RUN_DONE;
  }
  if (made == VSI_MADE_FAILED) return fail(r);
  vsi_run_lead_away(r, made, connection);
  return VSI_RUN_DONE;
}

/* Run a private page. The response of a long poll that is not held ends at the latest with an additional event, but not
 * before the parts of its page were checked. */
vsi_run_result vsi_private_run(vsi_run *r) {
  const vsi_private_extra *extra = r->private->extra;
  const bool is_brief = extra && extra->poll.is_brief;
  vsi_run_result result = run_private(r);
  if (result == VSI_RUN_DONE && is_brief && !r->render.parts_count)
    (void)vestry_connection_send(r->private->viewer.connection, r->pages->well);
  return result;
}
