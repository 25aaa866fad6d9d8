/* SPDX-License-Identifier: MIT */
/* Pages: the state that all fragments, workers and streams of one vestry_pages share.
 *
 * One lock guards viewers, dependencies, and the schedule of fragments. No long operation runs under it: a worker takes
 * a due fragment, releases the lock, renders and sends, and takes the lock again to put the fragment back. Meanwhile
 * the fragment is in the state RUNNING and belongs to that worker; a thread that refreshes or ends the fragment only
 * sets a mark. */
#ifndef VSI_PAGE_PAGES_H
#define VSI_PAGE_PAGES_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "app/page/copy.h"
#include "app/page/inbox.h"
#include "app/page/state_tag.h"
#include "app/page/tally.h"
#include "app/page/text_hash.h"
#include "base/held_log.h"
#include "base/histogram.h"
#include "base/map.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "base/siphash.h"
#include "base/trace.h"
#include "vestry/app/bus.h"
#include "vestry/app/page.h"

typedef struct vsi_subscription vsi_subscription;
typedef SLIST_HEAD(vsi_subscriptions, vsi_subscription) vsi_subscriptions;
typedef struct vsi_sent vsi_sent;
typedef struct vsi_shared vsi_shared;
typedef struct vsi_page_topic vsi_page_topic;
typedef struct vsi_fragment vsi_fragment;
typedef struct vsi_worker vsi_worker;

/* A place for an observer of renders. An observer that is over leaves it when no render is between begin and end. */
typedef struct vsi_observer {
  vestry_render_observer is; /* these functions do not change while inside_count > 0 */
  size_t inside_count;
  bool is_taken, is_over;
} vsi_observer;

/* A worker that is woken. */
typedef struct vsi_woken {
  vestry_actor *actor;
  struct vsi_woken *next;
} vsi_woken;

enum { VSI_RECENT = 4096 };

struct vestry_page {
  vestry_page *next; /* in the list of its pages */
  vestry_pages *pages;
  vestry_page_fn render;
  vestry_handler_fn handler;
  vestry_page_topics_fn topics;
  vestry_page_allow_fn allow;
  void *app;
  vestry_when_hidden when_hidden;
  bool sends_whole;
  const char *id, *element, *signals; /* in the same allocation */
  vsi_repeated_log failures;          /* of renders for streams */
  const char *layout;                 /* in the same allocation: "LAYOUT/ELEMENT/ID"; NULL: no layout */
};

/* Receives each refresh that this process makes, for another layer such as the cluster. len 0: a refresh of every page.
 * is_report: the bytes are no topic but report a submission (sent.h). Called on any thread, without a lock. */
typedef void (*vsi_refreshed_fn)(bool is_report, const char *topic, size_t len, void *ctx);

/* A refresh that belongs to a trace. A later refresh overwrites an earlier one in the same slot; then the render of the
 * earlier refresh has no parent span. */
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
  _Atomic(uint64_t) lent_again_ns; /* relaxed: from when on threads of requests run fragments again (vsi_pages_lend);
                                      here, because this function then needs one line of memory */
  uint64_t interval_ns;
  size_t max_kept_bytes;
  uint32_t build, reload_ms, retry_ms;
  char *offline_text, *failing_text;           /* owned */
  vestry_page parts;                           /* owner of all fragments of parts; has no handler */
  atomic_bool has_layouts;                     /* some page has a layout, so the data of a part's event contains
                                                     its mark */
  vestry_event *well;                          /* signals for "online, not failing"; every stream begins with it */
  vsi_text_key content_key;                    /* of the hashes of contents in tags; equal on all nodes of a
                                                     cluster, as are the two keys after it */
  vsi_siphash_key name_secret, version_secret; /* keys of the hashes of names and versions in tags */
  vsi_siphash_key own_secret;                  /* key of the hashes of versions that are valid in this process
                                                     only */
  bool has_secret;                             /* the options had a secret; otherwise the keys are the cluster's, or
                                                     derived from the secret of the instance, or random */
  vsi_siphash_key buckets_secret;
  vestry_timer *timer;
  uint64_t timer_ns;  /* guarded by the lock: the time for which the timer is set; 0: it is not set */
  vestry_timer *late; /* on the threads of the instance, for what a long run delays (vsi_workers_fire); NULL: workers
                                 leave nothing unwritten, and none is spare */
  bool late_is_set;   /* guarded by the lock */
  vsi_histogram render_times; /* durations of handler calls, in the buckets vsi_moments */
  size_t workers_count;
  size_t quick_most; /* workers that run at the same time, not counting long runs */
  vsi_worker *workers;
  struct vestry_subscription *done;     /* subscription to VSI_BUS_DONE */
  _Atomic(uint32_t) naming[VSI_RECENT]; /* by the hash of a topic: how many topics with this slot the running renders
                                           have named */
  _Atomic(uint32_t) notifying_count;    /* threads that notify workers after they have released the lock */
  vsi_mutex lock;
  pthread_cond_t quiet; /* signalled when a run ends, and when a render leaves an observer that is being removed */
  void (*take_refreshes)(vestry_pages *pages); /* takes the refreshes out of the inbox, with the lock; a pointer,
                                                  because topics depend on the pages */
  /* The lock guards all members below. */
  vsi_refreshed_fn refreshed;         /* NULL: refreshes are not forwarded */
  _Atomic(uint32_t) forwarding_count; /* threads inside it; incremented under the lock */
  void *refreshed_ctx;
  size_t refs; /* references: of the owner, of the actor of each worker, of each viewer */
  bool is_closed;
  vestry_page *pages_list;
  vsi_worker *idle;
  size_t awake_count;   /* workers that are not idle */
  bool is_full;         /* no further worker may run until one is idle, or `late` fires */
  vsi_woken *woken;     /* workers to be notified when the lock is released */
  size_t watched_count; /* threads that look after the pages (vsi_schedule_look_after) */
  bool is_looked_after; /* the thread with the lock is a worker that takes the next due fragment itself */
  size_t running_count;
  uint64_t seq;                /* number of the last refresh that was taken out of the inbox; vsi_topics_number */
  uint64_t recent[VSI_RECENT]; /* by the hash of a topic: number of the last refresh of any topic in this slot */
  vsi_reasons reasons;         /* reasons of refreshes, by number, where a fragment may depend on them */
  vsi_delays delays;           /* times of the same refreshes; filled while the instance is observed */
  vsi_tallies tallies;
  vsi_traced traced[VSI_TRACED]; /* refreshes that belong to traces, by number */
  uint64_t sent;                 /* clock of sends: incremented when a fragment begins or ends sending */
  vsi_resume_cache *resume_cache;
  uint32_t all_number; /* number of refreshes of all pages */
  bool is_all_walked;  /* a walk marks fragments for such a refresh; those in `fragments` from all_at on are left */
  size_t all_at;
  uint64_t all_seq;       /* number of the first refresh that the walk covers */
  uint64_t all_ns;        /* beginning of the walk */
  uint64_t all_again_seq; /* number of the first refresh that came during the walk and needs another one; 0: none */
  vsi_map topics, shared, sents;
  STAILQ_HEAD(, vsi_page_topic) dirty;
  /* All fragments: first a heap of the waiting private ones, the earliest first, then all others. Therefore every
   * private fragment has a place in the heap, and a single index finds it. */
  vsi_fragment **fragments;
  size_t fragments_count, fragments_room, waiting_count;
  vsi_fragment **shared_waiting; /* heap of the waiting shared fragments, the earliest first */
  size_t shared_waiting_count, shared_waiting_room;
  size_t requests_bytes, max_requests_bytes;
  /* Freed by vsi_pages_reap after the lock is released, because freeing calls transports and profiles. */
  vsi_fragment *dead_fragments;
  vsi_subscriptions dead_subscriptions;
  bool is_hasty;      /* a test waits, so intervals are ignored */
  vsi_ring kept;      /* list of vsi_kept, the oldest first */
  vsi_ring lingering; /* parts that no stream shows (subscription.c); first the one that lingers longest */
  size_t lingering_count, lingering_bytes;
  vsi_observer observers[VESTRY_RENDER_OBSERVERS_MAX], *observers_in_order[VESTRY_RENDER_OBSERVERS_MAX];
  _Atomic(size_t) observers_count; /* in observers_in_order: in the order in which they were added; `enter` reads it
                                      without the lock */
  vestry_pages_stats stats;
  char inbox_memory[2 * VSI_INBOX_BYTES]; /* of vsi_pages_inbox; not guarded by this lock */
};

