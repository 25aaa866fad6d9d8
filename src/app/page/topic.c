/* SPDX-License-Identifier: MIT */
/* essay: a refresh during a render, or before any page depends on the topic */
/* Topics, on which fragments depend.
 *
 * A render notes the topics that it names. When the render has ended, its fragment is linked to these topics only. No
 * refresh is lost, whenever it comes: the walk of a refresh marks each fragment that is linked to the topic, and a
 * fragment that is being linked checks whether a refresh came after its render began. For this check it compares the
 * number of the topic's last refresh. A topic that had no fragments until then has no such number. For it the fragment
 * compares `recent`, the number of the last refresh of any topic with the same few bits of the hash. Therefore a topic
 * without fragments takes no memory, however often it is refreshed. The price is that a fragment is sometimes rendered
 * once more for a topic with another name.
 *
 * A refresh gets a number and puts the topic into a list; its caller pays for nothing more, and as a rule only for an
 * entry in the inbox, from which the thread that takes the lock next does this (inbox.h). A worker walks along the
 * links of the topic, some at a time, and releases the lock in between. A marker in the list of links records how far
 * the walk has come, so links may be added and removed meanwhile.
 *
 * A topic counts as used as soon as a render names it, not only when a fragment is linked to it
 * (vestry_topic_fragments). Otherwise an application that checks in between would stop refreshing the topic, and the
 * fragment would wait for a refresh that never comes. Names of running renders are counted by a few bits of their hash,
 * so an unused topic may count as used while a render runs. */
#include "app/page/topic.h"

#include <sched.h>
#include <string.h>

#include "app/page/schedule.h"
#include "base/log.h"
#include "base/memory.h"
#include "connection/group.h"

enum { MARKED_AT_ONCE = 256 };

struct vsi_page_topic {
  vsi_map_link in;                       /* first */
  uint64_t seq;                          /* number of its last refresh */
  vsi_ring links;                        /* links of its fragments */
  vsi_ring walk;                         /* during a walk: marker in `links`, after the last link whose fragment was
                                            marked */
  STAILQ_ENTRY(vsi_page_topic) in_dirty; /* in pages->dirty, the topics whose fragments need marks */
  uint64_t dirty_seq;                    /* number of the first refresh that the walk covers */
  uint64_t again_seq;                    /* number of the first refresh that came during the walk and needs another
                                            one; 0: none */
  uint64_t walk_ns;                      /* beginning of the walk */
  bool is_dirty, is_walked;
  bool is_linked, is_named; /* while the links of a fragment are updated: the fragment has a link to it; the render
                               has named it */
  uint32_t len;
  size_t fragments_count; /* number of links */
  char name[];
};

static uint64_t hash_of(const vestry_pages *pages, const char *name, size_t len) {
  return vsi_siphash_1_3(pages->buckets_secret, name, len);
}

static vsi_page_topic *find(const vestry_pages *pages, uint64_t hash, const char *name, size_t len) {
  for (vsi_map_link *at = vsi_map_first(&pages->topics, hash); at; at = vsi_map_further(at)) {
    vsi_page_topic *topic = (vsi_page_topic *)at;
    if (topic->len == len && memcmp(topic->name, name, len) == 0) return topic;
  }
  return NULL;
}

static vsi_page_topic *create(vestry_pages *pages, uint64_t hash, const char *name, size_t len) {
  if (vsi_map_reserve(&pages->topics, pages->host, pages->topics.count + 1)) return NULL;
  vsi_page_topic *topic = vsi_calloc(pages->host, 1, sizeof *topic + len);
  if (!topic) return NULL;
  vsi_ring_init(&topic->links);
  topic->len = (uint32_t)len;
  memcpy(topic->name, name, len);
  topic->seq = pages->recent[hash % VSI_RECENT];
  vsi_map_add(&pages->topics, &topic->in, hash);
  vsi_inbox_count(vsi_pages_inbox(pages), name, topic->len, 1);
  vsi_topics_take(pages); /* those that came when it was not counted (inbox.h) */
  return topic;
}

static void free_if_unused(vestry_pages *pages, vsi_page_topic *topic) {
  if (!vsi_ring_is_empty(&topic->links) || topic->is_dirty) return;
  vsi_map_remove(&pages->topics, &topic->in);
  vsi_inbox_count(vsi_pages_inbox(pages), topic->name, topic->len, -1);
  vsi_free(pages->host, topic);
}

/* ---------------------------------------------------------------------------------------------------- links ------- */

