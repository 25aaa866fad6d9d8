/* Pages, as their rooms see them.
 *
 * A view is what is rendered: a private page, a shared page, or a part that pages share. A viewer is a stream. A
 * private view has one viewer, and is one with it. A shared one has seats, one for each stream that sees it, and a
 * channel for what it sends.
 *
 * One lock guards who is there, what depends on what, and which views are due. Nothing that takes long happens under
 * it: a worker takes a view that is due, lets the lock go, renders and sends, and takes it again to put the view back.
 * While it does, the view is running: it is that worker's alone, and whoever refreshes or ends it leaves a mark.
 *
 * There are many private pages, and most are idle. So what one of them is made of is one allocation, without holes, and
 * what it needs only while it does something is elsewhere: what it has kept (vsi_kept), what its tab said and its parts
 * (vsi_extra), more topics than one (vsi_more_link), and what a render needs, in the worker's run (deliver.c). */
#ifndef VSI_PAGE_PAGE_H
#define VSI_PAGE_PAGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "base/siphash.h"
#include "page/copy.h"
#include "page/departed.h"
#include "page/tag.h"
#include "vestry/channel.h"
#include "vestry/html.h"
#include "vestry/page.h"

typedef struct vsi_topic vsi_topic;
typedef struct vsi_view vsi_view;
typedef struct vsi_viewer vsi_viewer;
typedef struct vsi_shared vsi_shared;
typedef struct vsi_seat vsi_seat;
typedef struct vsi_worker vsi_worker;

/* A view depends on a topic. */
typedef struct vsi_link {
  vsi_topic *topic;            /* NULL: none */
  struct vsi_link *next, **at; /* of the topic */
  vsi_view *view;              /* NULL: no link, but how far a walk along the topic's links has come */
} vsi_link;

/* A view's second topic, and those behind it. */
typedef struct vsi_more_link {
  vsi_link link; /* first */
  struct vsi_more_link *next;
} vsi_more_link;

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
  bool is_linked,
      is_named; /* while a view's links are brought up to date: it has one; its render has named the topic */
  uint32_t len;
  size_t views_count; /* links */
  char name[];
};

typedef enum vsi_view_state {
  VSI_VIEW_IDLE,    /* nothing to do, or nothing before its stream is written (is_blocked) */
  VSI_VIEW_WAITING, /* in a heap */
  VSI_VIEW_RUNNING  /* a worker has it */
} vsi_view_state;

/* A view's content, for the next one to be encoded against. */
typedef struct vsi_kept {
  vsi_view *view;
  vestry_event *event; /* what all who see it have; a reference */
  struct vsi_kept *newer, *older;
} vsi_kept;

/* From when to when something was sent, in pages->sent. To UINT64_MAX: it is being sent. */
typedef struct vsi_sending {
  uint64_t from, to;
} vsi_sending;

/* What is rendered: the part of a vsi_private, or of a vsi_shared. */
struct vsi_view {
  vestry_page *page;         /* of a part: pages->parts */
  vsi_request_copy *request; /* a reference; NULL: a part */
  union {
    vsi_kept *kept; /* guarded by the lock; NULL: dropped, or nothing yet */
    vsi_view *next_dead;
  };
  vsi_hash_128 hash; /* of the content that all who see it have, if has_hash; the running worker's */
  uint64_t version;  /* likewise, if has_version */
  /* All below is guarded by the lock. */
  vsi_link link; /* to the first topic */
  vsi_more_link *more_links;
  uint64_t at_ns;      /* waiting: when it is due. Otherwise: an interval later it may be rendered again */
  uint32_t place;      /* in pages->views */
  uint32_t all_number; /* of the last refresh of everything that it is marked for */
  /* Of the first refresh that it has not been rendered for; 0: none. It does not wrap: at a million refreshes a second
   * not for nine years. */
  uint64_t marked_seq : 48;
  uint64_t state : 2;    /* vsi_view_state */
  uint64_t failures : 3; /* in a row; up to VSI_FAILURES_MOST */
  uint64_t is_shared : 1;
  uint64_t is_dirty : 1;
  uint64_t is_over : 1;    /* it has begun, and nobody sees it any more */
  uint64_t is_first : 1;   /* nothing has been rendered yet */
  uint64_t is_blocked : 1; /* what its stream was sent is not written: whoever writes it tells (vsi_page_written) */
  uint64_t has_hash : 1, has_version : 1;
};

