/* SPDX-License-Identifier: MIT */
/* Shared fragments: their keys, their subscriptions, and the contents that fragments keep. */
#include "app/page/fragment.h"

#include <string.h>

#include "app/page/schedule.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/topic.h"
#include "base/memory.h"
#include "channel/channel.h"

/* Keys of shared fragments. Two streams with equal keys show the same fragment. */

/* Append a field after its length, so that different fields never make equal keys. */
static void put(vsi_buffer *key, const void *bytes, size_t len) {
  char *at = vsi_buffer_reserve(key, sizeof len + len);
  if (!at) return;
  memcpy(at, &len, sizeof len);
  memcpy(at + sizeof len, bytes, len);
  key->len += sizeof len + len;
}

static void put_share(vsi_buffer *key, const char *share, size_t *ret_share_at) {
  *ret_share_at = key->len;
  vsi_buffer_append(key, share, strlen(share) + 1);
}

void vsi_key_of_page(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                     size_t *ret_share_at) {
  put(key, &page, sizeof(const vestry_page *));
  put(key, target.data, target.len);
  put_share(key, share, ret_share_at);
}

void vsi_key_of_part(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at) {
  enum { FIELDS = 4 }; /* each after its length */
  (void)vsi_buffer_reserve(key, FIELDS * sizeof(size_t) + sizeof part->render + sizeof part->app + strlen(part->id) +
                                    strlen(part->element) + strlen(part->share) + 1);
  put(key, &part->render, sizeof part->render);
  put(key, &part->app, sizeof part->app);
  put(key, part->id, strlen(part->id));
  put(key, part->element, strlen(part->element));
  put_share(key, part->share, ret_share_at);
}

static vsi_shared *find_shared(const vestry_pages *pages, uint64_t hash, const vsi_buffer *key) {
  for (const vsi_map_link *at = vsi_map_first(&pages->shared, hash); at; at = vsi_map_further(at)) {
    vsi_shared *shared = VSI_MAP_OWNER(at, vsi_shared, in);
    if (shared->key_len == key->len && memcmp(shared->key, key->data, key->len) == 0) return shared;
  }
  return NULL;
}

/* Copy the names of a part's element into one allocation. */
static bool copy_names(const vestry_host *host, vsi_shared *shared, const vestry_page_part *part) {
  size_t id_len = strlen(part->id) + 1, element_len = strlen(part->element) + 1;
  char *names = vsi_alloc(host, id_len + element_len);
  if (!names) return false;
  shared->id = memcpy(names, part->id, id_len);
  shared->element = memcpy(names + id_len, part->element, element_len);
  shared->render = part->render;
  shared->app = part->app;
  return true;
}

static vsi_shared *create_shared(vestry_pages *pages, vestry_page *page, uint64_t hash, const vestry_page_part *part,
                                 const vsi_buffer *key, size_t share_at) {
  vsi_shared *shared = vsi_calloc(pages->host, 1, sizeof *shared + key->len);
  if (!shared) return NULL;
  shared->fragment.page = page ? page : &pages->parts;
  shared->fragment.is_shared = true;
  vsi_ring_init(&shared->subscriptions);
  vsi_ring_init(&shared->sents);
  vsi_ring_init(&shared->joining);
  shared->in.hash = hash;
  shared->key_len = (uint32_t)key->len;
  shared->share_at = (uint32_t)share_at;
  memcpy(shared->key, key->data, key->len);
  if (part) shared->claim = vsi_secret_claim(pages, part->id, part->share, 0);
  if ((!part || copy_names(pages->host, shared, part)) && !vsi_channel_create(pages->v->group, 0, &shared->channel))
    return shared;
  vsi_fragment_free(&shared->fragment);
  return NULL;
}

/* The last contents of fragments, against which the next contents are encoded and compared. The caller holds the
 * lock. */

static size_t bytes_of(const vsi_kept *kept) {
  return sizeof *kept + (kept->event ? vestry_event_bytes(kept->event).len : 0) +
         (kept->units ? vsi_unit_list_bytes(kept->units) : 0);
}

