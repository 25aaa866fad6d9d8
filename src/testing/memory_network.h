/* SPDX-License-Identifier: MIT */
/* A memory network: its nodes and its faults. Each node is a broker (vsi_memory_broker_ops). */
#ifndef VSI_TESTING_MEMORY_NETWORK_H
#define VSI_TESTING_MEMORY_NETWORK_H

#include <pthread.h>

#include "base/mutex.h"
#include "vestry/cluster/broker.h"
#include "vestry/testing/memory_network.h"

/* ---------------------------------------------------------------------------------------- messages in transit ---- */

/* Messages to one node are ordered by the time when they are due, then by the order in which they were sent. Guarded by
 * the network's lock. */

/* A message, shared by its receivers. */
typedef struct vsi_parcel {
  size_t refs;
  size_t sender; /* in the order of joining */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  size_t len;
  unsigned char data[];
} vsi_parcel;

typedef struct vsi_arrival {
  uint64_t due_ns, order;
  vsi_parcel *parcel; /* a reference; NULL: a lost message that is noticed at this time (MAYBE_LOST) */
} vsi_arrival;

/* A heap, whose first element is due next. All zero: empty. */
typedef struct vsi_arrivals {
  vsi_arrival *heap;
  size_t count, room;
} vsi_arrivals;

/* -------------------------------------------------------------------------------------- networks and their nodes -- */

/* The messages of one sender to one subject arrive in order: a slot stores when the last message of its streams is due.
 * Two streams that share a slot are ordered, too, which the broker interface does not require. */
enum { VSI_MEMORY_STREAMS = 1024 };

/* A node. Guarded by the network's lock, except the members that are set when it joins. */
typedef struct vsi_memory_node {
  const vestry_host *host;
  vestry_memory_network *network; /* a reference; NULL: it could not join */
  size_t index;                   /* in the order of joining */
  vestry_actor *actor;            /* calls the functions of the events */
  vestry_timer *timer;            /* wakes the actor when a message is due; NULL: stopped */
  vestry_broker_events events;
  bool started, stopped;
  bool runs;          /* a function of the events is running */
  bool reported_up;   /* the last reported state is UP */
  bool reported_late; /* since then it was DOWN, and may be UP again */
  uint8_t part;
  uint64_t faults, refusals; /* random sequences: for messages to it, and for its calls of publish */
  vsi_arrivals arrivals;
  char **subjects;
  size_t subjects_count;
  uint64_t last_due_ns[VSI_MEMORY_STREAMS];
} vsi_memory_node;

struct vestry_memory_network {
  vestry_runtime *runtime;
  const vestry_host *host;
  vsi_mutex lock;         /* no function of the events is called under it */
  pthread_cond_t changed; /* a function of the events has returned */
  /* Guarded by lock. */
  size_t refs; /* of the owner, and of each node */
  vestry_memory_network_options options;
  vsi_memory_node **nodes; /* by index; NULL: destroyed */
  size_t nodes_count, nodes_room;
  uint64_t order;                    /* number of messages sent; their order */
  vestry_memory_network_stats stats; /* except waiting_count */
};

/* Functions of a node as a broker; its self is a vsi_memory_node. */
extern const vestry_broker_ops vsi_memory_broker_ops;

#endif
