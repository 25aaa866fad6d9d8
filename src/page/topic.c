/* Topics: what views depend on.
 *
 * No refresh is lost, whenever it comes. A view that is linked to the topic is marked by the walk. One that is just
 * being rendered, and names the topic after it has read what the topic is about, looks whether a refresh came since the
 * render began: at the topic's number, or if nobody was linked to it until now, at `recent`, which has the last refresh
 * of all topics with the same few bits of the hash. So a topic that nobody depends on takes no memory, however often it
 * is refreshed; at worst a view is rendered once more for a topic of another name.
 *
 * A refresh counts, and puts the topic into a list: that is all that its caller pays. A worker walks along the topic's
 * links, some at a time, with the lock let go in between. Where it has come to stands in the list itself, as a link
 * that is none: so links may come and go meanwhile. */
#include <string.h>

#include "base/memory.h"
#include "page/page.h"

enum { MARKED_AT_ONCE = 256, FIRST_BUCKETS = 64 };

static uint64_t hash_of(const vestry_pages *pages, const char *name, size_t len) {
  return vsi_siphash_1_3(pages->buckets_secret, name, len);
}

static vsi_topic *find(const vestry_pages *pages, uint64_t hash, const char *name, size_t len) {
  if (!pages->topics_size) return NULL;
  vsi_topic *topic = pages->topics[hash & (pages->topics_size - 1)];
  while (topic && !(topic->hash == hash && topic->len == len && memcmp(topic->name, name, len) == 0))
    topic = topic->next;
  return topic;
}

/* More buckets, if there is memory for them: without, it is slower. */
static void grow(vestry_pages *pages) {
  if (pages->topics_count < pages->topics_size) return;
  size_t size = pages->topics_size ? pages->topics_size * 2 : FIRST_BUCKETS;
  vsi_topic **topics = vsi_calloc(pages->host, size, sizeof *topics);
  if (!topics) return;
  for (size_t i = 0; i < pages->topics_size; i++) {
    for (vsi_topic *next, *topic = pages->topics[i]; topic; topic = next) {
      next = topic->next;
      topic->next = topics[topic->hash & (size - 1)];
      topics[topic->hash & (size - 1)] = topic;
    }
  }
  vsi_free(pages->host, pages->topics);
  pages->topics = topics;
  pages->topics_size = size;
}

static vsi_topic *create(vestry_pages *pages, uint64_t hash, const char *name, size_t len) {
  grow(pages);
  vsi_topic *topic = pages->topics_size ? vsi_calloc(pages->host, 1, sizeof *topic + len) : NULL;
  if (!topic) return NULL;
  topic->hash = hash;
  topic->len = (uint32_t)len;
  memcpy(topic->name, name, len);
  topic->seq = pages->recent[hash % VSI_RECENT];
  vsi_topic **bucket = &pages->topics[hash & (pages->topics_size - 1)];
  topic->next = *bucket;
  *bucket = topic;
  pages->topics_count++;
  return topic;
}

static void free_if_unused(vestry_pages *pages, vsi_topic *topic) {
  if (topic->first || topic->is_dirty) return;
  vsi_topic **at = &pages->topics[topic->hash & (pages->topics_size - 1)];
  while (*at != topic) at = &(*at)->next;
  *at = topic->next;
  pages->topics_count--;
  vsi_free(pages->host, topic);
}

/* ---------------------------------------------------------------------------------------------------- links ------- */

static void insert(vsi_link *link, vsi_link **at) {
  link->at = at;
  link->next = *at;
  if (link->next) link->next->at = &link->next;
  *at = link;
}

static void take_out(vsi_link *link) {
  *link->at = link->next;
  if (link->next) link->next->at = link->at;
}

vestry_err vsi_topic_name(vsi_view *view, const char *name, size_t len, uint64_t started_seq, bool *ret_stale) {
  vestry_pages *pages = view->pages;
  uint64_t hash = hash_of(pages, name, len);
  vsi_topic *topic = find(pages, hash, name, len);
  if (!topic) topic = create(pages, hash, name, len);
  if (!topic) return VESTRY_NO_MEMORY;
  if (topic->seq > started_seq) *ret_stale = true;
  for (vsi_link *link = view->links; link; link = link->next_of_view) {
    if (link->topic != topic) continue;
    link->render = view->renders;
    return VESTRY_OK;
  }
  vsi_link *link = vsi_calloc(pages->host, 1, sizeof *link);
  if (!link) {
    free_if_unused(pages, topic);
    return VESTRY_NO_MEMORY;
  }
  link->view = view;
  link->topic = topic;
  link->render = view->renders;
  link->next_of_view = view->links;
  view->links = link;
  insert(link, &topic->first);
  return VESTRY_OK;
}