/* Header of each name in the notes of a render. */
typedef struct note {
  uint64_t hash;
  size_t len;
} note;

/* The name is counted before the render's thread can pass it to another thread. The count is decremented under the
 * lock. */
void vsi_topics_note(vestry_pages *pages, vsi_buffer *names, const char *name, size_t len) {
  const note of = {hash_of(pages, name, len), len};
  vsi_buffer_append(names, &of, sizeof of);
  vsi_buffer_append(names, name, len);
  if (!names->error) atomic_fetch_add_explicit(&pages->naming[of.hash % VSI_RECENT], 1, memory_order_relaxed);
}

/* Get the next complete name in the notes. A name that was cut off for lack of memory is skipped. */
static const char *next_name(const vsi_buffer *names, size_t *at, note *ret_of) {
  if (names->len - *at < sizeof *ret_of) return NULL;
  memcpy(ret_of, names->data + *at, sizeof *ret_of);
  if (names->len - *at - sizeof *ret_of < ret_of->len) return NULL;
  const char *name = names->data + *at + sizeof *ret_of;
  *at += sizeof *ret_of + ret_of->len;
  return name;
}

void vsi_topics_noted(vestry_pages *pages, const vsi_buffer *names) {
  note of;
  for (size_t at = 0; next_name(names, &at, &of);)
    atomic_fetch_sub_explicit(&pages->naming[of.hash % VSI_RECENT], 1, memory_order_relaxed);
}

/* Link a fragment to a topic. A link never moves in memory, because the list of the topic contains it. */
static bool add_link(vsi_fragment *fragment, vsi_page_topic *topic) {
  vsi_link *link = &fragment->link;
  if (link->topic) {
    link = vsi_calloc(fragment->page->pages->host, 1, sizeof *link);
    if (!link) return false;
    link->next = fragment->link.next;
    fragment->link.next = link;
  }
  link->fragment = fragment;
  link->topic = topic;
  vsi_ring_add_first(&topic->links, &link->at);
  topic->fragments_count++;
  return topic->is_linked = true;
}

/* Record that the topic was refreshed while its fragment rendered. If the fragment was linked to the topic before, it
 * can have missed only the refreshes that the next walk covers, so their first number is exact. */
static void note_missed(const vsi_page_topic *topic, uint64_t started_seq, vsi_missed *missed) {
  const bool is_known = topic->is_linked && topic->is_dirty && !topic->is_walked && topic->dirty_seq > started_seq;
  const vsi_missed is = {is_known ? topic->dirty_seq : started_seq + 1, !is_known};
  if (!missed->seq || is.seq < missed->seq || (is.seq == missed->seq && is_known)) *missed = is;
}

static vestry_err name_one(vsi_fragment *fragment, const note *of, const char *name, uint64_t started_seq,
                           vsi_missed *missed) {
  vestry_pages *pages = fragment->page->pages;
  vsi_page_topic *topic = find(pages, of->hash, name, of->len);
  if (!topic) topic = create(pages, of->hash, name, of->len);
  if (!topic) return VESTRY_NO_MEMORY;
  if (topic->seq > started_seq) note_missed(topic, started_seq, missed);
  if (!topic->is_linked && !add_link(fragment, topic)) {
    free_if_unused(pages, topic);
    return VESTRY_NO_MEMORY;
  }
  topic->is_named = true;
  return VESTRY_OK;
}

/* Drop a link, and free the topic if this was its last link. */
static void drop_link(vsi_link *link) {
  vsi_page_topic *topic = link->topic;
  vsi_ring_remove(&link->at);
  topic->fragments_count--;
  link->topic = NULL;
  free_if_unused(link->fragment->page->pages, topic);
}

/* Return whether a link stays. Clears the topic's marks is_linked and is_named. */
static bool stays(const vsi_link *link, bool forget) {
  bool is_named = link->topic->is_named;
  link->topic->is_linked = link->topic->is_named = false;
  return is_named || !forget;
}

/* Update the links of a fragment. The topics are marked meanwhile, so that no search among the links of the fragment or
 * among the names is necessary. */