enum { VSI_FAILURES_MOST = 7 };

/* What only views have that many see. */
struct vsi_shared {
  vsi_view view;    /* first */
  vsi_shared *next; /* in its bucket */
  uint64_t hash;    /* of the key */
  vestry_channel *channel;
  vsi_seat *seats;          /* all that were taken */
  vsi_seat *joining;        /* those of them that do not have what it shows, or not surely */
  size_t seats_count;       /* those that were only promised included */
  vsi_sending sent;         /* the last time */
  uint64_t started_ns;      /* its last render: it is run to let streams join, too */
  bool asks;                /* some seats are of pages that not everybody may see */
  const char *id, *element; /* of a part: of its element; owned */
  vestry_page_fn render;    /* of a part; NULL: the page's */
  void *app;
  uint32_t waiting_place;     /* in pages->shared_waiting */
  uint32_t key_len, share_at; /* the key says all that makes two views one; in it the share, terminated */
  char key[];
};

/* A stream that sees a shared view. */
struct vsi_seat {
  vsi_viewer *viewer;
  vsi_shared *shared;
  vestry_connection *connection; /* a reference, once it was taken */
  const vestry_page *page;       /* that is shown there: its own, or the one that the part stands in */
  vsi_request_copy *request;     /* a reference: whose it is, of a page that not everybody may see; otherwise NULL */
  size_t request_bytes;          /* that it has of the budget for them */
  vsi_seat *next_of_viewer;
  vsi_seat *next, **at; /* of the view */
  vsi_seat *next_joining, **joining_at;
  uint64_t hash;   /* the first half of that of what the stream has, if has_hash */
  uint64_t joined; /* pages->sent when it was put into the stream what the view shows */
  uint32_t render; /* of the viewer's own view: the last one that named it */
  uint16_t holds;  /* of workers: while there are any, it stays, and so does its view */
  bool has_hash, is_joining, is_over;
  uint8_t place; /* of a part: among the page's parts */
  bool is_in;    /* it is a member of the channel, and has what the view's hash says */
  bool is_told;  /* the running worker's: that the page fails */
};

/* A stream of a page: until it begins one of its reply's attachments, from then on told of its end by the same node. */
struct vsi_viewer {
  union {
    vsi_attachment attachment;
    struct {
      vsi_close_node node;
      vestry_connection *connection; /* a reference */
      vsi_seat *seats;               /* guarded by the lock: of a shared page one; of a private page its parts' */
      vestry_pages *pages;           /* a reference */
    };
  };
};

/* A stream of a shared page. */
typedef struct vsi_watching {
  vsi_viewer viewer;  /* first */
  vsi_seat *promised; /* until the stream begins */
  bool is_of_other_build;
} vsi_watching;

/* What a private page has while its tab's word counts, and if it has parts. */
typedef struct vsi_extra {
  vsi_tag *tag;      /* what the tab said it has, until the first render; NULL: nothing. The running worker's */
  uint64_t document; /* its number, of a page with parts; 0: none */
  vsi_sending sent;  /* guarded by the lock: the last time */
  uint32_t renders;  /* counts those that were delivered: its seats have the number of the last one that named them */
} vsi_extra;

/* A private page: a stream, and what is rendered for it. */
typedef struct vsi_private {
  vsi_viewer viewer; /* first */
  vsi_extra *extra;  /* NULL: none. The running worker's, guarded by the lock */
  vsi_view view;
} vsi_private;
_Static_assert(sizeof(vsi_private) <= 168, "an idle page's own memory: docs/bench-pages.md");

static inline vsi_private *vsi_private_of(const vsi_view *view) {
  return (vsi_private *)(uintptr_t)((const char *)view - offsetof(vsi_private, view));
}
static inline vsi_shared *vsi_shared_of(const vsi_view *view) {
  return (vsi_shared *)(uintptr_t)view;
}

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
  vestry_html html; /* what it renders into: its memory, and what it has learned, are kept */
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

/* Told of each refresh that this process makes: by another floor. len 0: of every page. Any thread, no lock held. */
typedef void (*vsi_refreshed_fn)(const char *topic, size_t len, void *ctx);

