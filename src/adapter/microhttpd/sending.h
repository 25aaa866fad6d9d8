/* SPDX-License-Identifier: MIT */
/* Answers that are being sent, and the choice of connections to close if all answers hold too much memory. */
#ifndef VSI_MICROHTTPD_SENDING_H
#define VSI_MICROHTTPD_SENDING_H

#include <stdbool.h>

#include "base/load.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

/* The answer of a connection, a part of its socket; zeroed at first. Guarded by all->lock. */
typedef struct vsi_microhttpd_sending {
  vsi_load load; /* by its bytes; not in the list after it was cut */
  vsi_load_place place;
  bool is_in;
  int fd;
  size_t bytes; /* held by its body */
  bool is_cut;
} vsi_microhttpd_sending;

typedef struct vsi_microhttpd_sendings {
  vestry *v; /* NULL: not begun */
  vsi_mutex lock;
  vsi_loads loads;
  uint64_t going; /* bytes of answers that were cut and have not left */
} vsi_microhttpd_sendings;

void vsi_microhttpd_sendings_begin(vsi_microhttpd_sendings *all, vestry *v);
void vsi_microhttpd_sendings_finish(vsi_microhttpd_sendings *all);

/* Add an answer whose body holds `bytes`, sent on a descriptor that stays open until the answer leaves. */
void vsi_microhttpd_sending_enter(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending, int fd, size_t bytes);
/* Cut the answers that hold most, if all together hold too much. */
void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all);
/* Remove an answer that is sent or whose connection ends. An answer that was not entered is accepted. */
void vsi_microhttpd_sending_leave(vsi_microhttpd_sendings *all, vsi_microhttpd_sending *sending);

#endif
