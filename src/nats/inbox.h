/* What the events' functions are to be told, in order, and the thread that tells it. Messages are bounded, in number
 * and bytes; where one was left out, MAYBE_LOST stands. */
#ifndef VSI_NATS_INBOX_H
#define VSI_NATS_INBOX_H

#include "nats/interests.h"

typedef struct vsi_nats_news {
  struct vsi_nats_news *next;
  bool is_message, lost_before;
  bool is_up;                  /* no message: it is up, or down */
  bool waits;                  /* of up and down */
  vsi_nats_interest *interest; /* a reference */
  natsMsg *message;            /* owned */
} vsi_nats_news;

typedef struct vsi_nats_inbox {
  const vestry_host *host;
  vestry_broker_events events;
  size_t max_bytes, max_count;
  pthread_mutex_t lock;
  pthread_cond_t arrived, told;
  pthread_t thread;
  /* guarded by lock */
  vsi_nats_news *first, **end;
  vsi_nats_news up, down;
  size_t bytes, count;
  bool deaf;  /* down was said: what still comes of the last connection is dropped */
  bool lost;  /* something after the last of the list */
  bool stops; /* nothing more is told */
  uint64_t received_count, delivered_count, dropped_count;
} vsi_nats_inbox;

void vsi_nats_inbox_init(vsi_nats_inbox *inbox, const vestry_host *host, size_t max_bytes, size_t max_count);
void vsi_nats_inbox_finish(vsi_nats_inbox *inbox);
/* OK | IO */
vestry_err vsi_nats_inbox_start(vsi_nats_inbox *inbox, const vestry_broker_events *events);
/* When it returns, no event's function runs or will run. After start. */
void vsi_nats_inbox_stop(vsi_nats_inbox *inbox);

/* Of any thread. message: taken. */
void vsi_nats_inbox_put(vsi_nats_inbox *inbox, vsi_nats_interest *interest, natsMsg *message);
void vsi_nats_inbox_lose(vsi_nats_inbox *inbox);
/* Of the thread that speaks to libnats, by turns. */
void vsi_nats_inbox_say(vsi_nats_inbox *inbox, bool is_up);
/* A connection begins: its messages may come before it is up. */
void vsi_nats_inbox_listen(vsi_nats_inbox *inbox);
/* Until what was said last has been told, or nothing more is. */
void vsi_nats_inbox_wait_told(vsi_nats_inbox *inbox);
/* Nothing more is told: a thread that waits for that goes on. */
void vsi_nats_inbox_close(vsi_nats_inbox *inbox);

#endif
