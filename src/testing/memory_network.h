/* SPDX-License-Identifier: MIT */
/* A memory network: its nodes and its faults. A node of it is a broker (memory_broker.c). */
#ifndef VSI_TESTING_MEMORY_NETWORK_H
#define VSI_TESTING_MEMORY_NETWORK_H

#include <pthread.h>

#include "base/mutex.h"
#include "testing/arrivals.h"
#include "vestry/testing/memory_network.h"

/* One sender's messages to one subject arrive in order: each place remembers when the last of its streams is due. Two
 * streams that share a place are in order too, which is more than was promised. */
enum { VSI_MEMORY_STREAMS = 1024 };

typedef struct vsi_memory_reservation {
  char name[VESTRY_SUBJECT_MAX_BYTES + 1];
  uint64_t revision;
} vsi_memory_reservation;

/* A node. All is guarded by the network's lock, but for what is set when it joins. */
typedef struct vsi_memory_node {
  const vestry_host *host;
  vestry_memory_network *network; /* a reference; NULL: it could not join */
  size_t index;                   /* by the order of joining */
  vestry_actor *actor;            /* calls the events' functions */
  vestry_timer *timer;            /* rouses the actor when something is due; NULL: it has stopped */
  vestry_broker_events events;
  bool started, stopped;
  bool runs;                   /* inside of an event's function */
  bool told_up, told_too_late; /* what on_state said last; it has been down since, and up again perhaps */
  uint8_t part;
  uint64_t faults, refusals; /* its streams of chance: for what comes to it, and for what it sends */
  vsi_arrivals arrivals;
  char **subjects;
  size_t subjects_count;
  uint64_t last_due_ns[VSI_MEMORY_STREAMS];
} vsi_memory_node;

struct vestry_memory_network {
  vestry_runtime *runtime;
  const vestry_host *host;
  vsi_mutex lock;         /* no event's function is called while it is held */
  pthread_cond_t changed; /* a node runs no more */
  /* guarded by lock */
  size_t refs; /* the owner's, and each node's */
  vestry_memory_network_options options;
  vsi_memory_node **nodes; /* by index; NULL: destroyed */
  size_t nodes_count, nodes_room;
  uint64_t order; /* of what was sent */
  uint64_t revision;
  vsi_memory_reservation *reservations;
  size_t reservations_count, reservations_room;
  vestry_memory_network_stats stats; /* but for waiting_count */
};

/* A number of a stream of chance. */
uint64_t vsi_memory_chance(uint64_t *stream);
/* Whether a node is connected to the broker: then it publishes, and hears its part. Under the lock. */
bool vsi_memory_node_is_up(const vsi_memory_node *node);
/* Send one message to all nodes that are to have it. Under the lock. OK | NO_MEMORY: none has it. */
vestry_err vsi_memory_network_send(vestry_memory_network *network, vsi_memory_node *from, const char *subject,
                                   const void *data, size_t len);
/* A node that is new: its place in the order, its streams of chance, a reference. Takes the lock. OK | LIMIT |
 * NO_MEMORY */
vestry_err vsi_memory_network_enter(vestry_memory_network *network, vsi_memory_node *node);
/* Give a reference back; the last one frees it. Takes the lock. */
void vsi_memory_network_unref(vestry_memory_network *network);

#endif