vestry_err vsi_topics_name(vsi_fragment *fragment, const vsi_buffer *names, bool forget, uint64_t started_seq,
                           vsi_missed *ret_missed) {
  vestry_err error = names->error;
  *ret_missed = (vsi_missed){.seq = 0};
  for (vsi_link *link = &fragment->link; link; link = link->next)
    if (link->topic) link->topic->is_linked = true;
  note of;
  const char *name;
  for (size_t at = 0; !error && (name = next_name(names, &at, &of));)
    error = name_one(fragment, &of, name, started_seq, ret_missed);
  forget &= !error;
  if (fragment->link.topic && !stays(&fragment->link, forget)) drop_link(&fragment->link);
  for (vsi_link **at = &fragment->link.next; *at;) {
    vsi_link *link = *at;
    if (stays(link, forget)) {
      at = &link->next;
      continue;
    }
    *at = link->next;
    drop_link(link);
    vsi_free(fragment->page->pages->host, link);
  }
  return error;
}

vestry_slice vsi_topic_name(const vsi_page_topic *topic) {
  return (vestry_slice){topic->name, topic->len};
}

void vsi_topics_forget(vsi_fragment *fragment) {
  vsi_missed missed;
  const vsi_buffer nothing = {.len = 0};
  (void)vsi_topics_name(fragment, &nothing, true, 0, &missed); /* cannot fail */
}

/* -------------------------------------------------------------------------------------------------- refresh ------- */

/* Numbers of refreshes of the same topic in a row. */
typedef struct numbers {
  uint64_t first, last;
} numbers;

/* Refresh a topic, on which fragments depend. */
static void refresh_topic(vestry_pages *pages, vsi_page_topic *topic, numbers seqs) {
  topic->seq = seqs.last;
  if (topic->is_dirty) {
    /* The walk under way may have passed some fragments already; a second walk finds them. */
    if (topic->is_walked && !topic->again_seq) topic->again_seq = seqs.first;
    return;
  }
  topic->is_dirty = true;
  topic->dirty_seq = seqs.first;
  STAILQ_INSERT_TAIL(&pages->dirty, topic, in_dirty);
}

static void begin_walk(vestry_pages *pages, uint64_t seq) {
  pages->is_all_walked = true;
  pages->all_at = 0;
  pages->all_seq = seq;
  pages->all_ns = vsi_now_ns(pages->host);
  pages->all_again_seq = 0;
}

static void refresh_all(vestry_pages *pages, uint64_t seq) {
  pages->all_number++;
  if (!pages->is_all_walked)
    begin_walk(pages, seq);
  else if (!pages->all_again_seq)
    pages->all_again_seq = seq; /* after this walk, because restarting now might never reach the last
                                          fragments */
}

/* The reason and the time of a refresh, as operators see them. */
typedef struct why {
  vestry_refresh_kind kind;
  const char *name;
  size_t len;
  uint64_t at_ns; /* 0: now */
} why;

/* What a refresh concerns. */
typedef struct target {
  bool is_all;
  uint64_t hash;         /* of the topic */
  vsi_page_topic *topic; /* NULL: no fragment depends on it */
} target;

static target find_target(const vestry_pages *pages, uint64_t hash, const char *name, size_t len) {
  return (target){false, hash, find(pages, hash, name, len)};
}

/* Refresh a target. The caller has taken the next `count` numbers for it. Several targets may share them. */
static void refresh_locked(vestry_pages *pages, uint32_t count, target is, why of, const vestry_trace *trace) {
  const numbers seqs = {pages->seq + 1 - count, pages->seq};
  pages->stats.refreshes_count += count;
  if (trace) pages->traced[seqs.last % VSI_TRACED] = (vsi_traced){seqs.last, *trace};
  if (is.is_all)
    refresh_all(pages, seqs.first);
  else
    pages->recent[is.hash % VSI_RECENT] = seqs.last;
  if (is.topic) refresh_topic(pages, is.topic, seqs);
  for (uint64_t seq = seqs.first; is.is_all || is.topic; seq = seqs.last) { /* the first and the last one */
    vsi_reasons_add(&pages->reasons, seq, of.kind, of.name, of.len);
    if (vsi_group_is_observed(pages->v->group))
      vsi_delays_add(&pages->delays, seq, of.at_ns ? of.at_ns : vsi_now_ns(pages->host));
    if (seq == seqs.last) break;
  }
  if (!STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked) vsi_schedule_wake(pages);
}

/* ------------------------------------------------------------------------------------------ the inbox ------------- */

/* Determine whether refreshes may be put into the inbox. The inbox's lock is held, too. */
static void open_inbox(const vestry_pages *pages, vsi_inbox *inbox) {
  const vsi_inbox_mode mode = !inbox->bell.answer || pages->refreshed || pages->watched_count ? VSI_INBOX_CLOSED
                              : vsi_group_is_observed(pages->v->group)                        ? VSI_INBOX_TIMED
                                                                                              : VSI_INBOX_OPEN;
  atomic_store_explicit(&inbox->mode, mode, memory_order_relaxed);
}

