/* SPDX-License-Identifier: MIT */
/* Pages: what all fragments, workers and streams of one vestry_pages share.
 *
 * One lock guards viewers, what depends on what, and which fragments are due. Nothing that takes long happens under it:
 * a worker takes a fragment that is due, lets the lock go, renders and sends, and takes it again to put the fragment
 * back. While it does, the fragment is running: it is that worker's alone, and a thread that refreshes or ends it
 * leaves a mark. */
#ifndef VSI_PAGE_PAGES_H
#define VSI_PAGE_PAGES_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "app/page/copy.h"
#include "app/page/reason.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "base/histogram.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "base/siphash.h"
#include "base/trace.h"
#include "vestry/app/bus.h"
#include "vestry/app/page.h"

typedef struct vsi_resume_cache vsi_resume_cache;
typedef struct vsi_subscription vsi_subscription;
typedef struct vsi_sent vsi_sent;
typedef struct vsi_shared vsi_shared;
typedef struct vsi_page_topic vsi_page_topic;
typedef struct vsi_fragment vsi_fragment;
typedef struct vsi_worker vsi_worker;

/* An observer of renders. Its place is free for another when it is over and no render is inside. */
typedef struct vsi_observer {
  vestry_render_observer is; /* its functions do not change while a render is inside */
  size_t inside_count;
  bool is_taken, is_over;
} vsi_observer;

enum { VSI_RECENT = 4096 };

struct vestry_page {
  vestry_page *next; /* of its pages */
  vestry_pages *pages;
  vsi_tally *tallies; /* guarded by the lock: one for each pattern that it was served at */
  vestry_page_fn render;
  vestry_handler_fn handler;
  vestry_page_topics_fn topics;
  vestry_page_allow_fn allow;
  void *app;
  vestry_when_hidden when_hidden;
  const char *id, *element, *signals; /* in its allocation */
  const char *layout;                 /* likewise: "LAYOUT/ELEMENT/ID"; NULL: none */
};

/* Told of each refresh that this process makes: by another layer. len 0: of every page. Any thread, no lock held. */
typedef void (*vsi_refreshed_fn)(const char *topic, size_t len, void *ctx);

/* A refresh that belongs to a trace. Later ones take the place of earlier ones: then a render has no parent. */
typedef struct vsi_traced {
  uint64_t seq;
  vestry_trace trace;
} vsi_traced;
enum { VSI_TRACED = 64 };

struct vestry_pages {
  vestry *v;
  const vestry_host *host;
  vestry_runtime *runtime;
  bool runtime_is_own;
  uint64_t interval_ns;
  size_t max_kept_bytes;
  uint32_t build, reload_ms, retry_ms;
  char *offline_text, *failing_text;              /* owned */
  vestry_page parts;                              /* of which all parts' fragments are; it makes nothing */
  atomic_bool has_shells;                         /* some page has one: its tabs are told what parts' events bring */
  vestry_event *well;                             /* says that all is well; each stream begins with it */
  vsi_siphash_key content_secret, version_secret; /* of tags; all nodes of a cluster have the same */
  vsi_siphash_key own_secret;                     /* of tags' versions that count in this process alone */
  bool has_secret;                                /* the two are not random */
  vsi_siphash_key buckets_secret;
  vestry_timer *timer;
  uint64_t timer_ns;          /* guarded by the lock: for when it is set; 0: it is not */
  vsi_histogram render_times; /* of moments: in handlers */
  size_t workers_count;
  vsi_worker *workers;
  struct vestry_subscription *done;     /* to VSI_BUS_DONE */
  _Atomic(uint32_t) naming[VSI_RECENT]; /* by a topic's hash: how often renders under way have named one there */
  vsi_mutex lock;
  pthread_cond_t quiet; /* no worker runs any more; a fragment was put back */
  /* All below is guarded by the lock. */
  vsi_refreshed_fn refreshed; /* NULL: it is not told */
  void *refreshed_ctx;
  size_t refs; /* the owner's; each worker's actor; each viewer's */
  bool is_closed;
  vestry_page *pages_list;
  vsi_worker *idle;
  size_t running_count;
  uint64_t seq;                /* refreshes so far */
  uint64_t recent[VSI_RECENT]; /* by a topic's hash: the last refresh of any topic there */
  vsi_reasons reasons;         /* of refreshes that fragments may depend on, by their numbers */
  vsi_delays delays;           /* of these, while something observes */
  vsi_tallies tallies;
  vsi_traced traced[VSI_TRACED]; /* refreshes that belong to traces, by their numbers */
  uint64_t sent;                 /* counts what fragments send */
  vsi_resume_cache *resume_cache;
  uint32_t all_number; /* counts refreshes of everything */
  bool is_all_walked;  /* some fragments may have to be marked for them: those in `fragments` from all_at on */
  size_t all_at;
  uint64_t all_seq;       /* of the first of them that the walk is for */
  uint64_t all_again_seq; /* of the first one that came during it, so that it is walked again; 0: none */
  vsi_map topics, shared, sents;
  STAILQ_HEAD(, vsi_page_topic) dirty;
  /* All fragments: first a heap of the private ones that wait, the earliest first, then the others. So there is room
   * for each to wait, and one place says where it is. */
  vsi_fragment **fragments;
  size_t fragments_count, fragments_room, waiting_count;
  vsi_fragment **shared_waiting; /* shared ones that wait: a heap likewise */
  size_t shared_waiting_count, shared_waiting_room;
  size_t reserved_count; /* with those that have not begun */
  size_t requests_bytes, max_requests_bytes;
  vsi_fragment *dead_fragments; /* to be freed when the lock is given up: that calls transports and profiles */
  vsi_subscription *dead_subscriptions;
  bool is_hasty; /* a test waits: intervals are none */
  vsi_ring kept; /* of vsi_kept; the oldest first */
  vsi_observer observers[VESTRY_RENDER_OBSERVERS_MAX];
  size_t observers_count;
  vestry_pages_stats stats;
};

static inline void vsi_pages_lock(vestry_pages *pages) {
  vsi_mutex_lock(&pages->lock);
}
/* Room in the budget for copied requests. With the lock. OK | LIMIT, counted */
vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes);
void vsi_requests_give_back(vestry_pages *pages, size_t bytes);
/* A number below that, by chance; 0: 0, and so it is without randomness. */
uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below);

/* A page: what it is made of, and which requests may see it. */

bool vsi_page_allows(const vestry_page *page, vsi_request_copy *request);

/* References to pages: the owner's, each worker's, each stream's. */

/* No lock. The last one frees them. */
void vsi_pages_unref(vestry_pages *pages);

/* Secrets of pages: what tags and their versions are hashed with. */

/* OK | IO (no randomness) */
vestry_err vsi_secret_make(vestry_pages *pages, const vestry_pages_options *options);
/* What a cluster's nodes hash tags with, unless the pages were given a secret. Before the first request. */
VESTRY_API void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len);
/* A part's content as a tag claims it: no other part is mistaken for it. hash: the first word of the content's. */
vsi_part_claim vsi_secret_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash);
/* The first word of the hash of what a tag claims that a part has. false: the tag claims nothing of that part. */
bool vsi_secret_claimed(const vestry_pages *pages, const vsi_state_tag *tag, const char *id, const char *share,
                        uint64_t *ret_hash);

#endif
