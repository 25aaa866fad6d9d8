/* Pages, as their rooms see them.
 *
 * A view is what is rendered: a private page, a shared page, or a part that pages share. A viewer is a stream. A
 * private view has one viewer. A shared one has seats, one for each stream that sees it, and a channel for what it
 * sends.
 *
 * One lock guards who is there, what depends on what, and which views are due. Nothing that takes long happens under
 * it: a worker takes a view that is due, lets the lock go, renders and sends, and takes it again to put the view back.
 * While it does, the view is running: it is that worker's alone, and whoever refreshes or ends it leaves a mark. */
#ifndef VSI_PAGE_PAGE_H
#define VSI_PAGE_PAGE_H

#include <pthread.h>

#include "base/siphash.h"
#include "page/departed.h"
#include "page/tag.h"
#include "registry/request/copy.h"
#include "vestry/channel.h"
#include "vestry/page.h"

typedef struct vsi_topic vsi_topic;
typedef struct vsi_view vsi_view;
typedef struct vsi_viewer vsi_viewer;
typedef struct vsi_seat vsi_seat;
typedef struct vsi_worker vsi_worker;

/* A view depends on a topic. */
typedef struct vsi_link {
  vsi_view *view; /* NULL: no link, but how far a walk along the topic's links has come */
  vsi_topic *topic;
  struct vsi_link *next, **at; /* of the topic */
  struct vsi_link *next_of_view;
  uint32_t render; /* the last one that named it */
} vsi_link;

struct vsi_topic {
  vsi_topic *next; /* in its bucket */
  uint64_t hash;
  uint64_t seq; /* of its last refresh */
  vsi_link *first;
  vsi_link walk;         /* in the list while its views are marked */
  vsi_topic *next_dirty; /* among those that were refreshed, whose views are to be marked */
  uint64_t dirty_seq;    /* of the first refresh that the walk is for */
  uint64_t again_seq;    /* of the first one that came during it, so that it is walked again; 0: none */
  bool is_dirty, is_walked;
  uint32_t len;
  char name[];
};

typedef enum vsi_view_state {
  VSI_VIEW_IDLE,    /* nothing to do */
  VSI_VIEW_WAITING, /* in the heap, due at due_ns */
  VSI_VIEW_RUNNING  /* a worker has it */
} vsi_view_state;

/* What only views have that many see. */
typedef struct vsi_shared {
  vsi_view *next; /* in its bucket */
  uint64_t hash;
  vestry_channel *channel;
  vsi_seat *seats;          /* all that were taken */
  vsi_seat *joining;        /* those of them that do not have what it shows, or not surely */
  size_t seats_count;       /* those that were only promised included */
  bool asks;                /* some seats are of pages that not everybody may see */
  const char *id, *element; /* of a part: of its element; owned */
  vestry_page_fn render;    /* of a part; NULL: the page's */
  void *app;
  uint32_t key_len, share_at; /* the key says all that makes two views one; in it the share, terminated */
  char key[];
} vsi_shared;

struct vsi_view {
  vestry_pages *pages;
  vestry_page *page;         /* NULL: a part */
  vsi_request_copy *request; /* a reference; NULL: a part */
  vsi_shared *shared;        /* owned; NULL: private */
  vsi_viewer *viewer;        /* of a private view */
  vsi_link *links;
  vsi_view *next, **at; /* among all */
  /* The running worker's. */
  vestry_event *event;               /* what all who see it have; a reference; NULL: dropped, or nothing yet */
  vsi_view *kept_newer, *kept_older; /* guarded by the lock: of those with an event, by when it was made */
  vsi_hash_128 hash;                 /* of the content that they have, if has_hash */
  uint64_t version;
  /* Guarded by the lock. */
  uint64_t due_ns, started_ns;
  uint64_t sent_from, sent_to; /* pages->sent before and behind its last sending; to UINT64_MAX: it is being sent */
  uint64_t marked_seq;         /* of the first refresh that it has not been rendered for; 0: none */
  uint32_t heap_at;
  uint32_t renders; /* counts; its links have the number of the last one that named them */
  uint8_t state;
  uint8_t failures; /* in a row */
  bool has_hash, has_version;
  bool is_dirty, is_over;
  bool is_first; /* nothing has been rendered yet */
};

