/* SPDX-License-Identifier: MIT */
/* Answers that are being sent, and the choice of connections to close if all answers hold too much memory. An answer
 * owns its body, and lasts until libmicrohttpd frees its response; libmicrohttpd closes the descriptor afterwards. */
#ifndef VSI_MICROHTTPD_SENDING_H
#define VSI_MICROHTTPD_SENDING_H

#include <stdbool.h>

#include "base/load.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "vestry/adapter.h"

/* Outlives its adapter, because a daemon of the application may still send answers then. */
typedef struct vsi_microhttpd_sendings {
  vsi_refs refs; /* the adapter's, and one for each answer */
  vestry *v;
  const vestry_host *host;
  vsi_mutex lock;
  vsi_loads loads; /* guarded by lock, as is the next member */
  uint64_t going;  /* bytes of answers that were cut and are not freed */
} vsi_microhttpd_sendings;

typedef struct vsi_microhttpd_sending {
  vsi_microhttpd_sendings *all; /* a reference */
  vestry_body *body;            /* owned */
  int fd;
  vsi_load load; /* by the bytes that the body holds; not in the list after it was cut. Guarded by all->lock, as are the
                    next two members */
  vsi_load_place place;
  bool is_cut;
} vsi_microhttpd_sending;

/* NULL: no memory. */
vsi_microhttpd_sendings *vsi_microhttpd_sendings_create(vestry *v);
/* NULL is accepted. */
void vsi_microhttpd_sendings_unref(vsi_microhttpd_sendings *all);
/* Cut the answers that hold most, if all together hold too much. */
void vsi_microhttpd_sendings_relieve(vsi_microhttpd_sendings *all);

/* Begin to send a body, on a descriptor that stays open until the end. Takes the body, also on failure. NULL: no
 * memory. */
vsi_microhttpd_sending *vsi_microhttpd_sending_begin(vsi_microhttpd_sendings *all, int fd, vestry_body *body);
/* End an answer that is sent, or whose connection will be closed. Frees it and its body. NULL is accepted. */
void vsi_microhttpd_sending_end(vsi_microhttpd_sending *sending);

#endif