/* The inbox begins with a page of memory. Its address is calculated, because a pointer would be in another line. */
static inline vsi_inbox *vsi_pages_inbox(const vestry_pages *pages) {
  const uintptr_t last = (uintptr_t)(pages->inbox_memory + VSI_INBOX_BYTES - 1);
  return (vsi_inbox *)(last / VSI_INBOX_BYTES * VSI_INBOX_BYTES);
}

static inline void vsi_pages_lock(vestry_pages *pages) {
  vsi_mutex_lock(&pages->lock);
  if (atomic_load_explicit(&vsi_pages_inbox(pages)->count, memory_order_relaxed)) pages->take_refreshes(pages);
}
/* Release the lock, and notify the woken workers. */
void vsi_pages_unlock_woken(vestry_pages *pages);
static inline void vsi_pages_unlock(vestry_pages *pages) {
  if (pages->woken)
    vsi_pages_unlock_woken(pages);
  else
    vsi_mutex_unlock(&pages->lock);
}
/* Reserve memory for a copied request. The caller holds the lock. To return the bytes, subtract them from
 * requests_bytes. Returns OK | LIMIT, which is counted. */
vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes);
/* Return whether the budget has room for them now. Returns OK | LIMIT, which is counted. */
vestry_err vsi_requests_may_take(vestry_pages *pages, size_t bytes);
/* Return a random number below `below`; 0 if `below` is 0 or randomness fails. */
uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below);

/* Return whether an error of a page's allow means that the request may not see the page. Otherwise the check itself has
 * failed. */
bool vsi_page_is_refusal(const vestry_page *page, vestry_err error);
/* Answer the request for a document of which allow returned this error. Returns the error of the handler. */
vestry_err vsi_page_refuse(const vestry_request *req, vestry_reply *reply, vestry_err error);
/* Return the result of a page's allow. */
vestry_err vsi_page_check_allow(const vestry_page *page, vsi_request_copy *request);

/* Drop a reference, of the owner, a worker or a stream; the last one frees the pages. Called without the lock. */
void vsi_pages_unref(vestry_pages *pages);

/* Secrets of pages: keys of the hashes in tags. */

/* Derive or generate the secrets. Returns OK | IO (no randomness). */
vestry_err vsi_secret_make(vestry_pages *pages, const vestry_pages_options *options);
/* Set the secret that the nodes of a cluster share; no effect if the pages were given one. Call it before the first
 * request. */
VESTRY_API void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len);
/* Make the claim of a part for a tag. It identifies the part and its content, so that it matches no other part. hash:
 * first word of the hash of the content. */
vsi_part_claim vsi_secret_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash);
/* Get the first word of the hash that a tag claims for a part. own: the part's claim with the hash 0. Returns false if
 * the tag claims nothing about that part. */
bool vsi_secret_claimed(const vsi_state_tag *tag, vsi_part_claim own, uint64_t *ret_hash);

#endif