/* further_count: of numbers that the caller takes after them */
static void take_refreshes(vestry_pages *pages, unsigned further_count) {
  vsi_inbox *inbox = vsi_pages_inbox(pages);
  vsi_inbox_refresh taken[VSI_INBOX_ROOM];
  vsi_spin_lock_take(&inbox->lock, VSI_LOCK_REFRESHES);
  const uint32_t count = atomic_load_explicit(&inbox->count, memory_order_relaxed);
  memcpy(taken, inbox->refreshes, count * sizeof *taken);
  atomic_store_explicit(&inbox->count, 0, memory_order_relaxed);
  inbox->seq += further_count;
  open_inbox(pages, inbox);
  vsi_spin_lock_give(&inbox->lock);
  for (const vsi_inbox_refresh *of = taken; of < taken + count; of++) {
    const vestry_refresh_kind kind = of->len ? VESTRY_REFRESH_TOPIC : VESTRY_REFRESH_ALL;
    const target is =
        of->len ? find_target(pages, hash_of(pages, of->name, of->len), of->name, of->len) : (target){.is_all = true};
    pages->seq += of->count;
    refresh_locked(pages, of->count, is, (why){kind, of->name, of->len, of->at_ns}, NULL);
  }
  pages->seq += further_count;
}

void vsi_topics_take(vestry_pages *pages) {
  take_refreshes(pages, 0);
}

uint64_t vsi_topics_number(vestry_pages *pages) {
  take_refreshes(pages, 1);
  return pages->seq;
}

/* Take the refreshes out of the inbox on a worker of the pool, which is woken for them. */
static void answer(vsi_bell *bell) {
  vestry_pages *pages = ((vsi_inbox *)bell)->pages;
  vsi_mutex_lock(&pages->lock);
  vsi_topics_take(pages); /* also if the inbox seems to be empty */
  vsi_pages_unlock(pages);
}

void vsi_topics_open_inbox(vestry_pages *pages) {
  vsi_inbox *inbox = vsi_pages_inbox(pages);
  inbox->pages = pages;
  inbox->host = pages->host;
  if (pages->host->tracer) return; /* a refresh belongs to the trace of its thread */
  inbox->bell.answer = answer;
  vsi_pool_set_bell(&pages->runtime->pool, &inbox->bell);
  vsi_pages_lock(pages);
  vsi_topics_take(pages);
  vsi_pages_unlock(pages);
}

/* Refresh a topic; NULL: every page. is_forwarded: forward the refresh to other nodes. */
static vestry_err refresh(vestry_pages *pages, const char *topic, size_t len, bool is_forwarded, why of,
                          uint64_t *ret_seq) {
  if (topic && !len) return vsi_mistake(pages->host, "vestry_refresh", "the topic is empty; NULL stands for all pages");
  if (len > VESTRY_PAGE_TOPIC_MAX_BYTES) {
    (void)vsi_mistake(pages->host, "vestry_refresh", "the topic is longer than VESTRY_PAGE_TOPIC_MAX_BYTES");
    return VESTRY_TOO_LARGE;
  }
  const vestry_trace *trace = vsi_trace_carried(pages->host);
  const uint64_t hash = topic ? hash_of(pages, topic, len) : 0;
  vsi_pages_lock(pages);
  const target is = topic ? find_target(pages, hash, topic, len) : (target){.is_all = true};
  const uint64_t seq = vsi_topics_number(pages);
  refresh_locked(pages, 1, is, of, trace);
  vsi_pages_forward(pages, false, topic, len, is_forwarded);
  if (ret_seq) *ret_seq = seq;
  return VESTRY_OK;
}

static why why_of(const char *topic) {
  return topic ? (why){VESTRY_REFRESH_TOPIC, topic, strlen(topic), 0} : (why){VESTRY_REFRESH_ALL, "", 0, 0};
}

static VSI_SELDOM vestry_err refresh_why(vestry_pages *pages, const char *topic, bool is_forwarded, uint64_t *ret_seq) {
  const why of = why_of(topic);
  return refresh(pages, topic, of.len, is_forwarded, of, ret_seq);
}

