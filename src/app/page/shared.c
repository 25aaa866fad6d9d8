/* SPDX-License-Identifier: MIT */
/* essay: a stream that joins a shared fragment and misses nothing */
/* Runs of shared fragments.
 *
 * Only the run of a shared fragment publishes to its channel, and only this run lets streams join the channel.
 * Therefore a stream that joins receives the current content and then every change: it misses nothing in between, and
 * receives nothing twice. */
#include "app/page/render_run.h"

#include "app/page/fragment.h"
#include "app/page/pages.h"
#include "app/page/tally.h"
#include "base/memory.h"
#include "channel/channel.h"
#include "connection/send.h"
#include "event/mark.h"
#include "http/answer.h"
#include "runtime/runtime.h"

/* A list of held subscriptions. */
typedef struct held {
  vsi_subscription **subscriptions;
  size_t count;
} held;

/* Hold subscriptions, so that they stay while they are used without the lock. joining: those that wait to join, which
 * leave that list; otherwise all. Returns OK | NO_MEMORY. */
static vestry_err hold(vsi_run *r, bool joining, held *ret_held) {
  vestry_pages *pages = r->pages;
  vsi_ring *next, *subscriptions = joining ? &r->shared->joining : &r->shared->subscriptions;
  size_t room = 0;
  *ret_held = (held){NULL, 0};
  vsi_pages_lock(pages);
  for (vsi_ring *at = subscriptions->next; at != subscriptions; at = at->next) room++;
  if (room) ret_held->subscriptions = vsi_alloc(pages->host, room * sizeof *ret_held->subscriptions);
  for (vsi_ring *at = subscriptions->next; at != subscriptions && ret_held->subscriptions; at = next) {
    vsi_subscription *subscription =
        joining ? VSI_RING_OWNER(at, vsi_subscription, joining) : VSI_RING_OWNER(at, vsi_subscription, of_shared);
    next = at->next;
    subscription->holds++;
    if (joining) vsi_subscription_joined(subscription);
    ret_held->subscriptions[ret_held->count++] = subscription;
  }
  vsi_pages_unlock(pages);
  return room && !ret_held->subscriptions ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* Release held subscriptions. again: those that are not over wait to join in a later run. */
static void release(vsi_run *r, held *list, bool again) {
  vestry_pages *pages = r->pages;
  vsi_shared *shared = r->shared;
  vsi_pages_lock(pages);
  for (size_t i = 0; i < list->count; i++) {
    vsi_subscription *subscription = list->subscriptions[i];
    if (again && !subscription->is_over) vsi_ring_add_first(&shared->joining, &subscription->joining);
    vsi_subscription_release(subscription);
  }
  vsi_pages_reap(pages);
  vsi_free(pages->host, list->subscriptions);
}

/* End a stream that cannot take a shared event, or must not get it. Its tab reconnects and reports its state. */
static void send_back(vestry_connection *connection, vestry_err error) {
  vestry_connection_close(connection, error == VESTRY_FULL ? VESTRY_CAUSE_FULL : VESTRY_CAUSE_ERROR);
}

/* Check allow for a stream. A rejected tab reloads its page. If the check fails, the stream ends without new content,
 * so that the other streams need not wait for another check; its tab keeps the old content, and reconnects. */
static void check_one(vsi_run *r, const vsi_subscription *subscription) {
  vestry_err error =
      subscription->request ? vsi_page_check_allow(subscription->page, subscription->request) : VESTRY_OK;
  if (error && vsi_page_is_refusal(subscription->page, error))
    vsi_send_reload(r->pages, subscription->connection, VSI_SEND_RELOAD_MS);
  else if (error)
    send_back(subscription->connection, error);
}

/* Check allow for all streams before the content changes. */
static vestry_err check_all(vsi_run *r) {
  held all;
  vsi_pages_lock(r->pages);
  bool checks_allow = r->shared->checks_allow;
  vsi_pages_unlock(r->pages);
  if (!checks_allow) return VESTRY_OK;
  vestry_err error = hold(r, false, &all);
  for (size_t i = 0; i < all.count; i++) check_one(r, all.subscriptions[i]);
  release(r, &all, false);
  return error;
}

/* End all streams after a render without content, including streams that wait to join. */
static vsi_run_result lead_all_away(vsi_run *r, vsi_outcome made, held *joining) {
  held all;
  vestry_err error = hold(r, false, &all);
  release(r, joining, error);
  if (error) return VSI_RUN_FAILED;
  for (size_t i = 0; i < all.count; i++) vsi_run_lead_away(r, made, all.subscriptions[i]->connection);
  release(r, &all, false);
  vsi_pages_lock(r->pages);
  vsi_run_set_has_hash(r, false); /* streams that join later must not receive the old content */
  vsi_pages_unlock(r->pages);
  return VSI_RUN_DONE;
}

static void send_failing_to_all(vsi_run *r, bool is_failing) {
  const vestry_value *state = VESTRY_OBJECT("failing", is_failing);
  vestry_event *event;
  if (vsi_fragment_is_part(r->fragment) ||
      vestry_event_signals(r->pages->host, VESTRY_OBJECT("_vestry", state), NULL, &event))
    return;
  (void)vsi_channel_publish(r->shared->channel, event, NULL);
  vestry_event_unref(event);
}

/* Report a failing page to the streams that wait to join, because they are not in the channel yet. */
static void send_failing_to_joining(vsi_run *r, const held *joining) {
  for (size_t i = 0; i < joining->count && !vsi_fragment_is_part(r->fragment); i++) {
    vsi_subscription *subscription = joining->subscriptions[i];
    if (!subscription->is_notified) vsi_send_failing(subscription->connection, true);
    subscription->is_notified = true;
  }
}

static void member_refused(vestry_connection *connection, vestry_err error, void *ctx) {
  vestry_err *ret_error = ctx;
  if (error == VESTRY_NO_MEMORY)
    *ret_error = error; /* all streams are sent the event again, because others may lack memory too */
  else
    send_back(connection, error);
}

static vestry_err send_to_all(vsi_run *r, uint64_t *ret_sent_bytes) {
  vestry_event *event = r->patches ? r->patches : r->event;
  vestry_err refused = VESTRY_OK;
  vsi_pages_lock(r->pages);
  vsi_run_set_has_hash(r, false); /* during the send, it is not known which content a member has */
  vsi_pages_unlock(r->pages);
  size_t sent_count = 0;
  vestry_err error = vsi_channel_publish_reporting(r->shared->channel, event, r->changed_ns, &r->few, member_refused,
                                                   &refused, &sent_count);
  *ret_sent_bytes = (uint64_t)sent_count * vestry_event_bytes(event).len;
  return error ? error : refused;
}

/* Send the content to all streams of the fragment, unless they have it. If they have it, but its event was not kept,
 * the event is formatted again, because streams that join receive it. */
static vestry_err publish(vsi_run *r) {
  vestry_pages *pages = r->pages;
  char text[VSI_STATE_TAG_BYTES];
  bool is_same = r->has_hash && vsi_hash_128_equal(r->fragment->hash, r->hash);
  uint64_t sent_bytes = 0;
  vestry_err error = VESTRY_OK;
  if (!is_same || !r->kept) {
    r->render.tag.hash = r->hash;
    (void)vsi_state_tag_write(&r->render.tag, text);
    error = vsi_run_format(r, text);
  }
  if (!error && !is_same) error = vsi_run_format_patches(r, text);
  if (!error && r->patches) error = vsi_event_set_whole(r->patches, r->event);
  if (!error && !is_same) {
    vsi_run_begin_sending(r);
    error = send_to_all(r, &sent_bytes);
  }
  vsi_pages_lock(pages);
  vsi_run_settle(r, is_same, error, sent_bytes);
  vsi_pages_unlock(pages);
  return error;
}

/* Return whether the joining stream has the current content. */
static bool has_content(const vsi_run *r, const vsi_subscription *subscription) {
  return r->has_hash && subscription->has_hash && subscription->hash == r->fragment->hash.high;
}

/* Let a stream join, and send it the content unless it has it. Returns OK | NO_MEMORY. */
static vestry_err join(vsi_run *r, vsi_subscription *subscription) {
  vestry_pages *pages = r->pages;
  vsi_fragment *fragment = r->fragment;
  vsi_channel *channel = r->shared->channel;
  vestry_event *event = r->event ? r->event : r->kept;
  vestry_err error = vsi_channel_join(channel, subscription->connection);
  if (error == VESTRY_NO_MEMORY) return error;
  vsi_pages_lock(pages);
  bool has_it = has_content(r, subscription), is_over = subscription->is_over;
  error = has_it || is_over ? VESTRY_OK : vsi_connection_put(subscription->connection, &event, 1, 0);
  subscription->has_hash = !error;
  subscription->hash = fragment->hash.high;
  subscription->is_in = !error && !is_over;
  if (!has_it && !is_over && !error) vsi_tally_of(fragment)->sent_bytes += vestry_event_bytes(event).len;
  if (!has_it) subscription->joined = ++pages->sent;
  vsi_pages_unlock(pages);
  if (!has_it && !is_over && error) vsi_connection_posted(subscription->connection, error);
  if (!has_it && !is_over && !error) vsi_connection_posted_here(subscription->connection, NULL);
  if (is_over || error) (void)vsi_channel_leave(channel, subscription->connection);
  if (error == VESTRY_NO_MEMORY) return error;
  if (error) send_back(subscription->connection, error);
  if (subscription->is_notified) vsi_send_failing(subscription->connection, false);
  subscription->is_notified = false;
  /* this event ends the long poll */
  if (subscription->is_brief) (void)vestry_connection_send(subscription->connection, pages->well);
  return VESTRY_OK;
}

static bool needs_content(const vsi_run *r, const held *joining) {
  for (size_t i = 0; i < joining->count; i++)
    if (!has_content(r, joining->subscriptions[i])) return true;
  return false;
}

static vsi_run_result join_all(vsi_run *r, held *joining) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < joining->count && !error; i++) error = join(r, joining->subscriptions[i]);
  release(r, joining, error); /* after an error all join again; a stream that has joined and has the content does not
                                 receive it again */
  return error ? VSI_RUN_FAILED : VSI_RUN_DONE;
}

vsi_run_result vsi_shared_run(vsi_run *r, bool is_dirty) {
  held joining;
  vsi_outcome made = VSI_MADE_NOTHING;
  if (hold(r, true, &joining)) return VSI_RUN_FAILED;
  if (is_dirty || r->is_first || ((!r->kept || !r->has_hash) && needs_content(r, &joining))) {
    if (check_all(r)) made = VSI_MADE_FAILED;
    if (made != VSI_MADE_FAILED) made = vsi_run_make(r);
  }
  if (made == VSI_MADE_CONTENT && publish(r)) made = VSI_MADE_FAILED;
  if (made == VSI_MADE_CONTENT && r->failures) send_failing_to_all(r, false);
  bool can_join = r->has_hash && (r->event || r->kept || !needs_content(r, &joining));
  if (made == VSI_MADE_CONTENT || made == VSI_MADE_NOTHING) {
    if (can_join) return join_all(r, &joining);
    made = VSI_MADE_FAILED;
  }
  if (made != VSI_MADE_FAILED) return lead_all_away(r, made, &joining);
  if (!r->failures) send_failing_to_all(r, true);
  send_failing_to_joining(r, &joining);
  release(r, &joining, true);
  return VSI_RUN_FAILED;
}