struct vestry_pages {
  vestry *v;
  const vestry_host *host;
  vestry_runtime *runtime;
  bool runtime_is_own;
  uint64_t interval_ns;
  size_t max_kept_bytes;
  uint32_t build, reload_ms, retry_ms;
  char *offline_text, *failing_text;              /* owned */
  vestry_page parts;                              /* of which all parts' views are; it makes nothing */
  vestry_event *well;                             /* says that all is well; each stream begins with it */
  vsi_siphash_key content_secret, version_secret; /* of tags; all nodes of a cluster have the same */
  vsi_siphash_key own_secret;                     /* of tags' versions that count in this process alone */
  bool has_secret;                                /* the two are not random */
  vsi_siphash_key buckets_secret;
  vestry_timer *timer;
  uint64_t timer_ns; /* guarded by the lock: for when it is set; 0: it is not */
  size_t workers_count;
  vsi_worker *workers;
  _Atomic(uint32_t) naming[VSI_RECENT]; /* by a topic's hash: how often renders under way have named one there */
  pthread_mutex_t lock;
  pthread_cond_t quiet; /* no worker runs any more; a view was put back */
  /* All below is guarded by the lock. */
  vsi_refreshed_fn refreshed; /* NULL: nobody is told */
  void *refreshed_ctx;
  size_t refs; /* the owner's; each worker's actor; each viewer's */
  bool is_closed;
  vestry_page *pages_list;
  vsi_worker *idle;
  size_t running_count;
  uint64_t seq;                /* refreshes so far */
  uint64_t recent[VSI_RECENT]; /* by a topic's hash: the last refresh of any topic there */
  uint64_t sent;               /* counts what views send */
  vsi_departed *departed;
  uint32_t all_number; /* counts refreshes of everything */
  bool is_all_walked;  /* some views may have to be marked for them: those in `views` from all_at on */
  size_t all_at;
  uint64_t all_seq;       /* of the first of them that the walk is for */
  uint64_t all_again_seq; /* of the first one that came during it, so that it is walked again; 0: none */
  vsi_topic **topics;
  vsi_shared **shared;
  size_t topics_size, shared_size; /* of the two: powers of two */
  size_t topics_count, shared_count;
  vsi_topic *first_dirty, **last_dirty;
  /* All views: first a heap of the private ones that wait, the earliest first, then the others. So there is room for
   * each to wait, and one place says where it is. */
  vsi_view **views;
  size_t views_count, views_room, waiting_count;
  vsi_view **shared_waiting; /* shared ones that wait: a heap likewise */
  size_t shared_waiting_count, shared_waiting_room;
  size_t reserved_count; /* with those that have not begun */
  size_t requests_bytes, max_requests_bytes;
  vsi_view *dead_views; /* to be freed when the lock is given up: that calls transports and profiles */
  vsi_seat *dead_seats;
  bool is_hasty; /* a test waits: intervals are none */
  vsi_kept *newest_kept, *oldest_kept;
  vsi_observer observers[VESTRY_RENDER_OBSERVERS_MAX];
  size_t observers_count;
  vestry_pages_stats stats;
};

/* view.c: give the lock up, and free what has died under it. Whoever waits by a condition gives it up himself. */
void vsi_pages_unlock(vestry_pages *pages);
static inline void vsi_pages_lock(vestry_pages *pages) {
  pthread_mutex_lock(&pages->lock);
}

static inline bool vsi_view_is_part(const vsi_view *view) {
  return view->page == &view->page->pages->parts;
}

/* topic.c: all with the lock held but vsi_topics_note and vestry_refresh. */
/* Note that a render has named a topic, which is used from then on; no lock. Errors stick in the buffer. */
void vsi_topics_note(vestry_pages *pages, vsi_buffer *names, const char *name, size_t len);
/* The render is over, and its view depends on what it has named, or never will. Once for each buffer. */
void vsi_topics_noted(vestry_pages *pages, const vsi_buffer *names);
/* Have the view depend on all that its render has named; forget: and on nothing else. started_seq: pages->seq when the
 * render began. ret_stale: some were refreshed since. OK | NO_MEMORY: not on all of them. Takes as long as there are
 * names and links. */
vestry_err vsi_topics_name(vsi_view *view, const vsi_buffer *names, bool forget, uint64_t started_seq, bool *ret_stale);
/* Forget all of them. */
void vsi_topics_forget(vsi_view *view);
/* Mark some of the views whose topics were refreshed. Returns whether there is more to do. */
bool vsi_topics_walk(vestry_pages *pages);