static void take_out(vestry_pages *pages, vsi_kept *kept) {
  vsi_ring_remove(&kept->by_age);
  pages->stats.kept_bytes -= bytes_of(kept);
  vestry_event_unref(kept->event);
  vsi_unit_list_unref(kept->units, pages->host);
}

static void kept_drop(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  if (!fragment->kept) return;
  take_out(pages, fragment->kept);
  vsi_free(pages->host, fragment->kept);
  fragment->kept = NULL;
}

static vsi_shared *oldest_lingering(const vestry_pages *pages) {
  return VSI_RING_OWNER(pages->lingering.next, vsi_shared, lingering);
}

static void trim(vestry_pages *pages) {
  while (pages->stats.kept_bytes > pages->max_kept_bytes && !vsi_ring_is_empty(&pages->lingering))
    vsi_fragment_end(&oldest_lingering(pages)->fragment);
  vsi_ring *next, *at = pages->kept.next;
  for (; at != &pages->kept && pages->stats.kept_bytes > pages->max_kept_bytes; at = next) {
    next = at->next;
    vsi_fragment *fragment = VSI_RING_OWNER(at, vsi_kept, by_age)->fragment;
    if (fragment->state == VSI_FRAGMENT_RUNNING) continue; /* its worker uses the content */
    kept_drop(fragment);
    pages->stats.kept_dropped_count++;
  }
}

void vsi_kept_put(vsi_fragment *fragment, vestry_event *event, vsi_unit_list *units) {
  vestry_pages *pages = fragment->page->pages;
  if (fragment->kept)
    take_out(pages, fragment->kept);
  else
    fragment->kept = vsi_alloc(pages->host, sizeof *fragment->kept);
  if (!fragment->kept) {
    vestry_event_unref(event); /* without memory, the next change is sent whole */
    vsi_unit_list_unref(units, pages->host);
    return;
  }
  fragment->kept->fragment = fragment;
  fragment->kept->event = event;
  fragment->kept->units = units;
  vsi_ring_add_last(&pages->kept, &fragment->kept->by_age);
  pages->stats.kept_bytes += bytes_of(fragment->kept);
  trim(pages);
}

/* Subscriptions of streams to shared fragments, and the end of a fragment with its last viewer. The caller holds the
 * lock. */

/* A part that no stream shows any more lingers: its topics are still followed, so it need not be rendered if a page
 * shows it again soon. For example, a tab that scrolls or reconnects ends its stream before it opens the next one. A
 * lingering part is never rendered. A change only marks it, and then the worker that marks it ends it. */
enum { LINGER_MS = 60000, LINGERING_COST = 1024, LINGERING_SHARE = 4 };

/* Return the memory that a lingering part takes, with that of its channel and its topics. */
static size_t lingering_bytes(const vsi_shared *shared) {
  return LINGERING_COST + bytes_of(shared->fragment.kept);
}

/* Return whether a part has lingered for too long. */
static bool has_lingered(const vsi_shared *shared) {
  return vsi_now_ns(shared->fragment.page->pages->host) - shared->left_ns >= LINGER_MS * VSI_NS_PER_MS;
}

static void stop_lingering(vsi_shared *shared) {
  shared->fragment.is_blocked = false;
  vsi_ring_remove(&shared->lingering);
  shared->fragment.page->pages->lingering_count--;
  shared->fragment.page->pages->lingering_bytes -= lingering_bytes(shared);
}

/* Let a part linger whose last viewer has left. false: it ends, because its content is not known, may have changed, or
 * follows no topic. */
