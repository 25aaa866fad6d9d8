/* SPDX-License-Identifier: MIT */
/* essay: what an idle page is made of */
/* Fragments and their viewers.
 *
 * A fragment is what is rendered: a private page, a shared page, or a part that pages share. A viewer is a stream. A
 * private fragment has one viewer, and is one with it. A shared one has subscriptions, one for each stream that sees
 * it, and a channel for what it sends.
 *
 * There are many private pages, and most are idle. So what one of them is made of is one allocation, without holes, and
 * what it needs only while it does something is elsewhere: what it has kept (fragment.h), what its tab said and its
 * parts (vsi_private_extra), more topics than one (vsi_more_link), and what a render needs, in the worker's run
 * (render_worker.h). */
#ifndef VSI_PAGE_FRAGMENT_H
#define VSI_PAGE_FRAGMENT_H

#include "app/page/copy.h"
#include "app/page/long_poll.h"
#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "base/buffer.h"
#include "connection/close_list.h"
#include "http/attachment.h"

typedef struct vsi_viewer vsi_viewer;

/* A fragment depends on a topic. */
typedef struct vsi_link {
  vsi_page_topic *topic; /* NULL: none */
  vsi_ring at;           /* among the topic's */
  vsi_fragment *fragment;
} vsi_link;

/* A fragment's second topic, and those after it. */
typedef struct vsi_more_link {
  vsi_link link; /* first */
  struct vsi_more_link *next;
} vsi_more_link;

typedef enum vsi_fragment_state {
  VSI_FRAGMENT_IDLE,    /* nothing to do, or nothing before its stream is written (is_blocked) */
  VSI_FRAGMENT_WAITING, /* in a heap */
  VSI_FRAGMENT_RUNNING  /* a worker has it */
} vsi_fragment_state;

/* From when to when something was sent, in pages->sent. To UINT64_MAX: it is being sent. */
typedef struct vsi_sending {
  uint64_t from, to;
} vsi_sending;

/* What is rendered: the part of a vsi_private, or of a vsi_shared. */
struct vsi_fragment {
  vestry_page *page;         /* of a part: pages->parts */
  vsi_request_copy *request; /* a reference; NULL: a part */
  union {
    struct vsi_kept *kept; /* guarded by the lock; NULL: dropped, or nothing yet */
    vsi_fragment *next_dead;
  };
  vsi_hash_128 hash; /* of the content that all its viewers have, if has_hash; the running worker's */
  uint64_t version;  /* likewise, if has_version */
  /* All below is guarded by the lock. */
  vsi_link link; /* to the first topic */
  vsi_more_link *more_links;
  uint64_t at_ns;      /* waiting: when it is due. Otherwise: an interval later it may be rendered again */
  uint32_t place;      /* in pages->fragments */
  uint32_t all_number; /* of the last refresh of everything that it is marked for */
  /* Of the first refresh that it has not been rendered for; 0: none. It does not wrap: at a million refreshes a second
   * not for nine years. */
  uint64_t marked_seq : 48;
  uint64_t state : 2;    /* vsi_fragment_state */
  uint64_t failures : 3; /* in a row; up to VSI_FAILURES_MOST */
  uint64_t is_shared : 1;
  uint64_t is_dirty : 1;
  uint64_t is_asked : 1;   /* it is dirty, because of nothing but a submission (sent.c): has it shown what that did? */
  uint64_t is_over : 1;    /* it has begun, and has no viewer any more */
  uint64_t is_first : 1;   /* nothing has been rendered yet */
  uint64_t is_blocked : 1; /* what its stream was sent is not written: its runner tells when it is (vsi_page_written) */
  uint64_t has_hash : 1, has_version : 1;
  uint64_t is_guessed : 1; /* marked_seq is not that of the refresh that marked it, but an earlier one's */
  uint64_t is_poor : 1;    /* its failures are renders that were shown, and asked to be made again */
};

enum { VSI_FAILURES_MOST = 7 };

/* A fragment that many streams see. */
struct vsi_shared {
  vsi_fragment fragment; /* first */
  vsi_map_link in;       /* by the key */
  struct vsi_channel *channel;
  vsi_ring subscriptions;     /* all that are taken */
  vsi_ring sents;             /* of streams whose submissions it does not show yet (sent.c) */
  vsi_ring joining;           /* of these: streams that may not have what the fragment shows */
  size_t subscriptions_count; /* those that were only promised included */
  vsi_sending sent;           /* the last time */
  uint64_t started_ns;        /* its last render: it is run to let streams join, too */
  uint16_t tally;             /* of a part: by which it is counted */
  bool asks;                  /* some subscriptions are of pages that not everybody may see */
  const char *id, *element;   /* of a part: of its element; owned */
  vestry_page_fn render;      /* of a part; NULL: the page's */
  void *app;
  uint32_t waiting_place;     /* in pages->shared_waiting */
  uint32_t key_len, share_at; /* the key says all that makes two fragments one; in it the share, terminated */
  char key[];
};

