/* SPDX-License-Identifier: MIT */
/* Streams that have ended, as JSON. */
#ifndef VSI_OBSERVE_CLOSED_H
#define VSI_OBSERVE_CLOSED_H

#include "ops/observe/json.h"
#include "vestry/ops/observe.h"

/* GET {prefix}/closed?cause=&before=&after=&limit=; app: a vestry_observe. */
vestry_err vsi_list_closed(const vestry_request *req, vestry_reply *reply, void *app);

/* Write what is known of one that has ended, by the stream's number. OK | NOT_FOUND: nothing is known any more, and
 * nothing is written. */
vestry_err vsi_closed_put(vestry_observe *observe, uint64_t id, vsi_json_writer *json);

#endif
