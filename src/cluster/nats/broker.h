/* SPDX-License-Identifier: MIT */
/* The broker: what the seam's functions (nats.c), the thread that connects (link.c) and the thread that reads and
 * writes (receiver.c) share. */
#ifndef VSI_NATS_BROKER_H
#define VSI_NATS_BROKER_H

#include <nats/nats.h>
#include <stdatomic.h>

#include "cluster/nats/reservations.h"
#include "cluster/nats/send_queue.h"
#include "cluster/nats/settings.h"
#include "vestry/error.h"

enum { VSI_NATS_TOLD_MOST = 64 };

typedef struct vsi_nats_broker {
  const vestry_host *host;
  vsi_nats_settings settings; /* of the link's thread, but for what never changes */
  vestry_broker_events events;
  char (*subjects)[VESTRY_SUBJECT_MAX_BYTES + 1];
  size_t subjects_count;
  pthread_t link, receiver;
  int attached;                  /* of the link's thread: the socket of the connection that it makes */
  int wake_fd;                   /* an eventfd: there is something for the receiver */
  _Atomic(bool) is_woken;        /* and it has been told */
  _Atomic(bool) is_up;           /* written under the lock */
  _Atomic(bool) is_over;         /* the connection; written under the lock, and false while there is none yet */
  _Atomic(bool) must_write;      /* libnats has something for the socket */
  _Atomic(bool) is_telling;      /* an event's function runs */
  _Atomic(bool) is_deaf;         /* nothing is told any more */
  _Atomic(size_t) max_payload;   /* as the server said last */
  _Atomic(uint64_t) heard_count; /* messages */
  _Atomic(uint64_t) reads_count;
  _Atomic(uint64_t) asks_count; /* whether the server is there */

  /* Of the receiver's thread. */
  bool has_more;                     /* another message is told right after this one */
  natsMsg *told[VSI_NATS_TOLD_MOST]; /* that libnats has not back yet */
  size_t told_count, told_bytes;

  /* The thread that has io reads, writes and closes. Before the lock. */
  vsi_mutex io;
  /* guarded by io */
  natsConnection *connection;      /* NULL: none */
  natsSubscription **subs;         /* a place for each subject */
  int socket;                      /* a descriptor of the connection's socket that is closed here alone; -1: none */
  size_t taken_bytes, taken_count; /* of parts that libnats has, and the socket has not */

  vsi_mutex lock;         /* what is inside of it does not block */
  pthread_cond_t changed; /* something for the link's thread */
  /* guarded by lock */
  bool started, stops, stopped, ends; /* ends: the receiver's thread */
  bool up_waits, down_waits;          /* to be told, up first */
  size_t refs;                        /* the owner's, and libnats's, for its callbacks */
  vsi_nats_send_queue send_queue;
  uint64_t published_count, written_count, discarded_count, connections_count, attempts_count;

  vsi_nats_reservations reservations;
} vsi_nats_broker;

/* libnats is waited for so long, until it has called back for the last time. */
enum { VSI_NATS_COMPLETE_MS = 5000 };

/* A reference of libnats's less. The owner's is the last, and frees it. */
static inline void vsi_nats_broker_unref_locked(vsi_nats_broker *broker) {
  broker->refs--;
  pthread_cond_broadcast(&broker->changed);
}

/* The thread that makes connections. */

/* Connects and subscribes, again and again, until the broker stops. argument: the vsi_nats_broker. */
void *vsi_nats_link_run(void *argument);

/* libnats's statuses as vestry's errors. */

#endif