/* Refresh by the inbox, or without it. Inlined, so that the usual path is in as few cache lines as possible. */
static inline __attribute__((always_inline)) vestry_err refresh_soon(vestry_pages *pages, const char *topic,
                                                                     bool is_forwarded, uint64_t *ret_seq) {
  if (!pages) return VESTRY_INVALID;
  vsi_inbox *inbox = vsi_pages_inbox(pages);
  bool rings = false;
  const uint64_t seq = vsi_inbox_put(inbox, topic, &rings);
  if (!seq) return refresh_why(pages, topic, is_forwarded, ret_seq);
  if (rings && !vsi_bell_ring(&inbox->bell)) vsi_pool_rung(&pages->runtime->pool);
  if (ret_seq) *ret_seq = seq;
  return VESTRY_OK;
}

/* Aligned, so that the usual path is in one page of memory. */
__attribute__((aligned(512))) vestry_err vestry_refresh(vestry_pages *pages, const char *topic, uint64_t *ret_seq) {
  return refresh_soon(pages, topic, true, ret_seq);
}

vestry_err vestry_refresh_here(vestry_pages *pages, const char *topic, uint64_t *ret_seq) {
  return refresh_soon(pages, topic, false, ret_seq);
}

vestry_err vestry_refresh_for(vestry_pages *pages, const char *topic, const vestry_change *given, uint64_t *ret_seq) {
  /* a change that is NULL has the kind NONE */
  const vestry_change is = given ? *given : (vestry_change){0};
  if (!pages) return VESTRY_INVALID;
  if (is.kind < VESTRY_REFRESH_TABLE || is.kind > VESTRY_REFRESH_DATABASE)
    return vsi_mistake(pages->host, "vestry_refresh_for", "the change is NULL, or its kind is none of a database");
  const why of = {is.kind, is.name ? is.name : "", is.name ? strlen(is.name) : 0, is.at_ns};
  return refresh(pages, topic, topic ? strlen(topic) : 0, false, of, ret_seq);
}

static size_t fragments_of(const vestry_pages *pages, target is, bool *ret_is_used) {
  const size_t count = is.topic ? is.topic->fragments_count : 0;
  *ret_is_used = count || atomic_load_explicit(&pages->naming[is.hash % VSI_RECENT], memory_order_relaxed);
  return count;
}

static bool are_one(const vestry_change *a, const vestry_change *b) {
  return a->kind == b->kind && a->name == b->name && a->at_ns == b->at_ns;
}

/* The threads that render have just written the topics, so most of their memory is in another processor's cache. */
uint64_t vsi_pages_refresh_used(vestry_pages *pages, vsi_used_topic *topics, size_t count) {
  const vestry_trace *trace = vsi_trace_carried(pages->host);
  const vestry_change *last = NULL;
  for (size_t i = 0; i < count; i++) topics[i].hash = hash_of(pages, topics[i].name, topics[i].len);
  vsi_pages_lock(pages);
  for (size_t i = 0; i < count; i++) {
    vsi_map_prefetch_bucket(&pages->topics, topics[i].hash);
    __builtin_prefetch(&pages->recent[topics[i].hash % VSI_RECENT], 1);
  }
  for (size_t i = 0; i < count; i++) vsi_map_prefetch_first(&pages->topics, topics[i].hash, sizeof(vsi_page_topic));
  for (vsi_used_topic *of = topics; of < topics + count; of++) {
    const char *name = of->change.name ? of->change.name : "";
    const target is = find_target(pages, of->hash, of->name, of->len);
    of->fragments_count = fragments_of(pages, is, &of->is_used);
    if (!of->is_used) continue;
    if (!last || !are_one(last, &of->change)) (void)vsi_topics_number(pages);
    last = &of->change;
    refresh_locked(pages, 1, is, (why){of->change.kind, name, strlen(name), of->change.at_ns}, trace);
  }
  const uint64_t seq = last ? pages->seq : 0;
  vsi_pages_unlock(pages);
  return seq;
}

/* If the inbox is open, it knows that nothing is observed, or was not until a moment ago. This saves each commit of a
 * database three lines of memory, 50 ns. */
VSI_SIDE_BY_SIDE uint64_t vestry_change_now_ns(const vestry_pages *pages) {
  if (!pages || atomic_load_explicit(&vsi_pages_inbox(pages)->mode, memory_order_relaxed) == VSI_INBOX_OPEN) return 0;
  return vsi_group_is_observed(pages->v->group) ? vsi_now_ns(pages->host) : 0;
}

