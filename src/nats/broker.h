/* The broker: what the seam's functions (nats.c) and the thread that speaks to libnats (link.c) share. */
#ifndef VSI_NATS_BROKER_H
#define VSI_NATS_BROKER_H

#include "nats/claims.h"
#include "nats/inbox.h"
#include "nats/interests.h"
#include "nats/outbox.h"
#include "nats/settings.h"

typedef struct vsi_nats_broker {
  const vestry_host *host;
  vsi_nats_settings settings; /* of the link's thread, but for what never changes */
  pthread_mutex_t lock;       /* before the inbox's */
  pthread_cond_t changed;     /* something for the link's thread */
  pthread_t link;
  _Atomic(bool) is_up;           /* written under the lock */
  _Atomic(size_t) max_payload;   /* as the server said last */
  _Atomic(bool) libnats_dropped; /* on this connection: from now on each message is looked at for it */

  /* guarded by lock */
  bool started, stops, stopped;
  size_t refs;       /* the owner's, and libnats's, for its callbacks */
  size_t subs_alive; /* natsSubscriptions whose callbacks may come */
  vsi_nats_outbox outbox;
  vsi_nats_interests interests;
  uint64_t published_count, written_count, discarded_count, connections_count, attempts_count;

  vsi_nats_inbox inbox;
  vsi_nats_claims claims;
} vsi_nats_broker;

/* libnats is waited for so long, until it has called back for the last time. */
enum { VSI_NATS_COMPLETE_MS = 5000 };

/* A reference of libnats's less. The owner's is the last, and frees it. */
static inline void vsi_nats_broker_unref_locked(vsi_nats_broker *broker) {
  broker->refs--;
  pthread_cond_broadcast(&broker->changed);
}

/* An interest has changed: the link's thread is to see to it. Under the lock. */
static inline void vsi_nats_broker_queue_locked(vsi_nats_broker *broker, vsi_nats_interest *interest) {
  if (interest->is_queued) return;
  interest->is_queued = true;
  if (!broker->outbox.first) pthread_cond_broadcast(&broker->changed);
  vsi_nats_outbox_add(&broker->outbox, &interest->item);
}

#endif
