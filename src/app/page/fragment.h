/* SPDX-License-Identifier: MIT */
/* essay: the memory of an idle page */
/* Fragments and their viewers.
 *
 * A fragment is a unit of rendering: a private page, a shared page, or a part that several pages share. A viewer is a
 * stream.
 *
 * | fragment | struct | viewers | sends by |
 * |---|---|---|---|
 * | private page | vsi_private | one, in the same struct | its connection |
 * | shared page, part | vsi_shared | a vsi_subscription for each stream | its channel |
 *
 * There are many private pages, and most are idle. Therefore an idle page is one allocation without padding. Data that
 * it needs only at times is allocated separately: its last content (vsi_kept), the state that its tab reported and its
 * parts (vsi_private_extra), topics after the first (vsi_link), and the data of a running render, in the worker's
 * vsi_run (render_run.h). */
#ifndef VSI_PAGE_FRAGMENT_H
#define VSI_PAGE_FRAGMENT_H

#include "app/page/copy.h"
#include "app/page/page_script.h"
#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "app/page/unit.h"
#include "base/buffer.h"
#include "connection/close_node.h"
#include "http/attachment.h"

typedef struct vsi_viewer vsi_viewer;

/* The dependency of a fragment on a topic. */
typedef struct vsi_link {
  vsi_page_topic *topic; /* NULL: none */
  vsi_ring at;           /* in the list of the topic */
  vsi_fragment *fragment;
  struct vsi_link *next; /* of the fragment: its first link is embedded, the others are allocated */
} vsi_link;

typedef enum vsi_fragment_state {
  VSI_FRAGMENT_IDLE,    /* nothing to do, or blocked until its stream is written (is_blocked) */
  VSI_FRAGMENT_WAITING, /* in a heap */
  VSI_FRAGMENT_RUNNING  /* a worker runs it */
} vsi_fragment_state;

/* The beginning and the end of a send, as values of pages->sent, which is incremented at each beginning and each end.
 * `to` is UINT64_MAX while the send runs. */
typedef struct vsi_sending {
  uint64_t from, to;
} vsi_sending;

/* The unit of rendering, embedded in a vsi_private or a vsi_shared. */
struct vsi_fragment {
  vestry_page *page;         /* for a part: pages->parts */
  vsi_request_copy *request; /* a reference; NULL for a part */
  union {
    struct vsi_kept *kept; /* guarded by the lock; NULL: nothing sent yet, or dropped */
    vsi_fragment *next_dead;
  };
  vsi_hash_128 hash; /* if has_hash: hash of the content that all viewers have. Owned by the running worker */
  uint64_t version;  /* if has_version: version of that content. Owned by the running worker, too */
  /* The lock guards all members below. */
  vsi_link link;       /* link to the first topic */
  uint64_t at_ns;      /* while waiting: time when it is due. Otherwise: start of its last render; it may render
                          again an interval later */
  uint32_t place;      /* index in pages->fragments */
  uint32_t all_number; /* value of pages->all_number for which it was marked last */
  /* Number of the first refresh for which it has not been rendered; 0: none. At a million refreshes per second, 48 bits
   * wrap after nine years. */
  uint64_t marked_seq : 48;
  uint64_t state : 2;    /* vsi_fragment_state */
  uint64_t failures : 3; /* failures in a row, up to VSI_FAILURES_MOST */
  uint64_t is_shared : 1;
  uint64_t is_dirty : 1;
  uint64_t is_to_check : 1; /* marked by a submission only (sent.c): before it renders, a worker checks whether it
                              shows the result already */
  uint64_t is_over : 1;     /* it has begun, and its last viewer has ended */
  uint64_t is_first : 1;    /* not rendered yet */
  uint64_t is_blocked : 1;  /* it is not rendered: its stream has unwritten events, and vsi_page_written clears it when
                               they are written; or it is shared, and lingers (subscription.c) */
  uint64_t has_hash : 1, has_version : 1;
  uint64_t is_guessed : 1; /* marked_seq may be lower than the number of the refresh that marked it */
  uint64_t is_poor : 1;    /* `failures` counts renders that called vestry_render_again, and were shown */
};

enum { VSI_FAILURES_MOST = 7 };

