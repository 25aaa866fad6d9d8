/* SPDX-License-Identifier: MIT */
/* The tail of a stream, as events of another stream: for which requests, how long, and what is told of it. */
#ifndef VSI_OBSERVE_TAIL_H
#define VSI_OBSERVE_TAIL_H

#include "vestry/request.h"

/* GET {prefix}/streams/{id}/tail; app: a vestry_observe. */
vestry_err vsi_observe_tail(const vestry_request *req, vestry_reply *reply, void *app);

#endif