void vsi_topics_forget(vsi_view *view, bool all) {
  for (vsi_link **at = &view->links; *at;) {
    vsi_link *link = *at;
    if (!all && link->render == view->renders) {
      at = &link->next_of_view;
      continue;
    }
    *at = link->next_of_view;
    take_out(link);
    free_if_unused(view->pages, link->topic);
    vsi_free(view->pages->host, link);
  }
}

/* -------------------------------------------------------------------------------------------------- refresh ------- */

static void refresh_topic(vestry_pages *pages, const char *name, size_t len) {
  uint64_t hash = hash_of(pages, name, len);
  pages->recent[hash % VSI_RECENT] = pages->seq;
  vsi_topic *topic = find(pages, hash, name, len);
  if (!topic) return;
  topic->seq = pages->seq;
  if (topic->is_dirty) {
    if (topic->is_walked && !topic->again_seq) topic->again_seq = pages->seq; /* for those that it has passed */
    return;
  }
  topic->is_dirty = true;
  topic->dirty_seq = pages->seq;
  topic->next_dirty = NULL;
  *pages->last_dirty = topic;
  pages->last_dirty = &topic->next_dirty;
}

vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq) {
  size_t len = topic ? strlen(topic) : 0;
  if (!pages || (topic && !len)) return VESTRY_INVALID;
  if (len > VESTRY_PAGE_TOPIC_MAX_BYTES) return VESTRY_TOO_LARGE;
  vsi_pages_lock(pages);
  uint64_t seq = ++pages->seq;
  pages->stats.refreshes_count++;
  if (topic) {
    refresh_topic(pages, topic, len);
  } else if (!pages->all_walk) {
    pages->all_seq = seq;
    pages->all_walk = pages->views;
  } else if (!pages->all_again_seq) {
    pages->all_again_seq = seq; /* not at once: the last ones would never be reached */
  }
  if (pages->first_dirty || pages->all_walk) vsi_schedule_wake(pages);
  vsi_pages_unlock(pages);
  if (ret_seq) *ret_seq = seq;
  return VESTRY_OK;
}

bool vestry_topic_is_used(vestry_pages *pages, const char *name) {
  size_t len = name ? strlen(name) : 0;
  vsi_pages_lock(pages);
  const vsi_topic *topic = find(pages, hash_of(pages, name, len), name, len);
  bool is_used = topic && topic->first;
  vsi_pages_unlock(pages);
  return is_used;
}

void vsi_topics_pass(vsi_view *view) {
  vestry_pages *pages = view->pages;
  pages->all_walk = view->next;
  if (pages->all_walk || !pages->all_again_seq) return;
  pages->all_seq = pages->all_again_seq;
  pages->all_again_seq = 0;
  pages->all_walk = pages->views;
}

static void walk_all(vestry_pages *pages, size_t *left) {
  for (; pages->all_walk && *left; --*left) {
    vsi_schedule_mark(pages->all_walk, pages->all_seq);
    vsi_topics_pass(pages->all_walk);
  }
}

static void walk_topic(vsi_topic *topic, size_t *left) {
  vsi_link *walk = &topic->walk;
  if (!topic->is_walked) {
    topic->is_walked = true;
    insert(walk, &topic->first);
  }
  for (; walk->next && *left; --*left) {
    vsi_link *link = walk->next;
    take_out(walk);
    insert(walk, &link->next);
    vsi_schedule_mark(link->view, topic->dirty_seq);
  }
}

bool vsi_topics_walk(vestry_pages *pages) {
  size_t left = MARKED_AT_ONCE;
  walk_all(pages, &left);
  while (pages->first_dirty && left) {
    vsi_topic *topic = pages->first_dirty;
    walk_topic(topic, &left);
    if (topic->walk.next) break;
    take_out(&topic->walk);
    topic->is_walked = false;
    if (topic->again_seq) {
      topic->dirty_seq = topic->again_seq;
      topic->again_seq = 0;
      continue;
    }
    topic->is_dirty = false;
    pages->first_dirty = topic->next_dirty;
    if (!pages->first_dirty) pages->last_dirty = &pages->first_dirty;
    free_if_unused(pages, topic);
  }
  return pages->first_dirty || pages->all_walk;
}