static bool linger(vsi_shared *shared) {
  vsi_fragment *fragment = &shared->fragment;
  vestry_pages *pages = fragment->page->pages;
  if (!vsi_fragment_is_part(fragment) || fragment->state != VSI_FRAGMENT_IDLE || fragment->is_dirty ||
      fragment->failures || !fragment->has_hash || !fragment->kept || !fragment->link.topic || pages->is_closed)
    return false;
  vsi_ring_remove(&shared->sents); /* as at its end */
  vsi_ring_init(&shared->sents);
  shared->checks_allow = false;
  shared->left_ns = vsi_now_ns(pages->host);
  fragment->is_blocked = true;
  vsi_ring_add_last(&pages->lingering, &shared->lingering);
  pages->lingering_count++;
  pages->lingering_bytes += lingering_bytes(shared);
  while (!vsi_ring_is_empty(&pages->lingering) &&
         (pages->lingering_bytes > pages->max_kept_bytes / LINGERING_SHARE || has_lingered(oldest_lingering(pages))))
    vsi_fragment_end(&oldest_lingering(pages)->fragment); /* perhaps also this one, which takes too much */
  return true;
}

/* Let a part that is shown again stop lingering. false: it has ended, because it may have changed, or has lingered for
 * too long. */
static bool take_lingering(vsi_shared *shared) {
  vsi_fragment *fragment = &shared->fragment;
  if (!vsi_fragment_lingers(fragment)) return true;
  const bool is_current = !fragment->is_dirty && !has_lingered(shared);
  if (is_current)
    stop_lingering(shared);
  else
    vsi_fragment_end(fragment);
  return is_current;
}

void vsi_fragments_end_changed(vestry_pages *pages) {
  while (!vsi_ring_is_empty(&pages->lingering) && oldest_lingering(pages)->fragment.is_dirty)
    vsi_fragment_end(&oldest_lingering(pages)->fragment);
}

void vsi_fragments_end_lingering(vestry_pages *pages) {
  while (!vsi_ring_is_empty(&pages->lingering)) vsi_fragment_end(&oldest_lingering(pages)->fragment);
}

void vsi_fragment_end(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  bool is_running = fragment->state == VSI_FRAGMENT_RUNNING;
  if (vsi_fragment_lingers(fragment)) stop_lingering(vsi_shared_of(fragment));
  vsi_topics_forget(fragment);
  kept_drop(fragment);
  if (fragment->is_shared) {
    vsi_map_remove(&pages->shared, &vsi_shared_of(fragment)->in);
    /* The streams that wait for it stay linked to each other, and check again after the next run of their page. */
    vsi_ring_remove(&vsi_shared_of(fragment)->sents);
  }
  vsi_schedule_leave(fragment);
  fragment->is_over = true;
  if (!is_running) vsi_fragment_bury(fragment);
}

/* Find or create the shared fragment with that key. The caller holds the lock.
 * page: NULL for a part. part: NULL for a page. request: of a page; a new fragment takes a reference. Returns OK |
 * NO_MEMORY | LIMIT (max_requests_bytes). */
static vestry_err key_fragment(vestry_pages *pages, vestry_page *page, const vestry_page_part *part,
                               const vsi_buffer *key, size_t share_at, vsi_request_copy *request,
                               vsi_shared **ret_shared) {
  uint64_t hash = vsi_siphash_1_3(pages->buckets_secret, key->data, key->len);
  *ret_shared = find_shared(pages, hash, key);
  if (*ret_shared && take_lingering(*ret_shared)) return VESTRY_OK;
  vestry_err error = vsi_map_reserve(&pages->shared, pages->host, pages->shared.count + 1);
  if (error) return error;
  vsi_shared *shared = *ret_shared = create_shared(pages, page, hash, part, key, share_at);
  if (!shared) return VESTRY_NO_MEMORY;
  if (request) shared->fragment.request = vsi_request_copy_ref(request);
  error = vsi_schedule_enter(&shared->fragment);
  if (error)
    vsi_fragment_free(&shared->fragment);
  else
    vsi_map_add(&pages->shared, &shared->in, hash);
  return error;
}

