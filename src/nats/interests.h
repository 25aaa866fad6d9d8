/* The subjects that are wanted, and some that are wanted no more but are still subscribed to: a table of interests by
 * subject. The broker's lock guards it. */
#ifndef VSI_NATS_INTERESTS_H
#define VSI_NATS_INTERESTS_H

#include <nats/nats.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/ring.h"
#include "nats/outbox.h"

/* In the table as long as it is wanted, in the outbox, or subscribed to; alive as long as there is a reference: of the
 * table, libnats for its callbacks, a message on its way. */
typedef struct vsi_nats_interest {
  vsi_nats_item item; /* first; its place in the outbox */
  void *broker;       /* for libnats's callbacks */
  const vestry_host *host;
  _Atomic(size_t) refs;
  _Atomic(bool) wanted; /* written under the lock */
  bool is_queued;       /* in the outbox; guarded by the lock */
  vsi_map_link in;      /* the table */

  /* Of the thread that speaks to libnats: */
  vsi_ring standing; /* member while there is a sub */
  natsSubscription *sub;

  /* Of libnats's thread that delivers: */
  _Atomic(int64_t) dropped_count; /* by libnats, as known so far */
  int doubtful_count;             /* messages, among which or after which something was dropped */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
} vsi_nats_interest;

typedef struct vsi_nats_interests {
  const vestry_host *host;
  vsi_map map;
  size_t wanted_count;
  uint64_t key; /* subjects are of vestry's making, so a plain hash with a random start will do */
} vsi_nats_interests;

vsi_nats_interest *vsi_nats_interest_ref(vsi_nats_interest *interest);
void vsi_nats_interest_unref(vsi_nats_interest *interest);

void vsi_nats_interests_init(vsi_nats_interests *interests, const vestry_host *host);
void vsi_nats_interests_finish(vsi_nats_interests *interests);
/* NULL: there is none. */
vsi_nats_interest *vsi_nats_interests_find(const vsi_nats_interests *interests, const char *subject);
/* One that is not there yet, unwanted. NULL: out of memory. */
vsi_nats_interest *vsi_nats_interests_add(vsi_nats_interests *interests, const char *subject, void *broker);
/* Out of the table, whose reference is given back. */
void vsi_nats_interests_remove(vsi_nats_interests *interests, vsi_nats_interest *interest);
void vsi_nats_interests_each(vsi_nats_interests *interests, void (*visit)(vsi_nats_interest *interest, void *ctx),
                             void *ctx);

#endif