/* A stream that sees a shared view. */
struct vsi_seat {
  vsi_viewer *viewer;
  vsi_view *view;
  vestry_connection *connection; /* a reference, once it was taken */
  const vestry_page *page;       /* that is shown there: its own, or the one that the part stands in */
  vsi_request_copy *request;     /* a reference: whose it is, of a page that not everybody may see; otherwise NULL */
  vsi_seat *next_of_viewer;
  vsi_seat *next, **at; /* of the view */
  vsi_seat *next_joining, **joining_at;
  uint64_t hash;   /* the first half of that of what the stream has, if has_hash */
  uint32_t render; /* of the viewer's own view: the last one that named it */
  uint16_t holds;  /* of workers: while there are any, it stays, and so does its view */
  bool has_hash, is_joining, is_over;
  uint64_t joined; /* pages->sent when it was put into the stream what the view shows */
  uint8_t place;   /* of a part: among the page's parts */
  bool is_in;      /* it is a member of the channel, and has what the view's hash says */
  bool is_told;    /* the running worker's: that the page fails */
};

struct vsi_viewer {
  vsi_attachment attachment; /* first */
  vestry_pages *pages;
  vestry_connection *connection; /* a reference, from the beginning of the stream */
  vsi_view *view;                /* private; NULL: a shared page's */
  vsi_seat *seats;
  vsi_tag *tag;       /* what the tab said it has, until the first render; NULL: nothing */
  vsi_seat *promised; /* of a shared page, until the stream begins */
  uint64_t document;  /* its number, of a page with parts; 0: none */
};

/* Who is told of renders. Its place is free for another when it is over and no render is inside. */
typedef struct vsi_observer {
  vestry_render_observer is; /* its functions do not change while a render is inside */
  size_t inside_count;
  bool is_taken, is_over;
} vsi_observer;

enum { VSI_RECENT = 4096, VSI_PARTS_MAX = VESTRY_PAGE_PARTS_MAX };

struct vsi_worker {
  vestry_pages *pages;
  vestry_actor *actor;
  vsi_worker *next_idle;
  bool is_idle;
};

struct vestry_page {
  vestry_page *next; /* of its pages */
  vestry_pages *pages;
  vestry_page_fn render;
  vestry_handler_fn handler;
  vestry_page_topics_fn topics;
  vestry_page_allow_fn allow;
  void *app;
  vestry_when_hidden when_hidden;
  const char *id, *element, *signals; /* in its allocation */
};

struct vestry_pages {
  vestry *v;
  const vestry_host *host;
  vestry_runtime *runtime;
  bool runtime_is_own;
  uint64_t interval_ns;
  size_t max_kept_bytes;
  uint32_t build, reload_ms, retry_ms;
  char *offline_text, *failing_text;              /* owned */
  vestry_event *well;                             /* says that all is well; each stream begins with it */
  vsi_siphash_key content_secret, version_secret; /* of tags */
  vsi_siphash_key buckets_secret;
  vestry_timer *timer;
  uint64_t timer_ns; /* guarded by the lock: for when it is set; 0: it is not */
  size_t workers_count;
  vsi_worker *workers;
  pthread_mutex_t lock;
  pthread_cond_t quiet; /* no worker runs any more; a view was put back */
  /* All below is guarded by the lock. */
  size_t refs; /* the owner's; each worker's actor; each viewer's */
  bool is_closed;
  vestry_page *pages_list;
  vsi_worker *idle;
  size_t running_count;
  uint64_t seq;                /* refreshes so far */
  uint64_t recent[VSI_RECENT]; /* by a topic's hash: the last refresh of any topic there */
  uint64_t sent;               /* counts what views send */
  vsi_departed *departed;
  uint64_t all_seq;       /* of the first refresh of everything that the walk is for */
  vsi_view *all_walk;     /* the next one that such a refresh has to mark */
  uint64_t all_again_seq; /* of the first one that came during the walk; 0: none */
  vsi_topic **topics;
  vsi_view **shared;
  size_t topics_size, shared_size; /* of the two: powers of two */
  size_t topics_count, shared_count;
  vsi_topic *first_dirty, **last_dirty;
  vsi_view *views;
  size_t views_count;
  vsi_view *dead_views; /* to be freed when the lock is given up: that calls transports and profiles */
  vsi_seat *dead_seats;
  vsi_view **heap; /* of those that wait, the earliest first; room for all views */
  size_t heap_count, heap_size;
  bool is_hasty; /* a test waits: intervals are none */
  vsi_view *newest_kept, *oldest_kept;
  vsi_observer observers[VESTRY_RENDER_OBSERVERS_MAX];
  size_t observers_count;
  vestry_pages_stats stats;
};

/* view.c: give the lock up, and free what has died under it. Whoever waits by a condition gives it up himself. */
void vsi_pages_unlock(vestry_pages *pages);
static inline void vsi_pages_lock(vestry_pages *pages) {
  pthread_mutex_lock(&pages->lock);
}

/* topic.c: all with the lock held but vestry_refresh. */
/* Have the view depend on it. started_seq: pages->seq when the render began. ret_stale: it was refreshed since. */
vestry_err vsi_topic_name(vsi_view *view, const char *name, size_t len, uint64_t started_seq, bool *ret_stale);
/* Forget those that the last render did not name; all: every one. */
void vsi_topics_forget(vsi_view *view, bool all);
/* The walk along all views, which has come to this one, goes on behind it. */
void vsi_topics_pass(vsi_view *view);
/* Mark some of the views whose topics were refreshed. Returns whether there is more to do. */
bool vsi_topics_walk(vestry_pages *pages);