vestry_err vsi_subscription_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page,
                                    const vestry_page_part *part, const vsi_buffer *key, size_t share_at,
                                    vsi_request_copy *request, vsi_subscription **ret_subscription) {
  /* It is allocated first, because a new fragment must not remain without a subscription. */
  vsi_subscription *subscription = vsi_calloc(pages->host, 1, sizeof *subscription);
  if (!subscription) return VESTRY_NO_MEMORY;
  subscription->viewer = viewer;
  vestry_err error = key_fragment(pages, page, part, key, share_at, request, &subscription->shared);
  if (error) {
    vsi_free(pages->host, subscription);
    return error;
  }
  subscription->shared->subscriptions_count++;
  *ret_subscription = subscription;
  return VESTRY_OK;
}

void vsi_subscription_drop(vsi_subscription *subscription) {
  vsi_shared *shared = subscription->shared;
  vestry_pages *pages = shared->fragment.page->pages;
  pages->requests_bytes -= subscription->request_bytes;
  SLIST_INSERT_HEAD(&pages->dead_subscriptions, subscription, of_viewer);
  if (!--shared->subscriptions_count && !linger(shared)) vsi_fragment_end(&shared->fragment);
}

void vsi_subscription_take(vsi_subscription *subscription, bool is_joined) {
  vsi_shared *shared = subscription->shared;
  vsi_fragment *fragment = &shared->fragment;
  vsi_ring_init(&subscription->joining);
  subscription->connection = vestry_connection_ref(subscription->viewer->connection);
  SLIST_INSERT_HEAD(&subscription->viewer->subscriptions, subscription, of_viewer);
  vsi_ring_add_first(&shared->subscriptions, &subscription->of_shared);
  vsi_tally_of(fragment)->streams_count++;
  shared->checks_allow |= subscription->request != NULL;
  if (!is_joined) vsi_subscription_join(subscription);
}

void vsi_subscription_join(vsi_subscription *subscription) {
  vsi_shared *shared = subscription->shared;
  vsi_fragment *fragment = &shared->fragment;
  vsi_ring_add_first(&shared->joining, &subscription->joining);
  if (fragment->is_first) fragment->is_dirty = true;
  if (fragment->state == VSI_FRAGMENT_IDLE || (fragment->state == VSI_FRAGMENT_WAITING && fragment->is_poor))
    vsi_schedule_at(fragment, vsi_now_ns(fragment->page->pages->host));
}

void vsi_subscription_joined(vsi_subscription *subscription) {
  vsi_ring_remove(&subscription->joining);
  vsi_ring_init(&subscription->joining);
}

void vsi_subscription_leave(vsi_subscription *subscription) {
  SLIST_REMOVE(&subscription->viewer->subscriptions, subscription, vsi_subscription, of_viewer);
  vsi_tally_of(&subscription->shared->fragment)->streams_count--;
  vsi_ring_remove(&subscription->of_shared);
  vsi_subscription_joined(subscription);
  subscription->is_over = true;
  if (!subscription->holds) vsi_subscription_drop(subscription);
}

void vsi_subscription_release(vsi_subscription *subscription) {
  if (!--subscription->holds && subscription->is_over) vsi_subscription_drop(subscription);
}

/* References to pages, held by the owner, each worker and each stream. */

static void free_pages(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  VSI_LIST_FREE(host, pages->pages_list);
  vsi_tallies_finish(&pages->tallies, host);
  vsi_topics_free(pages);
  vestry_event_unref(pages->well);
  vsi_resume_cache_destroy(pages->resume_cache);
  vsi_free(host, pages->offline_text);
  vsi_free(host, pages->failing_text);
  vsi_map_finish(&pages->shared, host);
  vsi_map_finish(&pages->sents, host);
  vsi_free(host, pages->fragments);
  vsi_free(host, pages->shared_waiting);
  vsi_free(host, pages->workers);
  pthread_cond_destroy(&pages->quiet);
  vsi_mutex_finish(&pages->lock);
  vsi_free(host, pages);
}

void vsi_pages_unref(vestry_pages *pages) {
  vsi_pages_lock(pages);
  bool is_last = --pages->refs == 0;
  vsi_pages_unlock(pages);
  if (is_last) free_pages(pages);
}