/* A stream that sees a shared fragment. */
struct vsi_subscription {
  vsi_viewer *viewer;
  vsi_shared *shared;
  vestry_connection *connection; /* a reference, once it was taken */
  const vestry_page *page;       /* that is shown there: its own, or the one that the part stands in */
  vsi_request_copy *request;     /* a reference: whose it is, of a page that not everybody may see; otherwise NULL */
  size_t request_bytes;          /* that it has of the budget for them */
  vsi_subscription *next_of_viewer;
  vsi_ring of_shared; /* among the fragment's, once it was taken */
  vsi_ring joining;   /* among those of them that join; otherwise alone */
  uint64_t hash;      /* the first half of that of what the stream has, if has_hash */
  uint64_t joined;    /* pages->sent when it was put into the stream what the fragment shows */
  uint32_t render;    /* of the viewer's own fragment: the last one that named it */
  uint16_t holds;     /* of workers: while there are any, it stays, and so does its fragment */
  bool has_hash, is_over;
  bool is_in;    /* it is a member of the channel, and has what the fragment's hash says */
  bool is_told;  /* the running worker's: that the page fails */
  bool is_brief; /* its stream is a long poll that is not held */
};

/* A stream of a page: until it begins one of its reply's attachments, from then on told of its end by the same node. */
struct vsi_viewer {
  union {
    vsi_attachment attachment;
    struct {
      vsi_close_node node;
      vestry_connection *connection;   /* a reference */
      vsi_subscription *subscriptions; /* guarded by the lock: of a shared page one; of a private page its parts' */
      vestry_pages *pages;             /* a reference */
    };
  };
};

/* What a private page has while its tab's word counts, if it has parts, and if it tells which submissions are seen. */
typedef struct vsi_private_extra {
  vsi_state_tag *tag; /* what the tab said it has, until the first render; NULL: nothing. The running worker's */
  vsi_sent *seen;     /* guarded by the lock, set before the stream begins; NULL: none */
  uint64_t document;  /* its number, of a page with parts; 0: none */
  vsi_sending sent;   /* guarded by the lock: the last time */
  vsi_long_poll poll;
  uint32_t
      renders; /* counts those that were delivered: its subscriptions have the number of the last one that named them */
} vsi_private_extra;

/* A private page: a stream, and what is rendered for it. */
typedef struct vsi_private {
  vsi_viewer viewer;        /* first */
  vsi_private_extra *extra; /* NULL: none. The running worker's, guarded by the lock */
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

/* Give the lock up, and free fragments and subscriptions that have died under it. A wait for a condition gives the lock
 * up, and frees nothing. */
void vsi_pages_unlock(vestry_pages *pages);
/* With the lock: the fragment, or the subscription, which is used no more, is freed when the lock is given up. */
void vsi_fragment_bury(vsi_fragment *fragment);
void vsi_subscription_bury(vsi_subscription *subscription);
void vsi_fragment_free(vsi_fragment *fragment); /* no lock; a private page's with its viewer */

/* Subscriptions: the streams that see a shared fragment; and a fragment's end, with its last viewer. All with the lock
 * held. */

/* Promise a viewer a subscription of the shared fragment of that key (vsi_key_fragment), which stays as long as the
 * subscription does. OK | NO_MEMORY | LIMIT (requests) */
vestry_err vsi_subscription_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page,
                                    const vestry_page_part *part, const vsi_buffer *key, size_t share_at,
                                    vsi_request_copy *request, vsi_subscription **ret_subscription);
/* The subscription's stream sees the fragment from now on. */
void vsi_subscription_take(vsi_subscription *subscription);
/* join: the subscription is among those that the fragment's worker lets join; joined: it is not any more. */
void vsi_subscription_join(vsi_shared *shared, vsi_subscription *subscription);
void vsi_subscription_joined(vsi_subscription *subscription);
/* The stream sees the fragment no more. The subscription dies, unless a worker holds it. What the fragment sends by its
 * channel still arrives until vsi_channel_leave. */
void vsi_subscription_leave(vsi_subscription *subscription);
/* Give a promise back: the subscription dies. */
void vsi_subscription_drop(vsi_subscription *subscription);
/* A worker uses the subscription without the lock. */
void vsi_subscription_hold(vsi_subscription *subscription);
void vsi_subscription_release(vsi_subscription *subscription);
/* The fragment has no viewer any more. It dies now, or when the worker that has it is done. */
void vsi_fragment_end(vsi_fragment *fragment);

/* Keys of shared fragments: what makes two fragments one, and the fragments that there are by them. */

/* No lock. Errors stick in the buffer. */
void vsi_key_of_page(vsi_buffer *key, const vestry_page *page, vestry_slice target, const char *share,
                     size_t *ret_share_at);
void vsi_key_of_part(vsi_buffer *key, const vestry_page_part *part, size_t *ret_share_at);

/* Contents that fragments keep: for the next ones to be encoded against. With the lock held. */

typedef struct vsi_kept {
  vsi_ring by_age;
  vsi_fragment *fragment;
  vestry_event *event; /* what all its viewers have; a reference */
} vsi_kept;

/* What a fragment's content is now: kept if there is memory for it. The oldest ones go that are beyond the bound of
 * all. event: taken. */
void vsi_kept_put(vsi_fragment *fragment, vestry_event *event);

#endif
