/* SPDX-License-Identifier: MIT */
/* Messages in transit to one node of a memory network, ordered by the time when they are due, then by the order in
 * which they were sent. Guarded by the network's lock. */
#ifndef VSI_TESTING_ARRIVALS_H
#define VSI_TESTING_ARRIVALS_H

#include "vestry/cluster/broker.h"

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

/* Create a message with one reference. NULL: out of memory. */
vsi_parcel *vsi_parcel_new(const vestry_host *host, size_t sender, const char *subject, const void *data, size_t len);
void vsi_parcel_unref(const vestry_host *host, vsi_parcel *parcel); /* NULL is accepted */

/* Reserve room for more arrivals, which vsi_arrivals_add then uses. OK | NO_MEMORY */
vestry_err vsi_arrivals_reserve(const vestry_host *host, vsi_arrivals *arrivals, size_t more);
void vsi_arrivals_add(vsi_arrivals *arrivals, vsi_arrival arrival);
/* Remove and return the first arrival. There must be one. */
vsi_arrival vsi_arrivals_take(vsi_arrivals *arrivals);
/* Drop the messages whose sender does not pass; noticed losses stay. Returns the number of dropped messages. */
size_t vsi_arrivals_cut(const vestry_host *host, vsi_arrivals *arrivals, bool (*passes)(size_t sender, void *ctx),
                        void *ctx);
/* Drop all arrivals, and free the heap. Returns the number of dropped messages. */
size_t vsi_arrivals_finish(const vestry_host *host, vsi_arrivals *arrivals);

#endif