/* A fragment with many viewers. */
struct vsi_shared {
  vsi_fragment fragment; /* first */
  vsi_map_link in;       /* in pages->shared, by the key */
  struct vsi_channel *channel;
  vsi_ring subscriptions;     /* subscriptions that were taken */
  vsi_ring sents;             /* submissions that the fragment does not show yet (sent.c) */
  vsi_ring joining;           /* subscriptions whose streams may lack the current content */
  vsi_ring lingering;         /* in pages->lingering; valid while it lingers */
  uint64_t left_ns;           /* while it lingers: when its last stream left */
  size_t subscriptions_count; /* including promised subscriptions */
  vsi_sending sent;           /* the last send */
  uint64_t started_ns;        /* start of its last render; separate, because a run may also just let streams join */
  uint16_t tally;             /* for a part: index of the tally that counts it */
  bool checks_allow;          /* some subscriptions belong to pages with an allow function */
  bool is_quick;              /* its last render was quick, so that the thread of a request may run it */
  const char *id, *element;   /* for a part: id and name of its element; owned */
  vsi_part_claim claim;       /* for a part: its claim without a content, whose hash is combined with it */
  vestry_page_fn render;      /* for a part; NULL: the page's function */
  void *app;
  uint32_t waiting_place;     /* index in pages->shared_waiting */
  uint32_t key_len, share_at; /* the key contains all that identifies the fragment, among it the share, which is
                                 terminated */
  char key[];
};

/* The subscription of a stream to a shared fragment. */
struct vsi_subscription {
  vsi_viewer *viewer;
  vsi_shared *shared;
  vestry_connection *connection; /* a reference, from vsi_subscription_take on */
  const vestry_page *page;       /* the page of the stream: the fragment's page, or the page that contains the part */
  vsi_request_copy *request;     /* a reference to the private request, if the page has an allow function; otherwise
                                    NULL */
  size_t request_bytes;          /* bytes that it takes from the budget of copied requests */
  SLIST_ENTRY(vsi_subscription) of_viewer; /* in viewer->subscriptions, or in pages->dead_subscriptions */
  vsi_ring of_shared;                      /* in shared->subscriptions, from vsi_subscription_take on */
  vsi_ring joining;                        /* in shared->joining; otherwise alone */
  uint64_t hash;                           /* if has_hash: first word of the hash of the content that the stream has */
  uint64_t joined;                         /* value of pages->sent when the current content was put into the stream */
  uint32_t render; /* number of the last render of the viewer's own fragment that named the part */
  uint16_t holds;  /* references of workers, which keep the subscription and its fragment alive */
  bool has_hash, is_over;
  bool is_in; /* it is a member of the channel, and its stream has the content that the fragment's hash identifies */
  bool is_notified; /* owned by the running worker: the stream was informed that the page fails */
  bool is_brief;    /* its stream is a long poll that is not held */
};

/* A stream of a page. Until the stream begins, this is an attachment of its reply; afterwards it is the close listener
 * of the connection, in the same memory. */
struct vsi_viewer {
  union {
    vsi_attachment attachment;
    struct {
      vsi_close_node node;
      vestry_connection *connection; /* a reference */
      vestry_pages *pages;           /* a reference */
      /* Guarded by the lock: a shared page has one; a private page has one for each part. */
      vsi_subscriptions subscriptions;
    };
  };
};

/* Data of a private page, if it has parts, tracks submissions or is a long poll, or if its tab reported its state. */
typedef struct vsi_private_extra {
  vsi_state_tag *tag; /* state that the tab reported, until the first render; NULL: none. Owned by the running worker */
  vsi_sent *seen;     /* guarded by the lock, set before the stream begins; NULL: none */
  uint64_t document;  /* number of the document, if the page has parts; 0: none */
  vsi_sending sent;   /* guarded by the lock: the last send */
  vsi_long_poll poll;
  /* Number of renders whose content was sent. A subscription has the number of the last one that named its part. */
  uint32_t renders;
} vsi_private_extra;

/* A private page: a stream, and the fragment that is rendered for it. */
typedef struct vsi_private {
  vsi_viewer viewer;        /* first */
  vsi_private_extra *extra; /* NULL: none. The running worker owns it; the pointer changes under the lock */
  vsi_fragment fragment;
} vsi_private;
_Static_assert(sizeof(vsi_private) <= 168, "an idle page's own memory: docs/bench-pages.md");

static inline vsi_private *vsi_private_of(const vsi_fragment *fragment) {
  return (vsi_private *)(uintptr_t)((const char *)fragment - offsetof(vsi_private, fragment));
}
static inline vsi_shared *vsi_shared_of(const vsi_fragment *fragment) {
  return (vsi_shared *)(uintptr_t)fragment;
}

static inline bool vsi_fragment_is_part(const vsi_fragment *fragment) {
  return fragment->page == &fragment->page->pages->parts;
}

