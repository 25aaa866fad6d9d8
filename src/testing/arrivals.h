/* SPDX-License-Identifier: MIT */
/* What is on its way to one node of a memory network: messages by when they arrive, and of those due at one time in the
 * order in which they were sent. The network's lock guards all of it. */
#ifndef VSI_TESTING_ARRIVALS_H
#define VSI_TESTING_ARRIVALS_H

#include "vestry/cluster/broker.h"

/* A message, shared by those that it is on its way to. */
typedef struct vsi_parcel {
  size_t refs;
  size_t sender; /* by the order of joining */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  size_t len;
  unsigned char data[];
} vsi_parcel;

typedef struct vsi_arrival {
  uint64_t due_ns, order;
  vsi_parcel *parcel; /* a reference; NULL: what was lost here is noticed */
} vsi_arrival;

/* A heap: the next one is the first. Zero is empty. */
typedef struct vsi_arrivals {
  vsi_arrival *heap;
  size_t count, room;
} vsi_arrivals;

/* One reference. NULL: out of memory. */
vsi_parcel *vsi_parcel_new(const vestry_host *host, size_t sender, const char *subject, const void *data, size_t len);
void vsi_parcel_unref(const vestry_host *host, vsi_parcel *parcel); /* NULL is accepted */

/* Room for so many more, which vsi_arrivals_add then takes. OK | NO_MEMORY */
vestry_err vsi_arrivals_reserve(const vestry_host *host, vsi_arrivals *arrivals, size_t more);
void vsi_arrivals_add(vsi_arrivals *arrivals, vsi_arrival arrival);
/* Take the next one out. There is one. */
vsi_arrival vsi_arrivals_take(vsi_arrivals *arrivals);
/* Take out, and drop, what came from a sender that does not pass; those that are noticed stay. Returns how many. */
size_t vsi_arrivals_cut(const vestry_host *host, vsi_arrivals *arrivals, bool (*passes)(size_t sender, void *ctx),
                        void *ctx);
/* Drop all and free. Returns how many messages there were. */
size_t vsi_arrivals_finish(const vestry_host *host, vsi_arrivals *arrivals);

#endif