/* schedule.c: with the lock held. */
/* Room for one more view, which is counted from here on. A shared one is entered before the lock is given up. OK |
 * NO_MEMORY */
vestry_err vsi_schedule_reserve(vestry_pages *pages, bool is_shared);
/* It is not used. */
void vsi_schedule_give_back(vestry_pages *pages);
/* Among all views; room was reserved. */
void vsi_schedule_enter(vsi_view *view);
/* Not any more, whatever its state; its room is free. */
void vsi_schedule_leave(vsi_view *view);
/* The view is to be rendered, because of that refresh; 0: of none. */
void vsi_schedule_mark(vsi_view *view, uint64_t seq);
/* It is to be run, at that time at the earliest. Not while it is running. */
void vsi_schedule_at(vsi_view *view, uint64_t due_ns);
/* Its stream is written. */
void vsi_schedule_unblock(vsi_view *view);
/* It has begun to render, at that time; the running worker's, no lock: so it says itself whether the view is shared. */
void vsi_schedule_began(vsi_view *view, vsi_shared *shared, uint64_t now_ns);
/* A worker is to look. */
void vsi_schedule_wake(vestry_pages *pages);
/* The timer's. */
void vsi_schedule_fire(vestry_timer *timer, void *ctx);
void vsi_worker_run(vestry_actor *self, void *ctx);

/* view.c: with the lock held but where it says otherwise. */
/* Room in the budget for copied requests. OK | LIMIT, counted */
vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes);
void vsi_requests_give_back(vestry_pages *pages, size_t bytes);
void vsi_view_enter(vsi_view *view); /* among all; room was reserved */
/* Nobody sees it any more. It dies now, or when the worker that has it is done. */
void vsi_view_end(vsi_view *view);
void vsi_view_bury(vsi_view *view); /* freed when the lock is given up */
void vsi_view_free(vsi_view *view); /* no lock; a private page's with its viewer */
/* Promise a viewer a seat of the shared view of that key: one that is there, or a new one. It stays as long as the seat
 * does. part: NULL: a page, and request: a reference is taken if the view is new. OK | NO_MEMORY | LIMIT (requests) */
vestry_err vsi_seat_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part,
                            const vsi_buffer *key, size_t share_at, vsi_request_copy *request, vsi_seat **ret_seat);
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
/* What a view's content is now: kept for changes to be encoded against, if there is memory for it. event: taken; NULL:
 * nothing. */
void vsi_view_keep(vsi_view *view, vestry_event *event);
void vsi_view_let_go(vestry_pages *pages);

/* What makes two views one: no lock. */
void vsi_page_key(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                  size_t *ret_share_at);
void vsi_part_key(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at);

/* deliver.c: one run of a view by a worker, without the lock. */
typedef enum vsi_run_result {
  VSI_RUN_DONE,    /* rendered, or nothing was to be */
  VSI_RUN_BLOCKED, /* not now: what it has sent is not written yet, and who writes it tells */
  VSI_RUN_FAILED   /* to be tried again */
} vsi_run_result;
/* html: what it renders into; cleared here. */
vsi_run_result vsi_view_run(vsi_view *view, vestry_html *html, bool is_dirty, uint64_t started_seq);

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
/* serve.c: something may have been written to a stream; as on_written (connection/connection.h). */
bool vsi_page_written(vestry_connection *connection);
/* serve.c: what a private page has beside; NULL: no memory. The running worker's, which takes the lock. */
vsi_extra *vsi_extra_get(vsi_private *page);
/* What the tab said counts no more. Likewise. */
void vsi_extra_forget_tag(vsi_private *page);
/* deliver.c: have the tab load its page anew, and end its stream. */
void vsi_page_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms);

/* pages.c */
/* A number below that, by chance; 0: 0, and so it is without randomness. */
uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below);
void vsi_pages_unref(vestry_pages *pages); /* no lock */

/* As vestry_refresh, but nobody is told; len: at most VESTRY_PAGE_TOPIC_MAX_BYTES, 0: every page. */
void vsi_pages_refresh(vestry_pages *pages, const char *topic, size_t len);
/* Have somebody told of refreshes; NULL: nobody any more. He must outlive what is under way. */
void vsi_pages_tell(vestry_pages *pages, vsi_refreshed_fn refreshed, void *ctx);
/* pages.c: what a cluster's nodes hash tags with, unless the pages were given a secret. Before the first request. */
void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len);

#endif