/* Return whether a part has no stream, and is kept for the next one. */
static inline bool vsi_fragment_lingers(const vsi_fragment *fragment) {
  return fragment->is_shared && fragment->is_blocked;
}
/* Let a part that lingers be the first that vsi_fragments_end_changed ends, because it is marked. */
static inline void vsi_fragment_linger_no_more(vsi_fragment *fragment) {
  vsi_ring *at = &vsi_shared_of(fragment)->lingering;
  vsi_ring_remove(at);
  vsi_ring_add_first(&fragment->page->pages->lingering, at);
}

/* Release the lock, then free the fragments and subscriptions that were buried (put into a list of objects to be freed)
 * while it was held. Call it instead of vsi_pages_unlock after a function that may end a fragment or a subscription:
 * vsi_fragment_end, vsi_schedule_put_back, vsi_subscription_leave, _drop and _release. */
void vsi_pages_reap(vestry_pages *pages);
/* Free an unused fragment once the lock is released. The caller holds the lock. */
void vsi_fragment_bury(vsi_fragment *fragment);
void vsi_fragment_free(vsi_fragment *fragment); /* without the lock; the viewer of a private page is freed with it */

/* Subscriptions of streams to shared fragments, and the end of a fragment with its last viewer. The caller holds the
 * lock. */

/* Promise a viewer a subscription to the shared fragment with that key (vsi_key_of_page, vsi_key_of_part). The fragment
 * stays as long as the subscription. Returns OK | NO_MEMORY | LIMIT (max_requests_bytes). */
vestry_err vsi_subscription_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page,
                                    const vestry_page_part *part, const vsi_buffer *key, size_t share_at,
                                    vsi_request_copy *request, vsi_subscription **ret_subscription);
/* Subscribe the stream: it is to receive the fragment from now on. is_joined: the caller lets the stream join the
 * fragment's channel; otherwise vsi_subscription_join follows. */
void vsi_subscription_take(vsi_subscription *subscription, bool is_joined);
/* Let the stream join the fragment's channel, in a run of the fragment. */
void vsi_subscription_join(vsi_subscription *subscription);
/* Remove the subscription from shared->joining, from which the fragment's worker lets streams join. */
void vsi_subscription_joined(vsi_subscription *subscription);
/* Unsubscribe the stream. The subscription is freed, unless a worker holds it. Events that the fragment publishes to
 * its channel still arrive until vsi_channel_leave. */
void vsi_subscription_leave(vsi_subscription *subscription);
/* Return a promise that is not needed; the subscription is freed. */
void vsi_subscription_drop(vsi_subscription *subscription);
/* Decrement subscription->holds, which keeps the subscription alive while a worker uses it without the lock. */
void vsi_subscription_release(vsi_subscription *subscription);
/* End a fragment that has no viewer any more. It is freed now, or when the worker that runs it has finished. */
void vsi_fragment_end(vsi_fragment *fragment);
/* End the parts that were marked while they lingered; all parts that linger. */
void vsi_fragments_end_changed(vestry_pages *pages);
void vsi_fragments_end_lingering(vestry_pages *pages);

/* Keys of shared fragments. Two streams with equal keys show the same fragment. */

/* Called without the lock. Errors are kept in the buffer. */
void vsi_key_of_page(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                     size_t *ret_share_at);
void vsi_key_of_part(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at);

/* The last contents of fragments, against which the next contents are encoded and compared. The caller holds the
 * lock. */

typedef struct vsi_kept {
  vsi_ring by_age;
  vsi_fragment *fragment;
  vestry_event *event;  /* a reference; NULL: none. The event that a private page sent last, or that brings the content
                          of a shared fragment to a stream that joins */
  vsi_unit_list *units; /* a reference; NULL: none. The units of the content that all viewers have (unit.h) */
} vsi_kept;

/* Keep the current content of a fragment, if memory allows. The oldest contents beyond max_kept_bytes are dropped.
 * event, units: at least one is not NULL; the references are taken. */
void vsi_kept_put(vsi_fragment *fragment, vestry_event *event, vsi_unit_list *units);

/* Data of a private page that most pages do not need. */

/* Return the state that the tab reported; NULL: none, or it is not valid any more. */
static inline const vsi_state_tag *vsi_private_extra_tag(const vsi_private *page) {
  return page->extra ? page->extra->tag : NULL;
}
/* Attach extra data to a page before its stream begins.
 * document: number of the document, 0: none. tag: state that the tab reported, NULL: none. seen: submissions of the
 * stream, NULL: none; the page owns it in any case. Returns OK | NO_MEMORY. */
vestry_err vsi_private_extra_take(vsi_private *page, uint64_t document, const vsi_state_tag *tag, vsi_sent *seen,
                                  vsi_long_poll poll);
/* Store the state of the tab in the resume cache when its stream ends, if that state is known. The caller holds the
 * lock. */
void vsi_private_extra_remember(const vsi_private *page);

#endif
