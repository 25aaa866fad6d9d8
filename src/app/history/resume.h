/* SPDX-License-Identifier: MIT */
/* A stream that joins a channel where it left off. */
#ifndef VSI_HISTORY_RESUME_H
#define VSI_HISTORY_RESUME_H

#include "app/history/history.h"
#include "channel/channel.h"

/* Put the events that the connection has missed into its queue, make it a member, and call on_resume. OK | EXISTS |
 * CLOSED | INVALID | FULL (also: no memory) | NO_MEMORY (nothing was put) | BUSY (see vsi_channel_go_in) | result of
 * on_resume */
vestry_err vsi_channel_resume(vsi_channel *channel, vestry_connection *connection, const vsi_history_last *last,
                              vestry_resume_fn on_resume, void *ctx);

#endif
