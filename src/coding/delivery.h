/* SPDX-License-Identifier: MIT */
/* Deliveries: an event on its way to one connection, with the bytes written for it. */
#ifndef VSI_CODING_DELIVERY_H
#define VSI_CODING_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vestry/event.h"

/* Whether streams can be encoded. Small programs leave that out (Small programs in docs/building.md): no stream then
 * has a coder, no delivery has a broadcast or encoded bytes, and the linker drops all functions of codings. */
#ifdef VSI_WITHOUT_ENCODINGS
enum { VSI_ENCODES = false };
#else
enum { VSI_ENCODES = true };
#endif

/* Times of a delivery that is timed while something observes the group (connection/tally.h), in units of 1,024 ns. */
typedef struct vsi_delivery_times {
  uint32_t stamp;          /* when it was accepted, or just before; modulo 2^32; 0: not timed */
  uint32_t lead : 30;      /* is_change: age of the change at that time; at most 18 minutes */
  uint32_t is_counted : 1; /* its time from the queue to the socket is recorded */
  uint32_t is_change : 1;  /* an event of a page that results from a change */
} vsi_delivery_times;

typedef struct vsi_delivery {
  TAILQ_ENTRY(vsi_delivery) in; /* of the queue, or of another list that has the delivery */
  vestry_event *event;          /* a reference, unless the broadcast holds it. NULL: encoded bytes that are no event */
  struct vsi_broadcast *broadcast; /* a reference; NULL: it was sent to this connection only */
  const struct vsi_segment *wire;  /* the bytes to write (coder.h); NULL: those of the event */
  bool is_of_batch;                /* sent together with others, with no other event in between */
  bool is_sign;                    /* a heartbeat that the page can see */
  bool is_heartbeat;               /* made by the runner: no queue has accepted or counted it */
  bool owns_wire;                  /* the bytes were encoded for this delivery only */
  bool is_in_event;                /* it is in the room of its event (event/extras.h); otherwise allocated */
  vsi_delivery_times times;        /* zero if the delivery is not timed */
} vsi_delivery;

typedef TAILQ_HEAD(vsi_deliveries, vsi_delivery) vsi_deliveries;

#endif
