/* SPDX-License-Identifier: MIT */
/* Freeing of fragments and subscriptions. A fragment ends with its last viewer; if a worker is running the fragment,
 * that worker buries it. */
#include "app/page/fragment.h"

#include "base/memory.h"
#include "channel/channel.h"

static void free_shared(const vestry_host *host, vsi_shared *shared) {
  vsi_channel_destroy(shared->channel);
  vsi_free(host, (void *)(uintptr_t)shared->id);
  vsi_free(host, shared);
}

static void free_private(const vestry_host *host, vsi_private *page) {
  if (page->fragment.is_over) vestry_connection_unref(page->viewer.connection); /* the stream has begun */
  if (page->extra) {
    vsi_free(host, page->extra->tag);
    vsi_free(host, page->extra->seen); /* it never began */
  }
  vsi_free(host, page->extra);
  vsi_free(host, page);
}

void vsi_fragment_free(vsi_fragment *fragment) {
  const vestry_host *host = fragment->page->pages->host;
  vsi_request_copy_unref(fragment->request);
  if (fragment->is_shared)
    free_shared(host, vsi_shared_of(fragment));
  else
    free_private(host, vsi_private_of(fragment));
}

void vsi_fragment_bury(vsi_fragment *fragment) {
  vestry_pages *pages = fragment->page->pages;
  fragment->next_dead = pages->dead_fragments;
  pages->dead_fragments = fragment;
}

static void free_subscription(const vestry_host *host, vsi_subscription *subscription) {
  vestry_connection_unref(subscription->connection);
  vsi_request_copy_unref(subscription->request);
  vsi_free(host, subscription);
}

void vsi_pages_reap(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  vsi_fragment *fragments = pages->dead_fragments;
  vsi_subscription *subscriptions = SLIST_FIRST(&pages->dead_subscriptions);
  pages->dead_fragments = NULL;
  SLIST_INIT(&pages->dead_subscriptions);
  vsi_pages_unlock(pages);
  for (vsi_subscription *next; subscriptions; subscriptions = next) {
    next = SLIST_NEXT(subscriptions, of_viewer);
    free_subscription(host, subscriptions);
  }
  for (vsi_fragment *next; fragments; fragments = next) {
    next = fragments->next_dead;
    vsi_fragment_free(fragments);
  }
}