/* schedule.c: with the lock held. */
/* Room for one more view, which is counted from here on. OK | NO_MEMORY */
vestry_err vsi_schedule_reserve(vestry_pages *pages);
/* The view is to be rendered, because of that refresh; 0: of none. */
void vsi_schedule_mark(vsi_view *view, uint64_t seq);
/* It is to be run, at that time at the earliest. Not while it is running. */
void vsi_schedule_at(vsi_view *view, uint64_t due_ns);
void vsi_schedule_remove(vsi_view *view);
/* A worker is to look. */
void vsi_schedule_wake(vestry_pages *pages);
/* The timer's. */
void vsi_schedule_fire(vestry_timer *timer, void *ctx);
void vsi_worker_run(vestry_actor *self, void *ctx);

/* view.c: with the lock held but where it says otherwise. */
/* A private view, in no list yet. request: taken. NULL: no memory. No lock. */
vsi_view *vsi_view_create(vestry_pages *pages, vestry_page *page, vsi_request_copy *request);
void vsi_view_enter(vsi_view *view); /* into the list of all; room was reserved */
/* Nobody sees it any more. It dies now, or when the worker that has it is done. */
void vsi_view_end(vsi_view *view);
void vsi_view_bury(vsi_view *view); /* freed when the lock is given up */
void vsi_view_free(vsi_view *view); /* no lock */
/* Promise a viewer a seat of the shared view of that key: one that is there, or a new one. It stays as long as the seat
 * does. part: NULL: a page, and request: a reference is taken if the view is new. NULL: no memory. */
vsi_seat *vsi_seat_promise(vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part, const vsi_buffer *key,
                           size_t share_at, vsi_request_copy *request);
/* Its stream is to see the view from now on. */
void vsi_seat_take(vsi_seat *seat);
/* It is among those whom the view's worker lets join; or not any more. */
void vsi_seat_join(vsi_shared *shared, vsi_seat *seat);
void vsi_seat_joined(vsi_seat *seat);
/* Not any more. It dies, unless somebody holds it. What the view sends by its channel still arrives until
 * vestry_channel_leave. */
void vsi_seat_leave(vsi_seat *seat);
/* Give a promise back. It dies. */
void vsi_seat_drop(vsi_seat *seat);
/* A worker uses it without the lock. */
void vsi_seat_hold(vsi_seat *seat);
void vsi_seat_release(vsi_seat *seat);
/* What a view's content is now: kept for changes to be encoded against. event: taken; NULL: nothing. */
void vsi_view_keep(vsi_view *view, vestry_event *event);
void vsi_view_let_go(vestry_pages *pages);
void vsi_viewer_free(vsi_viewer *viewer); /* no lock */

/* What makes two views one: no lock. */
void vsi_page_key(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                  size_t *ret_share_at);
void vsi_part_key(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at);

/* deliver.c: one run of a view by a worker, without the lock. */
typedef enum vsi_run_result {
  VSI_RUN_DONE,  /* rendered, or nothing was to be */
  VSI_RUN_LATER, /* not now: what it has sent is not written yet */
  VSI_RUN_FAILED /* to be tried again */
} vsi_run_result;
vsi_run_result vsi_view_run(vsi_view *view, bool is_dirty, uint64_t started_seq);

/* serve.c: a part's content as the id behind its event claims it: no other part is mistaken for it. */
uint64_t vsi_tag_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash);
/* Such a tag claims no content but that of one part. */
static inline bool vsi_tag_is_of_part(const vsi_tag *tag) {
  return !tag->hash.high && !tag->hash.low && tag->parts_count == 1;
}
/* observe.c: no lock. Tell those who observe that it begins; that it ends, the last one first. */
void vsi_observers_begin(vestry_render *render);
void vsi_observers_end(vestry_render *render);
/* script.c: a document's number, in text as its tab says it. NULL and what is none: 0. */
uint64_t vsi_document_read(const char *text);

/* render.c: a letter, then letters, digits, - and _. */
bool vsi_is_element_name(const char *text);
bool vsi_is_element_id(const char *text);

/* serve.c: whether the request may see the page. */
bool vsi_page_allows(const vestry_page *page, vsi_request_copy *request);
/* deliver.c: have the tab load its page anew, and end its stream. */
void vsi_page_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms);

/* pages.c */
/* A number below that, by chance; 0: 0, and so it is without randomness. */
uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below);
void vsi_pages_unref(vestry_pages *pages); /* no lock */

#endif
