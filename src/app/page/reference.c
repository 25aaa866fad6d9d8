/* SPDX-License-Identifier: MIT */
#include "app/page/reference.h"

#include "app/page/departed.h"
#include "app/page/topic.h"
#include "base/list.h"
#include "base/memory.h"

static void free_pages(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  VSI_LIST_FREE(host, pages->pages_list);
  vsi_tallies_finish(&pages->tallies, host);
  vsi_topics_free(pages);
  vestry_event_unref(pages->well);
  vsi_departed_destroy(pages->departed);
  vsi_free(host, pages->offline_text);
  vsi_free(host, pages->failing_text);
  vsi_map_finish(&pages->shared, host);
  vsi_map_finish(&pages->sents, host);
  vsi_free(host, pages->views);
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