void vsi_pages_refresh(vestry_pages *pages, const char *topic, size_t len) {
  const why of = {VESTRY_REFRESH_NODE, len ? topic : "", len, 0};
  (void)refresh(pages, len ? topic : NULL, len, false, of, NULL); /* cannot fail */
}

void vsi_pages_set_refreshed(vestry_pages *pages, vsi_refreshed_fn refreshed, void *ctx) {
  vsi_pages_lock(pages);
  pages->refreshed = refreshed;
  pages->refreshed_ctx = ctx;
  vsi_topics_take(pages); /* closes or opens the inbox */
  vsi_pages_unlock(pages);
  /* acquire pairs with vsi_pages_forward */
  while (!refreshed && atomic_load_explicit(&pages->forwarding_count, memory_order_acquire)) sched_yield();
}

void vsi_pages_forward(vestry_pages *pages, bool is_report, const char *topic, size_t len, bool is_forwarded) {
  const vsi_refreshed_fn refreshed = is_forwarded ? pages->refreshed : NULL;
  void *ctx = pages->refreshed_ctx;
  if (refreshed) atomic_fetch_add_explicit(&pages->forwarding_count, 1, memory_order_relaxed); /* under the lock */
  vsi_pages_unlock(pages);
  if (!refreshed) return;
  refreshed(is_report, topic, len, ctx);
  atomic_fetch_sub_explicit(&pages->forwarding_count, 1, memory_order_release); /* pairs with vsi_pages_set_refreshed */
}

size_t vestry_topic_fragments(vestry_pages *pages, const char *name, bool *ret_is_used) {
  size_t len = name ? strlen(name) : 0;
  const uint64_t hash = hash_of(pages, name, len);
  bool is_used;
  vsi_pages_lock(pages);
  const size_t count = fragments_of(pages, find_target(pages, hash, name, len), &is_used);
  vsi_pages_unlock(pages);
  if (ret_is_used) *ret_is_used = is_used;
  return count;
}

/* Mark fragments for a refresh of all pages; schedule.c explains the order. */
static void walk_all(vestry_pages *pages, size_t *left) {
  for (; pages->is_all_walked && *left; --*left) {
    if (pages->all_at < pages->waiting_count) pages->all_at = pages->waiting_count;
    if (pages->all_at < pages->fragments_count) {
      vsi_fragment *fragment = pages->fragments[pages->all_at++];
      if (fragment->all_number == pages->all_number) continue;
      fragment->all_number = pages->all_number;
      vsi_schedule_mark_at(fragment, pages->all_seq, pages->all_ns);
    } else {
      pages->is_all_walked = false;
      pages->all_at = 0;
      if (pages->all_again_seq) begin_walk(pages, pages->all_again_seq);
    }
  }
}

static void walk_topic(const vestry_pages *pages, vsi_page_topic *topic, size_t *left) {
  vsi_ring *walk = &topic->walk;
  if (!topic->is_walked) {
    topic->is_walked = true;
    topic->walk_ns = vsi_now_ns(pages->host);
    vsi_ring_add_first(&topic->links, walk);
  }
  for (; walk->next != &topic->links && *left; --*left) {
    vsi_ring *at = walk->next;
    vsi_ring_remove(walk);
    vsi_ring_add_first(at, walk);
    vsi_schedule_mark_at(VSI_RING_OWNER(at, vsi_link, at)->fragment, topic->dirty_seq, topic->walk_ns);
  }
}

bool vsi_topics_walk(vestry_pages *pages) {
  size_t left = MARKED_AT_ONCE;
  walk_all(pages, &left);
  while (!STAILQ_EMPTY(&pages->dirty) && left) {
    vsi_page_topic *topic = STAILQ_FIRST(&pages->dirty);
    walk_topic(pages, topic, &left);
    if (topic->walk.next != &topic->links) break;
    vsi_ring_remove(&topic->walk);
    topic->is_walked = false;
    if (topic->again_seq) {
      topic->dirty_seq = topic->again_seq;
      topic->again_seq = 0;
      continue;
    }
    topic->is_dirty = false;
    STAILQ_REMOVE_HEAD(&pages->dirty, in_dirty);
    free_if_unused(pages, topic);
  }
  return !STAILQ_EMPTY(&pages->dirty) || pages->is_all_walked;
}

void vsi_topics_free(vestry_pages *pages) {
  /* Only topics are left that were refreshed and whose walk did not end. */
  vsi_map_free_all(&pages->topics, pages->host, 0);
}
