/* SPDX-License-Identifier: MIT */
/* The broker's state, shared by the functions of the broker interface (nats.c) and the broker's thread, which makes
 * connections (link.c), and receives and writes (receiver.c). */
#ifndef VSI_NATS_BROKER_H
#define VSI_NATS_BROKER_H

#include <nats/nats.h>
#include <stdatomic.h>

#include "base/held_log.h"
#include "base/mutex.h"
#include "cluster/nats/send_queue.h"
#include "cluster/nats/settings.h"
#include "vestry/error.h"

enum { VSI_NATS_PASSED_MOST = 64 };

/* Counters of a broker. */
typedef struct vsi_nats_stats {
  uint64_t published_count;   /* accepted by publish = written_count + discarded_count + messages in the send queue */
  uint64_t written_count;     /* written to the socket */
  uint64_t discarded_count;   /* dropped because the connection ended */
  uint64_t received_count;    /* received from the server, for on_message */
  uint64_t connections_count; /* successful connections */
  uint64_t attempts_count;    /* attempts to connect */
  size_t send_queue_bytes;    /* current size of the send queue, as limited by max_send_queue_bytes */
} vsi_nats_stats;

/* Get a snapshot of the counters. A broker of another kind leaves ret_stats unchanged. */
void vsi_nats_stats_get(const vestry_broker *broker, vsi_nats_stats *ret_stats);

typedef struct vsi_nats_broker {
  const vestry_host *host;
  vsi_nats_settings settings; /* used by the broker's thread; other threads read constant members only */
  vestry_broker_events events;
  char (*subjects)[VESTRY_SUBJECT_MAX_BYTES + 1];
  size_t subjects_count; /* the last one is that of the pings */
  pthread_t thread;
  int wake_fd;                  /* eventfd that wakes the broker's thread */
  _Atomic(bool) is_woken;       /* it was written, and the broker's thread has not read it yet */
  _Atomic(bool) is_up;          /* written under the lock */
  _Atomic(bool) is_over;        /* the connection has ended; false while there is none yet. Written under the lock */
  _Atomic(bool) is_closed;      /* libnats has reported that the connection is closed */
  _Atomic(bool) is_refused;     /* the server has refused or removed a subscription, or has refused a message */
  _Atomic(bool) must_write;     /* libnats has bytes for the socket */
  _Atomic(bool) has_complained; /* it was logged that no server accepts connections */
  _Atomic(bool) stops;          /* no function of the events is called any more */
  _Atomic(size_t) max_payload;  /* as the server last reported */
  _Atomic(uint64_t) received_count; /* received messages */
  vsi_repeated_log states;          /* lines about connections */
  vsi_repeated_log complaints;      /* lines about errors that the server reports; it chooses their text */

  /* Of the broker's thread. */
  int attached;                          /* descriptor of the socket of the connection being made */
  bool has_more;                         /* another message is passed on right after this one */
  natsMsg *passed[VSI_NATS_PASSED_MOST]; /* passed on, and not returned to libnats yet */
  size_t passed_count, passed_bytes;
  uint64_t stuck_ns;   /* time by which the socket must accept bytes; 0: it has none to accept */
  uint64_t pinged_ns;  /* time of the last ping */
  uint64_t heard_ns;   /* time when something was last read, or when the ping below was sent */
  uint64_t awaited_ns; /* time of a ping to which the server has not responded; 0: none */

  /* The thread that holds io reads, writes and closes. Locked before the lock. */
  vsi_mutex io;
  /* Guarded by io. */
  natsConnection *connection;      /* NULL: none */
  natsSubscription **subs;         /* one for each subject */
  int socket;                      /* duplicate of the connection's socket, which libnats does not close; -1: none */
  size_t taken_bytes, taken_count; /* parts that libnats has taken and the socket has not */
  unsigned char joined[VSI_NATS_JOINED_BYTES]; /* the message that is being given to libnats */

  vsi_mutex lock; /* no code under it blocks */
  /* Guarded by lock. */
  bool started, stopped;
  size_t refs;                                /* of the owner, and of libnats for its callbacks */
  char refused[VESTRY_SUBJECT_MAX_BYTES + 1]; /* a subject whose messages the server has refused; "": none */
  vsi_nats_send_queue send_queue;
  vsi_nats_stats stats; /* without received_count and send_queue_bytes */
} vsi_nats_broker;

/* The broker whose thread this is. It checks for work before it sleeps. */
extern _Thread_local const vsi_nats_broker *vsi_nats_here;

/* The broker's thread (link.c). Connects and subscribes, repeatedly, until the broker stops. argument: the
 * vsi_nats_broker. */
void *vsi_nats_link_run(void *argument);

/* Receiving messages and passing them on; and writing of messages (receiver.c). */

/* Set libnats's options so that libnats leaves the socket to this library. Before connections are made with them. */
natsStatus vsi_nats_receiver_choose(vsi_nats_broker *broker);
/* Take over the server's maximum of a message, which it can change. Returns whether it has. With io. */
bool vsi_nats_receiver_take_max(vsi_nats_broker *broker);
/* Wait until there is work or the time has come, and read, write and pass on what there is. Returns false, without
 * waiting, once the time has come. The broker's thread. */
bool vsi_nats_receiver_step(vsi_nats_broker *broker, uint64_t until_ns);
/* Return all messages that were passed on to libnats. The broker's thread. */
void vsi_nats_receiver_give_back(vsi_nats_broker *broker);
/* Wake the broker's thread, so that it checks for work. Any thread. */
void vsi_nats_receiver_wake(vsi_nats_broker *broker);
/* Write the send queue, unless another thread is writing. Any thread; does not block, unless the connection uses
 * TLS. */
void vsi_nats_receiver_write(vsi_nats_broker *broker);

#endif
