/* SPDX-License-Identifier: MIT */
/* Answers that are being sent: whose connection is closed when all of them hold too much. */
#ifndef VSI_MICROHTTPD_SENDING_H
#define VSI_MICROHTTPD_SENDING_H

#include <stdbool.h>

#include "base/load.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

/* One connection's answer, a part of its socket; zeroed to begin with. All guarded by all->lock. */
typedef struct vsi_microhttpd_sending {
  vsi_load load; /* by its bytes; of one that was cut, none */
  vsi_load_place place;
  bool is_in;
  int fd;
  size_t bytes; /* that its body holds */
  bool is_cut;
} vsi_microhttpd_sending;

typedef struct vsi_microhttpd_sendings {
  vestry *v; /* NULL: not begun */
  vsi_mutex lock;
  vsi_loads loads;
  uint64_t going; /* what those hold that were cut and have not left */
} vsi_microhttpd_sendings;

void vsi_microhttpd_sendings_begin(vsi_microhttpd_sendings *all, vestry *v);
void vsi_microhttpd_sendings_finish(vsi_microhttpd_sendings *all);

/* An answer whose body holds so much is sent on a descriptor, which stays open until it leaves. */
void vsi_microhttpd_sending_enter(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending, int fd, size_t bytes);
/* Cut those that hold most, if all together hold too much. */
void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all);
/* An answer is sent, or its connection ends. An answer that was not entered is accepted. */
void vsi_microhttpd_sending_leave(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending);

#endif
