/* SPDX-License-Identifier: MIT */
/* A stream that joins a channel where it left off. */
#ifndef VSI_CHANNEL_RESUME_H
#define VSI_CHANNEL_RESUME_H

#include "channel/channel.h"
#include "channel/history.h"

/* As vestry_resume_fn. count: number of replayed events. */
typedef vestry_err (*vsi_resume_fn)(vestry_connection *connection, vsi_resume_answer answer, size_t count, void *ctx);

/* Put the events that the connection has missed into its queue, make it the reserved member, and call on_resume. Takes
 * the member in any case. OK | EXISTS | CLOSED | INVALID | FULL (also: no memory) | BUSY (see vsi_channel_go_in) |
 * result of on_resume */
VESTRY_API vestry_err vsi_channel_resume(vsi_member *member, vestry_connection *connection,
                                         const vsi_history_last *last, vsi_resume_fn on_resume, void *ctx);

#endif
